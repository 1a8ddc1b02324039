//! Any bytes as a policy and a request: compiling and deciding end, without a panic.
//!
//! `cargo +nightly fuzz run compile_config fuzz/corpus/compile_config fuzz/seeds`, in
//! `crates/traffic-policy`. The input is a policy as JSON, a NUL, then header lines.

#![no_main]

use libfuzzer_sys::fuzz_target;
use traffic_policy::config::{PluginConfig, Policy};
use traffic_policy::{ChosenRoute, HostSpace, PolicySet, Request, compile};

fuzz_target!(|data: &[u8]| {
    let mut parts = data.splitn(2, |byte| *byte == 0);
    let json = parts.next().unwrap_or_default();
    let lines = parts.next().unwrap_or_default();
    let _ = serde_json::from_slice::<PluginConfig>(json);
    let Ok(policy) = serde_json::from_slice::<Policy>(json) else {
        return;
    };
    let compiled = match compile("shop/reviews", &policy) {
        Ok(compiled) => compiled,
        Err(error) => {
            assert!(error.to_string().starts_with("rollout shop/reviews: "));
            return;
        }
    };
    let headers: Vec<(&[u8], &[u8])> = lines
        .split(|byte| *byte == b'\n')
        .map(|line| {
            let at = line.iter().skip(1).position(|byte| *byte == b':');
            let (name, value) = line.split_at(at.map_or(line.len(), |at| at + 1));
            (name, value.get(1..).unwrap_or_default())
        })
        .collect();
    let request = Request::read(&headers[..], |_, _| {});
    compiled.decide(&request, &mut || 1);
    compiled.may_set_lane_on(&mut Route(lines));
    let set = PolicySet::new(vec![compiled], Some("shop.svc.cluster.local"));
    set.candidates(request.authority(), &mut HostSpace::default()).count();
});

/// A route of which everything is any bytes.
struct Route<'a>(&'a [u8]);

impl ChosenRoute for Route<'_> {
    fn config(&mut self) -> &[u8] {
        self.0
    }

    fn name(&mut self) -> &[u8] {
        self.0
    }

    fn may_be_forged(&self) -> bool {
        self.0.len() % 2 == 1
    }
}
