//! The licences of what is linked into the artifacts, which go with them: cargo-about reads those of the crates; of musl, which
//! Zig links into the plugin, it knows nothing.

use std::fs;
use std::path::PathBuf;

use crate::failure::Failure;
use crate::plugin::Machine;
use crate::tools::Tool;
use crate::{dist, run, zig};

const ABOUT: Tool = Tool {
    name: "cargo-about",
    version: "0.9.3",
    features: "cli",
};
/// Where its configuration and template are.
const FOLDER: &str = "xtask/licences";

/// The plugin's notices and the modules', under these names in `target/dist`.
pub(crate) const PLUGIN: &str = "serin-licenses.txt";
pub(crate) const MODULES: &str = "serin-filter-licenses.txt";

/// Writes both and returns where they are.
pub(crate) fn write() -> Result<[PathBuf; 2], Failure> {
    run::step("collecting the licences of what is linked", || {
        let targets = Machine::ALL.map(Machine::target);
        let plugin = crates("rollout-plugin", &targets, "", PLUGIN)?;
        let mut text = fs::read_to_string(&plugin).map_err(Failure::file("read", &plugin))?;
        text.push_str(&musl()?);
        fs::write(&plugin, text).map_err(Failure::file("write", &plugin))?;
        let wasm = [dist::WASM_TARGET.to_owned()];
        let modules = crates("envoy-filter", &wasm, "cookies", MODULES)?;
        Ok([plugin, modules])
    })
}

/// Of the crates that `package` is made of.
fn crates(
    package: &str,
    targets: &[String],
    features: &str,
    name: &str,
) -> Result<PathBuf, Failure> {
    let to = dist::place(name)?;
    let root = run::root();
    let mut about = ABOUT.ensure()?;
    about
        .args(["generate", "--frozen", "--fail", "--config"])
        .arg(root.join(FOLDER).join("about.toml"))
        .arg("--manifest-path")
        .arg(root.join(package).join("Cargo.toml"))
        .args(["--features", features])
        .arg("--output-file")
        .arg(&to);
    for target in targets {
        about.args(["--target", target]);
    }
    about.arg(root.join(FOLDER).join("notices.hbs"));
    run::run(
        &mut about,
        "add the licence to xtask/licences/about.toml if it may be shipped, or take another crate",
    )?;
    Ok(to)
}

/// Of the C library, as Zig ships it.
fn musl() -> Result<String, Failure> {
    let path = zig::folder()?.join("ziglang/lib/libc/musl/COPYRIGHT");
    let text = fs::read_to_string(&path).map_err(Failure::file("read", &path))?;
    Ok(format!("{}\nmusl, the C library\n\n{text}", "-".repeat(80)))
}
