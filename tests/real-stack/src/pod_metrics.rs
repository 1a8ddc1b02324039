//! Stands in for Istio's statistics in the proxy of a pod: the metrics that Istio documents as standard, in its names and labels,
//! of what the pod has answered. Envoy as its own project builds it lacks the filter that counts them.
//!
//! A pod has them if it says so as Istio's injection does, by the annotations `prometheus.io/scrape` and `prometheus.io/port`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use http::StatusCode;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use testbed::echo::Answered;
use tokio::net::TcpListener;
use tokio::task::{AbortHandle, JoinHandle};

/// Upper bounds of an Envoy's histograms, in milliseconds (Envoy 1.40 `source/common/stats/histogram_impl.cc`,
/// `ConstSupportedBuckets`).
const BUCKETS: [f64; 19] = [
    0.5,
    1.0,
    5.0,
    10.0,
    25.0,
    50.0,
    100.0,
    250.0,
    500.0,
    1_000.0,
    2_500.0,
    5_000.0,
    10_000.0,
    30_000.0,
    60_000.0,
    300_000.0,
    600_000.0,
    1_800_000.0,
    3_600_000.0,
];

/// What is counted for one status.
#[derive(Clone, Debug, Default)]
struct Counted {
    requests: u64,
    milliseconds: f64,
    /// As many as [`BUCKETS`], each with what is below it.
    within: [u64; BUCKETS.len()],
}

/// What one pod has answered.
#[derive(Debug, Default)]
struct Tally(Mutex<BTreeMap<u16, Counted>>);

/// The metrics of one pod, for as long as this lives.
pub(crate) struct PodMetrics {
    tally: Arc<Tally>,
    server: AbortHandle,
}

impl PodMetrics {
    /// Serves them at the pod's `address`, if the pod asks for that.
    pub(crate) async fn start(pod: &Pod, address: IpAddr) -> std::io::Result<Option<Self>> {
        let annotation = |name: &str| pod.annotations().get(name).map(String::as_str);
        let port = annotation("prometheus.io/port").and_then(|port| port.parse().ok());
        let (Some("true"), Some(port)) = (annotation("prometheus.io/scrape"), port) else {
            return Ok(None);
        };
        let listener = TcpListener::bind(SocketAddr::new(address, port)).await?;
        let tally = Arc::new(Tally::default());
        let labels = labels(pod);
        let shown = Arc::clone(&tally);
        let page = move || std::future::ready(shown.page(&labels));
        let path = annotation("prometheus.io/path").unwrap_or("/metrics");
        let router = Router::new().route(path, get(page));
        let server: JoinHandle<_> =
            tokio::spawn(async move { axum::serve(listener, router).await });
        Ok(Some(Self {
            tally,
            server: server.abort_handle(),
        }))
    }

    /// Counts an answer.
    pub(crate) fn observer(&self) -> Answered {
        let tally = Arc::clone(&self.tally);
        Arc::new(move |status, took| tally.count(status, took))
    }
}

impl Drop for PodMetrics {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Tally {
    fn count(&self, status: StatusCode, took: Duration) {
        let milliseconds = took.as_secs_f64() * 1_000.0;
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let counted = all.entry(status.as_u16()).or_default();
        counted.requests += 1;
        counted.milliseconds += milliseconds;
        for (bound, count) in BUCKETS.iter().zip(&mut counted.within) {
            if milliseconds <= *bound {
                *count += 1;
            }
        }
    }

    /// In the text format.
    fn page(&self, labels: &str) -> String {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut page = "# TYPE istio_requests_total counter\n".to_owned();
        // Writing to a String can't fail.
        for (status, counted) in &*all {
            let _ = writeln!(
                page,
                "istio_requests_total{{{labels},response_code=\"{status}\"}} {}",
                counted.requests
            );
        }
        page += "# TYPE istio_request_duration_milliseconds histogram\n";
        let name = "istio_request_duration_milliseconds";
        for (status, counted) in &*all {
            let labels = format!("{labels},response_code=\"{status}\"");
            for (bound, count) in BUCKETS.iter().zip(&counted.within) {
                let _ = writeln!(page, "{name}_bucket{{{labels},le=\"{bound}\"}} {count}");
            }
            let (requests, sum) = (counted.requests, counted.milliseconds);
            let _ = writeln!(page, "{name}_bucket{{{labels},le=\"+Inf\"}} {requests}");
            let _ = writeln!(page, "{name}_sum{{{labels}}} {sum}");
            let _ = writeln!(page, "{name}_count{{{labels}}} {requests}");
        }
        page
    }
}

/// The labels that Istio documents (istio.io, "Istio Standard Metrics"), of requests from the stack's client.
fn labels(pod: &Pod) -> String {
    let label = |name: &str| pod.labels().get(name).map(String::as_str);
    let app = label("app").unwrap_or("unknown");
    let version = label("version");
    let namespace = pod.namespace().unwrap_or_default();
    let owner = pod.owner_references().first();
    let owner = owner.map_or_else(|| pod.name_any(), |owner| owner.name.clone());
    // Istio 1.29.1 `pkg/kube/util.go`, `GetWorkloadMetaFromPod`: a ReplicaSet of a Rollout counts as the Rollout.
    let hash = label("rollouts-pod-template-hash").unwrap_or_default();
    let workload = owner.strip_suffix(hash).map_or(owner.as_str(), |name| {
        name.strip_suffix('-').unwrap_or(name)
    });
    let service = format!("{app}.{namespace}.svc.cluster.local");
    [
        ("reporter", "destination"),
        ("source_workload", "client"),
        ("source_workload_namespace", "client"),
        ("source_principal", "unknown"),
        ("source_app", "client"),
        ("source_version", "unknown"),
        ("source_cluster", "Kubernetes"),
        ("source_canonical_service", "client"),
        ("source_canonical_revision", "latest"),
        ("destination_workload", workload),
        ("destination_workload_namespace", &namespace),
        ("destination_principal", "unknown"),
        ("destination_app", app),
        ("destination_version", version.unwrap_or("unknown")),
        ("destination_service", &service),
        ("destination_service_name", app),
        ("destination_service_namespace", &namespace),
        ("destination_cluster", "Kubernetes"),
        ("destination_canonical_service", app),
        (
            "destination_canonical_revision",
            version.unwrap_or("latest"),
        ),
        ("request_protocol", "http"),
        ("response_flags", "-"),
        ("grpc_response_status", ""),
        ("connection_security_policy", "none"),
    ]
    .map(|(name, value)| format!("{name}=\"{value}\""))
    .join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_answered_is_on_the_page() {
        let tally = Tally::default();
        tally.count(StatusCode::OK, Duration::from_micros(700));
        tally.count(StatusCode::OK, Duration::from_millis(30));
        tally.count(StatusCode::INTERNAL_SERVER_ERROR, Duration::ZERO);
        let page = tally.page("reporter=\"destination\"");
        let name = "istio_request_duration_milliseconds";
        let labels = "reporter=\"destination\",response_code=\"200\"";
        for line in [
            format!("istio_requests_total{{{labels}}} 2"),
            "istio_requests_total{reporter=\"destination\",response_code=\"500\"} 1".to_owned(),
            format!("{name}_bucket{{{labels},le=\"0.5\"}} 0"),
            format!("{name}_bucket{{{labels},le=\"1\"}} 1"),
            format!("{name}_bucket{{{labels},le=\"+Inf\"}} 2"),
            format!("{name}_count{{{labels}}} 2"),
        ] {
            assert!(page.lines().any(|found| found == line), "{line}\n{page}");
        }
    }
}
