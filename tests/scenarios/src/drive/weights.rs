//! Weights: what the VirtualServices have and what the Rollouts' statuses say.

use serde_json::{Value, json};

use super::wait::spec;
use super::{Drive, Stack};
use crate::api::{ROLLOUT, VIRTUAL_SERVICE, at};
use crate::error::Error;
use crate::scenario::ROUTING;

const PROTOCOLS: [&str; 3] = ["http", "tls", "tcp"];

impl<S: Stack> Drive<'_, S> {
    /// Whether every route that splits has these weights, and the Rollouts' statuses have the same ones; if not, what is
    /// there.
    pub(super) async fn has_weights(&self, expected: &[i64]) -> Result<Result<(), String>, Error> {
        let cluster = &self.shared.cluster;
        for (namespace, name) in self.scenario.placed(VIRTUAL_SERVICE.1) {
            let live = cluster.get(VIRTUAL_SERVICE, &namespace, &name).await?;
            if let Err(found) = splits_as(&live, &[], expected) {
                return Ok(Err(found));
            }
        }
        for name in self.scenario.rollouts() {
            if self.deleted.contains(&name) {
                continue;
            }
            let live = cluster.get(ROLLOUT, &self.scenario.name, &name).await?;
            if let Err(found) = has_status(&live, expected) {
                return Ok(Err(found));
            }
        }
        Ok(Ok(()))
    }

    /// The same for one Rollout and the routes that it names.
    pub(super) async fn has_own_weights(
        &self,
        rollout: &Value,
        expected: &[i64],
    ) -> Result<Result<(), String>, Error> {
        if let Err(found) = has_status(rollout, expected) {
            return Ok(Err(found));
        }
        let routing = at(rollout, ROUTING);
        let blocks = at(routing, "/plugins").as_object();
        let blocks = blocks.into_iter().flat_map(serde_json::Map::values);
        let block = blocks.chain(routing.get("istio")).next();
        let block = block.unwrap_or(&Value::Null);
        let many = at(block, "/virtualServices").as_array();
        let services = many.into_iter().flatten();
        for service in services.chain(block.get("virtualService")) {
            let name = at(service, "/name").as_str().unwrap_or_default();
            let routes = at(service, "/routes").as_array();
            let routes: Vec<&Value> = routes.into_iter().flatten().collect();
            let cluster = &self.shared.cluster;
            let live = cluster
                .get(VIRTUAL_SERVICE, &self.scenario.name, name)
                .await?;
            if let Err(found) = splits_as(&live, &routes, expected) {
                return Ok(Err(found));
            }
        }
        Ok(Ok(()))
    }
}

/// Whether the routes with these names, or all if there are none, that split have these weights.
fn splits_as(live: &Value, routes: &[&Value], expected: &[i64]) -> Result<(), String> {
    let splits: Vec<Vec<i64>> = PROTOCOLS
        .into_iter()
        .filter_map(|protocol| spec(live).get(protocol)?.as_array())
        .flatten()
        .filter(|route| routes.is_empty() || routes.contains(&at(route, "/name")))
        .filter(|route| follows_weights(at(route, "/name").as_str().unwrap_or_default()))
        .map(|route| weights(at(route, "/route")))
        .filter(|weights| weights.len() > 1)
        .collect();
    if splits.is_empty() || splits.iter().any(|weights| weights != expected) {
        let name = at(live, "/metadata/name");
        return Err(format!("VirtualService {name} has {splits:?}"));
    }
    Ok(())
}

/// True for all routes but lane routes that send everything to one side, whose other one they list at weight 0.
fn follows_weights(route: &str) -> bool {
    let lane = route.strip_prefix("serin-").and_then(|lane| {
        let (lane, _) = lane.split_once(':').unwrap_or((lane, ""));
        Some(lane.rsplit_once('.')?.1)
    });
    lane.is_none_or(|lane| lane == "mirror")
}

fn has_status(rollout: &Value, expected: &[i64]) -> Result<(), String> {
    let status = at(rollout, "/status/canary/weights");
    let mut seen = weights(&json!([at(status, "/stable"), at(status, "/canary")]));
    seen.extend(weights(at(status, "/additional")));
    seen.sort_unstable();
    let mut expected = expected.to_vec();
    expected.sort_unstable();
    if seen == expected {
        return Ok(());
    }
    let name = at(rollout, "/metadata/name");
    Err(format!("status.canary.weights of {name} is {status}"))
}

/// The weights of a list of destinations; one without a weight has 0.
fn weights(destinations: &Value) -> Vec<i64> {
    let all = destinations.as_array().into_iter().flatten();
    all.map(|one| at(one, "/weight").as_i64().unwrap_or(0))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lane_routes_to_one_side_have_no_part_in_the_weights() {
        let route = |name: &str, weights: [i64; 2]| json!({"name": name, "route": [{"weight": weights[0]}, {"weight": weights[1]}]});
        let service =
            |routes: Value| json!({"metadata": {"name": "web"}, "spec": {"http": routes}});
        let live = service(json!([
            route("serin-shop.web.canary", [0, 100]),
            route("serin-shop.web.stable:a.b", [100, 0]),
            route("serin-shop.web.mirror", [75, 25]),
            route("primary", [75, 25]),
        ]));
        assert_eq!(splits_as(&live, &[], &[75, 25]), Ok(()));
        let live = service(json!([
            route("serin-shop.web.mirror:a.b", [100, 0]),
            route("primary", [75, 25]),
        ]));
        assert!(splits_as(&live, &[], &[75, 25]).is_err());
    }
}
