//! The story: which chapter the Rollout is in, and what it says. Pure.

use argo_rollouts::Rollout;
use serde::Serialize;

use crate::shop;

/// The release that the story promotes.
pub(crate) const PROMOTED: u32 = 2;
/// The release that the story aborts.
pub(crate) const ABORTED: u32 = 3;

/// A part of the story, in its order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Chapter {
    /// One version.
    StableOnly,
    /// A header route.
    BetaUsers,
    /// A mirror route beside it.
    Mirror,
    /// 10 % of the others.
    Tenth,
    /// Half of the others.
    Half,
    /// All of them.
    Promoted,
    /// It begins anew, with users told apart.
    SecondRelease,
    /// Half of the users.
    StickyHalf,
    /// And is taken back.
    Aborted,
}

/// The images that a Rollout is about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Images {
    /// In its template.
    pub(crate) wanted: String,
    /// Of its stable ReplicaSet; empty before there is one.
    pub(crate) stable: String,
}

/// What the page shows of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Told {
    /// From 1.
    pub(crate) index: usize,
    pub(crate) count: usize,
    pub(crate) title: &'static str,
    pub(crate) text: &'static str,
}

impl Chapter {
    pub(crate) const ALL: [Self; 9] = [
        Self::StableOnly,
        Self::BetaUsers,
        Self::Mirror,
        Self::Tenth,
        Self::Half,
        Self::Promoted,
        Self::SecondRelease,
        Self::StickyHalf,
        Self::Aborted,
    ];

    /// Title and text, with the chapter's place.
    pub(crate) fn told(self) -> Told {
        let (title, text) = match self {
            Self::StableOnly => (
                "Stable only",
                "All users get the version that is out. The VirtualService is as the team wrote it; no policy is in the \
                 filter.",
            ),
            Self::BetaUsers => (
                "Beta users first",
                "A new release has one pod. The filter sends requests with x-beta: 1 to it; everyone else stays on \
                 stable. Lane routes stand above the team's route and keep its timeout and retries.",
            ),
            Self::Mirror => (
                "A copy of real traffic",
                "30 % of the other users' requests are copied to the canary. Their answers still come from stable; the \
                 copies' answers are thrown away.",
            ),
            Self::Tenth => (
                "10 % of the others",
                "Mirroring is over. The VirtualService's weights send one request in ten to the canary. Without a sticky \
                 rule a user flips between versions, which you can see.",
            ),
            Self::Half => (
                "50 % of the others",
                "Half of the requests go to the canary. More of its pods have been started to carry them.",
            ),
            Self::Promoted => (
                "Promoted",
                "The canary is the stable version now, and the old pods go. Lane routes and policy are gone: the \
                 VirtualService is the team's again.",
            ),
            Self::SecondRelease => (
                "The next one is sticky",
                "The same steps with another version, and two lines more in the Rollout: sticky, by the header that tells \
                 who the user is. At 10 % one user in ten is on the canary, more or less, and stays there: nobody flips.",
            ),
            Self::StickyHalf => (
                "Half of the users",
                "Those who were on the canary still are, others have joined them, and nobody goes back and forth. But this \
                 release will not make it.",
            ),
            Self::Aborted => (
                "Aborted",
                "Everyone is back on the stable version, beta users too, and nothing is left behind. From here on it is \
                 yours: start a release, promote it, abort it, break things.",
            ),
        };
        Told {
            index: self as usize + 1,
            count: Self::ALL.len(),
            title,
            text,
        }
    }

    /// While an abort has not yet reached everything.
    pub(crate) fn being_taken_back() -> Told {
        Told {
            title: "Aborting",
            text: "The release is being taken back: weights to 0, the policy out of the filter, the lane routes out of the \
                   VirtualService.",
            ..Self::Aborted.told()
        }
    }

    /// The chapter that a Rollout is in; `told` while the story goes as planned. Other releases are told in the words of
    /// the first.
    pub(crate) fn of(rollout: &Rollout, images: &Images, told: bool) -> Self {
        let status = &rollout.status;
        if status.abort {
            return Self::Aborted;
        }
        if status.current_pod_hash == status.stable_rs || status.stable_rs.is_empty() {
            return if shop::release(&images.stable) < PROMOTED {
                Self::StableOnly
            } else {
                Self::Promoted
            };
        }
        match step(rollout) {
            chapter if !told || shop::release(&images.wanted) != ABORTED => chapter,
            Self::Half => Self::StickyHalf,
            _ => Self::SecondRelease,
        }
    }
}

