//! Tables for the decisions (`calls`, `progress`, `turns`, `refusals`), and whole updates with a scripted plugin
//! (`updates`).

mod calls;
mod progress;
mod refusals;
mod scene;
mod turns;
mod updates;
mod world;
