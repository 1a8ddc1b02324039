//! From JSON, as the API server has it, to the gob value that Go's encoder would make of the same object.
//!
//! As Go does it: the JSON decoder skips unknown fields and takes null for the zero value; gob leaves zeros out of
//! structs (Go `encoding/gob/encode.go`, `encOpFor`: scalars, strings, slices without elements, nil pointers and maps),
//! sends structs and maps that are there even when they are empty, and sends every element of a slice or a map.
//! A pointer to zero is lost, as it is in Go.

use std::fmt;

use go_gob::Value;
use serde_json::Value as Json;
use thiserror::Error;

use super::table::{Kind, Struct};

/// Go's `intstr.String`; `intstr.Int` is 0.
const INT_OR_STRING_IS_STRING: i64 = 1;
/// Seconds from 0001-01-01, where Go counts from, to 1970-01-01 (Go `time/time.go`, `unixToInternal`).
const GO_EPOCH_TO_UNIX: i64 = 62_135_596_800;
/// Go's `timeBinaryVersionV1`.
const TIME_VERSION: u8 = 1;
/// What Go writes for the zone of a time in UTC, minutes east otherwise (Go `time/time.go`, `MarshalBinary`).
const TIME_UTC: i16 = -1;

/// A field that Go could not decode either.
#[derive(Debug, PartialEq, Eq, Error)]
#[error("{path}: {found} where {expected} is expected")]
pub struct ConvertError {
    /// Where, in JSON's names.
    path: Path,
    /// What is there.
    found: Box<str>,
    /// What should be.
    expected: &'static str,
}

/// From the inside out, as the error travels.
#[derive(Debug, Default, PartialEq, Eq)]
struct Path(Vec<Segment>);

#[derive(Debug, PartialEq, Eq)]
enum Segment {
    Field(Box<str>),
    Index(usize),
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, segment) in self.0.iter().rev().enumerate() {
            match segment {
                Segment::Field(name) if at == 0 => f.write_str(name)?,
                Segment::Field(name) => write!(f, ".{name}")?,
                Segment::Index(index) => write!(f, "[{index}]")?,
            }
        }
        Ok(())
    }
}

impl ConvertError {
    fn new(found: &Json, expected: &'static str) -> Self {
        Self {
            path: Path::default(),
            found: found.to_string().into(),
            expected,
        }
    }

    fn within(mut self, segment: Segment) -> Self {
        self.path.0.push(segment);
        self
    }
}

/// The fields of `object` that gob would send of a `table`.
pub(super) fn structure(table: &Struct, object: &Json) -> Result<Value, ConvertError> {
    let Some(object) = object.as_object() else {
        return Err(ConvertError::new(object, "an object"));
    };
    let mut sent = Vec::new();
    for (at, field) in table.fields.iter().enumerate() {
        let found = object.get(field.json).unwrap_or(&Json::Null);
        let value =
            sent_as(field.kind, found).map_err(|error| error.within(field_segment(field.json)))?;
        sent.extend(value.map(|value| (at, value)));
    }
    Ok(Value::Struct(sent))
}

fn field_segment(name: &str) -> Segment {
    Segment::Field(name.into())
}

/// A field of a struct; `None` for what gob leaves out.
fn sent_as(kind: Kind, json: &Json) -> Result<Option<Value>, ConvertError> {
    if json.is_null() {
        return Ok(match kind {
            Kind::Struct(_) => Some(Value::Struct(Vec::new())),
            _ => None,
        });
    }
    let value = element(kind, json)?;
    Ok((!is_zero(&value)).then_some(value))
}

/// Whether gob leaves the value out of a struct. A map that is there is not nil.
fn is_zero(value: &Value) -> bool {
    match value {
        Value::Bool(value) => !value,
        Value::Int(value) => *value == 0,
        Value::String(bytes) | Value::Bytes(bytes) => bytes.is_empty(),
        Value::List(list) => list.is_empty(),
        _ => false,
    }
}

