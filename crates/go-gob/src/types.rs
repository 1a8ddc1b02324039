//! The types of a stream: what the peer has defined, or what we are going to define.

use std::fmt;

use thiserror::Error as ThisError;

use crate::limits;

/// A type's number on one stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TypeId(pub(crate) i64);

impl TypeId {
    /// Go's `bool`.
    pub const BOOL: Self = Self(1);
    /// Go's signed integers, all widths.
    pub const INT: Self = Self(2);
    /// Go's unsigned integers, all widths.
    pub const UINT: Self = Self(3);
    /// Go's floats, both widths.
    pub const FLOAT: Self = Self(4);
    /// Go's `[]byte`.
    pub const BYTES: Self = Self(5);
    /// Go's `string`.
    pub const STRING: Self = Self(6);
    /// Go's complex numbers, both widths.
    pub const COMPLEX: Self = Self(7);
    /// Any Go interface.
    pub const INTERFACE: Self = Self(8);

    /// Go's `firstUserId` (`encoding/gob/type.go`): lower numbers are Go's own.
    const FIRST_USER: i64 = 64;
}

impl fmt::Display for TypeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What a type looks like.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Shape<'t> {
    /// A boolean.
    Bool,
    /// A signed integer.
    Int,
    /// An unsigned integer.
    Uint,
    /// A float.
    Float,
    /// A complex number.
    Complex,
    /// Bytes.
    Bytes,
    /// A string.
    String,
    /// A value with its type's name.
    Interface,
    /// A type that a peer defined.
    Defined(&'t Definition),
}

/// A defined type. Go's `wireType`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Definition {
    /// `[length]element`.
    Array {
        /// Element type.
        element: TypeId,
        /// Number of elements.
        length: usize,
    },
    /// `[]element`, but for `[]byte`.
    Slice {
        /// Element type.
        element: TypeId,
    },
    /// `map[key]element`.
    Map {
        /// Key type.
        key: TypeId,
        /// Element type.
        element: TypeId,
    },
    /// A struct; only exported fields travel.
    Struct {
        /// Go's name without the package; empty for an unnamed type.
        name: Box<str>,
        /// Fields in Go's order.
        fields: Vec<Field>,
    },
    /// A type that writes itself, as bytes; such as `time.Time`.
    Marshaled {
        /// Go's name without the package.
        name: Box<str>,
        /// By which interface.
        marshaler: Marshaler,
    },
}

/// A field of a struct.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// Go's name.
    pub name: Box<str>,
    /// Its type; pointers are as what they point to.
    pub id: TypeId,
}

/// How a type writes itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Marshaler {
    /// `gob.GobEncoder`.
    Gob,
    /// `encoding.BinaryMarshaler`.
    Binary,
    /// `encoding.TextMarshaler`; in the format, but never sent by Go.
    Text,
}

/// What is wrong with a type definition.
#[derive(Clone, Debug, PartialEq, Eq, ThisError)]
#[non_exhaustive]
pub enum TypeError {
    /// Below 64, where Go's own types are, or beyond [`limits::TYPE_ID`].
    #[error(
        "type {id} is outside of {} to {}",
        TypeId::FIRST_USER,
        limits::TYPE_ID
    )]
    IdOutOfRange {
        /// The number.
        id: TypeId,
    },
    /// Defined before on this stream (Go `duplicate type received`).
    #[error("type {id} was defined before")]
    Duplicate {
        /// The number.
        id: TypeId,
    },
    /// Neither array nor slice, struct, map or marshaler.
    #[error("field {field} of a wire type, which has 7")]
    NoSuchKind {
        /// Its number.
        field: i64,
    },
    /// Defines nothing.
    #[error("an empty wire type")]
    Empty,
    /// A name that is not UTF-8; Go's identifiers are.
    #[error("a name that is not UTF-8")]
    Name,
    /// An array length that can't be.
    #[error("an array of {length} elements")]
    ArrayLength {
        /// Elements.
        length: i64,
    },
    /// More fields than [`limits::FIELDS`].
    #[error("a struct of {fields} fields; at most {} are read", limits::FIELDS)]
    TooManyFields {
        /// Their number.
        fields: usize,
    },
    /// All definitions together are longer than [`limits::DEFINITION_BYTES`].
    #[error("type definitions of more than {} bytes", limits::DEFINITION_BYTES)]
    TooLong,
}

/// The types of one stream, by number.
#[derive(Clone, Debug, Default)]
pub struct Types {
    /// Indexed by number less [`TypeId::FIRST_USER`]. Go's numbers leave few gaps.
    defined: Vec<Option<Definition>>,
}

impl Types {
    /// What the type numbered `id` looks like; `None` if it is not defined.
    pub fn shape(&self, id: TypeId) -> Option<Shape<'_>> {
        Some(match id {
            TypeId::BOOL => Shape::Bool,
            TypeId::INT => Shape::Int,
            TypeId::UINT => Shape::Uint,
            TypeId::FLOAT => Shape::Float,
            TypeId::BYTES => Shape::Bytes,
            TypeId::STRING => Shape::String,
            TypeId::COMPLEX => Shape::Complex,
            TypeId::INTERFACE => Shape::Interface,
            _ => Shape::Defined(self.defined.get(index(id)?)?.as_ref()?),
        })
    }

    /// Defines a type under a number of the peer's choice.
    pub(crate) fn define(&mut self, id: TypeId, definition: Definition) -> Result<(), TypeError> {
        let index = index(id).ok_or(TypeError::IdOutOfRange { id })?;
        if index >= self.defined.len() {
            self.defined.resize_with(index + 1, || None);
        }
        match self.defined.get_mut(index) {
            Some(slot @ None) => {
                *slot = Some(definition);
                Ok(())
            }
            _ => Err(TypeError::Duplicate { id }),
        }
    }

    /// Defines a type under the next free number.
    pub fn add(&mut self, definition: Definition) -> Result<TypeId, TypeError> {
        let id = TypeId(
            i64::try_from(self.defined.len())
                .unwrap_or(i64::MAX)
                .saturating_add(TypeId::FIRST_USER),
        );
        self.define(id, definition).map(|()| id)
    }

    /// Defines a struct under the next free number.
    pub fn structure(
        &mut self,
        name: &str,
        fields: &[(&str, TypeId)],
    ) -> Result<TypeId, TypeError> {
        self.add(Definition::Struct {
            name: name.into(),
            fields: fields
                .iter()
                .map(|(name, id)| Field {
                    name: (*name).into(),
                    id: *id,
                })
                .collect(),
        })
    }

    /// Whether values of the type stand without the leading zero that all others have.
    pub(crate) fn is_struct(&self, id: TypeId) -> bool {
        matches!(
            self.shape(id),
            Some(Shape::Defined(Definition::Struct { .. }))
        )
    }
}

fn index(id: TypeId) -> Option<usize> {
    let index = usize::try_from(id.0.checked_sub(TypeId::FIRST_USER)?).ok()?;
    (index < limits::TYPE_ID).then_some(index)
}
