//! The objects that put the filter into proxies: which kinds there are, and where each keeps the Rollouts' policies.

use serde_json::{Map, Value, json};

use crate::config::FilterKind;
use crate::core::error::Fault;
use crate::core::routing::RolloutKey;
use crate::object::{Kind, Object, ObjectId};

pub(crate) mod overlap;
pub(crate) mod pinned;

/// The label, and its value, that says that a filter object is Serin's: the manifests set it.
const LABEL: (&str, &str) = ("app.kubernetes.io/name", "serin");

/// The field of the filter's configuration that holds a policy for each Rollout.
const ROLLOUTS: &str = "rollouts";

/// Namespace and name of the filter object where the configuration names none: a WasmPlugin, which every version of
/// Istio has.
pub const DEFAULT_FILTER: (&str, &str) = ("istio-system", "serin");

impl FilterKind {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::WasmPlugin, Self::TrafficExtension];

    /// The kind of object.
    pub const fn kind(self) -> Kind {
        match self {
            Self::WasmPlugin => Kind::WasmPlugin,
            Self::TrafficExtension => Kind::TrafficExtension,
        }
    }

    /// What an object of that kind is; `None` for one that puts no filter anywhere.
    pub(crate) fn of(kind: Kind) -> Option<Self> {
        Self::ALL.into_iter().find(|filter| filter.kind() == kind)
    }

    /// The field below `spec` that describes the module; empty where `spec` itself does.
    ///
    /// A TrafficExtension holds a `wasm` or a `lua` (istio.io/api v1.31.0 `extensions/v1alpha1/traffic_extension.proto`);
    /// what selects proxies is called the same in both kinds, and lies in `spec`.
    const fn module(self) -> &'static [&'static str] {
        match self {
            Self::WasmPlugin => &[],
            Self::TrafficExtension => &["wasm"],
        }
    }

    /// The way from `spec` to the policies.
    fn path(self) -> impl DoubleEndedIterator<Item = &'static str> {
        let module = self.module().iter().copied();
        module.chain(["pluginConfig", ROLLOUTS])
    }

    /// `name` of the module's fields, as errors call it.
    pub(crate) fn field(self, name: &str) -> String {
        let module = self.module().iter().copied();
        std::iter::once("spec")
            .chain(module)
            .chain([name])
            .collect::<Vec<_>>()
            .join(".")
    }

    /// A merge patch that changes the policy of one Rollout.
    pub(crate) fn patch(self, rollout: &RolloutKey, change: Value) -> Value {
        let policies = json!({ rollout.to_string(): change });
        let spec = self
            .path()
            .rev()
            .fold(policies, |inner, name| json!({ name: inner }));
        json!({ "spec": spec })
    }

    /// The policies that a merge patch changes, each as a path from the object.
    pub(crate) fn changed_fields(self, patch: &Value) -> Vec<String> {
        let names = std::iter::once("spec").chain(self.path());
        let policies = names.collect::<Vec<_>>().join("/");
        let changed = patch.pointer(&format!("/{policies}"));
        let changed = changed.and_then(Value::as_object).into_iter().flatten();
        changed
            .map(|(key, _)| format!("{policies}[{key:?}]"))
            .collect()
    }
}

/// A filter object that a Rollout's policy goes into.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilterRef {
    /// Which one.
    pub id: ObjectId,
    /// The Rollout's field that names it.
    pub field: String,
}

/// The fields that describe the module, of a filter object; `None` where it has none.
pub(crate) fn module(object: &Object) -> Option<&Map<String, Value>> {
    let kind = FilterKind::of(object.id.kind)?;
    let mut at = &object.spec;
    for name in kind.module() {
        at = at.get(name)?;
    }
    at.as_object()
}

/// All policies in a filter object, by Rollout.
pub(crate) fn policies(object: &Object) -> Option<&Map<String, Value>> {
    let config = module(object)?.get("pluginConfig")?;
    config.get(ROLLOUTS)?.as_object()
}

/// True for an object of Serin's, as far as it says: by the label, by the default's name, or by having policies.
pub(crate) fn is_serins(object: &Object) -> bool {
    let (label, value) = LABEL;
    let is_default = (&*object.id.namespace, &*object.id.name) == DEFAULT_FILTER;
    let is_labelled = object.labels.get(label).is_some_and(|found| found == value);
    is_default || is_labelled || policies(object).is_some()
}

/// The Rollout's policy in a filter object.
pub(crate) fn policy_of<'a>(object: &'a Object, rollout: &RolloutKey) -> Option<&'a Value> {
    policies(object)?.get(&rollout.to_string())
}

/// Refuses an object that can't run the filter.
///
/// # Errors
/// It has no WebAssembly module, or one that Envoy runs on connections in place of requests.
pub(crate) fn check(object: &Object) -> Result<(), Fault> {
    let Some(kind) = FilterKind::of(object.id.kind) else {
        return Ok(());
    };
    let Some(module) = module(object) else {
        let field = ["spec"].iter().chain(kind.module());
        let field = field.copied().collect::<Vec<_>>().join(".");
        let found = if object.spec.get("lua").is_some() {
            "nothing, and a spec.lua"
        } else {
            "nothing"
        };
        let expected = "Serin's module: policies go into its pluginConfig";
        return Err(Fault::new(field, found, expected));
    };
    // `NETWORK`, as the API server has it: enums are strings there.
    match module.get("type").and_then(Value::as_str) {
        Some("NETWORK") => Err(Fault::new(
            kind.field("type"),
            "NETWORK",
            "HTTP, or nothing: the module decides about requests",
        )),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
