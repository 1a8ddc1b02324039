//! What the program is told. `cargo xtask bench filter` fills it in.

use std::path::PathBuf;

/// Measures what the filter costs an Envoy, and prints Markdown.
#[derive(Debug, clap::Parser)]
pub(crate) struct Flags {
    /// The Envoy program.
    #[arg(long)]
    pub(crate) envoy: PathBuf,
    /// The filter's module.
    #[arg(long)]
    pub(crate) module: PathBuf,
    /// Other builds of the module, each measured per request in the same run.
    #[arg(long)]
    pub(crate) beside: Vec<PathBuf>,
    /// The command and the versions that the report names.
    #[arg(long)]
    pub(crate) command: String,
    #[arg(long)]
    pub(crate) versions: String,
    /// Too short for figures; shows that it runs.
    #[arg(long)]
    pub(crate) quick: bool,
    /// Measures only the CPU time per request.
    #[arg(long)]
    pub(crate) requests_only: bool,
}
