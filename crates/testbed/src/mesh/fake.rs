//! An Envoy for tests that takes what stands in its files and refuses what has the word `bad` in it, without doing
//! anything with it. It is asked as the real one is, and can be told not to answer.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Weak};

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::task::AbortOnDropHandle;

use super::Via;
use super::files::Section;
use super::front::Front;

pub(super) struct Fake {
    folder: tempfile::TempDir,
    address: SocketAddr,
    unanswered: Arc<AtomicU32>,
    _answering: AbortOnDropHandle<()>,
}

impl Fake {
    pub(super) async fn start(via: Via) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let unanswered = Arc::new(AtomicU32::new(0));
        let answering = answer(
            via,
            listener,
            folder.path().to_owned(),
            Arc::clone(&unanswered),
        );
        Self {
            folder,
            address,
            unanswered,
            _answering: AbortOnDropHandle::new(tokio::spawn(answering)),
        }
    }

    /// Closes the next connections without an answer.
    pub(super) fn leave_unanswered(&self, count: u32) {
        self.unanswered.store(count, Ordering::SeqCst);
    }

    pub(super) fn front(&self, via: Via) -> Front {
        Front::new(
            via,
            self.folder.path().to_owned(),
            Weak::new(),
            self.address,
            self.address,
        )
    }

    /// What stands in a file of its.
    pub(super) fn file(&self, section: &Section) -> String {
        std::fs::read_to_string(section.path(self.folder.path())).unwrap_or_default()
    }
}

/// One file as far as it is known.
#[derive(Default)]
struct Seen {
    version: String,
    taken: String,
    refused: u32,
}

async fn answer(via: Via, listener: TcpListener, folder: PathBuf, unanswered: Arc<AtomicU32>) {
    let mut seen = BTreeMap::new();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let left = unanswered.load(Ordering::SeqCst);
        if left > 0 {
            unanswered.store(left - 1, Ordering::SeqCst);
            continue;
        }
        // Whoever asked may be gone.
        let _ = reply(stream, &stats(via, &folder, &mut seen)).await;
    }
}

async fn reply(mut stream: TcpStream, body: &str) -> std::io::Result<()> {
    let mut asked = Vec::new();
    while !asked.ends_with(b"\r\n\r\n") {
        asked.push(stream.read_u8().await?);
    }
    let length = body.len();
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n");
    stream.write_all((head + body).as_bytes()).await
}

/// Looks at the files; all statistics.
fn stats(via: Via, folder: &Path, seen: &mut BTreeMap<Section, Seen>) -> String {
    let mut stats = String::new();
    for section in sections(folder) {
        let Ok(content) = std::fs::read_to_string(section.path(folder)) else {
            continue;
        };
        let file: Value = serde_json::from_str(&content).unwrap();
        let version = file["version_info"].as_str().unwrap().to_owned();
        let seen = seen.entry(section.clone()).or_default();
        if seen.version != version {
            if content.contains("bad") {
                seen.refused += 1;
            } else {
                seen.taken.clone_from(&version);
            }
            seen.version = version;
        }
        let (of, Seen { taken, refused, .. }) = (section.stats(via), seen);
        writeln!(stats, "{of}.version_text: \"{taken}\"").unwrap();
        writeln!(stats, "{of}.update_rejected: {refused}").unwrap();
    }
    stats
}

fn sections(folder: &Path) -> Vec<Section> {
    let mut sections = vec![Section::Clusters, Section::Routes, Section::Listeners];
    for entry in std::fs::read_dir(folder).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let plugin = name
            .strip_prefix("plugin-")
            .and_then(|name| name.strip_suffix(".json"));
        sections.extend(plugin.map(|name| Section::Plugin(name.to_owned())));
    }
    sections
}
