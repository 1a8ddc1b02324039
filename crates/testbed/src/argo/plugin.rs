//! The controller's side of a traffic-router plugin: starts the program and calls it over go-plugin's net/rpc protocol.
//!
//! Follows hashicorp/go-plugin v1.7.0 `client.go`, `rpc_client.go` and `mux_broker.go`, and argo-rollouts v1.10.1
//! `rollout/trafficrouting/plugin`. Not spoken, as Argo doesn't: the gRPC form and TLS; nor TCP, which only Windows
//! needs. When to start, ping and call is the caller's to know.

mod call;
mod convert;
mod encoding;
mod error;
mod handshake;
mod process;
mod rpc;
mod session;
mod table;

use std::io;
use std::time::Duration;

use serde::Deserialize;
use serde::de::IgnoredAny;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

pub use call::{Answer, Call};
pub use error::{ConvertError, EncodingError, LineError, PluginError};
pub use process::{LogSink, Plan};

use encoding::Arguments;
use process::Process;
use rpc::{CallError, Client};
use session::{Session, Stream};

/// How long a plugin may take until it can be called (hashicorp/go-plugin v1.7.0 `client.go`, `StartTimeout`).
const READY_WITHIN: Duration = Duration::from_mins(1);
/// How long an acknowledged stream is waited for (the same, `mux_broker.go`, where the plugin's side has this limit).
const ACKNOWLEDGED_WITHIN: Duration = Duration::from_secs(5);
/// How long a plugin that was told to quit may take (the same, `client.go`, `Kill`).
const QUIT_WITHIN: Duration = Duration::from_secs(2);
/// How long the status of a program that closed its stdout is waited for.
const STATUS_WITHIN: Duration = Duration::from_secs(1);
/// The name by which the router is dispensed (argo-rollouts v1.10.1 `rollout/trafficrouting/plugin/client/client.go`,
/// `pluginMap`).
const ROUTER: &str = "RpcTrafficRouterPlugin";

/// A plugin that runs and has its router dispensed. Its process is killed when this is dropped.
#[derive(Debug)]
pub struct Plugin {
    process: Process,
    connection: Connection,
}

#[derive(Debug)]
struct Connection {
    control: Client,
    router: Client,
    _session: Session,
}

/// Go's `types.RpcError` (argo-rollouts v1.10.1 `utils/plugin/types/types.go`); empty for success.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct RpcError {
    error_string: String,
}

/// Go's `rpc.VerifyWeightResponse`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct VerifyWeightResponse {
    verified: i64,
    err: RpcError,
}

impl Plugin {
    /// Starts the program, up to and including `Dispense`. [`Call::InitPlugin`] should come first then.
    ///
    /// A program that is no plugin, or does not get there within a minute, is ended, and the error shows what it said.
    pub async fn start(plan: &Plan, log: LogSink) -> Result<Self, PluginError> {
        Self::start_within(plan, log, READY_WITHIN).await
    }

    /// Like [`start`](Self::start), with another time limit.
    pub async fn start_within(
        plan: &Plan,
        log: LogSink,
        within: Duration,
    ) -> Result<Self, PluginError> {
        let program = plan.program.clone();
        let mut process = match Process::start(plan, log) {
            Ok(process) => process,
            Err(source) => return Err(PluginError::Start { program, source }),
        };
        let fault = match tokio::time::timeout(within, connect(&mut process)).await {
            Ok(Ok(connection)) => {
                return Ok(Self {
                    process,
                    connection,
                });
            }
            Ok(Err(fault)) => fault,
            Err(_) => Fault::Late,
        };
        let wait = match fault {
            Fault::Silent => STATUS_WITHIN,
            _ => Duration::ZERO,
        };
        let ended = process.end(wait).await;
        let said = ended.said.into();
        Err(match fault {
            Fault::Silent => PluginError::Silent {
                program,
                status: match ended.status {
                    Ok(status) => status.to_string().into(),
                    Err(error) => error.to_string().into(),
                },
                said,
            },
            Fault::Line { line, source } => PluginError::NotAPlugin {
                program,
                line,
                said,
                source,
            },
            Fault::Late => PluginError::NotReady {
                program,
                within,
                said,
            },
            Fault::Other(error) => error,
        })
    }

    /// The number of its process.
    pub fn process(&self) -> u32 {
        self.process.id()
    }

    /// True once its process has ended (hashicorp/go-plugin v1.7.0 `client.go`, `Exited`).
    pub fn has_ended(&self) -> bool {
        self.process.has_ended()
    }

    /// Asks for a sign of life on the control stream, as the controller does before each use.
    pub async fn ping(&self) -> Result<(), PluginError> {
        let method = "Ping";
        let pinged = self
            .connection
            .control
            .call("Control.Ping", true_argument());
        let _: IgnoredAny = pinged.await.map_err(|error| fault(method, error))?;
        Ok(())
    }

