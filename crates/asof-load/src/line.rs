//! One connection: HTTP/1.1, a request at a time, kept open.
//!
//! Lean, since whoever measures shares a machine with what is measured: one write and mostly one read for each request, into
//! buffers that stay. A connection that the server closed while it was idle is opened anew, and the request sent again, once:
//! reading features changes nothing. Where a call is given up, its connection is closed, so that no late answer is taken for
//! that of the next request.

use std::io;
use std::net::SocketAddr;
use std::ops::Range;

use httparse::{EMPTY_HEADER, Response, Status};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// The largest head of an answer, in bytes.
const HEAD_BYTES_MAX: usize = 64 << 10;
/// The most headers of an answer.
const HEADERS_MAX: usize = 64;
/// The largest answer, in bytes, head and framing included.
pub const ANSWER_BYTES_MAX: usize = 256 << 20;
/// What is asked of a socket at least, in bytes.
const READ_BYTES_MIN: usize = 16 << 10;

/// A connection, open or not.
pub(crate) struct Line {
    addresses: Vec<SocketAddr>,
    stream: Option<TcpStream>,
    buffer: Vec<u8>,
    /// Connections that were opened, until somebody takes the count.
    pub(crate) opened: u64,
    /// Requests that were sent again, until somebody takes the count.
    pub(crate) resent: u64,
}

/// An answer; its body lies in the buffer of the line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Range<usize>,
    /// Bytes that were read for it.
    pub(crate) bytes: u64,
}

/// Why there is no answer.
#[derive(Debug)]
pub(crate) enum Broken {
    /// No connection.
    Connect(io::Error),
    /// The connection ended, before any of the answer or within it.
    Lost { early: bool, source: io::Error },
    /// What came is no answer that can be read.
    Protocol(&'static str),
}

impl Broken {
    pub(crate) fn told(&self) -> String {
        match self {
            Self::Connect(source) => format!("cannot connect: {source}"),
            Self::Lost { source, .. } => format!("the connection was lost: {source}"),
            Self::Protocol(reason) => format!("the answer can't be read: {reason}"),
        }
    }
}

impl Line {
    /// To the first of the addresses that takes it.
    pub(crate) fn new(addresses: Vec<SocketAddr>) -> Self {
        Self { addresses, stream: None, buffer: Vec::new(), opened: 0, resent: 0 }
    }

    /// The body of the last answer.
    pub(crate) fn body(&self, answer: &Answer) -> &[u8] {
        self.buffer.get(answer.body.clone()).unwrap_or_default()
    }

    /// Opens the connection, where it is not.
    pub(crate) async fn connect(&mut self) -> Result<(), Broken> {
        if self.stream.is_none() {
            let stream = TcpStream::connect(self.addresses.as_slice()).await.map_err(Broken::Connect)?;
            stream.set_nodelay(true).map_err(Broken::Connect)?;
            self.opened += 1;
            self.stream = Some(stream);
        }
        Ok(())
    }

    /// Sends a request and reads its answer.
    pub(crate) async fn ask(&mut self, request: &[u8]) -> Result<Answer, Broken> {
        let idle = self.stream.is_some();
        match self.exchange(request).await {
            Err(Broken::Lost { early: true, .. }) if idle => {
                self.resent += 1;
                self.exchange(request).await
            }
            outcome => outcome,
        }
    }

