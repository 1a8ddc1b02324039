//! Server-side apply: merging what a manager wants into an object, and the record of who owns which
//! field.
//!
//! Pure functions from objects to objects, after `sigs.k8s.io/structured-merge-diff/v6` (`merge.Updater`)
//! and `k8s.io/apimachinery/pkg/util/managedfields`. Without schemas every object is treated alike:
//! maps are granular as if a schema named each of their keys; lists and scalars are owned whole. That is
//! so for the custom resources of Istio and Argo, but not for lists that Kubernetes merges by key
//! (`ports` of a Service, `containers` of a Pod, `metadata.finalizers`, `metadata.ownerReferences`).
//!
//! The record (`metadata.managedFields`) of an object starts with the first apply: what is there then
//! belongs to `before-first-apply`, and from then on every write is recorded. So objects that nobody
//! applies carry none, unlike at the real server, which records from the start. Nor are the entries
//! of many updaters merged into one (`ancient-changes`), nor is `kubectl`'s last-applied annotation
//! read. Where all fields of a map go but another manager owns the map, it is left empty; the real
//! server leaves a null, which a schema mostly refuses.

use serde_json::{Map, Value};

use super::object;
use super::status::Status;

mod fields;
mod record;
mod shape;
#[cfg(test)]
mod tests;

use fields::FieldSet;
use record::{Entry, Record};
use shape::{Comparison, compare, fields_of, merge, without};

/// `metav1.ManagedFieldsOperationType`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Operation {
    /// A server-side apply.
    Apply,
    /// Any other write.
    Update,
}

/// Who writes, and how: what an entry of `managedFields` tells apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Writer {
    pub(super) manager: String,
    pub(super) operation: Operation,
    pub(super) api_version: String,
    /// `status`, or empty.
    pub(super) subresource: String,
}

impl Writer {
    /// A write that is no apply.
    pub(super) fn update(manager: &str, api_version: &str, subresource: &str) -> Self {
        Self {
            manager: manager.to_owned(),
            operation: Operation::Update,
            api_version: api_version.to_owned(),
            subresource: subresource.to_owned(),
        }
    }

    /// A server-side apply.
    pub(super) fn apply(manager: &str, api_version: &str, subresource: &str) -> Self {
        Self {
            operation: Operation::Apply,
            ..Self::update(manager, api_version, subresource)
        }
    }
}

/// Which fields of the top a write can change at all (Go `ResetFieldsStrategy`, inverted).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    /// All of them.
    All,
    /// All but `status`, where that is a subresource.
    AllButStatus,
    /// `status` only.
    Status,
}

impl Scope {
    fn holds(self, key: &str) -> bool {
        match self {
            Self::All => true,
            Self::AllButStatus => key != "status",
            Self::Status => key == "status",
        }
    }
}

/// What becomes of `live` when `writer` applies `config`, its `managedFields` included.
///
/// `live` is an empty object where there is none yet. `409` if other managers own fields that would
/// change, unless forced. `now` is the time of the write.
pub(super) fn apply(
    live: &Value,
    config: &Value,
    writer: &Writer,
    scope: Scope,
    force: bool,
    now: &str,
) -> Result<Value, Status> {
    let mut record = Record::of(live);
    let live = bare(live);
    if record.is_empty() {
        let before = Writer {
            manager: "before-first-apply".to_owned(),
            operation: Operation::Update,
            ..writer.clone()
        };
        let empty = Value::Object(Map::new());
        let there = compare(&empty, &live).within(scope);
        update(&mut record, &there, &before, now);
    }
    let last = record
        .entry(writer)
        .map(|entry| entry.fields.clone())
        .unwrap_or_default();
    let wanted = fields_of(config).within(scope);
    record.set(Entry::new(writer, record.time(writer), wanted));
    let new = prune(merge(&live, config), &last, &record);
    let changes = compare(&live, &new).within(scope);
    let conflicts = record.conflicts(writer, &changes);
    if !force && !conflicts.is_empty() {
        return Err(conflicts.status());
    }
    record.yield_to(Some(writer), &changes);
    record.strip(writer);
    if new != live {
        record.touch(writer, now);
    }
    Ok(record.written_to(new))
}

/// The `managedFields` of `new`, which replaces `old` by a write that is no apply; `asked` are
/// those that the writer sent along.
///
/// Nothing is recorded for an object without a record. A list without entries or with one empty
/// entry ends the record; other entries that can be read replace it (Go `decodeLiveOrNew`).
pub(super) fn track(
    old: &Value,
    new: &Value,
    asked: Option<&Value>,
    writer: &Writer,
    now: &str,
) -> Value {
    let mut record = Record::of(old);
    if record.is_empty() {
        return Value::Null;
    }
    if writer.subresource.is_empty()
        && let Some(asked) = asked
    {
        if record::is_reset(asked) {
            return Value::Null;
        }
        let replacement = Record::parse(asked);
        if !replacement.is_empty() {
            record = replacement;
        }
    }
    update(&mut record, &compare(&bare(old), &bare(new)), writer, now);
    record.to_json()
}

/// Whether nothing but the times of `managedFields` differs.
pub(super) fn same_but_times(old: &Value, new: &Value) -> bool {
    old == new || (bare(old) == bare(new) && Record::of(old).is_same_but_times(&Record::of(new)))
}

/// Gives the changes to `writer`, and takes them from all others (Go `merge.Updater.Update` under
/// `managedFieldsUpdater`).
fn update(record: &mut Record, changes: &Comparison, writer: &Writer, now: &str) {
    record.yield_to(None, changes);
    let taken = record::owned(changes.set());
    if taken.is_empty() {
        return;
    }
    let fields = match record.entry(writer) {
        Some(entry) => entry.fields.union(&taken),
        None => taken,
    };
    record.set(Entry::new(writer, Some(now.to_owned()), fields));
}

/// Takes out what the manager applied before and leaves out now, save what anyone still owns. `last`
/// is what it applied before; the record has what it applies now.
fn prune(merged: Value, last: &FieldSet, record: &Record) -> Value {
    if last.is_empty() {
        return merged;
    }
    let last = last.with_parents();
    let all = fields_of(&merged).with_parents();
    let kept = fields_of(&without(&merged, &last)).with_parents();
    let owned = record.all().with_parents();
    let pruned = without(&merged, &all.difference(&kept.union(&owned)));
    let kept = fields_of(&pruned).with_parents();
    without(&merged, &all.difference(&kept).intersection(&last))
}

/// The object without its record.
fn bare(object: &Value) -> Value {
    let mut bare = object.clone();
    if bare.get("metadata").is_some() {
        object::set_meta(&mut bare, "managedFields", Value::Null);
    }
    bare
}
