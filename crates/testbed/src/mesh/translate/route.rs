//! The routes of one VirtualService, in its order (Istio 1.29 `route.go`, `BuildHTTPRoutesForVirtualService` and
//! `TranslateRoute`).

use serde_json::{Map, Value, json};

use super::action::{self, Edits};
use super::request::RequestMatch;
use super::value::{duration, map, percent, string_match, typed, whole_percent};
use super::{PORT, Proxy, World, names};
use crate::mesh::model::{Cors, Fault, Match, Named, Problem, Problems, Route, VirtualService};

/// One of Envoy's routes.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Translated {
    pub(super) json: Value,
    /// Whether it takes every request that comes to it.
    pub(super) all: bool,
}

/// For whom routes are made.
#[derive(Clone, Copy, Debug)]
pub(super) struct Context<'a> {
    pub(super) world: &'a World,
    pub(super) proxy: &'a Proxy,
    /// `mesh`, or a gateway's `namespace/name`.
    pub(super) gateway: &'a str,
}

/// The routes of `service` there; none if none is for this proxy. Those after one that takes everything are left out.
pub(super) fn routes(
    context: Context<'_>,
    service: &Named<VirtualService>,
    problems: &mut Vec<Problem>,
) -> Vec<Translated> {
    let mut problems = Problems::of("VirtualService", &service.meta, problems);
    let mut translated = Vec::new();
    for (index, written) in service.spec.http.iter().enumerate() {
        let at = format!("spec.http[{index}]");
        let Some(route) = problems.read::<Route>(&at, written) else {
            continue;
        };
        if route.delegate.is_some() {
            problems.untranslated(format!("{at}.delegate"));
            continue;
        }
        let mut entries: Vec<Option<&Match>> = route.matches.iter().map(Some).collect();
        if entries.is_empty() {
            entries.push(None);
        }
        for entry in entries {
            if entry.is_some_and(|entry| !is_for(context, service, entry)) {
                continue;
            }
            let one = translate(context, service, &route, entry, &at, &mut problems);
            let all = one.all;
            translated.push(one);
            if all {
                return translated;
            }
        }
    }
    translated
}

/// Whether an entry is for this proxy (`sourceMatchHTTP`).
fn is_for(context: Context<'_>, service: &Named<VirtualService>, entry: &Match) -> bool {
    if entry.port != 0 && entry.port != PORT {
        return false;
    }
    if entry.gateways.is_empty() {
        let namespace = &entry.source_namespace;
        context.proxy.has(&entry.source_labels)
            && (namespace.is_empty() || namespace == context.proxy.namespace)
    } else {
        let full = |gateway: &String| names::full_gateway(gateway, &service.meta.namespace);
        entry
            .gateways
            .iter()
            .any(|gateway| full(gateway) == context.gateway)
    }
}

fn translate(
    context: Context<'_>,
    service: &Named<VirtualService>,
    route: &Route,
    entry: Option<&Match>,
    at: &str,
    problems: &mut Problems<'_>,
) -> Translated {
    let request = entry.map_or_else(RequestMatch::any, RequestMatch::of);
    let name = match entry {
        Some(entry) if !entry.name.is_empty() => format!("{}.{}", route.name, entry.name),
        _ => route.name.clone(),
    };
    let config = format!(
        "/apis/networking.istio.io/v1/namespaces/{}/virtual-service/{}",
        service.meta.namespace, service.meta.name
    );
    let mut json = map(json!({
        "name": name,
        "match": request.json,
        "metadata": {"filter_metadata": {"istio": {"config": config}}},
    }));
    if let Some(entry) = entry.filter(|entry| !entry.stat_prefix.is_empty()) {
        json.insert(
            "stat_prefix".to_owned(),
            Value::from(entry.stat_prefix.clone()),
        );
    }
    let mut edits = route.headers.as_ref().map(Edits::of).unwrap_or_default();
    let (kind, action) = if let Some(redirect) = &route.redirect {
        ("redirect", action::redirect(redirect, at, problems))
    } else if let Some(response) = &route.direct_response {
        ("direct_response", action::direct_response(response))
    } else {
        let namespace = &service.meta.namespace;
        action::forward(context, namespace, route, &mut edits, at, problems)
    };
    json.insert(kind.to_owned(), action);
    edits.write(&mut json);
    let mut filters = Map::new();
    if let Some(fault) = &route.fault {
        filters.insert(
            "envoy.filters.http.fault".to_owned(),
            self::fault(fault, at, problems),
        );
    }
    if let Some(cors) = &route.cors_policy {
        filters.insert(
            "envoy.filters.http.cors".to_owned(),
            self::cors(cors, at, problems),
        );
    }
    if !filters.is_empty() {
        json.insert("typed_per_filter_config".to_owned(), Value::from(filters));
    }
    Translated {
        json: Value::from(json),
        all: request.all,
    }
}

