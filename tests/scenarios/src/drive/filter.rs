//! The object that puts the filter into the proxies, of whichever kind the stack has.

use serde_json::{Value, json};

use super::end::POLICIES;
use crate::api::{Kind, ROLLOUT, at};

/// Its kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Filter {
    /// What a Rollout's policy goes into where it says nothing.
    #[default]
    WasmPlugin,
    /// Of Istio 1.30 and later; Rollouts have to name it.
    TrafficExtension,
}

impl Filter {
    /// What the API server calls it.
    pub(crate) const fn kind(self) -> Kind {
        let kind = match self {
            Self::WasmPlugin => "WasmPlugin",
            Self::TrafficExtension => "TrafficExtension",
        };
        ("extensions.istio.io/v1alpha1", kind)
    }

    /// What such an object says of the module and its configuration.
    pub(crate) fn module(self, object: &Value) -> &Value {
        at(object, self.path())
    }

    /// A merge patch of that.
    pub(crate) fn patch(self, module: &Value) -> Value {
        match self {
            Self::WasmPlugin => json!({"spec": module}),
            Self::TrafficExtension => json!({"spec": {"wasm": module}}),
        }
    }

    /// Puts the module's URL in the place of the one that users download from; true for an object of this kind.
    pub fn load(self, object: &mut Value, url: &str) -> bool {
        let is_one = object["kind"] == self.kind().1;
        if is_one
            && let Some(module) = object
                .pointer_mut(self.path())
                .and_then(Value::as_object_mut)
        {
            module.insert("url".to_owned(), json!(url));
            module.remove("sha256");
            module.remove("imagePullPolicy");
        }
        is_one
    }

    /// Has a Rollout of the plugin's name it, where it isn't the default.
    pub fn name_in(self, object: &mut Value) {
        let (namespace, name) = POLICIES;
        let plugin = "/spec/strategy/canary/trafficRouting/plugins/serin~1istio";
        if self == Self::WasmPlugin || object["kind"] != ROLLOUT.1 {
            return;
        }
        if let Some(Value::Object(configuration)) = object.pointer_mut(plugin) {
            let filter = json!({"kind": self.kind().1, "namespace": namespace, "name": name});
            configuration.insert("filter".to_owned(), filter);
        }
    }

    const fn path(self) -> &'static str {
        match self {
            Self::WasmPlugin => "/spec",
            Self::TrafficExtension => "/spec/wasm",
        }
    }
}
