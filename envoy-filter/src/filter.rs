//! The filter of one VM: the plugins that are configured in it, and one request after the other.

use traffic_policy::{ChosenRoute, HostSpace, LANE_HEADER_PREFIX, Lane, Request};

use crate::configure::{Proxy, configure};
use crate::header_map::HeaderMap;
use crate::host::Host;
use crate::plugins::{Plugin, Plugins};
use crate::random::Random;
use crate::report;

/// Attributes, in Envoy's words.
const NODE_ID: &str = "xds\0node\0id";
/// The same in Envoys that have no `xds.node`; 1.40 in turn has no `node`.
const NODE_ID_BEFORE: &str = "node\0id";
const PLUGIN_NAME: &str = "plugin_name";
const ROUTE_NAME: &str = "xds\0route_name";
/// Istio's name for the VirtualService that a route is from.
const ROUTE_CONFIG: &str = "xds\0route_metadata\0filter_metadata\0istio\0config";
/// Kept with a request whose lane headers are from this filter and not from outside. A client can't
/// set it, which tells several WasmPlugins in one edge's chain what to believe.
const OWN_LANES: &str = "serin.own_lanes";

/// All that lives as long as the VM.
///
/// Each plugin's filter decides with its own policies, so one that is gone, or not in this listener's
/// chain, has no say.
pub(crate) struct Filter {
    plugins: Plugins,
    random: Random,
    space: Space,
}

/// Buffers that requests use again and again, so that none allocates once they have grown.
#[derive(Default)]
struct Space {
    hosts: HostSpace,
    plugin_name: Vec<u8>,
    route_name: Vec<u8>,
    route_config: Vec<u8>,
    mark: Vec<u8>,
    /// Names of lane headers that came with the request, each with a NUL behind it.
    lane_headers: Vec<u8>,
    hits: Vec<Hit>,
}

/// A policy, by its number, and what it decided.
#[derive(Clone, Copy)]
struct Hit {
    policy: u32,
    lane: Lane,
}

impl Filter {
    pub(crate) fn new() -> Self {
        Self {
            plugins: Plugins::default(),
            random: Random::seeded(),
            space: Space::default(),
        }
    }

    /// Takes over the configuration, of `size` bytes, of the plugin that is being configured in the
    /// context `root`. What can't be used is reported; in place of what can't be read, the last that
    /// could stays in force.
    pub(crate) fn configure(&mut self, host: &mut impl Host, root: u32, size: usize) {
        let (mut name, mut node_id) = (Vec::new(), Vec::new());
        host.property(PLUGIN_NAME, &mut name);
        if !host.property(NODE_ID, &mut node_id) {
            host.property(NODE_ID_BEFORE, &mut node_id);
        }
        let proxy = Proxy::from_node_id(&node_id);
        let json = host.plugin_configuration(size).unwrap_or_default();
        let configured = configure(json, proxy);
        report::faults(host, &name, &configured);
        self.plugins.configured(root, name, configured);
    }

    /// A request begins, under the configuration of the context `root`.
    pub(crate) fn begun(&mut self, root: u32) {
        self.plugins.begun(root);
    }

    /// A context is gone.
    pub(crate) fn deleted(&mut self, context: u32) {
        self.plugins.deleted(context);
    }

    /// Decides about one request and writes its lanes. Leaves it as it is where anything is missing.
    pub(crate) fn request(&mut self, host: &mut impl Host) {
        let Self {
            plugins,
            random,
            space,
        } = self;
        let Some(plugin) = current(plugins, &mut space.plugin_name, host) else {
            return;
        };
        if plugin.policies.is_empty() && !plugin.edge {
            return;
        }
        if space.decide(plugin, random, host, !plugin.edge) == Outcome::LanesFromOutside {
            if !host.property(OWN_LANES, &mut space.mark) {
                for name in space.lane_headers.split(|byte| *byte == 0) {
                    if !name.is_empty() {
                        host.remove_request_header(name);
                    }
                }
            }
            // Any that are left are believed.
            space.decide(plugin, random, host, true);
        }
        space.write(plugin, host);
    }
}

