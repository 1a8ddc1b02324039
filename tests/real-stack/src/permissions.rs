//! What the plugin has asked of the API server in a run, against the roles in `manifests/base/rbac.yaml`: every request has to be
//! allowed by these alone, and every permission has to be used.
//!
//! The plugin has the controller's service account, which Argo's own role lets do more. So the API server's authorizer can't tell, and
//! the audit log is read: there a request has the program's name, and the rules are applied to it here.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use scenarios::read_yaml;
use serde_json::{Value, json};

use crate::error::Error;
use crate::stack::ARGO_NAMESPACE;

/// The log's file in the run's folder.
pub(crate) const LOG: &str = "audit.log";
/// How the plugin calls itself to the API server (`rollout-plugin/src/cluster/client.rs`).
const AGENT: &str = "serin/";

/// Permissions that a run needn't use, and why they are there all the same: resource, verb, reason.
const SELDOM: &[(&str, &str, &str)] = &[
    (
        "destinationrules",
        "get",
        "read past the cache when somebody else's write came first, or a write had no answer (`Cluster::judge`)",
    ),
    (
        "services",
        "get",
        "read when a Rollout becomes blue-green in mid-canary, which rollout-plugin's own tests do and no scenario does",
    ),
    (
        "trafficextensions",
        "watch",
        "Istio 1.30 introduces the kind, and the scenarios run on 1.29",
    ),
    ("trafficextensions", "patch", "the same"),
];

/// What the API server writes down: the requests of the controller's service account, and what they were for.
pub(crate) fn policy() -> Value {
    let user = format!("system:serviceaccount:{ARGO_NAMESPACE}:argo-rollouts");
    json!({
        "apiVersion": "audit.k8s.io/v1",
        "kind": "Policy",
        "omitStages": ["RequestReceived"],
        "rules": [
            {"level": "Metadata", "users": [user], "omitManagedFields": true},
            {"level": "None"},
        ],
    })
}

/// One verb of one resource, everywhere or in one namespace.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Permission {
    /// Empty for all of them.
    namespace: String,
    group: String,
    resource: String,
    verb: String,
}

impl Permission {
    fn allows(&self, request: &Self) -> bool {
        (self.namespace.is_empty() || self.namespace == request.namespace)
            && self.group == request.group
            && self.resource == request.resource
            && self.verb == request.verb
    }
}

impl std::fmt::Display for Permission {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let group = if self.group.is_empty() { "" } else { "." };
        write!(
            formatter,
            "{} {}{group}{}",
            self.verb, self.resource, self.group
        )?;
        if self.namespace.is_empty() {
            return Ok(());
        }
        write!(formatter, " in {}", self.namespace)
    }
}

/// Reads roles and log; prints what is missing or spare, and returns whether nothing is.
pub(crate) fn are_exact(folder: &Path, manifests: &Path) -> Result<bool, Error> {
    let roles = read_yaml(&manifests.join("base/rbac.yaml"))?;
    let granted = granted(&roles);
    let path = folder.join(LOG);
    let log = fs::read_to_string(&path).map_err(Error::file("read", &path))?;
    let asked: BTreeSet<Permission> = log.lines().filter_map(asked).collect();
    let faults = faults(&granted, &asked, SELDOM);
    for fault in &faults {
        println!("permissions: {fault}");
    }
    println!(
        "permissions: the plugin has used {} of {} in manifests/base/rbac.yaml, and {} kinds of requests",
        granted
            .iter()
            .filter(|one| asked.iter().any(|request| one.allows(request)))
            .count(),
        granted.len(),
        asked.len()
    );
    Ok(faults.is_empty())
}

/// What the roles allow.
fn granted(roles: &[Value]) -> Vec<Permission> {
    let mut granted = Vec::new();
    for role in roles {
        let namespace = match role["kind"].as_str() {
            Some("ClusterRole") => "",
            Some("Role") => text(role, "/metadata/namespace"),
            _ => continue,
        };
        for rule in role["rules"].as_array().into_iter().flatten() {
            for group in texts(rule, "apiGroups") {
                for resource in texts(rule, "resources") {
                    for verb in texts(rule, "verbs") {
                        granted.push(Permission {
                            namespace: namespace.to_owned(),
                            group: group.to_owned(),
                            resource: resource.to_owned(),
                            verb: verb.to_owned(),
                        });
                    }
                }
            }
        }
    }
    granted
}

