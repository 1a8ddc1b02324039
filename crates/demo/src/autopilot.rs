//! Plays the story: begins releases and aborts the second, unless someone at the page has taken over.

use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use argo_rollouts::Rollout;
use testbed::apiserver::Store;

use crate::actions::{abort, image, release_image, rollout};
use crate::shop;
use crate::story::{ABORTED, Chapter, PROMOTED};

/// Whether the story goes on by itself.
#[derive(Debug, Default)]
pub(crate) struct Autopilot {
    off: AtomicBool,
}

impl Autopilot {
    /// Leaves everything to the page.
    pub(crate) fn take_over(&self) {
        self.off.store(true, Ordering::Relaxed);
    }

    /// Plays until the story's end, or until someone takes over; then it rests. `rest` is how long a chapter without
    /// steps of its own lasts.
    pub(crate) async fn fly(&self, store: &Store, rest: Duration) -> Infallible {
        self.play(store, rest).await;
        std::future::pending().await
    }

    async fn play(&self, store: &Store, rest: Duration) {
        let mut since = (Chapter::StableOnly, Instant::now());
        loop {
            tokio::time::sleep(Duration::from_millis(100)).await;
            if self.off.load(Ordering::Relaxed) {
                return;
            }
            let now = rollout(store);
            if now.status.phase.is_empty() || now.spec.paused {
                since.1 = Instant::now();
                continue;
            }
            let chapter = Chapter::of(&now, &image(store));
            if chapter != since.0 {
                since = (chapter, Instant::now());
            }
            let rested = since.1.elapsed() >= rest;
            // A write that is refused is tried again.
            let _ = match chapter {
                Chapter::StableOnly if rested => release_image(store, &shop::image(PROMOTED)),
                Chapter::Promoted if rested => release_image(store, &shop::image(ABORTED)),
                Chapter::SecondRelease if at_half(&now) => {
                    tokio::time::sleep(rest / 2).await;
                    abort(store)
                }
                Chapter::Aborted => return,
                _ => Ok(()),
            };
        }
    }
}

fn at_half(rollout: &Rollout) -> bool {
    let weights = rollout.status.canary.weights.as_ref();
    weights.is_some_and(|weights| weights.canary.weight >= 50)
}
