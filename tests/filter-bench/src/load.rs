//! A client that costs little: one request at a time on each of a few connections, written as bytes that are ready, and
//! answers compared by how they begin and end.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::error::Failure;

/// How long one answer may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);
/// How every answer begins.
const GOOD: &[u8] = b"HTTP/1.1 200 ";

/// One kind of request and the body of its answer.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    bytes: Vec<u8>,
    body: String,
}

impl Request {
    /// `GET path` with these header lines; the answer has `body`, which is neither empty nor the end of a header.
    pub(crate) fn new(path: &str, lines: &[&str], body: &str) -> Self {
        Self {
            bytes: format!("GET {path} HTTP/1.1\r\n{}\r\n\r\n", lines.join("\r\n")).into_bytes(),
            body: body.to_owned(),
        }
    }
}

/// A connection to one listener that is kept alive.
#[derive(Debug)]
pub(crate) struct Connection {
    listener: String,
    stream: TcpStream,
    buffer: Vec<u8>,
    filled: usize,
}

impl Connection {
    pub(crate) fn open(listener: &str, address: SocketAddr) -> Result<Self, Failure> {
        let broken = Failure::connection(listener);
        let stream = TcpStream::connect(address).map_err(&broken)?;
        stream.set_nodelay(true).map_err(&broken)?;
        stream
            .set_read_timeout(Some(ANSWER_WITHIN))
            .map_err(&broken)?;
        Ok(Self {
            listener: listener.to_owned(),
            stream,
            buffer: vec![0; 4096],
            filled: 0,
        })
    }

    pub(crate) fn send(&mut self, request: &Request) -> Result<(), Failure> {
        self.stream
            .write_all(&request.bytes)
            .map_err(Failure::connection(&self.listener))
    }

    /// Reads one answer; the index of the one of `bodies` with which it ends. One request is on its way at a time, so
    /// that the answer ends where nothing more comes.
    pub(crate) fn answer(&mut self, bodies: &[&str]) -> Result<usize, Failure> {
        self.filled = 0;
        loop {
            let space = self.buffer.get_mut(self.filled..).unwrap_or_default();
            let read = self
                .stream
                .read(space)
                .map_err(Failure::connection(&self.listener))?;
            self.filled += read;
            let answer = self.buffer.get(..self.filled).unwrap_or_default();
            let found = bodies
                .iter()
                .position(|body| answer.ends_with(body.as_bytes()));
            match found {
                Some(at) if answer.starts_with(GOOD) => return Ok(at),
                // The end of the connection, an answer that is no good, or one that is too long.
                _ if read == 0 || found.is_some() || !GOOD.starts_with(start(answer)) => {
                    return Err(Failure::Answer {
                        listener: self.listener.clone(),
                        found: String::from_utf8_lossy(answer).into_owned(),
                        expected: bodies.join("\" or \""),
                    });
                }
                _ => {}
            }
        }
    }
}

/// As much of an answer as is compared with [`GOOD`].
fn start(answer: &[u8]) -> &[u8] {
    answer.get(..GOOD.len()).unwrap_or(answer)
}

/// A few connections to one listener, used in turn.
#[derive(Debug)]
pub(crate) struct Client(Vec<Connection>);

impl Client {
    pub(crate) fn open(
        listener: &str,
        address: SocketAddr,
        connections: u32,
    ) -> Result<Self, Failure> {
        (0..connections)
            .map(|_| Connection::open(listener, address))
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// Sends `rounds` requests on every connection; how many that were.
    pub(crate) fn send(&mut self, request: &Request, rounds: u32) -> Result<u32, Failure> {
        let mut sent = 0;
        for _ in 0..rounds {
            for connection in &mut self.0 {
                connection.send(request)?;
            }
            for connection in &mut self.0 {
                connection.answer(&[&request.body])?;
                sent += 1;
            }
        }
        Ok(sent)
    }
}
