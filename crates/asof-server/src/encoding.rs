//! Packed bodies: requests in gzip or zstd, and answers for clients that take them.

use std::io::{self, Read};

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::Response;
use flate2::Compression;
use http_body_util::BodyExt;

/// Answers shorter than this are sent as they are: packing them takes longer than sending them.
pub const PACKED_BYTES_MIN: u64 = 64 << 10;

/// The levels at which answers are packed: the fast ones.
const GZIP_LEVEL: u32 = 1;
const ZSTD_LEVEL: i32 = 1;

/// How a body is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Encoding {
    /// Not at all.
    Plain,
    /// RFC 1952.
    Gzip,
    /// RFC 8878.
    Zstd,
}

/// Why a body is not unpacked.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Unpack {
    /// Longer than allowed.
    TooLarge,
    /// Not what its header says.
    Broken,
}

impl Encoding {
    /// How the body of a request is packed. `None`: in a way that is not known.
    pub fn of_body(headers: &HeaderMap) -> Option<Self> {
        match headers.get(header::CONTENT_ENCODING) {
            None => Some(Self::Plain),
            Some(name) => match name.to_str().ok()?.trim() {
                "" | "identity" => Some(Self::Plain),
                "gzip" | "x-gzip" => Some(Self::Gzip),
                "zstd" => Some(Self::Zstd),
                _ => None,
            },
        }
    }

    /// How an answer may be packed: by what the client takes, zstd before gzip.
    pub fn taken(headers: &HeaderMap) -> Self {
        let names =
            || headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
        let takes = |wanted: &str| {
            names().flat_map(|names| names.split(',')).any(|each| {
                let (name, quality) = each.split_once(';').unwrap_or((each, ""));
                let refused = quality.trim().strip_prefix("q=").is_some_and(|q| q.parse() == Ok(0.0));
                name.trim().eq_ignore_ascii_case(wanted) && !refused
            })
        };
        match (takes("zstd"), takes("gzip")) {
            (true, _) => Self::Zstd,
            (false, true) => Self::Gzip,
            (false, false) => Self::Plain,
        }
    }

    /// Unpacks a body, of at most `bytes_max` bytes when unpacked.
    pub fn unpack(self, body: &[u8], bytes_max: usize) -> Result<Vec<u8>, Unpack> {
        match self {
            Self::Plain => Ok(body.to_vec()),
            Self::Gzip => read_all(flate2::read::MultiGzDecoder::new(body), bytes_max),
            Self::Zstd => {
                read_all(zstd::stream::read::Decoder::new(body).map_err(|_| Unpack::Broken)?, bytes_max)
            }
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Plain => "identity",
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        }
    }

    fn pack(self, body: &[u8]) -> io::Result<Vec<u8>> {
        match self {
            Self::Plain => Ok(body.to_vec()),
            Self::Gzip => {
                let mut packed = Vec::with_capacity(body.len() / 4);
                flate2::read::GzEncoder::new(body, Compression::new(GZIP_LEVEL)).read_to_end(&mut packed)?;
                Ok(packed)
            }
            Self::Zstd => zstd::bulk::compress(body, ZSTD_LEVEL),
        }
    }
}

/// Packs a long answer. One that can't be packed stays as it is.
pub(crate) async fn pack(encoding: Encoding, response: Response) -> Response {
    use axum::body::HttpBody;
    let known = response.body().size_hint().exact();
    if encoding == Encoding::Plain || known.is_none_or(|bytes| bytes < PACKED_BYTES_MIN) {
        return response;
    }
    let (mut head, body) = response.into_parts();
    // A body of a known size is in memory.
    let Ok(whole) = body.collect().await else {
        return Response::from_parts(head, Body::empty());
    };
    let plain = whole.to_bytes();
    let Ok(packed) = encoding.pack(&plain) else { return Response::from_parts(head, Body::from(plain)) };
    head.headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(encoding.name()));
    head.headers.append(header::VARY, HeaderValue::from_static("accept-encoding"));
    head.headers.remove(header::CONTENT_LENGTH);
    Response::from_parts(head, Body::from(packed))
}

fn read_all(packed: impl Read, bytes_max: usize) -> Result<Vec<u8>, Unpack> {
    let mut plain = Vec::new();
    // One byte more than allowed tells that there are more.
    packed.take(bytes_max as u64 + 1).read_to_end(&mut plain).map_err(|_| Unpack::Broken)?;
    if plain.len() > bytes_max { Err(Unpack::TooLarge) } else { Ok(plain) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: what is packed unpacks to itself; a body that unpacks to more than is allowed is refused without being held.
    #[test]
    fn there_and_back() {
        let body = b"one two three ".repeat(10_000);
        for encoding in [Encoding::Plain, Encoding::Gzip, Encoding::Zstd] {
            let packed = encoding.pack(&body).unwrap();
            assert_eq!(encoding.unpack(&packed, body.len()).as_ref(), Ok(&body));
            if encoding != Encoding::Plain {
                assert!(packed.len() < body.len() / 10);
                assert_eq!(encoding.unpack(&packed, body.len() - 1), Err(Unpack::TooLarge));
                assert_eq!(encoding.unpack(&packed[..packed.len() - 4], body.len()), Err(Unpack::Broken));
                assert_eq!(encoding.unpack(b"{\"a\":1}", 100), Err(Unpack::Broken));
            }
        }
    }

    /// Goal: a client's list says what it takes and what it does not.
    #[test]
    fn what_clients_take() {
        for (given, expected) in [
            ("gzip, deflate", Encoding::Gzip),
            ("gzip;q=0.5, zstd", Encoding::Zstd),
            ("zstd;q=0, GZIP", Encoding::Gzip),
            ("gzip;q=0", Encoding::Plain),
            ("br", Encoding::Plain),
        ] {
            let headers = HeaderMap::from_iter([(header::ACCEPT_ENCODING, given.parse().unwrap())]);
            assert_eq!(Encoding::taken(&headers), expected, "{given}");
        }
    }
}
