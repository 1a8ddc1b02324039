//! Runs programs, says what is being done and how long it took.
//!
//! Children share the terminal's process group, so Ctrl-C reaches them as well as xtask.

use std::ffi::OsStr;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use crate::failure::Failure;

/// Silence longer than this gets a line that says what is still going on.
const PROGRESS_EVERY: Duration = Duration::from_secs(15);

/// The root of the checkout.
pub(crate) fn root() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().unwrap_or(manifest).to_path_buf()
}

/// Where cargo builds to (`CARGO_TARGET_DIR`, else `target`).
pub(crate) fn target() -> PathBuf {
    match std::env::var_os("CARGO_TARGET_DIR") {
        Some(folder) => root().join(folder),
        None => root().join("target"),
    }
}

/// Does `work` between a line that announces it and a line that says how long it took.
pub(crate) fn step<T>(what: &str, work: impl FnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
    let began = Instant::now();
    eprintln!("==> {what}");
    let outcome = work();
    let verdict = if outcome.is_ok() { "done" } else { "failed" };
    eprintln!("    {verdict}: {what} ({})", seconds(began.elapsed()));
    outcome
}

/// A duration as people read it.
pub(crate) fn seconds(elapsed: Duration) -> String {
    let whole = elapsed.as_secs();
    if whole >= 60 {
        format!("{} min {:02} s", whole / 60, whole % 60)
    } else {
        format!("{:.1} s", elapsed.as_secs_f64())
    }
}

/// `cargo`, the one that runs this xtask, in the root of the checkout; with the versions of `Cargo.lock` or not at all.
pub(crate) fn cargo() -> Command {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(program);
    command.current_dir(root()).arg("--locked");
    command
}

/// Runs `command` with the terminal's output; `next` is what to do when it fails.
pub(crate) fn run(command: &mut Command, next: &str) -> Result<(), Failure> {
    let status = command.status().map_err(|source| Failure::Start {
        command: line(command),
        source,
    })?;
    check(command, status, next)
}

/// As [`run`], for programs that are silent for long: says now and then that `what` is still going on.
pub(crate) fn run_slow(command: &mut Command, what: &str, next: &str) -> Result<(), Failure> {
    let (stop, stopped) = mpsc::channel::<()>();
    let what = what.to_owned();
    let began = Instant::now();
    let ticker = std::thread::spawn(move || {
        while stopped.recv_timeout(PROGRESS_EVERY) == Err(mpsc::RecvTimeoutError::Timeout) {
            eprintln!("    … {what}, {} so far", seconds(began.elapsed()));
        }
    });
    let outcome = run(command, next);
    drop(stop);
    // A ticker that panicked has nothing to tell.
    let _ = ticker.join();
    outcome
}

/// Runs `command` and returns what it printed, without the end of the line.
pub(crate) fn read(command: &mut Command, next: &str) -> Result<String, Failure> {
    let output = command
        .stderr(Stdio::inherit())
        .output()
        .map_err(|source| Failure::Start {
            command: line(command),
            source,
        })?;
    check(command, output.status, next)?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// An error that names `program` in one sentence, unless it can be started with `arguments`.
pub(crate) fn need(
    program: &'static str,
    arguments: &[&str],
    purpose: &'static str,
    next: &'static str,
) -> Result<(), Failure> {
    let started = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    match started {
        Err(error) if error.kind() == ErrorKind::NotFound => Err(Failure::Missing {
            program,
            purpose,
            next,
        }),
        _ => Ok(()),
    }
}

fn check(command: &Command, status: ExitStatus, next: &str) -> Result<(), Failure> {
    if status.success() {
        return Ok(());
    }
    Err(Failure::Program {
        command: line(command),
        status,
        next: next.to_owned(),
    })
}

/// The command as one would type it.
pub(crate) fn line(command: &Command) -> String {
    let program = Path::new(command.get_program())
        .file_name()
        .unwrap_or(command.get_program());
    std::iter::once(program)
        .chain(command.get_args())
        .map(OsStr::to_string_lossy)
        .collect::<Vec<_>>()
        .join(" ")
}
