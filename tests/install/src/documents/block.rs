//! The blocks of a document that are run. A fence's first word is its language, as GitHub reads it; what follows says what is done:
//!
//! - `sh run`: the commands have to succeed;
//! - `sh run wait`: they are run again until they do, and print what they should;
//! - `sh run fails`: they have to fail;
//! - `text output`, behind one of these: lines that they print, in this order. `...` stands for anything;
//! - any language, then `file=NAME`: the reader saves it as NAME.
//!
//! Blocks without such words are for reading.

/// A block.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Block {
    /// Its first line in the document, from 1 on.
    pub(super) line: usize,
    /// What is in it.
    pub(super) text: String,
    /// What is done with it.
    pub(super) kind: Kind,
}

/// What is done with a block.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// It is saved under this name.
    File(String),
    /// It is run.
    Commands {
        /// How.
        mode: Mode,
        /// What it prints.
        output: Option<String>,
    },
}

/// How commands end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// They succeed at once.
    Succeeds,
    /// They succeed after a while.
    Waits,
    /// They fail.
    Fails,
}

/// The blocks of `document`, or the line of a fault and what it is.
pub(super) fn read(document: &str) -> Result<Vec<Block>, (usize, String)> {
    let mut blocks: Vec<Block> = Vec::new();
    let mut lines = document.lines().enumerate();
    while let Some((number, line)) = lines.next() {
        let Some(words) = line.trim_start().strip_prefix("```") else {
            continue;
        };
        // A block in a list is indented as its fence is.
        let indent = line.len() - line.trim_start().len();
        let mut text = String::new();
        loop {
            let Some((_, inside)) = lines.next() else {
                return Err((number + 1, "found no end of this block".to_owned()));
            };
            if inside.trim() == "```" {
                break;
            }
            let blank = inside.len() - inside.trim_start().len();
            text.push_str(inside.get(indent.min(blank)..).unwrap_or_default());
            text.push('\n');
        }
        take(&mut blocks, words, number, text).map_err(|fault| (number + 1, fault))?;
    }
    Ok(blocks)
}

fn take(blocks: &mut Vec<Block>, words: &str, number: usize, text: String) -> Result<(), String> {
    let words: Vec<&str> = words.split_whitespace().skip(1).collect();
    let kind = match words.as_slice() {
        [] => return Ok(()),
        ["output"] => {
            let last = blocks.last_mut().map(|block| &mut block.kind);
            let Some(Kind::Commands { output, .. }) = last else {
                return Err("found an output, expected it behind commands that are run".to_owned());
            };
            return match output.replace(text) {
                None => Ok(()),
                Some(_) => Err("found a second output of the same commands".to_owned()),
            };
        }
        ["run"] => Mode::Succeeds,
        ["run", "wait"] => Mode::Waits,
        ["run", "fails"] => Mode::Fails,
        [word] if word.starts_with("file=") => {
            let name = word.trim_start_matches("file=");
            if name.is_empty() || name.starts_with('/') || name.contains("..") {
                return Err(format!(
                    "found {word}, expected a name in the reader's folder"
                ));
            }
            blocks.push(Block {
                line: number + 1,
                text,
                kind: Kind::File(name.to_owned()),
            });
            return Ok(());
        }
        other => {
            return Err(format!(
                "found {:?}, expected run, run wait, run fails, output, or file=NAME",
                other.join(" ")
            ));
        }
    };
    blocks.push(Block {
        line: number + 1,
        text,
        kind: Kind::Commands {
            mode: kind,
            output: None,
        },
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_that_are_run_have_line_mode_and_output() {
        let text = "a\n```sh run\nx\n```\nthen\n```text output\ny\n```\n```sh\nread only\n```\n- b\n\n  ```sh run wait\n  if z; then\n    z\n  fi\n  ```\n";
        let blocks = read(text).unwrap();
        assert_eq!(blocks.len(), 2);
        assert_eq!((blocks[0].line, blocks[0].text.as_str()), (2, "x\n"));
        let output = Some("y\n".to_owned());
        let mode = Mode::Succeeds;
        assert_eq!(blocks[0].kind, Kind::Commands { mode, output });
        assert_eq!(blocks[1].text, "if z; then\n  z\nfi\n");
        let (mode, output) = (Mode::Waits, None);
        assert_eq!(blocks[1].kind, Kind::Commands { mode, output });
    }

    #[test]
    fn a_file_is_saved_under_its_name() {
        let blocks = read("```yaml file=shop.yaml\na: 1\n```\n").unwrap();
        assert_eq!(blocks[0].kind, Kind::File("shop.yaml".to_owned()));
        assert!(read("```yaml file=../x\n```\n").is_err());
        assert!(read("```yaml file=/x\n```\n").is_err());
    }

    #[test]
    fn a_fault_names_its_line() {
        for (text, line) in [
            ("\n```sh run\nx\n", 2),
            ("```text output\n```\n", 1),
            ("a\nb\n```sh runs\n```\n", 3),
            (
                "```sh run\n```\n```text output\n```\n```text output\n```\n",
                5,
            ),
        ] {
            assert_eq!(read(text).unwrap_err().0, line, "{text}");
        }
    }
}
