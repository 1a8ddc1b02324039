//! The plugin of `examples/router.rs`, for the tests that start one.

use std::path::Path;

use testbed::argo::plugin::Plan;

/// Cargo builds examples with the tests, beside them. `tmp` takes the socket.
pub(crate) fn router(tmp: &Path) -> Plan {
    let test = std::env::current_exe().unwrap();
    let folder = test.parent().and_then(Path::parent).unwrap();
    let program = folder.join("examples/router");
    assert!(
        program.exists(),
        "the example is not built, which `cargo test --test` does not: cargo build -p testbed --example router"
    );
    Plan {
        program,
        arguments: Vec::new(),
        environment: vec![("TMPDIR".into(), tmp.to_str().unwrap().into())],
    }
}
