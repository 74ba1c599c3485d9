//! A real S3-speaking server, started for a test and ended with it.

#![allow(clippy::panic, reason = "helpers of tests fail as tests do")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// A server on a free port of this machine, which ends with this.
pub struct S3Server {
    child: Child,
    address: String,
}

impl S3Server {
    /// Starts a server by `scripts/s3_server`, which installs it where it is missing.
    ///
    /// # Panics
    /// Where Python or the network to install from is missing: such a test fails, it is never skipped.
    pub fn start() -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/s3_server");
        let child = Command::new("python3").arg(&script).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut child = child.unwrap_or_else(|error| panic!("tests of S3 need `python3`: {error}"));
        let mut line = String::new();
        if let Some(stdout) = child.stdout.take() {
            BufReader::new(stdout).read_line(&mut line).unwrap_or_default();
        }
        let Some(address) = line.trim().strip_prefix("http://").map(str::to_owned) else {
            panic!("`{}` did not start a server; it says why above", script.display());
        };
        Self { child, address }
    }

    /// The variables of the environment that lead to it.
    pub fn variables(&self) -> Vec<(String, String)> {
        let variables = [
            ("AWS_ENDPOINT_URL", format!("http://{}", self.address)),
            ("AWS_ALLOW_HTTP", "true".to_owned()),
            ("AWS_REGION", "us-east-1".to_owned()),
            ("AWS_ACCESS_KEY_ID", "testing-id".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", "testing-secret".to_owned()),
        ];
        variables.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }

    /// Makes a bucket.
    pub fn make_bucket(&self, bucket: &str) {
        self.put(bucket, b"");
    }

    /// Puts an object at `bucket/key`; the key is percent-encoded where it has to be.
    ///
    /// # Panics
    /// Where the server does not take it.
    pub fn put(&self, path: &str, bytes: &[u8]) {
        self.ask("PUT", path, bytes);
    }

    /// The bytes of the object at `bucket/key`.
    ///
    /// # Panics
    /// Where there is none.
    pub fn get(&self, path: &str) -> Vec<u8> {
        self.ask("GET", path, b"")
    }

    fn ask(&self, verb: &str, path: &str, bytes: &[u8]) -> Vec<u8> {
        let ask = || -> std::io::Result<Vec<u8>> {
            let mut stream = TcpStream::connect(&self.address)?;
            let length = bytes.len();
            // The server looks at who asks, and not whether the signature is right.
            let who = "AWS4-HMAC-SHA256 Credential=testing-id/20260101/us-east-1/s3/aws4_request, \
                       SignedHeaders=host, Signature=none";
            let head = format!(
                "{verb} /{path} HTTP/1.1\r\nHost: {}\r\nAuthorization: {who}\r\nContent-Length: {length}\r\n\
                 Connection: close\r\n\r\n",
                self.address
            );
            stream.write_all(head.as_bytes())?;
            stream.write_all(bytes)?;
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer)?;
            Ok(answer)
        };
        let answer = ask().unwrap_or_else(|error| panic!("the server did not take `{verb} {path}`: {error}"));
        let head = answer.windows(4).position(|four| four == b"\r\n\r\n").unwrap_or(answer.len());
        let text = String::from_utf8_lossy(&answer[..head]);
        assert!(text.starts_with("HTTP/1.1 200"), "the server did not take `{verb} {path}`: {text}");
        answer.get(head + 4..).unwrap_or_default().to_vec()
    }
}

impl Drop for S3Server {
    fn drop(&mut self) {
        // The script ends the server when its input is closed; waiting for it leaves none behind.
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}
