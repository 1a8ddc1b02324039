//! `cargo xtask wasm`: the filter's modules as Envoy loads them, without and with issued cookies.
//!
//! Linked with entry points of its own names, which are then given the names that Envoy looks for;
//! every other export goes. Envoy calls into the module for each callback that is exported, per
//! request, so an export that is not used costs as much as one that is.

use std::fs;
use std::path::{Path, PathBuf};

use walrus::{ExportItem, FunctionKind, Module, ModuleConfig};

use crate::dist;
use crate::failure::Failure;
use crate::reproducible;
use crate::run::{self, cargo};

/// Which of the filter's modules: who issues no cookies pays no callback for responses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Variant {
    /// Decides about requests.
    Plain,
    /// Issues cookies too.
    Cookies,
}

impl Variant {
    /// Both.
    pub(crate) const ALL: [Self; 2] = [Self::Plain, Self::Cookies];

    /// The file name in `target/dist`.
    pub(crate) const fn file(self) -> &'static str {
        match self {
            Self::Plain => "serin-filter.wasm",
            Self::Cookies => "serin-filter-cookies.wasm",
        }
    }

    /// The features of `envoy-filter`.
    pub(crate) const fn features(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Cookies => "cookies",
        }
    }

    /// The callbacks beside [`CALLBACKS`].
    const fn more(self) -> &'static [&'static str] {
        match self {
            Self::Plain => &[],
            Self::Cookies => &["proxy_on_response_headers", "proxy_on_delete"],
        }
    }
}

/// How the filter's own entry points begin before they are renamed.
const OURS: &str = "serin_";
/// How Envoy's callbacks begin.
const PROXY: &str = "proxy_";
/// The callbacks that both modules implement; the build fails if one is missing.
const CALLBACKS: &[&str] = &[
    "proxy_on_vm_start",
    "proxy_on_configure",
    "proxy_on_context_create",
    "proxy_on_request_headers",
    "proxy_on_tick",
    "proxy_on_memory_allocate",
];
/// What a host needs besides callbacks. The ABI version stays at 0.2.1: a later one, and Envoy no
/// longer chooses the route again after a header was written.
const REQUIRED: &[&str] = &["memory", "proxy_abi_version_0_2_1"];

/// What the names of the functions have in them that a panic goes through: `core::panicking`, what is said of an index that is
/// none, and the panic handler.
const PANICS: [&str; 4] = [
    "4core9panicking",
    "slice_error_fail",
    "slice_index_fail",
    "rust_begin_unwind",
];

/// A module that is not what the filter should be.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ModuleFault {
    /// The linker's output could not be read.
    #[error("{} is not a WebAssembly module", path.display())]
    Unreadable {
        path: PathBuf,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The functions that panic have other names than they had.
    #[error("{} has no function named as one of {PANICS:?}", path.display())]
    NoPanics { path: PathBuf },
    /// An export is missing.
    #[error("{} has no export `{name}`", path.display())]
    NoExport { path: PathBuf, name: &'static str },
}

/// Builds one module into `target/dist`, prunes it, prints its size; returns where it is.
pub(crate) fn build(variant: Variant) -> Result<PathBuf, Failure> {
    let out = dist::place(variant.file())?;
    dist::add_target(dist::WASM_TARGET)?;
    let mut build = cargo();
    build
        .args(["build", "--package", "envoy-filter", "--target"])
        .args([dist::WASM_TARGET, "--profile", "filter"])
        .args(["--features", variant.features()]);
    reproducible::compile(&mut build, dist::WASM_TARGET);
    run::step(&format!("building {}", variant.file()), || {
        run::run(&mut build, "mend what the compiler names above")
    })?;
    let linked = run::target()
        .join(dist::WASM_TARGET)
        .join("filter")
        .join("envoy_filter.wasm");
    let module = prune(&linked, variant.more())?;
    let beside = out.with_extension(format!("new-{}", std::process::id()));
    fs::write(&beside, &module).map_err(Failure::file("write", &beside))?;
    fs::rename(&beside, &out).map_err(Failure::file("move into place", &out))?;
    eprintln!("    {} {} bytes", out.display(), module.len());
    Ok(out)
}

/// The command.
pub(crate) fn run() -> Result<(), Failure> {
    for variant in Variant::ALL {
        build(variant)?;
    }
    Ok(())
}

/// The module at `linked` with Envoy's names, [`CALLBACKS`] and `more` of them, and without anything that no export leads
/// to.
fn prune(linked: &Path, more: &'static [&'static str]) -> Result<Vec<u8>, Failure> {
    let bytes = fs::read(linked).map_err(Failure::file("read", linked))?;
    let mut config = ModuleConfig::new();
    config
        .generate_name_section(false)
        .generate_producers_section(false);
    let mut module: Module = config
        .parse(&bytes)
        .map_err(|source| ModuleFault::Unreadable {
            path: linked.to_path_buf(),
            source: source.into(),
        })?;
    let mut gone = Vec::new();
    for export in module.exports.iter_mut() {
        if let Some(rest) = export.name.strip_prefix(OURS) {
            export.name = format!("{PROXY}{rest}");
        }
        let name = export.name.as_str();
        let used = [CALLBACKS, more, REQUIRED].concat().contains(&name);
        if !used || matches!(export.item, ExportItem::Global(_) | ExportItem::Table(_)) {
            gone.push(export.id());
        }
    }
    for id in gone {
        module.exports.delete(id);
    }
    for &name in CALLBACKS.iter().chain(more).chain(REQUIRED) {
        if !module.exports.iter().any(|export| export.name == name) {
            return Err(ModuleFault::NoExport {
                path: linked.to_path_buf(),
                name,
            }
            .into());
        }
    }
    if end_panics(&mut module) == 0 {
        return Err(ModuleFault::NoPanics {
            path: linked.to_path_buf(),
        }
        .into());
    }
    walrus::passes::gc::run(&mut module);
    Ok(module.emit_wasm())
}

/// Lets a panic end the module at once, and so leaves out what would write its message: this target has nowhere to write it
/// to, and Envoy's log has the trap. Returns how many functions that was.
fn end_panics(module: &mut Module) -> usize {
    let panics: Vec<_> = module
        .funcs
        .iter_local()
        .filter(|(id, _)| {
            let name = module.funcs.get(*id).name.as_deref().unwrap_or_default();
            PANICS.iter().any(|part| name.contains(part))
        })
        .map(|(id, _)| id)
        .collect();
    for id in &panics {
        if let FunctionKind::Local(function) = &mut module.funcs.get_mut(*id).kind {
            let mut body = function.builder_mut().func_body();
            body.instrs_mut().clear();
            body.unreachable();
        }
    }
    panics.len()
}
