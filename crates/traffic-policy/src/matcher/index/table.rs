//! A table from hashes to numbers, made once.

use std::collections::BinaryHeap;

use crate::pace::Pace;

/// What finding the place of one pair takes, in units of [`Pace`].
const PAIR_UNITS: usize = 8;

/// Pairs in order, found by the upper bits of the hash. Several numbers may have one hash.
#[derive(Debug, Default)]
pub(super) struct Table {
    pairs: Box<[(u64, u32)]>,
    /// Where the pairs of each value of the upper bits begin, and where the last of them end.
    starts: Box<[u32]>,
    /// How far a hash is shifted to leave its upper bits.
    shift: u32,
}

impl Table {
    pub(super) async fn new(pairs: Vec<(u64, u32)>, pace: &Pace) -> Self {
        // A heap, since it can pause between two pairs.
        let mut heap = BinaryHeap::from(pairs);
        let mut pairs = Vec::with_capacity(heap.len());
        while let Some(pair) = heap.pop() {
            if pairs.last() != Some(&pair) {
                pairs.push(pair);
            }
            pace.spend(PAIR_UNITS).await;
        }
        pairs.reverse();
        Self::of_sorted(pairs)
    }

    // Apart: what a future keeps between two pauses is slow to get at, and more of a module.
    fn of_sorted(pairs: Vec<(u64, u32)>) -> Self {
        if pairs.is_empty() {
            return Self::default();
        }
        // About half of the places stay free. One bit at least, since a shift by 64 is none.
        let places = (pairs.len() * 2).next_power_of_two();
        let shift = 64 - places.ilog2();
        let mut starts = Vec::with_capacity(places + 1);
        for ((hash, _), number) in pairs.iter().zip(0u32..) {
            let place = usize::try_from(hash >> shift).unwrap_or_default();
            while starts.len() <= place {
                starts.push(number);
            }
        }
        starts.resize(places + 1, u32::try_from(pairs.len()).unwrap_or(u32::MAX));
        Self {
            pairs: pairs.into(),
            starts: starts.into(),
            shift,
        }
    }

    /// Where the pairs with that hash begin, if there are any. However many of another hash are beside
    /// them: the hash may be a client's choice.
    #[inline]
    pub(super) fn start(&self, hash: u64) -> Option<usize> {
        let place = usize::try_from(hash.checked_shr(self.shift)?).ok()?;
        let [start, end] = self.starts.get(place..place + 2)? else {
            return None;
        };
        let (start, end) = (usize::try_from(*start).ok()?, usize::try_from(*end).ok()?);
        let place = self.pairs.get(start..end)?;
        let before = place.partition_point(|(other, _)| *other < hash);
        (place.get(before)?.0 == hash).then_some(start + before)
    }

    /// The numbers of the pairs from `start` on that have the hash of the first, the smallest first.
    #[inline]
    pub(super) fn numbers(&self, start: usize) -> impl Iterator<Item = u32> {
        let pairs = self.pairs.get(start..).unwrap_or_default();
        let first = pairs.first().map(|(hash, _)| *hash);
        pairs
            .iter()
            .take_while(move |(hash, _)| Some(*hash) == first)
            .map(|(_, number)| *number)
    }

    /// How many pairs there are.
    pub(super) fn len(&self) -> usize {
        self.pairs.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pace;

    fn table(pairs: Vec<(u64, u32)>) -> Table {
        pace::all(Table::new(pairs, &Pace::at_once()))
    }

    fn find(table: &Table, hash: u64) -> Vec<u32> {
        let start = table.start(hash).into_iter();
        start.flat_map(|start| table.numbers(start)).collect()
    }

    #[test]
    fn numbers_are_found_in_order() {
        let hash = |number: u64| number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let pairs = (0..1_000u32)
            .rev()
            .map(|number| (hash(u64::from(number % 400)), number))
            .collect();
        let table = table(pairs);
        for number in 0..400u32 {
            let expected: Vec<u32> = (number..1_000).step_by(400).collect();
            assert_eq!(find(&table, hash(u64::from(number))), expected);
        }
        assert!(find(&table, hash(400)).is_empty());
    }

    #[test]
    fn the_ends_are_found() {
        for pairs in [
            vec![(0, 1)],
            vec![(u64::MAX, 2)],
            vec![(u64::MAX, 2), (0, 1)],
            vec![(1, 3), (0, 1), (1, 2)],
        ] {
            let table = table(pairs.clone());
            for hash in [0, 1, u64::MAX - 1, u64::MAX] {
                let expected = pairs.iter().filter(|(other, _)| *other == hash);
                let mut expected: Vec<u32> = expected.map(|(_, number)| *number).collect();
                expected.sort_unstable();
                assert_eq!(find(&table, hash), expected, "{pairs:?}");
            }
        }
        assert!(find(&table(Vec::new()), 0).is_empty());
    }
}
