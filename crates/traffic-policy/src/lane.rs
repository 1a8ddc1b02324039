//! Lanes, and the request header by which a lane is carried from the filter to Envoy's route table.
//! The filter writes the header, the plugin's lane routes match it: both take its name from here.

use std::fmt;

use serde::{Deserialize, Serialize};

/// How the name of every lane header begins. Lower case, as Envoy keeps header names.
pub const LANE_HEADER_PREFIX: &str = "x-rollout-lane.";

/// The one header that applications forward, so that a lane decided at the edge holds further in:
/// `<namespace>.<name>=<lane>`, separated by commas.
pub const LANES_HEADER: &str = "x-rollout-lanes";

/// The version a request has been assigned to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Lane {
    /// The new version.
    Canary,
    /// The old version.
    Stable,
    /// By the weights, with a copy to the new version.
    Mirror,
    /// The old version, with a copy to the new one.
    StableMirror,
}

impl Lane {
    /// Every lane there is.
    pub const ALL: [Self; 4] = [Self::Canary, Self::Stable, Self::Mirror, Self::StableMirror];

    /// The value of the lane header, and the word in the policy.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Canary => "canary",
            Self::Stable => "stable",
            Self::Mirror => "mirror",
            Self::StableMirror => "stable-mirror",
        }
    }

    /// The lane of that word.
    pub fn named(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|lane| lane.as_str() == word)
    }
}

impl fmt::Display for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The name of the request header that carries the lane for one Rollout:
/// `x-rollout-lane.<namespace>.<name>`.
///
/// Kubernetes names are lower case, so the result is a header name as Envoy keeps it. A namespace has
/// no dot, so two Rollouts never share a header.
pub fn lane_header(namespace: &str, name: &str) -> String {
    format!("{LANE_HEADER_PREFIX}{namespace}.{name}")
}

/// What stands for `lane` in the headers that carry it, and what its lane routes match: `canary`, or
/// `canary.<secret>` where the policy has a secret.
pub fn lane_value(lane: Lane, secret: Option<&str>) -> String {
    header_value(lane.as_str(), secret)
}

/// The same for any word.
pub(crate) fn header_value(word: &str, secret: Option<&str>) -> String {
    match secret {
        Some(secret) => [word, ".", secret].concat(),
        None => word.to_owned(),
    }
}

/// What an entry in [`LANES_HEADER`] says of one Rollout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Carried {
    /// The lane that was decided.
    Lane(Lane),
    /// It was decided that the weights decide: the word `weights` in the lane's place.
    Weights,
}

/// The word for [`Carried::Weights`].
pub(crate) const WEIGHTS: &str = "weights";

/// How the name of every lane route begins, whichever Rollout's it is.
pub const LANE_ROUTE_PREFIX: &str = "serin-";

/// How the name of every lane route of one Rollout begins, up to and with the dot before the lane:
/// `serin-<namespace>.<name>.`.
pub fn lane_route_prefix(namespace: &str, name: &str) -> String {
    format!("{LANE_ROUTE_PREFIX}{namespace}.{name}.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_names_the_rollout() {
        assert_eq!(
            lane_header("shop", "reviews.v2"),
            "x-rollout-lane.shop.reviews.v2"
        );
    }

    #[test]
    fn a_secret_stands_behind_the_lane() {
        assert_eq!(lane_value(Lane::StableMirror, None), "stable-mirror");
        assert_eq!(lane_value(Lane::Canary, Some("s3.x")), "canary.s3.x");
    }

    #[test]
    fn the_policy_and_the_header_use_the_same_words() {
        for lane in Lane::ALL {
            let word = serde_json::to_value(lane).unwrap();
            assert_eq!(word, lane.as_str());
            assert_eq!(Lane::named(lane.as_str()), Some(lane));
        }
    }
}
