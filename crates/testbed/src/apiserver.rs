//! A small Kubernetes API server in this process, for fast tests and the demo.
//!
//! It serves plain HTTP on a loopback port to any client (kube, `kubectl`, client-go with JSON) and
//! answers as kube-apiserver does: verbs, `resourceVersion`, generation, subresources, watches with
//! bookmarks and `410`, and errors in the same words. A table of requests (`tests/conformance.rs`)
//! holds both servers to the same answers.
//!
//! What it doesn't have: schemas (no defaults, no pruning, no validation beyond metadata),
//! controllers and garbage collection (a namespace is emptied at once when it is deleted), strategic
//! merge (`415`), YAML bodies, protobuf, authentication.
//!
//! Server-side apply is there, with the record of field ownership that it needs. It differs from the
//! real server's in two ways: all lists are atomic, also those that Kubernetes merges by key (`ports`
//! of a Service, `containers` of a Pod, `metadata.finalizers`); and the record of an object starts
//! with its first apply, so that objects nobody applies show no `managedFields`.
//!
//! ```
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use testbed::apiserver::{Action, ApiServer, Fault, Verb};
//!
//! let server = ApiServer::start().await?;
//! server.faults().add(Fault::new(Action::Forbid).verb(Verb::Patch).resource("virtualservices"));
//! println!("{}", server.kubeconfig());
//! # Ok(()) }
//! # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(example()).unwrap();
//! ```

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};

mod apply;
mod discovery;
mod faults;
mod log;
pub(crate) mod object;
mod patch;
mod query;
mod request;
mod resource;
mod selector;
mod serve;
mod status;
mod store;
mod verbs;
mod watch;
mod wire;

pub use faults::{Action, Fault, FaultId, Faults};
pub use log::Request;
pub use request::Verb;
pub use resource::{RESOURCES, Resource, TRAFFIC_EXTENSIONS};
pub use status::{InvalidField, Status};
pub use store::{Change, ChangeKind, Changes, ObjectRef, Store};

use serve::Server;

/// Namespaces that are there from the start.
const NAMESPACES: &[&str] = &["default", "kube-system", "istio-system"];

/// The server couldn't start.
#[derive(Debug, thiserror::Error)]
#[error("embedded API server: can't listen on {address}")]
pub struct StartError {
    address: SocketAddr,
    source: io::Error,
}

/// A running server. Dropping it closes every connection and frees the port.
#[derive(Debug)]
pub struct ApiServer {
    address: SocketAddr,
    server: Server,
    accepting: JoinHandle<()>,
}

impl ApiServer {
    /// Starts a server that serves [`RESOURCES`], on a free port of 127.0.0.1. Needs a tokio runtime
    /// with I/O and time.
    pub async fn start() -> Result<Self, StartError> {
        Self::start_with(&[]).await
    }

    /// Starts a server that serves these resources as well.
    pub async fn start_with(more: &[Resource]) -> Result<Self, StartError> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let failed = |source| StartError { address, source };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let server = Server {
            store: Store::new(RESOURCES.iter().chain(more).copied().collect()),
            faults: Faults::new(),
            log: log::Log::default(),
        };
        for namespace in NAMESPACES {
            // Can't fail: namespaces are in the table, and these names are valid.
            drop(server.store.ensure_namespace(namespace));
        }
        let accepting = tokio::spawn(accept(listener, server.clone()));
        Ok(Self {
            address,
            server,
            accepting,
        })
    }

    /// Where it listens: `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// A kubeconfig document (YAML) for this server.
    pub fn kubeconfig(&self) -> String {
        format!(
            "apiVersion: v1\n\
             kind: Config\n\
             clusters: [{{name: embedded, cluster: {{server: \"{}\"}}}}]\n\
             users: [{{name: embedded, user: {{}}}}]\n\
             contexts: [{{name: embedded, context: {{cluster: embedded, user: embedded}}}}]\n\
             current-context: embedded\n",
            self.url()
        )
    }

    /// The objects, without HTTP.
    pub fn store(&self) -> &Store {
        &self.server.store
    }

    /// The faults in force.
    pub fn faults(&self) -> &Faults {
        &self.server.faults
    }

    /// All requests since the start or the last [`take_requests`](Self::take_requests).
    pub fn requests(&self) -> Vec<Request> {
        self.server.log.all()
    }

    /// As [`requests`](Self::requests), and forgets them.
    pub fn take_requests(&self) -> Vec<Request> {
        self.server.log.take()
    }

    /// Closes every connection and frees the port, and waits until that is done.
    pub async fn shutdown(mut self) {
        self.accepting.abort();
        // The only way for this task to end is the abort.
        drop((&mut self.accepting).await);
    }
}

impl Drop for ApiServer {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// Serves connections until it is aborted, which aborts them too.
async fn accept(listener: TcpListener, server: Server) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                // A client that is gone before it was accepted is no trouble of ours.
                let Ok((stream, _)) = accepted else { continue };
                drop(stream.set_nodelay(true));
                let server = server.clone();
                connections.spawn(async move {
                    let service = service_fn(move |request| server.clone().handle(request));
                    let connection = http1::Builder::new()
                        .timer(TokioTimer::new())
                        .serve_connection(TokioIo::new(stream), service);
                    // Clients hang up and faults drop connections: neither is worth a word.
                    drop(connection.await);
                });
            }
            Some(_) = connections.join_next() => {}
        }
    }
}
