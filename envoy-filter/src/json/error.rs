//! What is wrong with a text, as one line.

use std::fmt;

use serde::de::{self, Expected, Unexpected};

/// Why a text could not be read, and once that is known, where: in the words of `serde_json`.
#[derive(Debug)]
pub(crate) struct Error(String);

impl Error {
    pub(super) fn new(what: &str) -> Self {
        Self(what.to_owned())
    }

    /// Something of another type than `expected`.
    pub(super) fn type_of(found: &str, expected: &dyn Expected) -> Self {
        Self(format!("invalid type: {found}, expected {expected}"))
    }

    /// With the place: behind `passed`, which is what was read.
    pub(crate) fn at(mut self, passed: &[u8]) -> Self {
        let lines = passed.split(|byte| *byte == b'\n');
        let (line, column) = lines.fold((0, 0), |(line, _), last| (line + 1, last.len()));
        self.0 = format!("{} at line {line} column {column}", self.0);
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str(&self.0)
    }
}

impl std::error::Error for Error {}

impl de::Error for Error {
    fn custom<T: fmt::Display>(what: T) -> Self {
        Self(what.to_string())
    }

    // The two below would print floating-point numbers too, which are 40 KB of module.

    fn invalid_type(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::type_of(&words(found), expected)
    }

    fn invalid_value(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        let found = words(found);
        Self(format!("invalid value: {found}, expected {expected}"))
    }
}

/// What the reader hands out, in `serde`'s words.
fn words(found: Unexpected<'_>) -> String {
    match found {
        Unexpected::Bool(value) => format!("boolean `{value}`"),
        Unexpected::Unsigned(value) => format!("integer `{value}`"),
        Unexpected::Str(value) => format!("string {value:?}"),
        Unexpected::Map => "map".to_owned(),
        Unexpected::Seq => "sequence".to_owned(),
        Unexpected::Unit | Unexpected::Option => "null".to_owned(),
        _ => "another type".to_owned(),
    }
}
