//! The header map as Envoy serializes it, read in place.
//!
//! The ABI's form (proxy-wasm/spec abi-versions/v0.2.1, "serialized map"): the number of pairs, then
//! for each the lengths of name and value, all as little-endian `u32`; then names and values, each
//! with a NUL behind it.

use traffic_policy::Headers;

/// A serialized header map. Without a copy: names and values are slices of what the host wrote.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HeaderMap<'a> {
    /// Pairs of lengths, eight bytes each.
    lengths: &'a [u8],
    content: &'a [u8],
}

impl<'a> HeaderMap<'a> {
    /// `None` if the lengths say more than there is.
    pub(crate) fn parse(bytes: &'a [u8]) -> Option<Self> {
        // An empty map is no bytes at all.
        if bytes.is_empty() {
            return Some(Self {
                lengths: &[],
                content: &[],
            });
        }
        let (count, rest) = bytes.split_first_chunk::<4>()?;
        let pairs = usize::try_from(u32::from_le_bytes(*count)).ok()?;
        let (lengths, content) = rest.split_at_checked(pairs.checked_mul(8)?)?;
        Some(Self { lengths, content })
    }

    /// All pairs in order; ends early where the lengths say more than there is.
    pub(crate) fn pairs(self) -> Pairs<'a> {
        Pairs {
            lengths: self.lengths,
            content: self.content,
        }
    }
}

impl Headers for HeaderMap<'_> {
    fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.pairs()
    }
}

/// The iterator over a [`HeaderMap`].
#[derive(Debug)]
pub(crate) struct Pairs<'a> {
    lengths: &'a [u8],
    content: &'a [u8],
}

impl<'a> Iterator for Pairs<'a> {
    type Item = (&'a [u8], &'a [u8]);

    // For each header of each request, and the compiler is told to build for size.
    #[allow(clippy::inline_always)]
    #[inline(always)]
    fn next(&mut self) -> Option<Self::Item> {
        let (both, lengths) = self.lengths.split_first_chunk::<8>()?;
        self.lengths = lengths;
        let both = u64::from_le_bytes(*both);
        let name = self.take(both & u64::from(u32::MAX))?;
        let value = self.take(both >> 32)?;
        Some((name, value))
    }
}

impl<'a> Pairs<'a> {
    /// The next string of `length` bytes, without its NUL.
    #[allow(clippy::inline_always)]
    #[inline(always)]
    fn take(&mut self, length: u64) -> Option<&'a [u8]> {
        let length = usize::try_from(length).ok()?;
        let (string, rest) = self.content.split_at_checked(length)?;
        self.content = rest.get(1..)?;
        Some(string)
    }
}

/// The serialized form of `headers`, as a host writes it.
#[cfg(test)]
pub(crate) fn serialize(headers: &[(&str, &str)]) -> Vec<u8> {
    let number = |length: usize| u32::try_from(length).unwrap().to_le_bytes();
    let mut bytes = number(headers.len()).to_vec();
    for (name, value) in headers {
        bytes.extend(number(name.len()));
        bytes.extend(number(value.len()));
    }
    for (name, value) in headers {
        for string in [name, value] {
            bytes.extend(string.as_bytes());
            bytes.push(0);
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> Option<Vec<(&[u8], &[u8])>> {
        HeaderMap::parse(bytes).map(|map| map.pairs().collect())
    }

    #[test]
    fn pairs_come_back_in_order() {
        let bytes = serialize(&[(":path", "/a"), ("x", ""), ("x", "1\0")]);
        let expected: Vec<(&[u8], &[u8])> = vec![(b":path", b"/a"), (b"x", b""), (b"x", b"1\0")];
        assert_eq!(read(&bytes), Some(expected));
        assert_eq!(read(&[]), Some(Vec::new()));
        assert_eq!(read(&serialize(&[])), Some(Vec::new()));
    }

    #[test]
    fn what_is_cut_off_is_not_read() {
        let bytes = serialize(&[("a", "1"), ("b", "2")]);
        for end in 1..bytes.len() {
            let read = read(&bytes[..end]);
            assert!(read.is_none_or(|pairs| pairs.len() < 2), "{end}");
        }
        assert_eq!(read(&[0xff; 12]), None);
        let mut long = serialize(&[("a", "1")]);
        long[4..8].copy_from_slice(&u32::MAX.to_le_bytes());
        assert_eq!(read(&long), Some(Vec::new()));
    }
}
