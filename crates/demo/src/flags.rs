//! What the demo is told: where the programs are that it runs, and how. `cargo xtask demo` fills it in.

use std::path::PathBuf;

/// A canary on a page, without a cluster.
#[derive(Debug, clap::Parser)]
pub(crate) struct Flags {
    /// The Envoy program.
    #[arg(long)]
    pub(crate) envoy: PathBuf,
    /// The plugin that the controller calls.
    #[arg(long)]
    pub(crate) plugin: PathBuf,
    /// The filter's module.
    #[arg(long)]
    pub(crate) module: PathBuf,
    /// The page's port on localhost; 0 takes a free one. Without it, 7400 or, if that is taken, a free one.
    #[arg(long)]
    pub(crate) port: Option<u16>,
    /// Without a page: runs the story to its end, checks it, prints a summary; exits with 0 or 1.
    #[arg(long)]
    pub(crate) headless: bool,
}
