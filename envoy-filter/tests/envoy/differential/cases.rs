//! Generated rules, as a policy and as routes.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use traffic_policy::Lane;
use traffic_policy::config::{Match, Policy, Rule, StringMatch};

use super::dice::Dice;
use crate::bench::{route, virtual_host};

/// The answer of the managed route: no rule has taken the request.
pub(crate) const NOBODY: &str = "weights";

pub(crate) const HEADERS: &[&str] = &[
    "x-user",
    "x-beta",
    "X-Beta",
    "user-agent",
    "content-type",
    "accept",
    "te",
    "cookie",
    "host",
    ":path",
    ":authority",
    ":method",
    ":scheme",
    "upgrade",
];
pub(crate) const NAMES: &[&str] = &["a", "b", "A", "id", "ID", "%61", "a.b"];
pub(crate) const VALUES: &[&str] = &[
    "",
    "1",
    "a",
    "b",
    "ab",
    "beta",
    "Beta",
    "BETA",
    "beta-7",
    "a,b",
    "a b",
    "é",
    "%41",
    "%2F",
    "/",
    "=",
    "a=1",
    "\"1\"",
    "1?",
    "application/grpc",
    "trailers",
    "websocket",
];
pub(crate) const PATHS: &[&str] = &[
    "/",
    "/api",
    "/API",
    "/api/",
    "/api/v1",
    "/a%20b",
    "/a%2Fb",
    "/%61pi",
    "/api;v=1",
    "//api",
    "/api/../a",
    "/api/.",
    "/~a",
    "/a+b",
    "/a,b",
    "/a@b:c",
    "/%",
    "/%zz",
];
const METHODS: &[&str] = &["GET", "get", "POST", "HEAD", "OPTIONS", "CONNECT"];
const PATTERNS: &[&str] = &[
    ".*",
    ".+",
    "beta.*",
    "(?i)beta",
    "[a-z]+",
    "[0-9]+",
    "a|ab",
    ".*7",
    "^beta$",
    r"\w+-\d",
    "be.a",
    "(a|b)*",
    ".*b.*",
    "%[0-9A-F]{2}",
    "é+",
    "a{1,3}",
    "[^a]*",
    "/api(/.*)?",
    "/a.*b",
    ".",
    "..",
    "GET|POST",
    r".*\?.*a=1.*",
    "(?:be)+ta(?:-7)?",
    "a{50}",
    "a{0,40}",
    ".*a{20}.*",
    r"[^;]*;\s*id=.*",
];

/// One Rollout: its rules, and by which names it is asked for.
pub(crate) struct Case {
    number: u64,
    /// As in a policy and in Envoy's `domains`.
    host: String,
    /// What a request asks for.
    pub(crate) authority: String,
    rules: Vec<Rule>,
}

impl Case {
    pub(crate) fn generate(number: u64, dice: &mut Dice) -> Self {
        let (host, authority) = match number % 10 {
            7 => (format!("[fd00::{number:x}]"), format!("[fd00::{number:x}]")),
            8 => (
                format!("*.wild-{number}.example.com"),
                format!("a.b.wild-{number}.example.com"),
            ),
            9 => (
                format!("pre-{number}.*"),
                format!("pre-{number}.example.org"),
            ),
            _ => {
                let host = format!("case-{number}.example.com");
                (host.clone(), host)
            }
        };
        // A few with many rules, most of them with one for each lane.
        let count = if number % 6 == 5 { 60 } else { 4 };
        let rules = (0..count)
            .map(|at| Rule {
                name: format!("rule-{at}"),
                lane: Lane::ALL[at % Lane::ALL.len()],
                percent: None,
                keys: Vec::new(),
                matches: (0..=dice.below(3)).map(|_| entry(dice)).collect(),
            })
            .collect();
        Self {
            number,
            host,
            authority,
            rules,
        }
    }

    pub(crate) fn rollout(&self) -> String {
        format!("shop/case-{}", self.number)
    }

    pub(crate) fn policy(&self) -> Value {
        let policy = Policy {
            hosts: vec![self.host.clone()],
            virtual_services: Some([("shop/case".to_owned(), vec!["primary".to_owned()])].into()),
            rules: self.rules.clone(),
            ..Policy::default()
        };
        serde_json::to_value(policy).unwrap()
    }

    /// The managed route with its lane routes, which the filter leads to.
    pub(crate) fn filtered(&self) -> Value {
        let header = format!("x-rollout-lane.shop.case-{}", self.number);
        let mut routes: Vec<Value> = Lane::ALL
            .iter()
            .map(|lane| {
                let mut matches = every_path();
                matches["headers"] =
                    json!([{"name": header, "string_match": {"exact": lane.as_str()}}]);
                let name = format!("serin-shop.case-{}.{lane}", self.number);
                answer(&name, &matches, lane.as_str())
            })
            .collect();
        routes.extend(rest());
        self.virtual_host(routes)
    }

    /// A route for each entry of each rule, above the managed route.
    pub(crate) fn native(&self) -> Value {
        let mut routes: Vec<Value> = self
            .rules
            .iter()
            .flat_map(|rule| rule.matches.iter().map(move |entry| (rule, entry)))
            .map(|(rule, entry)| answer("", &native(entry), rule.lane.as_str()))
            .collect();
        routes.extend(rest());
        self.virtual_host(routes)
    }

