//! A number that says which policy this is: the plugin that wrote it and every proxy that has taken it over come to the
//! same one.

use std::hash::{Hash, Hasher};

use crate::config::Policy;
use crate::fnv::Fnv;
use crate::pace::{self, Pace};

/// The generation of a policy: another for another policy, as far as 32 bits go, and never 0. It depends on what the policy
/// means and not on how it is written: neither on the order of fields nor on spaces nor on values that are written out
/// though they are the default.
///
/// The same on every machine for the same version of this crate; a field that is added changes all.
pub fn generation(policy: &Policy) -> u32 {
    pace::all(in_slices(policy, &Pace::at_once()))
}

/// What one rule takes, in units of [`Pace`].
const RULE_UNITS: usize = 18;

/// As [`generation`], with pauses.
pub(crate) async fn in_slices(policy: &Policy, pace: &Pace) -> u32 {
    // What the derived `Hash` does, field by field: each counts, so each has to be here.
    let Policy {
        hosts,
        virtual_services,
        lanes,
        rules,
        sticky,
        entry_hosts,
        secret,
    } = policy;
    let mut hasher = Fnv::default();
    (hosts, virtual_services, lanes).hash(&mut hasher);
    hasher.write_usize(rules.len());
    for rule in rules {
        rule.hash(&mut hasher);
        pace.spend(RULE_UNITS).await;
    }
    (sticky, entry_hosts, secret).hash(&mut hasher);
    let hash = hasher.finish();
    // Both halves folded into one; a gauge of 0 means that there is no policy.
    let folded = (hash ^ (hash >> 32)) & u64::from(u32::MAX);
    u32::try_from(folded).unwrap_or_default().max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(json: &str) -> u32 {
        generation(&serde_json::from_str(json).unwrap())
    }

    #[test]
    fn it_says_what_a_policy_means_and_not_how_it_is_written() {
        let policy = r#"{"hosts": ["a"], "rules": [{"name": "r", "lane": "canary", "match": [{"method": {"exact": "GET"}}]}]}"#;
        let written_otherwise = r#"{"rules":[{"match":[{"method":{"exact":"GET"}, "headers": {}}],"lane":"canary","name":"r"}],
            "hosts": ["a"], "lanes": "managed"}"#;
        assert_eq!(of(policy), of(written_otherwise));
        for (from, to) in [
            ("GET", "POST"),
            ("exact", "prefix"),
            ("canary", "stable"),
            (r#""a""#, r#""a", "b""#),
            ("[{\"method", "[{},{\"method"),
        ] {
            let other = policy.replacen(from, to, 1);
            assert_ne!(of(policy), of(&other), "{other}");
        }
    }

    #[test]
    fn it_is_that_of_the_derived_hash() {
        for json in [
            "{}",
            r#"{"hosts": ["a"], "virtualServices": {"shop/a": ["b"]}, "lanes": "declared", "entryHosts": ["c"], "secret": "d",
                "rules": [{"name": "r", "lane": "canary", "percent": 3, "match": [{"path": {"prefix": "/"}}]}, {"name": "s", "lane": "mirror"}],
                "sticky": {"keys": [{"header": "e"}], "salt": "f", "canary": 1}}"#,
        ] {
            let policy: Policy = serde_json::from_str(json).unwrap();
            let mut hasher = Fnv::default();
            policy.hash(&mut hasher);
            let hash = hasher.finish();
            let folded = u32::try_from((hash ^ (hash >> 32)) & 0xffff_ffff).unwrap();
            assert_eq!(generation(&policy), folded);
        }
    }

    /// Module and plugin are of different word sizes: this is the number on both.
    #[test]
    fn it_is_the_same_on_every_machine() {
        assert_eq!(of("{}"), of(r#"{"hosts": []}"#));
        assert_eq!(
            of(r#"{"hosts": ["reviews.shop.svc.cluster.local"]}"#),
            1_744_438_794
        );
    }
}
