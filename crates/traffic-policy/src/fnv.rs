//! FNV-1a, for keys that are from the configuration and short, and for signs ([`crate::matcher`]), where a client that makes
//! two alike wins nothing; the standard library's hash guards against a danger that isn't here, at several times the cost.

use std::hash::Hasher;

/// The hash of nothing.
pub(crate) const NOTHING: u64 = 0xcbf2_9ce4_8422_2325;

/// The hash of what has `hash`, with `byte` behind it.
#[inline]
pub(crate) fn with(hash: u64, byte: u8) -> u64 {
    (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
}

/// Gives the same number whatever the machine's word size, which the standard library's lengths and discriminants have.
pub(crate) struct Fnv(u64);

impl Default for Fnv {
    fn default() -> Self {
        Self(NOTHING)
    }
}

impl Hasher for Fnv {
    fn finish(&self) -> u64 {
        self.0
    }

    // Called from everywhere that something is hashed; inlined, it would be most of the module's code for that.
    #[inline(never)]
    fn write(&mut self, bytes: &[u8]) {
        self.0 = bytes.iter().fold(self.0, |hash, byte| with(hash, *byte));
    }

    fn write_u8(&mut self, number: u8) {
        self.write(&[number]);
    }

    fn write_usize(&mut self, number: usize) {
        self.write(&u64::try_from(number).unwrap_or(u64::MAX).to_le_bytes());
    }

    fn write_isize(&mut self, number: isize) {
        self.write(&i64::try_from(number).unwrap_or(i64::MAX).to_le_bytes());
    }

    fn write_u32(&mut self, number: u32) {
        self.write(&number.to_le_bytes());
    }
}
