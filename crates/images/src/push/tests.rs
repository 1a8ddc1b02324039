//! Names, and registries that are not there; `cargo xtask e2e --long registry` pushes to a real one.

use super::*;
use crate::layout::tests::module;

fn registry(place: &str) -> Registry {
    let access = Access {
        plain_http: true,
        ..Access::default()
    };
    Registry::new(place, access)
}

#[test]
fn the_place_is_a_registry_with_or_without_a_folder() {
    for (place, expected) in [
        ("localhost:5000", "localhost:5000/serin-filter:1.2.3"),
        (
            "registry.example.com/team/",
            "registry.example.com/team/serin-filter:1.2.3",
        ),
    ] {
        let reference = registry(place).reference("serin-filter", "1.2.3").unwrap();
        assert_eq!(reference.to_string(), expected);
    }
}

#[test]
fn what_is_no_name_or_no_good_tag_is_refused() {
    for (place, tag) in [
        ("https://registry.example.com", "1.2.3"),
        ("registry.example.com/Team", "1.2.3"),
        ("registry.example.com", "1.2.3+a"),
        ("registry.example.com", ""),
    ] {
        let refused = registry(place).reference("serin-filter", tag).unwrap_err();
        assert!(
            refused
                .to_string()
                .contains("expected a registry as registry.example.com/team"),
            "{place} {tag}: {refused}"
        );
    }
    let refused = registry("localhost:5000").reference("serin-filter", "latest");
    assert!(matches!(refused, Err(PushError::Latest)));
}

#[test]
fn a_registry_that_is_down_is_named() {
    // A port that was free a moment ago.
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .and_then(|socket| socket.local_addr())
        .unwrap()
        .port();
    let image = module();
    let place = format!("127.0.0.1:{port}");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let registry = registry(&place);
    let pushed = registry.push("serin-filter", "1.2.3", &image, |_| {});
    let refused = runtime.block_on(pushed).unwrap_err().to_string();
    assert!(
        refused.starts_with(&format!(
            "cannot push anything to {place}/serin-filter:1.2.3: "
        )),
        "{refused}"
    );
    assert!(refused.contains("refused"), "{refused}");
}
