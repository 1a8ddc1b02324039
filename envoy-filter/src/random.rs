//! Random numbers for shares of requests: fast, small, and of no use for secrets.

use crate::host::Host;

/// SplitMix64.
#[derive(Debug, Default)]
pub(crate) struct Random(u64);

impl Random {
    /// Begins anew where the proxy says, so that workers and proxies differ. If it says nothing, shares are right all the
    /// same, and only the order of who is in them is one that others have too.
    pub(crate) fn seed(&mut self, host: &mut impl Host) {
        let mut bytes = [0; 8];
        if host.random(&mut bytes) {
            self.0 = u64::from_le_bytes(bytes);
        }
    }

    pub(crate) fn next(&mut self) -> u32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        // The upper half; a shift by 32 leaves no more than that.
        u32::try_from((mixed ^ (mixed >> 31)) >> 32).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use crate::host::script::Script;

    use super::*;

    #[test]
    fn numbers_are_spread_and_seeds_differ() {
        let (mut random, mut other) = (Random::default(), Random::default());
        let mut tenths = [0u32; 10];
        for _ in 0..100_000 {
            tenths[usize::try_from((u64::from(random.next()) * 10) >> 32).unwrap()] += 1;
        }
        // Ten standard deviations of 95 each.
        assert!(
            tenths.iter().all(|count| (9_050..=10_950).contains(count)),
            "{tenths:?}"
        );
        let mut host = Script::default();
        random.seed(&mut host);
        other.seed(&mut host);
        assert_ne!(random.next(), other.next());
    }
}
