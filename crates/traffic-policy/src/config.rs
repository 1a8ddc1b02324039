//! What is written: the types of a `WasmPlugin`'s `spec.pluginConfig`, exactly as a person reads them
//! in `kubectl get wasmplugin -o yaml`. Nothing is checked here beyond the shape; compiling
//! turns a [`Policy`] into what requests are matched against, and says what is wrong with it.
//!
//! Unknown fields are refused, so that a misspelt one is an error and never silently without effect.
//! What is at its default is left out when written, and maps are ordered, so that the same policy
//! is always the same bytes.

use std::collections::BTreeMap;

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
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
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

/// One managed route of a Rollout: the requests that it takes, and their lane.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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
    /// The request has to satisfy one of these. None at all: the rule takes no request, since for
    /// Argo a route without a match list is a route removed (argo-rollouts v1.10.1
    /// `rollout/trafficrouting/istio/istio.go`, `reconcileVirtualServiceMirrorRoutes`).
    #[serde(default, rename = "match", skip_serializing_if = "Vec::is_empty")]
    pub matches: Vec<Match>,
}

/// Conditions that all have to hold. Without any, every request satisfies it, as an empty
/// `HTTPMatchRequest` does in Istio.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Match {
    /// By header name, in any case. Of several values of one header, one has to match.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, StringMatch>,
    /// The HTTP method; its case matters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<StringMatch>,
    /// The path, without query and fragment; its case matters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<StringMatch>,
}

/// How one string is matched, written as in Argo and Istio: `{exact: "1"}`.
///
/// Argo's empty `StringMatch` (none of the three set) means "present" to Istio and has no form of its
/// own here: write it as the regex `*`, which means the same for headers and the method (Istio 1.29.1
/// `pilot/pkg/networking/core/route/route.go`, `canBeConvertedToPresentMatch`), and leave it out for
/// the path, which every request has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", try_from = "WrittenMatch")]
pub enum StringMatch {
    /// The whole value, byte for byte.
    Exact(String),
    /// How the value begins.
    Prefix(String),
    /// An RE2 pattern for the whole value. For headers and the method a lone `*` means "present".
    /// Does not match a value on which the search could take too long (about 4 million characters of
    /// the pattern, repetitions written out, times bytes of the value).
    Regex(String),
}

/// As read: serde's own form of an enum has no words for none or two of the three.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenMatch {
    exact: Option<String>,
    prefix: Option<String>,
    regex: Option<String>,
}

/// None of `exact`, `prefix` and `regex`, or more than one.
#[derive(Debug, thiserror::Error)]
#[error("found {found} of `exact`, `prefix` and `regex`, expected one")]
struct NotOne {
    found: usize,
}

impl TryFrom<WrittenMatch> for StringMatch {
    type Error = NotOne;

    fn try_from(written: WrittenMatch) -> Result<Self, NotOne> {
        match (written.exact, written.prefix, written.regex) {
            (Some(value), None, None) => Ok(Self::Exact(value)),
            (None, Some(value), None) => Ok(Self::Prefix(value)),
            (None, None, Some(value)) => Ok(Self::Regex(value)),
            (exact, prefix, regex) => Err(NotOne {
                found: [exact, prefix, regex].iter().flatten().count(),
            }),
        }
    }
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

#[cfg(test)]
mod tests;
