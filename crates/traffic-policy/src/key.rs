//! Keys: what tells one user from another, and the bucket that a key falls into.

use std::fmt;

use xxhash_rust::xxh3::xxh3_64;

use crate::config::{Issue, StickyKey};
use crate::error::{Fault, PolicyError};
use crate::names;
use crate::needed::Needed;
use crate::request::{COOKIE, Headers, Request, name_bit};

/// The longest salt and key together that are hashed without an allocation.
const USUAL: usize = 240;
/// Where browsers may stop taking a cookie's attribute (RFC 6265bis, section 5.6).
const MAX_PATH: usize = 1024;

/// What deciding may need besides the headers. Asked only when it counts, since asking the proxy costs
/// more than deciding.
///
/// A closure that gives random numbers stands for a proxy that knows no more.
pub trait Surroundings {
    /// A number, evenly spread over all of `u32`.
    fn random(&mut self) -> u32;

    /// The address of the connection's other side, without a port. `None` behind an edge, where that is a
    /// proxy's.
    fn source_address(&mut self) -> Option<&[u8]> {
        None
    }

    /// The value of the cookie `name`, which the request does not have and the response is going to set.
    /// `None` where the response can't, or isn't at an edge.
    ///
    /// Asked when a request has none of the keys that are looked for. It may be asked more than once for a
    /// request and has to give the same value for the same name.
    fn issue(&mut self, _name: &str, _issue: &Issue) -> Option<&[u8]> {
        None
    }
}

impl<F: FnMut() -> u32> Surroundings for F {
    fn random(&mut self) -> u32 {
        self()
    }
}

/// A list of keys, compiled: the first that a request has counts.
#[derive(Debug)]
pub(crate) struct Keys(Box<[Key]>);

#[derive(Debug, PartialEq)]
enum Key {
    /// In lower case, as Envoy keeps names.
    Header(Box<[u8]>),
    Cookie(Box<str>, Option<Issue>),
    QueryParam(Box<[u8]>),
    SourceAddress,
}

impl Keys {
    /// `field`: where the list stands.
    pub(crate) fn compile(
        rollout: &str,
        field: fmt::Arguments<'_>,
        keys: &[StickyKey],
    ) -> Result<Self, PolicyError> {
        let mut compiled: Vec<Key> = Vec::with_capacity(keys.len());
        for (at, key) in keys.iter().enumerate() {
            let error = |name: &str, fault| {
                PolicyError::new(rollout, format_args!("{field}[{at}]{name}"), fault)
            };
            let key = match key {
                StickyKey::Header(name) => {
                    Key::Header(names::header(name).map_err(|fault| error(".header", fault))?)
                }
                StickyKey::Cookie(name, issue) => {
                    names::cookie(name).map_err(|fault| error(".cookie", fault))?;
                    if let Some(issue) = issue {
                        check_name(name).map_err(|fault| error(".cookie", fault))?;
                        check(issue)
                            .map_err(|(name, fault)| error(&format!(".issue.{name}"), fault))?;
                    }
                    Key::Cookie(name.as_str().into(), issue.clone())
                }
                StickyKey::QueryParam(name) => Key::QueryParam(
                    names::query_param(name).map_err(|fault| error(".queryParam", fault))?,
                ),
                StickyKey::SourceAddress => Key::SourceAddress,
            };
            if compiled.iter().any(|other| other.is_same_place(&key)) {
                return Err(error("", Fault::SameKey));
            }
            compiled.push(key);
        }
        Ok(Self(compiled.into()))
    }

    /// The cookies that are issued, and how.
    pub(crate) fn issues(&self) -> impl Iterator<Item = (&str, &Issue)> {
        self.0.iter().filter_map(|key| match key {
            Key::Cookie(name, Some(issue)) => Some((&**name, issue)),
            _ => None,
        })
    }

    /// Adds headers of which a request has one if it has any key.
    pub(crate) fn needs(&self, needed: &mut Needed) {
        for key in &self.0 {
            match key {
                Key::Header(name) if !name.starts_with(b":") => needed.header(name),
                Key::Cookie(_, None) => needed.header(COOKIE),
                _ => needed.nothing(),
            }
        }
    }

    /// The bucket, of `0..of`, of the first key that the request has with a value that isn't empty; if it
    /// has none, of the first that can be issued. `None` without either.
    pub(crate) fn bucket<H: Headers + ?Sized>(
        &self,
        request: &Request<'_, H>,
        surroundings: &mut impl Surroundings,
        salt: &[u8],
        of: u32,
    ) -> Option<u32> {
        for key in &self.0 {
            let value = match key {
                Key::Header(name) if !request.may_have(name_bit(name)) => None,
                Key::Header(name) => request.values(name).next(),
                Key::Cookie(name, _) => request.cookie(name.as_bytes()),
                Key::QueryParam(name) => request.query_param(name),
                Key::SourceAddress => surroundings.source_address(),
            };
            if let Some(value) = value.filter(|value| !value.is_empty()) {
                return Some(bucket(salt, value, of));
            }
        }
        self.issues().find_map(|(name, issue)| {
            let value = surroundings.issue(name, issue)?;
            Some(bucket(salt, value, of))
        })
    }
}

impl Key {
    fn is_same_place(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Cookie(name, _), Self::Cookie(other, _)) => name == other,
            _ => self == other,
        }
    }
}

/// Browsers take cookies of these names, in any case, over https and with certain attributes alone (RFC 6265bis, section 5.7);
/// whether a client speaks https isn't known before it is there.
const PREFIXES: [&str; 2] = ["__Host-", "__Secure-"];

/// What is wrong with the name of a cookie that is to be issued.
fn check_name(name: &str) -> Result<(), Fault> {
    let begins = |prefix: &&'static str| {
        let start = name.get(..prefix.len());
        start.is_some_and(|start| start.eq_ignore_ascii_case(prefix))
    };
    match PREFIXES.into_iter().find(begins) {
        Some(prefix) => Err(Fault::CookiePrefix {
            value: name.to_owned(),
            prefix,
        }),
        None => Ok(()),
    }
}

/// What is wrong with a cookie that is to be issued, and where.
fn check(issue: &Issue) -> Result<(), (&'static str, Fault)> {
    // RFC 6265, section 4.1.1, `path-value`; a path that doesn't begin so is taken for none (5.2.4).
    let good = issue.path.starts_with('/')
        && issue.path.len() <= MAX_PATH
        && issue
            .path
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && byte != b';');
    if !good {
        let value = issue.path.clone();
        return Err(("path", Fault::CookiePath { value }));
    }
    // A browser would throw it away at once (5.2.2).
    if issue.max_age == Some(0) {
        return Err(("maxAge", Fault::CookieAge));
    }
    Ok(())
}

/// The bucket, of `0..of`, of one key: `xxh3_64` of salt, NUL and key, scaled.
///
/// Buckets differ in size by less than one in 2^32. The same everywhere and for ever: which users see a
/// canary depends on it. Allocates only where salt and key are longer than [`USUAL`].
pub(crate) fn bucket(salt: &[u8], key: &[u8], of: u32) -> u32 {
    let mut usual = [0; USUAL];
    let hash = if let Some(room) = usual.get_mut(..salt.len() + 1 + key.len()) {
        let bytes = salt.iter().chain(&[0]).chain(key);
        room.iter_mut()
            .zip(bytes)
            .for_each(|(place, byte)| *place = *byte);
        xxh3_64(room)
    } else {
        xxh3_64(&[salt, &[0], key].concat())
    };
    let scaled = (u128::from(hash) * u128::from(of)) >> 64;
    u32::try_from(scaled).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
