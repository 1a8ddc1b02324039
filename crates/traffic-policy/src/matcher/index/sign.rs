//! Signs: what a condition needs a request to show, and what a request shows. Both are hashed alike.

use crate::fnv;
use crate::matcher::condition::Part;
use crate::matcher::text::TextMatch;

/// How many characters a pattern has to have somewhere to be filed under them.
const GRAMS: [usize; 2] = [3, 6];
/// The most of them that are considered for one pattern.
const MAX_GRAMS: usize = 48;
/// A shape is a number: its kind above, its length below, which no value comes near to.
const KIND_SHIFT: u32 = 29;
const LENGTH: u32 = (1 << KIND_SHIFT) - 1;

/// What a sign says of a value, the more the later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Present,
    Gram,
    PrefixIgnoreCase,
    Suffix,
    Prefix,
    ExactIgnoreCase,
    Exact,
}

/// The kind of a sign, and how many bytes it is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Shape {
    kind: Kind,
    length: usize,
}

/// A sign that a condition needs.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sign {
    /// The hash of the part's name.
    pub(super) name: u64,
    pub(super) shape: Shape,
    pub(super) hash: u64,
}

impl From<Shape> for u32 {
    fn from(shape: Shape) -> Self {
        let length = Self::try_from(shape.length).unwrap_or(Self::MAX);
        ((shape.kind as Self) << KIND_SHIFT) | (length & LENGTH)
    }
}

impl From<u32> for Shape {
    fn from(number: u32) -> Self {
        let kind = match number >> KIND_SHIFT {
            0 => Kind::Present,
            1 => Kind::Gram,
            2 => Kind::PrefixIgnoreCase,
            3 => Kind::Suffix,
            4 => Kind::Prefix,
            5 => Kind::ExactIgnoreCase,
            _ => Kind::Exact,
        };
        let length = usize::try_from(number & LENGTH).unwrap_or_default();
        Self { kind, length }
    }
}

/// The hash of a part's name.
pub(super) fn name(part: &Part) -> u64 {
    match part {
        Part::Method => Hash::new(1).finish(),
        Part::Path => Hash::new(2).finish(),
        Part::Header(name) => header(name),
        Part::QueryParam(name) => query_param(name),
        Part::Cookie(name) => cookie(name),
    }
}

pub(super) fn header(name: &[u8]) -> u64 {
    Hash::new(3).all(name).finish()
}

pub(super) fn query_param(name: &[u8]) -> u64 {
    Hash::new(4).all(name).finish()
}

pub(super) fn cookie(name: &[u8]) -> u64 {
    Hash::new(5).all(name).finish()
}

/// Each sign that a value of the part `name` has to show to satisfy `text`.
///
/// `each` is `dyn`, so that the module has this once.
pub(super) fn needed(name: u64, text: &TextMatch, each: &mut dyn FnMut(Sign)) {
    let mut add = |kind, bytes: &[u8]| {
        let shape = Shape {
            kind,
            length: bytes.len(),
        };
        each(Sign {
            name,
            shape,
            hash: Hash::of(name, kind).all(bytes).finish(),
        });
    };
    match text {
        TextMatch::Present => add(Kind::Present, &[]),
        TextMatch::Exact(value) => add(Kind::Exact, value),
        TextMatch::ExactIgnoreCase(value) => {
            add(Kind::ExactIgnoreCase, &value.to_ascii_lowercase());
        }
        TextMatch::Prefix(value) => add(Kind::Prefix, value),
        TextMatch::PrefixIgnoreCase(value) => {
            add(Kind::PrefixIgnoreCase, &value.to_ascii_lowercase());
        }
        TextMatch::Regex(pattern) => {
            add(Kind::Present, &[]);
            let literals = pattern.literals();
            if !literals.prefix.is_empty() {
                add(Kind::Prefix, literals.prefix.as_bytes());
            }
            if !literals.suffix.is_empty() {
                let reversed: Vec<u8> = literals.suffix.bytes().rev().collect();
                add(Kind::Suffix, &reversed);
            }
            let grams = GRAMS.iter().flat_map(|length| {
                let runs = literals.runs.iter();
                runs.flat_map(|run| run.as_bytes().windows(*length))
            });
            grams.take(MAX_GRAMS).for_each(|gram| add(Kind::Gram, gram));
        }
    }
}

/// The hash of each sign of one of `shapes`, which are in order, that `value` of the part `name` shows.
pub(super) fn shown(
    name: u64,
    shapes: impl Iterator<Item = Shape>,
    value: &[u8],
    mut each: impl FnMut(u64),
) {
    // Beginnings get longer, so each goes on where the one before ended.
    let (mut before, mut hash, mut done) = (None, Hash(0), 0);
    for Shape { kind, length } in shapes {
        let whole = matches!(kind, Kind::Exact | Kind::ExactIgnoreCase);
        if length > value.len() || (whole && length != value.len()) {
            continue;
        }
        if kind == Kind::Gram {
            let mut last = None;
            for gram in value.windows(length.max(1)) {
                let sign = Hash::of(name, kind).all(gram).finish();
                // A row of one character shows the same again and again.
                if last != Some(sign) {
                    each(sign);
                }
                last = Some(sign);
            }
            continue;
        }
        if before != Some(kind) {
            (before, hash, done) = (Some(kind), Hash::of(name, kind), 0);
        }
        hash = if kind == Kind::Suffix {
            let end = value.len() - done;
            let rest = value.get(value.len() - length..end).unwrap_or_default();
            rest.iter().rev().fold(hash, |hash, byte| hash.one(*byte))
        } else {
            let rest = value.get(done..length).unwrap_or_default();
            let lower = matches!(kind, Kind::ExactIgnoreCase | Kind::PrefixIgnoreCase);
            let byte = |byte: u8| {
                if lower {
                    byte.to_ascii_lowercase()
                } else {
                    byte
                }
            };
            rest.iter().fold(hash, |hash, next| hash.one(byte(*next)))
        };
        done = length;
        each(hash.finish());
    }
}

/// FNV-1a, which can be had for every beginning of a string in one pass, with its bits mixed at the end.
/// Who chooses strings that collide gains a look at an entry, or hides a parameter or a cookie of their own.
#[derive(Clone, Copy)]
struct Hash(u64);

impl Hash {
    fn new(seed: u64) -> Self {
        Self(fnv::NOTHING ^ seed.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    fn of(name: u64, kind: Kind) -> Self {
        Self::new(name ^ (kind as u64 + 1))
    }

    #[inline]
    fn one(self, byte: u8) -> Self {
        Self(fnv::with(self.0, byte))
    }

    #[inline]
    fn all(self, bytes: &[u8]) -> Self {
        bytes.iter().fold(self, |hash, byte| hash.one(*byte))
    }

    #[inline]
    fn finish(self) -> u64 {
        let mixed = (self.0 ^ (self.0 >> 32)).wrapping_mul(0xff51_afd7_ed55_8ccd);
        mixed ^ (mixed >> 32)
    }
}
