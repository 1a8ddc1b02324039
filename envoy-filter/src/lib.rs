//! The proxy-wasm filter: request headers in, lane out.
