//! What `serin` does when it isn't the controller that starts it: one file per command.

mod install;

use std::path::PathBuf;
use std::process::ExitCode;

/// One variant per command.
#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Copies this program into a folder, for the init container of the controller's pod.
    #[command(after_help = "Example: serin install /plugins    # leaves /plugins/serin")]
    Install {
        /// An existing folder: a volume that the controller's container mounts too.
        #[arg(value_name = "DIR")]
        folder: PathBuf,
    },
}

impl Command {
    /// Prints the outcome: 0, or 1 with one line on stderr.
    pub(crate) fn run(self) -> ExitCode {
        let outcome = match self {
            Self::Install { folder } => install::install(&folder),
        };
        match outcome {
            Ok(said) => {
                println!("{said}");
                ExitCode::SUCCESS
            }
            Err(error) => {
                eprintln!("error: {error}");
                ExitCode::FAILURE
            }
        }
    }
}
