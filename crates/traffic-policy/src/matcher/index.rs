//! Which of all entries a request could satisfy, so that thousands of rules cost little more than one.
//!
//! For each condition there are signs that a request has to show to satisfy it: that a header is there with
//! that value, or that a value begins so, ends so, or has those three characters somewhere. Each entry is
//! filed under one sign of one of its conditions, the rarest of all. A request's own signs then lead to the
//! few entries worth a look, and only a look decides: that two signs have one hash costs a look and no more.
//!
//! A request is from outside, and may be made to cost much. An entry is filed under one sign, and what is
//! filed under a sign is looked at once, however often the request shows it; see also [`Walks`].

mod seen;
mod sign;
mod table;

use std::cmp::Reverse;

use crate::matcher::MatchEntry;
use crate::matcher::condition::{Condition, Part, Walks};
use crate::pace::Pace;
use crate::request::{Headers, Request, name_bit};

use seen::Seen;
use sign::{Shape, Sign};
use table::Table;

/// The rarer the better; of equals, the one that says most.
type Rank = (Reverse<u32>, Shape);

/// Entries by their signs.
#[derive(Debug, Default)]
pub(super) struct Index {
    /// The name of a part to the shapes of signs that it is looked through for.
    shapes: Table,
    /// A sign to the entries that are filed under it.
    entries: Table,
    /// Those without a sign.
    always: Box<[u32]>,
    /// The union of [`name_bit`] over the names of those that are filed.
    headers: u64,
    query_params: u64,
    cookies: u64,
}

impl Index {
    pub(super) async fn new(entries: &[MatchEntry], pace: &Pace) -> Self {
        let mut filing = Filing::default();
        for pass in [Filing::see, Filing::count, Filing::file] {
            for (entry, number) in entries.iter().zip(0u32..) {
                pass(&mut filing, entry, number);
                pace.spend(entry.units()).await;
            }
        }
        Self {
            shapes: Table::new(filing.shapes, pace).await,
            entries: Table::new(filing.filed, pace).await,
            always: filing.always.into(),
            ..filing.index
        }
    }

    /// The first of `entries`, in their order, that `request` satisfies.
    pub(super) fn first<H: Headers + ?Sized>(
        &self,
        entries: &[MatchEntry],
        request: &Request<'_, H>,
    ) -> Option<u32> {
        self.search(entries, request).best
    }

    fn search<'a, 'r, H: Headers + ?Sized>(
        &'a self,
        entries: &'a [MatchEntry],
        request: &'a Request<'r, H>,
    ) -> Search<'a, 'r, H> {
        let mut search = Search {
            index: self,
            entries,
            request,
            walks: Walks::new(request),
            best: None,
            seen: Seen::default(),
            #[cfg(test)]
            looked: 0,
        };
        search.consider(self.always.iter().copied());
        if let Some(method) = request.method() {
            search.part(sign::name(&Part::Method), method);
        }
        if let Some(path) = request.path() {
            search.part(sign::name(&Part::Path), path);
        }
        if request.may_have(self.headers) {
            for (name, value) in request.headers() {
                if name_bit(name) & self.headers != 0 {
                    search.part(sign::header(name), value);
                }
            }
        }
        if self.query_params != 0 {
            for (name, value) in request.query() {
                if name_bit(name) & self.query_params != 0 {
                    search.first_of(sign::query_param(name), value);
                }
            }
        }
        if self.cookies != 0 {
            for (name, value) in request.cookies() {
                if name_bit(name) & self.cookies != 0 {
                    search.first_of(sign::cookie(name), value);
                }
            }
        }
        search
    }
}

/// An index that is being made.
#[derive(Default)]
struct Filing {
    /// How many signs there are.
    signs: usize,
    counts: Counts,
    shapes: Vec<(u64, u32)>,
    filed: Vec<(u64, u32)>,
    always: Vec<u32>,
    /// But for its tables.
    index: Index,
}

impl Filing {
    /// First, with each entry: how many signs are to be told apart.
    fn see(&mut self, entry: &MatchEntry, _: u32) {
        entry.signs(&mut |_, _| self.signs += 1);
    }

    /// Then: how many have each sign.
    fn count(&mut self, entry: &MatchEntry, _: u32) {
        if self.counts.0.is_empty() {
            self.counts = Counts::new(self.signs);
        }
        entry.signs(&mut |_, sign| self.counts.add(sign.hash));
    }