/// A value that is sent whatever it is: an element.
fn element(kind: Kind, json: &Json) -> Result<Value, ConvertError> {
    Ok(match kind {
        // Go's `json.RawMessage` keeps a null, as the four letters.
        Kind::Raw => Value::Bytes(json.to_string().into_bytes()),
        _ if json.is_null() => zero(kind),
        Kind::Bool => Value::Bool(
            json.as_bool()
                .ok_or_else(|| ConvertError::new(json, "true or false"))?,
        ),
        Kind::Int => Value::Int(integer(json)?),
        Kind::Text => Value::string(
            json.as_str()
                .ok_or_else(|| ConvertError::new(json, "a string"))?,
        ),
        Kind::Time => Value::Marshaled(time(json)?),
        Kind::IntOrString => {
            let fields = match json.as_str() {
                Some(text) => [
                    (0, Value::Int(INT_OR_STRING_IS_STRING)),
                    (2, Value::string(text)),
                ]
                .into(),
                None => vec![(1, Value::Int(integer(json)?))],
            };
            Value::Struct(
                fields
                    .into_iter()
                    .filter(|(_, value)| !is_zero(value))
                    .collect(),
            )
        }
        Kind::List(kind) => {
            let list = json
                .as_array()
                .ok_or_else(|| ConvertError::new(json, "a list"))?;
            let elements = list.iter().enumerate().map(|(index, json)| {
                element(*kind, json).map_err(|error| error.within(Segment::Index(index)))
            });
            Value::List(elements.collect::<Result<_, _>>()?)
        }
        Kind::Map(kind) => {
            let map = json
                .as_object()
                .ok_or_else(|| ConvertError::new(json, "an object"))?;
            let entries = map.iter().map(|(key, json)| {
                element(*kind, json)
                    .map(|value| (Value::string(key.as_str()), value))
                    .map_err(|error| error.within(field_segment(key)))
            });
            Value::Map(entries.collect::<Result<_, _>>()?)
        }
        Kind::Struct(table) | Kind::Pointer(table) => structure(table, json)?,
    })
}

fn zero(kind: Kind) -> Value {
    match kind {
        Kind::Bool => Value::Bool(false),
        Kind::Int => Value::Int(0),
        Kind::Text => Value::String(Vec::new()),
        Kind::Raw => Value::Bytes(Vec::new()),
        Kind::Time => Value::Marshaled(go_time(0, 0)),
        Kind::List(_) => Value::List(Vec::new()),
        Kind::Map(_) => Value::Map(Vec::new()),
        Kind::IntOrString | Kind::Struct(_) | Kind::Pointer(_) => Value::Struct(Vec::new()),
    }
}

fn integer(json: &Json) -> Result<i64, ConvertError> {
    json.as_i64()
        .ok_or_else(|| ConvertError::new(json, "an integer"))
}

/// An RFC 3339 time in Go's binary form.
fn time(json: &Json) -> Result<Vec<u8>, ConvertError> {
    json.as_str()
        .and_then(|text| text.parse::<jiff::Timestamp>().ok())
        .and_then(|time| {
            let nanoseconds = time.as_nanosecond();
            let seconds = i64::try_from(nanoseconds.div_euclid(1_000_000_000)).ok()?;
            let rest = u32::try_from(nanoseconds.rem_euclid(1_000_000_000)).ok()?;
            Some(go_time(seconds.checked_add(GO_EPOCH_TO_UNIX)?, rest))
        })
        .ok_or_else(|| ConvertError::new(json, "an RFC 3339 time"))
}

/// What Go's `time.Time.MarshalBinary` writes of a time in UTC: version, seconds and nanoseconds, zone.
fn go_time(seconds: i64, nanoseconds: u32) -> Vec<u8> {
    let mut out = vec![TIME_VERSION];
    out.extend(seconds.to_be_bytes());
    out.extend(nanoseconds.to_be_bytes());
    out.extend(TIME_UTC.to_be_bytes());
    out
}

#[cfg(test)]
mod tests;
