//! The real stack as the scenarios see it.

use std::net::SocketAddr;
use std::time::Duration;

use scenarios::{Filter, Module, Via};
use serde_json::Value;
use tokio::sync::Mutex;

use crate::flags::{Router, StackFlags};
use crate::proxy;
use crate::stack::Stack;

/// The stack, and who moves its traffic.
pub(crate) struct UnderTest<'a> {
    pub(crate) stack: Mutex<Stack>,
    pub(crate) flags: &'a StackFlags,
}

impl scenarios::Stack for UnderTest<'_> {
    fn target(&self, via: Via) -> SocketAddr {
        proxy::target(via)
    }

    fn adapt(&self, object: &mut Value) {
        if self.flags.traffic_router == Router::BuiltIn {
            scenarios::to_built_in(object);
        }
        self.filter().name_in(object);
    }

    fn module(&self, module: Module) -> Option<String> {
        // Argo's own support has no filter.
        (self.flags.traffic_router == Router::Serin).then(|| self.flags.url(module))
    }

    async fn kill_controller(&self, pause: Duration) -> Result<(), scenarios::Error> {
        let mut stack = self.stack.lock().await;
        stack
            .kill_controller(pause, self.flags.traffic_router == Router::Serin)
            .await
            .map_err(|error| scenarios::Error::Stack(Box::new(error)))
    }

    fn filter(&self) -> Filter {
        self.flags.filter.filter()
    }

    async fn upgrade_istio(&self) -> Result<(), scenarios::Error> {
        let Some(next) = &self.flags.next_istio else {
            return Err(scenarios::Error::NoNextIstio);
        };
        let mut stack = self.stack.lock().await;
        // What it borrows keeps the compiler from seeing that other threads could go on with it.
        let upgraded = tokio::task::block_in_place(|| {
            tokio::runtime::Handle::current().block_on(stack.upgrade_istio(next))
        });
        upgraded.map_err(|error| scenarios::Error::Stack(Box::new(error)))
    }

    async fn rotate_token(&self) -> Result<(), scenarios::Error> {
        // It takes a while, in which the programs are looked after.
        let account = self.stack.lock().await.account();
        let rotated = account.lock().await.rotate().await;
        rotated.map_err(|error| scenarios::Error::Stack(Box::new(error)))
    }
}
