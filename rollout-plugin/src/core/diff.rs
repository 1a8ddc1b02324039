//! What differs between two specs, as a JSON patch (RFC 6902). Its operations and bytes depend on the change, not on the
//! size of the specs: a route that is added above 5,000 others is one `add`.
//!
//! Lists are aligned in two passes. The first keeps entries that are equal on both sides: a longest common subsequence.
//! The second looks only between those, and pairs entries of the same name or destination, in which the patch then
//! changes what differs. The crate `json-patch` compares lists index by index, and so rewrites all that an entry has
//! moved.

use std::collections::HashMap;
use std::hash::Hash;

use json_patch::jsonptr::{PointerBuf, Token};
use json_patch::{AddOperation, PatchOperation, RemoveOperation, ReplaceOperation};
use serde_json::{Map, Value};

use crate::object::Object;

/// The API server refuses a JSON patch of more than 10,000 operations (k8s.io/apiserver v0.36.3
/// `handlers.maxJSONPatchOperations`). One is left for the guard of the resourceVersion.
const MAX_OPERATIONS: usize = 9_999;

/// How many places an entry may move among its equals and still be recognised. Without a limit a list of equal entries
/// would take the square of its length.
const REACH: usize = 8;

/// The operations that make `spec` of the object's spec, with paths from the object's root.
///
/// A change of more operations than the API server takes is one `replace` of the whole spec, which is never larger than
/// the object.
pub(crate) fn spec_patch(object: &Object, spec: &Value) -> Vec<PatchOperation> {
    let mut diff = Diff {
        at: PointerBuf::from_tokens(["spec"]),
        operations: Vec::new(),
    };
    diff.values(&object.spec, spec);
    if diff.operations.len() > MAX_OPERATIONS {
        diff.operations.clear();
        diff.replace(spec);
    }
    diff.operations
}

/// The operations so far, and where the next one is.
struct Diff {
    at: PointerBuf,
    operations: Vec<PatchOperation>,
}

impl Diff {
    fn values(&mut self, before: &Value, after: &Value) {
        match (before, after) {
            (Value::Object(before), Value::Object(after)) => self.objects(before, after),
            (Value::Array(before), Value::Array(after)) => self.lists(before, after),
            _ if before == after => {}
            _ => self.replace(after),
        }
    }

    fn objects(&mut self, before: &Map<String, Value>, after: &Map<String, Value>) {
        for key in before.keys().filter(|key| !after.contains_key(*key)) {
            self.below(key, Self::remove);
        }
        for (key, value) in after {
            self.below(key, |diff| match before.get(key) {
                Some(old) => diff.values(old, value),
                None => diff.add(value),
            });
        }
    }

    /// Each operation finds the list as the ones before have left it: up to `place` it is `after` already.
    fn lists(&mut self, before: &[Value], after: &[Value]) {
        let start = common(before.iter(), after.iter());
        let (before, after) = (from(before, start), from(after, start));
        let end = common(before.iter().rev(), after.iter().rev());
        let (before, after) = (without_last(before, end), without_last(after, end));

        let mut place = start;
        for unlike in gaps(before, after, &aligned(before, after, |value| value)) {
            for gap in gaps(
                unlike.before,
                unlike.after,
                &aligned(unlike.before, unlike.after, identity),
            ) {
                for _ in gap.before {
                    self.below(place, Self::remove);
                }
                for value in gap.after {
                    self.below(place, |diff| diff.add(value));
                    place += 1;
                }
                if let Some((old, new)) = gap.then {
                    self.below(place, |diff| diff.values(old, new));
                    place += 1;
                }
            }
            if unlike.then.is_some() {
                place += 1;
            }
        }
    }

    fn below<'t>(&mut self, token: impl Into<Token<'t>>, write: impl FnOnce(&mut Self)) {
        self.at.push_back(token);
        write(self);
        self.at.pop_back();
    }

    fn add(&mut self, value: &Value) {
        self.operations.push(PatchOperation::Add(AddOperation {
            path: self.at.clone(),
            value: value.clone(),
        }));
    }

    fn remove(&mut self) {
        self.operations
            .push(PatchOperation::Remove(RemoveOperation {
                path: self.at.clone(),
            }));
    }

    fn replace(&mut self, value: &Value) {
        self.operations
            .push(PatchOperation::Replace(ReplaceOperation {
                path: self.at.clone(),
                value: value.clone(),
            }));
    }
}