/// The chapter that the steps up to the current one make.
fn step(rollout: &Rollout) -> Chapter {
    let index = rollout.status.current_step_index.unwrap_or(0);
    let Ok(index) = usize::try_from(index) else {
        return Chapter::BetaUsers;
    };
    let steps = rollout.canary().map(|canary| canary.steps.as_slice());
    let mut chapter = Chapter::BetaUsers;
    for step in steps.unwrap_or_default().iter().take(index + 1) {
        let mirrors = step
            .set_mirror_route
            .as_ref()
            .is_some_and(|route| !route.matches.is_empty());
        chapter = match step.set_weight {
            Some(weight) if weight >= 50 => Chapter::Half,
            Some(_) => Chapter::Tenth,
            None if mirrors => Chapter::Mirror,
            None => chapter,
        };
    }
    chapter
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn at(status: serde_json::Value) -> Rollout {
        let steps = json!([
            {"setCanaryScale": {"replicas": 1}},
            {"setHeaderRoute": {"name": "beta-users", "match": [{"headerName": "x-beta", "headerValue": {"exact": "1"}}]}},
            {"pause": {}},
            {"setMirrorRoute": {"name": "shadow", "percentage": 30, "match": [{"path": {"prefix": "/"}}]}},
            {"pause": {}},
            {"setMirrorRoute": {"name": "shadow"}},
            {"setWeight": 10},
            {"pause": {}},
            {"setWeight": 50},
        ]);
        serde_json::from_value(json!({
            "metadata": {"namespace": "shop", "name": "reviews"},
            "spec": {"strategy": {"canary": {"steps": steps}}},
            "status": status,
        }))
        .unwrap()
    }

    #[test]
    fn every_moment_has_its_chapter() {
        let moving = |step: i32| {
            at(json!({"currentPodHash": "c", "stableRS": "s", "currentStepIndex": step}))
        };
        let done = at(json!({"currentPodHash": "s", "stableRS": "s", "currentStepIndex": 9}));
        let aborted = at(json!({"currentPodHash": "c", "stableRS": "s", "abort": true}));
        let images = |wanted: u32, stable: u32| Images {
            wanted: shop::image(wanted),
            stable: shop::image(stable),
        };
        let cases = vec![
            (at(json!({})), images(1, 1), true, Chapter::StableOnly),
            (done.clone(), images(1, 1), true, Chapter::StableOnly),
            // A new image that the controller has not yet seen.
            (done.clone(), images(2, 1), true, Chapter::StableOnly),
            (moving(0), images(2, 1), true, Chapter::BetaUsers),
            (moving(2), images(2, 1), true, Chapter::BetaUsers),
            (moving(4), images(2, 1), true, Chapter::Mirror),
            (moving(5), images(2, 1), true, Chapter::Mirror),
            (moving(7), images(2, 1), true, Chapter::Tenth),
            (moving(8), images(2, 1), true, Chapter::Half),
            (done.clone(), images(2, 2), true, Chapter::Promoted),
            (moving(0), images(3, 2), true, Chapter::SecondRelease),
            (moving(7), images(3, 2), true, Chapter::SecondRelease),
            (moving(8), images(3, 2), true, Chapter::StickyHalf),
            (moving(8), images(3, 2), false, Chapter::Half),
            (aborted, images(3, 2), true, Chapter::Aborted),
            (moving(7), images(4, 2), false, Chapter::Tenth),
            (done, images(4, 4), false, Chapter::Promoted),
        ];
        for (rollout, images, told, chapter) in cases {
            assert_eq!(
                Chapter::of(&rollout, &images, told),
                chapter,
                "{images:?} {:?}",
                rollout.status
            );
        }
    }

    #[test]
    fn chapters_are_numbered_from_1() {
        let indices: Vec<usize> = Chapter::ALL.map(|chapter| chapter.told().index).into();
        assert_eq!(indices, [1, 2, 3, 4, 5, 6, 7, 8, 9]);
    }
}
