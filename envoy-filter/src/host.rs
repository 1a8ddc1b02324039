//! What the filter asks of the proxy. Envoy answers in the module (`host/envoy.rs`), a script in
//! tests.

#[cfg(target_arch = "wasm32")]
mod envoy;
#[cfg(test)]
pub(crate) mod script;

/// The proxy around the filter. `None` and `false` mean that the proxy could not; why is of no use to
/// the filter, which leaves the request as it is in either case.
pub(crate) trait Host {
    /// The current request's headers in the ABI's serialized form, in one read
    /// ([`crate::header_map::HeaderMap`]). Valid until the next call.
    fn request_headers(&mut self) -> Option<&[u8]>;

    /// Whether the current request has the header `name`, with whichever value.
    fn has_request_header(&mut self, name: &[u8]) -> bool;

    /// Sets one request header, in place of all its values.
    fn set_request_header(&mut self, name: &str, value: &[u8]) -> bool;

    /// Removes one request header with all its values.
    fn remove_request_header(&mut self, name: &[u8]) -> bool;

    /// Adds one line to the headers of the current response.
    // The module without cookies has no entry point for responses.
    #[cfg_attr(not(feature = "cookies"), allow(dead_code))]
    fn add_response_header(&mut self, name: &str, value: &str) -> bool;

    /// Fills `bytes` with random ones that nobody can guess.
    fn random(&mut self, bytes: &mut [u8]) -> bool;

    /// The configuration of the plugin that is being configured, of `size` bytes. Valid until the
    /// next call.
    fn plugin_configuration(&mut self, size: usize) -> Option<&[u8]>;

    /// An attribute of the request or the proxy, into `value`. `path` is NUL-separated.
    fn property(&mut self, path: &str, value: &mut Vec<u8>) -> bool;

    /// Keeps `value` with the request, for filters behind this one.
    fn set_property(&mut self, path: &str, value: &[u8]) -> bool;

    /// What all modules of this proxy, in every worker, keep under `key`, with its version for
    /// [`Host::set_shared`]; version 0 and nothing if there is nothing.
    fn shared(&mut self, key: &str, value: &mut Vec<u8>) -> u32;

    /// Keeps `value` under `key` if it still has `version`; false if another was faster.
    fn set_shared(&mut self, key: &str, value: &[u8], version: u32) -> bool;

    /// Counts one of `counter`.
    fn count(&mut self, counter: Counter);

    /// Has the proxy keep a metric of that name; its number for [`Host::increment`] and [`Host::record`]. One that it keeps
    /// already gets one more number.
    fn define(&mut self, kind: Metric, name: &str) -> Option<u32>;

    /// Adds to a counter.
    fn increment(&mut self, metric: u32, by: u32);

    /// Sets a gauge.
    fn record(&mut self, metric: u32, value: u32);

    /// Has the proxy call the configuration's context that it is calling now, or that of the request, every so many
    /// milliseconds; never if 0.
    fn tick_every(&mut self, milliseconds: u32);

    /// What is asked from now on, until the proxy calls again, is asked for `context`. False if there is none of that
    /// number any more.
    fn act_as(&mut self, context: u32) -> bool;

    /// One line in the proxy's log, as a warning.
    fn warn(&mut self, line: &str);
}

/// The kinds of metrics that are used, with the ABI's numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Metric {
    Counter = 0,
    Gauge = 1,
}

/// The filter's counters, `wasmcustom.<name>` among Envoy's statistics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Counter {
    /// Policies of single Rollouts that were left out.
    PolicyRefused,
    /// Configurations that were no JSON object, so that the last good one stayed, and fields of one that
    /// were left out.
    ConfigurationRefused,
    /// Policies that issue a cookie at an edge whose module issues none.
    CookieNotIssued,
}

impl Counter {
    pub(crate) const ALL: [Self; 3] = [
        Self::PolicyRefused,
        Self::ConfigurationRefused,
        Self::CookieNotIssued,
    ];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::PolicyRefused => "serin.policies_refused",
            Self::ConfigurationRefused => "serin.configurations_refused",
            Self::CookieNotIssued => "serin.cookies_not_issued",
        }
    }
}
