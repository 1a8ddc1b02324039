//! Answers: a header, then the reply or, with an error, an empty struct.

use std::io;

use thiserror::Error;
use tokio::io::{AsyncWrite, AsyncWriteExt};

use super::{CallError, Reply, ReplyType, Request};
use crate::chain::Chain;
use crate::gob::{EncodeError, Encoder, TypeError, TypeId, Types, Value};

/// Go's `rpc.Response`.
static RESPONSE: ReplyType = ReplyType::Struct {
    name: "Response",
    fields: &[
        ("ServiceMethod", ReplyType::String),
        ("Seq", ReplyType::Uint),
        ("Error", ReplyType::String),
    ],
};
/// Go's `rpc.invalidRequest`.
static INVALID_REQUEST: ReplyType = ReplyType::Struct {
    name: "",
    fields: &[],
};

/// The answering half of a stream.
pub(super) struct Answers<W> {
    write: W,
    types: Types,
    /// Types that were put into `types`. A plugin has a handful.
    known: Vec<(&'static ReplyType, TypeId)>,
    encoder: Encoder,
}

/// Why an answer was not sent.
#[derive(Debug, Error)]
pub(super) enum AnswerError {
    #[error("writing")]
    Write(#[from] io::Error),
    #[error("the reply's type")]
    Type(#[from] TypeError),
    #[error("the reply")]
    Encode(#[from] EncodeError),
}

impl<W: AsyncWrite + Unpin> Answers<W> {
    pub(super) fn new(write: W) -> Self {
        Self {
            write,
            types: Types::default(),
            known: Vec::new(),
            encoder: Encoder::default(),
        }
    }

    /// Sends one answer whole.
    pub(super) async fn send(
        &mut self,
        request: &Request,
        result: Result<Reply, CallError>,
    ) -> Result<(), AnswerError> {
        let message = match result {
            Ok(reply) => match self.messages(request, "", reply.kind, &reply.value) {
                Ok(message) => message,
                // A reply that is not of its type is our bug; the caller still gets an answer.
                Err(error) => self.failure(request, &error)?,
            },
            Err(error) => self.failure(request, &error)?,
        };
        self.write.write_all(&message).await?;
        self.write.flush().await?;
        Ok(())
    }

    fn failure(
        &mut self,
        request: &Request,
        error: &(dyn std::error::Error + 'static),
    ) -> Result<Vec<u8>, AnswerError> {
        // No text would read as no error.
        let mut text = Chain(error).to_string();
        if text.is_empty() {
            text.push_str("failed without a reason");
        }
        let nothing = Value::Struct(Vec::new());
        self.messages(request, &text, &INVALID_REQUEST, &nothing)
    }

    fn messages(
        &mut self,
        request: &Request,
        error: &str,
        kind: &'static ReplyType,
        value: &Value,
    ) -> Result<Vec<u8>, AnswerError> {
        let header = Value::Struct(vec![
            (0, Value::string(&request.service_method)),
            (1, Value::Uint(request.seq)),
            (2, Value::string(error)),
        ]);
        let header_id = self.type_id(&RESPONSE)?;
        let id = self.type_id(kind)?;
        // The body first: if it can't be written, neither may its header be. Each brings the
        // definitions of its own types, and they share none.
        let body = self.encoder.encode(&self.types, id, value)?;
        let mut out = self.encoder.encode(&self.types, header_id, &header)?;
        out.extend(body);
        Ok(out)
    }

    fn type_id(&mut self, kind: &'static ReplyType) -> Result<TypeId, TypeError> {
        Ok(match kind {
            ReplyType::Bool => TypeId::BOOL,
            ReplyType::Int => TypeId::INT,
            ReplyType::Uint => TypeId::UINT,
            ReplyType::String => TypeId::STRING,
            ReplyType::Bytes => TypeId::BYTES,
            ReplyType::Struct { name, fields } => {
                let known = self.known.iter().find(|(known, _)| *known == kind);
                if let Some((_, id)) = known {
                    return Ok(*id);
                }
                let mut list = Vec::with_capacity(fields.len());
                for (field, kind) in *fields {
                    list.push((*field, self.type_id(kind)?));
                }
                let id = self.types.structure(name, &list)?;
                self.known.push((kind, id));
                id
            }
        })
    }
}
