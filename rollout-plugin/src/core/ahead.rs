//! Everything that the Rollout's policies will be made of, checked before the first step: at the step that needs it,
//! requests are under way, and the canary would hang there.

use argo_rollouts::{CanaryStep, Rollout};
use traffic_policy::Lane;
use traffic_policy::config::{Policy, Rule, Sticky};

use crate::core::error::{CoreError, Fault};
use crate::core::routing::{CONFIG_FIELD, Routing};
use crate::core::rules::{RouteStep, route_steps, rule_of, steps_of};

/// What has been found good. Whoever keeps it need not have the same compiled at every call.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Checked {
    steps: Vec<CanaryStep>,
    routing: Routing,
}

impl Checked {
    /// True if this says of that Rollout too that its policies are good.
    pub(crate) fn covers(&self, rollout: &Rollout, routing: &Routing) -> bool {
        let known = &self.routing;
        self.steps == steps_of(rollout)
            && known.managed_routes == routing.managed_routes
            && known.routes == routing.routes
            && known.sticky == routing.sticky
            && known.entry_hosts == routing.entry_hosts
            && known.lane_secret == routing.lane_secret
            && known.max_weight == routing.max_weight
    }
}

/// Compiles one policy of the rules of all steps and of all `routes` of the configuration, whether a step switches them
/// on or not.
///
/// # Errors
/// The first thing that is wrong, under the name of the field that the user has written.
pub(crate) fn check(rollout: &Rollout, routing: &Routing) -> Result<Checked, CoreError> {
    let error = |fault| CoreError::Rollout {
        rollout: routing.rollout.clone(),
        fault,
    };
    let (mut rules, mut places) = (Vec::new(), Vec::new());
    for (index, step) in route_steps(rollout) {
        let at = step.field(&format!("spec.strategy.canary.steps[{index}]"));
        let (_, rule) = rule_of(step, routing, &at).map_err(error)?;
        rules.push(rule);
        places.push(match step {
            RouteStep::Header(_) => Place::Header(at),
            RouteStep::Mirror(_) => Place::AsInPolicy(at),
        });
    }
    let of_steps = rules.len();
    for (name, route) in &routing.routes {
        let at = format!("{CONFIG_FIELD}.routes[{name:?}]");
        let mut of_steps = rules.iter().take(of_steps);
        let has_share = route.percent.is_some()
            || of_steps.any(|rule| rule.name == *name && rule.percent.is_some());
        if !route.keys.is_empty() && !has_share {
            return Err(error(Fault::new(
                format!("{at}.keys"),
                "keys without a share that they could draw",
                format!("routes[{name:?}].percent, or the percentage of a mirror step"),
            )));
        }
        rules.push(Rule {
            name: name.clone(),
            lane: Lane::Canary,
            percent: route.percent,
            keys: route.keys.clone(),
            matches: route.matches.clone(),
        });
        places.push(Place::AsInPolicy(at));
    }
    let sticky = routing.sticky.as_ref().map(|sticky| Sticky {
        keys: sticky.keys.clone(),
        // Without one it is the pod hash.
        salt: sticky.salt.clone().unwrap_or_else(|| "salt".to_owned()),
        canary: 0,
        of: routing.max_weight,
    });
    let policy = Policy {
        // Which hosts they are is the VirtualServices' to say.
        hosts: vec!["*".to_owned()],
        virtual_services: None,
        lanes: routing.lanes,
        rules,
        sticky,
        entry_hosts: routing.entry_hosts.clone(),
        secret: routing.lane_secret.clone(),
    };
    match traffic_policy::compile(&routing.rollout.to_string(), &policy) {
        Ok(_) => Ok(Checked {
            steps: steps_of(rollout).to_vec(),
            routing: routing.clone(),
        }),
        Err(found) => Err(CoreError::Field {
            rollout: routing.rollout.clone(),
            field: written(found.field(), &places),
            source: found.fault().clone(),
        }),
    }
}

/// Where a rule was written.
enum Place {
    /// In fields that are called as in a policy.
    AsInPolicy(String),
    /// In a header step, whose entries have a header each.
    Header(String),
}

/// The field of the Rollout that a policy's field has been made of.
fn written(field: &str, places: &[Place]) -> String {
    let of_rule = field.strip_prefix("rules[").and_then(|rest| {
        let (number, rest) = rest.split_once(']')?;
        let place = places.get(number.parse::<usize>().ok()?)?;
        Some((place, rest))
    });
    match of_rule {
        Some((Place::AsInPolicy(at), rest)) => format!("{at}{rest}"),
        Some((Place::Header(at), rest)) => match rest.split_once(".headers[") {
            // Behind the name in its quotes is the kind of match, or nothing where the name itself is wrong.
            Some((entry, header)) => match header.rsplit_once("\"]") {
                Some((_, kind)) if !kind.is_empty() => format!("{at}{entry}.headerValue{kind}"),
                _ => format!("{at}{entry}.headerName"),
            },
            None => format!("{at}{rest}"),
        },
        None if field == "rules" => "spec.strategy.canary.steps".to_owned(),
        None if field == "secret" => format!("{CONFIG_FIELD}.laneSecret"),
        None => format!("{CONFIG_FIELD}.{field}"),
    }
}

pub(crate) use objects::policy_to_come;

mod objects;

#[cfg(test)]
mod tests;
