//! What is taken for a pattern, and what of it.

use proptest::prelude::*;

use super::*;

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 4_000, ..ProptestConfig::default() })]

    #[test]
    fn what_compiles_is_a_pattern_by_itself(
        pattern in r"([()\[\]^\\a|:?{}1-]|\[:(alpha|\^digit):\]|\(\?(P?<a>|i\)|:)|\\x){1,10}",
    ) {
        if let Ok(compiled) = Pattern::compile(&pattern) {
            let alone = Regex::new(&pattern);
            prop_assert!(alone.is_ok());
            let whole = Regex::new(&format!(r"\A(?:{pattern})\z")).unwrap();
            for value in ["", "a", "aa", "1", "-", "[", ":]", "b", "a1"] {
                let found = compiled.matches(value.as_bytes(), &Searches::default());
                prop_assert_eq!(found, whole.is_match(value), "{}", value);
            }
        }
    }
}

fn refused(pattern: &str) -> bool {
    matches!(Pattern::compile(pattern), Err(Fault::Dialect { .. }))
}

#[test]
fn a_class_within_a_class_ends_where_the_engine_ends_it() {
    // The parentheses would belong to what anchors the pattern.
    for pattern in [
        "[[:alpha:](]a)|(b",
        "[[:alpha:]{]a)|(b",
        "[[:^digit:][:alpha:])]a)|(b",
    ] {
        assert!(Pattern::compile(pattern).is_err(), "{pattern}");
    }
    let compiled = Pattern::compile(r"[[:alpha:]{]\w{1000}").unwrap();
    assert!(compiled.positions >= 1_000, "{}", compiled.positions);
    assert!(refused(r"[[:alpha:]{]\w{1001}"));
}

#[test]
fn groups_capture_nothing() {
    for (pattern, value) in [
        ("(a)(?P<n>b)(?<m>c)", "abc"),
        (r"[(](a)\((b)", "(a(b"),
        ("((a)|(b))+", "abab"),
        ("(?i:(A))(?i)(B)", "ab"),
    ] {
        let compiled = Pattern::compile(pattern).unwrap();
        assert_eq!(compiled.whole.captures_len(), 1, "{pattern}");
        assert!(
            compiled.matches(value.as_bytes(), &Searches::default()),
            "{pattern}"
        );
    }
    assert!(Pattern::compile("(?P<n>a)(?P<n>b)").is_err());
}

#[test]
fn what_re2_reads_otherwise_or_not_at_all_is_refused() {
    for pattern in [
        "a{ 2 }",
        "a{2 }",
        "a{2, 3}",
        "a{ 2000 }",
        "a{02}",
        "a{2,03}",
        "a{1001}",
        "a{2,1001}",
        "a{,2}",
        "a{",
        "a{b}",
        r"\u00e9",
        r"\U000000e9",
        r"\u{e9}",
        r"[\u0061]",
        r"\x{100}",
        r"[\x{100}-\x{200}]",
        r"\<a",
        r"a\>",
        r"\b{start}a",
        "a**",
        "a*+",
        "a++",
        "a???",
        "a*??",
        "a{2}{3}",
        "a{2}*",
        "a+{2}",
        "a{2}?{3}",
        "(a{50}){50}",
        "((a{11}){11}|b){11}",
        "(?x)a",
        "(?i-x:a)",
        "(?R)a",
        "(?u)a",
        "(?-u:a)",
        "(?P<a.b>c)",
        "[--a]",
        "[^--a]",
        "[]-a]",
        "(?i)[[:^lower:]]",
    ] {
        assert!(
            refused(pattern),
            "{pattern}: {:?}",
            Pattern::compile(pattern)
        );
    }
}

#[test]
fn what_only_re2_knows_is_refused_as_that() {
    for (pattern, construct) in [
        (r"\p{L}+", r"the Unicode class \p or \P"),
        (r"\pL", r"the Unicode class \p or \P"),
        (r"\P{Greek}", r"the Unicode class \p or \P"),
        (r"[\p{Lu}a-z]{2,3}", r"the Unicode class \p or \P"),
        (r"a\Q.*{2}\E+", r"the quotation \Q…\E"),
        (r"\Q{", r"the quotation \Q…\E"),
        (r"a\Cb", r"the byte \C"),
        (r"\101", "an octal escape, or a reference to a group"),
    ] {
        let fault = Pattern::compile(pattern).unwrap_err();
        assert_eq!(
            fault.to_string(),
            format!(
                "{pattern:?} has {construct}, which Envoy knows and the filter does not: patterns are over bytes here, so list what it stands for, as in [A-Za-z] or (é|è)"
            )
        );
    }
    // What is wrong to both is said first.
    assert!(refused(r"a{b}\pL"));
    let listed = Pattern::compile("(é|è)+").unwrap();
    assert!(listed.matches("éè".as_bytes(), &Searches::default()));
}

#[test]
fn what_re2_reads_alike_is_taken() {
    for pattern in [
        "a{2}",
        "a{0}",
        "a{0,1000}",
        "a{10,}",
        "a{2}?",
        "a*?",
        "a+?b??",
        r"\{ 2 }",
        "[{ 2 }]",
        "a}",
        "]",
        r"\x41\x{ff}",
        "[a-]",
        "[-a]",
        "[^-a]",
        "[]a]",
        "[]-]",
        "[--]",
        "[[:^lower:]]",
        "(?i)[[:lower:]]",
        "(?i:a)(?s).",
        "(?P<a_1>c)",
        "(?<a>c)",
        "(a*)*",
        "(a{50}){20}",
        "(a{500}|b{500}){2}",
        "^*abc",
        "(?:)*",
        "()",
        "a||b",
        r"[\]\-]",
        r"\_",
        r"a\*\+",
        "(a+)+",
        "a(?i)*",
        "[*+]*",
        r"\*+",
        "[a-z]+@[^;]*",
    ] {
        assert!(
            Pattern::compile(pattern).is_ok(),
            "{pattern}: {:?}",
            Pattern::compile(pattern)
        );
    }
}
