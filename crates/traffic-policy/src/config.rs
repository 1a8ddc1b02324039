//! What is written: the types of a `WasmPlugin`'s `spec.pluginConfig`, exactly as a person reads them
//! in `kubectl get wasmplugin -o yaml`. Nothing is checked here beyond the shape; compiling
//! turns a [`Policy`] into what requests are matched against, and says what is wrong with it.
//!
//! Unknown fields are refused, so that a misspelt one is an error and never silently without effect.
//! What is at its default is left out when written, and maps are ordered, so that the same policy
//! is always the same bytes.

use std::collections::BTreeMap;
use std::hash::{Hash, Hasher};

use serde::{Deserialize, Serialize};

use crate::Lane;

/// `spec.pluginConfig` of a WasmPlugin that carries Serin's filter.
///
/// The filter reads it field by field and policy by policy, since one that is wrong must not take the
/// others with it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PluginConfig {
    /// Which proxies remove lane headers that come from outside. The user's own setting: Serin's
    /// plugin reads it and never writes it.
    #[serde(default, skip_serializing_if = "is_default")]
    pub trust: Trust,
    /// One policy for each Rollout, under the key `<namespace>/<name>`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub rollouts: BTreeMap<String, Policy>,
}

/// Where a request's own `x-rollout-lane.*` headers are believed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Trust {
    /// Nowhere: every proxy that runs the filter removes them.
    Edge,
    /// Everywhere: they stand, and the policy of their Rollout is not asked again.
    Mesh,
    /// At gateways (Istio node ids that begin with `router~`) as [`Trust::Edge`], at sidecars as
    /// [`Trust::Mesh`].
    #[default]
    Auto,
}

/// What the filter has to know of one Rollout.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Policy {
    /// Hosts whose requests this policy decides about, as in a VirtualService but full: names are
    /// fully qualified, and `*`, `*.suffix` and `prefix.*` are as in Envoy's `VirtualHost.domains`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hosts: Vec<String>,
    /// Where a lane may be set: VirtualService (`<namespace>/<name>`) to the names of its managed
    /// routes; an empty list stands for every route of that VirtualService, named or not.
    /// `None`: on any route.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub virtual_services: Option<BTreeMap<String, Vec<String>>>,
    /// Whose the lane routes are, so that whoever clears up behind a Rollout that is gone knows what
    /// not to remove. It makes no difference to any request.
    #[serde(default, skip_serializing_if = "is_default")]
    pub lanes: Lanes,
    /// Tried in this order, which is that of the Rollout's `managedRoutes`; the first match decides.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<Rule>,
    /// Who is to see the canary, of the requests that no rule has sent anywhere. `None`: the weights
    /// decide about them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sticky: Option<Sticky>,
    /// Hosts, written as in [`Self::hosts`], at which the lane is decided ahead and carried along in
    /// [`crate::LANES_HEADER`], which applications forward; in the mesh the lane then holds on the way
    /// to [`Self::hosts`]. Empty: every request is decided about where its own route is chosen.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub entry_hosts: Vec<String>,
    /// Stands behind the lane in every header that carries it, as `canary.<secret>`, and in what the lane
    /// routes match, so that a header without it leads nowhere. `None`: the lane alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
}

/// A split by key instead of by chance: the same key gets the same answer in every proxy.
///
/// A key is canary if its bucket, `xxh3_64` of [`salt`](Self::salt), a NUL and the key, scaled to
/// `0..of`, is below `canary`, else stable. So a share that only grows moves each key once. A request
/// without any of the keys follows the weights.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sticky {
    /// What tells users apart: the first of these that a request has.
    pub keys: Vec<StickyKey>,
    /// Which keys come first. A new one with each release takes new users; a fixed one always the same.
    pub salt: String,
    /// The canary's share, out of [`of`](Self::of).
    pub canary: u32,
    /// What the share is out of: the Rollout's `maxTrafficWeight`.
    #[serde(default = "hundred", skip_serializing_if = "is_hundred")]
    pub of: u32,
}

/// Where a key is found in a request. An empty value is none.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "WrittenKey", try_from = "WrittenKey")]
pub enum StickyKey {
    /// The first value of that header.
    Header(String),
    /// A cookie, and what to issue on the response to a request that has none.
    Cookie(String, Option<Issue>),
    /// A parameter of the query, percent-decoded as little as Envoy's own match does: not at all.
    QueryParam(String),
    /// The address of the connection's other side. At an edge only: behind it that is a proxy's.
    SourceAddress,
}

