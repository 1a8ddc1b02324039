//! A policy, as its derived `Deserialize` reads it, but with pauses: its rules can be thousands.

use serde::de::Error as _;
use traffic_policy::Pace;
use traffic_policy::config::Policy;

use super::reader::Reader;
use super::{Error, read};

/// In the order of the type, as an error lists them.
const FIELDS: &[&str] = &[
    "hosts",
    "virtualServices",
    "lanes",
    "rules",
    "sticky",
    "entryHosts",
    "secret",
];

/// The policy that is next.
pub(crate) async fn policy(reader: &mut Reader<'_>, pace: &Pace) -> Result<Policy, Error> {
    let mut policy = Policy::default();
    let mut were_there = Vec::new();
    reader.begin(b'{', &"struct Policy")?;
    while members(reader, &mut policy, &mut were_there)? {
        reader.begin(b'[', &"a sequence")?;
        while reader.next_element(policy.rules.is_empty())? {
            policy.rules.push(read(reader)?);
            reader.pay(pace).await;
        }
    }
    Ok(policy)
}

/// Reads members up to the value of `rules`, which may be thousands; false at the end.
fn members(
    reader: &mut Reader<'_>,
    policy: &mut Policy,
    were_there: &mut Vec<&str>,
) -> Result<bool, Error> {
    // All of them: one that is added has to be read too.
    let Policy {
        hosts,
        virtual_services,
        lanes,
        rules: _,
        sticky,
        entry_hosts,
        secret,
    } = policy;
    while reader.next_member(were_there.is_empty())? {
        let name = reader.string()?;
        let Some(name) = FIELDS.iter().find(|field| **field == name) else {
            return Err(Error::unknown_field(&name, FIELDS));
        };
        if were_there.contains(name) {
            return Err(Error::duplicate_field(name));
        }
        were_there.push(*name);
        reader.colon()?;
        match *name {
            "hosts" => *hosts = read(reader)?,
            "virtualServices" => *virtual_services = read(reader)?,
            "lanes" => *lanes = read(reader)?,
            "rules" => return Ok(true),
            "sticky" => *sticky = read(reader)?,
            "entryHosts" => *entry_hosts = read(reader)?,
            _ => *secret = read(reader)?,
        }
    }
    Ok(false)
}
