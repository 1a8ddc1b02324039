//! What has become of the requests: counts from the start, and the last seconds request by request.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::Serialize;
use testbed::load::Sample;
use testbed::mesh::Via;

use crate::shop::LANE_HEADER;

/// How long single requests are kept.
const KEPT: Duration = Duration::from_secs(20);

/// Counts from the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Counts {
    pub(crate) requests: u64,
    pub(crate) failed: u64,
    /// Mirrored copies.
    pub(crate) copies: u64,
    /// How often a user was answered by another version than the time before.
    pub(crate) flips: u64,
}

/// One answered request.
#[derive(Clone, Debug)]
pub(crate) struct Answered {
    pub(crate) sent: Instant,
    pub(crate) user: usize,
    pub(crate) image: Arc<str>,
    /// The lane that the application saw; empty where the weights decided.
    pub(crate) lane: Arc<str>,
}

/// One mirrored copy.
#[derive(Clone, Debug)]
pub(crate) struct Copied {
    pub(crate) at: Instant,
    pub(crate) image: Arc<str>,
}

/// What has happened since the last batch, as the page gets it.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Batch {
    /// User, way, image, lane.
    pub(crate) list: Vec<(usize, u8, Arc<str>, Arc<str>)>,
    /// User, image.
    pub(crate) copies: Vec<(usize, Arc<str>)>,
    /// User, way, why.
    pub(crate) failed: Vec<(usize, u8, String)>,
}

impl Batch {
    pub(crate) fn is_empty(&self) -> bool {
        self.list.is_empty() && self.copies.is_empty() && self.failed.is_empty()
    }
}

/// The board, written by the load and the pods, read by the page and the checks.
#[derive(Debug, Default)]
pub(crate) struct Board(Mutex<Tally>);

#[derive(Debug, Default)]
struct Tally {
    counts: Counts,
    answered: VecDeque<Answered>,
    copied: VecDeque<Copied>,
    /// The first failures, in words.
    failures: Vec<String>,
    /// Each user's last version.
    last: Vec<Option<Arc<str>>>,
    batch: Batch,
}

/// Failures that are kept in words.
const WORDS: usize = 20;

impl Board {
    /// Takes what came of a user's request.
    pub(crate) fn sample(&self, user: usize, via: Via, sample: &Sample) {
        let way = u8::from(via == Via::Gateway);
        let mut tally = self.lock();
        tally.counts.requests += 1;
        match &sample.outcome {
            Ok(answer) => {
                let image: Arc<str> = Arc::from(answer.identity.image.as_str());
                let lane = answer.headers.get(LANE_HEADER).map_or("", String::as_str);
                let lane: Arc<str> = Arc::from(lane);
                tally.version(user, &image);
                tally
                    .batch
                    .list
                    .push((user, way, Arc::clone(&image), Arc::clone(&lane)));
                tally.answered.push_back(Answered {
                    sent: sample.sent,
                    user,
                    image,
                    lane,
                });
            }
            Err(error) => {
                tally.counts.failed += 1;
                let why = error.to_string();
                if tally.failures.len() < WORDS {
                    tally.failures.push(why.clone());
                }
                tally.batch.failed.push((user, way, why));
            }
        }
        let old = |sent: Instant| sent.elapsed() > KEPT;
        while tally.answered.front().is_some_and(|one| old(one.sent)) {
            tally.answered.pop_front();
        }
        while tally.copied.front().is_some_and(|one| old(one.at)) {
            tally.copied.pop_front();
        }
    }

    /// Takes a copy of a user's request that a pod got.
    pub(crate) fn copy(&self, user: usize, image: &str) {
        let image: Arc<str> = Arc::from(image);
        let mut tally = self.lock();
        tally.counts.copies += 1;
        tally.batch.copies.push((user, Arc::clone(&image)));
        tally.copied.push_back(Copied {
            at: Instant::now(),
            image,
        });
    }

    /// Counts from the start.
    pub(crate) fn counts(&self) -> Counts {
        self.lock().counts
    }

    /// The first failures, in words.
    pub(crate) fn failures(&self) -> Vec<String> {
        self.lock().failures.clone()
    }

    /// What has happened since the last call.
    pub(crate) fn take_batch(&self) -> Batch {
        std::mem::take(&mut self.lock().batch)
    }

    /// The requests sent since `from`, as far as they are answered and kept.
    pub(crate) fn answered_since(&self, from: Instant) -> Vec<Answered> {
        let tally = self.lock();
        let recent = tally.answered.iter().filter(|one| one.sent >= from);
        recent.cloned().collect()
    }

    /// The copies that arrived since `from`, as far as they are kept.
    pub(crate) fn copied_since(&self, from: Instant) -> Vec<Copied> {
        let tally = self.lock();
        let recent = tally.copied.iter().filter(|one| one.at >= from);
        recent.cloned().collect()
    }

    /// A holder that panicked left whole numbers: nothing here breaks in the middle.
    fn lock(&self) -> MutexGuard<'_, Tally> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tally {
    fn version(&mut self, user: usize, image: &Arc<str>) {
        if self.last.len() <= user {
            self.last.resize(user + 1, None);
        }
        let Some(last) = self.last.get_mut(user) else {
            return;
        };
        if last.as_ref().is_some_and(|last| last != image) {
            self.counts.flips += 1;
        }
        *last = Some(Arc::clone(image));
    }
}

#[cfg(test)]
mod tests {
    use testbed::echo::{Answer, Identity};

    use super::*;

    fn answered(board: &Board, user: usize, image: &str) {
        let identity = Identity {
            image: image.to_owned(),
            ..Identity::default()
        };
        let answer = Answer {
            identity,
            path: "/".to_owned(),
            http2: false,
            headers: [(LANE_HEADER.to_owned(), "canary".to_owned())].into(),
        };
        board.sample(
            user,
            Via::Gateway,
            &Sample {
                user: None,
                sent: Instant::now(),
                took: Duration::ZERO,
                cookies: Vec::new(),
                outcome: Ok(Arc::new(answer)),
            },
        );
    }

    #[test]
    fn a_flip_is_counted_per_user() {
        let board = Board::default();
        for (user, image) in [(0, "a"), (1, "b"), (0, "a"), (0, "b"), (1, "b"), (0, "a")] {
            answered(&board, user, image);
        }
        let counts = board.counts();
        assert_eq!((counts.requests, counts.failed, counts.flips), (6, 0, 2));
    }

    #[test]
    fn a_batch_is_given_once() {
        let board = Board::default();
        answered(&board, 3, "a");
        board.copy(3, "b");
        let batch = serde_json::to_value(board.take_batch()).unwrap();
        assert_eq!(
            batch,
            serde_json::json!({"list": [[3, 1, "a", "canary"]], "copies": [[3, "b"]], "failed": []})
        );
        assert!(board.take_batch().is_empty());
    }
}
