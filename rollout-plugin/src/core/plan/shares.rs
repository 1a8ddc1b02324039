//! The weights that a call asks for, checked.

use argo_rollouts::WeightDestination;

use crate::core::error::{CoreError, Fault};
use crate::core::plan::Weights;
use crate::core::routing::Routing;
use crate::core::weights::Split;

/// Weights as checked.
#[derive(Clone, Debug, Default)]
pub(super) struct Shares<'a> {
    pub(super) split: Split<'a>,
    pub(super) additional: &'a [WeightDestination],
}

impl<'a> Shares<'a> {
    /// A weight above the maximum is the maximum: with `dynamicStableScale` the controller asks for more while more
    /// pods than wanted are available. An experiment whose Service is not there yet has no share, and one Service that
    /// several templates name has the sum of theirs.
    pub(super) fn of(routing: &Routing, weights: Weights<'a>) -> Result<Self, CoreError> {
        let checked = |field: &str, weight: i32| {
            u32::try_from(weight).map_err(|_| CoreError::Rollout {
                rollout: routing.rollout.clone(),
                fault: Fault::new(
                    field,
                    weight.to_string(),
                    format!("a number from 0 to {}", routing.max_weight),
                ),
            })
        };
        let canary = checked("the desired weight", weights.canary)?.min(routing.max_weight);
        let mut experiments: Vec<(&str, u32)> = Vec::new();
        for destination in weights.additional {
            let name = &*destination.service_name;
            let weight = checked(
                &format!("the weight of the experiment's service {name:?}"),
                destination.weight,
            )?;
            match experiments.iter_mut().find(|(earlier, _)| *earlier == name) {
                Some((_, sum)) => *sum = sum.saturating_add(weight),
                None if name.is_empty() => {}
                None => experiments.push((name, weight)),
            }
        }
        Ok(Self {
            split: Split {
                canary,
                experiments,
            },
            additional: weights.additional,
        })
    }
}
