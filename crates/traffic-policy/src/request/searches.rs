//! What all searches of one request share, so that many patterns cost a worker no more than a few.

use std::cell::{Cell, RefCell};

/// The most that all searches of one request may take together, in the unit of [`Searches::take`]: twice
/// what a single one may.
const MOST: usize = 1 << 23;
/// The most bytes of queries and cookies that one request may be walked through for its conditions, at some
/// nanosecond each. No request that isn't made for it comes near: it is a thousand walks of 16 KiB.
const MOST_WALKED: usize = 1 << 24;
/// What a look at an entry counts as: its conditions, and the headers that they go through. So all entries
/// of three policies at their largest ([`crate::MAX_ENTRIES`]) can be looked at.
const LOOK: usize = 256;

/// How much searching one request is still allowed, and the last value that had to be rewritten for it.
///
/// Two accounts, so that patterns which have used up theirs leave all other conditions as they are.
#[derive(Debug)]
pub(crate) struct Searches {
    left: Cell<usize>,
    walks: Cell<usize>,
    text: RefCell<Text>,
}

/// A value with bytes beyond ASCII, each as the character of that number.
#[derive(Debug, Default)]
struct Text {
    value: Vec<u8>,
    text: String,
}

impl Default for Searches {
    fn default() -> Self {
        Self {
            left: Cell::new(MOST),
            walks: Cell::new(MOST_WALKED),
            text: RefCell::default(),
        }
    }
}

impl Searches {
    /// True if a search that takes `steps` (positions of the pattern times bytes of the value) may still
    /// be made; it is counted.
    pub(crate) fn take(&self, steps: usize) -> bool {
        take(&self.left, steps)
    }

    /// True if an entry may still be looked at; it is counted. One that may not is not satisfied.
    pub(crate) fn look(&self) -> bool {
        take(&self.walks, LOOK)
    }

    /// True if that many bytes may still be walked through for one name; they are counted. Where they may
    /// not, the name isn't there.
    pub(crate) fn walk(&self, bytes: usize) -> bool {
        take(&self.walks, bytes)
    }

    /// What has been taken: of searches, and of walks.
    #[cfg(test)]
    pub(crate) fn taken(&self) -> (usize, usize) {
        (MOST - self.left.get(), MOST_WALKED - self.walks.get())
    }

    /// What that many looks count as.
    #[cfg(test)]
    pub(crate) fn looks_as_bytes(looks: usize) -> usize {
        looks * LOOK
    }

    /// `value` as text for `search`, each byte as the character of that number.
    ///
    /// Allocates for a value with bytes beyond ASCII only, and once for all patterns that ask for the
    /// same value one after the other.
    pub(crate) fn with_text(&self, value: &[u8], search: impl FnOnce(&str) -> bool) -> bool {
        if let Ok(text) = str::from_utf8(value)
            && text.is_ascii()
        {
            return search(text);
        }
        let Ok(mut kept) = self.text.try_borrow_mut() else {
            return false;
        };
        if kept.value != value {
            let Text { value: of, text } = &mut *kept;
            of.clear();
            of.extend_from_slice(value);
            text.clear();
            text.extend(value.iter().copied().map(char::from));
        }
        search(&kept.text)
    }
}

/// True if `left` is that much; it is less then, or nothing.
fn take(left: &Cell<usize>, much: usize) -> bool {
    let rest = left.get().checked_sub(much);
    left.set(rest.unwrap_or_default());
    rest.is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_is_gone() {
        let searches = Searches::default();
        assert!(searches.take(MOST - 1));
        assert!(searches.take(1));
        assert!(!searches.take(1));
        assert!(searches.take(0));
    }

    #[test]
    fn one_that_takes_too_much_is_the_last() {
        let searches = Searches::default();
        assert!(!searches.take(MOST + 1));
        assert!(!searches.take(1));
    }

    #[test]
    fn text_is_bytes_as_characters() {
        let searches = Searches::default();
        for (value, text) in [
            (&b"ab"[..], "ab"),
            (b"\xe9", "\u{e9}"),
            (b"\xc3\xa9", "\u{c3}\u{a9}"),
            (b"", ""),
            (b"\xe9", "\u{e9}"),
        ] {
            assert!(searches.with_text(value, |found| found == text), "{text}");
        }
    }
}
