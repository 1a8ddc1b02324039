//! A Rollout's configuration, checked and resolved: which objects it routes through, and what its two sides are.

use std::collections::BTreeMap;
use std::fmt;

use argo_rollouts::{CanaryStrategy, Rollout, TrafficRouting};
use serde_json::Value;
use serde_path_to_error::{Path, Segment};
use traffic_policy::config::Lanes;

use crate::config::{
    Config, PLUGIN_NAME, Protocol, RouteConfig, StickyConfig, TcpRouteConfig, TlsRouteConfig,
};
use crate::core::error::{CoreError, Fault};
use crate::core::filter::FilterRef;
use crate::object::ObjectId;

use objects::{destination_rule, filters, virtual_services};

mod objects;

/// Where the plugin's configuration stands in a Rollout; errors name fields below it.
pub const CONFIG_FIELD: &str = "spec.strategy.canary.trafficRouting.plugins[\"serin/istio\"]";

/// Istio's default domain; hosts of Services are full names in it.
pub(crate) const CLUSTER_DOMAIN: &str = "cluster.local";

/// The full name of a Service.
pub(crate) fn full_name(service: &str, namespace: &str) -> String {
    format!("{service}.{namespace}.svc.{CLUSTER_DOMAIN}")
}

/// Namespace and name of a Rollout; written `namespace/name`, as its policy's key is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RolloutKey {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl RolloutKey {
    /// That Rollout's.
    pub fn of(rollout: &Rollout) -> Self {
        Self {
            namespace: rollout.metadata.namespace.clone(),
            name: rollout.metadata.name.clone(),
        }
    }

    /// Reads `namespace/name`.
    pub fn parse(written: &str) -> Option<Self> {
        let (namespace, name) = written.split_once('/')?;
        Some(Self {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        })
    }
}

impl fmt::Display for RolloutKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// One VirtualService that the Rollout manages routes of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VirtualServiceRef {
    /// Which one.
    pub id: ObjectId,
    /// The managed HTTP routes' names; empty means the only one.
    pub routes: Vec<String>,
    /// What the managed TLS routes match; empty means the only one.
    pub tls_routes: Vec<TlsRouteConfig>,
    /// What the managed TCP routes match; empty means the only one.
    pub tcp_routes: Vec<TcpRouteConfig>,
    /// The lists in which routes are managed; at least one.
    pub protocols: Vec<Protocol>,
    /// The Rollout's field that names it.
    pub field: String,
}

impl VirtualServiceRef {
    /// True if routes of that list are managed.
    pub(crate) fn manages(&self, protocol: Protocol) -> bool {
        self.protocols.contains(&protocol)
    }

    /// The field `name` of it in the Rollout.
    pub(crate) fn field_of(&self, name: &str) -> String {
        let at = self.field.strip_suffix(".name").unwrap_or(&self.field);
        format!("{at}.{name}")
    }
}

/// The DestinationRule of a subset-level split.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DestinationRuleRef {
    /// Which one.
    pub id: ObjectId,
    /// The canary's subset.
    pub canary_subset: String,
    /// The stable version's subset.
    pub stable_subset: String,
    /// Subsets whose destinations keep their weight.
    pub additional_subsets: Vec<String>,
}

/// Everything about a Rollout's traffic that doesn't change from step to step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Routing {
    /// Whose.
    pub rollout: RolloutKey,
    /// At least one.
    pub virtual_services: Vec<VirtualServiceRef>,
    /// None for a host-level split.
    pub destination_rule: Option<DestinationRuleRef>,
    /// Where the policy goes: into each. At least one.
    pub filters: Vec<FilterRef>,
    /// The canary Service's name; empty for a pure subset-level split.
    pub canary_service: String,
    /// The stable Service's name; empty for a pure subset-level split.
    pub stable_service: String,
    /// True where subsets or `pingPong` Services tell the versions apart: nothing of the controller's keeps traffic off a
    /// version that lacks pods, so that the weights wait for them.
    pub waits_for_pods: bool,
    /// What all weights of a route add up to: `maxTrafficWeight`, 100 when absent.
    pub max_weight: u32,
    /// Who keeps the lane routes.
    pub lanes: Lanes,
    /// The names of the header and mirror routes, first has precedence (`trafficRouting.managedRoutes`).
    pub managed_routes: Vec<String>,
    /// What tells users apart; `None` leaves every request to chance.
    pub sticky: Option<StickyConfig>,
    /// What is added to the steps of a managed route.
    pub routes: BTreeMap<String, RouteConfig>,
    /// Full names of hosts at which lanes are decided ahead.
    pub entry_hosts: Vec<String>,
    /// What makes a lane header believed.
    pub lane_secret: Option<String>,
    /// The Services of experiments that the controller has last given weight to (`status.canary.weights.additional`):
    /// what is named so in the objects was put there for the Rollout.
    pub known_experiments: Vec<String>,
}

