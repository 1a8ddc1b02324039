//! What a route does with a request: sends it to clusters, elsewhere, or answers it (Istio 1.29 `route.go`,
//! `applyHTTPRouteDestination`, `ApplyRedirect`, `ApplyDirectResponse`; `retry/retry.go`).

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::route::{Context, time};
use super::value::{map, percent, typed, whole_percent};
use super::{PORT, names};
use crate::mesh::Via;
use crate::mesh::model::{
    Destination, DirectResponse, HeaderOperations, Headers, Percent, Problems, Redirect, Retries,
    Route, Trouble, Weighted,
};

/// Changes to headers, as Envoy's JSON.
#[derive(Clone, Debug, Default)]
pub(super) struct Edits {
    request_add: Vec<Value>,
    request_remove: Vec<Value>,
    response_add: Vec<Value>,
    response_remove: Vec<Value>,
    /// The new authority, which Envoy takes as a rewrite and not as a header.
    authority: Option<String>,
}

impl Edits {
    /// `TranslateHeadersOperations`.
    pub(super) fn of(headers: &Headers) -> Self {
        let (request_add, authority) = additions(&headers.request);
        let (response_add, _) = additions(&headers.response);
        Self {
            request_add,
            request_remove: removals(&headers.request),
            response_add,
            response_remove: removals(&headers.response),
            authority,
        }
    }

    /// A single destination's changes come after the route's own.
    fn append(&mut self, other: Self) {
        self.request_add.extend(other.request_add);
        self.request_remove.extend(other.request_remove);
        self.response_add.extend(other.response_add);
        self.response_remove.extend(other.response_remove);
    }

    /// Puts the changes into a route or a weighted cluster.
    pub(super) fn write(self, into: &mut Map<String, Value>) {
        for (field, list) in [
            ("request_headers_to_add", self.request_add),
            ("request_headers_to_remove", self.request_remove),
            ("response_headers_to_add", self.response_add),
            ("response_headers_to_remove", self.response_remove),
        ] {
            if !list.is_empty() {
                into.insert(field.to_owned(), Value::from(list));
            }
        }
    }
}

fn additions(operations: &HeaderOperations) -> (Vec<Value>, Option<String>) {
    let list = |headers: &BTreeMap<String, String>, action: &str| {
        let headers = headers.iter().filter(|(name, _)| !is_internal(name));
        headers
            .map(|(key, value)| json!({"header": {"key": key, "value": value}, "append_action": action}))
            .collect::<Vec<Value>>()
    };
    let authority = |headers: &BTreeMap<String, String>| {
        let is_authority = |name: &str| {
            name.eq_ignore_ascii_case("host") || name.eq_ignore_ascii_case(":authority")
        };
        headers
            .iter()
            .find(|(name, _)| is_authority(name))
            .map(|(_, value)| value.clone())
    };
    let mut all = list(&operations.set, "OVERWRITE_IF_EXISTS_OR_ADD");
    all.extend(list(&operations.add, "APPEND_IF_EXISTS_OR_ADD"));
    (
        all,
        authority(&operations.set).or_else(|| authority(&operations.add)),
    )
}

fn removals(operations: &HeaderOperations) -> Vec<Value> {
    operations
        .remove
        .iter()
        .filter(|name| !is_internal(name))
        .map(|name| Value::from(name.as_str()))
        .collect()
}

fn is_internal(name: &str) -> bool {
    name.starts_with(':') || name.eq_ignore_ascii_case("host")
}

