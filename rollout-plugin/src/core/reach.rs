//! Whether the requests of a header or mirror step get to the canary: the managed route has to take them first, with its own
//! matches, and no route above it may.
//!
//! What is said to be out of reach is proven, for requests that don't repeat a header with different values: no request
//! satisfies both, the step's conditions and the managed route's; or each that does satisfies an entry of a route above.
//! Where nothing is proven, a route above that looks at what the step looks at is worth a warning.

use std::collections::BTreeSet;

use argo_rollouts::Rollout;
use serde_json::json;
use traffic_policy::config::{Rule, StringMatch};

use crate::core::error::{CoreError, Fault};
use crate::core::flow::Flow;
use crate::core::plan::Observed;
use crate::core::policy::Policies;
use crate::core::routing::{CONFIG_FIELD, RolloutKey, Routing};
use crate::core::rules::{route_steps, rule_of};
use crate::core::warnings::Warning;

use entry::{At, Condition, Entry, Part};
use table::{Row, Table, tables};

mod entry;
mod table;
mod text;

/// How many entries of a rule, and routes above a managed one, are looked at for a warning.
const LOOKED_AT: usize = 200;

/// What is found.
#[derive(Debug, Default)]
pub(crate) struct Reach {
    /// A rule that takes no request, and is not in force yet.
    pub(crate) blocked: Option<CoreError>,
    pub(crate) warnings: Vec<Warning>,
}

/// What one step asks for.
struct Step {
    /// The rule's.
    name: String,
    /// Any of them will do.
    entries: Vec<(At, Vec<Condition>)>,
}

/// Why no request of a rule's entry is taken by an entry of the managed route.
enum Cause<'a> {
    /// The second condition is the managed route's, and excludes the first.
    Excluded(&'a Condition, &'a Condition),
    /// The entry counts at none of the VirtualService's gateways.
    Nowhere(&'a Entry),
    /// The route above takes them all.
    Taken(&'a Row),
}

/// Looks at the steps from the current one on.
pub(crate) fn reach(rollout: &Rollout, routing: &Routing, observed: &Observed) -> Reach {
    let tables = tables(routing, observed);
    let in_force = Policies::live(routing, observed).rule_names();
    let mut reach = Reach::default();
    for step in steps(rollout, routing) {
        look(&step, &tables, &in_force, &mut reach, &routing.rollout);
    }
    reach
}

fn steps(rollout: &Rollout, routing: &Routing) -> Vec<Step> {
    let current = rollout.status.current_step_index;
    let current = current.map_or(0, |index| usize::try_from(index).unwrap_or(0));
    let later = route_steps(rollout).filter(|(index, _)| *index >= current);
    later
        .filter_map(|(index, step)| {
            let field = step.field(&format!("spec.strategy.canary.steps[{index}]"));
            let (_, rule) = rule_of(step, routing, &field).ok()?;
            (!rule.matches.is_empty()).then(|| step_of(field, &rule, routing))
        })
        .collect()
}

fn step_of(field: String, rule: &Rule, routing: &Routing) -> Step {
    let at = At {
        object: None,
        field,
    };
    let entries = if routing.entry_hosts.is_empty() {
        let more = routing.routes.get(&rule.name);
        let more = more.into_iter().flat_map(|route| &route.matches);
        let more = more.enumerate().map(|(index, entry)| {
            let name = &rule.name;
            let field = format!("{CONFIG_FIELD}.routes[{name:?}].match[{index}]");
            (
                At {
                    object: None,
                    field,
                },
                entry,
            )
        });
        let own = rule.matches.iter().enumerate();
        let own = own.map(|(index, entry)| (at.below(&format!(".match[{index}]")), entry));
        own.chain(more)
            .map(|(at, entry)| {
                let conditions = entry::of_rule(entry, &at);
                (at, conditions)
            })
            .collect()
    } else {
        // Decided further out, by a request that need not be as the one that arrives here.
        vec![(at.clone(), Vec::new())]
    };
    Step {
        name: rule.name.clone(),
        entries,
    }
}

fn look(
    step: &Step,
    tables: &[Table],
    in_force: &BTreeSet<&str>,
    reach: &mut Reach,
    rollout: &RolloutKey,
) {
    let blocked_in = |table: &&Table| {
        let mut entries = step.entries.iter();
        entries.all(|(_, asked)| cause_in_table(asked, table).is_some())
    };
    let (blocked, open): (Vec<&Table>, Vec<&Table>) = tables.iter().partition(blocked_in);
    let fault = |table: &Table, entry: &(At, Vec<Condition>)| {
        let (route, cause) = cause_in_table(&entry.1, table)?;
        Some(describe(step, &entry.0, table, route, &cause, rollout))
    };
    if open.is_empty() {
        let mut faults = blocked
            .iter()
            .filter_map(|table| fault(table, step.entries.first()?));
        match faults.next() {
            Some(error) if in_force.contains(&*step.name) => {
                reach.warn("RuleTakesNoRequest", &error);
            }
            Some(error) => {
                reach.blocked.get_or_insert(error);
            }
            None => {}
        }
        return;
    }
    for table in blocked {
        if let Some(error) = step.entries.first().and_then(|entry| fault(table, entry)) {
            reach.warn("RuleTakesNoRequest", &error);
        }
    }
    for entry in step.entries.iter().take(LOOKED_AT) {
        let faults: Option<Vec<CoreError>> = open.iter().map(|table| fault(table, entry)).collect();
        match faults {
            Some(faults) => {
                if let Some(error) = faults.first() {
                    reach.warn("RuleTakesNoRequest", error);
                }
            }
            None => {
                for table in &open {
                    shadows(step, entry, table, reach);
                }
            }
        }
    }
}

impl Reach {
    fn warn(&mut self, reason: &'static str, error: &CoreError) {
        let message = error.to_string();
        let warning = Warning { reason, message };
        if !self.warnings.contains(&warning) {
            self.warnings.push(warning);
        }
    }
}

/// The first cause, and its managed route, where all entries of all managed routes have one.
fn cause_in_table<'a>(asked: &'a [Condition], table: &'a Table) -> Option<(&'a Row, Cause<'a>)> {
    let mut first = None;
    for (index, row) in table.rows.iter().enumerate() {
        if !row.is_managed {
            continue;
        }
        let above = table.rows.get(..index).unwrap_or_default();
        for entry in row.entries.as_ref()? {
            let cause = cause(asked, entry, above, &table.gateways)?;
            first.get_or_insert((row, cause));
        }
    }
    first
}

