//! What a policy asks of a request: the header map, read once, and what all searches of one request
//! share: how much they may take, and space.

mod pairs;
mod searches;

pub(crate) use pairs::{cookies, query};
pub(crate) use searches::Searches;

use std::cell::OnceCell;

/// The request headers as Envoy hands them to a filter: names in lower case, pseudo headers
/// (`:authority`, `:method`, `:path`) among them, one item per header line, in the order received.
pub trait Headers {
    /// All headers. Called once or more per request; each call starts at the first one.
    fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])>;
}

impl<N: AsRef<[u8]>, V: AsRef<[u8]>> Headers for [(N, V)] {
    fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        <[_]>::iter(self).map(|(name, value)| (name.as_ref(), value.as_ref()))
    }
}

/// One request: the headers, and those parts that nearly every policy needs, found in one pass.
#[derive(Debug)]
pub struct Request<'a, H: ?Sized> {
    headers: &'a H,
    /// The union of [`name_bit`] over all names: most rules ask for a header that isn't there, and
    /// this says so without another walk over the map.
    names: u64,
    authority: &'a [u8],
    method: Option<&'a [u8]>,
    /// With query and fragment.
    target: Option<&'a [u8]>,
    /// Once it has been asked for.
    path: OnceCell<Option<&'a [u8]>>,
    searches: Searches,
}

impl<'a, H: Headers + ?Sized> Request<'a, H> {
    /// Reads `headers` once. `other` is given every header that is not a pseudo header, so that a
    /// caller with an interest of its own needs no second pass.
    pub fn read(headers: &'a H, mut other: impl FnMut(&'a [u8], &'a [u8])) -> Self {
        let mut request = Self {
            headers,
            names: 0,
            authority: &[],
            method: None,
            target: None,
            path: OnceCell::new(),
            searches: Searches::default(),
        };
        for (name, value) in headers.iter() {
            request.names |= name_bit(name);
            // Most headers are none of those, which one byte tells.
            if name.first() != Some(&b':') {
                other(name, value);
                continue;
            }
            match name {
                b":authority" => request.authority = value,
                b":method" => request.method = Some(value),
                b":path" => request.target = Some(value),
                _ => {}
            }
        }
        request
    }

    /// What the request asks for, as received: case, port and all. Empty if there is none.
    pub fn authority(&self) -> &'a [u8] {
        self.authority
    }

    pub(crate) fn method(&self) -> Option<&'a [u8]> {
        self.method
    }

    /// Without query and fragment.
    pub(crate) fn path(&self) -> Option<&'a [u8]> {
        *self.path.get_or_init(|| self.target.map(without_query))
    }

    /// How long it is with its query.
    pub(crate) fn target_length(&self) -> usize {
        self.target.unwrap_or_default().len()
    }

    /// How long all cookies are.
    pub(crate) fn cookies_length(&self) -> usize {
        self.values(COOKIE).map(<[u8]>::len).sum()
    }

    /// The parameters of the query, in order.
    pub(crate) fn query(&self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
        query(self.target.unwrap_or_default())
    }

    /// The value of the query parameter `name`: the first of them.
    pub(crate) fn query_param(&self, name: &[u8]) -> Option<&'a [u8]> {
        first(self.query(), name)
    }

    /// The value of the cookie `name`: the first of them.
    pub(crate) fn cookie(&self, name: &[u8]) -> Option<&'a [u8]> {
        first(self.cookies(), name)
    }

    /// All cookies, in order.
    pub(crate) fn cookies(&self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
        self.may_have(name_bit(COOKIE))
            .then(|| self.values(COOKIE).flat_map(cookies))
            .into_iter()
            .flatten()
    }

    /// What searches in this request's values share.
    pub(crate) fn searches(&self) -> &Searches {
        &self.searches
    }

    /// False if there is certainly no header whose name has this [`name_bit`].
    #[inline]
    pub(crate) fn may_have(&self, bit: u64) -> bool {
        self.names & bit != 0
    }

    /// All headers, in order.
    pub(crate) fn headers(&self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
        self.headers.iter()
    }

    /// The values of the header `name`, which is in lower case.
    pub(crate) fn values(&self, name: &[u8]) -> impl Iterator<Item = &'a [u8]> {
        self.headers
            .iter()
            .filter(move |(other, _)| *other == name)
            .map(|(_, value)| value)
    }
}

/// The value of the first pair with that name.
fn first<'a>(
    mut pairs: impl Iterator<Item = (&'a [u8], &'a [u8])>,
    name: &[u8],
) -> Option<&'a [u8]> {
    pairs
        .find(|(other, _)| *other == name)
        .map(|(_, value)| value)
}

/// The header that cookies come in.
pub(crate) const COOKIE: &[u8] = b"cookie";

/// One of 64 bits for a header's name. Different names may share one.
// For each header of each request, and the module is built for size.
#[allow(clippy::inline_always)]
#[inline(always)]
pub(crate) fn name_bit(name: &[u8]) -> u64 {
    // The beginnings of names are alike (`x-`), so the ends and the length have to tell them apart.
    let [.., before, last] = name else {
        return 1;
    };
    let mixed = (name.len() ^ usize::from(*last) ^ (usize::from(*before) << 2)) & 63;
    1 << mixed
}

/// The path as routes are matched against it (Envoy 1.40.0 `source/common/http/path_utility.cc`,
/// `PathUtil::removeQueryAndFragment`).
fn without_query(path: &[u8]) -> &[u8] {
    path.split(|byte| matches!(byte, b'?' | b'#'))
        .next()
        .unwrap_or_default()
}
