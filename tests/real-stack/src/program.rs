//! Programs that run beside the scenarios: started with a log of their own, watched, killed.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};

use crate::error::Error;

/// Lines of a log that an error carries.
const TAIL: usize = 25;

/// How to start a program, again if need be.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// Its name in messages and of its log.
    pub(crate) name: String,
    /// The program's file.
    pub(crate) file: PathBuf,
    /// Its arguments.
    pub(crate) arguments: Vec<String>,
    /// Its environment, beside the harness's own or instead of it.
    pub(crate) environment: Vec<(String, String)>,
    /// True if it gets nothing of the harness's own environment.
    pub(crate) bare: bool,
    /// Its working folder.
    pub(crate) folder: PathBuf,
}

/// A running program; killed when dropped.
#[derive(Debug)]
pub(crate) struct Program {
    plan: Plan,
    log: PathBuf,
    child: Child,
}

impl Program {
    /// Starts `plan`, with both of its outputs in `<logs>/<name>.log` (added to what is there).
    pub(crate) fn start(plan: Plan, logs: &Path) -> Result<Self, Error> {
        let log = logs.join(format!("{}.log", plan.name));
        let child = spawn(&plan, &log)?;
        Ok(Self { plan, log, child })
    }

    /// An error with the log's end if the program is no longer there.
    pub(crate) fn check(&mut self) -> Result<(), Error> {
        match self.child.try_wait() {
            Ok(None) => Ok(()),
            Ok(Some(status)) => Err(self.ended(status.to_string())),
            Err(source) => Err(self.ended(source.to_string())),
        }
    }

    /// How it has ended, if it has.
    pub(crate) fn ended_with(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// Kills it with SIGKILL, as a node that dies does, and waits until it is gone.
    pub(crate) async fn kill(&mut self) -> Result<(), Error> {
        self.child.kill().await.map_err(|source| Error::Start {
            name: format!("kill -9 of {}", self.plan.name),
            source,
        })
    }

    /// Its name in messages.
    pub(crate) fn name(&self) -> &str {
        &self.plan.name
    }

    /// Asks it to end (SIGTERM), and waits until it has.
    pub(crate) async fn stop(&mut self) -> Result<(), Error> {
        let pid = self.id().and_then(|id| Pid::from_raw(id.cast_signed()));
        if let Some(pid) = pid {
            // It may have ended by itself.
            let _ = kill_process(pid, Signal::TERM);
        }
        let ended = self.child.wait().await;
        ended.map(drop).map_err(|source| Error::Start {
            name: format!("the end of {}", self.plan.name),
            source,
        })
    }

    /// Its process id; none after [`Program::kill`].
    pub(crate) fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// Starts it again after [`Program::kill`].
    pub(crate) fn start_again(&mut self) -> Result<(), Error> {
        self.child = spawn(&self.plan, &self.log)?;
        Ok(())
    }

    fn ended(&self, status: String) -> Error {
        Error::Ended {
            name: self.plan.name.clone(),
            status,
            log: self.log.clone(),
            tail: tail(&self.log, TAIL),
        }
    }
}

fn spawn(plan: &Plan, log: &Path) -> Result<Child, Error> {
    let output = OpenOptions::new()
        .create(true)
        .append(true)
        .open(log)
        .map_err(Error::file("open", log))?;
    let errors = File::try_clone(&output).map_err(Error::file("open", log))?;
    let mut command = Command::new(&plan.file);
    if plan.bare {
        command.env_clear();
    }
    command
        .args(&plan.arguments)
        .envs(plan.environment.iter().cloned())
        .current_dir(&plan.folder)
        .stdin(Stdio::null())
        .stdout(output)
        .stderr(errors)
        .kill_on_drop(true)
        .spawn()
        .map_err(|source| Error::Start {
            name: plan.name.clone(),
            source,
        })
}

/// Runs a program and its arguments to its end, with these variables beside the harness's own and with the terminal's output.
pub(crate) async fn beside(
    command: &[OsString],
    environment: &[(&str, OsString)],
) -> Result<ExitStatus, Error> {
    let mut words = command.iter();
    let program = words.next().cloned().unwrap_or_default();
    Command::new(&program)
        .args(words)
        .envs(environment.iter().map(|(name, value)| (name, value)))
        .kill_on_drop(true)
        .status()
        .await
        .map_err(|source| Error::Start {
            name: program.to_string_lossy().into_owned(),
            source,
        })
}

/// The last `lines` lines of a log.
pub(crate) fn tail(log: &Path, lines: usize) -> String {
    let text = std::fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let all: Vec<&str> = text.lines().collect();
    all.get(all.len().saturating_sub(lines)..)
        .unwrap_or_default()
        .join("\n")
}
