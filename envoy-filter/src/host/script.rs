//! A proxy that answers from a script and writes down every call, so that a call too many fails a test.

use std::collections::BTreeMap;

use super::{Counter, Host, Metric};
use crate::header_map::serialize;

/// What the proxy knows, and what it was asked.
#[derive(Debug, Default)]
pub(crate) struct Script {
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) response_headers: Vec<(String, String)>,
    /// How often random bytes were asked for; they are all that number.
    pub(crate) drawn: u8,
    pub(crate) configuration: Vec<u8>,
    /// By path, with `.` for NUL.
    pub(crate) properties: BTreeMap<String, String>,
    pub(crate) shared: BTreeMap<String, (Vec<u8>, u32)>,
    pub(crate) counted: Vec<Counter>,
    pub(crate) log: Vec<String>,
    /// Metrics by their numbers: kind, name, value.
    pub(crate) metrics: Vec<(Metric, String, u32)>,
    /// What the timer of each context was last set to.
    pub(crate) ticks: BTreeMap<u32, u32>,
    /// The context that is called, or acted as.
    pub(crate) acting: u32,
    /// Contexts that are no more.
    pub(crate) gone: Vec<u32>,
    /// Calls for one request, in order.
    pub(crate) calls: Vec<String>,
    answer: Vec<u8>,
}

impl Script {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(other, _)| other == name);
        found.map(|(_, value)| value.as_str())
    }
}

impl Host for Script {
    fn request_headers(&mut self) -> Option<&[u8]> {
        self.calls.push("read headers".to_owned());
        let headers: Vec<(&str, &str)> = self
            .headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        self.answer = serialize(&headers);
        Some(&self.answer)
    }

    fn has_request_header(&mut self, name: &[u8]) -> bool {
        let name = str::from_utf8(name).unwrap();
        self.calls.push(format!("has {name}"));
        self.header(name).is_some()
    }

    fn set_request_header(&mut self, name: &str, value: &[u8]) -> bool {
        let value = str::from_utf8(value).unwrap();
        self.calls.push(format!("set {name}: {value}"));
        self.headers.retain(|(other, _)| other != name);
        self.headers.push((name.to_owned(), value.to_owned()));
        true
    }

    fn remove_request_header(&mut self, name: &[u8]) -> bool {
        let name = String::from_utf8(name.to_vec()).unwrap();
        self.calls.push(format!("remove {name}"));
        self.headers.retain(|(other, _)| *other != name);
        true
    }

    fn add_response_header(&mut self, name: &str, value: &str) -> bool {
        let line = (name.to_owned(), value.to_owned());
        self.response_headers.push(line);
        true
    }

    fn random(&mut self, bytes: &mut [u8]) -> bool {
        self.calls.push("get random bytes".to_owned());
        self.drawn += 1;
        bytes.fill(self.drawn);
        true
    }

    fn plugin_configuration(&mut self, size: usize) -> Option<&[u8]> {
        self.configuration.get(..size)
    }

    fn property(&mut self, path: &str, value: &mut Vec<u8>) -> bool {
        let path = path.replace('\0', ".");
        value.clear();
        let found = self.properties.get(&path);
        value.extend(found.map(String::as_bytes).unwrap_or_default());
        let found = found.is_some();
        self.calls.push(format!("get {path}"));
        found
    }

    fn set_property(&mut self, path: &str, value: &[u8]) -> bool {
        self.calls.push(format!("keep {path}"));
        self.properties
            .insert(path.to_owned(), String::from_utf8(value.to_vec()).unwrap());
        true
    }

    fn shared(&mut self, key: &str, value: &mut Vec<u8>) -> u32 {
        value.clear();
        let Some((found, version)) = self.shared.get(key) else {
            return 0;
        };
        value.extend(found);
        *version
    }

    fn set_shared(&mut self, key: &str, value: &[u8], version: u32) -> bool {
        let entry = self.shared.entry(key.to_owned()).or_default();
        if version != 0 && version != entry.1 {
            return false;
        }
        *entry = (value.to_vec(), entry.1 + 1);
        true
    }

    fn count(&mut self, counter: Counter) {
        assert!(
            Counter::ALL.contains(&counter),
            "{} is not defined",
            counter.name()
        );
        self.counted.push(counter);
    }

    fn define(&mut self, kind: Metric, name: &str) -> Option<u32> {
        self.calls.push(format!("define {name}"));
        self.metrics.push((kind, name.to_owned(), 0));
        u32::try_from(self.metrics.len() - 1).ok()
    }

    fn increment(&mut self, metric: u32, by: u32) {
        let (kind, name, value) = &mut self.metrics[usize::try_from(metric).unwrap()];
        assert_eq!(*kind, Metric::Counter, "{name}");
        *value += by;
        self.calls.push(format!("add {by} to {name}"));
    }

    fn record(&mut self, metric: u32, value: u32) {
        let (kind, name, now) = &mut self.metrics[usize::try_from(metric).unwrap()];
        assert_eq!(*kind, Metric::Gauge, "{name}");
        *now = value;
        self.calls.push(format!("set {name}"));
    }

    fn tick_every(&mut self, milliseconds: u32) {
        self.ticks.insert(self.acting, milliseconds);
    }

    fn act_as(&mut self, context: u32) -> bool {
        let is = !self.gone.contains(&context);
        if is {
            self.acting = context;
        }
        is
    }

    fn warn(&mut self, line: &str) {
        self.log.push(line.to_owned());
    }
}
