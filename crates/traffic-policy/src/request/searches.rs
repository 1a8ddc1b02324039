//! What all searches of one request share, so that many patterns cost a worker no more than a few.

use std::cell::{Cell, RefCell};

/// The most that all searches of one request may take together, in the unit of [`Searches::take`]: twice
/// what a single one may.
const MOST: usize = 1 << 23;

/// How much searching one request is still allowed, and the last value that had to be rewritten for it.
#[derive(Debug)]
pub(crate) struct Searches {
    left: Cell<usize>,
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
            text: RefCell::default(),
        }
    }
}

impl Searches {
    /// True if a search that takes `steps` (positions of the pattern times bytes of the value) may still
    /// be made; it is counted.
    pub(crate) fn take(&self, steps: usize) -> bool {
        let left = self.left.get().checked_sub(steps);
        self.left.set(left.unwrap_or_default());
        left.is_some()
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
