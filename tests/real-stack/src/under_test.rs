//! The real stack as the scenarios see it.

use std::net::SocketAddr;
use std::time::Duration;

use scenarios::Via;
use serde_json::Value;
use tokio::sync::Mutex;

use crate::flags::Router;
use crate::proxy;
use crate::stack::Stack;

/// The plugin's name in a Rollout.
const PLUGIN: &str = "serin/istio";

/// The stack, and who moves its traffic.
pub(crate) struct UnderTest {
    pub(crate) stack: Mutex<Stack>,
    pub(crate) router: Router,
}

impl scenarios::Stack for UnderTest {
    fn target(&self, via: Via) -> SocketAddr {
        proxy::target(via)
    }

    fn adapt(&self, object: &mut Value) {
        if self.router == Router::BuiltIn {
            use_built_in(object);
        }
    }

    async fn kill_controller(&self, pause: Duration) -> Result<(), scenarios::Error> {
        let mut stack = self.stack.lock().await;
        stack
            .kill_controller(pause, self.router == Router::Serin)
            .await
            .map_err(|error| scenarios::Error::Stack(Box::new(error)))
    }
}

/// Moves the plugin's block to Argo's own `istio:`, whose fields are the same.
fn use_built_in(object: &mut Value) {
    let routing = object.pointer_mut("/spec/strategy/canary/trafficRouting");
    if let Some(routing) = routing.and_then(Value::as_object_mut) {
        let plugin = routing
            .get_mut("plugins")
            .and_then(Value::as_object_mut)
            .and_then(|all| all.remove(PLUGIN));
        if let Some(plugin) = plugin {
            routing.remove("plugins");
            routing.insert("istio".to_owned(), plugin);
        }
    }
}
