//! A checked value as a serde `Deserializer`.

use std::fmt;

use serde::de::value::{BorrowedStrDeserializer, SeqDeserializer};
use serde::de::{
    self, DeserializeSeed, Deserializer, IntoDeserializer, MapAccess, SeqAccess, Visitor,
};
use serde::{Deserialize, forward_to_deserialize_any};
use thiserror::Error as ThisError;

use crate::encoded::{Cursor, Encoded};
use crate::error::Error;
use crate::types::{Definition, Field, Shape, TypeId};

/// Why a value could not be read into a type, and where: `Spec.Strategy.Canary.Steps[3]: …`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeserializeError {
    /// From the inside out, as the error travels.
    path: Vec<Segment>,
    reason: Reason,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Segment {
    Field(Box<str>),
    Index(usize),
}

#[derive(Clone, Debug, PartialEq, Eq, ThisError)]
enum Reason {
    /// The value does not fit the type; serde's or the type's own words.
    #[error("{0}")]
    Mismatch(Box<str>),
    #[error("a string that is not UTF-8")]
    NotUtf8,
    #[error(transparent)]
    Stream(#[from] Error),
}

impl fmt::Display for DeserializeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, segment) in self.path.iter().rev().enumerate() {
            match segment {
                Segment::Field(name) if at == 0 => f.write_str(name)?,
                Segment::Field(name) => write!(f, ".{name}")?,
                Segment::Index(index) => write!(f, "[{index}]")?,
            }
        }
        if !self.path.is_empty() {
            f.write_str(": ")?;
        }
        self.reason.fmt(f)
    }
}

impl std::error::Error for DeserializeError {}

impl de::Error for DeserializeError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Reason::Mismatch(message.to_string().into()).into()
    }
}

impl From<Reason> for DeserializeError {
    fn from(reason: Reason) -> Self {
        Self {
            path: Vec::new(),
            reason,
        }
    }
}

impl From<Error> for DeserializeError {
    fn from(source: Error) -> Self {
        Reason::Stream(source).into()
    }
}

impl DeserializeError {
    fn within(mut self, segment: Segment) -> Self {
        self.path.push(segment);
        self
    }
}

pub(crate) fn from_encoded<'de, T: Deserialize<'de>>(
    encoded: Encoded<'de>,
) -> Result<T, DeserializeError> {
    T::deserialize(Part {
        cursor: &mut encoded.cursor(),
        id: encoded.id,
    })
}

/// One value within a checked one. Its depth was checked, so the recursion is bounded.
struct Part<'c, 'de> {
    cursor: &'c mut Cursor<'de>,
    id: TypeId,
}

impl<'de> Deserializer<'de> for Part<'_, 'de> {
    type Error = DeserializeError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DeserializeError> {
        let Part { cursor, id } = self;
        match cursor.shape(id)? {
            Shape::Bool => visitor.visit_bool(cursor.reader.uint()? != 0),
            Shape::Int => visitor.visit_i64(cursor.reader.int()?),
            Shape::Uint => visitor.visit_u64(cursor.reader.uint()?),
            Shape::Float => visitor.visit_f64(cursor.reader.float()?),
            Shape::Complex => {
                let parts = [cursor.reader.float()?, cursor.reader.float()?];
                visitor.visit_seq(SeqDeserializer::new(parts.into_iter()))
            }
            Shape::Bytes | Shape::Defined(Definition::Marshaled { .. }) => {
                visitor.visit_borrowed_bytes(cursor.reader.bytes()?)
            }
            Shape::String => visitor.visit_borrowed_str(text(cursor)?),
            Shape::Interface => match cursor.interface()? {
                Some((_, id)) => Part { cursor, id }.deserialize_any(visitor),
                None => visitor.visit_none(),
            },
            Shape::Defined(Definition::Slice { element } | Definition::Array { element, .. }) => {
                let left = cursor.reader.count()?;
                visitor.visit_seq(Elements {
                    cursor,
                    element: *element,
                    at: 0,
                    left,
                })
            }
            Shape::Defined(Definition::Map { key, element }) => {
                let left = cursor.reader.count()?;
                visitor.visit_map(Entries {
                    cursor,
                    key: *key,
                    element: *element,
                    left,
                })
            }
            Shape::Defined(Definition::Struct { fields, .. }) => visitor.visit_map(Sent {
                cursor,
                id,
                fields,
                at: None,
            }),
        }
    }

