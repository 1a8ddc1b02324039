//! The stories that are played: what analysis a Rollout has, and where it has to end.

use serde_json::{Value, json};

use crate::promtool::texts;
use crate::{canary::WEB, prometheus};

/// What is played.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Story {
    /// A bad canary, judged by the shipped templates.
    Bad,
    /// A bad canary, judged by what the callers' Envoys count.
    BadBySubset,
    /// A good canary of whose version there is no data.
    WithoutData,
    /// A good canary, judged by the shipped templates in a step.
    Good,
}

impl Story {
    pub(crate) const ALL: [Self; 4] = [Self::Bad, Self::BadBySubset, Self::WithoutData, Self::Good];

    pub(crate) fn namespace(self) -> &'static str {
        match self {
            Self::Bad => "bad",
            Self::BadBySubset => "bad-by-subset",
            Self::WithoutData => "without-data",
            Self::Good => "good",
        }
    }

    pub(crate) fn is_bad(self) -> bool {
        matches!(self, Self::Bad | Self::BadBySubset)
    }

    /// The Rollout's analysis in the background, and its steps.
    pub(crate) fn strategy(self) -> (Value, Value) {
        let namespace = json!({"name": "namespace", "value": self.namespace()});
        let prometheus = json!({"name": "prometheus", "value": prometheus::URL});
        let shipped = ["serin-success-rate", "serin-latency", "serin-lanes"];
        let shipped = shipped.map(|name| json!({"templateName": name, "clusterScope": true}));
        // The defaults are for minutes.
        let short = [
            ("rollout", WEB),
            ("window", "10s"),
            ("initial-delay", "4s"),
            ("interval", "2s"),
        ];
        let short = short.map(|(name, value)| json!({"name": name, "value": value}));
        let arguments = |own: &[Value]| -> Vec<Value> {
            let both = [namespace.clone(), prometheus.clone()];
            both.into_iter()
                .chain(short.clone())
                .chain(own.iter().cloned())
                .collect()
        };
        let version = json!({"name": "version", "valueFrom": {"podTemplateHashValue": "Latest"}});
        let steps = json!([{"setWeight": 30}, {"pause": {}}]);
        let background = |templates: Value, arguments: Value| json!({"startingStep": 1, "templates": templates, "args": arguments});
        match self {
            Self::Bad => {
                // The first window may be too short for enough requests.
                let patient = json!({"name": "inconclusive-limit", "value": "5"});
                let arguments = arguments(&[version, patient]);
                (background(json!(shipped), json!(arguments)), steps)
            }
            Self::BadBySubset => {
                let templates = json!([{"templateName": "by-subset"}]);
                (background(templates, json!([namespace, prometheus])), steps)
            }
            Self::WithoutData => {
                let label = json!({"name": "version-label", "value": "destination_version"});
                let version = json!({"name": "version", "value": "none-has-it"});
                let templates =
                    json!([{"templateName": "serin-success-rate", "clusterScope": true}]);
                (
                    background(templates, json!(arguments(&[label, version]))),
                    steps,
                )
            }
            Self::Good => {
                let count = json!({"name": "count", "value": "3"});
                let step = json!({"templates": shipped, "args": arguments(&[version, count])});
                (
                    Value::Null,
                    json!([{"setWeight": 30}, {"pause": {"duration": "8s"}}, {"analysis": step}, {"pause": {}}]),
                )
            }
        }
    }

    /// True once the controller has done with the analysis.
    pub(crate) fn has_ended(self, status: &Value) -> bool {
        let text = |pointer| status.pointer(pointer).and_then(Value::as_str);
        match self {
            Self::Bad | Self::BadBySubset => {
                status.pointer("/abort") == Some(&Value::Bool(true))
                    && text("/phase") == Some("Degraded")
            }
            Self::WithoutData => {
                let reasons = status
                    .pointer("/pauseConditions")
                    .map(|all| texts(all, "reason"));
                reasons.is_some_and(|all| all.iter().any(|one| one == "InconclusiveAnalysisRun"))
            }
            Self::Good => {
                status.pointer("/currentStepIndex") == Some(&json!(3))
                    && text("/phase") == Some("Paused")
            }
        }
    }

    /// The phase of the run that has decided.
    pub(crate) fn phase(self) -> &'static str {
        match self {
            Self::Bad | Self::BadBySubset => "Failed",
            Self::WithoutData => "Inconclusive",
            Self::Good => "Successful",
        }
    }
}
