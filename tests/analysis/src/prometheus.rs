//! A Prometheus of one run: started with the configuration that [`crate::promtool`] has written, and asked over its API.

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::Value;
use testbed::probe;
use tokio::process::{Child, Command};

use crate::Failure;

/// Where it listens. The run's network is its own.
const ADDRESS: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 9090);
/// As the templates' argument `prometheus`.
pub(crate) const URL: &str = "http://127.0.0.1:9090";
const READY_WITHIN: Duration = Duration::from_mins(1);

/// It ends with this.
pub(crate) struct Prometheus {
    _child: Child,
}

impl Prometheus {
    /// Returns once it answers.
    pub(crate) async fn start(folder: &Path) -> Result<Self, Failure> {
        let log = File::create(folder.join("prometheus.log"))?;
        let child = Command::new("prometheus")
            .current_dir(folder)
            .args(["--config.file=prometheus.yaml", "--storage.tsdb.path=data"])
            .arg(format!("--web.listen-address={ADDRESS}"))
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| format!("prometheus: {error}"))?;
        let began = Instant::now();
        while let Err(error) = probe::get(ADDRESS, "/-/ready").await {
            if began.elapsed() > READY_WITHIN {
                return Err(format!("prometheus is not ready: {error}").into());
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        Ok(Self { _child: child })
    }

    /// The series of an instant query.
    pub(crate) async fn query(&self, query: &str) -> Result<Vec<Value>, Failure> {
        let encoded: String = form_urlencoded::byte_serialize(query.as_bytes()).collect();
        let answer = self.get(&format!("/api/v1/query?query={encoded}")).await;
        let answer = answer.map_err(|error| format!("{query}: {error}"))?;
        let series = answer.pointer("/data/result").and_then(Value::as_array);
        Ok(series.cloned().unwrap_or_default())
    }

    /// All rules that it has loaded, each with its state.
    pub(crate) async fn rules(&self) -> Result<Vec<Value>, Failure> {
        let answer = self.get("/api/v1/rules").await?;
        let groups = answer.pointer("/data/groups").and_then(Value::as_array);
        Ok(groups
            .into_iter()
            .flatten()
            .filter_map(|group| group.pointer("/rules")?.as_array())
            .flatten()
            .cloned()
            .collect())
    }

    async fn get(&self, path: &str) -> Result<Value, Failure> {
        Ok(serde_json::from_str(&probe::get(ADDRESS, path).await?)?)
    }
}
