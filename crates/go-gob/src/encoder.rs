//! From values to messages: definitions first, then the value.

use std::collections::HashSet;

use thiserror::Error as ThisError;

use crate::definition;
use crate::limits;
use crate::types::{Definition, Shape, TypeId, Types};
use crate::value::Value;
use crate::wire::{put_bytes, put_float, put_int, put_uint};

/// Writes one stream. Go's `gob.Encoder`: each type is defined once, before the first value that
/// needs it. One encoder goes with one [`Types`], which may grow.
#[derive(Debug, Default)]
pub struct Encoder {
    sent: HashSet<TypeId>,
}

/// Why a value can't be written. Nothing was written then.
#[derive(Clone, Debug, PartialEq, Eq, ThisError)]
#[non_exhaustive]
pub enum EncodeError {
    /// A type that [`Types`] doesn't have.
    #[error("type {id} is not defined")]
    UndefinedType {
        /// The type.
        id: TypeId,
    },
    /// A value that is not of its type.
    #[error("a value that is not of its type {id}")]
    NotOfType {
        /// The type.
        id: TypeId,
    },
    /// Nested deeper than [`limits::DEPTH`].
    #[error("values nested deeper than {}", limits::DEPTH)]
    TooDeep,
    /// A message longer than [`limits::MESSAGE_BYTES`].
    #[error(
        "a message of {length} bytes; at most {} are written",
        limits::MESSAGE_BYTES
    )]
    TooLong {
        /// Its length.
        length: usize,
    },
}

impl Encoder {
    /// The messages that say `value`, each with its length in front.
    pub fn encode(
        &mut self,
        types: &Types,
        id: TypeId,
        value: &Value,
    ) -> Result<Vec<u8>, EncodeError> {
        let mut out = Vec::new();
        self.encode_onto(&mut out, types, id, value)?;
        Ok(out)
    }

    /// Like [`encode`](Self::encode), appending to `out`, which is left as it was on an error.
    pub fn encode_onto(
        &mut self,
        out: &mut Vec<u8>,
        types: &Types,
        id: TypeId,
        value: &Value,
    ) -> Result<(), EncodeError> {
        let mut body = Body {
            types,
            sent: &self.sent,
            new: Vec::new(),
            bytes: Vec::new(),
        };
        body.define(id)?;
        put_int(&mut body.bytes, id.0);
        body.top(id, value, 0)?;
        let (new, bytes) = (body.new, body.bytes);
        if bytes.len() > limits::MESSAGE_BYTES {
            return Err(EncodeError::TooLong {
                length: bytes.len(),
            });
        }
        let mut message = Vec::new();
        for id in new {
            if let Some(Shape::Defined(definition)) = types.shape(id) {
                message.clear();
                definition::put(&mut message, id, definition);
                put_bytes(out, &message);
            }
            self.sent.insert(id);
        }
        put_bytes(out, &bytes);
        Ok(())
    }
}

/// A message in the making, and the types it needs that were not sent.
struct Body<'e> {
    types: &'e Types,
    sent: &'e HashSet<TypeId>,
    new: Vec<TypeId>,
    bytes: Vec<u8>,
}

impl Body<'_> {
    /// Notes the type, and all that it is made of, for definition.
    fn define(&mut self, id: TypeId) -> Result<(), EncodeError> {
        let mut wanted = vec![id];
        while let Some(id) = wanted.pop() {
            let shape = self.types.shape(id);
            let Shape::Defined(definition) = shape.ok_or(EncodeError::UndefinedType { id })? else {
                continue;
            };
            if self.sent.contains(&id) || self.new.contains(&id) {
                continue;
            }
            self.new.push(id);
            match definition {
                Definition::Array { element, .. } | Definition::Slice { element } => {
                    wanted.push(*element);
                }
                Definition::Map { key, element } => wanted.extend([*key, *element]),
                Definition::Struct { fields, .. } => {
                    wanted.extend(fields.iter().map(|field| field.id));
                }
                Definition::Marshaled { .. } => {}
            }
        }
        Ok(())
    }

    /// A value at the top or in an interface.
    fn top(&mut self, id: TypeId, value: &Value, depth: usize) -> Result<(), EncodeError> {
        if !self.types.is_struct(id) {
            put_uint(&mut self.bytes, 0);
        }
        self.value(id, value, depth)
    }

    fn value(&mut self, id: TypeId, value: &Value, depth: usize) -> Result<(), EncodeError> {
        if depth > limits::DEPTH {
            return Err(EncodeError::TooDeep);
        }
        let shape = self.types.shape(id);
        let out = &mut self.bytes;
        match (shape.ok_or(EncodeError::UndefinedType { id })?, value) {
            (Shape::Bool, Value::Bool(value)) => put_uint(out, u64::from(*value)),
            (Shape::Int, Value::Int(value)) => put_int(out, *value),
            (Shape::Uint, Value::Uint(value)) => put_uint(out, *value),
            (Shape::Float, Value::Float(value)) => put_float(out, *value),
            (Shape::Complex, Value::Complex(real, imaginary)) => {
                put_float(out, *real);
                put_float(out, *imaginary);
            }
            (Shape::Bytes, Value::Bytes(value))
            | (Shape::String, Value::String(value))
            | (Shape::Defined(Definition::Marshaled { .. }), Value::Marshaled(value)) => {
                put_bytes(out, value);
            }
            (Shape::Interface, Value::Interface(None)) => put_uint(out, 0),
            (Shape::Interface, Value::Interface(Some(held))) => {
                put_bytes(out, &held.name);
                put_int(out, held.id.0);
                self.define(held.id)?;
                // What it holds goes into bytes of its own, since its length comes first.
                let outer = std::mem::take(&mut self.bytes);
                let written = self.top(held.id, &held.value, depth + 1);
                let inner = std::mem::replace(&mut self.bytes, outer);
                written?;
                put_bytes(&mut self.bytes, &inner);
            }
            (Shape::Defined(Definition::Slice { element }), Value::List(list)) => {
                self.list(*element, list, depth)?;
            }
            (Shape::Defined(Definition::Array { element, length }), Value::List(list))
                if list.len() == *length =>
            {
                self.list(*element, list, depth)?;
            }
            (Shape::Defined(Definition::Map { key, element }), Value::Map(entries)) => {
                put_uint(out, entries.len() as u64);
                for (key_value, value) in entries {
                    self.value(*key, key_value, depth + 1)?;
                    self.value(*element, value, depth + 1)?;
                }
            }
            (Shape::Defined(Definition::Struct { fields, .. }), Value::Struct(sent)) => {
                let mut next = 0;
                for (at, value) in sent {
                    let field = fields.get(*at).filter(|_| *at >= next);
                    let field = field.ok_or(EncodeError::NotOfType { id })?;
                    put_uint(&mut self.bytes, (*at - next) as u64 + 1);
                    next = at + 1;
                    self.value(field.id, value, depth + 1)?;
                }
                put_uint(&mut self.bytes, 0);
            }
            _ => return Err(EncodeError::NotOfType { id }),
        }
        Ok(())
    }

    fn list(&mut self, element: TypeId, list: &[Value], depth: usize) -> Result<(), EncodeError> {
        put_uint(&mut self.bytes, list.len() as u64);
        for value in list {
            self.value(element, value, depth + 1)?;
        }
        Ok(())
    }
}
