//! Names of a request's parts, as a policy writes them, and what else is written into headers.

use crate::error::Fault;

/// How Istio writes claims of a token where a header's name would stand (Istio 1.29.1
/// `pkg/jwt/routing.go`, `HeaderJWTClaim`).
const CLAIM: &str = "@request.auth.claims";
/// Envoy's names for parts of the request that aren't headers on the wire of HTTP/1.1.
const PSEUDO_HEADERS: &[&str] = &[":authority", ":method", ":path", ":scheme"];

/// The name of a request header, as Envoy keeps it.
pub(crate) fn header(name: &str) -> Result<Box<[u8]>, Fault> {
    let value = || name.to_owned();
    let lower = name.to_ascii_lowercase();
    if lower.starts_with(CLAIM) {
        return Err(Fault::Claim { value: value() });
    }
    if !is_token(&lower) && !PSEUDO_HEADERS.contains(&lower.as_str()) {
        return Err(Fault::HeaderName { value: value() });
    }
    // Envoy has one entry for both names (1.40.0 `source/common/http/header_map_impl.cc`,
    // `StaticLookupTable` of request headers).
    let name = if lower == "host" {
        ":authority"
    } else {
        &lower
    };
    Ok(name.as_bytes().into())
}

/// The name of a cookie (RFC 6265, section 4.1.1, `cookie-name`). Its case matters.
pub(crate) fn cookie(name: &str) -> Result<Box<[u8]>, Fault> {
    let fault = || Fault::CookieName {
        value: name.to_owned(),
    };
    is_token(name)
        .then(|| name.as_bytes().into())
        .ok_or_else(fault)
}

/// The name of a query parameter, as it stands in a query. Its case matters.
pub(crate) fn query_param(name: &str) -> Result<Box<[u8]>, Fault> {
    let good = !name.is_empty()
        && name
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && !b"&=#".contains(&byte));
    let fault = || Fault::QueryParamName {
        value: name.to_owned(),
    };
    good.then(|| name.as_bytes().into()).ok_or_else(fault)
}

/// True for a token of RFC 9110, section 5.6.2.
fn is_token(name: &str) -> bool {
    !name.is_empty()
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}
