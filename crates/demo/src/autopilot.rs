//! Plays the story: begins releases and aborts the second, unless someone at the page has taken over.

use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use argo_rollouts::Rollout;
use testbed::apiserver::Store;

use crate::actions::{self, abort, image, release_image, release_sticky, rollout};
use crate::shop;
use crate::story::{ABORTED, Chapter, PROMOTED};

/// Whether the story goes on by itself.
#[derive(Debug, Default)]
pub(crate) struct Autopilot {
    off: AtomicBool,
}

impl Autopilot {
    /// Whether the story still goes as it is told.
    pub(crate) fn is_on(&self) -> bool {
        !self.off.load(Ordering::Relaxed)
    }

    /// Leaves everything to the page.
    pub(crate) fn take_over(&self) {
        self.off.store(true, Ordering::Relaxed);
    }

    /// Plays until the story's end, or until someone takes over; then it rests. `rest` is how long a chapter without
    /// steps of its own lasts.
    pub(crate) async fn fly(&self, store: &Store, rest: Duration) -> Infallible {
        self.play(store, rest).await;
        self.take_over();
        std::future::pending().await
    }

    async fn play(&self, store: &Store, rest: Duration) {
        let mut since = (Chapter::StableOnly, Instant::now());
        let mut half = None;
        while self.is_on() {
            tokio::time::sleep(Duration::from_millis(100)).await;
            let now = rollout(store);
            if now.status.phase.is_empty() || now.spec.paused {
                since.1 = Instant::now();
                half = None;
                continue;
            }
            let chapter = Chapter::of(&now, &actions::images(store, &now), true);
            if chapter != since.0 {
                since = (chapter, Instant::now());
            }
            let rested = since.1.elapsed() >= rest;
            // A write that is refused is tried again.
            let _ = match chapter {
                _ if !self.is_on() => return,
                Chapter::StableOnly if rested => release_image(store, &shop::image(PROMOTED)),
                // Someone has promoted the last one.
                Chapter::Promoted if image(store) == shop::image(ABORTED) => return,
                Chapter::Promoted if rested => release_sticky(store, &shop::image(ABORTED)),
                Chapter::StickyHalf if at_half(&now) => {
                    let half = *half.get_or_insert_with(Instant::now);
                    // Before the step's own pause is over.
                    if half.elapsed() < rest * 4 / 5 {
                        continue;
                    }
                    abort(store)
                }
                Chapter::Aborted => return,
                _ => Ok(()),
            };
        }
    }
}

/// Half of the weight, and the step's pause has begun.
fn at_half(rollout: &Rollout) -> bool {
    let weights = rollout.status.canary.weights.as_ref();
    rollout.status.phase == "Paused" && weights.is_some_and(|weights| weights.canary.weight >= 50)
}
