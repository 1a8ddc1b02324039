//! A value of any type, as it was sent: for what serde can't say, and for what is sent back.

use crate::encoded::{Cursor, Encoded};
use crate::error::Error;
use crate::types::{Definition, Shape, TypeId};

/// A gob value. Its type stands beside it, not in it.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Go's `bool`.
    Bool(bool),
    /// A signed integer of any width.
    Int(i64),
    /// An unsigned integer of any width.
    Uint(u64),
    /// A float of any width.
    Float(f64),
    /// A complex number: real and imaginary part.
    Complex(f64, f64),
    /// Go's `[]byte`.
    Bytes(Vec<u8>),
    /// Go's `string`, which need not be UTF-8.
    String(Vec<u8>),
    /// What a Go interface holds; `None` for nil.
    Interface(Option<Box<Interface>>),
    /// The elements of a slice or an array.
    List(Vec<Value>),
    /// The entries of a map, in the order sent.
    Map(Vec<(Value, Value)>),
    /// The fields that were sent, by number from 0, in ascending order.
    Struct(Vec<(usize, Value)>),
    /// What a type that writes itself wrote.
    Marshaled(Vec<u8>),
}

/// What a Go interface holds.
#[derive(Clone, Debug, PartialEq)]
pub struct Interface {
    /// The name that the type was registered by.
    pub name: Vec<u8>,
    /// The type.
    pub id: TypeId,
    /// The value.
    pub value: Value,
}

impl Value {
    /// A string.
    pub fn string(text: impl Into<String>) -> Self {
        Self::String(text.into().into_bytes())
    }
}

/// Reads a checked value. Its depth was checked, so the recursion is bounded.
pub(crate) fn read(encoded: Encoded<'_>) -> Result<Value, Error> {
    read_at(&mut encoded.cursor(), encoded.id)
}

fn read_at(cursor: &mut Cursor<'_>, id: TypeId) -> Result<Value, Error> {
    Ok(match cursor.shape(id)? {
        Shape::Bool => Value::Bool(cursor.reader.uint()? != 0),
        Shape::Int => Value::Int(cursor.reader.int()?),
        Shape::Uint => Value::Uint(cursor.reader.uint()?),
        Shape::Float => Value::Float(cursor.reader.float()?),
        Shape::Complex => Value::Complex(cursor.reader.float()?, cursor.reader.float()?),
        Shape::Bytes => Value::Bytes(cursor.reader.bytes()?.to_vec()),
        Shape::String => Value::String(cursor.reader.bytes()?.to_vec()),
        Shape::Interface => Value::Interface(match cursor.interface()? {
            None => None,
            Some((name, id)) => Some(Box::new(Interface {
                name: name.to_vec(),
                id,
                value: read_at(cursor, id)?,
            })),
        }),
        Shape::Defined(Definition::Marshaled { .. }) => {
            Value::Marshaled(cursor.reader.bytes()?.to_vec())
        }
        Shape::Defined(Definition::Slice { element } | Definition::Array { element, .. }) => {
            let count = cursor.reader.count()?;
            let mut list = Vec::with_capacity(count);
            for _ in 0..count {
                list.push(read_at(cursor, *element)?);
            }
            Value::List(list)
        }
        Shape::Defined(Definition::Map { key, element }) => {
            let count = cursor.reader.count()?;
            let mut entries = Vec::with_capacity(count);
            for _ in 0..count {
                entries.push((read_at(cursor, *key)?, read_at(cursor, *element)?));
            }
            Value::Map(entries)
        }
        Shape::Defined(Definition::Struct { fields, .. }) => {
            let mut sent = Vec::new();
            let mut at = None;
            while let Some(next) = cursor.next_field(id, fields.len(), at)? {
                at = Some(next);
                if let Some(field) = fields.get(next) {
                    sent.push((next, read_at(cursor, field.id)?));
                }
            }
            Value::Struct(sent)
        }
    })
}
