//! The repository's own commands: this file only dispatches; the grammar is in `flags.rs`, one file per command.

mod flags;

use clap::Parser;

fn main() -> std::process::ExitCode {
    match flags::Xtask::parse().command {}
}
