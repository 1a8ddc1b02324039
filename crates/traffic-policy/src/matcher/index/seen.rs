//! What a request has shown already, since it can show one sign tens of thousands of times.

/// As many are kept in place; hardly any request shows more signs that entries are filed under.
const FEW: usize = 8;

/// Numbers, each of which is new once.
#[derive(Debug, Default)]
pub(super) struct Seen {
    few: [u32; FEW],
    count: usize,
    /// A bit for each number. Space for it is taken only where the few are more.
    many: Box<[u64]>,
}

impl Seen {
    /// True the first time for each number, of those below `end`.
    #[inline]
    pub(super) fn is_new(&mut self, number: usize, end: usize) -> bool {
        let few = u32::try_from(number).unwrap_or(u32::MAX);
        if self.few.iter().take(self.count).any(|other| *other == few) {
            return false;
        }
        if let Some(place) = self.few.get_mut(self.count) {
            *place = few;
            self.count += 1;
            return true;
        }
        self.mark(number, end)
    }

    #[cold]
    fn mark(&mut self, number: usize, end: usize) -> bool {
        if self.many.is_empty() {
            self.many = vec![0; end / 64 + 1].into();
        }
        let bit = 1 << (number % 64);
        self.many.get_mut(number / 64).is_some_and(|bits| {
            let new = *bits & bit == 0;
            *bits |= bit;
            new
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_new_once() {
        let mut seen = Seen::default();
        for number in (0..1_000).rev().step_by(7) {
            assert!(seen.is_new(number, 1_000));
            assert!(!seen.is_new(number, 1_000));
        }
        let again: Vec<usize> = (0..1_000)
            .filter(|number| seen.is_new(*number, 1_000))
            .collect();
        assert!(again.iter().all(|number| (999 - number) % 7 != 0));
        assert_eq!(again.len(), 1_000 - 1_000_usize.div_ceil(7));
    }
}
