//! The written form: what is accepted, what is refused, what comes out.

use super::*;

fn parse(json: &str) -> Result<PluginConfig, String> {
    serde_json::from_str(json).map_err(|error| error.to_string())
}

#[test]
fn what_is_read_is_written_back_in_the_same_bytes() {
    let json = concat!(
        r#"{"trust":"edge","rollouts":{"shop/reviews":{"hosts":["reviews.shop.svc.cluster.local"],"#,
        r#""virtualServices":{"shop/reviews":["primary"]},"#,
        r#""rules":[{"name":"beta","lane":"canary","match":[{"headers":{"x-beta":{"exact":"1"}},"#,
        r#""method":{"exact":"GET"},"path":{"prefix":"/api"}}]},"#,
        r#"{"name":"shadow","lane":"mirror","percent":35,"match":[{"path":{"regex":"/s.*"}}]}]}}}"#
    );
    let config = parse(json).unwrap();
    assert_eq!(serde_json::to_string(&config).unwrap(), json);
}

#[test]
fn defaults_are_not_written() {
    let config: PluginConfig =
        parse(r#"{"trust":"auto","rollouts":{"a/b":{"hosts":[],"rules":[]}}}"#).unwrap();
    assert_eq!(
        serde_json::to_string(&config).unwrap(),
        r#"{"rollouts":{"a/b":{}}}"#
    );
    assert_eq!(config.trust, Trust::Auto);
}

#[test]
fn declared_lanes_make_no_difference_to_what_is_compiled() {
    let json = r#"{"rollouts":{"a/b":{"hosts":["c"],"lanes":"declared"}}}"#;
    let config = parse(json).unwrap();
    assert_eq!(serde_json::to_string(&config).unwrap(), json);
    let policy = &config.rollouts["a/b"];
    let managed = Policy {
        lanes: Lanes::Managed,
        ..policy.clone()
    };
    let compiled = |policy| format!("{:?}", crate::compile("a/b", policy).unwrap());
    assert_eq!(compiled(policy), compiled(&managed));
}

#[test]
fn an_empty_list_of_routes_is_not_an_absent_one() {
    let config = parse(r#"{"rollouts":{"a/b":{"virtualServices":{}}}}"#).unwrap();
    assert_eq!(
        serde_json::to_string(&config).unwrap(),
        r#"{"rollouts":{"a/b":{"virtualServices":{}}}}"#
    );
}

#[test]
fn unknown_fields_are_named() {
    for (json, field) in [
        (r#"{"trsut":"edge"}"#, "`trsut`"),
        (r#"{"rollouts":{"a/b":{"host":[]}}}"#, "`host`"),
        (
            r#"{"rollouts":{"a/b":{"rules":[{"name":"r","lane":"canary","when":[]}]}}}"#,
            "`when`",
        ),
        (
            r#"{"rollouts":{"a/b":{"rules":[{"name":"r","lane":"canary","match":[{"uri":{}}]}]}}}"#,
            "`uri`",
        ),
        (
            r#"{"rollouts":{"a/b":{"rules":[{"name":"r","lane":"canary","match":[{"path":{"suffix":"x"}}]}]}}}"#,
            "`suffix`",
        ),
        (
            r#"{"rollouts":{"a/b":{"rules":[{"name":"r","lane":"blue"}]}}}"#,
            "`blue`",
        ),
        (r#"{"rollouts":{"a/b":{"lanes":"mine"}}}"#, "`mine`"),
    ] {
        let error = parse(json).unwrap_err();
        assert!(error.contains(field), "{json}: {error}");
    }
}

#[test]
fn a_string_is_matched_in_one_way() {
    for (json, found) in [
        (
            "{}",
            "found 0 of `exact`, `prefix`, `regex` and `present: true`, expected one",
        ),
        (r#"{"exact":"1","present":true}"#, "found 2 of"),
        (
            r#"{"regex":"1","ignoreCase":true}"#,
            "found `ignoreCase` without",
        ),
        (r#"{"exact":"1","prefix":"2"}"#, "found 2 of"),
        (r#"{"exact":"1","exact":"2"}"#, "duplicate field `exact`"),
        (r#"{"suffix":"1"}"#, "unknown field `suffix`"),
        (
            r#"{"exact":1}"#,
            "invalid type: integer `1`, expected a string",
        ),
    ] {
        let error = serde_json::from_str::<StringMatch>(json).unwrap_err();
        assert!(error.to_string().starts_with(found), "{json}: {error}");
    }
}

#[test]
fn a_key_is_of_one_kind() {
    for (json, found) in [
        ("{}", "found 0 of `header`"),
        (r#"{"sourceAddress":false}"#, "found 0 of"),
        (r#"{"header":"a","cookie":"b"}"#, "found 2 of"),
        (r#"{"header":"a","issue":{}}"#, "found `issue` without"),
        (
            r#"{"cookie":"a","issue":{"sameSite":"lax"}}"#,
            "unknown variant `lax`",
        ),
    ] {
        let error = serde_json::from_str::<StickyKey>(json).unwrap_err();
        assert!(error.to_string().starts_with(found), "{json}: {error}");
    }
    for json in [
        r#"{"header":"a"}"#,
        r#"{"cookie":"a","issue":{"path":"/x","maxAge":60,"sameSite":"None"}}"#,
        r#"{"cookie":"a","issue":{}}"#,
        r#"{"queryParam":"a"}"#,
        r#"{"sourceAddress":true}"#,
    ] {
        let key: StickyKey = serde_json::from_str(json).unwrap();
        assert_eq!(serde_json::to_string(&key).unwrap(), json);
    }
}
