//! Saying what is wrong with a configuration: one line and one count for each fault.
//!
//! Envoy configures a plugin in every worker, and once before that to see whether it works. They share
//! a note of what has been said about which configuration, so that it is said once.

use std::hash::{DefaultHasher, Hash, Hasher};

use crate::configure::Fault;
use crate::host::{Counter, Host};

/// Reports `faults`, those of the latest configuration of the plugin `name`, unless another worker has.
pub(crate) fn faults(host: &mut impl Host, name: &[u8], faults: &[Fault]) {
    let plugin = String::from_utf8_lossy(name);
    let key = format!("serin.reported.{plugin}");
    let mut noted = Vec::new();
    let version = host.shared(&key, &mut noted);
    let mut note = Vec::new();
    if !faults.is_empty() {
        let mut hasher = DefaultHasher::new();
        faults.hash(&mut hasher);
        note.extend(hasher.finish().to_le_bytes());
    }
    // An empty note, when all is well again, lets the same fault be said anew. A note that another
    // worker has changed meanwhile is theirs to tell.
    if note == noted || !host.set_shared(&key, &note, version) {
        return;
    }
    for fault in faults {
        let (counter, what, why) = match fault {
            Fault::Configuration(why) => (
                Counter::ConfigurationRefused,
                "configuration refused, the last good one stays in force",
                why,
            ),
            Fault::Field(why) => (
                Counter::ConfigurationRefused,
                "part of the configuration refused",
                why,
            ),
            Fault::Policy(why) => (
                Counter::PolicyRefused,
                "policy refused, the last good one of the Rollout stays in force",
                why,
            ),
            Fault::Cookie(why) => (
                Counter::CookieNotIssued,
                "only the module serin-filter-cookies.wasm issues cookies; without a key the weights decide",
                why,
            ),
        };
        host.warn(&format!("serin: plugin {plugin}: {what}: {why}"));
        host.count(counter);
    }
}
