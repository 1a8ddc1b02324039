//! The broker: streams that were announced by a number in some answer, and that begin with it
//! (hashicorp/go-plugin v1.7.0 `mux_broker.go`).

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::net_rpc::{self, Service, Services};
use crate::session::Stream;

/// How long an announced stream is waited for, and a stream's number.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Announced numbers and what will be served there.
#[derive(Clone, Default)]
pub(crate) struct Broker {
    announced: Arc<Mutex<HashMap<u32, Arc<dyn Service>>>>,
    last: Arc<AtomicU32>,
}

impl Broker {
    /// A number by which the host may reach `service`, for a while.
    pub(crate) fn announce(&self, service: Arc<dyn Service>) -> u32 {
        let id = self.last.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
        self.lock().insert(id, service);
        let broker = self.clone();
        tokio::spawn(async move {
            tokio::time::sleep(TIMEOUT).await;
            broker.lock().remove(&id);
        });
        id
    }

    /// Serves what was announced under the number that the stream begins with.
    pub(crate) async fn connect(
        self,
        mut stream: Stream,
        calls: TaskTracker,
        connection: CancellationToken,
    ) {
        let id = match tokio::time::timeout(TIMEOUT, stream.read_u32_le()).await {
            Ok(Ok(id)) => id,
            Ok(Err(error)) => {
                tracing::debug!(%error, "a stream ended before its number");
                return;
            }
            Err(_) => {
                tracing::warn!("a stream did not say its number");
                return;
            }
        };
        let Some(service) = self.lock().remove(&id) else {
            tracing::warn!(
                id,
                "a stream under a number that was not announced, or too late"
            );
            return;
        };
        let acknowledged = async {
            stream.write_u32_le(id).await?;
            stream.flush().await
        };
        if let Err(error) = acknowledged.await {
            tracing::debug!(%error, id, "a stream ended before it was acknowledged");
            return;
        }
        let services = Services::default().with("Plugin", service);
        net_rpc::serve(stream, services, calls, connection).await;
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<u32, Arc<dyn Service>>> {
        self.announced
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}
