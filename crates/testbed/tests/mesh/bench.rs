//! What the tests share: a store, a mesh that follows it, pods that answer, and requests.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::Method;
use serde_json::{Value, json};
use testbed::apiserver::{ApiServer, ObjectRef};
use testbed::echo::{Answer, Echo, Identity};
use testbed::envoy::{Connection, Reply};
use testbed::load::{Load, Sample, Stream};
use testbed::mesh::{Mesh, Via};

/// A file that `cargo xtask test` names in the environment; says so if there is none.
pub(crate) fn given(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os(name).map(PathBuf::from);
    if path.is_none() {
        // Past the test harness, which shows only what failed tests print.
        let _ = writeln!(
            std::io::stderr(),
            "skipped: {name} is not set; cargo xtask test sets it"
        );
    }
    path
}

/// How long a pod goes on after the last request has been sent to it.
const PRE_STOP: Duration = Duration::from_millis(300);

pub(crate) const NAMESPACE: &str = "shop";
pub(crate) const GATEWAY_HOST: &str = "shop.example.com";

/// A store, its mesh, and the pods.
pub(crate) struct Bench {
    pub(crate) server: ApiServer,
    pub(crate) mesh: Mesh,
    pub(crate) folder: tempfile::TempDir,
    module: PathBuf,
    pods: BTreeMap<String, Echo>,
    copies: Arc<Mutex<BTreeMap<String, u32>>>,
}

impl Bench {
    /// A mesh that knows a Gateway for [`GATEWAY_HOST`] and the Service `web`; `None` if there is no Envoy to run.
    pub(crate) async fn start() -> Option<Self> {
        let (envoy, module) = (given("SERIN_ENVOY")?, given("SERIN_FILTER_WASM")?);
        let server = ApiServer::start().await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let mesh = Mesh::start(server.store(), &envoy, folder.path()).await;
        let mesh =
            mesh.unwrap_or_else(|error| panic!("{error}: {:?}", std::error::Error::source(&error)));
        let bench = Self {
            server,
            mesh,
            folder,
            module,
            pods: BTreeMap::new(),
            copies: Arc::default(),
        };
        bench.put(gateway());
        bench.put(service("web"));
        Some(bench)
    }

    pub(crate) fn put(&self, object: Value) {
        self.server.store().put(object).unwrap();
    }

    pub(crate) fn delete(&self, resource: &str, name: &str) {
        self.server
            .store()
            .delete(&ObjectRef::new(resource, NAMESPACE, name))
            .unwrap();
    }

    pub(crate) async fn settled(&self) {
        self.mesh
            .settled()
            .await
            .unwrap_or_else(|error| panic!("{error}"));
    }

