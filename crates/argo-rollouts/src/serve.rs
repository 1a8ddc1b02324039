//! From net/rpc calls to a [`TrafficRouter`] and back: Go's `TrafficRouterRPCServer`
//! (argo-rollouts v1.10.1 `rollout/trafficrouting/plugin/rpc/rpc.go`).

use std::error::Error;
use std::future::Future;
use std::sync::Arc;

use go_plugin::gob::{Encoded, Value};
use go_plugin::{CallError, CallFuture, Chain, Handshake, Reply, ReplyType, ServeError, Server};

use crate::args::Arguments;
use crate::router::{TrafficRouter, Verified};

/// What the controller and its traffic-router plugins agreed on (argo-rollouts v1.10.1
/// `rollout/trafficrouting/plugin/client/client.go`, `handshakeConfig`).
pub const HANDSHAKE: Handshake = Handshake {
    cookie_key: "ARGO_ROLLOUTS_RPC_PLUGIN",
    cookie_value: "trafficrouter",
    protocol_version: 1,
};

/// The name by which the controller dispenses the router (the same file, `pluginMap`).
const PLUGIN: &str = "RpcTrafficRouterPlugin";

/// Go's `types.RpcError`; an empty text is no error.
static RPC_ERROR: ReplyType = ReplyType::Struct {
    name: "RpcError",
    fields: RPC_ERROR_FIELDS,
};
const RPC_ERROR_FIELDS: &[(&str, ReplyType)] = &[("ErrorString", ReplyType::String)];

/// Go's `rpc.VerifyWeightResponse`.
static VERIFY_WEIGHT_RESPONSE: ReplyType = ReplyType::Struct {
    name: "VerifyWeightResponse",
    fields: &[
        ("Verified", ReplyType::Int),
        (
            "Err",
            ReplyType::Struct {
                name: "RpcError",
                fields: RPC_ERROR_FIELDS,
            },
        ),
    ],
};

/// Serves `router` to the controller until the controller says quit or is gone.
///
/// Logs with `tracing` reach the controller's log through
/// [`hclog::stderr`](go_plugin::hclog::stderr). Stdout must be left alone. Run by hand it gives an
/// error that says what the program is; [`exit_code`](go_plugin::exit_code) prints it.
pub async fn serve(router: impl TrafficRouter) -> Result<(), ServeError> {
    let service = Arc::new(Service(Arc::new(router)));
    Server::new(HANDSHAKE).plugin(PLUGIN, service).serve().await
}

struct Service<R>(Arc<R>);

impl<R: TrafficRouter> go_plugin::Service for Service<R> {
    fn call(&self, method: &str, args: Encoded<'_>) -> CallFuture {
        let router = Arc::clone(&self.0);
        match method {
            "InitPlugin" => Box::pin(async move { Ok(error_reply(router.init_plugin().await)) }),
            "UpdateHash" => with(args, move |args| async move {
                Ok(error_reply(router.update_hash(args).await))
            }),
            "SetWeight" => with(args, move |args| async move {
                Ok(error_reply(router.set_weight(args).await))
            }),
            "SetHeaderRoute" => with(args, move |args| async move {
                Ok(error_reply(router.set_header_route(args).await))
            }),
            "SetMirrorRoute" => with(args, move |args| async move {
                Ok(error_reply(router.set_mirror_route(args).await))
            }),
            "VerifyWeight" => with(args, move |args| async move {
                Ok(verified_reply(router.verify_weight(args).await))
            }),
            "RemoveManagedRoutes" => with(args, move |args| async move {
                Ok(error_reply(router.remove_managed_routes(args).await))
            }),
            "Type" => {
                Box::pin(
                    async move { Ok(Reply::new(&ReplyType::String, Value::string(router.kind()))) },
                )
            }
            _ => {
                let method = method.into();
                Box::pin(async { Err(CallError::UnknownMethod { method }) })
            }
        }
    }
}

/// Reads the arguments and starts `call` with them.
fn with<A, F, R>(args: Encoded<'_>, call: F) -> CallFuture
where
    A: Arguments,
    F: FnOnce(A) -> R,
    R: Future<Output = Result<Reply, CallError>> + Send + 'static,
{
    match read(args) {
        // As it is: a future around this one would have room for it twice, and it holds a Rollout.
        Ok(args) => Box::pin(call(args)),
        Err(error) => Box::pin(async { Err(error) }),
    }
}

/// Arguments come as an interface that holds a struct of a registered name; nil reads as default.
fn read<A: Arguments>(encoded: Encoded<'_>) -> Result<A, CallError> {
    if encoded.is_nil() {
        return Ok(A::default());
    }
    let found = encoded.interface_name();
    if found != Some(A::NAME) {
        return Err(CallError::ArgumentType {
            found: found.unwrap_or_default().into(),
            expected: A::NAME,
        });
    }
    let mut args: A = encoded.deserialize().map_err(CallError::Arguments)?;
    args.rollout_mut().restore_zeros();
    Ok(args)
}

fn error_reply<E: Error + 'static>(result: Result<(), E>) -> Reply {
    Reply::new(&RPC_ERROR, rpc_error(result.err()))
}

fn verified_reply<E: Error + 'static>(result: Result<Verified, E>) -> Reply {
    let (verified, error) = match result {
        Ok(verified) => (verified, None),
        Err(error) => (Verified::NotVerified, Some(error)),
    };
    let number = match verified {
        Verified::NotVerified => 0,
        Verified::Verified => 1,
        Verified::NotImplemented => 2,
    };
    let fields = vec![(0, Value::Int(number)), (1, rpc_error(error))];
    Reply::new(&VERIFY_WEIGHT_RESPONSE, Value::Struct(fields))
}

/// The edge where the chain of an error becomes one line. Go takes an empty text for success.
fn rpc_error<E: Error + 'static>(error: Option<E>) -> Value {
    let fields = error.map(|error| {
        let mut line = Chain(&error).to_string();
        if line.is_empty() {
            line.push_str("failed without a reason");
        }
        (0, Value::string(line))
    });
    Value::Struct(fields.into_iter().collect())
}

#[cfg(test)]
mod tests;
