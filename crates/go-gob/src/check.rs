//! The check of a value, before anything is made of it.
//!
//! A value may span messages: where an interface holds a type that the stream has not defined
//! yet, Go flushes what it has, sends the definition, and goes on in the next message
//! (`encoding/gob/encode.go`, `encodeInterface`). The check therefore is a machine with its own
//! stack that stops there and resumes, so that every byte is checked once.

use crate::definition;
use crate::encoded::Encoded;
use crate::error::Error;
use crate::limits;
use crate::types::{Definition, Shape, TypeError, TypeId, Types};
use crate::wire::Reader;

/// The check of one value, as far as it has come.
#[derive(Debug)]
pub(crate) struct Check {
    offset: usize,
    start: usize,
    root: TypeId,
    next: Next,
    open: Vec<Open>,
    values: usize,
    jumps: Vec<(usize, usize)>,
}

/// What comes next.
#[derive(Clone, Copy, Debug)]
enum Next {
    /// The value's own type.
    Root,
    /// A value of this type.
    Value(TypeId),
    /// An interface's type, after definitions that may be missing yet; since this offset.
    InterfaceType(usize),
    /// Whatever the innermost open value says.
    Open,
}

/// A value whose parts are not all checked.
#[derive(Clone, Copy, Debug)]
enum Open {
    Struct {
        id: TypeId,
        field: Option<usize>,
    },
    Elements {
        element: TypeId,
        left: usize,
    },
    Entries {
        key: TypeId,
        element: TypeId,
        /// Keys and elements together.
        left: usize,
    },
    /// What an interface holds: counts for the depth only.
    Interface,
}

impl Default for Check {
    fn default() -> Self {
        Self {
            offset: 0,
            start: 0,
            root: TypeId::INTERFACE,
            next: Next::Root,
            open: Vec::new(),
            values: 0,
            jumps: Vec::new(),
        }
    }
}

impl Check {
    /// Goes on with what has arrived. True when the value is complete.
    pub(crate) fn run(
        &mut self,
        bytes: &[u8],
        types: &mut Types,
        definition_bytes: &mut usize,
    ) -> Result<bool, Error> {
        let mut reader = Reader::new(bytes, self.offset);
        loop {
            match self.next {
                Next::Root => {
                    self.root = TypeId(reader.int()?);
                    singleton(&mut reader, types, self.root)?;
                    self.start = reader.offset;
                    self.next = Next::Value(self.root);
                }
                Next::Value(id) => self.value(&mut reader, types, id)?,
                Next::InterfaceType(since) => {
                    if reader.left() == 0 {
                        self.offset = reader.offset;
                        return Ok(false);
                    }
                    let at = reader.offset;
                    let id = reader.int()?;
                    if id < 0 {
                        read_definition(&mut reader, id, types, definition_bytes)?;
                        // Within a nested interface the next definition is a chunk of the same
                        // message, and its length comes first (Go `decodeTypeSequence`).
                        if reader.left() > 0 {
                            reader.uint()?;
                        }
                        continue;
                    }
                    if at != since {
                        self.jumps.push((since, at));
                    }
                    // The value's length, which is wrong when definitions stand within it (Go
                    // ignores it too).
                    reader.uint()?;
                    singleton(&mut reader, types, TypeId(id))?;
                    self.open(reader.offset, Open::Interface)?;
                    self.next = Next::Value(TypeId(id));
                }
                Next::Open => {
                    let Some(open) = self.open.last_mut() else {
                        return match reader.left() {
                            0 => Ok(true),
                            left => Err(Error::TrailingBytes {
                                offset: reader.offset,
                                left,
                            }),
                        };
                    };
                    match part(open, &mut reader, types)? {
                        Some(id) => self.next = Next::Value(id),
                        None => {
                            self.open.pop();
                        }
                    }
                }
            }
        }
    }

