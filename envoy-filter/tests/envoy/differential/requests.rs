//! Generated requests, odd ones among them.

use super::cases::{Case, HEADERS, NAMES, PATHS, VALUES};
use super::dice::Dice;

/// Longer than any value that stands in a policy; below Envoy's limit of 60 KiB for all headers.
const LONG: usize = 12_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    Http1,
    Http2,
}

#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) protocol: Protocol,
    pub(crate) method: String,
    /// Path and query.
    pub(crate) target: String,
    pub(crate) authority: String,
    pub(crate) headers: Vec<(String, String)>,
    /// What to go over to from HTTP, if anything.
    pub(crate) upgrade: Option<&'static str>,
    /// The target has scheme and host before the path.
    absolute: bool,
}

impl Request {
    pub(crate) fn generate(case: &Case, dice: &mut Dice) -> Self {
        let protocol = *dice.one_of(&[Protocol::Http1, Protocol::Http2]);
        let method = *dice.one_of(&[
            "GET", "GET", "GET", "GET", "POST", "HEAD", "OPTIONS", "DELETE", "get", "PURGE",
            "CONNECT",
        ]);
        let mut target = (*dice.one_of(PATHS)).to_owned();
        if dice.chance(60) {
            target.push('?');
            target.push_str(&query(dice));
        }
        if method == "OPTIONS" && dice.chance(30) {
            "*".clone_into(&mut target);
        }
        let mut headers: Vec<(String, String)> = (0..dice.below(5)).map(|_| header(dice)).collect();
        // Twice the same name, with another value.
        if let Some((name, _)) = headers.first().cloned()
            && dice.chance(25)
        {
            headers.push((name, value(dice)));
        }
        for _ in 0..dice.below(3) {
            headers.push(("cookie".to_owned(), cookies(dice)));
        }
        if dice.chance(10) {
            headers.push(("content-type".to_owned(), "application/grpc".to_owned()));
        }
        let upgrade = (dice.chance(6) && method == "GET").then_some("websocket");
        Self {
            protocol,
            method: method.to_owned(),
            target,
            authority: authority(case, dice),
            headers,
            upgrade,
            absolute: dice.chance(5),
        }
    }

    /// Method and target, of HTTP/1.1.
    pub(crate) fn start(&self) -> String {
        let Self {
            method,
            target,
            authority,
            ..
        } = self;
        if method == "CONNECT" {
            format!("CONNECT {authority}")
        } else if self.absolute && target != "*" {
            format!("{method} http://{authority}{target}")
        } else {
            format!("{method} {target}")
        }
    }

    /// The headers of HTTP/1.1.
    pub(crate) fn lines(&self) -> Vec<String> {
        let mut lines = vec![format!("host: {}", self.authority)];
        lines.extend(self.upgrade.map(|to| format!("upgrade: {to}")));
        lines.extend(self.upgrade.map(|_| "connection: upgrade".to_owned()));
        let headers = self.headers.iter();
        lines.extend(headers.map(|(name, value)| format!("{name}: {value}")));
        lines
    }

    /// True if nothing else can follow in HTTP/1.1.
    pub(crate) fn ends_connection(&self) -> bool {
        self.method == "CONNECT" || self.upgrade.is_some()
    }
}

fn authority(case: &Case, dice: &mut Dice) -> String {
    let mut name = case.authority.clone();
    if dice.chance(15) {
        name = name.to_uppercase();
    }
    if !name.starts_with('[') && name.to_lowercase().starts_with("case-") && dice.chance(8) {
        name.push('.');
    }
    if dice.chance(25) {
        name.push_str(dice.word(&[":80", ":8080", ":443", ":0"]));
    }
    name
}

fn header(dice: &mut Dice) -> (String, String) {
    let names: Vec<&&str> = HEADERS
        .iter()
        .filter(|name| !name.starts_with(':') && !["host", "upgrade"].contains(name))
        .collect();
    let mut name = (**dice.one_of(&names)).to_owned();
    if dice.chance(10) {
        name = name.to_uppercase();
    }
    (name, value(dice))
}

fn value(dice: &mut Dice) -> String {
    let mut value = (*dice.one_of(VALUES)).to_owned();
    if dice.chance(15) {
        value.push_str(dice.word(VALUES));
    }
    if dice.chance(3) {
        value.push_str(&"a".repeat(dice.below(LONG)));
    }
    value
}

fn query(dice: &mut Dice) -> String {
    let mut query = String::new();
    for _ in 0..dice.below(5) {
        query.push_str(dice.word(NAMES));
        if dice.chance(85) {
            query.push('=');
            query.push_str(&plain(dice));
        }
        query.push_str(dice.word(&["&", "&", "&", "&&", ";", "?", ""]));
    }
    query
}

/// A value as it can stand in a target.
fn plain(dice: &mut Dice) -> String {
    let value = value(dice);
    value
        .replace(' ', "+")
        .replace('é', "%C3%A9")
        .replace('"', "%22")
}

fn cookies(dice: &mut Dice) -> String {
    let mut header = String::new();
    for _ in 0..dice.below(4) {
        header.push_str(dice.word(NAMES));
        header.push_str(dice.word(&["=", "=", "=", "=", " =", "= ", ""]));
        header.push_str(&value(dice).replace(';', ""));
        header.push_str(dice.word(&["; ", "; ", ";", " ; ", ";;", ""]));
    }
    header
}