/// A route to clusters: the name of the field, and what is in it. `edits` are the route's own.
pub(super) fn forward(
    context: Context<'_>,
    namespace: &str,
    route: &Route,
    edits: &mut Edits,
    at: &str,
    problems: &mut Problems<'_>,
) -> (&'static str, Value) {
    let cluster = |destination: &Destination| cluster(context, namespace, destination);
    let mut action = Map::new();
    // Istio's default is no limit, where Envoy's is 15 s.
    let timeout = route
        .timeout
        .as_ref()
        .and_then(|text| time(&format!("{at}.timeout"), text, problems));
    action.insert(
        "timeout".to_owned(),
        Value::from(timeout.unwrap_or_else(|| "0s".to_owned())),
    );
    let mut authority = edits.authority.take();
    if let Some(rewrite) = &route.rewrite {
        if let Some(regex) = &rewrite.uri_regex_rewrite {
            let rewrite =
                json!({"pattern": {"regex": regex.pattern}, "substitution": regex.rewrite});
            action.insert("regex_rewrite".to_owned(), rewrite);
        } else if !rewrite.uri.is_empty() {
            action.insert(
                "prefix_rewrite".to_owned(),
                Value::from(rewrite.uri.clone()),
            );
        }
        if !rewrite.authority.is_empty() {
            authority = Some(rewrite.authority.clone());
        }
    }
    let mut mirrors = Vec::new();
    if let Some(destination) = &route.mirror {
        mirrors.extend(mirror(
            cluster(destination),
            route.mirror_percentage,
            route.mirror_percent,
        ));
    }
    for one in &route.mirrors {
        let destination = one.destination.as_ref();
        mirrors.extend(
            destination.and_then(|destination| mirror(cluster(destination), one.percentage, None)),
        );
    }
    if !mirrors.is_empty() {
        action.insert("request_mirror_policies".to_owned(), Value::from(mirrors));
    }
    match route.route.as_slice() {
        [only] => {
            action.insert(
                "cluster".to_owned(),
                Value::from(cluster(&only.destination)),
            );
            let mut own = only.headers.as_ref().map(Edits::of).unwrap_or_default();
            authority = authority.or(own.authority.take());
            edits.append(own);
        }
        several => {
            let clusters = weighted(several, cluster);
            if clusters.is_empty() {
                problems.add(format!("{at}.route"), Trouble::NoWeight);
                // Envoy would refuse all routes for this one.
                return ("direct_response", json!({"status": 503}));
            }
            action.insert(
                "weighted_clusters".to_owned(),
                json!({"clusters": clusters}),
            );
        }
    }
    if let Some(authority) = authority {
        action.insert("host_rewrite_literal".to_owned(), Value::from(authority));
    }
    if let Some(policy) = retry(route.retries.as_ref(), at, problems) {
        action.insert("retry_policy".to_owned(), policy);
    }
    ("route", Value::from(action))
}

/// Destinations without weight are left out where there are several.
fn weighted(destinations: &[Weighted], cluster: impl Fn(&Destination) -> String) -> Vec<Value> {
    let weighty = destinations
        .iter()
        .filter(|destination| destination.weight > 0);
    weighty
        .map(|destination| {
            let name = cluster(&destination.destination);
            let mut json = map(json!({"name": name, "weight": destination.weight}));
            if let Some(headers) = &destination.headers {
                let mut edits = Edits::of(headers);
                if let Some(authority) = edits.authority.take() {
                    json.insert("host_rewrite_literal".to_owned(), Value::from(authority));
                }
                edits.write(&mut json);
            }
            Value::from(json)
        })
        .collect()
}

/// The cluster of a destination (`GetDestinationCluster`). Without a port it is the one at which the request came in;
/// a gateway takes the Service's only port, while a sidecar sees of each Service just the port that it listens on.
fn cluster(context: Context<'_>, namespace: &str, destination: &Destination) -> String {
    let host = names::full_host(&destination.host, namespace);
    let only = || {
        let service = context
            .world
            .services
            .iter()
            .find(|service| service.host() == host)?;
        match service.spec.ports.as_slice() {
            [only] if context.proxy.via == Via::Gateway => Some(only.port),
            _ => None,
        }
    };
    let port = destination
        .port
        .as_ref()
        .map(|port| port.number)
        .or_else(only)
        .unwrap_or(PORT);
    names::cluster(port, &destination.subset, &host)
}

/// Copies; none at 0 %. Envoy appends `-shadow` to a copy's authority, by which applications can tell (Istio turns that
/// off by default, with `DISABLE_SHADOW_HOST_SUFFIX`).
fn mirror(cluster: String, share: Option<Percent>, whole: Option<u32>) -> Option<Value> {
    let share = match (share, whole) {
        (Some(share), _) if share.value > 0.0 => percent(share),
        (None, Some(whole)) if whole > 0 => whole_percent(whole),
        (None, None) => whole_percent(100),
        _ => return None,
    };
    Some(json!({
        "cluster": cluster,
        "runtime_fraction": {"default_value": share},
        "trace_sampled": false,
        "disable_shadow_host_suffix_append": false,
    }))
}

