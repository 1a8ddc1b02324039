//! The grammar of `cargo xtask`.

/// The repository's own commands.
#[derive(clap::Parser)]
#[command(name = "cargo xtask")]
pub(crate) struct Xtask {
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// One variant per command.
#[derive(clap::Subcommand)]
pub(crate) enum Command {}
