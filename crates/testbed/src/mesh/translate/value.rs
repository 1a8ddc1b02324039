//! Small values that several fields share: durations, percentages, string matches.

use serde_json::{Map, Value, json};

use crate::mesh::model::{Percent, StringMatch};

/// A type of Envoy's, as `@type` names it.
pub(super) fn typed(name: &str) -> Value {
    Value::from(format!("type.googleapis.com/{name}"))
}

/// The map of an object; empty for anything else.
pub(super) fn map(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

/// A duration as Go writes it (`1.5s`, `1m30s`, `250ms`), as Envoy's JSON has it; `None` if it isn't one.
pub(super) fn duration(text: &str) -> Option<String> {
    let mut nanoseconds: u128 = 0;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, after) = rest.split_at(digits);
        let unit = after
            .find(|c: char| c.is_ascii_digit() || c == '.')
            .unwrap_or(after.len());
        let (unit, after) = after.split_at(unit);
        let unit: u128 = match unit {
            "ns" => 1,
            "us" | "µs" => 1_000,
            "ms" => 1_000_000,
            "s" => 1_000_000_000,
            "m" => 60_000_000_000,
            "h" => 3_600_000_000_000,
            _ => return None,
        };
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if whole.is_empty() && fraction.is_empty() {
            return None;
        }
        if !whole.is_empty() {
            nanoseconds = whole
                .parse::<u128>()
                .ok()?
                .checked_mul(unit)?
                .checked_add(nanoseconds)?;
        }
        let mut scale = unit;
        for digit in fraction.chars() {
            scale /= 10;
            nanoseconds += u128::from(digit.to_digit(10)?) * scale;
        }
        rest = after;
    }
    if text.is_empty() {
        return None;
    }
    let (seconds, nanoseconds) = (nanoseconds / 1_000_000_000, nanoseconds % 1_000_000_000);
    // As Protobuf writes it: in milli-, micro- or nanoseconds.
    Some(if nanoseconds == 0 {
        format!("{seconds}s")
    } else if nanoseconds % 1_000_000 == 0 {
        format!("{seconds}.{:03}s", nanoseconds / 1_000_000)
    } else if nanoseconds % 1_000 == 0 {
        format!("{seconds}.{:06}s", nanoseconds / 1_000)
    } else {
        format!("{seconds}.{nanoseconds:09}s")
    })
}

/// A share of all requests (Istio 1.29 `route.go`, `translatePercentToFractionalPercent`: cut, not rounded, to a
/// millionth).
pub(super) fn percent(percent: Percent) -> Value {
    let millionths = format!("{:.0}", (percent.value * 10_000.0).trunc());
    json!({"numerator": millionths.parse::<u32>().unwrap_or_default(), "denominator": "MILLION"})
}

/// A share in whole percents.
pub(super) fn whole_percent(percent: u32) -> Value {
    json!({"numerator": percent, "denominator": "HUNDRED"})
}

/// Envoy's matcher; `None` where the value only has to be there: no form at all, or the regex `*`, which is none
/// (`canBeConvertedToPresentMatch`).
pub(super) fn string_match(rule: &StringMatch) -> Option<Value> {
    match rule {
        StringMatch {
            exact: Some(exact), ..
        } => Some(json!({"exact": exact})),
        StringMatch {
            prefix: Some(prefix),
            ..
        } => Some(json!({"prefix": prefix})),
        StringMatch {
            regex: Some(regex), ..
        } if regex != "*" => Some(json!({"safe_regex": {"regex": regex}})),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_those_that_go_writes() {
        let cases = [
            ("10s", Some("10s")),
            ("0s", Some("0s")),
            ("1.5s", Some("1.500s")),
            ("250ms", Some("0.250s")),
            ("1m30s", Some("90s")),
            ("1h", Some("3600s")),
            ("1us", Some("0.000001s")),
            ("1ns", Some("0.000000001s")),
            (".5s", Some("0.500s")),
            ("", None),
            ("10", None),
            ("s", None),
            ("-1s", None),
            ("1x", None),
        ];
        for (text, expected) in cases {
            assert_eq!(duration(text).as_deref(), expected, "{text:?}");
        }
    }

    #[test]
    fn percentages_are_cut_to_a_millionth() {
        for (value, numerator) in [
            (100.0, 1_000_000),
            (0.1, 1_000),
            (12.345_67, 123_456),
            (0.0, 0),
        ] {
            assert_eq!(percent(Percent { value })["numerator"], numerator);
        }
    }
}
