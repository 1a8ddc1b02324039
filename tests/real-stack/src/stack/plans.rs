//! How each program of the control plane is started.

use std::path::{Path, PathBuf};

use serde_json::json;

use super::{ISTIOD_READY, MESH_NAMESPACE, XDS, write};
use crate::error::Error;
use crate::flags::{Programs, StackFlags};
use crate::program::Plan;
use crate::{image, keys, network, permissions, proxy};

const ETCD: &str = "http://127.0.0.1:2379";

fn plan(name: &str, file: PathBuf, folder: &Path, arguments: Vec<String>) -> Plan {
    Plan {
        name: name.to_owned(),
        file,
        arguments,
        environment: Vec::new(),
        bare: false,
        folder: folder.to_path_buf(),
    }
}

fn owned(arguments: &[&str]) -> Vec<String> {
    arguments
        .iter()
        .map(|&argument| argument.to_owned())
        .collect()
}

pub(super) fn etcd(flags: &Programs, folder: &Path) -> Plan {
    let arguments = [
        "--data-dir=etcd",
        &format!("--listen-client-urls={ETCD}"),
        &format!("--advertise-client-urls={ETCD}"),
        "--listen-peer-urls=http://127.0.0.1:2380",
        // The data is gone with the run: nothing is gained by writing it through to the disk.
        "--unsafe-no-fsync",
        "--log-level=warn",
    ];
    plan("etcd", flags.etcd.join("etcd"), folder, owned(&arguments))
}

pub(super) fn api_server(flags: &Programs, folder: &Path) -> Result<Plan, Error> {
    keys::write(
        &folder.join("service-account.key"),
        &folder.join("service-account.pub"),
    )?;
    let arguments = [
        &format!("--etcd-servers={ETCD}"),
        "--bind-address=127.0.0.1",
        &format!("--advertise-address={}", network::NODE),
        "--secure-port=6443",
        "--cert-dir=certificates",
        "--service-cluster-ip-range=10.96.0.0/16",
        "--authorization-mode=RBAC",
        "--token-auth-file=tokens.csv",
        "--service-account-issuer=https://kubernetes.default.svc",
        "--service-account-key-file=service-account.pub",
        "--service-account-signing-key-file=service-account.key",
        // Pods here need no service account, and there is no controller that makes one for each namespace.
        "--disable-admission-plugins=ServiceAccount",
        "--endpoint-reconciler-type=none",
    ];
    let mut arguments = owned(&arguments);
    if flags.audit {
        write(
            &folder.join("audit.yaml"),
            &permissions::policy().to_string(),
        )?;
        arguments.extend(owned(&[
            "--audit-policy-file=audit.yaml",
            &format!("--audit-log-path={}", permissions::LOG),
            // One file, however long it gets.
            "--audit-log-maxsize=10000",
        ]));
    }
    let file = flags.kubernetes.join("kube-apiserver");
    Ok(plan("kube-apiserver", file, folder, arguments))
}

pub(super) fn controller_manager(flags: &StackFlags, folder: &Path, admin: &Path) -> Plan {
    let arguments = [
        &format!("--kubeconfig={}", admin.display()),
        "--controllers=deployment,replicaset,endpointslice,endpoint,garbagecollector,namespace",
        "--bind-address=127.0.0.1",
        "--leader-elect=false",
    ];
    let file = flags.programs.kubernetes.join("kube-controller-manager");
    plan("kube-controller-manager", file, folder, owned(&arguments))
}

/// `istio`: the folder with its program.
pub(super) fn istiod(istio: &Path, folder: &Path, admin: &Path) -> Result<Plan, Error> {
    let mesh = json!({
        "defaultConfig": {"discoveryAddress": XDS.to_string()},
        "accessLogFile": "",
        "enableAutoMtls": false,
        "trustDomain": "cluster.local",
    });
    write(&folder.join("mesh.yaml"), &mesh.to_string())?;
    write(
        &folder.join("networks.yaml"),
        &json!({"networks": {}}).to_string(),
    )?;
    let arguments = [
        "discovery",
        &format!("--kubeconfig={}", admin.display()),
        "--meshConfig=mesh.yaml",
        "--networksConfig=networks.yaml",
        "--domain=cluster.local",
        &format!("--grpcAddr={XDS}"),
        "--secureGRPCAddr=",
        "--httpsAddr=",
        &format!("--httpAddr={ISTIOD_READY}"),
        "--monitoringAddr=127.0.0.1:15014",
        "--ctrlz_port=0",
    ];
    let mut plan = plan(
        "istiod",
        istio.join("pilot-discovery"),
        folder,
        owned(&arguments),
    );
    plan.environment = environment(&[
        ("POD_NAMESPACE", MESH_NAMESPACE),
        ("POD_NAME", "istiod-0"),
        ("REVISION", "default"),
        ("CLUSTER_ID", proxy::CLUSTER_ID),
        ("PILOT_CERT_PROVIDER", "none"),
        ("ENABLE_CA_SERVER", "false"),
        // Envoy as its own project builds it lacks Istio's filters.
        ("PILOT_ENABLE_METADATA_EXCHANGE", "false"),
        ("PILOT_ENABLE_ALPN_FILTER", "false"),
        ("VALIDATION_WEBHOOK_CONFIG_NAME", ""),
        ("INJECTION_WEBHOOK_CONFIG_NAME", ""),
        ("PILOT_ENABLE_ANALYSIS", "false"),
        ("PILOT_ENABLE_CONFIG_DISTRIBUTION_TRACKING", "false"),
        ("ENABLE_LEADER_ELECTION", "false"),
        // Copies are known by the mark that Envoy puts into their authority; Istio turns it off by default.
        ("DISABLE_SHADOW_HOST_SUFFIX", "false"),
    ]);
    Ok(plan)
}

/// The controller in a root folder as its official image is, with the service account that is in the folder `account`.
pub(super) fn controller(flags: &StackFlags, folder: &Path, account: &Path) -> Result<Plan, Error> {
    let arguments = [
        "--healthzPort=18080",
        "--metricsPort=18090",
        // One controller only; a lease would just delay its second start.
        "--leader-elect=false",
        "--loglevel=info",
    ];
    let program = flags.programs.argo_rollouts.join("rollouts-controller");
    image::controller(folder, &program, &flags.plugin, account, &arguments)
}

fn environment(variables: &[(&str, &str)]) -> Vec<(String, String)> {
    variables
        .iter()
        .map(|&(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}
