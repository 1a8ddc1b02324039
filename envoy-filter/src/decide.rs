//! One request: what its headers say, what the policies of its host decide, and what is written.

use traffic_policy::{
    Candidate, Carried, Decision, HostSpace, LANE_HEADER_PREFIX, LANES_HEADER, Lane, Request,
};

use crate::cookies;
use crate::header_map::HeaderMap;
use crate::host::Host;
use crate::lanes::{self, Held};
use crate::metrics::{By, Key, Metrics};
use crate::plugins::Plugin;
use crate::random::Random;
use crate::route::{AskedRoute, RouteSpace};
use crate::surroundings::Known;

/// Kept with a request whose lane headers are from this filter and not from outside. A client can't
/// set it, which tells several WasmPlugins in one edge's chain what to believe.
const OWN_LANES: &str = "serin.own_lanes";

// `COOKIES` in what follows: new cookies can be issued.

/// Buffers that requests use again and again, so that none allocates once they have grown.
#[derive(Debug, Default)]
pub(crate) struct Space {
    hosts: HostSpace,
    pub(crate) plugin_name: Vec<u8>,
    mark: Vec<u8>,
    /// Lane headers of the request are believed.
    believed: bool,
    /// Names of lane headers that came with the request, each with a NUL behind it.
    lane_headers: Vec<u8>,
    /// The list in [`LANES_HEADER`]; empty if there is none.
    list: Vec<u8>,
    known: Known,
    /// The client speaks https. Only known where a cookie is to be set.
    https: bool,
    hits: Vec<Hit>,
    route: RouteSpace,
}

/// A policy, by its number, that changes something about the request.
#[derive(Debug, Clone, Copy)]
struct Hit {
    policy: u32,
    outcome: Outcome,
    at_host: bool,
    at_entry: bool,
    /// What the request's lane header says, at a host.
    header: Held,
    /// What the entry in the list says.
    entry: Held,
    /// The decision is by a cookie that the response has to set.
    issued: bool,
}

/// What becomes of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// Nothing that anybody would have to be told.
    Nothing,
    /// No lane, which those who come after are told.
    Weights,
    Lane(Lane, By),
}

impl Outcome {
    /// Of what a policy says.
    fn of(decision: Option<Decision>, at_entry: bool) -> Self {
        match decision {
            Some(Decision {
                lane: Some(lane),
                rule,
            }) => Self::Lane(lane, rule.map_or(By::Sticky, By::Rule)),
            Some(Decision { lane: None, .. }) if at_entry => Self::Weights,
            Some(_) | None => Self::Nothing,
        }
    }

    /// What to carry ahead, if anything.
    fn news(self, lane_goes_ahead: bool) -> Option<Carried> {
        match self {
            Self::Weights => Some(Carried::Weights),
            Self::Lane(lane, by) if lane_goes_ahead && by != By::Carried => {
                Some(Carried::Lane(lane))
            }
            Self::Nothing | Self::Lane(..) => None,
        }
    }
}

/// What a look at the headers has led to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Look {
    Decided,
    /// There are lane headers that are not believed; nothing has been decided.
    FromOutside,
    /// Something else would have to be known: decided as if it couldn't be, unless it is asked for and looked again.
    Wants,
}

impl Space {
    /// Another request. `edge`: lane headers come from outside.
    pub(crate) fn begin<const COOKIES: bool>(&mut self, edge: bool) {
        self.believed = !edge;
        self.known.begin(edge, edge && COOKIES);
    }

    /// Reads the headers and asks the policies of their host. A lane that is believed stands, and its policy is not asked.
    pub(crate) fn look<const COOKIES: bool>(
        &mut self,
        plugin: &Plugin,
        random: &mut Random,
        host: &mut impl Host,
    ) -> Look {
        self.hits.clear();
        self.lane_headers.clear();
        self.list.clear();
        let Some(headers) = host.request_headers().and_then(HeaderMap::parse) else {
            return Look::Decided;
        };
        let (lane_headers, list) = (&mut self.lane_headers, &mut self.list);
        let request = Request::read(&headers, |name, value| {
            if name.starts_with(LANE_HEADER_PREFIX.as_bytes()) {
                lane_headers.extend_from_slice(name);
                lane_headers.push(0);
            } else if name == LANES_HEADER.as_bytes() {
                // With a comma behind it: there may be several, and an empty one is there too.
                list.extend_from_slice(value);
                list.push(b',');
            }
        });
        let has_lanes = !lane_headers.is_empty() || !list.is_empty();
        if has_lanes && !self.believed {
            return Look::FromOutside;
        }
        let mut issued = false;
        for candidate in plugin
            .policies
            .candidates(request.authority(), &mut self.hosts)
        {
            let (header, entry) = held(candidate, headers, lane_headers, list);
            let mut given = self.known.given(random);
            let outcome = match (header, entry) {
                (Held::Right(_), _) => continue,
                (_, Held::Right(_)) if !candidate.at_host => continue,
                (_, Held::Right(Carried::Weights)) => Outcome::Nothing,
                (_, Held::Right(Carried::Lane(lane))) => Outcome::Lane(lane, By::Carried),
                _ => {
                    let decision = candidate.policy.decide(&request, &mut given);
                    Outcome::of(decision, candidate.at_entry)
                }
            };
            let by_new_cookie = COOKIES && given.issued;
            issued |= by_new_cookie;
            let hit = Hit {
                policy: candidate.number,
                outcome,
                at_host: candidate.at_host,
                at_entry: candidate.at_entry,
                header,
                entry,
                issued: by_new_cookie,
            };
            let changes = outcome != Outcome::Nothing || hit.issued;
            if changes || [header, entry].contains(&Held::Wrong) {
                self.hits.push(hit);
            }
        }
        self.https = issued && cookies::https(&headers);
        if self.known.wants() {
            Look::Wants
        } else {
            Look::Decided
        }
    }

