//! Where files are, as people write it: a path of this machine, or the URL of an object store.
//!
//! Both may hold a pattern in the last parts of their path ([`Location::pattern`]). A URL's key is taken as it is
//! written, like the tools of the stores do: nothing in it is decoded.

use std::fmt;
use std::path::{Path, PathBuf};

/// A file, a folder, a pattern of them, or their like in an object store.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Location {
    /// On this machine.
    Local(PathBuf),
    /// In an object store.
    Object(ObjectUrl),
}

/// Whose object store a URL means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Provider {
    /// `s3://`, `s3a://`: Amazon S3, and whatever speaks its protocol.
    S3,
    /// `gs://`: Google Cloud Storage.
    Gcs,
    /// `az://`, `azure://`, `abfs://`, `abfss://`: Azure Blob Storage.
    Azure,
}

/// An object, or the folder that the names of several begin with.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ObjectUrl {
    /// Whose store it is.
    pub provider: Provider,
    /// The scheme, as written.
    pub scheme: String,
    /// What stands between `://` and the next `/`: the bucket; for Azure the container, or `container@account.host`.
    pub authority: String,
    /// The rest, without a `/` at either end. Empty: the whole bucket.
    pub key: String,
}

/// Text that is no location.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LocationError {
    /// A URL of another kind.
    #[error("a URL with `{scheme}://` is not one that files are read from")]
    Scheme {
        /// What it begins with.
        scheme: String,
    },
    /// A URL that names no bucket.
    #[error("the URL `{url}` names no bucket")]
    NoBucket {
        /// The URL.
        url: String,
    },
    /// A URL with a name and a password in it. They are not repeated.
    #[error("the {scheme}:// URL holds credentials")]
    Credentials {
        /// What it begins with.
        scheme: String,
    },
    /// A `file://` URL of another machine, or one that is no path.
    #[error("the URL `{url}` is not a path of this machine")]
    NotLocal {
        /// The URL.
        url: String,
    },
}

impl LocationError {
    /// What to do.
    pub fn hint(&self) -> String {
        match self {
            Self::Scheme { .. } => {
                "use `s3://`, `gs://`, `az://`, `abfss://`, `file://`, or a path of this machine".to_owned()
            }
            Self::NoBucket { .. } => "write it as `s3://bucket/folder`".to_owned(),
            Self::Credentials { .. } => {
                "take them out: they are read from the environment, such as `AWS_SECRET_ACCESS_KEY`"
                    .to_owned()
            }
            Self::NotLocal { .. } => "write `file:///` and an absolute path".to_owned(),
        }
    }
}

impl Location {
    /// Reads a path or a URL. A relative path starts at `root`.
    ///
    /// # Errors
    /// [`LocationError`].
    pub fn parse(text: &str, root: &Path) -> Result<Self, LocationError> {
        let Some((scheme, rest)) = text.split_once("://") else { return Ok(Self::Local(root.join(text))) };
        let provider = match scheme {
            "file" => return local(text, rest),
            "s3" | "s3a" => Provider::S3,
            "gs" => Provider::Gcs,
            "az" | "azure" | "abfs" | "abfss" => Provider::Azure,
            _ => return Err(LocationError::Scheme { scheme: scheme.to_owned() }),
        };
        let (authority, key) = rest.split_once('/').unwrap_or((rest, ""));
        let account = provider == Provider::Azure;
        if authority.contains(':') || (authority.contains('@') && !account) {
            return Err(LocationError::Credentials { scheme: scheme.to_owned() });
        }
        if authority.is_empty() || authority.starts_with('@') {
            return Err(LocationError::NoBucket { url: text.to_owned() });
        }
        Ok(Self::Object(ObjectUrl {
            provider,
            scheme: scheme.to_owned(),
            authority: authority.to_owned(),
            key: key.trim_matches('/').to_owned(),
        }))
    }

    /// The part of the path that is no pattern, and the pattern below it. `None`: the path is no pattern.
    ///
    /// A part between two `/` with one of `*`, `?`, `[` or `{` in it begins the pattern.
    pub fn pattern(&self) -> Option<(Self, String)> {
        match self {
            Self::Local(path) => {
                let text = path.to_str()?;
                let (fixed, pattern) = split_pattern(text)?;
                let fixed = if fixed.is_empty() && text.starts_with('/') { "/" } else { fixed };
                Some((Self::Local(PathBuf::from(fixed)), pattern.to_owned()))
            }
            Self::Object(url) => {
                let (fixed, pattern) = split_pattern(&url.key)?;
                Some((Self::Object(ObjectUrl { key: fixed.to_owned(), ..url.clone() }), pattern.to_owned()))
            }
        }
    }
}

