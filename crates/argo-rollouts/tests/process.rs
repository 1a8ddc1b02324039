//! The example plugin as a process: by hand, with a host that it can't serve, and at its end.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test's helpers fail by panicking, like the test"
)]

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Cargo builds examples with the tests, beside them.
fn echo() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    test.parent()
        .and_then(Path::parent)
        .unwrap()
        .join("examples/echo")
}

fn hosted(tmp: &Path) -> Command {
    let mut command = Command::new(echo());
    command
        .env("ARGO_ROLLOUTS_RPC_PLUGIN", "trafficrouter")
        .env("PLUGIN_PROTOCOL_VERSIONS", "1")
        .env("TMPDIR", tmp)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// The socket's path, from the line on stdout.
fn socket(child: &mut Child) -> PathBuf {
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().unwrap())
        .read_line(&mut line)
        .unwrap();
    let path = line
        .strip_prefix("1|1|unix|")
        .and_then(|rest| rest.strip_suffix("|netrpc|\n"));
    PathBuf::from(path.unwrap_or_else(|| panic!("{line:?}")))
}

/// Waits for `done`; gives up after far longer than it takes.
fn wait_for(what: &str, mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < Duration::from_mins(1), "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn is_empty(folder: &Path) -> bool {
    folder.read_dir().unwrap().next().is_none()
}

#[test]
fn by_hand_it_says_what_it_is_and_fails() {
    let output = Command::new(echo())
        .env_remove("ARGO_ROLLOUTS_RPC_PLUGIN")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("is a plugin"), "{text}");
    assert!(text.contains("ARGO_ROLLOUTS_RPC_PLUGIN"), "{text}");
    assert_eq!(output.stdout, b"");
}

#[test]
fn a_host_of_other_versions_is_refused() {
    let tmp = tempfile::tempdir().unwrap();
    let output = hosted(tmp.path())
        .env("PLUGIN_PROTOCOL_VERSIONS", "2,3")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains(r#"versions "2,3""#), "{text}");
    assert!(is_empty(tmp.path()));
}

#[test]
fn sigterm_ends_it_and_takes_the_socket() {
    let tmp = tempfile::tempdir().unwrap();
    let mut child = hosted(tmp.path()).spawn().unwrap();
    let socket = socket(&mut child);
    assert!(socket.starts_with(tmp.path()) && socket.exists());
    // An interrupt from the terminal is the host's to act on.
    for signal in ["-INT", "-TERM"] {
        let killed = Command::new("kill")
            .args([signal, &child.id().to_string()])
            .status();
        assert!(killed.unwrap().success());
    }
    assert!(child.wait().unwrap().success());
    assert!(is_empty(tmp.path()));
}

#[test]
fn it_goes_when_its_host_is_killed() {
    let tmp = tempfile::tempdir().unwrap();
    // A shell for a host: it prints the plugin's pid after the plugin's line, and waits.
    let mut host = Command::new("sh")
        .args(["-c", r#""$0" & echo "pid $!"; wait"#])
        .arg(echo())
        .env("ARGO_ROLLOUTS_RPC_PLUGIN", "trafficrouter")
        .env("TMPDIR", tmp.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(host.stdout.take().unwrap()).lines();
    let both = [
        lines.next().unwrap().unwrap(),
        lines.next().unwrap().unwrap(),
    ];
    assert!(
        both.iter().any(|line| line.starts_with("1|1|unix|")),
        "{both:?}"
    );
    let pid = both.iter().find_map(|line| line.strip_prefix("pid "));
    let process = Path::new("/proc").join(pid.unwrap());
    assert!(process.exists() && !is_empty(tmp.path()));
    host.kill().unwrap();
    host.wait().unwrap();
    wait_for("the plugin outlives its host", || {
        // Nobody may be there to reap it.
        let state = std::fs::read_to_string(process.join("stat")).unwrap_or_default();
        state.is_empty() || state.contains(") Z ")
    });
    assert!(is_empty(tmp.path()));
}

#[test]
fn stdout_is_the_hosts_and_logs_are_json_lines() {
    let tmp = tempfile::tempdir().unwrap();
    let mut child = hosted(tmp.path()).spawn().unwrap();
    socket(&mut child);
    let killed = Command::new("kill").arg(child.id().to_string()).status();
    assert!(killed.unwrap().success());
    let mut text = String::new();
    child
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut text)
        .unwrap();
    assert!(child.wait().unwrap().success());
    assert!(text.contains("terminated"), "{text}");
    for line in text.lines() {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        for key in ["@level", "@message", "@module", "@timestamp"] {
            assert!(line[key].is_string(), "{line}");
        }
    }
}
