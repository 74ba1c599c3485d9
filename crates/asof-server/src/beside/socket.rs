//! Where the socket is: `.asof/server/socket` in the project's folder, the file for its owner alone (0600) and in a
//! folder for its owner alone (0700), so that nobody else can reach it at any moment.
//!
//! A file that a killed server left behind does no harm: nobody answers there, and the next server, which holds the
//! online store by then, replaces it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use asof_store::Project;

/// Elsewhere there is no such socket; the types stand in for it.
#[cfg(not(unix))]
pub(crate) use tokio::net::{TcpListener as Listener, TcpStream as Stream};
#[cfg(unix)]
pub(crate) use tokio::net::{UnixListener as Listener, UnixStream as Stream};

/// The longest path that the system takes for a socket, in bytes, the closing zero left out.
#[cfg(target_os = "linux")]
const PATH_BYTES_MAX: usize = 107;
#[cfg(not(target_os = "linux"))]
const PATH_BYTES_MAX: usize = 103;

/// A socket that is listened on. Its file goes with it.
pub(crate) struct Socket {
    pub listener: Listener,
    pub file: SocketFile,
}

/// The file of a socket, removed at the end.
pub(crate) struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        // One that stays behind does no harm.
        let _ = fs::remove_file(&self.0);
    }
}

/// The folder of a project's socket.
fn folder(project: &Project) -> PathBuf {
    project.resolve(".asof/server")
}

/// The path of a project's socket.
pub(crate) fn path(project: &Project) -> PathBuf {
    folder(project).join("socket")
}

/// Listens on the project's socket, in the place of a file that is there. The caller holds the online store, and has
/// found nobody listening.
#[cfg(unix)]
pub(crate) fn listen(project: &Project) -> io::Result<Socket> {
    use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
    let folder = folder(project);
    if let Some(parent) = folder.parent() {
        fs::create_dir_all(parent)?;
    }
    match fs::DirBuilder::new().mode(0o700).create(&folder) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            fs::set_permissions(&folder, fs::Permissions::from_mode(0o700))?;
        }
        made => made?,
    }
    let path = path(project);
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = through_short_path(&path, |path| Listener::bind(path))?;
    let file = SocketFile(path);
    fs::set_permissions(&file.0, fs::Permissions::from_mode(0o600))?;
    Ok(Socket { listener, file })
}

#[cfg(not(unix))]
pub(crate) fn listen(_: &Project) -> io::Result<Socket> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Connects to the project's socket. `None` where nobody listens.
#[cfg(unix)]
pub(crate) async fn connect(project: &Project) -> io::Result<Option<Stream>> {
    let connected = through_short_path(&path(project), |path| {
        let stream = std::os::unix::net::UnixStream::connect(path)?;
        stream.set_nonblocking(true)?;
        Stream::from_std(stream)
    });
    match connected {
        Ok(stream) => Ok(Some(stream)),
        Err(error) => match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory | io::ErrorKind::ConnectionRefused => {
                Ok(None)
            }
            _ => Err(error),
        },
    }
}

#[cfg(not(unix))]
pub(crate) async fn connect(_: &Project) -> io::Result<Option<Stream>> {
    Ok(None)
}

/// Calls `with` with a path of the file that the system takes for a socket. One that is too long is gone around by way
/// of its opened folder.
#[cfg(unix)]
fn through_short_path<T>(path: &Path, with: impl FnOnce(&Path) -> io::Result<T>) -> io::Result<T> {
    use std::os::fd::AsRawFd;
    use std::os::unix::ffi::OsStrExt;
    if path.as_os_str().as_bytes().len() <= PATH_BYTES_MAX {
        return with(path);
    }
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else { return with(path) };
    if !cfg!(target_os = "linux") {
        let message =
            format!("the path has more than {PATH_BYTES_MAX} bytes; move the project to a shorter one");
        return Err(io::Error::new(io::ErrorKind::InvalidFilename, message));
    }
    // Open until `with` is done.
    let opened = fs::File::open(folder)?;
    with(&PathBuf::from(format!("/proc/self/fd/{}", opened.as_raw_fd())).join(name))
}
