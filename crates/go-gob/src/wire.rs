//! The primitives: numbers, lengths, frames (Go `encoding/gob` `doc.go`, "Encoding Details").

use crate::error::Error;
use crate::limits;

/// Reads primitives from the bytes of one value, keeping the offset for errors.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reader<'b> {
    bytes: &'b [u8],
    pub(crate) offset: usize,
}

impl<'b> Reader<'b> {
    pub(crate) fn new(bytes: &'b [u8], offset: usize) -> Self {
        Self { bytes, offset }
    }

    pub(crate) fn left(&self) -> usize {
        self.bytes.len().saturating_sub(self.offset)
    }

    pub(crate) fn uint(&mut self) -> Result<u64, Error> {
        let rest = self.bytes.get(self.offset..).unwrap_or_default();
        match parse_uint(rest) {
            Ok(Some((number, width))) => {
                self.offset += width;
                Ok(number)
            }
            Ok(None) => Err(Error::Truncated {
                offset: self.offset,
            }),
            Err(width) => Err(Error::NumberTooWide {
                offset: self.offset,
                width,
            }),
        }
    }

    pub(crate) fn int(&mut self) -> Result<i64, Error> {
        self.uint().map(uint_to_int)
    }

    pub(crate) fn float(&mut self) -> Result<f64, Error> {
        Ok(f64::from_bits(self.uint()?.swap_bytes()))
    }

    /// A count of things of at least one byte each, which is every gob value.
    pub(crate) fn count(&mut self) -> Result<usize, Error> {
        let offset = self.offset;
        let length = self.uint()?;
        let left = self.left();
        usize::try_from(length)
            .ok()
            .filter(|count| *count <= left)
            .ok_or(Error::LengthBeyondInput {
                offset,
                length,
                left,
            })
    }

    pub(crate) fn bytes(&mut self) -> Result<&'b [u8], Error> {
        let length = self.count()?;
        let end = self.offset + length;
        let bytes = self
            .bytes
            .get(self.offset..end)
            .ok_or(Error::Truncated { offset: end })?;
        self.offset = end;
        Ok(bytes)
    }
}

/// The number at the front of `bytes` and its width; `None` when there is not all of it yet, an
/// error with the width when that is beyond eight.
fn parse_uint(bytes: &[u8]) -> Result<Option<(u64, usize)>, usize> {
    let Some((&first, rest)) = bytes.split_first() else {
        return Ok(None);
    };
    if first < 0x80 {
        return Ok(Some((first.into(), 1)));
    }
    // Otherwise the first byte is the negated number of big-endian bytes that follow.
    let width = usize::from(first.wrapping_neg());
    if width > 8 {
        return Err(width);
    }
    Ok(rest.get(..width).map(|digits| {
        let number = digits
            .iter()
            .fold(0, |number, digit| number << 8 | u64::from(*digit));
        (number, 1 + width)
    }))
}

/// The lowest bit says whether the others are complemented.
#[allow(clippy::cast_possible_wrap, reason = "one bit has been shifted out")]
fn uint_to_int(number: u64) -> i64 {
    let magnitude = (number >> 1) as i64;
    if number & 1 == 1 {
        !magnitude
    } else {
        magnitude
    }
}

/// The length of the message at the front of `bytes`, and the width of that length; `None` when
/// not all of the length is there yet. Lengths above
/// [`MESSAGE_BYTES`](limits::MESSAGE_BYTES) are refused before the message is there.
pub fn parse_length(bytes: &[u8]) -> Result<Option<(usize, usize)>, Error> {
    let parsed = parse_uint(bytes).map_err(|width| Error::NumberTooWide { offset: 0, width })?;
    let Some((length, width)) = parsed else {
        return Ok(None);
    };
    usize::try_from(length)
        .ok()
        .filter(|length| *length <= limits::MESSAGE_BYTES)
        .map(|length| Some((length, width)))
        .ok_or(Error::MessageTooLong { length })
}

/// A message without its length, and what follows it.
pub type Split<'b> = (&'b [u8], &'b [u8]);

/// The message at the front of `bytes`, without its length, and what follows; `None` when it is
/// not all there yet.
pub fn split_message(bytes: &[u8]) -> Result<Option<Split<'_>>, Error> {
    let Some((length, width)) = parse_length(bytes)? else {
        return Ok(None);
    };
    Ok(bytes
        .get(width..)
        .and_then(|rest| rest.split_at_checked(length)))
}

pub(crate) fn put_uint(out: &mut Vec<u8>, number: u64) {
    match u8::try_from(number) {
        Ok(small) if small < 0x80 => out.push(small),
        _ => {
            let digits = number.to_be_bytes();
            let zeros = digits.iter().take_while(|digit| **digit == 0).count();
            let width = digits.len() - zeros;
            // 1 to 8, so the negated width is 0xf8 to 0xff.
            out.push((u8::try_from(width).unwrap_or_default()).wrapping_neg());
            out.extend(digits.iter().skip(zeros));
        }
    }
}

#[allow(clippy::cast_sign_loss, reason = "the sign moves into the lowest bit")]
pub(crate) fn put_int(out: &mut Vec<u8>, number: i64) {
    let coded = if number < 0 {
        (!number as u64) << 1 | 1
    } else {
        (number as u64) << 1
    };
    put_uint(out, coded);
}

pub(crate) fn put_float(out: &mut Vec<u8>, number: f64) {
    put_uint(out, number.to_bits().swap_bytes());
}

pub(crate) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_uint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The values worked out in Go's `doc.go`.
    #[test]
    fn numbers_are_as_gos_documentation_shows() {
        for (number, bytes) in [
            (0, &[0][..]),
            (7, &[7]),
            (127, &[0x7f]),
            (128, &[0xff, 0x80]),
            (256, &[0xfe, 0x01, 0x00]),
            (u64::MAX, &[0xf8, 255, 255, 255, 255, 255, 255, 255, 255]),
        ] {
            let mut out = Vec::new();
            put_uint(&mut out, number);
            assert_eq!(out, bytes);
            assert_eq!(parse_uint(bytes), Ok(Some((number, bytes.len()))));
        }
        let mut out = Vec::new();
        put_int(&mut out, -129);
        assert_eq!(out, [0xfe, 0x01, 0x01]);
        out.clear();
        put_float(&mut out, 17.0);
        assert_eq!(out, [0xfe, 0x31, 0x40]);
    }

    #[test]
    fn signed_numbers_round_trip_at_every_width() {
        for shift in 0..64 {
            for number in [i64::MIN >> shift, i64::MAX >> shift] {
                let mut out = Vec::new();
                put_int(&mut out, number);
                assert_eq!(Reader::new(&out, 0).int(), Ok(number));
            }
        }
    }

    #[test]
    fn a_number_of_eight_bytes_is_the_widest() {
        assert_eq!(parse_uint(&[0xf8, 1]), Ok(None));
        assert_eq!(parse_uint(&[0xf7, 1]), Err(9));
        assert_eq!(parse_uint(&[0x80]), Err(128));
    }

    #[test]
    fn a_message_at_the_limit_is_awaited_and_one_beyond_it_refused() {
        for (length, fits) in [
            (limits::MESSAGE_BYTES, true),
            (limits::MESSAGE_BYTES + 1, false),
        ] {
            let mut out = Vec::new();
            put_uint(&mut out, length as u64);
            assert_eq!(parse_length(&out).is_ok(), fits);
            assert_eq!(split_message(&out).is_ok(), fits);
        }
    }
}
