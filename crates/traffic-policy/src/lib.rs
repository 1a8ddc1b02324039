//! Traffic policies: which lane a request takes. Pure: no I/O, no clock, no globals.
//!
//! Three stages: what is written ([`config`]) -> checked and compiled ([`compile`], [`PolicySet`]) ->
//! asked once per request ([`PolicySet::candidates`], [`CompiledPolicy::decide`]). Compiling can be
//! done in slices ([`Pace`]). The plugin, which writes policies, and the filter, which decides by them,
//! share this crate, so that they can't disagree.
//!
//! ```
//! use traffic_policy::{HostSpace, Lane, PolicySet, Request, compile, config::Policy};
//!
//! let policy: Policy = serde_json::from_str(
//!     r#"{"hosts": ["reviews.shop.svc.cluster.local"],
//!         "rules": [{"name": "beta", "lane": "canary", "match": [{"headers": {"x-beta": {"exact": "1"}}}]}]}"#,
//! )?;
//! let policies = PolicySet::new(vec![compile("shop/reviews", &policy)?], Some("shop.svc.cluster.local"));
//!
//! let headers = [(":authority", "reviews:9080"), ("x-beta", "1")];
//! let request = Request::read(&headers[..], |_, _| {});
//! for candidate in policies.candidates(request.authority(), &mut HostSpace::default()) {
//!     let policy = candidate.policy;
//!     let decision = policy.decide(&request, &mut || 0);
//!     assert_eq!(decision.and_then(|decision| decision.lane), Some(Lane::Canary));
//!     assert_eq!(policy.lane_header(), "x-rollout-lane.shop.reviews");
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod config;
mod error;
mod fnv;
mod generation;
mod host;
mod key;
mod lane;
mod matcher;
mod names;
mod needed;
mod pace;
mod place;
mod policy;
mod request;
mod set;
mod sticky;

pub use error::{Fault, PolicyError};
pub use generation::generation;
pub use key::Surroundings;
pub use lane::{
    Carried, LANE_HEADER_PREFIX, LANE_ROUTE_PREFIX, LANES_HEADER, Lane, lane_header,
    lane_route_prefix, lane_value,
};
pub use matcher::{MAX_ENTRIES, MAX_PATTERN_BYTES, MAX_POSITIONS, text_matches};
pub use pace::{Pace, slice};
pub use place::ChosenRoute;
pub use policy::{CompiledPolicy, Decision, MAX_RULES, compile, compile_in_slices};
pub use request::{Headers, Request};
pub use set::{Candidate, HostSpace, PolicySet};
