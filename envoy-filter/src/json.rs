//! JSON into policies, in as few bytes of module as that takes.
//!
//! `serde_json` makes a third of a module that uses it: each structure twice (from objects and from arrays), floating-point
//! numbers, and everything again for each kind of input. This reads what a policy has (objects, arrays, strings, whole
//! numbers, `true`, `false`, `null`), takes the same texts, and says what is wrong in the same words; the tests hold it to
//! that.

mod de;
mod error;
mod policy;
mod reader;

use serde::Deserialize;

pub(crate) use error::Error;
pub(crate) use policy::policy;
pub(crate) use reader::Reader;

/// A `T` out of the value that is next.
pub(crate) fn read<'de, T: Deserialize<'de>>(reader: &mut Reader<'de>) -> Result<T, Error> {
    T::deserialize(reader)
}

#[cfg(test)]
mod tests;