/// `ConvertPolicy`: two retries where nothing is said, none where attempts are 0.
pub(super) fn retry(
    retries: Option<&Retries>,
    at: &str,
    problems: &mut Problems<'_>,
) -> Option<Value> {
    let previous_hosts = json!([{
        "name": "envoy.retry_host_predicates.previous_hosts",
        "typed_config": {"@type": typed("envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate")},
    }]);
    let mut policy = map(json!({
        "num_retries": 2,
        "retry_on": "connect-failure,refused-stream,unavailable,cancelled,retriable-status-codes",
        "host_selection_retry_max_attempts": "5",
        "retry_host_predicate": previous_hosts,
    }));
    let Some(retries) = retries else {
        return Some(Value::from(policy));
    };
    if retries.attempts <= 0 {
        return None;
    }
    let mut set = |field: &str, value: Value| policy.insert(field.to_owned(), value);
    set("num_retries", Value::from(retries.attempts));
    if !retries.retry_on.is_empty() {
        let (on, codes) = conditions(&retries.retry_on);
        set("retry_on", Value::from(on));
        set("retriable_status_codes", Value::from(codes));
    }
    if let Some(limit) = &retries.per_try_timeout
        && let Some(limit) = time(&format!("{at}.retries.perTryTimeout"), limit, problems)
    {
        set("per_try_timeout", Value::from(limit));
    }
    if let Some(backoff) = &retries.backoff
        && let Some(backoff) = time(&format!("{at}.retries.backoff"), backoff, problems)
    {
        set("retry_back_off", json!({"base_interval": backoff}));
    }
    if retries.retry_ignore_previous_hosts == Some(false) {
        policy.remove("retry_host_predicate");
    }
    Some(Value::from(policy))
}

/// Numbers among the conditions are status codes (`parseRetryOn`).
fn conditions(text: &str) -> (String, Vec<u16>) {
    let mut words = Vec::new();
    let mut codes = Vec::new();
    for part in text
        .split(',')
        .map(str::trim)
        .filter(|part| !part.is_empty())
    {
        match part.parse() {
            Ok(code) if (100..600).contains(&code) => codes.push(code),
            _ => words.push(part),
        }
    }
    if !codes.is_empty() && !words.contains(&"retriable-status-codes") {
        words.push("retriable-status-codes");
    }
    (words.join(","), codes)
}

pub(super) fn redirect(redirect: &Redirect, at: &str, problems: &mut Problems<'_>) -> Value {
    let mut json = Map::new();
    let mut set = |field: &str, text: &str| {
        if !text.is_empty() {
            json.insert(field.to_owned(), Value::from(text));
        }
    };
    set("host_redirect", &redirect.authority);
    set("path_redirect", &redirect.uri);
    set("scheme_redirect", &redirect.scheme);
    set(
        "response_code",
        match redirect.redirect_code {
            0 | 301 => "MOVED_PERMANENTLY",
            302 => "FOUND",
            303 => "SEE_OTHER",
            307 => "TEMPORARY_REDIRECT",
            308 => "PERMANENT_REDIRECT",
            other => {
                let field = format!("{at}.redirect.redirectCode");
                problems.value(field, other.to_string(), "301, 302, 303, 307 or 308");
                "MOVED_PERMANENTLY"
            }
        },
    );
    let port = match redirect.derive_port.as_deref() {
        Some("FROM_REQUEST_PORT") => Some(u32::from(PORT)),
        _ => redirect.port,
    };
    // Requests come in by plain HTTP; the default port of a scheme is not written out.
    let default = if redirect.scheme == "https" { 443 } else { 80 };
    if let Some(port) = port.filter(|port| *port != default) {
        json.insert("port_redirect".to_owned(), Value::from(port));
    }
    Value::from(json)
}

pub(super) fn direct_response(response: &DirectResponse) -> Value {
    let mut json = map(json!({"status": response.status}));
    if let Some(body) = &response.body {
        let body = match (&body.string, &body.bytes) {
            (Some(text), _) => json!({"inline_string": text}),
            (None, Some(bytes)) => json!({"inline_bytes": bytes}),
            (None, None) => return Value::from(json),
        };
        json.insert("body".to_owned(), body);
    }
    Value::from(json)
}
