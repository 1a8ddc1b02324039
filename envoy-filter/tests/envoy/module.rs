//! What the modules export: each callback that Envoy finds costs a crossing per request.

use std::path::Path;

use crate::bench::*;

/// What both need: the callbacks that are used, and the ABI in which a header write has the route chosen again.
const BOTH: [&str; 8] = [
    "memory",
    "proxy_abi_version_0_2_1",
    "proxy_on_configure",
    "proxy_on_context_create",
    "proxy_on_memory_allocate",
    "proxy_on_request_headers",
    "proxy_on_tick",
    "proxy_on_vm_start",
];

#[test]
fn the_module_exports_what_is_used() {
    assert_eq!(exports(&module()), BOTH);
}

#[test]
fn the_module_with_cookies_sees_responses_too_and_requests_that_get_none() {
    let mut expected = BOTH.to_vec();
    expected.extend(["proxy_on_delete", "proxy_on_response_headers"]);
    expected.sort_unstable();
    assert_eq!(exports(&cookies_module()), expected);
}

/// The names in the module's export section, in order of the alphabet.
fn exports(module: &Path) -> Vec<String> {
    fn number(bytes: &mut &[u8]) -> usize {
        let (mut value, mut shift) = (0, 0);
        loop {
            let byte = bytes[0];
            *bytes = &bytes[1..];
            value |= usize::from(byte & 0x7f) << shift;
            shift += 7;
            if byte < 0x80 {
                return value;
            }
        }
    }
    let module = std::fs::read(module).unwrap();
    let mut rest = &module[8..];
    while !rest.is_empty() {
        let id = rest[0];
        rest = &rest[1..];
        let size = number(&mut rest);
        let (mut section, after) = rest.split_at(size);
        rest = after;
        if id != 7 {
            continue;
        }
        let mut names: Vec<String> = (0..number(&mut section))
            .map(|_| {
                let length = number(&mut section);
                let name = String::from_utf8(section[..length].to_vec()).unwrap();
                section = &section[length + 1..];
                number(&mut section);
                name
            })
            .collect();
        names.sort();
        return names;
    }
    Vec::new()
}