    /// Starts an application and puts the pod in which it is; it has the label `app` and these.
    pub(crate) async fn pod(&mut self, app: &str, name: &str, labels: &[(&str, &str)]) {
        let identity = Identity {
            pod: name.to_owned(),
            namespace: NAMESPACE.to_owned(),
            app: app.to_owned(),
            ..Identity::default()
        };
        let (copies, pod) = (Arc::clone(&self.copies), name.to_owned());
        let any = ["127.0.0.1:0".parse().unwrap()];
        let echo = Echo::start(
            identity,
            &any,
            Arc::new(move |seen| {
                if seen.copy {
                    *copies.lock().unwrap().entry(pod.clone()).or_default() += 1;
                }
            }),
        );
        let echo = echo.await.unwrap();
        let mut all = json!({"app": app});
        for (key, value) in labels {
            all[*key] = json!(value);
        }
        self.put(json!({
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": name,
                "namespace": NAMESPACE,
                "labels": all,
                // Deleted, it stays until its process has ended.
                "finalizers": ["testbed/stop"],
                "annotations": {"testbed/served-at": format!("8080={}", echo.addresses()[0])},
            },
            "spec": {"containers": [{"name": "app", "image": "app"}]},
            "status": {"conditions": [{"type": "Ready", "status": "True"}]},
        }));
        self.pods.insert(name.to_owned(), echo);
    }

    /// Takes a pod away as kubelet does where there is a `preStop` sleep: out of the endpoints first; its process goes on
    /// until it has answered what was on its way.
    pub(crate) async fn remove(&mut self, name: &str) {
        let at = ObjectRef::new("pods", NAMESPACE, name);
        self.server.store().delete(&at).unwrap();
        self.settled().await;
        tokio::time::sleep(PRE_STOP).await;
        self.pods.remove(name).unwrap().stop().await;
        self.server
            .store()
            .patch(&at, &json!({"metadata": {"finalizers": null}}))
            .unwrap();
    }

    /// Mirrored copies that each pod has seen.
    pub(crate) fn copies(&self) -> BTreeMap<String, u32> {
        self.copies.lock().unwrap().clone()
    }

    /// The WasmPlugin `name` with the filter, for all proxies.
    pub(crate) fn plugin(&self, name: &str, config: Value) {
        self.put(json!({
            "apiVersion": "extensions.istio.io/v1alpha1",
            "kind": "WasmPlugin",
            "metadata": {"name": name, "namespace": "istio-system"},
            "spec": {
                "url": format!("file://{}", self.module.display()),
                "failStrategy": "FAIL_OPEN",
                "pluginConfig": config,
                "match": [{"mode": "CLIENT"}],
            },
        }));
    }

    /// One request on a connection of its own.
    pub(crate) async fn ask(&self, via: Via, start: &str, host: &str, lines: &[&str]) -> Reply {
        let target = self.mesh.target(via);
        let start = start.to_owned();
        let lines: Vec<String> = std::iter::once(format!("host: {host}"))
            .chain(lines.iter().map(|&line| line.to_owned()))
            .collect();
        let answer = tokio::task::spawn_blocking(move || {
            let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
            Connection::open(target)
                .unwrap()
                .send(&start, &lines)
                .unwrap()
        });
        answer.await.unwrap()
    }

    /// The answer of the application to `GET path`, or the status that came instead.
    pub(crate) async fn get(
        &self,
        via: Via,
        host: &str,
        path: &str,
        lines: &[&str],
    ) -> Result<Answer, u16> {
        let reply = self.ask(via, &format!("GET {path}"), host, lines).await;
        if reply.status == 200 {
            Ok(serde_json::from_str(&reply.body).unwrap())
        } else {
            Err(reply.status)
        }
    }

    /// How often each pod answers 200 requests of the kind.
    pub(crate) async fn shares(
        &self,
        via: Via,
        host: &str,
        lines: &[&str],
    ) -> BTreeMap<String, u32> {
        let target = self.mesh.target(via);
        let lines: Vec<String> = std::iter::once(format!("host: {host}"))
            .chain(lines.iter().map(|&line| line.to_owned()))
            .collect();
        let asked = tokio::task::spawn_blocking(move || {
            let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
            let mut connection = Connection::open(target).unwrap();
            let mut shares = BTreeMap::new();
            for _ in 0..200 {
                let reply = connection.send("GET /", &lines).unwrap();
                assert_eq!(reply.status, 200, "{reply:?}");
                let answer: Answer = serde_json::from_str(&reply.body).unwrap();
                *shares.entry(answer.identity.pod).or_default() += 1;
            }
            shares
        });
        asked.await.unwrap()
    }

    /// Begins a steady stream through each proxy.
    pub(crate) fn load(&self, headers: &[(&str, &str)]) -> Watched {
        let samples: Arc<Mutex<Vec<(Via, Sample)>>> = Arc::default();
        let loads =
            [(Via::Sidecar, "web.shop"), (Via::Gateway, GATEWAY_HOST)].map(|(via, host)| {
                let samples = Arc::clone(&samples);
                let stream = Stream {
                    target: self.mesh.target(via),
                    authority: host.to_owned(),
                    path: "/".to_owned(),
                    method: Method::GET,
                    headers: headers
                        .iter()
                        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                        .collect(),
                    http2: false,
                    users: None,
                    front: None,
                    rate: 400,
                    connections: 4,
                    timeout: Duration::from_secs(20),
                };
                Load::start(
                    stream,
                    &(Arc::new(move |sample| samples.lock().unwrap().push((via, sample))) as _),
                )
            });
        Watched { loads, samples }
    }
}

