//! One match entry as conditions: of a VirtualService's route, or of a rule.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};
use traffic_policy::config::{Match, StringMatch};

use super::text::{exclude, implies, takes_nothing};
use crate::object::ObjectId;

/// A field of an object; of the Rollout where there is no object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct At {
    pub(super) object: Option<ObjectId>,
    pub(super) field: String,
}

impl At {
    pub(super) fn below(&self, field: &str) -> Self {
        Self {
            object: self.object.clone(),
            field: format!("{}{field}", self.field),
        }
    }
}

/// What of a request a condition is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Path,
    Method,
    Scheme,
    Authority,
    /// In lower case.
    Header(String),
    QueryParam(String),
}

/// A header is taken to have one value: what a request that repeats it gets differs between Envoy's versions.
#[derive(Clone, Debug)]
pub(super) struct Condition {
    pub(super) part: Part,
    pub(super) text: StringMatch,
    /// Of `withoutHeaders`: what is not there satisfies it, and counts for an empty text.
    pub(super) negated: bool,
    pub(super) at: At,
}

impl Condition {
    /// True if no request satisfies both.
    pub(super) fn excludes(&self, other: &Self) -> bool {
        self.part == other.part
            && match (self.negated, other.negated) {
                (false, false) => exclude(&self.text, &other.text),
                (false, true) => implies(&self.text, &other.text),
                (true, false) => implies(&other.text, &self.text),
                (true, true) => false,
            }
    }

    /// True if every request that satisfies all of `known` satisfies this too.
    pub(super) fn follows_from(&self, known: &[&Self]) -> bool {
        if !self.negated && self.part == Part::Path {
            let root = StringMatch::Prefix("/".to_owned());
            if implies(&root, &self.text) {
                return true;
            }
        }
        let mut same = known.iter().filter(|known| known.part == self.part);
        same.any(|known| match (known.negated, self.negated) {
            (false, false) => implies(&known.text, &self.text),
            (true, false) => false,
            (false, true) => exclude(&known.text, &self.text),
            (true, true) => match (&known.text, &self.text) {
                (StringMatch::Present, StringMatch::Present) => true,
                (_, StringMatch::Present) => false,
                (StringMatch::Present, text) => !takes_nothing(text),
                (known, text) => implies(text, known),
            },
        })
    }
}

/// Conditions that all have to hold, and where the entry counts at all.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) at: At,
    pub(super) conditions: Vec<Condition>,
    /// 0 for any.
    pub(super) port: u64,
    pub(super) gateways: BTreeSet<String>,
    pub(super) source_labels: BTreeMap<String, String>,
    pub(super) source_namespace: String,
    /// True if it asks for more than is known here.
    pub(super) asks_more: bool,
}

impl Entry {
    /// One that every request satisfies.
    pub(super) fn any(at: At) -> Self {
        Self {
            at,
            conditions: Vec::new(),
            port: 0,
            gateways: BTreeSet::new(),
            source_labels: BTreeMap::new(),
            source_namespace: String::new(),
            asks_more: false,
        }
    }

    /// An `HTTPMatchRequest`, as Istio reads it (1.29.1 `route.TranslateRouteMatch`). `namespace`: the VirtualService's.
    pub(super) fn of_route(written: &Value, at: At, namespace: &str) -> Self {
        let mut entry = Self::any(at);
        let empty = Map::new();
        let fields = written.as_object().unwrap_or(&empty);
        let ignores_case = fields.get("ignoreUriCase") == Some(&Value::Bool(true));
        for (name, value) in fields.iter().filter(|(_, value)| !value.is_null()) {
            match &**name {
                "name" | "statPrefix" | "ignoreUriCase" => {}
                "uri" => entry.add(Part::Path, value, false, ".uri", ignores_case),
                "method" => entry.add(Part::Method, value, false, ".method", false),
                "scheme" => entry.add(Part::Scheme, value, false, ".scheme", false),
                "authority" => entry.add(Part::Authority, value, false, ".authority", false),
                "headers" | "queryParams" => entry.add_all(value, name, false),
                "withoutHeaders" => entry.add_all(value, name, true),
                "port" => entry.port = value.as_u64().unwrap_or(0),
                "gateways" => entry.gateways = gateway_names(Some(value), namespace),
                "sourceNamespace" => {
                    value
                        .as_str()
                        .unwrap_or_default()
                        .clone_into(&mut entry.source_namespace);
                }
                "sourceLabels" => {
                    let labels = value.as_object().into_iter().flatten();
                    entry.source_labels = labels
                        .filter_map(|(name, value)| {
                            Some((name.clone(), value.as_str()?.to_owned()))
                        })
                        .collect();
                }
                _ => entry.asks_more = true,
            }
        }
        entry
    }

    fn add_all(&mut self, written: &Value, field: &str, negated: bool) {
        for (name, value) in written.as_object().into_iter().flatten() {
            if name.starts_with('@') {
                // A claim of a token, which is no header.
                self.asks_more = true;
                continue;
            }
            let part = if field == "queryParams" {
                Part::QueryParam(name.clone())
            } else {
                header(name)
            };
            self.add(part, value, negated, &format!(".{field}[{name:?}]"), false);
        }
    }

    fn add(&mut self, part: Part, written: &Value, negated: bool, below: &str, ignores_case: bool) {
        let text = match text_of(written, part == Part::Path, ignores_case) {
            Written::Text(text) => text,
            Written::Anything => return,
            Written::Unknown => {
                self.asks_more = true;
                return;
            }
        };
        let at = self.at.below(below);
        self.conditions.push(Condition {
            part,
            text,
            negated,
            at,
        });
    }

