//! JSON into policies, in as few bytes of module as that takes.
//!
//! `serde_json` makes a third of a module that uses it: each structure twice (from objects and from arrays), floating-point
//! numbers, and everything again for each kind of input. This reads what a policy has (objects, arrays, strings, whole
//! numbers, `true`, `false`, `null`), takes the same texts, and says what is wrong in the same words; the tests hold it to
//! that.

mod de;
mod error;
mod reader;

use std::borrow::Cow;

use serde::Deserialize;

pub(crate) use error::Error;
use reader::Reader;

/// A `T` out of the whole of `json`.
pub(crate) fn read<'de, T: Deserialize<'de>>(json: &'de str) -> Result<T, Error> {
    whole(json, |reader| T::deserialize(reader))
}

/// The members of the object that is the whole of `json`, each with the text of its value. All of it is checked.
pub(crate) fn members(json: &str) -> Result<Vec<(Cow<'_, str>, &str)>, Error> {
    whole(json, |reader| {
        reader.begin(b'{', &"a map")?;
        let mut members = Vec::new();
        while reader.next_member(members.is_empty())? {
            let name = reader.name()?;
            members.push((name, reader.skipped()?));
        }
        Ok(members)
    })
}

/// What `read` makes of `json`, if nothing is left behind it. An error says where it was found.
fn whole<'de, T>(
    json: &'de str,
    read: impl FnOnce(&mut Reader<'de>) -> Result<T, Error>,
) -> Result<T, Error> {
    let mut reader = Reader::new(json);
    let read = read(&mut reader).and_then(|value| reader.end().map(|()| value));
    read.map_err(|error| error.at(reader.passed()))
}

#[cfg(test)]
mod tests;
