//! Kubernetes' number-or-string (k8s.io/apimachinery v0.34 `pkg/util/intstr/intstr.go`).

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, Visitor};
use serde::{Serialize, Serializer};

/// A number or a string, such as `3` or `25%`. Go's `intstr.IntOrString`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IntOrString {
    /// A number.
    Int(i32),
    /// A string.
    String(String),
}

impl Default for IntOrString {
    fn default() -> Self {
        Self::Int(0)
    }
}

impl Serialize for IntOrString {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Int(number) => serializer.serialize_i32(*number),
            Self::String(text) => serializer.serialize_str(text),
        }
    }
}

impl<'de> Deserialize<'de> for IntOrString {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(EitherForm)
    }
}

/// JSON gives the value itself, gob the Go struct `{Type, IntVal, StrVal}` with zeros left out.
struct EitherForm;

/// Go's `intstr.String`; `intstr.Int` is 0.
const TYPE_STRING: i64 = 1;

impl<'de> Visitor<'de> for EitherForm {
    type Value = IntOrString;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a 32-bit number or a string")
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<IntOrString, E> {
        i32::try_from(number)
            .map(IntOrString::Int)
            .map_err(|_| E::invalid_value(serde::de::Unexpected::Signed(number), &self))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<IntOrString, E> {
        i32::try_from(number)
            .map(IntOrString::Int)
            .map_err(|_| E::invalid_value(serde::de::Unexpected::Unsigned(number), &self))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<IntOrString, E> {
        Ok(IntOrString::String(text.to_owned()))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<IntOrString, A::Error> {
        let (mut kind, mut number, mut text) = (0_i64, 0_i32, String::new());
        while let Some(name) = fields.next_key::<String>()? {
            match name.as_str() {
                "Type" => kind = fields.next_value()?,
                "IntVal" => number = fields.next_value()?,
                "StrVal" => text = fields.next_value()?,
                _ => {
                    fields.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(if kind == TYPE_STRING {
            IntOrString::String(text)
        } else {
            IntOrString::Int(number)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_keeps_its_form() {
        for (json, value) in [
            ("3", IntOrString::Int(3)),
            ("\"25%\"", IntOrString::String("25%".into())),
        ] {
            assert_eq!(serde_json::from_str::<IntOrString>(json).unwrap(), value);
            assert_eq!(serde_json::to_string(&value).unwrap(), json);
        }
    }

    #[test]
    fn go_struct_form_reads_by_its_type() {
        let text = r#"{"Type":1,"IntVal":7,"StrVal":"10m","New":[1]}"#;
        assert_eq!(
            serde_json::from_str::<IntOrString>(text).unwrap(),
            IntOrString::String("10m".into())
        );
        assert_eq!(
            serde_json::from_str::<IntOrString>(r#"{"IntVal":7}"#).unwrap(),
            IntOrString::Int(7)
        );
        assert_eq!(
            serde_json::from_str::<IntOrString>("{}").unwrap(),
            IntOrString::Int(0)
        );
    }

    #[test]
    fn a_number_beyond_32_bits_is_refused() {
        let error = serde_json::from_str::<IntOrString>("2147483648").unwrap_err();
        assert!(error.to_string().contains("2147483648"), "{error}");
    }
}
