//! The real stack as the scenarios see it.

use std::net::SocketAddr;
use std::time::Duration;

use scenarios::Via;
use serde_json::Value;
use tokio::sync::Mutex;

use crate::flags::Router;
use crate::proxy;
use crate::stack::Stack;

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
            scenarios::to_built_in(object);
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
