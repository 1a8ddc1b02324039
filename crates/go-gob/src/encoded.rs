//! A complete value, checked and not yet read, and the way through it.

use serde::Deserialize;

use crate::check;
use crate::de::{self, DeserializeError};
use crate::error::Error;
use crate::types::{Shape, TypeId, Types};
use crate::value::{self, Value};
use crate::wire::Reader;

/// One complete value, checked and not yet read.
#[derive(Clone, Copy, Debug)]
pub struct Encoded<'d> {
    pub(crate) types: &'d Types,
    /// Where type definitions stand within the value, by offset: from, to.
    pub(crate) jumps: &'d [(usize, usize)],
    pub(crate) bytes: &'d [u8],
    pub(crate) offset: usize,
    pub(crate) id: TypeId,
}

impl<'d> Encoded<'d> {
    /// Reads the value into a serde type. Interfaces read as what they hold, nil ones as none.
    pub fn deserialize<T: Deserialize<'d>>(self) -> Result<T, DeserializeError> {
        de::from_encoded(self)
    }

    /// The value as it is, with every name and type.
    pub fn to_value(self) -> Result<Value, Error> {
        value::read(self)
    }

    /// The value's type.
    pub fn type_id(self) -> TypeId {
        self.id
    }

    /// The registered name of what an interface holds (Go's `gob.RegisterName`); `None` for a nil
    /// interface and for what is no interface.
    pub fn interface_name(self) -> Option<&'d str> {
        if self.id != TypeId::INTERFACE {
            return None;
        }
        let name = Reader::new(self.bytes, self.offset).bytes().ok()?;
        std::str::from_utf8(name)
            .ok()
            .filter(|name| !name.is_empty())
    }

    /// Whether the value is a nil interface, which is how Go sends `new(any)`.
    pub fn is_nil(self) -> bool {
        self.id == TypeId::INTERFACE && self.interface_name().is_none()
    }

    pub(crate) fn cursor(self) -> Cursor<'d> {
        Cursor {
            types: self.types,
            jumps: self.jumps,
            reader: Reader::new(self.bytes, self.offset),
        }
    }
}

/// A place within a checked value.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cursor<'d> {
    pub(crate) types: &'d Types,
    jumps: &'d [(usize, usize)],
    pub(crate) reader: Reader<'d>,
}

impl<'d> Cursor<'d> {
    pub(crate) fn shape(&self, id: TypeId) -> Result<Shape<'d>, Error> {
        self.types.shape(id).ok_or(Error::UndefinedType {
            offset: self.reader.offset,
            id,
        })
    }

    /// Reads up to an interface's value: its registered name and type; `None` for nil.
    pub(crate) fn interface(&mut self) -> Result<Option<(&'d [u8], TypeId)>, Error> {
        let name = self.reader.bytes()?;
        if name.is_empty() {
            return Ok(None);
        }
        let found = self
            .jumps
            .binary_search_by_key(&self.reader.offset, |jump| jump.0);
        if let Some((_, to)) = found.ok().and_then(|at| self.jumps.get(at)) {
            self.reader.offset = *to;
        }
        let id = TypeId(self.reader.int()?);
        self.reader.uint()?;
        if !self.types.is_struct(id) {
            self.reader.uint()?;
        }
        Ok(Some((name, id)))
    }

    /// The next field of a struct that was sent, after `field`; `None` at the end.
    pub(crate) fn next_field(
        &mut self,
        id: TypeId,
        fields: usize,
        field: Option<usize>,
    ) -> Result<Option<usize>, Error> {
        check::next_field(&mut self.reader, id, fields, field)
    }
}
