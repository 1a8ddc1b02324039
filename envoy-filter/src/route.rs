//! The request's route, as Envoy has chosen it before the filter ran.

use traffic_policy::ChosenRoute;

use crate::host::Host;

const ROUTE_NAME: &str = "xds\0route_name";
/// Istio's name for the VirtualService that a route is from.
const ROUTE_CONFIG: &str = "xds\0route_metadata\0filter_metadata\0istio\0config";

/// What was asked about the route; its space is used again for each request.
#[derive(Debug, Default)]
pub(crate) struct RouteSpace {
    config: Vec<u8>,
    name: Vec<u8>,
    has_config: bool,
    has_name: bool,
}

/// The route, asked for when it is wanted and once.
pub(crate) struct AskedRoute<'a, H> {
    host: &'a mut H,
    may_be_forged: bool,
    space: &'a mut RouteSpace,
}

impl<'a, H: Host> AskedRoute<'a, H> {
    /// `may_be_forged`: it may have been chosen by a lane header from outside.
    pub(crate) fn new(host: &'a mut H, may_be_forged: bool, space: &'a mut RouteSpace) -> Self {
        (space.has_config, space.has_name) = (false, false);
        Self {
            host,
            may_be_forged,
            space,
        }
    }

    pub(crate) fn host(&mut self) -> &mut H {
        self.host
    }
}

impl<H: Host> ChosenRoute for AskedRoute<'_, H> {
    fn config(&mut self) -> &[u8] {
        if !self.space.has_config {
            self.space.has_config = true;
            self.host.property(ROUTE_CONFIG, &mut self.space.config);
        }
        &self.space.config
    }

    fn name(&mut self) -> &[u8] {
        if !self.space.has_name {
            self.space.has_name = true;
            self.host.property(ROUTE_NAME, &mut self.space.name);
        }
        &self.space.name
    }

    fn may_be_forged(&self) -> bool {
        self.may_be_forged
    }
}
