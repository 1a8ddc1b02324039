//! What has to be seen in each chapter of the story. Pure: requests in, problems out.

use std::collections::BTreeSet;

use crate::board::{Answered, Copied};
use crate::shop::{self, MIRRORED};
use crate::story::{ABORTED, Chapter, PROMOTED};
use crate::users::User;
use crate::view::{State, share};

/// How far a share may be from its weight, in standard deviations of as many independent draws.
const DEVIATIONS: f64 = 4.0;

/// A moment of the story that is looked at.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scene {
    pub(crate) chapter: Chapter,
    /// The Rollout's phase then.
    pub(crate) phase: &'static str,
    /// The canary's weight then.
    pub(crate) weight: i32,
    /// The release that shares are counted of.
    pub(crate) release: u32,
    /// Percent of the beta users' requests.
    pub(crate) beta: f64,
    /// Percent of the others' requests.
    pub(crate) others: f64,
    /// Copies, in percent of the others' requests.
    pub(crate) copies: f64,
    /// Whether each user is at one version.
    pub(crate) sticky: bool,
}

impl Scene {
    const fn sticky(self) -> Self {
        Self {
            sticky: true,
            ..self
        }
    }
}

const fn scene(
    chapter: Chapter,
    phase: &'static str,
    (release, weight): (u32, i32),
    beta: f64,
    others: f64,
    copies: f64,
) -> Scene {
    Scene {
        chapter,
        phase,
        weight,
        release,
        beta,
        others,
        copies,
        sticky: false,
    }
}

/// The story.
pub(crate) const SCENES: [Scene; 9] = [
    scene(Chapter::StableOnly, "Healthy", (1, 0), 100.0, 100.0, 0.0),
    scene(Chapter::BetaUsers, "Paused", (PROMOTED, 0), 100.0, 0.0, 0.0),
    scene(
        Chapter::Mirror,
        "Paused",
        (PROMOTED, 0),
        100.0,
        0.0,
        MIRRORED,
    ),
    scene(Chapter::Tenth, "Paused", (PROMOTED, 10), 100.0, 10.0, 0.0),
    scene(Chapter::Half, "Paused", (PROMOTED, 50), 100.0, 50.0, 0.0),
    scene(
        Chapter::Promoted,
        "Healthy",
        (PROMOTED, 0),
        100.0,
        100.0,
        0.0,
    ),
    scene(
        Chapter::SecondRelease,
        "Paused",
        (ABORTED, 10),
        100.0,
        10.0,
        0.0,
    )
    .sticky(),
    scene(
        Chapter::StickyHalf,
        "Paused",
        (ABORTED, 50),
        100.0,
        50.0,
        0.0,
    )
    .sticky(),
    scene(Chapter::Aborted, "Degraded", (ABORTED, 0), 0.0, 0.0, 0.0),
];

/// What was seen of a scene.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Seen {
    pub(crate) requests: usize,
    /// Percent of the beta users' and of the others' requests.
    pub(crate) beta: f64,
    pub(crate) others: f64,
    pub(crate) copies: usize,
    /// What is wrong, in words.
    pub(crate) problems: Vec<String>,
}

impl Scene {
    /// Whether the story is there.
    pub(crate) fn is_on(&self, state: &State) -> bool {
        state.story == self.chapter.told()
            && state.rollout.phase == self.phase
            && state.weight.wanted == self.weight
    }

    /// Looks at requests and copies of a time in which the scene was on.
    pub(crate) fn look(&self, users: &[User], answered: &[Answered], copied: &[Copied]) -> Seen {
        let image = shop::image(self.release);
        let is_beta = |one: &&Answered| users.iter().any(|user| user.id == one.user && user.beta);
        let mut problems = Vec::new();
        let mut part = |name: &str, wanted: f64, requests: &[&Answered]| {
            let hits = requests.iter().filter(|one| *one.image == *image).count();
            let found = share(hits, requests.len());
            let users: BTreeSet<usize> = requests.iter().map(|one| one.user).collect();
            // Who is told apart is drawn once.
            let draws = if self.sticky {
                users.len()
            } else {
                requests.len()
            };
            let allowed = tolerance(wanted, draws);
            if requests.is_empty() {
                problems.push(format!("no request of {name} was answered"));
            } else if (found - wanted).abs() > allowed {
                problems.push(format!(
                    "{image} answered {found:.1} % of the {} requests of {name}, expected {wanted:.0} ± {allowed:.1}",
                    requests.len()
                ));
            }
            found
        };
        let (beta, others): (Vec<&Answered>, Vec<&Answered>) = answered.iter().partition(is_beta);
        let beta_share = part("beta users", self.beta, &beta);
        let others_share = part("the others", self.others, &others);
        let arrived = copied.len();
        let found = share(arrived, others.len());
        // At both ends of the time some copies are under way.
        let allowed =
            tolerance(self.copies, others.len()) + if self.copies > 0.0 { 2.0 } else { 0.0 };
        if (found - self.copies).abs() > allowed {
            problems.push(format!(
                "{arrived} copies of {} requests, expected {:.0} % ± {allowed:.1}",
                others.len(),
                self.copies
            ));
        }
        if self.sticky {
            problems.extend(flips(users, answered));
        }
        if let Some(stray) = copied.iter().find(|copy| *copy.image != *image) {
            problems.push(format!("a copy reached {}, expected {image}", stray.image));
        }
        Seen {
            requests: answered.len(),
            beta: beta_share,
            others: others_share,
            copies: arrived,
            problems,
        }
    }
}

