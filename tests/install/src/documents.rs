//! The command blocks of documents, run in order as a reader runs them, on the cluster that KUBECONFIG names.
//!
//! Each document is one run in a folder that looks like a fresh checkout, and cleans up by its own words. What is built here takes the
//! place of what a reader downloads: those lines are given as substitutions, and printed.

mod block;
mod expected;
mod section;
mod shell;

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::DocumentFlags;
use crate::documents::block::{Block, Kind, Mode};
use crate::documents::shell::Shell;
use crate::error::Error;
use crate::files::copy;

/// How long a block that waits is tried again.
const PATIENCE: Duration = Duration::from_mins(2);
/// The pause between two tries.
const PAUSE: Duration = Duration::from_secs(1);

/// Runs each document to its end.
pub(crate) fn run(flags: &DocumentFlags) -> Result<(), Error> {
    let substitutions = flags
        .substitute
        .iter()
        .map(|text| Substitution::new(text))
        .collect::<Result<Vec<_>, _>>()?;
    for document in &flags.documents {
        let began = Instant::now();
        let count = follow(flags, document, &substitutions)?;
        let seconds = began.elapsed().as_secs();
        let name = document.strip_prefix(&flags.checkout).unwrap_or(document);
        println!("{}: {count} blocks, {seconds} s", name.display());
    }
    Ok(())
}

/// A line of a document, and what is run in its place.
struct Substitution {
    /// How the line begins.
    from: String,
    /// What follows this beginning.
    to: String,
}

impl Substitution {
    /// Of the form `NAME==VALUE`: a line that sets the variable NAME.
    fn new(text: &str) -> Result<Self, Error> {
        let (name, value) = text.split_once("==").ok_or_else(|| Error::Output {
            what: format!("--substitute {text}"),
            fault: "expected NAME==VALUE".to_owned(),
        })?;
        Ok(Self {
            from: format!("{name}="),
            to: value.to_owned(),
        })
    }
}

fn substituted(script: &str, substitutions: &[Substitution]) -> (String, Vec<String>) {
    let mut told = Vec::new();
    let lines: Vec<String> = script
        .lines()
        .map(|line| {
            let found = substitutions.iter().find(|one| line.starts_with(&one.from));
            match found {
                None => line.to_owned(),
                Some(one) => {
                    let new = format!("{}{}", one.from, one.to);
                    told.push(format!("{line}  ->  {new}"));
                    new
                }
            }
        })
        .collect();
    (lines.join("\n"), told)
}

/// Runs one document; returns how many blocks it has.
fn follow(
    flags: &DocumentFlags,
    document: &Path,
    substitutions: &[Substitution],
) -> Result<usize, Error> {
    let checkout = &flags.checkout;
    let text = fs::read_to_string(document).map_err(Error::file("read", document))?;
    let name = document
        .strip_prefix(checkout)
        .unwrap_or(document)
        .to_path_buf();
    let text = match &flags.through {
        Some(heading) => section::through(&text, heading).ok_or_else(|| Error::Output {
            what: name.display().to_string(),
            fault: format!("found no section {heading:?}, expected one that begins so"),
        })?,
        None => &text,
    };
    let blocks = block::read(text).map_err(|(line, fault)| Error::Output {
        what: format!("{}:{line}", name.display()),
        fault,
    })?;
    let shell = Shell::new()?;
    for folder in ["manifests", "charts", "docs"] {
        copy(&checkout.join(folder), &shell.folder().join(folder))?;
    }
    if let Some(prelude) = &flags.prelude {
        let ended = shell.run(prelude)?;
        if ended.code != 0 {
            return Err(Error::Output {
                what: "--prelude".to_owned(),
                fault: ended.output,
            });
        }
    }
    for block in &blocks {
        let place = format!("{}:{}", name.display(), block.line);
        match &block.kind {
            Kind::File(file) => {
                let path = shell.folder().join(file);
                fs::write(&path, &block.text).map_err(Error::file("write", &path))?;
                println!("{place}: {file}");
            }
            Kind::Commands { mode, output } => {
                let (script, told) = substituted(&block.text, substitutions);
                for line in told {
                    println!("{place}: {line}");
                }
                carry_out(&shell, &place, block, &script, *mode, output.as_deref())?;
            }
        }
    }
    Ok(blocks.len())
}

/// Runs a block, again if it waits, until it succeeds and prints what it should.
fn carry_out(
    shell: &Shell,
    place: &str,
    block: &Block,
    script: &str,
    mode: Mode,
    output: Option<&str>,
) -> Result<(), Error> {
    println!("{place}:\n{}", indented(script));
    let began = Instant::now();
    loop {
        let ended = shell.run(script)?;
        let fault = match (ended.code, mode) {
            (0, Mode::Fails) => Some("succeeded, expected an error".to_owned()),
            (0, _) | (_, Mode::Fails) => {
                output.and_then(|expected| expected::missing(expected, &ended.output))
            }
            (code, _) => Some(format!("ended with the exit code {code}")),
        };
        let Some(fault) = fault else {
            println!("{}", indented(&ended.output));
            return Ok(());
        };
        if mode == Mode::Waits && began.elapsed() < PATIENCE {
            std::thread::sleep(PAUSE);
            continue;
        }
        return Err(Error::Output {
            what: format!("{place}:\n{}", block.text.trim_end()),
            fault: format!("{fault}; its output was:\n{}", ended.output),
        });
    }
}

fn indented(text: &str) -> String {
    text.lines()
        .map(|line| format!("    {line}"))
        .collect::<Vec<_>>()
        .join("\n")
}