/// `TranslateFault`.
fn fault(fault: &Fault, at: &str, problems: &mut Problems<'_>) -> Value {
    let mut json = Map::new();
    json.insert(
        "@type".to_owned(),
        typed("envoy.extensions.filters.http.fault.v3.HTTPFault"),
    );
    if let Some(delay) = &fault.delay {
        let field = format!("{at}.fault.delay.fixedDelay");
        if let Some(fixed) = time(
            &field,
            delay.fixed_delay.as_deref().unwrap_or_default(),
            problems,
        ) {
            let share = delay
                .percentage
                .map_or_else(|| whole_percent(delay.percent), percent);
            json.insert(
                "delay".to_owned(),
                json!({"fixed_delay": fixed, "percentage": share}),
            );
        }
    }
    if let Some(abort) = &fault.abort {
        match abort.http_status {
            Some(status) => {
                let share = abort.percentage.map_or_else(|| whole_percent(0), percent);
                json.insert(
                    "abort".to_owned(),
                    json!({"http_status": status, "percentage": share}),
                );
            }
            None => problems.value(format!("{at}.fault.abort"), "", "an httpStatus"),
        }
    }
    Value::from(json)
}

/// `TranslateCORSPolicy`.
fn cors(cors: &Cors, at: &str, problems: &mut Problems<'_>) -> Value {
    let mut origins: Vec<Value> = cors.allow_origins.iter().filter_map(string_match).collect();
    if cors.allow_origins.is_empty() {
        origins = cors
            .allow_origin
            .iter()
            .map(|origin| json!({"exact": origin}))
            .collect();
    }
    let mut json = map(json!({
        "@type": typed("envoy.extensions.filters.http.cors.v3.CorsPolicy"),
        "allow_origin_string_match": origins,
        "allow_methods": cors.allow_methods.join(","),
        "allow_headers": cors.allow_headers.join(","),
        "expose_headers": cors.expose_headers.join(","),
        "filter_enabled": {"default_value": whole_percent(100)},
        "forward_not_matching_preflights": cors.unmatched_preflights != "IGNORE",
    }));
    if let Some(allow) = cors.allow_credentials {
        json.insert("allow_credentials".to_owned(), Value::from(allow));
    }
    if let Some(age) = &cors.max_age
        && let Some(age) = time(&format!("{at}.corsPolicy.maxAge"), age, problems)
    {
        let seconds = age
            .trim_end_matches('s')
            .split('.')
            .next()
            .unwrap_or_default()
            .to_owned();
        json.insert("max_age".to_owned(), Value::from(seconds));
    }
    Value::from(json)
}

/// The duration in `field`, or a problem.
pub(super) fn time(field: &str, text: &str, problems: &mut Problems<'_>) -> Option<String> {
    let time = duration(text);
    if time.is_none() {
        problems.value(field, text, "a duration, as in 1.5s");
    }
    time
}