    /// Gob leaves out what is nil, so what is there is some, but for nil interfaces.
    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DeserializeError> {
        if self.id == TypeId::INTERFACE {
            return match self.cursor.interface()? {
                Some((_, id)) => visitor.visit_some(Part {
                    cursor: self.cursor,
                    id,
                }),
                None => visitor.visit_none(),
            };
        }
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, DeserializeError> {
        visitor.visit_newtype_struct(self)
    }

    /// Gob has no enums: Go's are strings, so unit variants read by name.
    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DeserializeError> {
        match self.cursor.shape(self.id)? {
            Shape::String => visitor.visit_enum(text(self.cursor)?.into_deserializer()),
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(
        self,
        visitor: V,
    ) -> Result<V::Value, DeserializeError> {
        skip(self.cursor, self.id)?;
        visitor.visit_unit()
    }

    fn is_human_readable(&self) -> bool {
        false
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf
        unit unit_struct seq tuple tuple_struct map struct identifier
    }
}

struct Elements<'c, 'de> {
    cursor: &'c mut Cursor<'de>,
    element: TypeId,
    at: usize,
    left: usize,
}

impl<'de> SeqAccess<'de> for Elements<'_, 'de> {
    type Error = DeserializeError;

    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, DeserializeError> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        let at = self.at;
        self.at += 1;
        let part = Part {
            cursor: self.cursor,
            id: self.element,
        };
        seed.deserialize(part)
            .map(Some)
            .map_err(|error| error.within(Segment::Index(at)))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.left)
    }
}

struct Entries<'c, 'de> {
    cursor: &'c mut Cursor<'de>,
    key: TypeId,
    element: TypeId,
    left: usize,
}

impl<'de> MapAccess<'de> for Entries<'_, 'de> {
    type Error = DeserializeError;

    fn next_key_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, DeserializeError> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        let part = Part {
            cursor: self.cursor,
            id: self.key,
        };
        seed.deserialize(part).map(Some)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<S::Value, DeserializeError> {
        seed.deserialize(Part {
            cursor: self.cursor,
            id: self.element,
        })
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.left)
    }
}

struct Sent<'c, 'de> {
    cursor: &'c mut Cursor<'de>,
    id: TypeId,
    fields: &'de [Field],
    at: Option<usize>,
}

impl<'de> Sent<'_, 'de> {
    fn current(&self) -> Option<&'de Field> {
        self.fields.get(self.at?)
    }
}

impl<'de> MapAccess<'de> for Sent<'_, 'de> {
    type Error = DeserializeError;

    fn next_key_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, DeserializeError> {
        self.at = self
            .cursor
            .next_field(self.id, self.fields.len(), self.at)?;
        let Some(field) = self.current() else {
            return Ok(None);
        };
        seed.deserialize(BorrowedStrDeserializer::new(&field.name))
            .map(Some)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<S::Value, DeserializeError> {
        let Some(field) = self.current() else {
            return Err(de::Error::custom("a value without its field"));
        };
        let part = Part {
            cursor: self.cursor,
            id: field.id,
        };
        seed.deserialize(part)
            .map_err(|error| error.within(Segment::Field(field.name.clone())))
    }
}

fn text<'de>(cursor: &mut Cursor<'de>) -> Result<&'de str, DeserializeError> {
    let bytes = cursor.reader.bytes()?;
    std::str::from_utf8(bytes).map_err(|_| Reason::NotUtf8.into())
}

/// Passes over a value.
fn skip(cursor: &mut Cursor<'_>, id: TypeId) -> Result<(), Error> {
    match cursor.shape(id)? {
        Shape::Bool | Shape::Int | Shape::Uint | Shape::Float => {
            cursor.reader.uint()?;
        }
        Shape::Complex => {
            cursor.reader.uint()?;
            cursor.reader.uint()?;
        }
        Shape::Bytes | Shape::String | Shape::Defined(Definition::Marshaled { .. }) => {
            cursor.reader.bytes()?;
        }
        Shape::Interface => {
            if let Some((_, id)) = cursor.interface()? {
                skip(cursor, id)?;
            }
        }
        Shape::Defined(Definition::Slice { element } | Definition::Array { element, .. }) => {
            for _ in 0..cursor.reader.count()? {
                skip(cursor, *element)?;
            }
        }
        Shape::Defined(Definition::Map { key, element }) => {
            for _ in 0..cursor.reader.count()? {
                skip(cursor, *key)?;
                skip(cursor, *element)?;
            }
        }
        Shape::Defined(Definition::Struct { fields, .. }) => {
            let mut at = None;
            while let Some(next) = cursor.next_field(id, fields.len(), at)? {
                at = Some(next);
                if let Some(field) = fields.get(next) {
                    skip(cursor, field.id)?;
                }
            }
        }
    }
    Ok(())
}
