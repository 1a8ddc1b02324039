//! A glance at a request before its headers are read: where all policies want certain headers, asking for those costs less,
//! and most requests have none.

use traffic_policy::PolicySet;

use crate::host::Host;

/// So many requests are read at once after one that had such a header: where most have it, asking first is in vain.
const READ_AT_ONCE: u8 = 7;

/// What the latest requests were like.
#[derive(Debug, Default)]
pub(crate) struct Glance {
    left: u8,
}

impl Glance {
    /// True if no policy has a say in the current request. False if that can't be told without reading it.
    pub(crate) fn sees_nothing(&mut self, policies: &PolicySet, host: &mut impl Host) -> bool {
        let Some(headers) = policies.needed_headers() else {
            return false;
        };
        if headers.is_empty() {
            return true;
        }
        if let Some(left) = self.left.checked_sub(1) {
            self.left = left;
            return false;
        }
        let has = headers.iter().any(|name| host.has_request_header(name));
        if has {
            self.left = READ_AT_ONCE;
        }
        !has
    }
}
