//! From messages to complete values: collects, checks, hands out.
//!
//! A value may span messages: where an interface holds a type that the stream has not defined
//! yet, Go flushes what it has, sends the definition, and goes on in the next message
//! (`encoding/gob/encode.go`, `encodeInterface`). The check therefore is a machine with its own
//! stack that stops there and resumes, so that every byte is checked once.

use serde::Deserialize;

use crate::de::{self, DeserializeError};
use crate::definition;
use crate::error::Error;
use crate::limits;
use crate::types::{Definition, Shape, TypeId, Types};
use crate::value::{self, Value};
use crate::wire::Reader;

/// Reads one stream, message by message. Go's `gob.Decoder` without the framing, see
/// [`split_message`](crate::split_message).
#[derive(Debug, Default)]
pub struct Decoder {
    types: Types,
    definition_bytes: usize,
    bytes: Vec<u8>,
    check: Check,
    ready: bool,
}

/// What a message led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// More messages are needed: it defined a type, or its value goes on.
    NeedMore,
    /// A value is complete: see [`Decoder::value`].
    Ready,
}

/// Capacity kept between values; one large call should not hold its memory forever.
const KEEP_BYTES: usize = 256 << 10;

impl Decoder {
    /// Takes the next message (without its length). A value that is ready and was not read is
    /// dropped. After an error the stream is of no further use.
    pub fn push(&mut self, message: &[u8]) -> Result<Progress, Error> {
        if self.ready {
            self.clear();
        }
        let length = self.bytes.len() + message.len();
        if length > limits::MESSAGE_BYTES {
            return Err(Error::MessageTooLong {
                length: length as u64,
            });
        }
        if self.bytes.is_empty() && self.define(message)? {
            return Ok(Progress::NeedMore);
        }
        self.bytes.extend_from_slice(message);
        self.ready = self
            .check
            .run(&self.bytes, &mut self.types, &mut self.definition_bytes)?;
        Ok(if self.ready {
            Progress::Ready
        } else {
            Progress::NeedMore
        })
    }

    /// The complete value; an error if there is none.
    pub fn value(&self) -> Result<Encoded<'_>, Error> {
        if !self.ready {
            return Err(Error::NotReady);
        }
        Ok(Encoded {
            types: &self.types,
            jumps: &self.check.jumps,
            bytes: &self.bytes,
            offset: self.check.start,
            id: self.check.root,
        })
    }

    /// The types defined so far.
    pub fn types(&self) -> &Types {
        &self.types
    }

    /// Whether part of a value is buffered, so that the end of the input would cut it short.
    pub fn is_within_value(&self) -> bool {
        !self.ready && !self.bytes.is_empty()
    }

    fn clear(&mut self) {
        self.ready = false;
        self.bytes.clear();
        self.bytes.shrink_to(KEEP_BYTES);
        self.check = Check::default();
    }

    /// Takes a message that is a type definition and nothing else. Says whether it was one.
    fn define(&mut self, message: &[u8]) -> Result<bool, Error> {
        let mut reader = Reader::new(message, 0);
        let id = reader.int()?;
        if id >= 0 {
            return Ok(false);
        }
        read_definition(&mut reader, id, &mut self.types, &mut self.definition_bytes)?;
        match reader.left() {
            0 => Ok(true),
            left => Err(Error::TrailingBytes {
                offset: reader.offset,
                left,
            }),
        }
    }
}

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
        next_field(&mut self.reader, id, fields, field)
    }
}

/// The check of one value, as far as it has come.
#[derive(Debug)]
struct Check {
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
    fn run(
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
fn next_field(
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
fn read_definition(
    reader: &mut Reader<'_>,
    negated: i64,
    types: &mut Types,
    definition_bytes: &mut usize,
) -> Result<(), Error> {
    let offset = reader.offset;
    let definition = definition::read(reader)?;
    *definition_bytes += reader.offset - offset;
    let defined = if *definition_bytes > limits::DEFINITION_BYTES {
        Err(crate::types::TypeError::TooLong)
    } else {
        types.define(TypeId(negated.saturating_neg()), definition)
    };
    defined.map_err(|source| Error::Definition { offset, source })
}
