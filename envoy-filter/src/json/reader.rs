//! From text to tokens (RFC 8259), one after the other, without `serde`.

use std::borrow::Cow;

use serde::de::Expected;
use traffic_policy::Pace;

use super::Error;

/// How deep objects and arrays may nest: reading recurses, and a module's stack is small. `serde_json` stops there too.
const MAX_DEPTH: u32 = 127;

/// See [`Reader::skip_one`].
const NOTHING_OPEN: u128 = 1;

/// A text and how far it has been read.
#[derive(Debug)]
pub(crate) struct Reader<'de> {
    text: &'de str,
    at: usize,
    depth: u32,
    /// How far reading has been paid for.
    paid: usize,
}

/// Where a value begins.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Start {
    at: usize,
    depth: u32,
}

impl<'de> Reader<'de> {
    pub(crate) fn new(text: &'de str) -> Self {
        Self {
            text,
            at: 0,
            depth: 0,
            paid: 0,
        }
    }

    /// What has been read.
    #[cfg(test)]
    pub(super) fn passed(&self) -> &'de [u8] {
        self.text.as_bytes().get(..self.at).unwrap_or_default()
    }

    /// Where the next value begins.
    pub(crate) fn start(&mut self) -> Start {
        self.peek();
        Start {
            at: self.at,
            depth: self.depth,
        }
    }

    /// With the place where `error` was found, in the text that begins at `start`; in all of it without one.
    pub(crate) fn placed(&self, error: Error, start: Option<Start>) -> Error {
        let start = start.map_or(0, |start| start.at);
        let passed = self.text.as_bytes().get(start..self.at);
        error.at(passed.unwrap_or_default())
    }

    /// Spends what has been read since the last time.
    pub(crate) fn pay(&mut self, pace: &Pace) -> impl Future<Output = ()> {
        let read = self.at.saturating_sub(self.paid);
        self.paid = self.at;
        pace.spend(read)
    }

    /// Nothing but space may be left.
    pub(crate) fn end(&mut self) -> Result<(), Error> {
        match self.peek() {
            None => Ok(()),
            Some(_) => Err(self.fault("trailing characters")),
        }
    }

    /// The next byte that is no space; it stays to be read.
    pub(crate) fn peek(&mut self) -> Option<u8> {
        loop {
            let next = *self.text.as_bytes().get(self.at)?;
            if !matches!(next, b' ' | b'\n' | b'\r' | b'\t') {
                return Some(next);
            }
            self.at += 1;
        }
    }

    /// An error about the next byte, which counts as read; nothing more may be.
    fn fault(&mut self, what: &str) -> Error {
        self.at = self.text.len().min(self.at + 1);
        Error::new(what)
    }

    /// An error about the value that is next, which is not what it should be.
    pub(super) fn unexpected(&mut self, expected: &dyn Expected) -> Error {
        let found = match self.peek() {
            None => return Error::new("EOF while parsing a value"),
            Some(b'{') => Cow::Borrowed("map"),
            Some(b'[') => Cow::Borrowed("sequence"),
            Some(b'"') => match self.string() {
                Ok(string) => format!("string {string:?}").into(),
                Err(error) => return error,
            },
            Some(_) => match self.plain() {
                Ok("null") => Cow::Borrowed("null"),
                Ok(text @ ("true" | "false")) => format!("boolean `{text}`").into(),
                Ok(number) => format!("number `{number}`").into(),
                Err(error) => return error,
            },
        };
        Error::type_of(&found, expected)
    }

    /// True, and past it, if `word` is next.
    pub(super) fn word(&mut self, word: &str) -> bool {
        self.peek();
        let rest = self.text.get(self.at..).unwrap_or_default();
        let is_next = rest.starts_with(word);
        if is_next {
            self.at += word.len();
        }
        is_next
    }

    /// Past the `{` or `[` that begins a value.
    pub(crate) fn begin(&mut self, with: u8, expected: &dyn Expected) -> Result<(), Error> {
        if self.peek() != Some(with) {
            return Err(self.unexpected(expected));
        }
        self.at += 1;
        if self.depth == MAX_DEPTH {
            return Err(Error::new("recursion limit exceeded"));
        }
        self.depth += 1;
        Ok(())
    }

    /// True if one more element of an array comes; past the `]` if not.
    pub(super) fn next_element(&mut self, is_first: bool) -> Result<bool, Error> {
        self.next(
            is_first,
            b']',
            "EOF while parsing a list",
            "expected `,` or `]`",
        )
    }

    /// True if one more member of an object comes, whose name is next; past the `}` if not.
    pub(crate) fn next_member(&mut self, is_first: bool) -> Result<bool, Error> {
        let comes = self.next(
            is_first,
            b'}',
            "EOF while parsing an object",
            "expected `,` or `}`",
        )?;
        if comes && self.peek() != Some(b'"') {
            return Err(self.fault("key must be a string"));
        }
        Ok(comes)
    }

    fn next(&mut self, is_first: bool, end: u8, eof: &str, other: &str) -> Result<bool, Error> {
        match self.peek() {
            None => return Err(Error::new(eof)),
            Some(byte) if byte == end => {
                self.at += 1;
                self.depth = self.depth.saturating_sub(1);
                return Ok(false);
            }
            Some(_) if is_first => return Ok(true),
            Some(b',') => self.at += 1,
            Some(_) => return Err(self.fault(other)),
        }
        match self.peek() {
            None => Err(Error::new(eof)),
            Some(byte) if byte == end => Err(self.fault("trailing comma")),
            Some(_) => Ok(true),
        }
    }

    /// A member's name, and past the colon.
    pub(crate) fn name(&mut self) -> Result<Cow<'de, str>, Error> {
        let name = self.string()?;
        self.colon()?;
        Ok(name)
    }

    pub(super) fn colon(&mut self) -> Result<(), Error> {
        match self.peek() {
            Some(b':') => {
                self.at += 1;
                Ok(())
            }
            None => Err(Error::new("EOF while parsing an object")),
            Some(_) => Err(self.fault("expected `:`")),
        }
    }

    /// The string that is next; the caller has seen its quote.
    pub(super) fn string(&mut self) -> Result<Cow<'de, str>, Error> {
        self.at += 1;
        let mut string = Cow::Borrowed("");
        loop {
            let rest = self.text.get(self.at..).unwrap_or_default();
            let plain = rest
                .bytes()
                .position(|byte| byte < 0x20 || byte == b'"' || byte == b'\\');
            let Some(plain) = plain else {
                self.at = self.text.len();
                return Err(Error::new("EOF while parsing a string"));
            };
            let (before, after) = rest.split_at_checked(plain).unwrap_or_default();
            self.at += plain;
            match after.as_bytes().first() {
                Some(b'"') => {
                    self.at += 1;
                    string = match string {
                        Cow::Borrowed(_) => Cow::Borrowed(before),
                        Cow::Owned(read) => Cow::Owned(read + before),
                    };
                    return Ok(string);
                }
                Some(b'\\') => {
                    self.at += 1;
                    let read = string.to_mut();
                    read.push_str(before);
                    read.push(self.escaped()?);
                }
                _ => {
                    return Err(self.fault(
                        "control character (\\u0000-\\u001F) found while parsing a string",
                    ));
                }
            }
        }
    }

    /// What stands for a character behind a backslash.
    fn escaped(&mut self) -> Result<char, Error> {
        let Some(kind) = self.text.as_bytes().get(self.at) else {
            return Err(Error::new("EOF while parsing a string"));
        };
        let char = match kind {
            b'"' | b'\\' | b'/' => char::from(*kind),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                self.at += 1;
                return self.unicode();
            }
            _ => return Err(self.fault("invalid escape")),
        };
        self.at += 1;
        Ok(char)
    }

    /// Four hexadecimal digits, or a surrogate pair of them, behind `\u`.
    fn unicode(&mut self) -> Result<char, Error> {
        let first = self.hexadecimal()?;
        let mut code = u32::from(first);
        if (0xd800..0xdc00).contains(&first)
            && self.text.as_bytes().get(self.at..self.at + 2) == Some(&b"\\u"[..])
        {
            self.at += 2;
            let second = self.hexadecimal()?;
            if (0xdc00..0xe000).contains(&second) {
                code = 0x10000 + ((code & 0x3ff) << 10) + (u32::from(second) & 0x3ff);
            }
        }
        // What is left of the surrogates is alone.
        char::from_u32(code).ok_or_else(|| Error::new("lone leading surrogate in hex escape"))
    }

    fn hexadecimal(&mut self) -> Result<u16, Error> {
        let digits = self.text.get(self.at..self.at + 4);
        let digits = digits.filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()));
        let Some(value) = digits.and_then(|digits| u16::from_str_radix(digits, 16).ok()) else {
            return Err(Error::new("invalid escape"));
        };
        self.at += 4;
        Ok(value)
    }

    /// The whole number that is next, if it is one.
    pub(super) fn whole_number(&mut self) -> Result<Option<u64>, Error> {
        if !self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            return Ok(None);
        }
        let from = self.at;
        let text = self.plain()?;
        let number = text.parse().ok();
        if number.is_none() {
            // Whoever asked says what it is.
            self.at = from;
        }
        Ok(number)
    }

    /// Past the value that begins at `start`, however far that has been read; it is checked.
    pub(crate) async fn skip(&mut self, start: Start, pace: &Pace) -> Result<(), Error> {
        (self.at, self.depth, self.paid) = (start.at, start.depth, start.at);
        let mut open = NOTHING_OPEN;
        while self.skip_one(&mut open)? {
            self.pay(pace).await;
        }
        Ok(())
    }

    /// Past the next value or into it, and past all that ends there. `open`: a bit for each object (1) and array (0) that
    /// is open, below the highest one; there are no more than bits. True if one of them has more.
    fn skip_one(&mut self, open: &mut u128) -> Result<bool, Error> {
        let mut is_first = true;
        match self.peek() {
            Some(b'{') => {
                self.begin(b'{', &"a map")?;
                *open = (*open << 1) | 1;
            }
            Some(b'[') => {
                self.begin(b'[', &"a sequence")?;
                *open <<= 1;
            }
            _ => {
                self.plain()?;
                is_first = false;
            }
        }
        while *open != NOTHING_OPEN {
            if *open & 1 == 0 {
                if self.next_element(is_first)? {
                    return Ok(true);
                }
            } else if self.next_member(is_first)? {
                self.name()?;
                return Ok(true);
            }
            *open >>= 1;
            is_first = false;
        }
        Ok(false)
    }

    /// The text of the value that is next, checked, which is no object and no array.
    fn plain(&mut self) -> Result<&'de str, Error> {
        let first = self.peek();
        let from = self.at;
        match first {
            None => return Err(Error::new("EOF while parsing a value")),
            Some(b'"') => drop(self.string()?),
            Some(b'-' | b'0'..=b'9') => self.number()?,
            Some(_) => {
                if !["null", "true", "false"].iter().any(|word| self.word(word)) {
                    return Err(self.fault("expected value"));
                }
            }
        }
        Ok(self.text.get(from..self.at).unwrap_or_default())
    }

    /// Past a number of any kind.
    fn number(&mut self) -> Result<(), Error> {
        self.byte(b"-");
        if self.byte(b"0").is_none() {
            self.digits()?;
        } else if self.byte(b"0123456789").is_some() {
            return Err(Error::new("invalid number"));
        }
        if self.byte(b".").is_some() {
            self.digits()?;
        }
        if self.byte(b"eE").is_some() {
            self.byte(b"+-");
            self.digits()?;
        }
        Ok(())
    }

    /// Past one digit and all that follow.
    fn digits(&mut self) -> Result<(), Error> {
        if self.byte(b"0123456789").is_none() {
            let is_end = self.at == self.text.len();
            return Err(self.fault(if is_end {
                "EOF while parsing a value"
            } else {
                "invalid number"
            }));
        }
        while self.byte(b"0123456789").is_some() {}
        Ok(())
    }

    /// Past the next byte, if it is one of these.
    fn byte(&mut self, of: &[u8]) -> Option<u8> {
        let next = *self.text.as_bytes().get(self.at)?;
        of.contains(&next).then(|| {
            self.at += 1;
            next
        })
    }
}
