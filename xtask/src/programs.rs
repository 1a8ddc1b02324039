//! The Go programs of the real stack: built from the modules pinned in `tests/real-stack/programs`, once per machine.
//!
//! An entry of the cache is keyed by the module files' content and the Go version. It holds the programs and the
//! manifests that belong to their version, so a warm run needs no Go sources.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use sha2::{Digest, Sha256};

use crate::failure::Failure;
use crate::{cache, run};

/// Programs that are built together and have one entry in the cache. Two sets may come out of one module, so that a run
/// builds what it needs and nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub(crate) enum Set {
    /// `etcd`.
    Etcd,
    /// `rollouts-controller`, with Argo's CRDs, roles and end-to-end fixtures.
    ArgoRollouts,
    /// `kubectl-argo-rollouts`.
    KubectlArgoRollouts,
    /// `pilot-discovery` of Istio 1.29.1, with its CRDs.
    Istio,
    /// `pilot-agent` of Istio 1.29.1, with what a proxy is started from.
    IstioAgent,
    /// `istioctl` of Istio 1.29.1.
    Istioctl,
    /// `pilot-discovery` of the newest Istio that is tried, with its CRDs.
    IstioNext,
    /// `pilot-agent` of the newest Istio that is tried, with what a proxy is started from.
    IstioNextAgent,
    /// `istioctl` of the newest Istio that is tried.
    IstioNextctl,
    /// `kube-apiserver` and `kube-controller-manager`.
    Kubernetes,
    /// `kubectl`.
    Kubectl,
    /// `registry`: CNCF Distribution.
    Registry,
    /// `helm`.
    Helm,
    /// `kind`: Kubernetes in a container engine.
    Kind,
    /// `prometheus` and `promtool`.
    Prometheus,
}

/// What the control plane of every run is made of.
pub(crate) const CONTROL_PLANE: [Set; 4] =
    [Set::Etcd, Set::ArgoRollouts, Set::Istio, Set::Kubernetes];

