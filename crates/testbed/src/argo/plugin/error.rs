//! What can go wrong between the controller and its plugin.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use go_gob::DeserializeError;
use thiserror::Error;
use yamux::ConnectionError;

pub use super::convert::ConvertError;
pub use super::encoding::EncodingError;
pub use super::handshake::LineError;

/// Why there is no plugin, or no answer of it.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PluginError {
    /// The program could not be started.
    #[error("cannot start {}", program.display())]
    Start {
        /// The program.
        program: PathBuf,
        /// The system's word.
        source: io::Error,
    },
    /// It closed its stdout before it said anything there; mostly it has ended.
    #[error("{} said nothing on stdout and ended with {status}; its stderr:\n{said}", program.display())]
    Silent {
        /// The program.
        program: PathBuf,
        /// Its status, or why that can't be told.
        status: Box<str>,
        /// The last lines of its stderr.
        said: Box<str>,
    },
    /// Its first line is not a plugin's, or not one that can be followed.
    #[error("{} is not a plugin for this controller: it said {line:?}; its stderr:\n{said}", program.display())]
    NotAPlugin {
        /// The program.
        program: PathBuf,
        /// What it said on stdout.
        line: Box<str>,
        /// The last lines of its stderr.
        said: Box<str>,
        /// What is wrong with the line.
        source: LineError,
    },
    /// It was not ready to be called in time.
    #[error("{} was not ready to be called after {within:?}; its stderr:\n{said}", program.display())]
    NotReady {
        /// The program.
        program: PathBuf,
        /// The time it had.
        within: Duration,
        /// The last lines of its stderr.
        said: Box<str>,
    },
    /// Its socket can't be connected to.
    #[error("cannot connect to the plugin at {}", socket.display())]
    Connect {
        /// The socket.
        socket: PathBuf,
        /// The system's word.
        source: io::Error,
    },
    /// The connection broke before its streams were open.
    #[error("cannot open streams to the plugin")]
    Streams(#[source] ConnectionError),
    /// The stream that was to be dispensed is not acknowledged.
    #[error("the plugin does not acknowledge stream {id}")]
    NotAcknowledged {
        /// The stream's number.
        id: u32,
        /// The system's word.
        source: io::Error,
    },
    /// Something else is acknowledged in its place.
    #[error("the plugin acknowledges stream {found} where {id} is expected")]
    WrongStream {
        /// The stream's number.
        id: u32,
        /// What was acknowledged.
        found: u32,
    },
    /// A Rollout or a step that Go could not decode either.
    #[error("{method}")]
    Arguments {
        /// The call.
        method: &'static str,
        /// The field.
        source: ConvertError,
    },
    /// Arguments that can't be written, such as a Rollout of too many bytes.
    #[error("{method}")]
    Encoding {
        /// The call.
        method: &'static str,
        /// Why.
        source: EncodingError,
    },
    /// The call did not get to the plugin's router: net/rpc's own error.
    #[error("{method} failed: {message}")]
    Failed {
        /// The call.
        method: &'static str,
        /// The error's text.
        message: Box<str>,
    },
    /// The router's error (Go's `RpcError`).
    #[error("{method}: {message}")]
    Refused {
        /// The call.
        method: &'static str,
        /// The error's text.
        message: Box<str>,
    },
    /// An answer of another type.
    #[error("the answer to {method}")]
    Reply {
        /// The call.
        method: &'static str,
        /// What doesn't fit.
        source: DeserializeError,
    },
    /// An answer to `VerifyWeight` that has no meaning.
    #[error("the answer to {method} is {found} where 0, 1 or 2 is expected")]
    Verified {
        /// The call.
        method: &'static str,
        /// What was answered.
        found: i64,
    },
    /// It didn't answer in time, so that it counts as gone.
    #[error("{method}: no answer within {within:?}")]
    Unanswered {
        /// The call.
        method: &'static str,
        /// The time it had.
        within: Duration,
    },
    /// The plugin is gone, or its connection is: it has to be started again.
    #[error("{method}: the plugin is gone: {reason}")]
    Gone {
        /// The call.
        method: &'static str,
        /// How that showed.
        reason: Box<str>,
    },
}
