//! JSON values as one line of YAML in flow style, for errors that show what to write: short to read, and good to paste.
//! It is for objects of the Kubernetes API, not for any YAML there can be.

use std::fmt;

use serde_json::Value;

/// Writes the value, of each object the name first.
pub(crate) struct Flow<'a>(pub(crate) &'a Value);

impl fmt::Display for Flow<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Value::Object(fields) => {
                f.write_str("{")?;
                let (first, rest): (Vec<_>, Vec<_>) =
                    fields.iter().partition(|(name, _)| *name == "name");
                for (index, (name, value)) in first.into_iter().chain(rest).enumerate() {
                    let comma = if index == 0 { "" } else { ", " };
                    write!(f, "{comma}{}: {}", Text(name), Flow(value))?;
                }
                f.write_str("}")
            }
            Value::Array(items) => {
                f.write_str("[")?;
                for (index, value) in items.iter().enumerate() {
                    let comma = if index == 0 { "" } else { ", " };
                    write!(f, "{comma}{}", Flow(value))?;
                }
                f.write_str("]")
            }
            Value::String(text) => Text(text).fmt(f),
            other => other.fmt(f),
        }
    }
}

/// A scalar: plain where no reader can take it for anything but this text, else as JSON, whose strings are YAML's too.
struct Text<'a>(&'a str);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.0;
        if is_plain(text) {
            f.write_str(text)
        } else {
            Value::from(text).fmt(f)
        }
    }
}

/// Words of letters, digits, `/`, `.`, `-` and `_` that begin with one of the first or third; but for what YAML 1.1
/// takes for a truth value or for nothing.
fn is_plain(text: &str) -> bool {
    const OTHERS: [&str; 9] = ["true", "false", "yes", "no", "on", "off", "null", "y", "n"];
    text.starts_with(|first: char| first.is_ascii_alphabetic() || first == '/')
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '/' | '.' | '-' | '_'))
        && !OTHERS.iter().any(|word| word.eq_ignore_ascii_case(text))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn it_reads_back_as_what_it_was() {
        let cases = [
            (
                json!({"name": "a.b", "timeout": "3s"}),
                r#"{name: a.b, timeout: "3s"}"#,
            ),
            (
                json!([{"uri": {"prefix": "/api"}}, {}]),
                "[{uri: {prefix: /api}}, {}]",
            ),
            (json!([true, null, 1.5, -3]), "[true, null, 1.5, -3]"),
            (
                json!([
                    "true", "No", "Y", "", "~", "1", "1e3", "a: b", "a #b", "a,b", "{", "*",
                    "é\n\"\\"
                ]),
                "[\"true\", \"No\", \"Y\", \"\", \"~\", \"1\", \"1e3\", \"a: b\", \"a #b\", \"a,b\", \"{\", \"*\", \"é\\n\\\"\\\\\"]",
            ),
            (
                json!({":authority": "x", "on": "a:b"}),
                r#"{":authority": x, "on": "a:b"}"#,
            ),
        ];
        for (value, text) in cases {
            assert_eq!(Flow(&value).to_string(), text);
        }
        // As a YAML parser reads it.
        let value = json!({"on": ["/x", "n", "a.b-c_d", "1", "", "x:y"], "b": {"c": [1, 2.5, false, null, {}]}});
        let read: Value = serde_saphyr::from_str(&Flow(&value).to_string()).unwrap();
        assert_eq!(read, value);
    }
}