/// What tells entries of Istio's lists from each other while their other fields change: the name of a route or a
/// subset, the destination of a weight or a mirror. Entries without either are paired in their order.
fn identity(entry: &Value) -> (Option<&Value>, Option<&Value>) {
    (entry.get("name"), entry.get("destination"))
}

/// The entries between two that are aligned.
struct Gap<'a> {
    before: &'a [Value],
    after: &'a [Value],
    /// The aligned ones behind the gap; `None` at the end of the lists.
    then: Option<(&'a Value, &'a Value)>,
}

/// All gaps, empty ones too, one for each of `pairs` and one behind the last.
fn gaps<'a>(before: &'a [Value], after: &'a [Value], pairs: &[(usize, usize)]) -> Vec<Gap<'a>> {
    let (mut old, mut new) = (0, 0);
    let ends = [(before.len(), after.len())];
    let behind = |&(i, j): &(usize, usize)| {
        let gap = Gap {
            before: before.get(old..i).unwrap_or_default(),
            after: after.get(new..j).unwrap_or_default(),
            then: before.get(i).zip(after.get(j)),
        };
        (old, new) = (i + 1, j + 1);
        gap
    };
    pairs.iter().chain(&ends).map(behind).collect()
}

/// The indexes of entries with equal keys, in an order that both lists have, and as many as there can be.
///
/// It is a longest common subsequence, found as a longest increasing sequence of places (Hunt and Szymanski). It is exact
/// where no more than [`REACH`] entries of one key come or go.
fn aligned<'a, K: Hash + Eq>(
    before: &'a [Value],
    after: &'a [Value],
    key: impl Fn(&'a Value) -> K,
) -> Vec<(usize, usize)> {
    struct Link {
        pair: (usize, usize),
        previous: Option<usize>,
    }
    let mut places: HashMap<K, (Vec<usize>, usize)> = HashMap::new();
    for (j, value) in after.iter().enumerate() {
        places.entry(key(value)).or_default().0.push(j);
    }
    let mut links: Vec<Link> = Vec::new();
    // Of the sequences of each length, the last link of the one that ends first.
    let mut ends: Vec<usize> = Vec::new();
    for (i, value) in before.iter().enumerate() {
        let Some((places, seen)) = places.get_mut(&key(value)) else {
            continue;
        };
        let nearby = seen.saturating_sub(REACH)..places.len().min(*seen + REACH + 1);
        *seen += 1;
        // From the last to the first, so that an entry is in a sequence once.
        for &j in places.get(nearby).unwrap_or_default().iter().rev() {
            let ends_before = |end: &usize| links.get(*end).is_some_and(|link| link.pair.1 < j);
            let length = ends.partition_point(ends_before);
            let previous = length.checked_sub(1).and_then(|last| ends.get(last));
            let link = Link {
                pair: (i, j),
                previous: previous.copied(),
            };
            match ends.get_mut(length) {
                Some(end) => *end = links.len(),
                None => ends.push(links.len()),
            }
            links.push(link);
        }
    }
    let last = ends.last().and_then(|end| links.get(*end));
    let backwards = std::iter::successors(last, |link| links.get(link.previous?));
    let mut pairs: Vec<_> = backwards.map(|link| link.pair).collect();
    pairs.reverse();
    pairs
}

/// How many entries both have in common until the first that differs.
fn common<'a>(
    before: impl Iterator<Item = &'a Value>,
    after: impl Iterator<Item = &'a Value>,
) -> usize {
    before
        .zip(after)
        .take_while(|(old, new)| old == new)
        .count()
}

fn from(list: &[Value], start: usize) -> &[Value] {
    list.get(start..).unwrap_or_default()
}

fn without_last(list: &[Value], count: usize) -> &[Value] {
    list.get(..list.len() - count).unwrap_or_default()
}

#[cfg(test)]
mod tests;
