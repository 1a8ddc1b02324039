//! Sets of fields, in memory and in the form of `FieldsV1`.
//!
//! A set is a tree of names; each name can be in it itself, have others below it, or both (Go
//! `fieldpath.Set`). Only maps have fields here: items of lists, which `FieldsV1` has too, are left
//! out when one is read.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::Scope;

/// A set of paths.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct FieldSet(BTreeMap<String, Node>);

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Node {
    /// The path that ends here is in the set.
    member: bool,
    below: FieldSet,
}

impl FieldSet {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether the path of this one name is in the set.
    pub(super) fn has(&self, name: &str) -> bool {
        self.0.get(name).is_some_and(|node| node.member)
    }

    /// What of the set is below a name.
    pub(super) fn below(&self, name: &str) -> Option<&Self> {
        let below = &self.0.get(name)?.below;
        (!below.is_empty()).then_some(below)
    }

    /// Adds a path. The empty path, the object itself, is in no set.
    pub(super) fn insert(&mut self, path: &[&str]) {
        match path {
            [] => {}
            [name] => self.0.entry((*name).to_owned()).or_default().member = true,
            [name, rest @ ..] => {
                let node = self.0.entry((*name).to_owned()).or_default();
                node.below.insert(rest);
            }
        }
    }

    pub(super) fn union(&self, other: &Self) -> Self {
        let mut all = self.clone();
        for (name, theirs) in &other.0 {
            let ours = all.0.entry(name.clone()).or_default();
            ours.member |= theirs.member;
            ours.below = ours.below.union(&theirs.below);
        }
        all
    }

    /// The paths that are not in `other`; what is below such a path doesn't go with it.
    pub(super) fn difference(&self, other: &Self) -> Self {
        self.each(|name, node| match other.0.get(name) {
            Some(theirs) => Node {
                member: node.member && !theirs.member,
                below: node.below.difference(&theirs.below),
            },
            None => node.clone(),
        })
    }

    pub(super) fn intersection(&self, other: &Self) -> Self {
        self.each(|name, node| match other.0.get(name) {
            Some(theirs) => Node {
                member: node.member && theirs.member,
                below: node.below.intersection(&theirs.below),
            },
            None => Node::default(),
        })
    }

    /// With every path also those that lead to it (Go `EnsureNamedFieldsAreMembers`, where a schema
    /// names all fields).
    pub(super) fn with_parents(&self) -> Self {
        self.each(|_, node| Node {
            member: true,
            below: node.below.with_parents(),
        })
    }

    /// The paths that a write of this scope can change.
    pub(super) fn within(&self, scope: Scope) -> Self {
        self.each(|name, node| {
            if scope.holds(name) {
                node.clone()
            } else {
                Node::default()
            }
        })
    }

    /// All paths as Go prints them, `.spec.hosts`: at each level those that end there come first.
    pub(super) fn paths(&self) -> Vec<String> {
        let mut all = Vec::new();
        self.collect("", &mut all);
        all
    }

    fn collect(&self, prefix: &str, all: &mut Vec<String>) {
        let members = self.0.iter().filter(|(_, node)| node.member);
        all.extend(members.map(|(name, _)| format!("{prefix}.{name}")));
        for (name, node) in &self.0 {
            node.below.collect(&format!("{prefix}.{name}"), all);
        }
    }

    /// Reads `FieldsV1`.
    pub(super) fn parse(fields: &Value) -> Self {
        let Some(map) = fields.as_object() else {
            return Self::default();
        };
        let nodes = map.iter().filter_map(|(key, value)| {
            let below = Self::parse(value);
            let named = value.get(".").is_some();
            let node = Node {
                member: named || below.is_empty(),
                below,
            };
            Some((key.strip_prefix("f:")?.to_owned(), node))
        });
        Self(nodes.collect())
    }

    /// Writes `FieldsV1`.
    pub(super) fn to_json(&self) -> Value {
        let fields = self.0.iter().map(|(name, node)| {
            let mut below = node.below.to_json();
            if let (true, false, Some(map)) =
                (node.member, node.below.is_empty(), below.as_object_mut())
            {
                map.insert(".".to_owned(), Value::Object(Map::new()));
            }
            (format!("f:{name}"), below)
        });
        Value::Object(fields.collect())
    }

    fn each(&self, change: impl Fn(&str, &Node) -> Node) -> Self {
        let nodes = self.0.iter().filter_map(|(name, node)| {
            let node = change(name, node);
            (node.member || !node.below.is_empty()).then(|| (name.clone(), node))
        });
        Self(nodes.collect())
    }
}