/// What a line of the log says that the plugin has asked for; `None` for others' requests, and for those of no resource.
fn asked(line: &str) -> Option<Permission> {
    let event: Value = serde_json::from_str(line).ok()?;
    if !text(&event, "/userAgent").starts_with(AGENT) {
        return None;
    }
    let object = event.get("objectRef")?;
    let part = text(object, "/subresource");
    let resource = text(object, "/resource");
    Some(Permission {
        namespace: text(object, "/namespace").to_owned(),
        group: text(object, "/apiGroup").to_owned(),
        resource: if part.is_empty() {
            resource.to_owned()
        } else {
            format!("{resource}/{part}")
        },
        verb: text(&event, "/verb").to_owned(),
    })
}

fn faults(
    granted: &[Permission],
    asked: &BTreeSet<Permission>,
    seldom: &[(&str, &str, &str)],
) -> Vec<String> {
    let missing = asked
        .iter()
        .filter(|request| !granted.iter().any(|one| one.allows(request)))
        .map(|request| format!("the roles don't allow {request}, which the plugin has asked for"));
    let is_seldom = |one: &Permission| {
        let mut all = seldom.iter();
        all.any(|(resource, verb, _)| *resource == one.resource && *verb == one.verb)
    };
    let spare = granted
        .iter()
        .filter(|one| !is_seldom(one) && !asked.iter().any(|request| one.allows(request)))
        .map(|one| format!("the roles allow {one}, which no scenario has needed"));
    missing.chain(spare).collect()
}

fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    let found = value.pointer(pointer).and_then(Value::as_str);
    found.unwrap_or_default()
}

fn texts<'a>(value: &'a Value, field: &str) -> impl Iterator<Item = &'a str> {
    let list = value.get(field).and_then(Value::as_array);
    list.into_iter().flatten().filter_map(Value::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(agent: &str, verb: &str, resource: &str, namespace: &str) -> String {
        json!({
            "userAgent": agent, "verb": verb,
            "objectRef": {"resource": resource, "namespace": namespace, "apiGroup": "g"},
        })
        .to_string()
    }

    fn roles() -> Vec<Permission> {
        granted(&[
            json!({"kind": "ClusterRole", "rules": [{"apiGroups": ["g"], "resources": ["a"], "verbs": ["get", "list"]}]}),
            json!({"kind": "Role", "metadata": {"namespace": "n"}, "rules": [{"apiGroups": ["g"], "resources": ["b"], "verbs": ["get"]}]}),
            json!({"kind": "ClusterRoleBinding"}),
        ])
    }

    fn found(lines: &[String], seldom: &[(&str, &str, &str)]) -> Vec<String> {
        let asked = lines.iter().filter_map(|line| asked(line)).collect();
        faults(&roles(), &asked, seldom)
    }

    #[test]
    fn what_is_used_and_allowed_is_fine() {
        let lines = [
            line("serin/1", "get", "a", "x"),
            line("serin/1", "list", "a", ""),
            line("serin/1", "get", "b", "n"),
            line("rollouts-controller", "delete", "a", "x"),
            "{broken".to_owned(),
        ];
        assert_eq!(found(&lines, &[]), Vec::<String>::new());
    }

    #[test]
    fn a_request_that_no_rule_allows_and_a_rule_that_no_request_needs_are_named() {
        let lines = [
            line("serin/1", "get", "a", "x"),
            line("serin/1", "patch", "a", "x"),
            line("serin/1", "get", "b", "other"),
        ];
        let found = found(&lines, &[("a", "list", "why")]);
        assert_eq!(
            found,
            [
                "the roles don't allow get b.g in other, which the plugin has asked for",
                "the roles don't allow patch a.g in x, which the plugin has asked for",
                "the roles allow get b.g in n, which no scenario has needed",
            ]
        );
    }
}
