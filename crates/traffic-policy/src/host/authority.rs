//! From what a request asks for to the name that hosts are looked up by.

/// The authority without port, brackets and the root's dot, in lower case; `lower` is where, if a
/// letter has to be changed.
///
/// Istio gives each virtual host its name with and without port, and with the root's dot (1.29.1
/// `pilot/pkg/networking/core/httproute.go`, `generateVirtualHostDomains`, `GenerateAltVirtualHosts`);
/// Envoy lowers the case (1.40.0 `source/common/router/config_impl.cc`, `RouteMatcher::findVirtualHost`).
pub(crate) fn name_of<'a>(authority: &'a [u8], lower: &'a mut Vec<u8>) -> &'a [u8] {
    let name = without_port(authority);
    let name = name.strip_suffix(b".").unwrap_or(name);
    if !name.iter().any(u8::is_ascii_uppercase) {
        return name;
    }
    lower.clear();
    lower.extend(name.iter().map(u8::to_ascii_lowercase));
    lower
}

/// As Envoy 1.40.0 `source/common/http/header_utility.cc`, `HeaderUtility::getPortStart`, finds it:
/// digits after the last colon, which is outside of brackets.
fn without_port(authority: &[u8]) -> &[u8] {
    if let Some(rest) = authority.strip_prefix(b"[") {
        let end = rest.iter().position(|byte| *byte == b']');
        return end.and_then(|end| rest.get(..end)).unwrap_or(authority);
    }
    let Some(colon) = authority.iter().rposition(|byte| *byte == b':') else {
        return authority;
    };
    match authority.split_at_checked(colon) {
        // Several colons: an IPv6 address without brackets, and no port.
        Some((name, _)) if name.contains(&b':') => authority,
        Some((name, port)) if port.iter().skip(1).all(u8::is_ascii_digit) => name,
        _ => authority,
    }
}

#[cfg(test)]
mod tests {
    use super::name_of;

    #[test]
    fn port_case_brackets_and_root_are_ignored() {
        for (authority, name) in [
            ("reviews", "reviews"),
            ("reviews:9080", "reviews"),
            (
                "Reviews.Shop.svc.cluster.local.:9080",
                "reviews.shop.svc.cluster.local",
            ),
            ("10.96.3.4:80", "10.96.3.4"),
            ("[FD00::1]:80", "fd00::1"),
            ("[fd00::1]", "fd00::1"),
            ("fd00::1", "fd00::1"),
            ("[fd00::1", "[fd00::1"),
            ("reviews:http", "reviews:http"),
            ("", ""),
        ] {
            let mut lower = Vec::new();
            assert_eq!(
                name_of(authority.as_bytes(), &mut lower),
                name.as_bytes(),
                "{authority}"
            );
        }
    }
}