    /// Removes lane headers that are from outside; any that are left are believed from now on.
    pub(crate) fn believe(&mut self, host: &mut impl Host) {
        if !host.property(OWN_LANES, &mut self.mark) {
            for name in self.lane_headers.split(|byte| *byte == 0) {
                if !name.is_empty() {
                    host.remove_request_header(name);
                }
            }
            if !self.list.is_empty() {
                host.remove_request_header(LANES_HEADER.as_bytes());
            }
        }
        self.believed = true;
    }

    /// Asks the proxy for what the last look wanted.
    pub(crate) fn get<const COOKIES: bool>(&mut self, host: &mut impl Host) {
        self.known.get::<COOKIES>(host);
    }

    /// Writes what was decided: lane headers, each if the route that Envoy has chosen is one that its Rollout manages, and
    /// the list. `set` is given the name and text of each cookie that the response has to set.
    ///
    /// At an edge the route may have been chosen by a forged lane header, whether this filter has
    /// removed it or one before it in the chain; so it is the edge that counts, not what was removed.
    pub(crate) fn write<const COOKIES: bool>(
        &mut self,
        plugin: &Plugin,
        host: &mut impl Host,
        metrics: &mut Metrics,
        mut set: impl FnMut(&str, String),
    ) {
        if self.hits.is_empty() {
            return;
        }
        let had_list = !self.list.is_empty();
        let (mut wrote, mut list_changed) = (false, false);
        let mut route = AskedRoute::new(host, plugin.edge, &mut self.route);
        for hit in &self.hits {
            let Some(policy) = plugin.policies.get(hit.policy) else {
                continue;
            };
            let here = hit.at_host
                && (matches!(hit.outcome, Outcome::Lane(..)) || hit.issued)
                && policy.may_set_lane_on(&mut route);
            let host = route.host();
            let mut stands = false;
            if let (Outcome::Lane(lane, by), true) = (hit.outcome, here) {
                let key = Key {
                    root: plugin.root,
                    policy: hit.policy,
                    by,
                    lane,
                };
                let value = policy.lane_value(lane).as_bytes();
                if host.set_request_header(policy.lane_header(), value) {
                    (stands, wrote) = (true, true);
                    metrics.count(key, policy);
                }
            }
            if hit.header == Held::Wrong && !stands {
                host.remove_request_header(policy.lane_header().as_bytes());
            }
            let ahead = (stands && policy.carries_lanes()) || hit.at_entry;
            let news = hit.outcome.news(ahead);
            if news.is_some() || hit.entry == Held::Wrong {
                let value = news.map(|news| policy.carried_value(news));
                lanes::put(&mut self.list, policy.carried_name(), value);
                list_changed = true;
            }
            if COOKIES
                && hit.issued
                && (here || hit.at_entry)
                && let Some((name, issue)) = policy.issue()
            {
                let cookie = cookies::set_cookie(name, self.known.new_id(), issue, self.https);
                set(name, cookie);
            }
        }
        if list_changed {
            if self.list.is_empty() {
                if had_list {
                    host.remove_request_header(LANES_HEADER.as_bytes());
                }
            } else {
                wrote |= host.set_request_header(LANES_HEADER, &self.list);
            }
        }
        if wrote && plugin.edge {
            host.set_property(OWN_LANES, b"1");
        }
    }
}

/// What the request says of the lane of one policy.
fn held(
    candidate: Candidate<'_>,
    headers: HeaderMap<'_>,
    lane_headers: &[u8],
    list: &[u8],
) -> (Held, Held) {
    let policy = candidate.policy;
    // At an entry host a lane header leads nowhere.
    let header = if lane_headers.is_empty() || !candidate.at_host {
        Held::Nothing
    } else {
        let name = policy.lane_header().as_bytes();
        let pairs = headers.pairs().filter(|(other, _)| *other == name);
        let lane = |value| policy.lane_of(value).map(Carried::Lane);
        Held::of(pairs.map(|(_, value)| value), lane)
    };
    // Whether the list is looked at must not depend on which headers a request happens to have beside it.
    let entry = if list.is_empty() || !policy.carries_lanes() {
        Held::Nothing
    } else {
        let values = lanes::values(list, policy.carried_name());
        Held::of(values, |value| policy.carried(value))
    };
    (header, entry)
}
