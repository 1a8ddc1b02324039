//! Label and field selectors of list, watch and deletecollection.
//!
//! Labels follow `k8s.io/apimachinery/pkg/labels`: equality and set-based, joined by AND. Fields
//! follow `pkg/fields`: equality only, and only the fields that a resource names.

use serde_json::Value;

use super::object;
use super::resource::Resource;
use super::status::Status;

/// Which objects of a resource a request means.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Selector {
    labels: Vec<Requirement>,
    fields: Vec<FieldRequirement>,
}

#[derive(Debug, Clone, PartialEq)]
struct Requirement {
    key: String,
    test: Test,
}

#[derive(Debug, Clone, PartialEq)]
enum Test {
    Exists,
    Missing,
    In(Vec<String>),
    /// Also true where the label is missing.
    NotIn(Vec<String>),
}

#[derive(Debug, Clone, PartialEq)]
struct FieldRequirement {
    path: String,
    value: String,
    equal: bool,
}

impl Selector {
    /// Reads both selectors as they stand in a query; empty means everything.
    pub(super) fn parse(resource: &Resource, labels: &str, fields: &str) -> Result<Self, Status> {
        Ok(Self {
            labels: split_terms(labels)
                .into_iter()
                .map(parse_label)
                .collect::<Result<_, _>>()?,
            fields: fields
                .split(',')
                .map(str::trim)
                .filter(|term| !term.is_empty())
                .map(|term| parse_field(resource, term))
                .collect::<Result<_, _>>()?,
        })
    }

    /// With the condition that the object has this name; empty adds none.
    pub(super) fn named(mut self, name: &str) -> Self {
        if !name.is_empty() {
            self.fields.push(FieldRequirement {
                path: "metadata.name".to_owned(),
                value: name.to_owned(),
                equal: true,
            });
        }
        self
    }

    /// Whether it lets everything through.
    pub(super) fn is_empty(&self) -> bool {
        self.labels.is_empty() && self.fields.is_empty()
    }

    /// Whether `object` is meant.
    pub(super) fn matches(&self, object: &Value) -> bool {
        self.labels
            .iter()
            .all(|one| one.test.holds(object::label(object, &one.key)))
            && self
                .fields
                .iter()
                .all(|one| (object::text(object, &one.path) == one.value) == one.equal)
    }
}

impl Test {
    fn holds(&self, value: Option<&str>) -> bool {
        match (self, value) {
            (Self::Exists, found) => found.is_some(),
            (Self::Missing, found) => found.is_none(),
            (Self::In(set), Some(found)) => set.iter().any(|one| one == found),
            (Self::In(_), None) => false,
            (Self::NotIn(set), Some(found)) => !set.iter().any(|one| one == found),
            (Self::NotIn(_), None) => true,
        }
    }
}

/// Splits at the commas that are not inside a set's parentheses.
fn split_terms(text: &str) -> Vec<&str> {
    let mut depth = 0_u32;
    text.split(|c| {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        c == ',' && depth == 0
    })
    .map(str::trim)
    .filter(|term| !term.is_empty())
    .collect()
}

fn parse_label(term: &str) -> Result<Requirement, Status> {
    let refused = || {
        Status::bad_request(format!(
            "unable to parse requirement: found '{term}', expected: key, !key, key=value, key!=value, key in (...) or key notin (...)"
        ))
    };
    let (key, test) = if let Some(key) = term.strip_prefix('!') {
        (key, Test::Missing)
    } else if let Some((key, set)) = term.split_once('(') {
        let values = set
            .strip_suffix(')')
            .ok_or_else(refused)?
            .split(',')
            .map(|value| value.trim().to_owned())
            .collect();
        match key.split_whitespace().collect::<Vec<_>>().as_slice() {
            [key, "in"] => (*key, Test::In(values)),
            [key, "notin"] => (*key, Test::NotIn(values)),
            _ => return Err(refused()),
        }
    } else if let Some((key, value)) = term.split_once("!=") {
        (key, Test::NotIn(vec![value.trim().to_owned()]))
    } else if let Some((key, value)) = term.split_once("==").or_else(|| term.split_once('=')) {
        (key, Test::In(vec![value.trim().to_owned()]))
    } else {
        (term, Test::Exists)
    };
    let key = key.trim();
    let known = |c: char| c.is_ascii_alphanumeric() || "-_./".contains(c);
    if key.is_empty() || !key.chars().all(known) {
        return Err(refused());
    }
    Ok(Requirement {
        key: key.to_owned(),
        test,
    })
}

fn parse_field(resource: &Resource, term: &str) -> Result<FieldRequirement, Status> {
    let (path, value, equal) = if let Some((path, value)) = term.split_once("!=") {
        (path, value, false)
    } else if let Some((path, value)) = term.split_once("==").or_else(|| term.split_once('=')) {
        (path, value, true)
    } else {
        return Err(Status::bad_request(format!(
            "invalid selector: '{term}'; can't understand '{term}'"
        )));
    };
    let known = path == "metadata.name"
        || (path == "metadata.namespace" && resource.namespaced)
        || resource.fields.contains(&path);
    if known {
        Ok(FieldRequirement {
            path: path.to_owned(),
            value: value.to_owned(),
            equal,
        })
    } else if resource.custom {
        Err(Status::bad_request(format!(
            "field label not supported: {path}"
        )))
    } else {
        Err(Status::bad_request(format!(
            "\"{path}\" is not a known field selector: only \"metadata.name\", \"metadata.namespace\""
        )))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::apiserver::resource::RESOURCES;

    fn pods() -> &'static Resource {
        RESOURCES.iter().find(|one| one.plural == "pods").unwrap()
    }

    #[test]
    fn selects_by_label_and_field() {
        let pod = json!({
            "metadata": {"name": "a", "namespace": "shop", "labels": {"app": "web", "tier": "front"}},
            "status": {"phase": "Running"},
        });
        for (labels, fields, expected) in [
            ("", "", true),
            ("app=web", "", true),
            ("app==web,tier=front", "", true),
            ("app=api", "", false),
            ("app!=api", "", true),
            ("zone!=a", "", true),
            ("app in (api, web)", "", true),
            ("app in (api),tier", "", false),
            ("app notin (api,db),tier=front", "", true),
            ("zone notin (a)", "", true),
            ("zone in (a)", "", false),
            ("tier", "", true),
            ("!tier", "", false),
            ("!zone", "", true),
            ("", "metadata.name=a", true),
            ("", "metadata.name!=a", false),
            ("", "metadata.name=a,metadata.namespace=shop", true),
            ("", "status.phase=Running,spec.nodeName=", true),
            ("app=web", "metadata.name=b", false),
        ] {
            let selector = Selector::parse(pods(), labels, fields).unwrap();
            assert_eq!(selector.matches(&pod), expected, "{labels:?} {fields:?}");
        }
    }

    #[test]
    fn refuses_what_it_cannot_read() {
        for (labels, fields) in [
            ("a in b", ""),
            ("a in (b", ""),
            ("a like (b)", ""),
            ("=b", ""),
            ("", "spec.foo=1"),
            ("", "metadata.name"),
        ] {
            let refused = Selector::parse(pods(), labels, fields).unwrap_err();
            assert_eq!(
                (refused.code, refused.reason),
                (400, "BadRequest"),
                "{labels:?} {fields:?}"
            );
        }
    }
}
