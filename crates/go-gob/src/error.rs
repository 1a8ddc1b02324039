//! What can be wrong with a stream.

use thiserror::Error as ThisError;

use crate::types::{TypeError, TypeId};

/// What is wrong with a gob stream. After one of these the stream can't be read on: a value's end
/// is only known by reading it.
#[derive(Clone, Debug, PartialEq, Eq, ThisError)]
#[non_exhaustive]
pub enum Error {
    /// The message ends inside a value.
    #[error("byte {offset}: the message ends inside a value")]
    Truncated {
        /// Where, counted from the value's first byte.
        offset: usize,
    },
    /// An unsigned number claims more than eight bytes (Go `errBadUint`).
    #[error("byte {offset}: a number of {width} bytes; at most 8")]
    NumberTooWide {
        /// Where.
        offset: usize,
        /// The width claimed.
        width: usize,
    },
    /// A count or length that what is left of the message can't hold.
    #[error("byte {offset}: a length of {length}, with {left} bytes left")]
    LengthBeyondInput {
        /// Where.
        offset: usize,
        /// The length claimed.
        length: u64,
        /// Bytes left.
        left: usize,
    },
    /// A message longer than [`MESSAGE_BYTES`](crate::limits::MESSAGE_BYTES), or a value that
    /// grows beyond it over several messages.
    #[error(
        "a message of {length} bytes; at most {} are read",
        crate::limits::MESSAGE_BYTES
    )]
    MessageTooLong {
        /// The length claimed or reached.
        length: u64,
    },
    /// More values than [`VALUES`](crate::limits::VALUES).
    #[error("byte {offset}: more than {} values in one", crate::limits::VALUES)]
    TooManyValues {
        /// Where.
        offset: usize,
    },
    /// Nested deeper than [`DEPTH`](crate::limits::DEPTH).
    #[error("byte {offset}: values nested deeper than {}", crate::limits::DEPTH)]
    TooDeep {
        /// Where.
        offset: usize,
    },
    /// A value of a type that the stream has not defined.
    #[error("byte {offset}: type {id} was not defined")]
    UndefinedType {
        /// Where.
        offset: usize,
        /// The type.
        id: TypeId,
    },
    /// A field number beyond the struct's fields.
    #[error("byte {offset}: field {field} of type {id}, which has {fields}")]
    NoSuchField {
        /// Where.
        offset: usize,
        /// The struct.
        id: TypeId,
        /// The field claimed, from 0.
        field: u64,
        /// How many it has.
        fields: usize,
    },
    /// An array with another number of elements than its type.
    #[error("byte {offset}: {found} elements in an array of {expected}")]
    ArrayLength {
        /// Where.
        offset: usize,
        /// Elements sent.
        found: u64,
        /// Elements of the type.
        expected: usize,
    },
    /// A value that is no struct must begin with a zero.
    #[error("byte {offset}: {found} where a value that is no struct begins; expected 0")]
    Singleton {
        /// Where.
        offset: usize,
        /// What stands there.
        found: u64,
    },
    /// Bytes left after the value.
    #[error("byte {offset}: {left} bytes after the value")]
    TrailingBytes {
        /// Where the value ends.
        offset: usize,
        /// Bytes left.
        left: usize,
    },
    /// A type definition that can't be.
    #[error("byte {offset}: type definition")]
    Definition {
        /// Where.
        offset: usize,
        /// What is wrong with it.
        source: TypeError,
    },
    /// A value was asked for, and none is complete.
    #[error("no complete value is buffered")]
    NotReady,
}
