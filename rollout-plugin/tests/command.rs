//! The command line of `serin`, as a person or an init container starts it: without the controller's cookie.

#![allow(clippy::unwrap_used, reason = "in tests it is an assertion")]

use std::process::{Command, Output};

fn serin(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_serin"))
        .args(arguments)
        .output()
        .unwrap()
}

/// Exit code and stderr.
fn outcome(arguments: &[&str]) -> (Option<i32>, String) {
    let output = serin(arguments);
    let said = String::from_utf8(output.stderr).unwrap();
    (output.status.code(), said)
}

#[test]
fn without_a_command_it_says_what_it_is() {
    let (code, said) = outcome(&[]);
    assert_eq!(code, Some(1));
    assert!(
        said.contains("a plugin of the Argo Rollouts controller"),
        "{said}"
    );
    assert!(said.contains("serin --help"), "{said}");
    assert_eq!(outcome(&["--log-level=debug"]).0, Some(1));
}

#[test]
fn help_and_version_need_no_controller() {
    for (flag, expected) in [
        ("--help", "install"),
        ("--version", env!("CARGO_PKG_VERSION")),
    ] {
        let output = serin(&[flag]);
        assert!(output.status.success());
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(said.contains(expected), "{said}");
    }
}

#[test]
fn a_wrong_command_line_is_a_usage_error() {
    for arguments in [
        &["instal", "."][..],
        &["install"],
        &["install", ".", "."],
        &["--log-levels=debug"],
        &["--log-level=loud"],
        &["--log-level=debug", "install", "."],
    ] {
        let (code, said) = outcome(arguments);
        assert_eq!(code, Some(2), "{arguments:?}: {said}");
        assert!(said.contains("error: "), "{said}");
    }
}

#[test]
fn a_failed_install_is_one_line() {
    let (code, said) = outcome(&["install", "/nowhere/plugins"]);
    assert_eq!(code, Some(1));
    assert_eq!(
        said,
        "error: /nowhere/plugins doesn't exist, expected a folder: mount a volume there that the controller's container \
         mounts too\n"
    );
}
