//! What a scenario's table has to keep beyond its syntax.

use std::path::Path;

use super::{Action, Module, Scenario};
use crate::api;
use crate::error::Error;
use crate::judge::RATE;
use testbed::mesh::Via;

/// The kinds that other tools apply again.
const REAPPLIED: [&str; 2] = ["VirtualService", "DestinationRule"];

impl Scenario {
    /// Names fit together, and the streams have the rate that is judged.
    pub(super) fn check(&self, path: &Path) -> Result<(), Error> {
        let streams: Vec<String> = self
            .table
            .stream
            .iter()
            .map(|stream| stream.name.clone())
            .collect();
        for via in Via::ALL {
            let streams = self.table.stream.iter();
            let rates: Vec<u32> = streams
                .filter(|stream| stream.ways().contains(&via))
                .map(|stream| stream.rate)
                .collect();
            let rate: u32 = rates.iter().sum();
            if !rates.is_empty() && rate < RATE {
                return Err(Error::Rate {
                    path: path.to_path_buf(),
                    via: via.word(),
                    rate,
                    least: RATE,
                });
            }
        }
        let rollouts = self.rollouts();
        let known = |field, value: &str, among: &[String]| {
            if among.iter().any(|name| name == value) {
                return Ok(());
            }
            Err(Error::Reference {
                path: path.to_path_buf(),
                field,
                value: value.to_owned(),
                expected: format!("one of {}", among.join(", ")),
            })
        };
        self.check_cookies(path)?;
        for stream in &self.table.stream {
            if let Some(rollout) = &stream.rollout {
                known("stream.rollout", rollout, &rollouts)?;
            }
        }
        for step in &self.table.step {
            for action in &step.actions {
                match action {
                    Action::SetImage { rollout, .. }
                    | Action::Promote { rollout }
                    | Action::PromoteFull { rollout }
                    | Action::Retry { rollout }
                    | Action::Scale { rollout, .. }
                    | Action::AddMatches { rollout, .. }
                    | Action::DeleteCanaryPods { rollout }
                    | Action::Move { rollout, .. }
                    | Action::DeletePolicy { rollout }
                    | Action::DeleteRollout { rollout }
                    | Action::Abort { rollout } => {
                        known("step.actions.rollout", rollout, &rollouts)?;
                    }
                    Action::EditRoute {
                        virtual_service, ..
                    }
                    | Action::AddRoute {
                        virtual_service, ..
                    } => {
                        let all = self.named(api::VIRTUAL_SERVICE.1);
                        known("step.actions.virtual-service", virtual_service, &all)?;
                    }
                    Action::Reapply { kind, name } | Action::KeepReapplying { kind, name, .. } => {
                        known("step.actions.kind", kind, &REAPPLIED.map(str::to_owned))?;
                        known("step.actions.name", name, &self.named(kind))?;
                    }
                    Action::RotateToken {} if self.table.real_only.is_none() => {
                        let expected =
                            "no such step without `real-only`: the embedded cluster has no tokens";
                        return Err(Error::Reference {
                            path: path.to_path_buf(),
                            field: "step.actions.do",
                            value: "rotate-token".to_owned(),
                            expected: expected.to_owned(),
                        });
                    }
                    Action::Sync { .. }
                    | Action::KillController { .. }
                    | Action::RotateToken {}
                    | Action::UpgradeIstio {} => {}
                }
            }
            for until in &step.until {
                known("step.until.rollout", &until.rollout, &rollouts)?;
            }
            for rollout in &step.clean {
                known("step.clean", rollout, &rollouts)?;
            }
            for told in &step.events {
                known("step.events.rollout", &told.rollout, &rollouts)?;
            }
            for expect in &step.expect {
                known("step.expect.stream", &expect.stream, &streams)?;
            }
        }
        Ok(())
    }

    /// Who swaps everybody's module is alone, and a cookie is given to somebody.
    fn check_cookies(&self, path: &Path) -> Result<(), Error> {
        let refused = |field, value: &str, expected: &str| Error::Reference {
            path: path.to_path_buf(),
            field,
            value: value.to_owned(),
            expected: expected.to_owned(),
        };
        if self.table.module != Module::Plain && !self.table.alone {
            let expected = "true, since the module is everybody's";
            return Err(refused("alone", "false", expected));
        }
        for stream in &self.table.stream {
            if let Some(cookies) = &stream.cookies
                && stream.users.is_none()
            {
                let expected = "none where there are no users";
                return Err(refused("stream.cookies", &cookies.name, expected));
            }
        }
        Ok(())
    }
}