    /// In the end: files the entry under the best of its signs.
    fn file(&mut self, entry: &MatchEntry, number: u32) {
        let mut best: Option<(Rank, &Part, Sign)> = None;
        entry.signs(&mut |part, sign| {
            let rank = (Reverse(self.counts.of(sign.hash)), sign.shape);
            if best.as_ref().is_none_or(|(other, ..)| rank > *other) {
                best = Some((rank, part, sign));
            }
        });
        let Some((_, part, sign)) = best else {
            self.always.push(number);
            return;
        };
        match part {
            Part::Header(name) => self.index.headers |= name_bit(name),
            Part::QueryParam(name) => self.index.query_params |= name_bit(name),
            Part::Cookie(name) => self.index.cookies |= name_bit(name),
            Part::Method | Part::Path => {}
        }
        let shape = (sign.name, sign.shape.into());
        // Nearly always the same again.
        if self.shapes.last() != Some(&shape) {
            self.shapes.push(shape);
        }
        self.filed.push((sign.hash, number));
    }
}

/// The search through one request.
struct Search<'a, 'r, H: ?Sized> {
    index: &'a Index,
    entries: &'a [MatchEntry],
    request: &'a Request<'r, H>,
    walks: Walks<'a, 'r, H>,
    best: Option<u32>,
    /// Places in the table of entries, and behind those, in the table of shapes.
    seen: Seen,
    /// How many entries have been looked at.
    #[cfg(test)]
    looked: usize,
}

impl<H: Headers + ?Sized> Search<'_, '_, H> {
    /// Looks at what is filed under the signs of one value.
    fn part(&mut self, name: u64, value: &[u8]) {
        if let Some(start) = self.index.shapes.start(name) {
            self.value(name, start, value);
        }
    }

    /// As [`Self::part`], if no part of that name has been there before: of several the first counts.
    ///
    /// Of two names of one hash it is the first too. Such names are made on purpose, and only by who could
    /// leave the second out.
    fn first_of(&mut self, name: u64, value: &[u8]) {
        if let Some(start) = self.index.shapes.start(name)
            && self.is_new(self.index.entries.len() + start)
        {
            self.value(name, start, value);
        }
    }

    fn is_new(&mut self, place: usize) -> bool {
        let Index {
            shapes, entries, ..
        } = self.index;
        self.seen.is_new(place, entries.len() + shapes.len())
    }

    /// `start`: where the shapes of `name` begin.
    fn value(&mut self, name: u64, start: usize, value: &[u8]) {
        let shapes = self.index.shapes.numbers(start).map(Shape::from);
        sign::shown(name, shapes, value, |sign| {
            if let Some(start) = self.index.entries.start(sign)
                && self.is_new(start)
            {
                self.consider(self.index.entries.numbers(start));
            }
        });
    }

    /// Looks at entries, which are in their order, until one is satisfied or none could be the first.
    fn consider(&mut self, entries: impl Iterator<Item = u32>) {
        for number in entries {
            if self.best.is_some_and(|best| best <= number) || !self.request.searches().look() {
                return;
            }
            #[cfg(test)]
            {
                self.looked += 1;
            }
            let at = usize::try_from(number).unwrap_or(usize::MAX);
            if self
                .entries
                .get(at)
                .is_some_and(|entry| entry.matches(&self.walks))
            {
                self.best = Some(number);
                return;
            }
        }
    }
}

impl MatchEntry {
    /// Each sign of each condition, with the condition's part.
    fn signs<'a>(&'a self, each: &mut dyn FnMut(&'a Part, Sign)) {
        for Condition { part, text } in &self.conditions {
            sign::needed(sign::name(part), text, &mut |sign| each(part, sign));
        }
    }
}

/// How many entries have a sign, near enough.
#[derive(Default)]
struct Counts(Vec<u32>);

impl Counts {
    /// With room to tell so many signs apart.
    fn new(signs: usize) -> Self {
        Self(vec![0; (signs * 2).next_power_of_two()])
    }

    fn at(&self, sign: u64) -> usize {
        // The length is a power of two.
        usize::try_from(sign & u64::from(u32::MAX)).unwrap_or_default()
            & self.0.len().wrapping_sub(1)
    }

    fn add(&mut self, sign: u64) {
        let at = self.at(sign);
        if let Some(count) = self.0.get_mut(at) {
            *count += 1;
        }
    }

    fn of(&self, sign: u64) -> u32 {
        self.0.get(self.at(sign)).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests;
