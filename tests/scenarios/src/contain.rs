//! Whether a live object has what a file of the scenario says of it, whatever else it has.

use serde_json::Value;

/// `Ok` if `expected` is contained in `live`, else where it isn't.
///
/// Every field of an expected object must be there. Items of a list are found by their `name` where they have one
/// (others may stand between them); without names the lists have the same length and order.
pub(crate) fn contains(live: &Value, expected: &Value) -> Result<(), String> {
    walk(live, expected, "")
}

fn walk(live: &Value, expected: &Value, path: &str) -> Result<(), String> {
    match (live, expected) {
        (Value::Object(live), Value::Object(expected)) => {
            expected.iter().try_for_each(|(field, expected)| {
                let path = format!("{path}.{field}");
                let live = live.get(field).unwrap_or(&Value::Null);
                walk(live, expected, &path)
            })
        }
        (Value::Array(live), Value::Array(expected)) => {
            let named =
                expected.iter().all(|item| item.get("name").is_some()) && !expected.is_empty();
            if !named && live.len() != expected.len() {
                let (live, expected) = (live.len(), expected.len());
                return Err(format!("{path} has {live} items, expected {expected}"));
            }
            expected
                .iter()
                .enumerate()
                .try_for_each(|(index, expected)| {
                    if !named {
                        let live = live.get(index).unwrap_or(&Value::Null);
                        return walk(live, expected, &format!("{path}[{index}]"));
                    }
                    let name = expected.get("name");
                    let path = format!("{path}[{}]", name.unwrap_or(&Value::Null));
                    match live.iter().find(|item| item.get("name") == name) {
                        Some(live) => walk(live, expected, &path),
                        None => Err(format!("{path} is not there")),
                    }
                })
        }
        _ if live == expected => Ok(()),
        // A weight of 0 is left out by some writers.
        (Value::Null, Value::Number(number)) if number.as_u64() == Some(0) => Ok(()),
        _ => Err(format!("{path} is {live}, expected {expected}")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_first_difference_is_named() {
        let live = json!({"spec": {"http": [
            {"name": "lane", "route": [{"weight": 100}]},
            {"name": "primary", "route": [{"weight": 90}, {"weight": 10}], "timeout": "1s"},
        ]}});
        let cases = [
            (
                json!({"spec": {"http": [{"name": "primary", "route": [{"weight": 90}, {"weight": 10}]}]}}),
                Ok(()),
            ),
            (
                json!({"spec": {"http": [{"name": "primary", "route": [{"weight": 50}, {"weight": 50}]}]}}),
                Err(".spec.http[\"primary\"].route[0].weight is 90, expected 50"),
            ),
            (
                json!({"spec": {"http": [{"name": "other"}]}}),
                Err(".spec.http[\"other\"] is not there"),
            ),
            (
                json!({"spec": {"http": [{"name": "lane", "route": []}]}}),
                Err(".spec.http[\"lane\"].route has 1 items, expected 0"),
            ),
        ];
        for (expected, outcome) in cases {
            assert_eq!(contains(&live, &expected), outcome.map_err(str::to_owned));
        }
    }
}
