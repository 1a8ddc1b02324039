//! Testers and others who send requests, and what came of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use scenarios::Via;
use testbed::load::{Load, Sample, Sink, Stream};

use crate::modules::user;
use crate::proxy;

/// The application's host at the gateway.
const AUTHORITY: &str = "both.example.com";
/// Requests a second of each kind.
const RATE: u32 = 100;

/// Whether testers get the new version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lanes {
    /// All of them do, and nobody else.
    There,
    /// They follow the weights, as everybody.
    Gone,
}

/// What was sent and what came of it.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) total: u64,
    pub(super) failed: u64,
    testers: u64,
    pub(super) testers_new: u64,
    pub(super) others_new: u64,
}

impl Seen {
    pub(super) fn is(&self, lanes: Lanes) -> bool {
        match lanes {
            Lanes::There => self.testers > 0 && self.testers_new == self.testers,
            Lanes::Gone => self.testers_new < self.testers,
        }
    }
}

#[derive(Default)]
struct Counters {
    total: AtomicU64,
    failed: AtomicU64,
    new: AtomicU64,
}

/// Testers and others who send requests.
pub(super) struct Counted {
    loads: [(Load, Arc<Counters>); 2],
}

impl Counted {
    pub(super) fn start(via: Via) -> Self {
        let one = |headers: Vec<(String, String)>| {
            let counters = Arc::new(Counters::default());
            let own = Arc::clone(&counters);
            let sink: Sink = Arc::new(move |sample: Sample| {
                own.total.fetch_add(1, Ordering::Relaxed);
                let counter = match sample.outcome {
                    Err(_) => &own.failed,
                    Ok(answer) if answer.identity.image.ends_with(user::NEW) => &own.new,
                    Ok(_) => return,
                };
                counter.fetch_add(1, Ordering::Relaxed);
            });
            let stream = Stream {
                target: proxy::target(via),
                authority: AUTHORITY.to_owned(),
                path: "/".to_owned(),
                method: http::Method::GET,
                http2: false,
                headers,
                users: None,
                front: None,
                rate: RATE,
                connections: 4,
                timeout: Duration::from_secs(5),
            };
            (Load::start(stream, &sink), counters)
        };
        let tester = vec![("x-beta".to_owned(), "1".to_owned())];
        Self {
            loads: [one(tester), one(Vec::new())],
        }
    }

    pub(super) async fn stop(self) -> Seen {
        let mut seen = Seen::default();
        let [testers, others] = self.loads;
        for (of_testers, (load, counters)) in [(true, testers), (false, others)] {
            load.stop().await;
            let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
            let (total, new) = (get(&counters.total), get(&counters.new));
            seen.total += total;
            seen.failed += get(&counters.failed);
            if of_testers {
                (seen.testers, seen.testers_new) = (total, new);
            } else {
                seen.others_new = new;
            }
        }
        seen
    }
}

/// Sends for a while.
pub(super) async fn look(via: Via, time: Duration) -> Seen {
    let counted = Counted::start(via);
    tokio::time::sleep(time).await;
    counted.stop().await
}
