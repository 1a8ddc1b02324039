//! The thin shell around the API server: reads from a watch cache, guarded writes.

mod cache;
mod error;
mod write;

use kube::Client;

pub use cache::{ALL_NAMESPACES, Cache};
pub use error::ClusterError;
pub use write::Written;

/// The cluster: what the core needs to observe, and how its writes get there.
pub struct Cluster {
    pub(crate) cache: Cache,
    client: Client,
}

impl Cluster {
    /// Reads and writes through `client`. Nothing is requested until something is asked for.
    pub fn new(client: Client) -> Self {
        Self {
            cache: Cache::new(client.clone()),
            client,
        }
    }
}
