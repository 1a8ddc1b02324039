//! A pattern, cut into its parts as the engine cuts it (regex-lite 0.1.9 `src/hir/parse.rs`). Whatever
//! looks into a pattern looks at these; of one that the engine refuses they mean nothing.

use std::str::Chars;

/// A part of a pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Token {
    /// A character that stands for itself.
    Literal(char),
    /// Some one character, or a place between two.
    Other,
    /// `.`, `^`, `$`, and the escapes of classes.
    Special(char),
    /// `[…]`, with how many parts.
    Class(usize),
    /// `*`, `+`, `?`, `{…}`, with the `?` behind it.
    Repeat(Times),
    Or,
    Open(Group),
    Close,
    /// `(?i)`
    Flags,
}

/// How often something is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Times {
    /// Written out for a search: `{3,}` is four, and the repetitions without a count are one.
    pub(super) written: usize,
    /// As RE2 counts: `{3,}` is three.
    pub(super) counted: usize,
}

/// What a parenthesis opens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Group {
    Capture,
    Named,
    /// `(?:`
    Plain,
    /// `(?i:`
    Flagged,
}

/// The parts of a pattern, in order.
#[derive(Debug, Clone)]
pub(super) struct Tokens<'p> {
    rest: Chars<'p>,
    /// The first thing so far that the engine knows and RE2 does not, or reads otherwise.
    pub(super) foreign: Option<&'static str>,
    /// The first thing so far that RE2 knows and the engine does not.
    pub(super) lacking: Option<&'static str>,
    any_case: bool,
}

impl<'p> Tokens<'p> {
    pub(super) fn new(pattern: &'p str) -> Self {
        Self {
            rest: pattern.chars(),
            foreign: None,
            lacking: None,
            any_case: false,
        }
    }

