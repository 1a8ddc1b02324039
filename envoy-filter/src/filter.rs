//! The filter of one VM: the plugins that are configured in it, and one request after the other.

use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;

use traffic_policy::{Pace, slice};

use crate::configure::{Configured, configure};
use crate::cookies::Waiting;
use crate::decide::{Look, Space};
use crate::glance::Glance;
use crate::host::{Counter, Host, Metric};
use crate::metrics::{Metrics, TICK_MILLISECONDS};
use crate::plugins::{Plugin, Plugins};
use crate::random::Random;
use crate::report;
use crate::surroundings::Known;

/// Attributes, in Envoy's words.
const NODE_ID: &str = "xds\0node\0id";
/// The same in Envoys that have no `xds.node`; 1.40 in turn has no `node`.
const NODE_ID_BEFORE: &str = "node\0id";
const PLUGIN_NAME: &str = "plugin_name";

/// The longest configuration that is taken over at once though there are policies to go on with: what is below takes no
/// longer than a slice or two.
const AT_ONCE_BYTES: usize = 16 * 1024;
/// How much of a longer one is taken over before requests have their turn, in units of [`Pace`]: about a millisecond.
const SLICE_UNITS: usize = 75_000;
/// How often, in milliseconds. It comes later: Envoy's clock for timers goes in steps, of 4 ms with most kernels.
const SLICE_EVERY: u32 = 1;

/// All that lives as long as the VM.
///
/// Each plugin's filter decides with its own policies, so one that is gone, or not in this listener's
/// chain, has no say.
///
/// `COOKIES`: responses are seen too, so that cookies can be issued. A parameter, so that the module which sees none has no
/// code for it.
pub(crate) struct Filter<const COOKIES: bool> {
    plugins: Plugins,
    metrics: Metrics,
    random: Random,
    glance: Glance,
    space: Space,
    waiting: Waiting,
    pending: Vec<Pending>,
}

/// A configuration that is being taken over.
struct Pending {
    /// The context that it belongs to, whose timer goes on with it.
    root: u32,
    work: Work,
}

type Work = Pin<Box<dyn Future<Output = Configured>>>;

impl<const COOKIES: bool> Filter<COOKIES> {
    pub(crate) fn new() -> Self {
        Self {
            plugins: Plugins::default(),
            metrics: Metrics::default(),
            random: Random::default(),
            glance: Glance::default(),
            space: Space::default(),
            waiting: Waiting::default(),
            pending: Vec::new(),
        }
    }

    /// The VM starts.
    pub(crate) fn started(&mut self, host: &mut impl Host) {
        // From here on the counters are among the statistics, at zero.
        for counter in Counter::ALL {
            host.define(Metric::Counter, counter.name());
        }
        self.random.seed(host);
    }

    /// Takes over the configuration, of `size` bytes, of the plugin that is being configured in the
    /// context `root`. What can't be used is reported; in place of what can't be read, the last that
    /// could stays in force.
    ///
    /// Where policies are in force, a long one is taken over in slices ([`Self::tick`]), and they go on until it is ready. Where
    /// there are none it is done here: a proxy that begins serves no request without its policies. So is one that comes before
    /// the last is ready: where changes never pause, none would ever be.
    pub(crate) fn configure(&mut self, host: &mut impl Host, root: u32, size: usize) {
        let (mut name, mut node_id) = (Vec::new(), Vec::new());
        host.property(PLUGIN_NAME, &mut name);
        if !host.property(NODE_ID, &mut node_id) {
            host.property(NODE_ID_BEFORE, &mut node_id);
        }
        let json = host.plugin_configuration(size).unwrap_or_default().to_vec();
        let before = self.plugins.named(&name);
        let can_wait = before.is_some_and(|before| {
            let mut pending = self.pending.iter();
            !before.policies.is_empty() && pending.all(|pending| pending.root != before.root)
        });
        let before = before.map(|plugin| Rc::clone(&plugin.policies));
        let pace = if can_wait && json.len() > AT_ONCE_BYTES {
            Pace::slices_of(SLICE_UNITS)
        } else {
            Pace::at_once()
        };
        let mut work: Work = Box::pin(configure(json, node_id, before, COOKIES, pace));
        self.plugins.begin(root, name);
        self.alone(host, root);
        if let Poll::Ready(configured) = slice(work.as_mut()) {
            self.ready(host, root, configured);
            if self.has_to_tell() {
                host.tick_every(TICK_MILLISECONDS);
            }
        } else {
            self.pending.push(Pending { root, work });
            host.tick_every(SLICE_EVERY);
        }
    }

