//! Objects as a person would write them.

use serde::Serialize;
use serde_json::{Map, Value};

/// A value as YAML: names first, then the other fields in the order of the alphabet.
pub(crate) fn yaml(value: &Value) -> String {
    serde_saphyr::to_string(&Named(value)).unwrap_or_default()
}

/// Serializes objects with `name` before the other fields.
struct Named<'a>(&'a Value);

impl Serialize for Named<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Object(fields) => serializer.collect_map(ordered(fields)),
            Value::Array(items) => serializer.collect_seq(items.iter().map(Named)),
            scalar => scalar.serialize(serializer),
        }
    }
}

fn ordered(fields: &Map<String, Value>) -> impl Iterator<Item = (&String, Named<'_>)> {
    let (first, rest): (Vec<_>, Vec<_>) = fields
        .iter()
        .partition(|(name, _)| matches!(name.as_str(), "name" | "host" | "hosts"));
    first
        .into_iter()
        .chain(rest)
        .map(|(name, value)| (name, Named(value)))
}
