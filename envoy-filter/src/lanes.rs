//! The one header that applications forward, `x-rollout-lanes: shop.reviews=canary,shop.cart=stable.s3cret`: a list of entries,
//! one for each Rollout. What is no entry stays as it is.

use traffic_policy::Carried;

/// What a request says of one Rollout's lane, in its lane header or in the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Held {
    Nothing,
    Right(Carried),
    /// Not what the policy writes: it is asked, and its answer stands instead.
    Wrong,
}

impl Held {
    /// Of all values that there are, read by `right`. More than one is wrong, since nobody writes two.
    pub(crate) fn of<'a>(
        mut values: impl Iterator<Item = &'a [u8]>,
        right: impl FnOnce(&'a [u8]) -> Option<Carried>,
    ) -> Self {
        match (values.next(), values.next()) {
            (None, _) => Self::Nothing,
            (Some(value), None) => right(value).map_or(Self::Wrong, Self::Right),
            (Some(_), Some(_)) => Self::Wrong,
        }
    }
}

/// The values of the entries `name`.
pub(crate) fn values<'a>(list: &'a [u8], name: &str) -> impl Iterator<Item = &'a [u8]> {
    parts(list)
        .filter_map(|part| split(part))
        .filter(move |(other, _)| *other == name.as_bytes())
        .map(|(_, value)| value)
}

/// Puts the entry `name` at the end of `list`, in place of all of that name; without a value it is only taken out.
pub(crate) fn put(list: &mut Vec<u8>, name: &str, value: Option<&str>) {
    let others =
        parts(list).filter(|part| split(part).is_none_or(|(other, _)| other != name.as_bytes()));
    let mut joined: Vec<&[u8]> = others.collect();
    let entry = value.map(|value| [name, "=", value].concat());
    joined.extend(entry.as_ref().map(String::as_bytes));
    *list = joined.join(&b',');
}

fn parts(list: &[u8]) -> impl Iterator<Item = &[u8]> {
    list.split(|byte| *byte == b',')
        .map(<[u8]>::trim_ascii)
        .filter(|part| !part.is_empty())
}

fn split(part: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = part.iter().position(|byte| *byte == b'=')?;
    let (name, value) = part.split_at_checked(at)?;
    Some((name, value.get(1..)?))
}

#[cfg(test)]
mod tests {
    use traffic_policy::{CompiledPolicy, Lane};

    use super::*;

    fn policy() -> CompiledPolicy {
        let json = r#"{"hosts": ["a"], "secret": "s", "sticky": {"keys": [{"header": "a"}], "salt": "s", "canary": 1}}"#;
        traffic_policy::compile("shop/a", &serde_json::from_str(json).unwrap()).unwrap()
    }

    #[test]
    fn one_entry_with_the_right_value_is_believed() {
        let held = |list: &str| {
            let values = values(list.as_bytes(), "shop.a");
            Held::of(values, |value| policy().carried(value))
        };
        assert_eq!(
            held("shop.a=canary.s"),
            Held::Right(Carried::Lane(Lane::Canary))
        );
        assert_eq!(held("shop.a=weights.s"), Held::Right(Carried::Weights));
        assert_eq!(
            held(" shop.b=x , shop.a=stable.s,,"),
            Held::Right(Carried::Lane(Lane::Stable))
        );
        for wrong in [
            "shop.a=canary",
            "shop.a=weights",
            "shop.a=mirror.s",
            "shop.a=canary.t",
            "shop.a=",
            "shop.a=canary.s,shop.a=canary.s",
            "shop.a=canary.s=",
        ] {
            assert_eq!(held(wrong), Held::Wrong, "{wrong}");
        }
        for nothing in ["", ",", "shop.a", "shop.aa=canary.s", "Shop.a=canary.s"] {
            assert_eq!(held(nothing), Held::Nothing, "{nothing}");
        }
    }

    #[test]
    fn an_entry_takes_the_place_of_all_of_its_name() {
        let put = |before: &str, value: Option<&str>| {
            let mut list = before.as_bytes().to_vec();
            super::put(&mut list, "shop.a", value);
            String::from_utf8(list).unwrap()
        };
        assert_eq!(put("", Some("canary")), "shop.a=canary");
        assert_eq!(put("shop.b=x", Some("canary")), "shop.b=x,shop.a=canary");
        assert_eq!(
            put("shop.a=1, odd ,shop.b=x,shop.a=2", Some("3")),
            "odd,shop.b=x,shop.a=3"
        );
        assert_eq!(put("shop.a=1,shop.b=x", None), "shop.b=x");
        assert_eq!(put("shop.a=1", None), "");
    }
}
