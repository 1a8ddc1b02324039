//! The services on the control stream: `Control` and `Dispenser` (hashicorp/go-plugin v1.7.0
//! `rpc_server.go`).

use std::collections::HashMap;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::broker::Broker;
use crate::gob::{Encoded, Value};
use crate::net_rpc::{CallError, CallFuture, Reply, ReplyType, Service};

/// Plugins by the name that the host asks for.
pub(crate) type Plugins = HashMap<&'static str, Arc<dyn Service>>;

/// Go's `struct{}`.
static NOTHING: ReplyType = ReplyType::Struct {
    name: "",
    fields: &[],
};

/// `Ping` and `Quit`. Their argument, a bool, means nothing.
pub(crate) struct Control(pub(crate) CancellationToken);

impl Service for Control {
    fn call(&self, method: &str, _args: Encoded<'_>) -> CallFuture {
        let done = || Ok(Reply::new(&NOTHING, Value::Struct(Vec::new())));
        match method {
            "Ping" => Box::pin(async move { done() }),
            "Quit" => {
                let quit = self.0.clone();
                // Not before the call runs: only then does the server wait for its answer to be
                // sent before it goes.
                Box::pin(async move {
                    quit.cancel();
                    done()
                })
            }
            _ => {
                let method = method.into();
                Box::pin(async { Err(CallError::UnknownMethod { method }) })
            }
        }
    }
}

/// `Dispense`: from a plugin's name to the number of a stream that serves it.
pub(crate) struct Dispenser {
    pub(crate) plugins: Arc<Plugins>,
    pub(crate) broker: Broker,
}

impl Dispenser {
    fn dispense(&self, args: Encoded<'_>) -> Result<Reply, CallError> {
        let name: &str = args.deserialize().map_err(CallError::Arguments)?;
        let plugin = self.plugins.get(name);
        let plugin = plugin.ok_or_else(|| CallError::UnknownPlugin { name: name.into() })?;
        let id = self.broker.announce(Arc::clone(plugin));
        Ok(Reply::new(&ReplyType::Uint, Value::Uint(id.into())))
    }
}

impl Service for Dispenser {
    fn call(&self, method: &str, args: Encoded<'_>) -> CallFuture {
        let result = match method {
            "Dispense" => self.dispense(args),
            _ => Err(CallError::UnknownMethod {
                method: method.into(),
            }),
        };
        Box::pin(async { result })
    }
}