    /// Calls the router. Calls may overlap. There is no time limit, as in Go; dropping the future gives up the answer,
    /// not the call.
    pub async fn call(&self, call: &Call) -> Result<Answer, PluginError> {
        let method = call.method();
        let arguments = call
            .arguments()
            .map_err(|source| PluginError::Arguments { method, source })?;
        let name = format!("Plugin.{method}");
        let router = &self.connection.router;
        let failed = |error| fault(method, error);
        match call {
            Call::Type => {
                let text = router.call(&name, arguments).await.map_err(failed)?;
                Ok(Answer::Text(text))
            }
            Call::VerifyWeight { .. } => {
                let response: VerifyWeightResponse =
                    router.call(&name, arguments).await.map_err(failed)?;
                accepted(method, response.err)?;
                Ok(Answer::Verified(match response.verified {
                    0 => Some(false),
                    1 => Some(true),
                    2 => None,
                    found => return Err(PluginError::Verified { method, found }),
                }))
            }
            _ => {
                let error = router.call(&name, arguments).await.map_err(failed)?;
                accepted(method, error)?;
                Ok(Answer::Done)
            }
        }
    }

    /// Tells it to quit, and kills it if it has not within two seconds. Its last log lines are heard. It is reaped.
    pub async fn stop(self) {
        let Self {
            process,
            connection,
        } = self;
        let quit = async {
            // If it can't be told, the end of its connection says it too.
            let _: Result<IgnoredAny, _> = connection
                .control
                .call("Control.Quit", true_argument())
                .await;
        };
        let began = tokio::time::Instant::now();
        let _ = tokio::time::timeout(QUIT_WITHIN, quit).await;
        drop(connection);
        process
            .end(QUIT_WITHIN.saturating_sub(began.elapsed()))
            .await;
    }

    /// Kills it at once (SIGKILL), as a crash would, and reaps it. Calls that are still out fail with
    /// [`PluginError::Gone`].
    pub async fn kill(&self) {
        self.process.end(Duration::ZERO).await;
    }
}

/// Why a program that was started is not a plugin that can be called.
enum Fault {
    /// No line on stdout.
    Silent,
    /// Another line on stdout.
    Line {
        line: Box<str>,
        source: LineError,
    },
    /// The time is up.
    Late,
    Other(PluginError),
}

impl From<PluginError> for Fault {
    fn from(error: PluginError) -> Self {
        Self::Other(error)
    }
}

/// From the handshake to the dispensed router.
async fn connect(process: &mut Process) -> Result<Connection, Fault> {
    // What can't be read is as good as closed.
    let Ok(Some(line)) = process.first_line().await else {
        return Err(Fault::Silent);
    };
    let socket = handshake::socket(&line).map_err(|source| Fault::Line {
        line: line.as_str().into(),
        source,
    })?;
    let stream = UnixStream::connect(&socket)
        .await
        .map_err(|source| PluginError::Connect { socket, source })?;
    let (session, streams) = Session::open(stream).await.map_err(PluginError::Streams)?;
    let control = Client::over(streams.control);
    let id: u32 = control
        .call("Dispenser.Dispense", Arguments::Text(ROUTER))
        .await
        .map_err(|error| fault("Dispense", error))?;
    let router = Client::over(dispense(streams.dispensed, id).await?);
    Ok(Connection {
        control,
        router,
        _session: session,
    })
}

/// Opens the stream that was announced as `id` (hashicorp/go-plugin v1.7.0 `mux_broker.go`, `Dial`).
async fn dispense(mut stream: Stream, id: u32) -> Result<Stream, PluginError> {
    let acknowledged = async {
        stream.write_u32_le(id).await?;
        stream.flush().await?;
        stream.read_u32_le().await
    };
    let found = tokio::time::timeout(ACKNOWLEDGED_WITHIN, acknowledged)
        .await
        .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
        .map_err(|source| PluginError::NotAcknowledged { id, source })?;
    if found == id {
        Ok(stream)
    } else {
        Err(PluginError::WrongStream { id, found })
    }
}

/// What `Control`'s methods are called with; it means nothing.
fn true_argument() -> Arguments {
    Arguments::Flag(true)
}

fn accepted(method: &'static str, error: RpcError) -> Result<(), PluginError> {
    if error.error_string.is_empty() {
        return Ok(());
    }
    Err(PluginError::Refused {
        method,
        message: error.error_string.into(),
    })
}

fn fault(method: &'static str, error: CallError) -> PluginError {
    match error {
        CallError::Encoding(source) => PluginError::Encoding { method, source },
        CallError::Failed(message) => PluginError::Failed { method, message },
        CallError::Reply(source) => PluginError::Reply { method, source },
        CallError::Gone(reason) => PluginError::Gone { method, reason },
    }
}