fn cause<'a>(
    asked: &'a [Condition],
    entry: &'a Entry,
    above: &'a [Row],
    gateways: &BTreeSet<String>,
) -> Option<Cause<'a>> {
    if !entry.gateways.is_empty() && entry.gateways.is_disjoint(gateways) {
        return Some(Cause::Nowhere(entry));
    }
    let own = entry.conditions.iter();
    let mut pairs = own.enumerate().flat_map(|(index, condition)| {
        let earlier = entry.conditions.iter().take(index);
        asked
            .iter()
            .chain(earlier)
            .map(move |other| (other, condition))
    });
    if let Some((one, other)) = pairs.find(|(one, other)| one.excludes(other)) {
        return Some(Cause::Excluded(one, other));
    }
    let known: Vec<&Condition> = asked.iter().chain(&entry.conditions).collect();
    let takes_all = |row: &&Row| {
        row.entries.iter().flatten().any(|other| {
            !other.asks_more
                && other.counts_wherever(entry, gateways)
                && other.conditions.iter().all(|one| one.follows_from(&known))
        })
    };
    above.iter().find(takes_all).map(Cause::Taken)
}

/// Warns of routes above that look at what the rule looks at, and may take its requests.
fn shadows(step: &Step, (at, asked): &(At, Vec<Condition>), table: &Table, reach: &mut Reach) {
    for (index, row) in table.rows.iter().enumerate() {
        let entries = row.entries.iter().flatten();
        let mut open = entries.filter(|_| row.is_managed).filter(|entry| {
            cause(
                asked,
                entry,
                table.rows.get(..index).unwrap_or_default(),
                &table.gateways,
            )
            .is_none()
        });
        let Some(entry) = open.next() else {
            continue;
        };
        let known: Vec<&Condition> = asked.iter().chain(&entry.conditions).collect();
        let above = table.rows.iter().take(index).take(LOOKED_AT);
        for other in above.filter(|row| !row.is_managed && !row.is_lane) {
            let mut entries = other.entries.iter().flatten();
            let found = entries.find_map(|entry| {
                let is_open = |one: &Condition| !known.iter().any(|known| known.excludes(one));
                let is_shared =
                    |one: &&Condition| !one.negated && shares(one, asked) && !one.follows_from(&[]);
                entry.conditions.iter().all(is_open).then_some(())?;
                entry.conditions.iter().find(is_shared)
            });
            if let Some(condition) = found {
                let fault = Fault::new(
                    &condition.at.field,
                    format!(
                        "{} in {}, above {}",
                        shown(condition),
                        called(other),
                        called(row)
                    ),
                    format!(
                        "no route above that takes requests of rule {:?} ({}): those that it takes don't get to the canary",
                        step.name, at.field
                    ),
                );
                let object = condition.at.object.as_ref().unwrap_or(&table.object);
                reach.warn("RuleShadowed", &fault.of(object));
            }
        }
    }
}