/// A cookie that the filter sets. At an edge only, and by the module that can
/// (`serin-filter-cookies.wasm`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(
    deny_unknown_fields,
    rename_all = "camelCase",
    expecting = "a map of path, maxAge and sameSite"
)]
pub struct Issue {
    /// `Path`.
    #[serde(default = "root", skip_serializing_if = "is_root")]
    pub path: String,
    /// `Max-Age` in seconds. `None`: until the browser is closed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_age: Option<u32>,
    /// `SameSite`. `Lax` is also what browsers take where it is missing.
    #[serde(default, skip_serializing_if = "is_default")]
    pub same_site: SameSite,
}

/// RFC 6265bis, section 4.1.2.7.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum SameSite {
    /// With navigation from other sites.
    #[default]
    Lax,
    /// From the same site only.
    Strict,
    /// Always; the cookie is `Secure` then, since browsers take it no other way.
    None,
}

/// A [`StickyKey`] as read and written.
#[derive(Default, Serialize, Deserialize)]
#[serde(
    deny_unknown_fields,
    rename_all = "camelCase",
    expecting = "a map of header, cookie, queryParam or sourceAddress"
)]
struct WrittenKey {
    #[serde(skip_serializing_if = "Option::is_none")]
    header: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cookie: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    query_param: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    source_address: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    issue: Option<Issue>,
}

/// Not one kind of key.
#[derive(Debug, thiserror::Error)]
enum NoKey {
    #[error(
        "found {0} of `header`, `cookie`, `queryParam` and `sourceAddress: true`, expected one"
    )]
    NotOne(usize),
    #[error("found `issue` without `cookie`, which is what is issued")]
    IssueOfNoCookie,
}

impl TryFrom<WrittenKey> for StickyKey {
    type Error = NoKey;

    fn try_from(written: WrittenKey) -> Result<Self, NoKey> {
        if written.issue.is_some() && written.cookie.is_none() {
            return Err(NoKey::IssueOfNoCookie);
        }
        let source = written.source_address == Some(true);
        match (written.header, written.cookie, written.query_param, source) {
            (Some(name), None, None, false) => Ok(Self::Header(name)),
            (None, Some(name), None, false) => Ok(Self::Cookie(name, written.issue)),
            (None, None, Some(name), false) => Ok(Self::QueryParam(name)),
            (None, None, None, true) => Ok(Self::SourceAddress),
            (header, cookie, query, source) => {
                let names = [header, cookie, query].iter().flatten().count();
                Err(NoKey::NotOne(names + usize::from(source)))
            }
        }
    }
}

impl From<StickyKey> for WrittenKey {
    fn from(key: StickyKey) -> Self {
        let mut written = Self::default();
        match key {
            StickyKey::Header(name) => written.header = Some(name),
            StickyKey::Cookie(name, issue) => {
                (written.cookie, written.issue) = (Some(name), issue);
            }
            StickyKey::QueryParam(name) => written.query_param = Some(name),
            StickyKey::SourceAddress => written.source_address = Some(true),
        }
        written
    }
}

/// Who keeps the lane routes of a VirtualService.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Lanes {
    /// Serin's plugin: it adds them when a policy needs them, and removes them after.
    #[default]
    Managed,
    /// The user, in the manifest: the plugin never adds or removes one.
    Declared,
}

/// Nothing: no request depends on it, so it makes no other [`generation`](crate::generation).
impl Hash for Lanes {
    fn hash<H: Hasher>(&self, _: &mut H) {}
}

/// One managed route of a Rollout: the requests that it takes, and their lane.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// The managed route's name.
    pub name: String,
    /// Where the requests go.
    pub lane: Lane,
    /// Of the requests that match, the share in percent (0 to 100) that takes the lane; the rest
    /// follows the weights and is not offered to later rules, as a request outside of an Argo mirror
    /// route's `percentage` stays on that route. `None`: all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub percent: Option<u32>,
    /// What the share is drawn by: the same key is always drawn the same way. Without keys, and for a
    /// request that has none of them, chance draws. The rule's name is the salt.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<StickyKey>,
    /// The request has to satisfy one of these. None at all: the rule takes no request, since for
    /// Argo a route without a match list is a route removed (argo-rollouts v1.10.1
    /// `rollout/trafficrouting/istio/istio.go`, `reconcileVirtualServiceMirrorRoutes`).
    #[serde(default, rename = "match", skip_serializing_if = "Vec::is_empty")]
    pub matches: Vec<Match>,
}