    /// Istio gives an exact name its root's dot too.
    fn virtual_host(&self, routes: Vec<Value>) -> Value {
        let rooted = format!("{}.", self.host);
        if self.host.contains(['*', '[']) {
            virtual_host(&[&self.host], routes)
        } else {
            virtual_host(&[&self.host, &rooted], routes)
        }
    }
}

/// What a path has to be where nothing is said of it: there.
fn every_path() -> Value {
    json!({"safe_regex": {"regex": ".*"}})
}

/// The managed route, and one for what has no path.
fn rest() -> [Value; 2] {
    [
        answer("primary", &every_path(), NOBODY),
        answer("connect", &json!({"connect_matcher": {}}), "connect"),
    ]
}

fn answer(name: &str, matches: &Value, answer: &str) -> Value {
    let mut route = route(name, "case", matches, answer);
    route["response_headers_to_add"] = json!([{"header": {"key": "x-answer", "value": answer}}]);
    route
}

fn entry(dice: &mut Dice) -> Match {
    let mut entry = Match::default();
    for _ in 0..=dice.below(3) {
        match dice.below(10) {
            0 => entry.method = Some(text(METHODS, dice)),
            1 | 2 => entry.path = Some(path(dice)),
            3 | 4 => add(&mut entry.query_params, NAMES, dice),
            5 | 6 => add(&mut entry.cookies, &NAMES[..5], dice),
            _ => {
                add(&mut entry.headers, HEADERS, dice);
            }
        }
    }
    entry
}

fn add(to: &mut BTreeMap<String, StringMatch>, names: &[&str], dice: &mut Dice) {
    let name = (*dice.one_of(names)).to_owned();
    let text = text(VALUES, dice);
    to.insert(name, text);
}

/// Envoy takes an empty path for none.
fn path(dice: &mut Dice) -> StringMatch {
    text(PATHS, dice)
}

fn text(values: &[&str], dice: &mut Dice) -> StringMatch {
    let value = (*dice.one_of(values)).to_owned();
    let beginning = || {
        let end = value
            .char_indices()
            .nth(3)
            .map_or(value.len(), |(at, _)| at);
        let beginning = value.get(..end).unwrap_or_default();
        if beginning.is_empty() { "a" } else { beginning }.to_owned()
    };
    match dice.below(10) {
        0 => StringMatch::Present,
        1..=3 => StringMatch::Exact(value),
        4 => StringMatch::ExactIgnoreCase(value),
        5 => StringMatch::Prefix(beginning()),
        6 => StringMatch::PrefixIgnoreCase(beginning()),
        _ => StringMatch::Regex((*dice.one_of(PATTERNS)).to_owned()),
    }
}

/// An entry as Envoy's own match.
fn native(entry: &Match) -> Value {
    let mut matches = match &entry.path {
        None | Some(StringMatch::Present) => every_path(),
        Some(StringMatch::Exact(value)) => json!({"path": value}),
        Some(StringMatch::ExactIgnoreCase(value)) => {
            json!({"path": value, "case_sensitive": false})
        }
        Some(StringMatch::Prefix(value)) => json!({"prefix": value}),
        Some(StringMatch::PrefixIgnoreCase(value)) => {
            json!({"prefix": value, "case_sensitive": false})
        }
        Some(StringMatch::Regex(pattern)) => json!({"safe_regex": {"regex": pattern}}),
    };
    let condition = |(name, text): (&str, &StringMatch)| {
        let mut condition = json!({"name": name});
        match text {
            StringMatch::Present => condition["present_match"] = true.into(),
            StringMatch::Exact(value) => condition["string_match"] = json!({"exact": value}),
            StringMatch::ExactIgnoreCase(value) => {
                condition["string_match"] = json!({"exact": value, "ignore_case": true});
            }
            StringMatch::Prefix(value) => condition["string_match"] = json!({"prefix": value}),
            StringMatch::PrefixIgnoreCase(value) => {
                condition["string_match"] = json!({"prefix": value, "ignore_case": true});
            }
            StringMatch::Regex(pattern) => {
                condition["string_match"] = json!({"safe_regex": {"regex": pattern}});
            }
        }
        condition
    };
    let all = |named: &BTreeMap<String, StringMatch>| {
        let named = named.iter().map(|(name, text)| (name.as_str(), text));
        named.map(condition).collect::<Vec<_>>()
    };
    let mut headers = all(&entry.headers);
    headers.extend(entry.method.iter().map(|text| condition((":method", text))));
    matches["headers"] = headers.into();
    matches["query_parameters"] = all(&entry.query_params).into();
    // Envoy 1.40 has no `present_match` for these.
    let mut cookies = all(&entry.cookies);
    for cookie in &mut cookies {
        if cookie
            .as_object_mut()
            .unwrap()
            .remove("present_match")
            .is_some()
        {
            cookie["string_match"] = json!({"safe_regex": {"regex": ".*"}});
        }
    }
    matches["cookies"] = cookies.into();
    matches
}
