//! The story without a page: waits for each scene, looks at it, and says what was seen.

use std::time::{Duration, Instant};

use testbed::mesh::Via;

use crate::check::{SCENES, Scene, Seen};
use crate::demo::Demo;
use crate::error::Error;
use crate::{shop, terminal, users, view};

/// A scene that isn't there by then doesn't come.
const SCENE_LIMIT: Duration = Duration::from_mins(1);
/// From the moment the objects are as they should be until every proxy has them, with much to spare.
const SETTLED: Duration = Duration::from_millis(700);
/// How long requests are looked at.
const OBSERVED: Duration = Duration::from_secs(3);
/// What is left over has to be gone by then.
const CLEAN_LIMIT: Duration = Duration::from_secs(5);
const POLL: Duration = Duration::from_millis(50);

/// Runs it; true if everything was as told.
pub(crate) async fn run(demo: &Demo) -> Result<bool, Error> {
    let began = Instant::now();
    let mut problems = Vec::new();
    terminal::heading();
    for scene in &SCENES {
        match look(demo, scene).await {
            Ok(seen) => {
                terminal::row(scene, &seen, demo.board.counts().failed);
                let title = scene.chapter.told().title;
                problems.extend(
                    seen.problems
                        .iter()
                        .map(|problem| format!("{title}: {problem}")),
                );
            }
            Err(problem) => {
                problems.push(problem);
                break;
            }
        }
    }
    problems.extend(leftovers(demo).await);
    let failures = demo.board.failures();
    problems.extend(
        failures
            .into_iter()
            .map(|why| format!("a failed request: {why}")),
    );
    for via in Via::ALL {
        let log = demo.cluster.mesh().envoy(via).log();
        problems.extend(
            log.lines()
                .filter(|line| line.contains("][critical]"))
                .map(str::to_owned),
        );
    }
    problems.extend(demo.cluster.mesh().problems());
    terminal::summary(demo.board.counts(), began.elapsed(), &problems);
    Ok(problems.is_empty())
}

/// Waits for a scene and looks at it; the error is what is there instead.
async fn look(demo: &Demo, scene: &Scene) -> Result<Seen, String> {
    let title = scene.chapter.told().title;
    let began = Instant::now();
    loop {
        let state = demo.state().await;
        if scene.is_on(&state) {
            break;
        }
        if began.elapsed() > SCENE_LIMIT {
            return Err(format!(
                "{title}: not there after {} s; chapter {}, phase {}, weight {}, {}",
                SCENE_LIMIT.as_secs(),
                state.story.index,
                state.rollout.phase,
                state.weight.wanted,
                state.rollout.message
            ));
        }
        tokio::time::sleep(POLL).await;
    }
    tokio::time::sleep(SETTLED).await;
    let from = Instant::now();
    tokio::time::sleep(OBSERVED).await;
    let answered = demo.board.answered_since(from);
    let copied = demo.board.copied_since(from);
    if !scene.is_on(&demo.state().await) {
        return Err(format!("{title}: over before it had been looked at"));
    }
    Ok(scene.look(&users::others(), &answered, &copied))
}

/// At the end the VirtualService is the team's, and the filter has no policy.
async fn leftovers(demo: &Demo) -> Vec<String> {
    let began = Instant::now();
    loop {
        let state = demo.state().await;
        let mut left = Vec::new();
        if state.virtual_service.now != state.virtual_service.users {
            left.push(format!(
                "the VirtualService is not what the team wrote:\n{}",
                state.virtual_service.now
            ));
        }
        if let Some(policy) = view::policy(demo.cluster.store()) {
            left.push(format!(
                "the filter still has a policy for {}/{}: {policy}",
                shop::NAMESPACE,
                shop::NAME
            ));
        }
        if left.is_empty() || began.elapsed() > CLEAN_LIMIT {
            return left;
        }
        tokio::time::sleep(POLL).await;
    }
}