/// The plugin whose filter is called. There is one in nearly every VM, and then nobody is asked.
fn current<'p>(
    plugins: &'p Plugins,
    name: &mut Vec<u8>,
    host: &mut impl Host,
) -> Option<&'p Plugin> {
    plugins.only().or_else(|| {
        host.property(PLUGIN_NAME, name);
        plugins.named(name)
    })
}

/// Whether a look at the headers has led to decisions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Decided,
    /// There are lane headers that are not believed; nothing has been decided.
    LanesFromOutside,
}

impl Space {
    /// Reads the headers and asks the policies of their host; `hits` is what they decided. A lane
    /// header that is believed stands, and its policy is not asked.
    fn decide(
        &mut self,
        plugin: &Plugin,
        random: &mut Random,
        host: &mut impl Host,
        believed: bool,
    ) -> Outcome {
        self.hits.clear();
        self.lane_headers.clear();
        let Some(headers) = host.request_headers().and_then(HeaderMap::parse) else {
            return Outcome::Decided;
        };
        let lane_headers = &mut self.lane_headers;
        let request = Request::read(&headers, |name, _| {
            if name.starts_with(LANE_HEADER_PREFIX.as_bytes()) {
                lane_headers.extend_from_slice(name);
                lane_headers.push(0);
            }
        });
        if !believed && !self.lane_headers.is_empty() {
            return Outcome::LanesFromOutside;
        }
        for candidate in plugin
            .policies
            .candidates(request.authority(), &mut self.hosts)
            .filter(|candidate| candidate.at_host)
        {
            let asked = candidate.policy;
            let stands = self
                .lane_headers
                .split(|byte| *byte == 0)
                .any(|name| name == asked.lane_header().as_bytes());
            if stands {
                continue;
            }
            if let Some(decision) = asked.decide(&request, &mut || random.next()) {
                self.hits.push(Hit {
                    policy: candidate.number,
                    lane: decision.lane,
                });
            }
        }
        Outcome::Decided
    }

    /// Writes the lanes of `hits`, each if the route that Envoy has chosen is one that its Rollout
    /// manages.
    ///
    /// At an edge the route may have been chosen by a forged lane header, whether this filter has
    /// removed it or one before it in the chain; so it is the edge that counts, not what was removed.
    fn write(&mut self, plugin: &Plugin, host: &mut impl Host) {
        let mut route = AskedRoute {
            host,
            may_be_forged: plugin.edge,
            config: &mut self.route_config,
            name: &mut self.route_name,
            has_config: false,
            has_name: false,
        };
        let mut written = false;
        for hit in &self.hits {
            let Some(policy) = plugin.policies.get(hit.policy) else {
                continue;
            };
            if policy.may_set_lane_on(&mut route) {
                written |= route
                    .host
                    .set_request_header(policy.lane_header(), policy.lane_value(hit.lane));
            }
        }
        if written && plugin.edge {
            host.set_property(OWN_LANES, b"1");
        }
    }
}

/// The request's route, asked for when it is wanted and once.
struct AskedRoute<'a, H> {
    host: &'a mut H,
    may_be_forged: bool,
    config: &'a mut Vec<u8>,
    name: &'a mut Vec<u8>,
    has_config: bool,
    has_name: bool,
}

impl<H: Host> ChosenRoute for AskedRoute<'_, H> {
    fn config(&mut self) -> &[u8] {
        if !self.has_config {
            self.has_config = true;
            self.host.property(ROUTE_CONFIG, self.config);
        }
        self.config
    }

    fn name(&mut self) -> &[u8] {
        if !self.has_name {
            self.has_name = true;
            self.host.property(ROUTE_NAME, self.name);
        }
        self.name
    }

    fn may_be_forged(&self) -> bool {
        self.may_be_forged
    }
}

#[cfg(test)]
mod tests;
