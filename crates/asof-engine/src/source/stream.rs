//! The bytes of a file: of this machine or of an object store, unpacked where they are compressed.

use std::fs::File;
use std::io::{self, BufReader, Read};

use super::files::{Compression, SourceFile};
use crate::EngineError;

/// Bytes read from a file at once.
pub(super) const BUFFER_BYTES: usize = 1 << 20;

/// The largest window of a Zstandard stream, as a power of two: 128 MiB, what its tools take unasked.
const ZSTANDARD_WINDOW_LOG_MAX: u32 = 27;

/// A file's bytes from beginning to end, in bounded memory.
pub(super) type Bytes = Box<dyn Read + Send>;

/// Opens a file as a stream of its unpacked bytes.
///
/// # Errors
/// [`EngineError::Io`], [`EngineError::Objects`].
pub(super) fn open(file: &SourceFile) -> Result<Bytes, EngineError> {
    let failed = |error| EngineError::reading(&file.path, error);
    let packed: Bytes = match &file.object {
        Some(object) => Box::new(object.stream()),
        None => Box::new(File::open(&file.path).map_err(failed)?),
    };
    Ok(match file.compression {
        None => packed,
        Some(Compression::Gzip) => {
            // Of several parts, as tools write that go on with a file or pack in parallel.
            let parts =
                flate2::bufread::MultiGzDecoder::new(BufReader::with_capacity(BUFFER_BYTES, Packed(packed)));
            Box::new(Unpacked(parts))
        }
        Some(Compression::Zstandard) => {
            let buffered = BufReader::with_capacity(BUFFER_BYTES, Packed(packed));
            let mut decoder = zstd::stream::read::Decoder::with_buffer(buffered).map_err(failed)?;
            decoder.window_log_max(ZSTANDARD_WINDOW_LOG_MAX).map_err(failed)?;
            Box::new(Unpacked(decoder))
        }
    })
}

/// An error of the file below a decoder, which must not be taken for damage that the decoder found.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
struct Below(io::Error);

/// Damage that a decoder found.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
struct Damage(io::Error);

struct Packed(Bytes);

impl Read for Packed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer).map_err(|error| match error.kind() {
            io::ErrorKind::Interrupted => error,
            _ => io::Error::other(Below(error)),
        })
    }
}

struct Unpacked<R>(R);

impl<R: Read> Read for Unpacked<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer).map_err(|error| match error.downcast::<Below>() {
            Ok(below) => below.0,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => error,
            Err(error) => io::Error::other(Damage(error)),
        })
    }
}

/// What an error of such a stream means.
pub(super) fn failed(file: &SourceFile, error: io::Error) -> EngineError {
    let format = match file.compression {
        Some(Compression::Gzip) => "gzip",
        Some(Compression::Zstandard) => "Zstandard",
        None => return EngineError::reading(&file.path, error),
    };
    match error.downcast::<Damage>() {
        Ok(Damage(error)) => {
            let reason = match error.kind() {
                io::ErrorKind::UnexpectedEof => "it ends in the middle".to_owned(),
                _ => error.to_string(),
            };
            EngineError::Damaged { path: file.path.to_path_buf(), format, reason }
        }
        Err(error) => EngineError::reading(&file.path, error),
    }
}
