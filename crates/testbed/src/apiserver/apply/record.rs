//! `metadata.managedFields`: an entry for each manager, with the fields that it owns.
//!
//! Follows `managedfields.go`, `stripmeta.go` and `conflict.go` of
//! `k8s.io/apimachinery/pkg/util/managedfields/internal`.

use serde_json::{Map, Value, json};

use super::fields::FieldSet;
use super::shape::Comparison;
use super::{Operation, Writer};
use crate::apiserver::object;
use crate::apiserver::status::Status;

/// What a manager owns.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Entry {
    writer: Writer,
    time: Option<String>,
    pub(super) fields: FieldSet,
}

impl Entry {
    pub(super) fn new(writer: &Writer, time: Option<String>, fields: FieldSet) -> Self {
        Self {
            writer: writer.clone(),
            time,
            fields,
        }
    }

    fn parse(entry: &Value) -> Option<Self> {
        let text = |key: &str| entry.get(key).and_then(Value::as_str).unwrap_or_default();
        let writer = match text("operation") {
            "Apply" => Writer::apply,
            "Update" => Writer::update,
            _ => return None,
        };
        if text("apiVersion").is_empty() || text("fieldsType") != "FieldsV1" {
            return None;
        }
        let fields = entry.get("fieldsV1").unwrap_or(&Value::Null);
        Some(Self {
            writer: writer(text("manager"), text("apiVersion"), text("subresource")),
            time: entry.get("time").and_then(Value::as_str).map(str::to_owned),
            fields: FieldSet::parse(fields),
        })
    }

    fn to_json(&self) -> Value {
        let operation = match self.writer.operation {
            Operation::Apply => "Apply",
            Operation::Update => "Update",
        };
        let mut entry = json!({
            "manager": self.writer.manager,
            "operation": operation,
            "apiVersion": self.writer.api_version,
            "fieldsType": "FieldsV1",
            "fieldsV1": self.fields.to_json(),
        });
        let subresource = Some(&self.writer.subresource).filter(|name| !name.is_empty());
        for (key, value) in [("time", self.time.as_ref()), ("subresource", subresource)] {
            if let (Some(value), Some(map)) = (value, entry.as_object_mut()) {
                map.insert(key.to_owned(), Value::from(value.as_str()));
            }
        }
        entry
    }

    /// Whether this is the entry of that writer: an applier has one whatever version it uses.
    fn is_of(&self, writer: &Writer) -> bool {
        let mine = &self.writer;
        mine.manager == writer.manager
            && mine.operation == writer.operation
            && mine.subresource == writer.subresource
            && (writer.operation == Operation::Apply || mine.api_version == writer.api_version)
    }

    /// The writer in the words of a conflict.
    fn named(&self) -> String {
        let mut name = format!("{:?}", self.writer.manager);
        if !self.writer.subresource.is_empty() {
            name = format!("{name} with subresource {:?}", self.writer.subresource);
        }
        match self.writer.operation {
            Operation::Apply => name,
            Operation::Update => format!("{name} using {}", self.writer.api_version),
        }
    }
}

/// The managers of an object.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Record(Vec<Entry>);

impl Record {
    /// The record that an object carries.
    pub(super) fn of(object: &Value) -> Self {
        object
            .get("metadata")
            .and_then(|meta| meta.get("managedFields"))
            .map(Self::parse)
            .unwrap_or_default()
    }