impl Routing {
    /// Reads and checks what the Rollout says.
    ///
    /// # Errors
    /// The field that is missing, unknown, or at odds with another.
    pub fn of(rollout: &Rollout) -> Result<Self, CoreError> {
        let key = RolloutKey::of(rollout);
        let error = |fault| CoreError::Rollout {
            rollout: key.clone(),
            fault,
        };
        let (_, traffic) = strategy(rollout).map_err(error)?;
        if traffic.istio.is_some() && traffic.plugins.contains_key(PLUGIN_NAME) {
            // The controller calls both in each reconcile (argo-rollouts v1.10.1 `NewTrafficRoutingReconciler`).
            return Err(error(Fault::new(
                "spec.strategy.canary.trafficRouting",
                format!("both istio and plugins[{PLUGIN_NAME:?}]"),
                "one of them: each would undo what the other has written",
            )));
        }
        let written = configuration(rollout)
            .ok_or_else(|| Fault::new(CONFIG_FIELD, "nothing", "the plugin's configuration"))
            .map_err(error)?;
        Self::with(rollout, written)
    }

    /// As [`Self::of`], by another configuration than the Rollout's own.
    ///
    /// # Errors
    /// As [`Self::of`].
    pub fn with(rollout: &Rollout, configuration: &Value) -> Result<Self, CoreError> {
        let key = RolloutKey::of(rollout);
        let error = |fault| CoreError::Rollout {
            rollout: key.clone(),
            fault,
        };
        let (canary, traffic) = strategy(rollout).map_err(error)?;
        let config: Config = serde_path_to_error::deserialize(configuration).map_err(|error| {
            let field = field(error.path());
            CoreError::Unreadable {
                rollout: key.clone(),
                field,
                source: error.into_inner(),
            }
        })?;
        Self::resolve(&key, rollout, canary, traffic, &config).map_err(error)
    }

    /// What can be read of a configuration that has a fault: enough to take traffic off the canary. `None` where it names
    /// no VirtualService.
    pub fn salvaged(rollout: &Rollout, configuration: &Value) -> Option<Self> {
        let (canary, traffic) = strategy(rollout).ok()?;
        let traffic = TrafficRouting {
            max_traffic_weight: traffic.max_traffic_weight.filter(|weight| *weight > 0),
            ..traffic.clone()
        };
        let whole = Config::salvaged(configuration);
        let without_policy = Config {
            filters: None,
            ..whole.clone()
        };
        let key = RolloutKey::of(rollout);
        [whole, without_policy]
            .iter()
            .find_map(|config| Self::resolve(&key, rollout, canary, &traffic, config).ok())
    }

    /// True if both route through the same objects.
    pub(crate) fn has_targets_of(&self, other: &Self) -> bool {
        self.virtual_services == other.virtual_services
            && self.destination_rule == other.destination_rule
            && self.filter_ids().eq(other.filter_ids())
    }

    fn resolve(
        key: &RolloutKey,
        rollout: &Rollout,
        canary: &CanaryStrategy,
        traffic: &TrafficRouting,
        config: &Config,
    ) -> Result<Self, Fault> {
        let (stable_service, canary_service) = services(rollout, canary);
        let destination_rule = destination_rule(key, config)?;
        let named = !canary.stable_service.is_empty() || !canary.canary_service.is_empty();
        let max_weight = traffic.max_traffic_weight.unwrap_or(100);
        let managed_routes = traffic.managed_routes.iter();
        let managed_routes: Vec<String> = managed_routes.map(|route| route.name.clone()).collect();
        Ok(Self {
            virtual_services: virtual_services(key, config)?,
            waits_for_pods: destination_rule.is_some() || !named,
            destination_rule,
            filters: filters(config)?,
            canary_service,
            stable_service,
            max_weight: u32::try_from(max_weight)
                .ok()
                .filter(|max| *max > 0)
                .ok_or_else(|| {
                    Fault::new(
                        "spec.strategy.canary.trafficRouting.maxTrafficWeight",
                        max_weight.to_string(),
                        "a number above 0",
                    )
                })?,
            lanes: config.lanes,
            routes: routes(config, &managed_routes)?,
            managed_routes,
            sticky: config.sticky.clone(),
            entry_hosts: entry_hosts(key, config),
            lane_secret: config.lane_secret.clone(),
            known_experiments: known_experiments(rollout),
            rollout: key.clone(),
        })
    }

