//! Type definitions on the wire: Go's `wireType` and its parts (`encoding/gob/type.go`).
//!
//! They are gob structs of types that both sides know, so nothing defines the definitions.

use crate::error::Error;
use crate::limits;
use crate::types::{Definition, Field, Marshaler, TypeError, TypeId};
use crate::wire::{Reader, put_bytes, put_int, put_uint};

/// Field numbers of Go's `wireType`.
mod kind {
    pub(super) const ARRAY: i64 = 0;
    pub(super) const SLICE: i64 = 1;
    pub(super) const STRUCT: i64 = 2;
    pub(super) const MAP: i64 = 3;
    pub(super) const GOB: i64 = 4;
    pub(super) const BINARY: i64 = 5;
    pub(super) const TEXT: i64 = 6;
}

/// Reads a `wireType`.
pub(crate) fn read(reader: &mut Reader<'_>) -> Result<Definition, Error> {
    let start = reader.offset;
    let mut definition = None;
    fields(reader, |field, reader| {
        definition = Some(match field {
            kind::ARRAY => {
                let (_, [element, length]) = parts(reader)?;
                Definition::Array {
                    element: TypeId(element),
                    length: usize::try_from(length)
                        .map_err(|_| error(start, TypeError::ArrayLength { length }))?,
                }
            }
            kind::SLICE => {
                let (_, [element, _]) = parts(reader)?;
                Definition::Slice {
                    element: TypeId(element),
                }
            }
            kind::STRUCT => read_struct(reader)?,
            kind::MAP => {
                let (_, [key, element]) = parts(reader)?;
                Definition::Map {
                    key: TypeId(key),
                    element: TypeId(element),
                }
            }
            kind::GOB | kind::BINARY | kind::TEXT => {
                let (name, _) = parts(reader)?;
                Definition::Marshaled {
                    name,
                    marshaler: match field {
                        kind::GOB => Marshaler::Gob,
                        kind::BINARY => Marshaler::Binary,
                        _ => Marshaler::Text,
                    },
                }
            }
            _ => return Err(error(start, TypeError::NoSuchKind { field })),
        });
        Ok(())
    })?;
    definition.ok_or_else(|| error(start, TypeError::Empty))
}

fn read_struct(reader: &mut Reader<'_>) -> Result<Definition, Error> {
    let start = reader.offset;
    let mut name = Box::default();
    let mut list = Vec::new();
    fields(reader, |field, reader| {
        match field {
            0 => name = common(reader)?,
            1 => {
                let fields = reader.count()?;
                if fields > limits::FIELDS {
                    return Err(error(start, TypeError::TooManyFields { fields }));
                }
                list.reserve_exact(fields);
                for _ in 0..fields {
                    list.push(read_field(reader)?);
                }
            }
            _ => return Err(error(start, TypeError::NoSuchKind { field })),
        }
        Ok(())
    })?;
    Ok(Definition::Struct { name, fields: list })
}

/// Go's `fieldType{Name string; Id int}`.
fn read_field(reader: &mut Reader<'_>) -> Result<Field, Error> {
    let (mut name, mut id) = (Box::default(), 0);
    let start = reader.offset;
    fields(reader, |field, reader| {
        match field {
            0 => name = text(reader)?,
            1 => id = reader.int()?,
            _ => return Err(error(start, TypeError::NoSuchKind { field })),
        }
        Ok(())
    })?;
    Ok(Field {
        name,
        id: TypeId(id),
    })
}

/// A definition of Go's `CommonType` and up to two numbers, as all but structs are.
fn parts(reader: &mut Reader<'_>) -> Result<(Box<str>, [i64; 2]), Error> {
    let start = reader.offset;
    let (mut name, mut first, mut second) = (Box::default(), 0, 0);
    fields(reader, |field, reader| {
        match field {
            0 => name = common(reader)?,
            1 => first = reader.int()?,
            2 => second = reader.int()?,
            _ => return Err(error(start, TypeError::NoSuchKind { field })),
        }
        Ok(())
    })?;
    Ok((name, [first, second]))
}

/// Go's `CommonType{Name string; Id int}`; the number is known already.
fn common(reader: &mut Reader<'_>) -> Result<Box<str>, Error> {
    read_field(reader).map(|field| field.name)
}

fn text(reader: &mut Reader<'_>) -> Result<Box<str>, Error> {
    let offset = reader.offset;
    let bytes = reader.bytes()?;
    std::str::from_utf8(bytes)
        .map(Into::into)
        .map_err(|_| error(offset, TypeError::Name))
}

/// Calls `read` for each field that was sent, up to the zero that ends the struct.
fn fields<'b>(
    reader: &mut Reader<'b>,
    mut read: impl FnMut(i64, &mut Reader<'b>) -> Result<(), Error>,
) -> Result<(), Error> {
    let mut field = -1_i64;
    loop {
        let delta = reader.uint()?;
        if delta == 0 {
            return Ok(());
        }
        // Beyond any struct here, so that no sum of them overflows.
        field = field.saturating_add_unsigned(delta);
        read(field, reader)?;
    }
}

fn error(offset: usize, source: TypeError) -> Error {
    Error::Definition { offset, source }
}

/// Writes the message body that defines `id`: its negated number, then the `wireType`.
pub(crate) fn put(out: &mut Vec<u8>, id: TypeId, definition: &Definition) {
    put_int(out, -id.0);
    match definition {
        Definition::Array { element, length } => {
            put_head(out, kind::ARRAY, "", id);
            put_number(out, element.0);
            put_number(out, i64::try_from(*length).unwrap_or(i64::MAX));
        }
        Definition::Slice { element } => {
            put_head(out, kind::SLICE, "", id);
            put_number(out, element.0);
        }
        Definition::Map { key, element } => {
            put_head(out, kind::MAP, "", id);
            put_number(out, key.0);
            put_number(out, element.0);
        }
        Definition::Struct { name, fields } => {
            put_head(out, kind::STRUCT, name, id);
            if !fields.is_empty() {
                put_uint(out, 1);
                put_uint(out, fields.len() as u64);
                for field in fields {
                    put_named(out, &field.name, field.id);
                }
            }
        }
        Definition::Marshaled { name, marshaler } => {
            let field = match marshaler {
                Marshaler::Gob => kind::GOB,
                Marshaler::Binary => kind::BINARY,
                Marshaler::Text => kind::TEXT,
            };
            put_head(out, field, name, id);
        }
    }
    // The end of the definition and of the wire type.
    out.extend([0, 0]);
}

/// The wire type's one field, up to its `CommonType`.
fn put_head(out: &mut Vec<u8>, field: i64, name: &str, id: TypeId) {
    put_uint(out, field.unsigned_abs() + 1);
    put_uint(out, 1);
    put_named(out, name, id);
}

/// Go's `CommonType` or `fieldType`: a name and a number, empty names left out.
fn put_named(out: &mut Vec<u8>, name: &str, id: TypeId) {
    let mut delta = 1;
    if name.is_empty() {
        delta = 2;
    } else {
        put_uint(out, 1);
        put_bytes(out, name.as_bytes());
    }
    put_uint(out, delta);
    put_int(out, id.0);
    put_uint(out, 0);
}

/// The next field, which may not be left out here even if 0: only an array's length can be 0, and
/// it comes last.
fn put_number(out: &mut Vec<u8>, number: i64) {
    put_uint(out, 1);
    put_int(out, number);
}
