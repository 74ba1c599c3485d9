//! A wire between store and server that can be cut after so many bytes, stalled, and mended.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

const STALL_PAUSE: Duration = Duration::from_millis(5);

/// The wire.
pub struct Proxy {
    pub port: u16,
    state: Arc<State>,
}

struct State {
    to: u16,
    /// Bytes that still go to the server; then every connection is cut.
    left: AtomicI64,
    /// Bytes that went to the server.
    passed: AtomicI64,
    stalled: AtomicBool,
    ended: AtomicBool,
}

impl Proxy {
    pub fn to(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let own = listener.local_addr().expect("an address").port();
        let state = Arc::new(State {
            to: port,
            left: AtomicI64::new(i64::MAX),
            passed: AtomicI64::new(0),
            stalled: AtomicBool::new(false),
            ended: AtomicBool::new(false),
        });
        let accepting = state.clone();
        std::thread::spawn(move || {
            for client in listener.incoming() {
                if accepting.ended.load(Ordering::SeqCst) {
                    return;
                }
                let Ok(client) = client else { continue };
                if accepting.left.load(Ordering::SeqCst) > 0
                    && let Ok(server) = TcpStream::connect(("127.0.0.1", accepting.to))
                {
                    carry(&accepting, client, server);
                }
            }
        });
        Self { port: own, state }
    }

    /// Cuts every connection once so many more bytes have gone to the server, in the middle of whatever they are.
    pub fn cut_after(&self, bytes: i64) {
        self.state.left.store(bytes, Ordering::SeqCst);
    }

    /// Lets everything through again.
    pub fn mend(&self) {
        self.state.left.store(i64::MAX, Ordering::SeqCst);
        self.state.stalled.store(false, Ordering::SeqCst);
    }

    /// Lets nothing through, and cuts nothing.
    pub fn stall(&self) {
        self.state.stalled.store(true, Ordering::SeqCst);
    }

    /// How many bytes went to the server so far.
    pub fn passed(&self) -> i64 {
        self.state.passed.load(Ordering::SeqCst)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.state.ended.store(true, Ordering::SeqCst);
        // So that the listener looks.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

fn carry(state: &Arc<State>, client: TcpStream, server: TcpStream) {
    let (Ok(client_in), Ok(server_in)) = (client.try_clone(), server.try_clone()) else { return };
    let up = state.clone();
    std::thread::spawn(move || copy(&up, client_in, server, true));
    let down = state.clone();
    std::thread::spawn(move || copy(&down, server_in, client, false));
}

fn copy(state: &State, mut from: TcpStream, mut to: TcpStream, up: bool) {
    let mut buffer = [0; 4096];
    let _ = from.set_read_timeout(Some(Duration::from_millis(20)));
    loop {
        let count = match from.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error)
                if matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut) =>
            {
                if state.left.load(Ordering::SeqCst) <= 0 || state.ended.load(Ordering::SeqCst) {
                    break;
                }
                continue;
            }
            Err(_) => break,
        };
        while state.stalled.load(Ordering::SeqCst) && !state.ended.load(Ordering::SeqCst) {
            std::thread::sleep(STALL_PAUSE);
        }
        let mut count = count;
        if up {
            let left = state.left.fetch_sub(count as i64, Ordering::SeqCst);
            count = count.min(left.max(0) as usize);
            state.passed.fetch_add(count as i64, Ordering::SeqCst);
        }
        let cut = state.left.load(Ordering::SeqCst) <= 0;
        // What was cut off in the middle still goes up, so that the server sees the half of it.
        let carried = (!cut || up) && to.write_all(&buffer[..count]).is_ok();
        if cut || !carried {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Both);
    let _ = from.shutdown(Shutdown::Both);
}