/// Users who were at several versions.
fn flips(users: &[User], answered: &[Answered]) -> Vec<String> {
    let versions = |user: &User| {
        let of_user = answered.iter().filter(|one| one.user == user.id);
        of_user.map(|one| &*one.image).collect::<BTreeSet<&str>>()
    };
    users
        .iter()
        .filter(|user| versions(user).len() > 1)
        .map(|user| format!("{} saw several versions: {:?}", user.name, versions(user)))
        .collect()
}

/// In percent; none where every draw is certain.
#[allow(
    clippy::cast_precision_loss,
    reason = "some thousands of requests at most"
)]
fn tolerance(wanted: f64, requests: usize) -> f64 {
    let part = wanted / 100.0;
    DEVIATIONS * (part * (1.0 - part) / requests.max(1) as f64).sqrt() * 100.0
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Instant;

    use super::*;
    use crate::users;

    fn answered(image: impl Fn(usize, &User) -> u32) -> Vec<Answered> {
        (0..40)
            .flat_map(|number| users::others().into_iter().map(move |user| (number, user)))
            .map(|(number, user)| Answered {
                sent: Instant::now(),
                user: user.id,
                image: Arc::from(shop::image(image(number, &user))),
                lane: Arc::from(""),
            })
            .collect()
    }

    fn problems(scene: &Scene, answered: &[Answered], copies: usize) -> Vec<String> {
        let copy = Copied {
            at: Instant::now(),
            image: Arc::from("reviews:2"),
        };
        scene
            .look(&users::others(), answered, &vec![copy; copies])
            .problems
    }

    #[test]
    fn every_chapter_is_looked_at_once_and_in_order() {
        assert_eq!(SCENES.map(|scene| scene.chapter), Chapter::ALL);
    }

    #[test]
    fn a_tenth_passes_and_a_fifth_does_not() {
        let tenth = &SCENES[3];
        let share = |one_in: usize| {
            answered(move |number, user| {
                if user.beta || number % one_in == 0 {
                    2
                } else {
                    1
                }
            })
        };
        assert_eq!(problems(tenth, &share(10), 0), Vec::<String>::new());
        assert_eq!(
            problems(tenth, &share(5), 0),
            ["reviews:2 answered 20.0 % of the 760 requests of the others, expected 10 ± 4.4"]
        );
    }

    #[test]
    fn one_request_of_a_beta_user_on_the_wrong_version_is_too_many() {
        let half = &SCENES[4];
        let requests = answered(|number, user| {
            let wrong = user.id == 1 && number == 7;
            if (user.beta && !wrong) || (!user.beta && number % 2 == 0) {
                2
            } else {
                1
            }
        });
        assert_eq!(
            problems(half, &requests, 0),
            ["reviews:2 answered 99.4 % of the 160 requests of beta users, expected 100 ± 0.0"]
        );
    }

    #[test]
    fn users_who_are_told_apart_stay_where_they_are() {
        let half = &SCENES[7];
        let by_user = |user: &User| {
            if user.beta || user.id.is_multiple_of(2) {
                3
            } else {
                2
            }
        };
        let requests = answered(|_, user| by_user(user));
        assert_eq!(problems(half, &requests, 0), Vec::<String>::new());
        let requests = answered(|number, user| match (user.id, number) {
            (4, 20) => 2,
            _ => by_user(user),
        });
        assert_eq!(
            problems(half, &requests, 0),
            [r#"Donald saw several versions: {"reviews:2", "reviews:3"}"#]
        );
    }

    #[test]
    fn copies_are_as_many_as_the_mirror_route_says() {
        let mirror = &SCENES[2];
        let requests = answered(|_, user| if user.beta { 2 } else { 1 });
        assert_eq!(problems(mirror, &requests, 228), Vec::<String>::new());
        assert_eq!(
            problems(mirror, &requests, 100),
            ["100 copies of 760 requests, expected 30 % ± 8.6"]
        );
        assert_eq!(
            problems(&SCENES[1], &requests, 1),
            ["1 copies of 760 requests, expected 0 % ± 0.0"]
        );
    }
}
