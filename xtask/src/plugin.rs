//! The plugin as it is shipped: a static binary for each kind of machine. The official image of Argo Rollouts is
//! `distroless/static` (argo-rollouts v1.10.1 `Dockerfile`), which has no C library and no dynamic linker.

use std::fs;
use std::path::{Path, PathBuf};

use object::elf::{DT_NEEDED, EM_AARCH64, EM_X86_64, FileHeader64, PT_INTERP};
use object::read::elf::{Dyn, FileHeader, ProgramHeader};
use object::{Endianness, elf};

use crate::failure::Failure;
use crate::{dist, reproducible, run, zig};

/// A kind of machine that the plugin is shipped for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Machine {
    /// x86_64.
    Amd64,
    /// aarch64.
    Arm64,
}

impl Machine {
    /// All of them.
    pub(crate) const ALL: [Self; 2] = [Self::Amd64, Self::Arm64];

    /// The one that this is.
    pub(crate) fn here() -> Result<Self, Failure> {
        let named = |machine: &Self| machine.architecture() == std::env::consts::ARCH;
        let found = Self::ALL.into_iter().find(named);
        found.ok_or(Failure::Machine {
            found: std::env::consts::ARCH,
        })
    }

    /// The one that this isn't.
    pub(crate) const fn other(self) -> Self {
        match self {
            Self::Amd64 => Self::Arm64,
            Self::Arm64 => Self::Amd64,
        }
    }

    /// The kernel's, Rust's and QEMU's word for it.
    pub(crate) const fn architecture(self) -> &'static str {
        match self {
            Self::Amd64 => "x86_64",
            Self::Arm64 => "aarch64",
        }
    }

    /// The plugin's file name in `target/dist`: Go's words, which are those of container images.
    pub(crate) const fn file(self) -> &'static str {
        match self {
            Self::Amd64 => "serin-linux-amd64",
            Self::Arm64 => "serin-linux-arm64",
        }
    }

    /// The word of container images for it.
    pub(crate) const fn platform(self) -> &'static str {
        match self {
            Self::Amd64 => "linux/amd64",
            Self::Arm64 => "linux/arm64",
        }
    }

    /// Rust's word for it, with musl.
    pub(crate) fn target(self) -> String {
        format!("{}-unknown-linux-musl", self.architecture())
    }

    /// In an ELF file's header.
    const fn elf(self) -> u16 {
        match self {
            Self::Amd64 => EM_X86_64,
            Self::Arm64 => EM_AARCH64,
        }
    }
}

/// Why a file can't be the plugin of a machine.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Fault {
    /// It is no program.
    #[error("it is no ELF file of 64 bits: {0}")]
    Unreadable(object::Error),
    /// It is one of another machine.
    #[error("it is for ELF machine {found}, expected {expected}")]
    Machine { found: u16, expected: u16 },
    /// The kernel would look for another program first.
    #[error("it is loaded by {0}, which that image doesn't have")]
    Interpreter(String),
    /// Libraries would be loaded.
    #[error("it needs shared libraries, which that image doesn't have")]
    Libraries,
}

/// Builds the plugin for `machine` with the release profile, checks that it is static, and returns where it is.
pub(crate) fn build(machine: Machine) -> Result<PathBuf, Failure> {
    let target = machine.target();
    dist::add_target(&target)?;
    let mut cargo = zig::build()?;
    cargo
        .args(["--release", "--package", "rollout-plugin", "--bin"])
        .args([dist::PLUGIN, "--target", &target]);
    reproducible::compile(&mut cargo, &target);
    run::step(&format!("building {}", machine.file()), || {
        // The linker says nothing while it builds musl, once per machine.
        run::run_slow(
            &mut cargo,
            &format!("cargo zigbuild of {}", machine.file()),
            "mend what the compiler names above",
        )
    })?;
    let built = run::target()
        .join(&target)
        .join("release")
        .join(dist::PLUGIN);
    check(machine, &built)?;
    let shipped = dist::place(machine.file())?;
    dist::replace(&built, &shipped)?;
    Ok(shipped)
}

/// An error unless the file can be started on `machine` with nothing beside it.
fn check(machine: Machine, path: &Path) -> Result<(), Failure> {
    let bytes = fs::read(path).map_err(Failure::file("read", path))?;
    fault(machine, &bytes).map_or(Ok(()), |fault| {
        Err(Failure::NotStatic {
            path: path.to_path_buf(),
            fault,
        })
    })
}

fn fault(machine: Machine, bytes: &[u8]) -> Option<Fault> {
    read(machine, bytes).unwrap_or_else(|error| Some(Fault::Unreadable(error)))
}

fn read(machine: Machine, bytes: &[u8]) -> Result<Option<Fault>, object::Error> {
    let header = FileHeader64::<Endianness>::parse(bytes)?;
    let endian = header.endian()?;
    let (found, expected) = (header.e_machine(endian), machine.elf());
    if found != expected {
        return Ok(Some(Fault::Machine { found, expected }));
    }
    for segment in header.program_headers(endian, bytes)? {
        if segment.p_type(endian) == PT_INTERP {
            let name = segment.interpreter(endian, bytes)?.unwrap_or_default();
            let name = String::from_utf8_lossy(name).into_owned();
            return Ok(Some(Fault::Interpreter(name)));
        }
        let entries: &[elf::Dyn64<Endianness>] =
            segment.dynamic(endian, bytes)?.unwrap_or_default();
        if entries.iter().any(|entry| entry.tag(endian) == DT_NEEDED) {
            return Ok(Some(Fault::Libraries));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests;
