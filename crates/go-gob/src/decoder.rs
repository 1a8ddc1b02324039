//! From messages to complete values: collects them, has them checked, hands them out.

use crate::check::{self, Check};
use crate::encoded::Encoded;
use crate::error::Error;
use crate::limits;
use crate::types::Types;
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
        Ok(self.check.encoded(&self.types, &self.bytes))
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
        check::read_definition(&mut reader, id, &mut self.types, &mut self.definition_bytes)?;
        match reader.left() {
            0 => Ok(true),
            left => Err(Error::TrailingBytes {
                offset: reader.offset,
                left,
            }),
        }
    }
}
