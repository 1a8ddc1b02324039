//! What a step of a table can do.

use serde::Deserialize;
use serde_json::Value;

use super::table::Users;

/// What is done to a Rollout, or to its controller.
#[derive(Debug, Deserialize)]
#[serde(
    deny_unknown_fields,
    rename_all = "kebab-case",
    rename_all_fields = "kebab-case",
    tag = "do"
)]
pub(crate) enum Action {
    /// A new version: the first container's image.
    SetImage {
        /// The Rollout.
        rollout: String,
        /// The image; requests that its pods answer count as the canary's.
        image: String,
    },
    /// On to the next step, as `kubectl argo rollouts promote` does.
    Promote {
        /// The Rollout.
        rollout: String,
    },
    /// To the end of all steps, as `kubectl argo rollouts promote --full` does.
    PromoteFull {
        /// The Rollout.
        rollout: String,
    },
    /// The aborted version again, as `kubectl argo rollouts retry rollout` does.
    Retry {
        /// The Rollout.
        rollout: String,
    },
    /// Another number of pods.
    Scale {
        /// The Rollout.
        rollout: String,
        /// How many.
        replicas: u32,
    },
    /// Adds entries to a managed route, in the plugin's configuration (`routes.<route>.match`): each of so many users, told
    /// apart by a header.
    AddMatches {
        /// The Rollout.
        rollout: String,
        /// The managed route.
        route: String,
        /// One entry for each.
        users: Users,
    },
    /// Deletes every pod of the version that is being rolled out.
    DeleteCanaryPods {
        /// The Rollout.
        rollout: String,
    },
    /// Moves the Rollout's traffic configuration, unchanged, from one traffic router to the other.
    Move {
        /// The Rollout.
        rollout: String,
        /// Who moves the traffic from now on.
        to: RouterName,
    },
    /// Sets fields of a route, as `kubectl edit` does.
    EditRoute {
        /// The VirtualService.
        virtual_service: String,
        /// The HTTP route's name.
        route: String,
        /// The fields.
        set: serde_json::Map<String, Value>,
    },
    /// Puts a route above another one, as `kubectl edit` does.
    AddRoute {
        /// The VirtualService.
        virtual_service: String,
        /// The HTTP route that it goes directly above, as far as users wrote them.
        above: String,
        /// The route.
        add: Value,
    },
    /// Back to the stable version, as `kubectl argo rollouts abort` does.
    Abort {
        /// The Rollout.
        rollout: String,
    },
    /// Writes an object's spec as its manifest has it over the live one, as a GitOps tool does.
    Reapply {
        /// Its kind.
        kind: String,
        /// Its name.
        name: String,
    },
    /// Does so again each time that somebody else has changed the object, as a GitOps tool with self-healing does, and
    /// gives up in the end.
    KeepReapplying {
        /// Its kind.
        kind: String,
        /// Its name.
        name: String,
        /// How often in all.
        times: u32,
        /// It has to take so long at least, since nobody writes without a pause for ever.
        at_least_seconds: u64,
    },
    /// Applies all VirtualServices and DestinationRules again, as a GitOps tool does that syncs by itself.
    Sync {
        /// How often.
        times: u32,
        /// Milliseconds from one time to the next, about.
        every_ms: u64,
    },
    /// Takes the Rollout's policy out of the WasmPlugin.
    DeletePolicy {
        /// The Rollout.
        rollout: String,
    },
    /// Deletes the Rollout and leaves its pods, as `kubectl delete --cascade=orphan` does.
    DeleteRollout {
        /// The Rollout.
        rollout: String,
    },
    /// The controller is killed without warning and started again after a pause.
    KillController {
        /// Between its end and its start.
        pause_seconds: u64,
    },
    /// The controller's service account gets a new token, and the one before is refused from then on.
    RotateToken {},
    /// Istio's control plane is upgraded, as `istioctl upgrade` does: custom resources first. The proxies stay.
    UpgradeIstio {},
}

/// The word for a traffic router in a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum RouterName {
    /// `trafficRouting.istio`.
    BuiltIn,
    /// `trafficRouting.plugins`.
    Plugin,
    /// None at all.
    Nobody,
}
