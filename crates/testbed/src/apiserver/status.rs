//! What the server answers instead of an object: `meta/v1.Status`.
//!
//! Codes, reasons and messages are those of `k8s.io/apimachinery/pkg/api/errors`, since clients
//! (kube, client-go, `kubectl`) decide by them.

use serde_json::{Value, json};

mod answers;
mod apply;
mod field;

pub use field::InvalidField;

/// A failure as the API server reports it (`metav1.Status`).
///
/// It is an answer rather than a fault of this program, so its message is free text in the real
/// server's words; tell failures apart by [`code`](Self::code) and [`reason`](Self::reason).
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{code} {reason}: {message}")]
pub struct Status {
    /// HTTP status code.
    pub code: u16,
    /// `metav1.StatusReason`: `NotFound`, `Conflict`, ...; empty if unknown.
    pub reason: &'static str,
    /// What a person reads.
    pub message: String,
    /// `metav1.StatusDetails`, or null.
    pub details: Value,
}

impl Status {
    fn new(code: u16, reason: &'static str, message: String, details: Value) -> Self {
        Self {
            code,
            reason,
            message,
            details,
        }
    }

    /// The wire form.
    pub fn to_json(&self) -> Value {
        let mut body = json!({
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "code": self.code,
        });
        if let Some(map) = body.as_object_mut() {
            if !self.reason.is_empty() {
                map.insert("reason".to_owned(), Value::from(self.reason));
            }
            if !self.details.is_null() {
                map.insert("details".to_owned(), self.details.clone());
            }
        }
        body
    }
}
