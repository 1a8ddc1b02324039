//! What an error shows of a route: all of it but the lane secret, since errors get into events and logs.

use std::fmt;

use serde_json::Value;
use traffic_policy::{Lane, lane_header};

use crate::core::flow::Flow;
use crate::core::routing::Routing;

/// Stands for the configuration's `laneSecret`.
pub(super) const PLACEHOLDER: &str = "<laneSecret>";

/// Writes the value as [`Flow`] does, with a placeholder for the secret wherever the Rollout's lane header is matched.
pub(super) struct Shown<'a> {
    pub(super) value: &'a Value,
    pub(super) routing: &'a Routing,
}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rollout = &self.routing.rollout;
        let header = lane_header(&rollout.namespace, &rollout.name);
        let mut value = self.value.clone();
        hide(
            &mut value,
            &header,
            false,
            self.routing.lane_secret.as_deref(),
        );
        Flow(&value).fmt(f)
    }
}

/// `inside`: whether this is what the lane header is held against.
fn hide(value: &mut Value, header: &str, inside: bool, secret: Option<&str>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                let inside = inside || name.eq_ignore_ascii_case(header);
                hide(value, header, inside, secret);
            }
        }
        Value::Array(items) => {
            for item in items {
                hide(item, header, inside, secret);
            }
        }
        Value::String(text) if inside => *text = hidden(text, secret),
        _ => {}
    }
}

/// Another secret than the configuration's is one too: an older one, or the one to come.
fn hidden(text: &str, secret: Option<&str>) -> String {
    match text.split_once('.') {
        Some((lane, behind)) if Lane::named(lane).is_some() => {
            if Some(behind) == secret {
                format!("{lane}.{PLACEHOLDER}")
            } else {
                format!("{lane}.<another secret>")
            }
        }
        None if secret.is_none() || Lane::named(text).is_some() => text.to_owned(),
        _ => "<no lane>".to_owned(),
    }
}