/// True if a rule's entry asks for the same header or parameter. A path counts where the rule asks for a part of what the
/// route takes: a narrower path above a wider one is what routes are for.
fn shares(condition: &Condition, asked: &[Condition]) -> bool {
    let mut same = asked.iter().filter(|one| one.part == condition.part);
    match condition.part {
        Part::Header(_) | Part::QueryParam(_) => same.next().is_some(),
        Part::Path => same.any(|one| condition.follows_from(&[one])),
        Part::Method | Part::Scheme | Part::Authority => false,
    }
}

fn describe(
    step: &Step,
    entry: &At,
    table: &Table,
    route: &Row,
    cause: &Cause<'_>,
    rollout: &RolloutKey,
) -> CoreError {
    let rule = format!(
        "rule {:?} of rollout {rollout} ({})",
        step.name, entry.field
    );
    let (at, found, expected) = match cause {
        Cause::Excluded(one, other) if one.at.object.is_some() => (
            &other.at,
            shown(other),
            format!(
                "what a request can satisfy beside {} {}: no request gets to {}, where {rule} would send it to the canary",
                one.at.field,
                shown(one),
                called(route)
            ),
        ),
        Cause::Excluded(one, other) => (
            &other.at,
            shown(other),
            format!(
                "what a request of {rule} can satisfy, which asks for {}: no such request gets to {}, and so none to the canary",
                asked(one),
                called(route)
            ),
        ),
        Cause::Nowhere(dead) => (
            &dead.at,
            format!("gateways {:?}", dead.gateways),
            format!(
                "one of {:?}, where the VirtualService counts: no request gets to {}, where {rule} would send it to the canary",
                table.gateways,
                called(route)
            ),
        ),
        Cause::Taken(above) => (
            &above.at,
            format!("{}, which takes all requests of {rule}", called(above)),
            format!(
                "it below {}: as it is, none of them gets to the canary",
                called(route)
            ),
        ),
    };
    let object = at.object.as_ref().unwrap_or(&table.object);
    Fault::new(&at.field, found, expected).of(object)
}

fn called(row: &Row) -> String {
    match &*row.name {
        "" => row.at.field.clone(),
        name => format!("route {name:?}"),
    }
}

fn asked(condition: &Condition) -> String {
    let part = match &condition.part {
        Part::Path => "a path".to_owned(),
        Part::Method => "a method".to_owned(),
        Part::Scheme => "a scheme".to_owned(),
        Part::Authority => "an authority".to_owned(),
        Part::Header(name) => format!("header {name:?}"),
        Part::QueryParam(name) => format!("query parameter {name:?}"),
    };
    format!("{part} {}", shown(condition))
}

/// As a VirtualService has it.
fn shown(condition: &Condition) -> String {
    let value = match &condition.text {
        StringMatch::Present => json!({}),
        StringMatch::Exact(text) | StringMatch::ExactIgnoreCase(text) => json!({ "exact": text }),
        StringMatch::Prefix(text) | StringMatch::PrefixIgnoreCase(text) => {
            json!({ "prefix": text })
        }
        StringMatch::Regex(text) => json!({ "regex": text }),
    };
    Flow(&value).to_string()
}

#[cfg(test)]
mod tests;