    /// The value, once it is complete.
    pub(crate) fn encoded<'d>(&'d self, types: &'d Types, bytes: &'d [u8]) -> Encoded<'d> {
        Encoded {
            types,
            jumps: &self.jumps,
            bytes,
            offset: self.start,
            id: self.root,
        }
    }

    fn value(&mut self, reader: &mut Reader<'_>, types: &Types, id: TypeId) -> Result<(), Error> {
        let offset = reader.offset;
        self.values += 1;
        if self.values > limits::VALUES {
            return Err(Error::TooManyValues { offset });
        }
        self.next = Next::Open;
        let shape = types.shape(id).ok_or(Error::UndefinedType { offset, id })?;
        match shape {
            Shape::Bool | Shape::Int | Shape::Uint | Shape::Float => {
                reader.uint()?;
            }
            Shape::Complex => {
                reader.uint()?;
                reader.uint()?;
            }
            Shape::Bytes | Shape::String | Shape::Defined(Definition::Marshaled { .. }) => {
                reader.bytes()?;
            }
            Shape::Interface => {
                if !reader.bytes()?.is_empty() {
                    self.next = Next::InterfaceType(reader.offset);
                }
            }
            Shape::Defined(Definition::Struct { .. }) => {
                self.open(offset, Open::Struct { id, field: None })?;
            }
            Shape::Defined(Definition::Slice { element }) => {
                let left = reader.count()?;
                self.open(
                    offset,
                    Open::Elements {
                        element: *element,
                        left,
                    },
                )?;
            }
            Shape::Defined(Definition::Array { element, length }) => {
                let left = reader.count()?;
                if left != *length {
                    return Err(Error::ArrayLength {
                        offset,
                        found: left as u64,
                        expected: *length,
                    });
                }
                self.open(
                    offset,
                    Open::Elements {
                        element: *element,
                        left,
                    },
                )?;
            }
            Shape::Defined(Definition::Map { key, element }) => {
                let left = reader.count()?.saturating_mul(2);
                self.open(
                    offset,
                    Open::Entries {
                        key: *key,
                        element: *element,
                        left,
                    },
                )?;
            }
        }
        Ok(())
    }

    fn open(&mut self, offset: usize, open: Open) -> Result<(), Error> {
        if self.open.len() >= limits::DEPTH {
            return Err(Error::TooDeep { offset });
        }
        self.open.push(open);
        Ok(())
    }
}

/// The type of the next part of `open`; `None` when there is none.
fn part(open: &mut Open, reader: &mut Reader<'_>, types: &Types) -> Result<Option<TypeId>, Error> {
    Ok(match open {
        Open::Struct { id, field } => {
            let Some(Shape::Defined(Definition::Struct { fields, .. })) = types.shape(*id) else {
                return Ok(None);
            };
            *field = next_field(reader, *id, fields.len(), *field)?;
            field.and_then(|at| fields.get(at)).map(|field| field.id)
        }
        Open::Elements { left: 0, .. } | Open::Entries { left: 0, .. } | Open::Interface => None,
        Open::Elements { element, left } => {
            *left -= 1;
            Some(*element)
        }
        Open::Entries { key, element, left } => {
            *left -= 1;
            Some(if *left % 2 == 1 { *key } else { *element })
        }
    })
}

/// Reads how many fields to go on by, counted from -1; 0 ends the struct.
pub(crate) fn next_field(
    reader: &mut Reader<'_>,
    id: TypeId,
    fields: usize,
    field: Option<usize>,
) -> Result<Option<usize>, Error> {
    let offset = reader.offset;
    let delta = reader.uint()?;
    if delta == 0 {
        return Ok(None);
    }
    let next = field
        .map_or(0, |at| at as u64 + 1)
        .saturating_add(delta - 1);
    usize::try_from(next)
        .ok()
        .filter(|at| *at < fields)
        .map(Some)
        .ok_or(Error::NoSuchField {
            offset,
            id,
            field: next,
            fields,
        })
}

/// Reads the zero that comes before a value that is no struct, at the top and in interfaces.
fn singleton(reader: &mut Reader<'_>, types: &Types, id: TypeId) -> Result<(), Error> {
    let offset = reader.offset;
    if types.is_struct(id) {
        return Ok(());
    }
    match reader.uint()? {
        0 => Ok(()),
        found => Err(Error::Singleton { offset, found }),
    }
}

/// Reads the definition that follows a negated number.
pub(crate) fn read_definition(
    reader: &mut Reader<'_>,
    negated: i64,
    types: &mut Types,
    definition_bytes: &mut usize,
) -> Result<(), Error> {
    let offset = reader.offset;
    let definition = definition::read(reader)?;
    *definition_bytes += reader.offset - offset;
    let defined = if *definition_bytes > limits::DEFINITION_BYTES {
        Err(TypeError::TooLong)
    } else {
        types.define(TypeId(negated.saturating_neg()), definition)
    };
    defined.map_err(|source| Error::Definition { offset, source })
}
