//! A plain HTTP/1.1 client that blocks: requests as they are written, without bodies.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// How long one answer may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);

/// A connection that is kept alive, for one request after the other.
#[derive(Debug)]
pub struct Connection {
    stream: BufReader<TcpStream>,
}

/// One answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// The status code.
    pub status: u16,
    /// Names, in lower case, and values, in the order received.
    pub headers: Vec<(String, String)>,
    /// The whole body.
    pub body: String,
}

impl Reply {
    /// The values of the header `name`, which is in lower case.
    pub fn values(&self, name: &str) -> Vec<&str> {
        let found = self.headers.iter().filter(|(other, _)| other == name);
        found.map(|(_, value)| value.as_str()).collect()
    }
}

impl Connection {
    /// Connects to `address`.
    pub fn open(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(ANSWER_WITHIN))?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream: BufReader::new(stream),
        })
    }

    /// Sends a request without a body: `start` is method and target, `lines` are header lines, sent as they are and in
    /// their order; reads the answer.
    pub fn send(&mut self, start: &str, lines: &[&str]) -> io::Result<Reply> {
        let mut request = format!("{start} HTTP/1.1\r\n");
        for line in lines {
            request.push_str(line);
            request.push_str("\r\n");
        }
        request.push_str("\r\n");
        self.stream.get_mut().write_all(request.as_bytes())?;
        self.receive(start.starts_with("HEAD "))
    }

    fn receive(&mut self, head: bool) -> io::Result<Reply> {
        let first = self.line()?;
        let status = first
            .split(' ')
            .nth(1)
            .and_then(|status| status.parse().ok());
        let status = status.ok_or_else(|| malformed("status line", &first))?;
        let mut headers = Vec::new();
        let (mut length, mut chunked) = (0, false);
        loop {
            let line = self.line()?;
            if line.is_empty() {
                break;
            }
            let (name, value) = line
                .split_once(':')
                .ok_or_else(|| malformed("header", &line))?;
            let (name, value) = (name.to_ascii_lowercase(), value.trim().to_owned());
            match name.as_str() {
                "content-length" => {
                    length = value
                        .parse()
                        .map_err(|_| malformed("content-length", &value))?;
                }
                "transfer-encoding" => chunked = value == "chunked",
                _ => {}
            }
            headers.push((name, value));
        }
        let mut body = Vec::new();
        if head {
            // Lengths are those that a GET would have had.
        } else if chunked {
            loop {
                let line = self.line()?;
                let size = u64::from_str_radix(&line, 16).map_err(|_| malformed("chunk", &line))?;
                self.stream.by_ref().take(size).read_to_end(&mut body)?;
                self.line()?;
                if size == 0 {
                    break;
                }
            }
        } else {
            self.stream.by_ref().take(length).read_to_end(&mut body)?;
        }
        Ok(Reply {
            status,
            headers,
            body: String::from_utf8_lossy(&body).into_owned(),
        })
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        if self.stream.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(line.trim_end_matches(['\r', '\n']).to_owned())
    }
}

fn malformed(part: &str, found: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("{part}: {found:?}"))
}

/// `GET path` at the admin interface; any status but 200 is an error.
pub(super) fn get(admin: SocketAddr, path: &str) -> io::Result<String> {
    let lines = ["host: admin", "connection: close"];
    let reply = Connection::open(admin)?.send(&format!("GET {path}"), &lines)?;
    if reply.status == 200 {
        Ok(reply.body)
    } else {
        Err(io::Error::other(format!("status {}", reply.status)))
    }
}
