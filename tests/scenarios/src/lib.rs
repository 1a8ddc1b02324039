//! Scenarios: a canary as a user sees it, written down as a table (`tests/e2e/<scenario>`), driven on a cluster under
//! load, and judged by what the load saw.
//!
//! What a cluster is made of is not known here: a [`Stack`] is a Kubernetes API and two proxies. The real stack
//! (`tests/real-stack`) and the embedded cluster (`crates/testbed`) run the same tables.

mod api;
mod contain;
mod drive;
mod error;
mod judge;
mod recorder;
mod report;
mod run;
mod scenario;

pub use api::{CRD, Cluster, Kind, read_yaml};
pub use drive::{Filter, Outturn, Pace, Shared, Stack};
pub use error::Error;
pub use judge::RATE;
pub use recorder::Copies;
pub use report::{figures, passed, summary};
pub use run::run_all;
pub use scenario::{Module, Scenario, read_all, to_built_in};
pub use testbed::mesh::Via;