    /// What has not been cut.
    pub(super) fn rest(&self) -> &'p str {
        self.rest.as_str()
    }

    fn refuse(&mut self, construct: &'static str) {
        self.foreign.get_or_insert(construct);
    }

    fn lack(&mut self, construct: &'static str) {
        self.lacking.get_or_insert(construct);
    }

    /// True if `start` came next; it is behind then.
    fn skip(&mut self, start: char) -> bool {
        let rest = self.rest().strip_prefix(start);
        if let Some(rest) = rest {
            self.rest = rest.chars();
        }
        rest.is_some()
    }

    /// What comes before the next of `ends`, and that one; both are behind then, or everything.
    fn until(&mut self, ends: &[u8]) -> (&'p str, Option<char>) {
        let rest = self.rest();
        let at = rest.bytes().position(|byte| ends.contains(&byte));
        let (before, behind) = at
            .and_then(|at| rest.split_at_checked(at))
            .unwrap_or((rest, ""));
        self.rest = behind.chars();
        (before, self.rest.next())
    }

    /// Behind a backslash.
    fn escape(&mut self) -> Token {
        let Some(char) = self.rest.next() else {
            return Token::Other;
        };
        match char {
            '<' | '>' => self.refuse(r"the word boundary \< or \>"),
            'b' if self.rest().starts_with('{') => self.refuse(r"the word boundary \b{…}"),
            'u' | 'U' => self.refuse(r"the escape \u or \U (\x is known to both)"),
            'x' if self.skip('{') => {
                let (code, _) = self.until(b"}");
                if u32::from_str_radix(code, 16).is_ok_and(|code| code > 0xff) {
                    self.refuse(r"a character beyond \xff, where characters are bytes");
                }
            }
            'x' => {
                self.rest.nth(1);
            }
            'p' | 'P' => {
                if self.skip('{') {
                    self.until(b"}");
                } else {
                    self.rest.next();
                }
                self.lack(r"the Unicode class \p or \P");
            }
            'Q' => {
                // Up to its end nothing stands for anything else.
                let quoted = self.rest();
                let behind = quoted.split_once(r"\E").map_or("", |(_, behind)| behind);
                self.rest = behind.chars();
                self.lack(r"the quotation \Q…\E");
            }
            'C' => self.lack(r"the byte \C"),
            '0'..='7' => self.lack("an octal escape, or a reference to a group"),
            'd' | 'D' | 'w' | 'W' | 's' | 'S' => return Token::Special(char),
            char if char.is_ascii_punctuation() => return Token::Literal(char),
            _ => {}
        }
        Token::Other
    }

    /// Behind a bracket.
    fn class(&mut self) -> Token {
        self.skip('^');
        let rest = self.rest();
        // To RE2 either is where a range begins.
        if (rest.starts_with("--") && !rest.starts_with("--]"))
            || (rest.starts_with("]-") && !rest.starts_with("]-]"))
        {
            self.refuse("a range from - or ] at the start of a class");
        }
        // Right at the start it is a character.
        self.skip(']');
        let mut parts = 1;
        while let Some(char) = self.rest.next().filter(|char| *char != ']') {
            parts += 1;
            match char {
                '\\' => {
                    self.escape();
                }
                '[' => {
                    self.posix();
                    continue;
                }
                _ => {}
            }
            let mut range = self.rest.clone();
            if range.next() == Some('-') && !matches!(range.next(), None | Some('-' | ']')) {
                self.skip('-');
                parts += 2;
                // A bracket too is a character here.
                if self.rest.next() == Some('\\') {
                    self.escape();
                }
            }
        }
        Token::Class(parts)
    }

    /// Behind a bracket within a class: `[:alpha:]`, since no other is known.
    fn posix(&mut self) {
        if self.skip(':') {
            let (name, _) = self.until(b":");
            self.skip(']');
            if self.any_case && matches!(name, "^lower" | "^upper") {
                self.refuse("[:^lower:] or [:^upper:] under the flag i");
            }
        }
    }

    /// Behind a parenthesis.
    fn open(&mut self) -> Token {
        if !self.skip('?') {
            return Token::Open(Group::Capture);
        }
        let named = self.rest().strip_prefix('P').unwrap_or(self.rest());
        if let Some(name) = named.strip_prefix('<') {
            self.rest = name.chars();
            let (name, _) = self.until(b">");
            if !name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
            {
                self.refuse("a group's name of other characters than letters, digits and _");
            }
            return Token::Open(Group::Named);
        }
        let (flags, end) = self.until(b":)");
        for flag in flags.bytes() {
            match flag {
                b'x' => self.refuse("the flag x"),
                b'R' | b'u' => self.refuse("the flag R or u"),
                b'i' => self.any_case = true,
                _ => {}
            }
        }
        match (end, flags) {
            (Some(':'), "") => Token::Open(Group::Plain),
            (Some(':'), _) => Token::Open(Group::Flagged),
            _ => Token::Flags,
        }
    }

    /// Behind a brace.
    fn counted(&mut self) -> Token {
        let (count, end) = self.until(b"}");
        let (least, most) = count.split_once(',').unwrap_or((count, count));
        let (Some('}'), Some(least)) = (end, number(least)) else {
            return self.no_count();
        };
        let times = match number(most) {
            Some(most) => Times {
                written: most,
                counted: most,
            },
            None if most.is_empty() => Times {
                written: least.saturating_add(1),
                counted: least,
            },
            None => return self.no_count(),
        };
        self.skip('?');
        Token::Repeat(times)
    }

    fn no_count(&mut self) -> Token {
        self.refuse(r"a { that begins no count as {2}, {2,} and {2,3} do (and is not \{)");
        Token::Other
    }
}

impl Iterator for Tokens<'_> {
    type Item = Token;

    fn next(&mut self) -> Option<Token> {
        Some(match self.rest.next()? {
            '\\' => self.escape(),
            '[' => self.class(),
            '(' => self.open(),
            ')' => Token::Close,
            '|' => Token::Or,
            '{' => self.counted(),
            '*' | '+' | '?' => {
                self.skip('?');
                Token::Repeat(Times {
                    written: 1,
                    counted: 1,
                })
            }
            char @ ('.' | '^' | '$') => Token::Special(char),
            char => Token::Literal(char),
        })
    }
}

/// A number as RE2 has it in counts: blanks or a zero before it make it none (`re2/parse.cc`,
/// `ParseInteger`).
fn number(text: &str) -> Option<usize> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let zeros = text.len() > 1 && text.starts_with('0');
    text.parse().ok().filter(|_| digits && !zeros)
}
