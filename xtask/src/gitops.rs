//! `cargo xtask e2e --long gitops`: what GitOps tools do to canaries that are under way, held against docs/gitops.md.
//!
//! Argo CD's and Flux's programs are built once for each version of their modules and of the few lines around them
//! (`tests/gitops-host`), and kept in the cache.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use sha2::{Digest, Sha256};

use crate::cache;
use crate::e2e;
use crate::failure::Failure;
use crate::flags::Istio;
use crate::programs::{self, INSTALL_GO, Set};
use crate::run;

/// Where the Go programs are.
const FOLDER: &str = "tests/gitops-host";
const NETWORK: &str =
    "check that the Go module proxy (`go env GOPROXY`) can be reached, then run the command again";
const NEXT: &str = "read what differs above; logs of the tools are in the run's folder. To write the tables into the page: `SERIN_WRITE_DOC=1 cargo xtask e2e --long gitops`";

/// A program of a GitOps tool.
struct Tool {
    /// The cache entry's and the program's name.
    name: &'static str,
    /// The module's folder in [`FOLDER`].
    folder: &'static str,
    /// The file in place of go.mod.
    module: &'static str,
    /// The Go that it asks for: `GOTOOLCHAIN`. What is newer than the rest of the real stack needs, Go gets by itself.
    toolchain: &'static str,
}

const ARGO_CD: Tool = Tool {
    name: "argo-cd",
    folder: "argocd",
    module: "go.mod",
    toolchain: "go1.27.0",
};
/// The minor version before.
const ARGO_CD_BEFORE: Tool = Tool {
    name: "argo-cd-before",
    folder: "argocd",
    module: "v3.5.mod",
    toolchain: "local",
};
const FLUX: Tool = Tool {
    name: "flux-apply",
    folder: "flux",
    module: "go.mod",
    toolchain: "go1.27.0",
};

/// Builds what is missing, then runs the check beside the whole stack.
pub(crate) fn check() -> Result<(), Failure> {
    run::need("go", &["version"], "to build GitOps tools", INSTALL_GO)?;
    let host = host()?;
    let mut program = Command::new(host);
    for (flag, tool) in [
        ("-argocd", &ARGO_CD),
        ("-argocd-before", &ARGO_CD_BEFORE),
        ("-flux", &FLUX),
    ] {
        program.arg(flag).arg(tool.ensure()?.join(tool.name));
    }
    program.arg("-crds").arg(ARGO_CD.ensure()?.join("crds"));
    program.arg("-doc").arg(run::root().join("docs/gitops.md"));
    if std::env::var_os("SERIN_WRITE_DOC").is_some() {
        program.arg("-write-doc");
    }
    run::run(
        &mut e2e::beside(Istio::Istio, &[Set::Kubectl], &program)?,
        NEXT,
    )
}

/// The check's own program.
fn host() -> Result<PathBuf, Failure> {
    let built = run::target().join("gitops-host");
    let mut go = programs::go();
    go.current_dir(run::root().join(FOLDER))
        .args(["build", "-o"])
        .arg(&built)
        .arg(".");
    run::step("building gitops-host", || {
        run::run_slow(&mut go, "go build of gitops-host", NETWORK)
    })?;
    Ok(built)
}

impl Tool {
    /// Its folder in the cache, with the program, and Argo CD's definitions of kinds.
    fn ensure(&self) -> Result<PathBuf, Failure> {
        let source = run::root().join(FOLDER).join(self.folder);
        let mut hash = Sha256::new();
        for path in self.files(&source)? {
            hash.update(fs::read(&path).map_err(Failure::file("read", &path))?);
        }
        let key = programs::hex(&hash.finalize());
        let name = format!("{}-{}", self.name, key.get(..16).unwrap_or(&key));
        cache::entry(&name, |folder| {
            run::step(
                &format!("building {} (once per machine)", self.name),
                || self.build(&source, folder),
            )
        })
    }

    /// What the program is made of: its sources, and the module's file with its sums.
    fn files(&self, source: &Path) -> Result<Vec<PathBuf>, Failure> {
        let mut files = Vec::new();
        for item in fs::read_dir(source).map_err(Failure::file("read", source))? {
            let path = item.map_err(Failure::file("read", source))?.path();
            if path.extension().is_some_and(|extension| extension == "go") {
                files.push(path);
            }
        }
        let module = source.join(self.module);
        files.push(module.with_extension("sum"));
        files.push(module);
        files.sort();
        Ok(files)
    }

    fn build(&self, source: &Path, folder: &Path) -> Result<(), Failure> {
        let mut go = self.go(source);
        go.args(["build", "-trimpath", "-ldflags", "-s -w", "-o"])
            .arg(folder.join(self.name))
            .arg(".");
        run::run_slow(&mut go, &format!("go build of {}", self.name), NETWORK)?;
        if self.folder != ARGO_CD.folder {
            return Ok(());
        }
        let module = run::read(
            self.go(source).args([
                "list",
                "-m",
                "-f",
                "{{.Dir}}",
                "github.com/argoproj/argo-cd/v3",
            ]),
            NETWORK,
        )?;
        let definitions = Path::new(&module).join("manifests/crds");
        programs::copy(&definitions, &folder.join("crds"))
    }

    /// Go for this module. Left to choose a toolchain, Go would look at go.mod whatever `-modfile` says.
    fn go(&self, source: &Path) -> Command {
        let mut command = Command::new("go");
        command
            .current_dir(source)
            .env("GOTOOLCHAIN", self.toolchain)
            .env("GOFLAGS", format!("-modfile={}", self.module));
        command
    }
}
