//! What is kept of a scenario beside the programs' logs.

use std::path::Path;

use serde_json::Value;

use super::{DESTINATION_RULE, Drive, Stack};
use crate::api::{self, ROLLOUT, VIRTUAL_SERVICE};

impl<S: Stack> Drive<'_, S> {
    /// Saves objects and events beside the logs; what can't be read is left out.
    pub(super) async fn save(&self, folder: &Path) {
        let name = &self.scenario.name;
        let mut text = self.timeline.join("\n");
        text.push('\n');
        for kind in [ROLLOUT, VIRTUAL_SERVICE, DESTINATION_RULE] {
            for object in self
                .shared
                .cluster
                .list(kind, Some(name))
                .await
                .unwrap_or_default()
            {
                text.push_str(&serde_json::to_string_pretty(&object).unwrap_or_default());
                text.push('\n');
            }
        }
        for event in self
            .shared
            .cluster
            .list(api::EVENT, Some(name))
            .await
            .unwrap_or_default()
        {
            let field = |path: &str| {
                event
                    .pointer(path)
                    .and_then(Value::as_str)
                    .unwrap_or_default()
                    .to_owned()
            };
            text.extend(
                [
                    "/lastTimestamp",
                    "/type",
                    "/involvedObject/name",
                    "/reason",
                    "/message",
                ]
                .map(|path| field(path) + " "),
            );
            text.push('\n');
        }
        // The verdict stands without it.
        let _ = std::fs::write(folder.join(format!("scenario-{name}.log")), text);
    }
}
