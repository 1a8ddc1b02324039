//! What a plugin implements: methods by name, from gob arguments to gob replies.

use std::error::Error;
use std::future::Future;
use std::pin::Pin;

use thiserror::Error as ThisError;

use crate::gob::{DeserializeError, Encoded, Value};

/// A call under way.
pub type CallFuture = Pin<Box<dyn Future<Output = Result<Reply, CallError>> + Send>>;

/// Methods that the host can call. What Go's net/rpc finds by reflection.
pub trait Service: Send + Sync + 'static {
    /// Starts a call. The arguments have to be read before this returns; the future runs beside
    /// other calls.
    fn call(&self, method: &str, args: Encoded<'_>) -> CallFuture;
}

/// An answer: a value and its type.
#[derive(Clone, Debug, PartialEq)]
pub struct Reply {
    pub(crate) kind: &'static ReplyType,
    pub(crate) value: Value,
}

impl Reply {
    /// A value of type `kind`. If it is not, the call is answered with an error.
    pub fn new(kind: &'static ReplyType, value: Value) -> Self {
        Self { kind, value }
    }
}

/// The type of an answer, as a constant of the plugin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReplyType {
    /// Go's `bool`.
    Bool,
    /// A signed integer of any width.
    Int,
    /// An unsigned integer of any width.
    Uint,
    /// Go's `string`.
    String,
    /// Go's `[]byte`.
    Bytes,
    /// A Go struct.
    Struct {
        /// Go's name without the package.
        name: &'static str,
        /// Exported fields, by Go's names.
        fields: &'static [(&'static str, ReplyType)],
    },
}

/// Why a call has no answer. The host sees the whole chain as the call's error.
#[derive(Debug, ThisError)]
#[non_exhaustive]
pub enum CallError {
    /// There is no such method. (The words are Go's.)
    #[error("rpc: can't find method {method}")]
    UnknownMethod {
        /// Its name.
        method: Box<str>,
    },
    /// There is no such plugin. (The words are Go's.)
    #[error("unknown plugin type: {name}")]
    UnknownPlugin {
        /// Its name.
        name: Box<str>,
    },
    /// The arguments are not what the method takes.
    #[error("arguments")]
    Arguments(#[source] DeserializeError),
    /// The arguments are of another registered type.
    #[error("arguments of type {found:?}, expected {expected:?}")]
    ArgumentType {
        /// The name they came with.
        found: Box<str>,
        /// The name they should have.
        expected: &'static str,
    },
    /// The method failed.
    #[error(transparent)]
    Failed(Box<dyn Error + Send + Sync>),
    /// The method panicked; stderr says where.
    #[error("the call panicked")]
    Panicked,
}
