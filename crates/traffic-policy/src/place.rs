//! Where a lane may be set: the routes that a Rollout manages.
//!
//! A lane route is a clone of its managed route with one more match. At a gateway it can come before
//! routes that the managed one would come after (Istio 1.29.1
//! `pilot/pkg/networking/core/route/route.go`, `SortVHostRoutes` moves a bare catch-all to the end,
//! and VirtualServices of one host are merged). So a request that Envoy would give to another route
//! must not be given a lane.

use std::collections::BTreeMap;

use crate::error::{Fault, PolicyError};
use crate::lane::LANE_ROUTE_PREFIX;

/// The route that Envoy has chosen for a request, before any header was changed. Asked only for what
/// is needed, since asking Envoy costs more than deciding.
pub trait ChosenRoute {
    /// The string `config` in the route's metadata for `istio`:
    /// `/apis/networking.istio.io/v1/namespaces/<namespace>/virtual-service/<name>` (Istio 1.29.1
    /// `pilot/pkg/networking/util/util.go`, `AddConfigInfoMetadata`). Empty if there is none.
    fn config(&mut self) -> &[u8];

    /// `Route.name`: the VirtualService route's name, with `.` and the name of the match entry behind
    /// it where that has one (Istio 1.29.1 `pilot/pkg/networking/core/route/route.go`,
    /// `TranslateRoute`). Empty for a route without a name.
    fn name(&mut self) -> &[u8];

    /// True where lane headers from outside are removed: at an edge. Envoy chose the route before
    /// that, and goes on naming it. So a lane route there was chosen by a forged header, and which
    /// route the request would have had without one can't be told.
    fn may_be_forged(&self) -> bool;
}

/// The managed routes of one policy, compiled.
#[derive(Debug)]
pub(crate) struct Places {
    /// `None`: every route.
    virtual_services: Option<Box<[Place]>>,
    lane_routes: Box<str>,
}

#[derive(Debug)]
struct Place {
    namespace: Box<str>,
    name: Box<str>,
    /// Empty: every route of this VirtualService.
    routes: Box<[Box<str>]>,
}

impl Places {
    /// `lane_routes`: how the names of the Rollout's own lane routes begin.
    pub(crate) fn compile(
        rollout: &str,
        virtual_services: Option<&BTreeMap<String, Vec<String>>>,
        lane_routes: String,
    ) -> Result<Self, PolicyError> {
        let place = |(key, routes): (&String, &Vec<String>)| {
            let (namespace, name) = split_key(key).ok_or_else(|| {
                PolicyError::new(
                    rollout,
                    format_args!("virtualServices[{key:?}]"),
                    Fault::Key { value: key.clone() },
                )
            })?;
            Ok(Place {
                namespace: namespace.into(),
                name: name.into(),
                routes: routes.iter().map(|route| route.as_str().into()).collect(),
            })
        };
        Ok(Self {
            virtual_services: virtual_services
                .map(|all| all.iter().map(place).collect::<Result<_, PolicyError>>())
                .transpose()?,
            lane_routes: lane_routes.into(),
        })
    }

    /// True if every route will do.
    pub(crate) fn everywhere(&self) -> bool {
        self.virtual_services.is_none()
    }

    /// The route is not asked for anything if every route will do, nor for its name if those of its
    /// VirtualService all will, or none; but for where it may be forged.
    pub(crate) fn has(&self, route: &mut impl ChosenRoute) -> bool {
        let Some(places) = &self.virtual_services else {
            return true;
        };
        let Some((namespace, name)) = virtual_service(route.config()) else {
            return false;
        };
        let place = places
            .iter()
            .find(|place| place.namespace.as_bytes() == namespace && place.name.as_bytes() == name);
        let Some(Place { routes, .. }) = place else {
            return false;
        };
        let may_be_forged = route.may_be_forged();
        if routes.is_empty() && !may_be_forged {
            return true;
        }
        let name = route.name();
        if may_be_forged && self.is_lane_route(name) {
            return false;
        }
        routes.is_empty()
            || name.starts_with(self.lane_routes.as_bytes())
            || routes.iter().any(|managed| names(name, managed.as_bytes()))
    }

    /// True for the lane routes of any Rollout, and for this one's in a delegate too, where a root's
    /// route stands before them in the name.
    fn is_lane_route(&self, name: &[u8]) -> bool {
        let own = self.lane_routes.as_bytes();
        name.starts_with(LANE_ROUTE_PREFIX.as_bytes())
            || name.windows(own.len()).any(|part| part == own)
    }
}

/// True if an Envoy route named `route` comes from the VirtualService's route named `managed`.
fn names(route: &[u8], managed: &[u8]) -> bool {
    route
        .strip_prefix(managed)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with(b"."))
}

/// Namespace and name out of [`ChosenRoute::config`]. The version of the API is of no interest.
fn virtual_service(config: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut parts = config
        .strip_prefix(b"/apis/networking.istio.io/")?
        .split(|byte| *byte == b'/')
        .skip(1);
    let mut next = |word: &[u8]| (parts.next()? == word).then(|| parts.next())?;
    let found = (next(b"namespaces")?, next(b"virtual-service")?);
    parts.next().is_none().then_some(found)
}

/// `<namespace>/<name>` in the characters that Kubernetes allows.
pub(crate) fn split_key(key: &str) -> Option<(&str, &str)> {
    let (namespace, name) = key.split_once('/')?;
    let label = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let good = !namespace.is_empty()
        && !name.is_empty()
        && namespace.bytes().all(label)
        && name.bytes().all(|byte| label(byte) || byte == b'.');
    good.then_some((namespace, name))
}

#[cfg(test)]
mod tests;