/// Conditions that all have to hold. Without any, every request satisfies it, as an empty
/// `HTTPMatchRequest` does in Istio.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(
    deny_unknown_fields,
    rename_all = "camelCase",
    expecting = "a map of headers, method, path, queryParams and cookies"
)]
pub struct Match {
    /// By header name, in any case. Of several values of one header, one has to match.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, StringMatch>,
    /// The HTTP method; its case matters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<StringMatch>,
    /// The path, without query and fragment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<StringMatch>,
    /// By the name of a parameter in the query; names and values as they stand there, nothing decoded.
    /// Of several of one name the first counts (Envoy 1.40.0 `source/common/router/config_utility.cc`,
    /// `QueryParameterMatcher::matches`).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub query_params: BTreeMap<String, StringMatch>,
    /// By the name of a cookie. Of several of one name the first counts.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub cookies: BTreeMap<String, StringMatch>,
}

/// How one string is matched, written as in Argo and Istio, `{exact: "1"}`, with what Envoy has besides:
/// `{present: true}`, and `ignoreCase: true` beside `exact` and `prefix`.
///
/// Argo's empty `StringMatch` (none of the three set) means "present" to Istio; so does the regex `*` for
/// headers and the method (Istio 1.29.1 `pilot/pkg/networking/core/route/route.go`,
/// `canBeConvertedToPresentMatch`).
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "WrittenMatch", try_from = "WrittenMatch")]
pub enum StringMatch {
    /// There is a value, if an empty one.
    Present,
    /// The whole value, byte for byte.
    Exact(String),
    /// How the value begins.
    Prefix(String),
    /// As [`Self::Exact`], with ASCII letters alike in either case.
    ExactIgnoreCase(String),
    /// As [`Self::Prefix`], with ASCII letters alike in either case.
    PrefixIgnoreCase(String),
    /// An RE2 pattern for the whole value. For headers and the method a lone `*` means "present".
    /// Does not match a value on which the search could take too long (about 4 million characters of
    /// the pattern, repetitions written out, times bytes of the value).
    Regex(String),
}

/// As read and written.
#[derive(Default, Serialize, Deserialize)]
#[serde(
    deny_unknown_fields,
    rename_all = "camelCase",
    expecting = "a map of exact, prefix, regex or present"
)]
struct WrittenMatch {
    #[serde(skip_serializing_if = "Option::is_none")]
    exact: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    prefix: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    regex: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    present: Option<bool>,
    #[serde(default, skip_serializing_if = "is_default")]
    ignore_case: bool,
}

/// What is wrong with how a match is written.
#[derive(Debug, thiserror::Error)]
enum NoMatch {
    #[error("found {0} of `exact`, `prefix`, `regex` and `present: true`, expected one")]
    NotOne(usize),
    #[error("found `ignoreCase` without `exact` or `prefix`; a regex says it as `(?i)`")]
    NothingToIgnore,
}

impl TryFrom<WrittenMatch> for StringMatch {
    type Error = NoMatch;

    fn try_from(written: WrittenMatch) -> Result<Self, NoMatch> {
        let any_case = written.ignore_case;
        let present = written.present == Some(true);
        match (written.exact, written.prefix, written.regex, present) {
            (Some(value), None, None, false) if any_case => Ok(Self::ExactIgnoreCase(value)),
            (Some(value), None, None, false) => Ok(Self::Exact(value)),
            (None, Some(value), None, false) if any_case => Ok(Self::PrefixIgnoreCase(value)),
            (None, Some(value), None, false) => Ok(Self::Prefix(value)),
            (None, None, Some(_), false) | (None, None, None, true) if any_case => {
                Err(NoMatch::NothingToIgnore)
            }
            (None, None, Some(value), false) => Ok(Self::Regex(value)),
            (None, None, None, true) => Ok(Self::Present),
            (exact, prefix, regex, present) => {
                let values = [exact, prefix, regex].iter().flatten().count();
                Err(NoMatch::NotOne(values + usize::from(present)))
            }
        }
    }
}

impl From<StringMatch> for WrittenMatch {
    fn from(text: StringMatch) -> Self {
        let mut written = Self {
            ignore_case: matches!(
                text,
                StringMatch::ExactIgnoreCase(_) | StringMatch::PrefixIgnoreCase(_)
            ),
            ..Self::default()
        };
        match text {
            StringMatch::Present => written.present = Some(true),
            StringMatch::Exact(value) | StringMatch::ExactIgnoreCase(value) => {
                written.exact = Some(value);
            }
            StringMatch::Prefix(value) | StringMatch::PrefixIgnoreCase(value) => {
                written.prefix = Some(value);
            }
            StringMatch::Regex(value) => written.regex = Some(value),
        }
        written
    }
}

const fn hundred() -> u32 {
    100
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde's signature
const fn is_hundred(value: &u32) -> bool {
    *value == 100
}

fn root() -> String {
    "/".to_owned()
}

fn is_root(path: &String) -> bool {
    path == "/"
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

#[cfg(test)]
mod tests;
