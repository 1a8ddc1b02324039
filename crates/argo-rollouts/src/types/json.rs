//! Go's `json.RawMessage`: a JSON value in the API, its text as bytes in a call.

use std::collections::BTreeMap;

use serde::de::{Deserialize, Deserializer};
use serde_json::Value;

/// A JSON value in either form. `deserialize_any` can't serve: bytes in JSON are an array.
struct Raw(Value);

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            return Value::deserialize(deserializer).map(Raw);
        }
        deserializer.deserialize_bytes(Text).map(Raw)
    }
}

/// Parses the text of a `json.RawMessage`; a nil one is null, as Go marshals it.
struct Text;

impl serde::de::Visitor<'_> for Text {
    type Value = Value;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the bytes of a JSON value")
    }

    fn visit_bytes<E: serde::de::Error>(self, text: &[u8]) -> Result<Value, E> {
        if text.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(text).map_err(|source| E::custom(format_args!("raw JSON: {source}")))
    }
}

/// Reads one raw value.
pub(super) fn value<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Value, D::Error> {
    Raw::deserialize(deserializer).map(|raw| raw.0)
}

/// Reads a map of raw values.
pub(super) fn map<'de, D>(deserializer: D) -> Result<BTreeMap<String, Value>, D::Error>
where
    D: Deserializer<'de>,
{
    let raw = BTreeMap::<String, Raw>::deserialize(deserializer)?;
    Ok(raw.into_iter().map(|(name, raw)| (name, raw.0)).collect())
}
