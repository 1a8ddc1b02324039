//! Random numbers for shares of requests: fast, small, and of no use for secrets.

use std::hash::{BuildHasher, Hasher, RandomState};

/// SplitMix64.
#[derive(Debug)]
pub(crate) struct Random(u64);

impl Random {
    /// Seeded from the standard library's hash keys, which in a module come from Envoy
    /// (`random_get`), so that workers and proxies differ.
    pub(crate) fn seeded() -> Self {
        Self(RandomState::new().build_hasher().finish())
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
    use super::*;

    #[test]
    fn numbers_are_spread_and_seeds_differ() {
        let mut random = Random::seeded();
        let mut tenths = [0u32; 10];
        for _ in 0..100_000 {
            tenths[usize::try_from((u64::from(random.next()) * 10) >> 32).unwrap()] += 1;
        }
        // Ten standard deviations of 95 each.
        assert!(
            tenths.iter().all(|count| (9_050..=10_950).contains(count)),
            "{tenths:?}"
        );
        assert_ne!(Random::seeded().next(), Random::seeded().next());
    }
}