/// A stream through each proxy, and what became of it.
pub(crate) struct Watched {
    loads: [Load; 2],
    samples: Arc<Mutex<Vec<(Via, Sample)>>>,
}

impl Watched {
    /// Ends the load; who answered, by the order in which requests were sent. Fails if a request did.
    pub(crate) async fn end(self) -> BTreeMap<Via, Vec<String>> {
        for load in self.loads {
            load.stop().await;
        }
        let mut samples = std::mem::take(&mut *self.samples.lock().unwrap());
        samples.sort_by_key(|(_, sample)| sample.sent);
        let mut answers: BTreeMap<Via, Vec<String>> = BTreeMap::new();
        let mut failures = Vec::new();
        for (via, sample) in samples {
            match sample.outcome {
                Ok(answer) => answers
                    .entry(via)
                    .or_default()
                    .push(answer.identity.pod.clone()),
                Err(error) => failures.push(format!("{via:?}: {error}")),
            }
        }
        let sent: usize = answers.values().map(Vec::len).sum();
        assert!(
            failures.is_empty(),
            "{} of {} failed: {failures:?}",
            failures.len(),
            sent + failures.len()
        );
        assert!(answers.len() == 2, "both proxies have carried requests");
        println!("{sent} requests, none failed");
        answers
    }
}

pub(crate) fn service(name: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {"selector": {"app": name}, "ports": [{"name": "http", "port": 80, "targetPort": 8080}]},
    })
}

fn gateway() -> Value {
    json!({
        "apiVersion": "networking.istio.io/v1",
        "kind": "Gateway",
        "metadata": {"name": "edge", "namespace": NAMESPACE},
        "spec": {
            "selector": {"istio": "ingressgateway"},
            "servers": [{"port": {"number": 80, "name": "http", "protocol": "HTTP"}, "hosts": [GATEWAY_HOST]}],
        },
    })
}

/// The VirtualService `name` with these HTTP routes, for the Service of its name and the gateway's host.
pub(crate) fn virtual_service(name: &str, http: Value) -> Value {
    json!({
        "apiVersion": "networking.istio.io/v1",
        "kind": "VirtualService",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {"hosts": [name, GATEWAY_HOST], "gateways": ["mesh", "edge"], "http": http},
    })
}

/// The DestinationRule of `web`: subsets by their label `version`.
pub(crate) fn rule(subsets: &[(&str, &str)]) -> Value {
    let subsets: Vec<Value> = subsets
        .iter()
        .map(|(name, version)| json!({"name": name, "labels": {"version": version}}))
        .collect();
    json!({
        "apiVersion": "networking.istio.io/v1",
        "kind": "DestinationRule",
        "metadata": {"name": "web", "namespace": NAMESPACE},
        "spec": {"host": "web", "subsets": subsets},
    })
}

/// The route `primary` of `web` with these weights by subset.
pub(crate) fn primary(weights: &[(&str, u32)]) -> Value {
    let route: Vec<Value> = weights
        .iter()
        .map(|(subset, weight)| json!({"destination": {"host": "web", "subset": subset}, "weight": weight}))
        .collect();
    json!({"name": "primary", "route": route})
}

/// The route that a lane takes, above `primary`.
pub(crate) fn lane(lane: &str, subset: &str) -> Value {
    json!({
        "name": format!("serin-shop.web.{lane}"),
        "match": [{"headers": {"x-rollout-lane.shop.web": {"exact": lane}}}],
        "route": [{"destination": {"host": "web", "subset": subset}}],
    })
}

/// A configuration of the filter: requests with `x-beta: 1` take this lane.
pub(crate) fn beta(lane: &str) -> Value {
    json!({"rollouts": {"shop/web": {
        "hosts": ["web.shop.svc.cluster.local", GATEWAY_HOST],
        "virtualServices": {"shop/web": ["primary"]},
        "rules": [{"name": "beta", "lane": lane, "match": [{"headers": {"x-beta": {"exact": "1"}}}]}],
    }}})
}