    /// The timer of the context `root`: its configuration is taken over by one slice more, or there is none to be taken over,
    /// and the proxy is told what was counted, and which policies are in force.
    pub(crate) fn tick(&mut self, host: &mut impl Host, root: u32) {
        let mut all = self.pending.iter();
        let Some(at) = all.position(|pending| pending.root == root) else {
            self.metrics.flush(host);
            self.alone(host, root);
            self.metrics.announce(host, &self.plugins);
            return;
        };
        let mut pending = self.pending.swap_remove(at);
        let Poll::Ready(configured) = slice(pending.work.as_mut()) else {
            self.pending.push(pending);
            return;
        };
        self.metrics.forget(host, root);
        self.ready(host, root, configured);
        let told = self.has_to_tell();
        host.tick_every(if told { TICK_MILLISECONDS } else { 0 });
    }

    /// The configuration of the context `root` is what requests are decided by from now on, if it is the one in force.
    fn ready(&mut self, host: &mut impl Host, root: u32, configured: Configured) {
        let Configured {
            edge,
            policies,
            faults,
        } = configured;
        let name = self.plugins.configured(root, edge, policies);
        report::faults(host, name, &faults);
        self.metrics.changed();
    }

    /// Without a policy there is nothing to tell, unless something has to be taken back.
    fn has_to_tell(&self) -> bool {
        let mut plugins = self.plugins.in_force();
        plugins.any(|plugin| !plugin.policies.is_empty()) || self.metrics.has_announced()
    }

    /// A request begins, under the configuration of the context `root`.
    pub(crate) fn begun(&mut self, host: &mut impl Host, root: u32) {
        if self.plugins.begun(root) {
            self.metrics.changed();
            // It may have had no timer, and that of the other one ends.
            let is_pending = self.pending.iter().any(|pending| pending.root == root);
            host.tick_every(if is_pending {
                SLICE_EVERY
            } else {
                TICK_MILLISECONDS
            });
        }
    }

    /// Leaves one timer to the plugin whose configuration in the context `root` is in force, and forgets what is gone. That
    /// is asked for now and then, since to be told would cost a callback for each request.
    fn alone(&mut self, host: &mut impl Host, root: u32) {
        let Some(name) = self.plugins.name_in_force(root) else {
            return;
        };
        let mut gone = Vec::new();
        for (other, same_plugin) in self.plugins.others(root, name) {
            if !host.act_as(other) {
                gone.push(other);
            } else if same_plugin {
                host.tick_every(0);
            }
        }
        host.act_as(root);
        for other in gone {
            self.plugins.deleted(other);
            self.pending.retain(|pending| pending.root != other);
            self.metrics.forget(host, other);
            self.metrics.changed();
        }
    }

    /// The request's context is gone.
    // The module without cookies has no entry point for that.
    #[cfg_attr(not(feature = "cookies"), allow(dead_code))]
    pub(crate) fn deleted(&mut self, context: u32) {
        self.waiting.take(context);
    }

    /// Decides about the request of `context` and writes its lanes. Leaves it as it is where anything is missing.
    pub(crate) fn request(&mut self, host: &mut impl Host, context: u32) {
        let Self {
            plugins,
            metrics,
            random,
            glance,
            space,
            waiting,
            pending: _,
        } = self;
        let Some(plugin) = current(plugins, &mut space.plugin_name, host) else {
            return;
        };
        // At an edge lane headers are removed, whatever the policies say.
        if !plugin.edge && glance.sees_nothing(&plugin.policies, host) {
            return;
        }
        space.begin::<COOKIES>(plugin.edge);
        let mut look = space.look::<COOKIES>(plugin, random, host);
        if look == Look::FromOutside {
            space.believe(host);
            look = space.look::<COOKIES>(plugin, random, host);
        }
        // What is known leads to another question once at most for each that there is.
        for _ in 0..Known::QUESTIONS {
            if look != Look::Wants {
                break;
            }
            space.get::<COOKIES>(host);
            look = space.look::<COOKIES>(plugin, random, host);
        }
        space.write::<COOKIES>(plugin, host, metrics, |name, cookie| {
            waiting.add(context, name, cookie);
        });
    }

    /// Has the response of `context` set the cookies that its request was decided by.
    // The module without cookies has no entry point for responses.
    #[cfg_attr(not(feature = "cookies"), allow(dead_code))]
    pub(crate) fn response(&mut self, host: &mut impl Host, context: u32) {
        for cookie in self.waiting.take(context) {
            host.add_response_header("set-cookie", &cookie);
        }
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

#[cfg(test)]
mod tests;
