//! The proxy-wasm filter: request headers in, lane out.
//!
//! All meaning is in `traffic-policy`; this crate reads the header map, asks, and writes one header.
//! It never calls out, never picks an upstream and never fails a request: what it can't do is left
//! to the VirtualService's weights.
//!
//! A crossing between Envoy and the module costs more than matching many rules, so crossings are what
//! is counted here: the begin and the end of each request, and one read; one or two more and one write
//! for a request with a lane. There is no SDK: it declares every callback, allocates for each header
//! and panics on a status that it doesn't know.

// The entry points are those of the module; elsewhere only the tests call what is behind them.
#![cfg_attr(not(any(test, target_arch = "wasm32")), allow(dead_code))]

mod configure;
mod cookies;
mod decide;
mod filter;
mod glance;
mod header_map;
mod host;
mod json;
mod lanes;
mod metrics;
mod plugins;
mod random;
mod report;
mod route;
mod surroundings;
