//! An application that calls another through its sidecar, and forwards one header.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use testbed::envoy::Connection;

const FORWARDED: &str = "x-rollout-lanes";

/// A listening application. It stops when it is dropped.
pub(crate) struct Application {
    address: SocketAddr,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Application {
    /// Answers with its name, and ` > ` and what `authority` answers at `sidecar`.
    pub(crate) fn start(name: &str, sidecar: SocketAddr, authority: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let (name, host) = (name.to_owned(), format!("host: {authority}"));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if stopped.load(Ordering::Relaxed) {
                    return;
                }
                // One that has gone away again is the caller's business.
                let _ = stream.and_then(|stream| answer(&stream, &name, sidecar, &host));
            }
        });
        Self {
            address,
            stop,
            thread: Some(thread),
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Application {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        // So that it looks.
        let _ = TcpStream::connect(self.address);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// One request on a connection, which ends with it.
fn answer(
    mut stream: &TcpStream,
    name: &str,
    sidecar: SocketAddr,
    host: &str,
) -> std::io::Result<()> {
    let mut lines = vec![host.to_owned()];
    for line in BufReader::new(stream).lines() {
        let line = line?;
        if line.is_empty() {
            break;
        }
        let header = line.split_once(':').map(|(name, _)| name);
        if header.is_some_and(|name| name.eq_ignore_ascii_case(FORWARDED)) {
            lines.push(line);
        }
    }
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let reply = Connection::open(sidecar)?.send("GET /", &lines)?;
    let body = format!("{name} > {}", reply.body);
    let length = body.len();
    write!(
        stream,
        "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
    )
}