/// How a set is built.
struct Module {
    /// The entry's name in the cache, before its key.
    name: &'static str,
    /// The folder of `tests/real-stack/programs` with the module that pins the version.
    folder: &'static str,
    /// Program name and Go package.
    programs: &'static [(&'static str, &'static str)],
    /// True if they are started where there is no C library, as their project builds them for its image.
    is_static: bool,
    /// The Go module whose folder has the manifests, and the files or folders taken from it.
    manifests: Option<(&'static str, &'static [&'static str])>,
}

const ISTIO: &str = "istio.io/istio";
const ISTIO_CRDS: &str = "manifests/charts/base/files/crd-all.gen.yaml";
const DISCOVERY: &[(&str, &str)] = &[(
    "pilot-discovery",
    "istio.io/istio/pilot/cmd/pilot-discovery",
)];
const AGENT: &[(&str, &str)] = &[("pilot-agent", "istio.io/istio/pilot/cmd/pilot-agent")];
const ISTIOCTL: &[(&str, &str)] = &[("istioctl", "istio.io/istio/istioctl/cmd/istioctl")];
/// What `pilot-agent` makes a proxy's first configuration from.
const BOOTSTRAP: &str = "tools/packaging/common/envoy_bootstrap.json";

impl Set {
    /// Every set.
    #[cfg(test)]
    const ALL: [Self; 15] = [
        Self::Etcd,
        Self::ArgoRollouts,
        Self::KubectlArgoRollouts,
        Self::Istio,
        Self::IstioAgent,
        Self::Istioctl,
        Self::IstioNext,
        Self::IstioNextAgent,
        Self::IstioNextctl,
        Self::Kubernetes,
        Self::Kubectl,
        Self::Registry,
        Self::Helm,
        Self::Kind,
        Self::Prometheus,
    ];

    fn module(self) -> Module {
        let plain = |name, folder, programs| Module {
            name,
            folder,
            programs,
            is_static: false,
            manifests: None,
        };
        match self {
            Self::Etcd => plain("etcd", "etcd", &[("etcd", "go.etcd.io/etcd/server/v3")]),
            Self::ArgoRollouts => argo_rollouts(),
            Self::KubectlArgoRollouts => plain(
                "kubectl-argo-rollouts",
                "argo-rollouts",
                &[(
                    "kubectl-argo-rollouts",
                    "github.com/argoproj/argo-rollouts/cmd/kubectl-argo-rollouts",
                )],
            ),
            Self::Istio => Module {
                manifests: Some((ISTIO, &[ISTIO_CRDS])),
                ..plain("istio", "istio", DISCOVERY)
            },
            Self::IstioNext => Module {
                manifests: Some((ISTIO, &[ISTIO_CRDS])),
                ..plain("istio-next", "istio-next", DISCOVERY)
            },
            Self::IstioAgent => Module {
                manifests: Some((ISTIO, &[BOOTSTRAP])),
                ..plain("istio-agent", "istio", AGENT)
            },
            Self::IstioNextAgent => Module {
                manifests: Some((ISTIO, &[BOOTSTRAP])),
                ..plain("istio-next-agent", "istio-next", AGENT)
            },
            Self::Istioctl => plain("istioctl", "istio", ISTIOCTL),
            Self::IstioNextctl => plain("istioctl-next", "istio-next", ISTIOCTL),
            Self::Kubernetes => plain(
                "kubernetes",
                "kubernetes",
                &[
                    ("kube-apiserver", "k8s.io/kubernetes/cmd/kube-apiserver"),
                    (
                        "kube-controller-manager",
                        "k8s.io/kubernetes/cmd/kube-controller-manager",
                    ),
                ],
            ),
            Self::Kubectl => plain(
                "kubectl",
                "kubernetes",
                &[("kubectl", "k8s.io/kubernetes/cmd/kubectl")],
            ),
            Self::Registry => plain(
                "registry",
                "distribution",
                &[(
                    "registry",
                    "github.com/distribution/distribution/v3/cmd/registry",
                )],
            ),
            Self::Kind => plain("kind", "kind", &[("kind", "sigs.k8s.io/kind")]),
            Self::Helm => plain("helm", "helm", &[("helm", "helm.sh/helm/v4/cmd/helm")]),
            Self::Prometheus => plain(
                "prometheus",
                "prometheus",
                &[
                    (
                        "prometheus",
                        "github.com/prometheus/prometheus/cmd/prometheus",
                    ),
                    ("promtool", "github.com/prometheus/prometheus/cmd/promtool"),
                ],
            ),
        }
    }
}

fn argo_rollouts() -> Module {
    Module {
        name: "argo-rollouts",
        folder: "argo-rollouts",
        programs: &[(
            "rollouts-controller",
            "github.com/argoproj/argo-rollouts/cmd/rollouts-controller",
        )],
        is_static: true,
        manifests: Some((
            "github.com/argoproj/argo-rollouts",
            &[
                "manifests/crds",
                "manifests/role",
                "manifests/base",
                "manifests/cluster-install",
                "test/e2e/istio",
                "test/e2e/header-routing",
                "test/e2e/mirror-route",
            ],
        )),
    }
}

/// What to say where Go is missing.
pub(crate) const INSTALL_GO: &str =
    "install Go 1.26.8 or newer (https://go.dev/dl) and put its bin folder on the PATH";

/// Where each set's programs and manifests are.
pub(crate) type Programs = BTreeMap<Set, PathBuf>;

/// Builds what is missing of `sets` and returns every set's folder.
pub(crate) fn ensure(sets: &[Set]) -> Result<Programs, Failure> {
    run::need("go", &["version"], "to build the real stack", INSTALL_GO)?;
    let version = run::read(go().args(["env", "GOVERSION"]), INSTALL_GO)?;
    sets.iter()
        .map(|&set| Ok((set, ensure_set(set, &version)?)))
        .collect()
}

/// The folder of one set, built if it is missing.
pub(crate) fn folder(set: Set) -> Result<PathBuf, Failure> {
    Ok(ensure(&[set])?.remove(&set).unwrap_or_default())
}

fn ensure_set(set: Set, go_version: &str) -> Result<PathBuf, Failure> {
    let module = set.module();
    let source = run::root()
        .join("tests/real-stack/programs")
        .join(module.folder);
    new_enough(&source, go_version)?;
    let mut hash = Sha256::new();
    hash.update(go_version.as_bytes());
    for name in ["go.mod", "go.sum"] {
        let path = source.join(name);
        hash.update(fs::read(&path).map_err(Failure::file("read", &path))?);
    }
    for (program, package) in module.programs {
        hash.update(format!("{program}={package}\n"));
    }
    hash.update(format!("{:?}", module.manifests));
    if module.is_static {
        hash.update("static");
    }
    let key = hex(&hash.finalize());
    let name = format!("{}-{}", module.name, key.get(..16).unwrap_or(&key));
    cache::entry(&name, |folder| {
        run::step(
            &format!("building {} ({go_version}, once per machine)", module.name),
            || build(&module, &source, folder),
        )
    })
}

/// An error that names both versions if this Go is older than the one the module in `source` asks for. Go itself compares
/// them, and would say it in the middle of a build only.
fn new_enough(source: &Path, go_version: &str) -> Result<(), Failure> {
    let path = source.join("go.mod");
    let text = fs::read_to_string(&path).map_err(Failure::file("read", &path))?;
    run::read(
        go().current_dir(source).args(["list", "-m"]),
        &newer(&text, go_version),
    )
    .map(|_| ())
}

/// What to do where Go refuses the module with this go.mod.
fn newer(go_mod: &str, found: &str) -> String {
    let needed = go_mod
        .lines()
        .find_map(|line| line.strip_prefix("go "))
        .unwrap_or("of a later version");
    format!(
        "the real stack needs Go {needed} or newer, {found} was found: install it from https://go.dev/dl"
    )
}

fn build(module: &Module, source: &Path, folder: &Path) -> Result<(), Failure> {
    for (program, package) in module.programs {
        let mut command = go();
        command
            .current_dir(source)
            .args(["build", "-trimpath", "-ldflags", "-s -w", "-o"])
            .arg(folder.join(program))
            .arg(package);
        if module.is_static {
            command.env("CGO_ENABLED", "0");
        }
        run::run_slow(
            &mut command,
            &format!("go build of {program}"),
            "check that the Go module proxy (`go env GOPROXY`) can be reached, then run the command again",
        )?;
    }
    if let Some((path, files)) = module.manifests {
        let listed = run::read(
            go().current_dir(source)
                .args(["list", "-m", "-f", "{{.Dir}}", path]),
            INSTALL_GO,
        )?;
        for file in files {
            copy(&Path::new(&listed).join(file), &folder.join(file))?;
        }
    }
    Ok(())
}

/// Go with the installed toolchain only: the versions in go.mod are the ones that are tested.
pub(crate) fn go() -> Command {
    let mut command = Command::new("go");
    command.env("GOTOOLCHAIN", "local");
    command
}

/// Copies a file or a folder of files; modules in Go's cache are read-only, copies are not.
pub(crate) fn copy(from: &Path, to: &Path) -> Result<(), Failure> {
    if from.is_dir() {
        for item in fs::read_dir(from).map_err(Failure::file("read", from))? {
            let item = item.map_err(Failure::file("read", from))?;
            copy(&item.path(), &to.join(item.file_name()))?;
        }
        return Ok(());
    }
    if let Some(parent) = to.parent() {
        fs::create_dir_all(parent).map_err(Failure::file("create", parent))?;
    }
    let content = fs::read(from).map_err(Failure::file("read", from))?;
    fs::write(to, content).map_err(Failure::file("write", to))
}

/// Lower-case hexadecimal digits of `bytes`.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut digits, byte| {
        // Writing to a String can't fail.
        let _ = write!(digits, "{byte:02x}");
        digits
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn go_that_is_too_old_is_told_both_versions() {
        assert_eq!(
            newer("module a\n\ngo 1.26.8\n\nrequire b v1\n", "go1.25.1"),
            "the real stack needs Go 1.26.8 or newer, go1.25.1 was found: install it from https://go.dev/dl"
        );
    }

    #[test]
    fn a_version_that_no_go_has_is_refused() {
        let folder = std::env::temp_dir().join(format!("xtask-go-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("go.mod"), "module a\n\ngo 99.1.2\n").unwrap();
        let refused = new_enough(&folder, "go1.26.8");
        fs::remove_dir_all(&folder).unwrap();
        let next = refused.unwrap_err().next();
        // Where Go isn't installed, that is said instead.
        assert!(
            next.contains("needs Go 99.1.2 or newer, go1.26.8 was found")
                || next.contains("is installed"),
            "{next}"
        );
    }

    #[test]
    fn what_to_install_is_what_the_modules_ask_for() {
        for module in Set::ALL.map(Set::module) {
            let path = run::root()
                .join("tests/real-stack/programs")
                .join(module.folder)
                .join("go.mod");
            let text = fs::read_to_string(path).unwrap();
            let needed = text
                .lines()
                .find_map(|line| line.strip_prefix("go "))
                .unwrap();
            assert!(INSTALL_GO.contains(needed), "{}: {needed}", module.folder);
        }
    }
}