    /// Reads entries; with one that can't be read there are none.
    pub(super) fn parse(entries: &Value) -> Self {
        let entries = entries.as_array().map(Vec::as_slice).unwrap_or_default();
        let read: Option<Vec<Entry>> = entries.iter().map(Entry::parse).collect();
        Self(read.unwrap_or_default())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn entry(&self, writer: &Writer) -> Option<&Entry> {
        self.0.iter().find(|entry| entry.is_of(writer))
    }

    pub(super) fn time(&self, writer: &Writer) -> Option<String> {
        self.entry(writer).and_then(|entry| entry.time.clone())
    }

    /// Adds an entry in the place of the writer's older one.
    pub(super) fn set(&mut self, entry: Entry) {
        self.0.retain(|other| !other.is_of(&entry.writer));
        self.0.push(entry);
    }

    pub(super) fn touch(&mut self, writer: &Writer, now: &str) {
        for entry in self.0.iter_mut().filter(|entry| entry.is_of(writer)) {
            entry.time = Some(now.to_owned());
        }
    }

    /// All that anyone owns.
    pub(super) fn all(&self) -> FieldSet {
        let sets = self.0.iter().map(|entry| &entry.fields);
        sets.fold(FieldSet::default(), |all, set| all.union(set))
    }

    /// The fields that change and are owned by others than the writer.
    pub(super) fn conflicts(&self, writer: &Writer, changes: &Comparison) -> Conflicts {
        let set = changes.set();
        let mut conflicts: Vec<(String, Vec<String>)> = self
            .others(writer)
            .map(|entry| (entry.named(), entry.fields.intersection(&set).paths()))
            .filter(|(_, paths)| !paths.is_empty())
            .collect();
        conflicts.sort();
        Conflicts(conflicts)
    }

    fn others(&self, writer: &Writer) -> impl Iterator<Item = &Entry> {
        self.0.iter().filter(|entry| !entry.is_of(writer))
    }

    /// Takes what changes from all but the writer; who owns nothing any more is forgotten.
    pub(super) fn yield_to(&mut self, writer: Option<&Writer>, changes: &Comparison) {
        let gone = changes.set().union(&changes.removed);
        for entry in &mut self.0 {
            if !writer.is_some_and(|writer| entry.is_of(writer)) {
                entry.fields = entry.fields.difference(&gone);
            }
        }
        self.0.retain(|entry| !entry.fields.is_empty());
    }

    /// Takes the fields from the writer that nobody owns.
    pub(super) fn strip(&mut self, writer: &Writer) {
        for entry in self.0.iter_mut().filter(|entry| entry.is_of(writer)) {
            entry.fields = owned(std::mem::take(&mut entry.fields));
        }
        self.0.retain(|entry| !entry.fields.is_empty());
    }

    /// The object with this record.
    pub(super) fn written_to(&self, mut object: Value) -> Value {
        object::set_meta(&mut object, "managedFields", self.to_json());
        object
    }

    /// The entries in the order of the real server, or null for none.
    pub(super) fn to_json(&self) -> Value {
        let mut entries: Vec<&Entry> = self.0.iter().collect();
        entries.sort_by(|a, b| order(a).cmp(&order(b)));
        if entries.is_empty() {
            return Value::Null;
        }
        entries.into_iter().map(Entry::to_json).collect()
    }

    pub(super) fn is_same_but_times(&self, other: &Self) -> bool {
        self.0.len() == other.0.len()
            && self.0.iter().all(|entry| {
                other
                    .0
                    .iter()
                    .any(|theirs| theirs.writer == entry.writer && theirs.fields == entry.fields)
            })
    }
}

fn order(entry: &Entry) -> (Operation, Option<&str>, &str, &str, &str) {
    let writer = &entry.writer;
    (
        writer.operation,
        entry.time.as_deref(),
        &writer.manager,
        &writer.api_version,
        &writer.subresource,
    )
}

/// Whether entries that a client sends end the record (Go `isResetManagedFields`).
pub(super) fn is_reset(entries: &Value) -> bool {
    let empty = |entry: &Value| entry.as_object().is_some_and(Map::is_empty);
    match entries.as_array().map(Vec::as_slice) {
        Some([]) => true,
        Some([only]) => empty(only),
        _ => false,
    }
}

/// Without the fields that nobody owns: what the object is called, and what the server sets.
pub(super) fn owned(fields: FieldSet) -> FieldSet {
    let mut never = FieldSet::default();
    for top in ["apiVersion", "kind", "metadata"] {
        never.insert(&[top]);
    }
    for name in [
        "name",
        "namespace",
        "creationTimestamp",
        "selfLink",
        "uid",
        "clusterName",
        "generation",
        "managedFields",
        "resourceVersion",
    ] {
        never.insert(&["metadata", name]);
    }
    fields.difference(&never)
}

/// Fields that an apply would take from others: by manager, as it is named to the user.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Conflicts(Vec<(String, Vec<String>)>);

impl Conflicts {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The answer (Go `NewConflictError`).
    pub(super) fn status(&self) -> Status {
        let all: Vec<(&str, &str)> = self
            .0
            .iter()
            .flat_map(|(manager, paths)| paths.iter().map(|path| (manager.as_str(), path.as_str())))
            .collect();
        let message = match all.as_slice() {
            [(manager, path)] => {
                format!("Apply failed with 1 conflict: conflict with {manager}: {path}")
            }
            all => {
                let lines = self.0.iter().flat_map(|(manager, paths)| {
                    let paths = paths.iter().map(|path| format!("- {path}"));
                    std::iter::once(format!("conflicts with {manager}:")).chain(paths)
                });
                let lines: Vec<String> = lines.collect();
                format!(
                    "Apply failed with {} conflicts: {}",
                    all.len(),
                    lines.join("\n")
                )
            }
        };
        Status::apply_conflict(message, &all)
    }
}
