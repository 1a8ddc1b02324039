//! The example plugin under the Argo Rollouts controller's own client packages
//! (`tests/argo-host`, which says what is checked).

use std::path::{Path, PathBuf};
use std::process::Command;

#[test]
fn the_controllers_client_gets_what_it_expects() {
    if Command::new("go").arg("version").output().is_err() {
        println!("skipped: no Go toolchain in PATH");
        return;
    }
    let source = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/argo-host");
    let host = PathBuf::from(env!("CARGO_TARGET_TMPDIR"))
        .join(format!("argo-host-{}", std::process::id()));
    // The flags of the real stack's programs, so that Go's build cache serves both.
    let built = Command::new("go")
        .args(["build", "-trimpath", "-ldflags", "-s -w", "-o"])
        .arg(&host)
        .arg(".")
        .current_dir(source)
        .env("GOTOOLCHAIN", "local")
        .status()
        .unwrap();
    assert!(built.success(), "go build");

    // Cargo builds examples with the tests, beside them.
    let test = std::env::current_exe().unwrap();
    let folder = test.parent().and_then(Path::parent).unwrap();
    let output = Command::new(&host)
        .arg("-plugin")
        .arg(folder.join("examples/echo"))
        .arg("-check")
        .output()
        .unwrap();
    std::fs::remove_file(host).unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let log = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}\n{log}");
    for what in [
        "full arguments",
        "zero arguments",
        "pointers to zero",
        "answers",
        "10,000 calls from 20 goroutines",
        "unknown arguments",
        "large arguments",
        "idle streams",
        "ping, kill, restart, sockets gone",
    ] {
        assert!(
            said.contains(&format!("ok: {what}")),
            "{what}: {said}\n{log}"
        );
    }
}
