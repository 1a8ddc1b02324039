//! HashiCorp go-plugin's net/rpc protocol, the plugin's side.
//!
//! A host written in Go (hashicorp/go-plugin v1.7.0, its default protocol) starts the program,
//! reads one line from its stdout, connects to the unix socket named there, and calls methods:
//! gob messages (Go's `net/rpc`) in yamux streams. This crate speaks all of that and knows nothing
//! of what is called; gob itself is the crate `go-gob`, here as [`gob`].
//!
//! ```no_run
//! use std::sync::Arc;
//! use go_plugin::gob::{Encoded, Value};
//! use go_plugin::{CallError, CallFuture, Handshake, Reply, ReplyType, Server, Service};
//!
//! struct Greeter;
//!
//! impl Service for Greeter {
//!     fn call(&self, method: &str, args: Encoded<'_>) -> CallFuture {
//!         let reply = match method {
//!             "Greet" => args
//!                 .deserialize::<String>()
//!                 .map(|name| Reply::new(&ReplyType::String, Value::string(format!("hello {name}"))))
//!                 .map_err(CallError::Arguments),
//!             _ => Err(CallError::UnknownMethod { method: method.into() }),
//!         };
//!         Box::pin(async { reply })
//!     }
//! }
//!
//! #[tokio::main(flavor = "current_thread")]
//! async fn main() -> std::process::ExitCode {
//!     let handshake = Handshake {
//!         cookie_key: "GREETER_PLUGIN",
//!         cookie_value: "hello",
//!         protocol_version: 1,
//!     };
//!     let server = Server::new(handshake).plugin("greeter", Arc::new(Greeter));
//!     go_plugin::exit_code(server.serve().await)
//! }
//! ```
//!
//! Not spoken: the gRPC form, TLS, and TCP in place of the unix socket.

mod broker;
mod chain;
mod control;
mod handshake;
pub mod hclog;
mod net_rpc;
mod parent;
mod server;
mod session;
mod socket;

pub use chain::Chain;
pub use go_gob as gob;
pub use handshake::{Handshake, HandshakeError};
pub use net_rpc::{CallError, CallFuture, Reply, ReplyType, Service};
pub use server::{ServeError, Server, exit_code};
pub use socket::SocketError;
