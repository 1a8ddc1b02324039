//! The container images of what is shipped: `crates/images` writes and pushes them, without a container engine.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::dist::{self, notices};
use crate::failure::Failure;
use crate::flags::PushFlags;
use crate::reproducible;
use crate::run::{self, cargo};

/// The images' files in `target/dist`.
pub(crate) const FILES: [&str; 3] = [
    "serin-plugin.oci.tar",
    "serin-filter.oci.tar",
    "serin-filter-cookies.oci.tar",
];
/// Its manifest: a workspace of its own.
pub(crate) const MANIFEST: &str = "crates/images/Cargo.toml";

/// Writes the images of what is in `target/dist`, and returns where they are.
pub(crate) fn write(source: Option<&str>) -> Result<Vec<PathBuf>, Failure> {
    let files = FILES.map(dist::place);
    let files = files.into_iter().collect::<Result<Vec<_>, _>>()?;
    let mut write = program("write")?;
    write.args(["--version", env!("CARGO_PKG_VERSION")]);
    if let Some(source) = source {
        write.args(["--source", source]);
    }
    if let Some(made) = reproducible::made()? {
        write.arg(format!("--created={made}"));
    }
    let folder = dist::folder();
    for (flag, notices) in [
        ("--plugin-licence", notices::PLUGIN),
        ("--module-licence", notices::MODULES),
    ] {
        for name in [dist::LICENCE, notices] {
            write.arg(flag).arg(folder.join(name));
        }
    }
    run::step("writing the images", || {
        run::run(&mut write, "read the line above")
    })?;
    Ok(files)
}

/// `cargo xtask push`: what `dist --all` has left, which its sums have to fit.
pub(crate) fn push(flags: &PushFlags) -> Result<(), Failure> {
    let lines = pushed(flags, None)?;
    println!("{lines}");
    Ok(())
}

/// As [`push`]; returns a line for each image, `registry/name:tag@digest`. `login` is the folder of a Docker configuration in
/// place of the user's.
pub(crate) fn pushed(flags: &PushFlags, login: Option<&Path>) -> Result<String, Failure> {
    dist::check(&FILES)?;
    let tag = flags.tag.as_deref().unwrap_or(env!("CARGO_PKG_VERSION"));
    let mut push = program("push")?;
    push.args(["--tag", tag]);
    for (set, flag) in [
        (flags.plain_http, "--plain-http"),
        (flags.insecure, "--insecure"),
        (flags.overwrite, "--overwrite"),
    ] {
        if set {
            push.arg(flag);
        }
    }
    push.arg("--").arg(&flags.registry);
    if let Some(login) = login {
        push.env("DOCKER_CONFIG", login);
    }
    run::step(&format!("pushing to {}", flags.registry), || {
        run::read(
            push.stdin(Stdio::null()),
            "check the registry's name, that it can be reached, and `docker login` for it",
        )
    })
}

/// The program with one of its commands, on `target/dist`.
fn program(command: &str) -> Result<Command, Failure> {
    let mut program = Command::new(built()?);
    program.arg(command).arg("--folder").arg(dist::folder());
    Ok(program)
}

/// Builds the program and returns where it is.
pub(crate) fn built() -> Result<PathBuf, Failure> {
    let mut build = cargo();
    build
        .args([
            "build",
            "--quiet",
            "--manifest-path",
            MANIFEST,
            "--target-dir",
        ])
        .arg(run::target());
    run::step("building the images' program", || {
        run::run_slow(
            &mut build,
            "cargo build of images",
            "mend what the compiler names above",
        )
    })?;
    Ok(run::target().join("debug/images"))
}