/// A `file://` URL as a path: percent signs are decoded there, as in every file URL.
fn local(text: &str, rest: &str) -> Result<Location, LocationError> {
    let path = rest.strip_prefix("localhost").unwrap_or(rest);
    let decoded = percent_decoded(path);
    match decoded {
        Some(path) if path.starts_with('/') => Ok(Location::Local(PathBuf::from(path))),
        _ => Err(LocationError::NotLocal { url: text.to_owned() }),
    }
}

fn split_pattern(path: &str) -> Option<(&str, &str)> {
    let at = path.find(['*', '?', '[', '{'])?;
    let start = path[..at].rfind('/').map_or(0, |slash| slash + 1);
    Some((path[..start].trim_end_matches('/'), &path[start..]))
}

/// Text with each `%` and two hexadecimal digits replaced by the byte that they mean; other percent signs stay.
/// `None`: the result is not UTF-8.
pub fn percent_decoded(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let pair = bytes.get(at + 1..at + 3).and_then(|pair| std::str::from_utf8(pair).ok());
        match pair.filter(|_| bytes[at] == b'%').and_then(|pair| u8::from_str_radix(pair, 16).ok()) {
            Some(byte) => {
                decoded.push(byte);
                at += 3;
            }
            None => {
                decoded.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8(decoded).ok()
}

impl ObjectUrl {
    /// The URL of another object of the same bucket.
    pub fn with_key(&self, key: &str) -> Self {
        Self { key: key.to_owned(), ..self.clone() }
    }

    /// The bucket alone, as a URL.
    pub fn bucket(&self) -> String {
        format!("{}://{}", self.scheme, self.authority)
    }
}

impl fmt::Display for ObjectUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}/{}", self.scheme, self.authority, self.key)
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Local(path) => path.display().fmt(f),
            Self::Object(url) => url.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Location, LocationError> {
        Location::parse(text, Path::new("/project"))
    }

    /// Goal: paths and URLs of every known kind are read, and shown again as they were written.
    #[test]
    fn what_people_write() {
        for (text, shown) in [
            ("data/a.csv", "/project/data/a.csv"),
            ("/data/a.csv", "/data/a.csv"),
            ("file:///data/a%20b.csv", "/data/a b.csv"),
            ("file://localhost/data/a.csv", "/data/a.csv"),
            ("s3://bucket/a b/c%20d?e.csv", "s3://bucket/a b/c%20d?e.csv"),
            ("s3://bucket", "s3://bucket/"),
            ("gs://bucket/folder/", "gs://bucket/folder"),
            ("abfss://box@shop.dfs.core.windows.net/a", "abfss://box@shop.dfs.core.windows.net/a"),
            ("az://box/a", "az://box/a"),
        ] {
            assert_eq!(parse(text).map(|found| found.to_string()), Ok(shown.to_owned()), "{text}");
        }
    }

    /// Goal: other URLs are refused, and a password in one is never repeated.
    #[test]
    fn what_is_refused() {
        for (text, message) in [
            ("ftp://host/a", "a URL with `ftp://` is not one that files are read from"),
            ("s3:///a", "the URL `s3:///a` names no bucket"),
            ("s3://name:word@bucket/a", "the s3:// URL holds credentials"),
            ("gs://word@bucket/a", "the gs:// URL holds credentials"),
            ("az://word:x@shop/a", "the az:// URL holds credentials"),
            ("file://host/a", "the URL `file://host/a` is not a path of this machine"),
        ] {
            assert_eq!(parse(text).map_err(|error| error.to_string()), Err(message.to_owned()), "{text}");
        }
    }

    /// Goal: a pattern begins with the first part that has a wildcard in it.
    #[test]
    fn patterns() {
        let split = |text| parse(text).unwrap().pattern().map(|(fixed, rest)| (fixed.to_string(), rest));
        let some = |fixed: &str, rest: &str| Some((fixed.to_owned(), rest.to_owned()));
        assert_eq!(split("data/a.csv"), None);
        assert_eq!(split("data/2024-*/part-?.csv"), some("/project/data", "2024-*/part-?.csv"));
        assert_eq!(split("/*.csv"), some("/", "*.csv"));
        assert_eq!(split("s3://bucket/a/**/[ab].csv"), some("s3://bucket/a", "**/[ab].csv"));
        assert_eq!(split("s3://bucket/{a,b}.csv"), some("s3://bucket/", "{a,b}.csv"));
    }

    /// Goal: percent signs that are no escape stay, and bytes that are no text are told.
    #[test]
    fn percent_signs() {
        for (text, decoded) in [
            ("a%20b", Some("a b")),
            ("100%", Some("100%")),
            ("%zz%2", Some("%zz%2")),
            ("%C3%BC", Some("ü")),
            ("%ff", None),
        ] {
            assert_eq!(percent_decoded(text).as_deref(), decoded, "{text}");
        }
    }
}
