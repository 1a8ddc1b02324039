//! The C compiler and linker of static binaries: cargo-zigbuild and Zig, out of their PyPI packages. Zig brings musl for
//! every kind of machine, so that one machine builds for the others.

use std::path::PathBuf;
use std::process::Command;

use crate::failure::Failure;
use crate::{cache, pip, run};

/// Runs cargo with Zig as compiler and linker.
const ZIGBUILD: &str = "0.24.0";
const ZIG: &str = "0.17.0";

/// Where both are; installed into the cache if they aren't there.
pub(crate) fn folder() -> Result<PathBuf, Failure> {
    let name = format!("zigbuild-{ZIGBUILD}-zig-{ZIG}");
    cache::entry(&name, |folder| {
        run::step(
            &format!("fetching cargo-zigbuild {ZIGBUILD} and Zig {ZIG}"),
            || {
                let packages = [
                    format!("cargo-zigbuild=={ZIGBUILD}"),
                    format!("ziglang=={ZIG}"),
                ];
                pip::install(folder, &packages, "to fetch the linker of static binaries")
            },
        )
    })
}

/// A `cargo zigbuild`, without arguments yet, in the root of the checkout.
pub(crate) fn build() -> Result<Command, Failure> {
    let folder = folder()?;
    let (program, zig) = (
        folder.join("bin/cargo-zigbuild"),
        folder.join("ziglang/zig"),
    );
    for path in [&program, &zig] {
        if !path.is_file() {
            return Err(Failure::NotBuilt { path: path.clone() });
        }
    }
    let mut command = Command::new(program);
    command
        .current_dir(run::root())
        .args(["zigbuild", "--locked"]);
    command.env("CARGO_ZIGBUILD_ZIG_PATH", zig);
    // Both would take a folder of the user's.
    let own = cache::folder();
    command.env("CARGO_ZIGBUILD_CACHE_DIR", own.join("zigbuild"));
    command.env("ZIG_GLOBAL_CACHE_DIR", own.join("zig"));
    Ok(command)
}