    async fn exchange(&mut self, request: &[u8]) -> Result<Answer, Broken> {
        self.connect().await?;
        // Out of its place, so that it is closed wherever this ends early.
        let Some(mut stream) = self.stream.take() else {
            return Err(Broken::Connect(io::ErrorKind::NotConnected.into()));
        };
        self.buffer.clear();
        let sent = stream.write_all(request).await;
        sent.map_err(|source| Broken::Lost { early: true, source })?;
        let (answer, stays) = read(&mut stream, &mut self.buffer).await?;
        if stays {
            self.stream = Some(stream);
        }
        Ok(answer)
    }
}

/// How the end of a body is told.
enum Framing {
    Length(usize),
    Chunks,
    Close,
}

/// What a head says.
struct Head {
    status: u16,
    bytes: usize,
    framing: Framing,
    stays: bool,
}

/// Reads an answer into the empty buffer, and says whether the connection stays.
async fn read(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Result<(Answer, bool), Broken> {
    let mut start = 0;
    let head = loop {
        match head(buffer.get(start..).unwrap_or_default())? {
            // What comes before the answer, such as `100 Continue`.
            Some(head) if head.status < 200 => start += head.bytes,
            Some(head) => break head,
            None if buffer.len() - start > HEAD_BYTES_MAX => {
                return Err(Broken::Protocol("its head is too long"));
            }
            None => more(stream, buffer, 0).await?,
        }
    };
    let begin = start + head.bytes;
    let (body, end) = match head.framing {
        Framing::Length(length) => {
            let end = begin.saturating_add(length);
            while buffer.len() < end {
                let missing = end - buffer.len();
                more(stream, buffer, missing).await?;
            }
            (begin..end, end)
        }
        Framing::Chunks => read_chunks(stream, buffer, begin).await?,
        Framing::Close => {
            while fill(stream, buffer, 0).await? {}
            (begin..buffer.len(), buffer.len())
        }
    };
    if buffer.len() > end {
        return Err(Broken::Protocol("more came than was asked for"));
    }
    Ok((Answer { status: head.status, body, bytes: buffer.len() as u64 }, head.stays))
}

/// Reads the head of an answer, or `None` where it is not all there.
fn head(bytes: &[u8]) -> Result<Option<Head>, Broken> {
    let mut headers = [EMPTY_HEADER; HEADERS_MAX];
    let mut response = Response::new(&mut headers);
    let Status::Complete(length) =
        response.parse(bytes).map_err(|_| Broken::Protocol("it does not begin as HTTP/1.1 does"))?
    else {
        return Ok(None);
    };
    let status = response.code.unwrap_or(0);
    let mut framing = Framing::Close;
    let mut stays = response.version == Some(1);
    for header in response.headers.iter() {
        let is = |name: &str| header.name.eq_ignore_ascii_case(name);
        let holds = |word: &str| {
            let text = std::str::from_utf8(header.value).unwrap_or_default();
            text.split(',').any(|part| part.trim().eq_ignore_ascii_case(word))
        };
        if is("content-length") && !matches!(framing, Framing::Chunks) {
            let text = std::str::from_utf8(header.value).unwrap_or_default();
            let length = text.trim().parse().map_err(|_| Broken::Protocol("its length is no number"))?;
            framing = Framing::Length(length);
        } else if is("transfer-encoding") && holds("chunked") {
            framing = Framing::Chunks;
        } else if is("connection") && holds("close") {
            stays = false;
        }
    }
    if matches!(status, 204 | 304) || status < 200 {
        framing = Framing::Length(0);
    }
    stays &= !matches!(framing, Framing::Close);
    Ok(Some(Head { status, bytes: length, framing, stays }))
}

/// Reads chunks that begin at `begin` and brings their content together there. Where it lies, and where the answer ends.
async fn read_chunks(
    stream: &mut TcpStream,
    buffer: &mut Vec<u8>,
    begin: usize,
) -> Result<(Range<usize>, usize), Broken> {
    let (mut at, mut end) = (begin, begin);
    loop {
        let parsed = httparse::parse_chunk_size(buffer.get(at..).unwrap_or_default());
        let (line, size) = match parsed.map_err(|_| Broken::Protocol("a chunk has no size"))? {
            Status::Complete((line, size)) => (line, usize::try_from(size).unwrap_or(usize::MAX)),
            Status::Partial => {
                more(stream, buffer, 0).await?;
                continue;
            }
        };
        at += line;
        if size == 0 {
            break;
        }
        let next = at.saturating_add(size).saturating_add(2);
        while buffer.len() < next {
            let missing = next - buffer.len();
            more(stream, buffer, missing).await?;
        }
        buffer.copy_within(at..at + size, end);
        end += size;
        at = next;
    }
    // Trailers, mostly none, up to an empty line.
    loop {
        let mut headers = [EMPTY_HEADER; HEADERS_MAX];
        let rest = buffer.get(at..).unwrap_or_default();
        match httparse::parse_headers(rest, &mut headers)
            .map_err(|_| Broken::Protocol("its trailers are broken"))?
        {
            Status::Complete((length, _)) => return Ok((begin..end, at + length)),
            Status::Partial => more(stream, buffer, 0).await?,
        }
    }
}

/// Reads more; that there is none is a loss.
async fn more(stream: &mut TcpStream, buffer: &mut Vec<u8>, missing: usize) -> Result<(), Broken> {
    if fill(stream, buffer, missing).await? {
        return Ok(());
    }
    Err(Broken::Lost { early: buffer.is_empty(), source: io::ErrorKind::UnexpectedEof.into() })
}

/// Reads more, with room for at least `missing` bytes. False at the end.
async fn fill(stream: &mut TcpStream, buffer: &mut Vec<u8>, missing: usize) -> Result<bool, Broken> {
    if buffer.len().saturating_add(missing) > ANSWER_BYTES_MAX {
        return Err(Broken::Protocol("it is too long"));
    }
    buffer.reserve(missing.max(READ_BYTES_MIN));
    let early = buffer.is_empty();
    let read = stream.read_buf(buffer).await.map_err(|source| Broken::Lost { early, source })?;
    Ok(read > 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    /// A server that takes one connection, waits for any byte, and writes these pieces one by one.
    async fn answers(pieces: &[&'static str]) -> Result<(Answer, String, bool), Broken> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut line = Line::new(vec![listener.local_addr().unwrap()]);
        let pieces = pieces.to_vec();
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.set_nodelay(true).unwrap();
            let mut asked = [0; 64];
            assert!(stream.read(&mut asked).await.unwrap() > 0);
            for piece in pieces {
                stream.write_all(piece.as_bytes()).await.unwrap();
                tokio::time::sleep(std::time::Duration::from_millis(2)).await;
            }
        });
        let answer = line.ask(b"x").await?;
        server.await.unwrap();
        let body = String::from_utf8(line.body(&answer).to_vec()).unwrap();
        let stays = line.stream.is_some();
        Ok((answer, body, stays))
    }

    /// Goal: bodies are read whole in each framing, however they are cut on the way.
    #[tokio::test]
    async fn framings() {
        let length = ["HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"].as_slice();
        let cut = ["HTTP/1.1 20", "0 OK\r\ncontent-length: 5\r", "\n\r\nhe", "llo"].as_slice();
        let chunks =
            ["HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n"]
                .as_slice();
        let cut_chunks = [
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n",
            "3",
            "\r\nhe",
            "l\r",
            "\n2;x=y\r\nlo\r\n0\r\nt: u\r\n",
            "\r\n",
        ]
        .as_slice();
        let close = ["HTTP/1.1 200 OK\r\n\r\nhe", "llo"].as_slice();
        let told = ["HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: Close\r\n\r\nhello"].as_slice();
        let old = ["HTTP/1.0 200 OK\r\ncontent-length: 5\r\n\r\nhello"].as_slice();
        for (pieces, stays) in [
            (length, true),
            (cut, true),
            (chunks, true),
            (cut_chunks, true),
            (close, false),
            (told, false),
            (old, false),
        ] {
            let (answer, body, stayed) = answers(pieces).await.unwrap();
            assert_eq!((answer.status, body.as_str(), stayed), (200, "hello", stays), "{pieces:?}");
            assert_eq!(answer.bytes, pieces.iter().map(|piece| piece.len() as u64).sum::<u64>());
        }
        let (answer, body, _) = answers(&["HTTP/1.1 204 No Content\r\n\r\n"]).await.unwrap();
        assert_eq!((answer.status, body.as_str()), (204, ""));
    }

    /// Goal: what is no answer is said to be none, and an answer that ends early is lost.
    #[tokio::test]
    async fn what_is_no_answer() {
        let told = async |pieces: &[&'static str]| answers(pieces).await.unwrap_err().told();
        assert_eq!(
            told(&["SSH-2.0-x\r\n"]).await,
            "the answer can't be read: it does not begin as HTTP/1.1 does"
        );
        let wrong = told(&["HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\n"]).await;
        assert_eq!(wrong, "the answer can't be read: its length is no number");
        let more = told(&["HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nab"]).await;
        assert_eq!(more, "the answer can't be read: more came than was asked for");
        let long = told(&["HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\n"]).await;
        assert_eq!(long, "the answer can't be read: it is too long");
        let short = answers(&["HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nab"]).await.unwrap_err();
        assert!(matches!(short, Broken::Lost { early: false, .. }), "{short:?}");
        let none = answers(&[]).await.unwrap_err();
        assert!(matches!(none, Broken::Lost { early: true, .. }), "{none:?}");
    }
}
