//! The plugin's process: started, listened to, ended.

use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader};
use tokio::process::{Child, ChildStdout, Command};
use tokio::sync;
use tokio_util::task::AbortOnDropHandle;

use super::handshake;

/// How to start the plugin.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The program.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// Variables beside those of this process, which it gets too.
    pub environment: Vec<(String, String)>,
}

/// Given each line that the plugin writes to stderr (hclog JSON), as it is.
pub type LogSink = Arc<dyn Fn(&str) + Send + Sync>;

/// Lines of stderr that an error shows.
const KEPT_LINES: usize = 20;
/// Bytes of the first line on stdout. A socket's path has 107 at most.
const LINE_BYTES: u64 = 4 << 10;
/// How long the rest of stderr is waited for when the process has ended: a child of it may keep the pipe open.
const REST_WITHIN: Duration = Duration::from_secs(1);

/// A process, killed when dropped.
#[derive(Debug)]
pub(super) struct Process {
    /// Held by the one that ends it.
    child: sync::Mutex<Child>,
    id: u32,
    stdout: Option<BufReader<ChildStdout>>,
    /// Reads the rest of stdout, so that the process never waits for it.
    drain: Option<AbortOnDropHandle<()>>,
    stderr: sync::Mutex<Option<AbortOnDropHandle<()>>>,
    said: Arc<Mutex<VecDeque<String>>>,
}

/// How a process ended.
#[derive(Debug)]
pub(super) struct Ended {
    /// Its status; an error if it can't be told.
    pub(super) status: io::Result<ExitStatus>,
    /// The last lines of its stderr.
    pub(super) said: String,
}

impl Process {
    /// Starts `plan` with what a go-plugin client adds to its environment.
    pub(super) fn start(plan: &Plan, log: LogSink) -> io::Result<Self> {
        let mut child = Command::new(&plan.program)
            .args(&plan.arguments)
            .envs(plan.environment.iter().map(|(name, value)| (name, value)))
            .envs(handshake::environment())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let said = Arc::new(Mutex::new(VecDeque::new()));
        let stderr = child.stderr.take().map(|stderr| {
            let listening = listen(BufReader::new(stderr), log, Arc::clone(&said));
            AbortOnDropHandle::new(tokio::spawn(listening))
        });
        Ok(Self {
            id: child.id().unwrap_or_default(),
            stdout: child.stdout.take().map(BufReader::new),
            child: sync::Mutex::new(child),
            drain: None,
            stderr: sync::Mutex::new(stderr),
            said,
        })
    }

    /// Its number.
    pub(super) fn id(&self) -> u32 {
        self.id
    }

    /// True once it has ended, or is being ended.
    pub(super) fn has_ended(&self) -> bool {
        let Ok(mut child) = self.child.try_lock() else {
            return true;
        };
        // What can't be told still runs.
        matches!(child.try_wait(), Ok(Some(_)))
    }

    /// The first line on stdout; `None` if there is none. What follows is read and dropped.
    pub(super) async fn first_line(&mut self) -> io::Result<Option<String>> {
        let Some(mut stdout) = self.stdout.take() else {
            return Ok(None);
        };
        let mut line = Vec::new();
        let read = (&mut stdout)
            .take(LINE_BYTES)
            .read_until(b'\n', &mut line)
            .await?;
        self.drain = Some(AbortOnDropHandle::new(tokio::spawn(drain(stdout))));
        let line = String::from_utf8_lossy(&line);
        Ok((read > 0).then(|| line.trim_end().to_owned()))
    }

    /// Waits until it ends by itself, for at most `within`, then kills it; what is left of stderr is heard.
    pub(super) async fn end(&self, within: Duration) -> Ended {
        let mut child = self.child.lock().await;
        let status = match tokio::time::timeout(within, child.wait()).await {
            Ok(status) => status,
            Err(_) => kill(&mut child).await,
        };
        drop(child);
        if let Some(stderr) = self.stderr.lock().await.take() {
            // Beyond the limit it is cut off, as the handle is dropped.
            let _ = tokio::time::timeout(REST_WITHIN, stderr).await;
        }
        let said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        let said = said.iter().map(String::as_str).collect::<Vec<_>>();
        Ended {
            status,
            said: said.join("\n"),
        }
    }
}

async fn kill(child: &mut Child) -> io::Result<ExitStatus> {
    // An error means that it has ended meanwhile.
    let _ = child.start_kill();
    child.wait().await
}

/// Hands each line to `log` and keeps the last ones.
async fn listen(
    mut stderr: impl AsyncBufReadExt + Unpin,
    log: LogSink,
    said: Arc<Mutex<VecDeque<String>>>,
) {
    let mut line = Vec::new();
    while let Ok(1..) = stderr.read_until(b'\n', &mut line).await {
        let text = String::from_utf8_lossy(&line);
        let text = text.trim_end_matches(['\r', '\n']);
        log(text);
        let mut said = said.lock().unwrap_or_else(PoisonError::into_inner);
        if said.len() == KEPT_LINES {
            said.pop_front();
        }
        said.push_back(text.to_owned());
        drop(said);
        line.clear();
    }
}

async fn drain(mut from: impl AsyncRead + Unpin) {
    // However it ends, nobody reads it.
    let _ = tokio::io::copy(&mut from, &mut tokio::io::sink()).await;
}
