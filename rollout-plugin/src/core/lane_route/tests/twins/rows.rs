//! Which values come together: each alone, and each two of two fields in some row.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

const FIELDS: &str = include_str!("../../../../../tests/data/twins/fields.json");

/// By field, the patches of a route that give it its values; the first is what it has by itself.
pub(super) fn fields() -> Vec<Vec<Value>> {
    let fields: Map<String, Value> = serde_json::from_str(FIELDS).unwrap();
    let values = fields.into_iter().map(|(_, values)| values);
    values
        .map(|values| serde_json::from_value(values).unwrap())
        .collect()
}

/// The numbers of a value for each field.
pub(super) type Row = Vec<usize>;

/// Each value alone, then rows in which each two values of two fields come together.
pub(super) fn rows(sizes: &[usize]) -> Vec<Row> {
    let mut rows = vec![vec![0; sizes.len()]];
    for (field, size) in sizes.iter().enumerate() {
        rows.extend((1..*size).map(|value| {
            let mut row = vec![0; sizes.len()];
            row[field] = value;
            row
        }));
    }
    let mut missing = pairs(sizes);
    for row in &rows {
        missing.retain(|pair| !has(row, *pair));
    }
    while let Some(&((field, value), (other, with))) = missing.first() {
        let mut row: Vec<Option<usize>> = vec![None; sizes.len()];
        (row[field], row[other]) = (Some(value), Some(with));
        for at in 0..sizes.len() {
            if row[at].is_none() {
                let found = |value: usize| {
                    let here = (at, value);
                    let is_new = |(other, with): (usize, Option<usize>)| {
                        with.is_some_and(|with| {
                            let there = (other, with);
                            missing.contains(&(here.min(there), here.max(there)))
                        })
                    };
                    row.iter()
                        .copied()
                        .enumerate()
                        .filter(|one| is_new(*one))
                        .count()
                };
                // The last of the best, since the first is no value.
                row[at] = (0..sizes[at]).max_by_key(|value| found(*value));
            }
        }
        let row: Row = row.into_iter().flatten().collect();
        missing.retain(|pair| !has(&row, *pair));
        rows.push(row);
    }
    rows
}

/// Two fields, each with a value.
pub(super) type Pair = ((usize, usize), (usize, usize));

pub(super) fn pairs(sizes: &[usize]) -> BTreeSet<Pair> {
    let values = |field: usize| (0..sizes[field]).map(move |value| (field, value));
    let fields = 0..sizes.len();
    fields
        .flat_map(|field| (field + 1..sizes.len()).map(move |other| (field, other)))
        .flat_map(|(field, other)| {
            values(field).flat_map(move |one| values(other).map(move |two| (one, two)))
        })
        .collect()
}

pub(super) fn has(row: &Row, ((field, value), (other, with)): Pair) -> bool {
    row[field] == value && row[other] == with
}

/// What a row says, all values merged.
pub(super) fn merged(fields: &[Vec<Value>], row: &Row) -> Value {
    let mut all = json!({"name": "primary"});
    for (values, number) in fields.iter().zip(row) {
        json_patch::merge(&mut all, &values[*number]);
    }
    all
}
