//! What deciding may need besides the headers. The headers are the host's until it is called again, so nothing is asked while
//! they are read: a first look finds out what is wanted, and a second one has it.

use traffic_policy::Surroundings;
use traffic_policy::config::Issue;

use crate::cookies::NewId;
use crate::host::Host;
use crate::random::Random;

/// The other side of the connection, or of the one that a trusted proxy forwards for (Envoy 1.40.0
/// `source/extensions/filters/common/expr/context.cc`, `PeerWrapper`).
const SOURCE: &str = "source\0address";

/// What is known of one request, and what more is wanted.
#[derive(Debug, Default)]
pub(crate) struct Known {
    source: Ask,
    /// The source's address, with its port.
    address: Vec<u8>,
    id: Ask,
    new_id: NewId,
}

/// How far one question is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Ask {
    /// Has no answer here: not at an edge, or not by this module.
    #[default]
    Never,
    NotYet,
    Wanted,
    Has,
}

impl Ask {
    /// True if there is an answer; if there is none yet, it is wanted.
    fn has(&mut self) -> bool {
        if *self == Self::NotYet {
            *self = Self::Wanted;
        }
        *self == Self::Has
    }
}

impl Known {
    /// How many there are: the source, and a new cookie's value.
    pub(crate) const QUESTIONS: usize = 2;

    /// Another request. `source`: addresses are the client's; `cookies`: new ones can be issued.
    pub(crate) fn begin(&mut self, source: bool, cookies: bool) {
        let ask = |may: bool| if may { Ask::NotYet } else { Ask::Never };
        self.source = ask(source);
        self.id = ask(cookies);
    }

    /// True if something is.
    pub(crate) fn wants(&self) -> bool {
        [self.source, self.id].contains(&Ask::Wanted)
    }

    /// Gets what is wanted.
    pub(crate) fn get<const COOKIES: bool>(&mut self, host: &mut impl Host) {
        if self.source == Ask::Wanted {
            host.property(SOURCE, &mut self.address);
            self.source = Ask::Has;
        }
        if COOKIES && self.id == Ask::Wanted {
            let got = self.new_id.draw(host);
            self.id = if got { Ask::Has } else { Ask::Never };
        }
    }

    /// What a policy is given, and told back: whether it took the value of a new cookie.
    pub(crate) fn given<'a>(&'a mut self, random: &'a mut Random) -> Given<'a> {
        Given {
            known: self,
            random,
            issued: false,
        }
    }

    /// The new cookie's value.
    pub(crate) fn new_id(&self) -> &str {
        self.new_id.as_str()
    }
}

/// For one policy and one request.
pub(crate) struct Given<'a> {
    known: &'a mut Known,
    random: &'a mut Random,
    /// The decision may be by the value of a cookie that the response has to set.
    pub(crate) issued: bool,
}

impl Surroundings for Given<'_> {
    fn random(&mut self) -> u32 {
        self.random.next()
    }

    fn source_address(&mut self) -> Option<&[u8]> {
        let has = self.known.source.has();
        has.then(|| without_port(&self.known.address))
            .filter(|address| !address.is_empty())
    }

    fn issue(&mut self, _: &str, _: &Issue) -> Option<&[u8]> {
        self.issued = self.known.id.has();
        self.issued.then(|| self.known.new_id.as_str().as_bytes())
    }
}

/// `10.0.0.1:80` and `[::1]:80` as `10.0.0.1` and `[::1]`, as Envoy writes addresses; the port of one client changes with
/// each connection. The path of a socket stays as it is.
fn without_port(address: &[u8]) -> &[u8] {
    let digits = address
        .iter()
        .rev()
        .take_while(|byte| byte.is_ascii_digit())
        .count();
    let rest = address.len().checked_sub(digits + 1);
    let (host, port) = rest.map_or((address, &[][..]), |at| address.split_at(at));
    let has_port = digits > 0 && port.first() == Some(&b':');
    if has_port { host } else { address }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_no_part_of_an_address() {
        for (address, without) in [
            ("10.0.0.1:43210", "10.0.0.1"),
            ("[2001:db8::1]:80", "[2001:db8::1]"),
            ("10.0.0.1", "10.0.0.1"),
            ("/run/a.sock", "/run/a.sock"),
            ("a:", "a:"),
            ("", ""),
        ] {
            let found = without_port(address.as_bytes());
            assert_eq!(str::from_utf8(found), Ok(without), "{address}");
        }
    }
}
