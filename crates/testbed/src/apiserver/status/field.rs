//! One broken rule of an object, as `k8s.io/apimachinery/pkg/util/validation/field` words it.

/// One broken rule (Go `field.Error`).
#[derive(Debug, Clone, Copy)]
pub struct InvalidField<'a> {
    /// `metav1.CauseType`: `FieldValueInvalid`, ...
    pub reason: &'static str,
    /// Path of the field.
    pub field: &'a str,
    /// The value found, as Go prints it; empty where the rule doesn't show it.
    pub found: &'a str,
    /// What is expected.
    pub expected: &'a str,
}

impl<'a> InvalidField<'a> {
    /// Go `field.Invalid`.
    pub fn invalid(field: &'a str, found: &'a str, expected: &'a str) -> Self {
        Self {
            reason: "FieldValueInvalid",
            field,
            found,
            expected,
        }
    }

    /// Go `field.Required`.
    pub fn required(field: &'a str, expected: &'a str) -> Self {
        Self {
            reason: "FieldValueRequired",
            field,
            found: "",
            expected,
        }
    }

    /// Go `field.Forbidden`.
    pub fn forbidden(field: &'a str, expected: &'a str) -> Self {
        Self {
            reason: "FieldValueForbidden",
            field,
            found: "",
            expected,
        }
    }

    /// The message without the field (Go `ErrorBody`).
    pub(super) fn body(&self) -> String {
        match self.reason {
            "FieldValueRequired" => format!("Required value: {}", self.expected),
            "FieldValueForbidden" => format!("Forbidden: {}", self.expected),
            _ => format!("Invalid value: {}: {}", self.found, self.expected),
        }
    }
}
