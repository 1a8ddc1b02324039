//! Tables for the decisions (`calls`, `progress`, `turns`, `refusals`), and whole updates with a scripted plugin
//! (`updates`, `failures`).

mod calls;
mod failures;
mod progress;
mod refusals;
mod scene;
mod turns;
mod updates;
mod world;