    /// The objects that the policy goes into.
    pub(crate) fn filter_ids(&self) -> impl Iterator<Item = &ObjectId> {
        self.filters.iter().map(|filter| &filter.id)
    }

    /// True if the policy goes into that object.
    pub(crate) fn has_filter(&self, id: &ObjectId) -> bool {
        self.filter_ids().any(|filter| filter == id)
    }

    /// True if the Rollout may ever need a policy: without header or mirror routes and without stickiness a canary is
    /// weights alone, and no filter object has to exist.
    pub fn may_need_policy(&self) -> bool {
        !self.managed_routes.is_empty() || self.sticky.is_some()
    }
}

/// What the user has written for the plugin; `None` where there is nothing.
pub(crate) fn configuration(rollout: &Rollout) -> Option<&Value> {
    let traffic = rollout.canary()?.traffic_routing.as_ref()?;
    traffic.plugins.get(PLUGIN_NAME)
}

/// The canary strategy and its traffic routing.
fn strategy(rollout: &Rollout) -> Result<(&CanaryStrategy, &TrafficRouting), Fault> {
    let nothing = |field: &str, expected: &str| Fault::new(field, "nothing", expected);
    let canary = rollout
        .canary()
        .ok_or_else(|| nothing("spec.strategy.canary", "a canary strategy"))?;
    let traffic = canary.traffic_routing.as_ref().ok_or_else(|| {
        let expected = format!("plugins[{PLUGIN_NAME:?}]");
        nothing("spec.strategy.canary.trafficRouting", &expected)
    })?;
    Ok((canary, traffic))
}

/// A field of the configuration, written as those of policies are: with the user's own names in brackets.
fn field(path: &Path) -> String {
    /// Maps whose keys are names of the user's.
    const NAMED: [&str; 4] = ["routes", "headers", "queryParams", "cookies"];
    let mut is_named = false;
    let below = path.iter().map(|segment| match segment {
        Segment::Seq { index } => format!("[{index}]"),
        Segment::Map { key } if std::mem::take(&mut is_named) => format!("[{key:?}]"),
        Segment::Map { key } => {
            is_named = NAMED.contains(&&**key);
            format!(".{key}")
        }
        // The whole, or what a variant has inside.
        Segment::Enum { .. } | Segment::Unknown => String::new(),
    });
    std::iter::once(CONFIG_FIELD.to_owned())
        .chain(below)
        .collect()
}

/// Stable and canary Service, in that order
/// (argo-rollouts v1.10.1 `trafficrouting.GetStableAndCanaryServices` with `isPingpongPreferred` false): the ping-pong
/// pair counts where neither Service is named, and `pong` is the stable one until the status says otherwise.
fn services(rollout: &Rollout, canary: &CanaryStrategy) -> (String, String) {
    let named = !canary.stable_service.is_empty() || !canary.canary_service.is_empty();
    match &canary.ping_pong {
        Some(pair) if !named && rollout.status.canary.stable_ping_pong == "ping" => {
            (pair.ping_service.clone(), pair.pong_service.clone())
        }
        Some(pair) if !named => (pair.pong_service.clone(), pair.ping_service.clone()),
        _ => (canary.stable_service.clone(), canary.canary_service.clone()),
    }
}

fn known_experiments(rollout: &Rollout) -> Vec<String> {
    let weights = rollout.status.canary.weights.as_ref();
    weights
        .into_iter()
        .flat_map(|weights| &weights.additional)
        .map(|destination| destination.service_name.clone())
        .filter(|name| !name.is_empty())
        .collect()
}

fn routes(
    config: &Config,
    managed_routes: &[String],
) -> Result<BTreeMap<String, RouteConfig>, Fault> {
    let unknown = config
        .routes
        .keys()
        .find(|name| !managed_routes.contains(name));
    if let Some(name) = unknown {
        return Err(Fault::new(
            format!("{CONFIG_FIELD}.routes"),
            format!("{name:?}"),
            format!(
                "names of spec.strategy.canary.trafficRouting.managedRoutes, which has {managed_routes:?}"
            ),
        ));
    }
    Ok(config.routes.clone())
}

fn entry_hosts(key: &RolloutKey, config: &Config) -> Vec<String> {
    let hosts = config.entry_hosts.iter();
    hosts.map(|host| full_host(host, &key.namespace)).collect()
}

/// A host as policies have it: one without a dot is a Service of `namespace`
/// (istio `pilot/pkg/model` `ResolveShortnameToFQDN`).
pub(crate) fn full_host(host: &str, namespace: &str) -> String {
    let host = host.to_ascii_lowercase();
    if host.contains('.') || host.contains('*') {
        host
    } else {
        full_name(&host, namespace)
    }
}

#[cfg(test)]
mod tests;
