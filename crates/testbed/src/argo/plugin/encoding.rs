//! The calling half of one net/rpc stream (Go `net/rpc/client.go`, `gobClientCodec.WriteRequest`): a header, then the
//! arguments, each type defined before its first use.

use std::collections::HashMap;

use go_gob::{
    Definition, EncodeError, Encoder, Interface, Marshaler, TypeError, TypeId, Types, Value,
};
use thiserror::Error;

use super::table::{INT_OR_STRING, Kind, Struct};

/// What a method is called with.
#[derive(Debug)]
pub(super) enum Arguments {
    /// Go's `bool`.
    Flag(bool),
    /// Go's `string`.
    Text(&'static str),
    /// A nil interface.
    Nil,
    /// An interface that holds a struct, registered by its own name (argo-rollouts v1.10.1
    /// `rollout/trafficrouting/plugin/rpc/rpc.go`, `init`).
    Held(&'static Struct, Value),
}

/// Why a request can't be written.
#[derive(Debug, PartialEq, Eq, Error)]
pub enum EncodingError {
    /// A type could not be defined.
    #[error("a type of the arguments")]
    Type(#[from] TypeError),
    /// The value could not be written.
    #[error("the arguments")]
    Value(#[from] EncodeError),
}

/// What has been defined on the stream, and the number of the next request.
#[derive(Debug, Default)]
pub(super) struct Encoding {
    types: Types,
    /// By Go's notation, such as `[]CanaryStep`.
    known: HashMap<String, TypeId>,
    encoder: Encoder,
    next: u64,
}

impl Encoding {
    /// The bytes of one request, and its number. After an error the stream is as it was.
    pub(super) fn request(
        &mut self,
        method: &str,
        arguments: Arguments,
    ) -> Result<(u64, Vec<u8>), EncodingError> {
        let (id, value) = match arguments {
            Arguments::Flag(flag) => (TypeId::BOOL, Value::Bool(flag)),
            Arguments::Text(text) => (TypeId::STRING, Value::string(text)),
            Arguments::Nil => (TypeId::INTERFACE, Value::Interface(None)),
            Arguments::Held(table, value) => {
                let held = Interface {
                    name: table.name.as_bytes().to_vec(),
                    id: self.structure(table)?,
                    value,
                };
                (TypeId::INTERFACE, Value::Interface(Some(Box::new(held))))
            }
        };
        let header_id = self.header()?;
        // The arguments first: if they can't be written, the header may not be either. They share no types, so the
        // order of the definitions is right in both.
        let body = self.encoder.encode(&self.types, id, &value)?;
        let mut header = vec![(0, Value::string(method))];
        if self.next != 0 {
            header.push((1, Value::Uint(self.next)));
        }
        let mut out = self
            .encoder
            .encode(&self.types, header_id, &Value::Struct(header))?;
        out.extend(body);
        let number = self.next;
        self.next += 1;
        Ok((number, out))
    }

    /// Go's `rpc.Request`.
    fn header(&mut self) -> Result<TypeId, TypeError> {
        self.once("Request", |encoding| {
            let fields = [("ServiceMethod", TypeId::STRING), ("Seq", TypeId::UINT)];
            encoding.types.structure("Request", &fields)
        })
    }

    fn structure(&mut self, table: &'static Struct) -> Result<TypeId, TypeError> {
        self.once(table.name, |encoding| {
            let mut fields = Vec::with_capacity(table.fields.len());
            for field in table.fields {
                fields.push((field.name, encoding.kind(field.kind)?));
            }
            encoding.types.structure(table.name, &fields)
        })
    }

    fn kind(&mut self, kind: Kind) -> Result<TypeId, TypeError> {
        Ok(match kind {
            Kind::Bool => TypeId::BOOL,
            Kind::Int => TypeId::INT,
            Kind::Text => TypeId::STRING,
            Kind::Raw => TypeId::BYTES,
            Kind::Time => self.once("Time", |encoding| {
                encoding.types.add(Definition::Marshaled {
                    name: "Time".into(),
                    marshaler: Marshaler::Gob,
                })
            })?,
            Kind::IntOrString => self.structure(&INT_OR_STRING)?,
            Kind::List(element) => self.once(&notation(kind), |encoding| {
                let element = encoding.kind(*element)?;
                encoding.types.add(Definition::Slice { element })
            })?,
            Kind::Map(element) => self.once(&notation(kind), |encoding| {
                let element = encoding.kind(*element)?;
                let key = TypeId::STRING;
                encoding.types.add(Definition::Map { key, element })
            })?,
            Kind::Struct(table) | Kind::Pointer(table) => self.structure(table)?,
        })
    }

    /// The type known as `name`, defined if it is not yet.
    fn once(
        &mut self,
        name: &str,
        define: impl FnOnce(&mut Self) -> Result<TypeId, TypeError>,
    ) -> Result<TypeId, TypeError> {
        if let Some(id) = self.known.get(name) {
            return Ok(*id);
        }
        let id = define(self)?;
        self.known.insert(name.to_owned(), id);
        Ok(id)
    }
}

/// The type as Go writes it.
fn notation(kind: Kind) -> String {
    match kind {
        Kind::Bool => "bool".to_owned(),
        Kind::Int => "int".to_owned(),
        Kind::Text => "string".to_owned(),
        Kind::Raw => "[]byte".to_owned(),
        Kind::Time => "Time".to_owned(),
        Kind::IntOrString => INT_OR_STRING.name.to_owned(),
        Kind::List(element) => format!("[]{}", notation(*element)),
        Kind::Map(element) => format!("map[string]{}", notation(*element)),
        Kind::Struct(table) | Kind::Pointer(table) => table.name.to_owned(),
    }
}
