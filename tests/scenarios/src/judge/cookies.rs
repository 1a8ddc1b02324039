//! Cookies that are issued on the way: each user is given one, and nobody who has one gets another.

use std::collections::BTreeMap;

use crate::recorder::Record;
use crate::scenario::{Issued, Stream};

/// What is wrong with the cookies of all streams that say something of one.
pub(super) fn judge_cookies(streams: &[Stream], records: &[Record], problems: &mut Vec<String>) {
    for (index, stream) in streams.iter().enumerate() {
        let (Some(cookies), Some(users)) = (&stream.cookies, &stream.users) else {
            continue;
        };
        let is_it = |cookie: &&String| {
            let rest = cookie.strip_prefix(&cookies.name);
            rest.is_some_and(|rest| rest.starts_with('='))
        };
        let mut given: BTreeMap<u32, usize> = (0..users.count).map(|user| (user, 0)).collect();
        for record in records.iter().filter(|record| record.stream == index) {
            if let Some(user) = record.user {
                *given.entry(user).or_default() += record.cookies.iter().filter(is_it).count();
            }
        }
        let expected = usize::from(cookies.issued == Issued::Once);
        let wrong: Vec<_> = given
            .iter()
            .filter(|(_, times)| **times != expected)
            .collect();
        if let Some((user, times)) = wrong.first() {
            problems.push(format!(
                "stream {}: {} of {} users were not given the cookie {} {expected} times, the first of them, {user}, {times} \
                 times",
                stream.name,
                wrong.len(),
                users.count,
                cookies.name
            ));
        }
    }
}
