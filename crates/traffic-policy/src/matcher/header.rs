//! One request header against one condition.

use crate::config::StringMatch;
use crate::error::Fault;
use crate::matcher::text::{Star, TextFault, TextMatch};
use crate::request::{Headers, Request, name_bit};

/// How Istio writes claims of a token where a header's name would stand (Istio 1.29.1
/// `pkg/jwt/routing.go`, `HeaderJWTClaim`).
const CLAIM: &str = "@request.auth.claims";
/// Envoy's names for parts of the request that aren't headers on the wire of HTTP/1.1.
const PSEUDO_HEADERS: &[&str] = &[":authority", ":method", ":path", ":scheme"];

/// A header condition, compiled.
#[derive(Debug)]
pub(super) struct HeaderMatch {
    /// Lower case, as Envoy keeps names.
    name: Box<[u8]>,
    bit: u64,
    text: TextMatch,
}

impl HeaderMatch {
    pub(super) fn compile(name: &str, text: &StringMatch) -> Result<Self, TextFault> {
        let value = || name.to_owned();
        let lower = name.to_ascii_lowercase();
        if lower.starts_with(CLAIM) {
            return Err(TextFault::here(Fault::Claim { value: value() }));
        }
        if !is_header_name(&lower) && !PSEUDO_HEADERS.contains(&lower.as_str()) {
            return Err(TextFault::here(Fault::HeaderName { value: value() }));
        }
        // Envoy has one entry for both names (1.40.0 `source/common/http/header_map_impl.cc`,
        // `StaticLookupTable` of request headers).
        let name = if lower == "host" {
            ":authority"
        } else {
            &lower
        };
        Ok(Self {
            name: name.as_bytes().into(),
            bit: name_bit(name.as_bytes()),
            text: TextMatch::compile(text, Star::Present)?,
        })
    }

    /// True if the header is there and one of its values satisfies the condition.
    ///
    /// Values of a repeated header are looked at one by one, never joined, as Envoy 1.40.0 does in
    /// route matching (`source/common/http/header_utility.cc` under the runtime feature
    /// `envoy.reloadable_features.match_headers_individually`, on by default). Envoys before that
    /// feature join them with commas. A comma inside of one value means nothing in either.
    pub(super) fn matches<H: Headers + ?Sized>(&self, request: &Request<'_, H>) -> bool {
        request.may_have(self.bit)
            && request
                .values(&self.name)
                .any(|value| self.text.matches(value))
    }
}

/// True for a token of RFC 9110, section 5.6.2.
fn is_header_name(name: &str) -> bool {
    !name.is_empty()
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}