    /// A delegate's entry with a root's (istio 1.29.1 `model.mergeHTTPMatchRequest`).
    pub(super) fn merged(&self, root: &Self) -> Self {
        let mut merged = self.clone();
        let is_own = |inherited: &&Condition| {
            let mut own = self.conditions.iter();
            own.any(|own| own.part == inherited.part && own.negated == inherited.negated)
        };
        let inherited = root.conditions.iter().filter(|one| !is_own(one));
        merged.conditions.extend(inherited.cloned());
        if merged.port == 0 {
            merged.port = root.port;
        }
        if merged.gateways.is_empty() {
            merged.gateways.clone_from(&root.gateways);
        }
        if merged.source_namespace.is_empty() {
            merged.source_namespace.clone_from(&root.source_namespace);
        }
        for (name, value) in &root.source_labels {
            let label = merged.source_labels.entry(name.clone());
            label.or_insert_with(|| value.clone());
        }
        merged.asks_more |= root.asks_more;
        merged
    }

    /// True if this counts in every proxy, and at every port, where `other` does. `gateways`: the VirtualService's.
    pub(super) fn counts_wherever(&self, other: &Self, gateways: &BTreeSet<String>) -> bool {
        if self.port != 0 && self.port != other.port {
            return false;
        }
        if !self.gateways.is_empty() {
            let of_other = if other.gateways.is_empty() {
                gateways
            } else {
                &other.gateways
            };
            return of_other.is_subset(&self.gateways);
        }
        // Beside `gateways` these count for nothing (istio 1.29.1 `route.sourceMatchHTTP`).
        let labels = self.source_labels.iter();
        let (mut of_other, mut namespace) = (&other.source_labels, &other.source_namespace);
        let (none, nowhere) = (BTreeMap::new(), String::new());
        if !other.gateways.is_empty() {
            (of_other, namespace) = (&none, &nowhere);
        }
        labels
            .into_iter()
            .all(|(name, value)| of_other.get(name) == Some(value))
            && (self.source_namespace.is_empty() || self.source_namespace == *namespace)
    }
}

/// What an Istio `StringMatch` comes to.
enum Written {
    Text(StringMatch),
    Anything,
    Unknown,
}

fn text_of(written: &Value, is_path: bool, ignores_case: bool) -> Written {
    let empty = Map::new();
    let kinds = match written {
        Value::Null => &empty,
        Value::Object(kinds) => kinds,
        _ => return Written::Unknown,
    };
    let mut kinds = kinds.iter();
    let (kind, text) = match (kinds.next(), kinds.next()) {
        // A path is always there.
        (None, _) if is_path => return Written::Anything,
        (None, _) => return Written::Text(StringMatch::Present),
        (Some((kind, Value::String(text))), None) => (&**kind, text.clone()),
        _ => return Written::Unknown,
    };
    match kind {
        "exact" if ignores_case => Written::Text(StringMatch::ExactIgnoreCase(text)),
        "exact" => Written::Text(StringMatch::Exact(text)),
        "prefix" if text.is_empty() => Written::Unknown,
        "prefix" if ignores_case => Written::Text(StringMatch::PrefixIgnoreCase(text)),
        "prefix" => Written::Text(StringMatch::Prefix(text)),
        "regex" if text == "*" && !is_path => Written::Text(StringMatch::Present),
        "regex" if !ignores_case => Written::Text(StringMatch::Regex(text)),
        _ => Written::Unknown,
    }
}

/// What a rule's entry asks for. Of cookies that there is a header of them.
pub(super) fn of_rule(entry: &Match, at: &At) -> Vec<Condition> {
    let condition = |part, text: &StringMatch, below: &str| Condition {
        part,
        text: text.clone(),
        negated: false,
        at: at.below(below),
    };
    let headers = entry.headers.iter().map(|(name, text)| {
        let text = match text {
            StringMatch::Regex(pattern) if pattern == "*" => &StringMatch::Present,
            text => text,
        };
        condition(header(name), text, &format!(".headers[{name:?}]"))
    });
    let query = entry.query_params.iter().map(|(name, text)| {
        let below = format!(".queryParams[{name:?}]");
        condition(Part::QueryParam(name.clone()), text, &below)
    });
    let cookies = entry.cookies.keys().take(1).map(|name| {
        let part = Part::Header("cookie".to_owned());
        condition(part, &StringMatch::Present, &format!(".cookies[{name:?}]"))
    });
    let method = entry.method.as_ref();
    let method = method.map(|text| condition(Part::Method, text, ".method"));
    let path = entry.path.as_ref();
    let path = path.map(|text| condition(Part::Path, text, ".path"));
    headers
        .chain(query)
        .chain(cookies)
        .chain(method)
        .chain(path)
        .collect()
}

fn header(name: &str) -> Part {
    match &*name.to_ascii_lowercase() {
        ":method" => Part::Method,
        ":scheme" => Part::Scheme,
        ":authority" => Part::Authority,
        name => Part::Header(name.to_owned()),
    }
}

/// With their namespaces (istio 1.29.1 `model.resolveGatewayName`).
pub(super) fn gateway_names(written: Option<&Value>, namespace: &str) -> BTreeSet<String> {
    let names = written.and_then(Value::as_array).into_iter().flatten();
    let names = names.filter_map(Value::as_str);
    names
        .map(|name| match (name.split_once('/'), name.split_once('.')) {
            _ if name == "mesh" => name.to_owned(),
            (Some((".", name)), _) => format!("{namespace}/{name}"),
            (Some(_), _) => name.to_owned(),
            (None, Some((name, rest))) => {
                let namespace = rest.split('.').next().unwrap_or_default();
                format!("{namespace}/{name}")
            }
            (None, None) => format!("{namespace}/{name}"),
        })
        .collect()
}
