//! Log lines as hosts read them from a plugin's stderr: hashicorp/go-hclog's JSON.
//!
//! ```
//! use tracing_subscriber::layer::SubscriberExt;
//! use tracing_subscriber::filter::LevelFilter;
//!
//! let subscriber = tracing_subscriber::registry()
//!     .with(LevelFilter::INFO)
//!     .with(go_plugin::hclog::stderr());
//! # let _ = subscriber;
//! ```
//!
//! A line is an object of `@level`, `@message`, `@module`, `@timestamp`, the event's fields, and
//! the fields of its spans, inner ones first. Hosts panic on an `@message` that is not a string
//! (hashicorp/go-plugin v1.7.0 `log_entry.go`), so these four are always ours.

use std::fmt;
use std::io::{self, Write};
use std::sync::{Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer};
use tracing_subscriber::registry::LookupSpan;

/// Writes one line an event. Made by [`stderr`] or [`writer`].
#[derive(Debug)]
pub struct Hclog<W> {
    writer: Mutex<W>,
}

/// A layer that writes to stderr.
pub fn stderr() -> Hclog<io::Stderr> {
    writer(io::stderr())
}

/// A layer that writes to `writer`.
pub fn writer<W: Write>(writer: W) -> Hclog<W> {
    Hclog {
        writer: Mutex::new(writer),
    }
}

/// The fields of a span, kept beside it.
struct SpanFields(Map<String, Value>);

impl<S, W> Layer<S> for Hclog<W>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
    W: Write + 'static,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut fields = Map::new();
        attributes.record(&mut Fields(&mut fields));
        if let Some(span) = context.span(id) {
            span.extensions_mut().insert(SpanFields(fields));
        }
    }

    fn on_record(&self, id: &Id, record: &Record<'_>, context: Context<'_, S>) {
        if let Some(span) = context.span(id)
            && let Some(fields) = span.extensions_mut().get_mut::<SpanFields>()
        {
            record.record(&mut Fields(&mut fields.0));
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut line = Map::new();
        event.record(&mut Fields(&mut line));
        for span in context.event_scope(event).into_iter().flatten() {
            if let Some(fields) = span.extensions().get::<SpanFields>() {
                for (name, value) in &fields.0 {
                    if !line.contains_key(name) {
                        line.insert(name.clone(), value.clone());
                    }
                }
            }
        }
        let message = match line.remove("message") {
            Some(Value::String(message)) => message,
            Some(other) => other.to_string(),
            None => String::new(),
        };
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = timestamp(now.unwrap_or_default().as_micros());
        let level = level(*event.metadata().level());
        line.insert("@level".into(), level.into());
        line.insert("@message".into(), message.into());
        line.insert("@module".into(), event.metadata().target().into());
        line.insert("@timestamp".into(), now.into());

        let mut bytes = Value::Object(line).to_string().into_bytes();
        bytes.push(b'\n');
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        // One write a line, so that lines of several threads don't mix. A host that closed the
        // pipe has no use for logs.
        let _ = writer.write_all(&bytes).and_then(|()| writer.flush());
    }
}

/// Collects fields as JSON.
struct Fields<'m>(&'m mut Map<String, Value>);

impl Fields<'_> {
    fn put(&mut self, field: &Field, value: Value) {
        self.0.insert(field.name().to_owned(), value);
    }
}

impl Visit for Fields<'_> {
    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value.into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value.into());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, format!("{value:?}").into());
    }
}

fn level(level: Level) -> &'static str {
    match level {
        Level::TRACE => "trace",
        Level::DEBUG => "debug",
        Level::INFO => "info",
        Level::WARN => "warn",
        Level::ERROR => "error",
    }
}

/// Go's `2006-01-02T15:04:05.000000Z07:00`, in UTC.
fn timestamp(unix_micros: u128) -> String {
    let micros = unix_micros % 1_000_000;
    let seconds = unix_micros / 1_000_000;
    let second = seconds % 86_400;
    // Years begin in March and in the year 0 here, so that leap days come last.
    let days = seconds / 86_400 + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let (month, next_year) = if month < 10 {
        (month + 3, 0)
    } else {
        (month - 9, 1)
    };
    format!(
        "{:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{micros:06}Z",
        era * 400 + year_of_era + next_year,
        second / 3600,
        second / 60 % 60,
        second % 60
    )
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    #[derive(Clone, Default)]
    struct Buffer(Arc<Mutex<Vec<u8>>>);

    impl Write for Buffer {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn lines(log: impl FnOnce()) -> Vec<Value> {
        let buffer = Buffer::default();
        let subscriber = tracing_subscriber::registry().with(writer(buffer.clone()));
        tracing::subscriber::with_default(subscriber, log);
        let bytes = buffer.0.lock().unwrap();
        let text = std::str::from_utf8(&bytes).unwrap();
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    #[test]
    fn a_line_holds_the_event_and_its_spans() {
        let lines = lines(|| {
            let span = tracing::info_span!("call", rollout = "shop/reviews", weight = 1);
            let _in = span.enter();
            tracing::warn!(weight = 10, ratio = 0.5, ok = true, "patched {}", "it");
        });
        let [line] = lines.as_slice() else {
            panic!("{lines:?}")
        };
        assert_eq!(line["@level"], "warn");
        assert_eq!(line["@message"], "patched it");
        assert_eq!(line["@module"], module_path!());
        assert_eq!(line["rollout"], "shop/reviews");
        assert_eq!(line["weight"], 10);
        assert_eq!(line["ratio"], 0.5);
        assert_eq!(line["ok"], true);
        assert_eq!(line["@timestamp"].as_str().unwrap().len(), 27);
    }

    #[test]
    fn the_message_is_always_a_string() {
        let lines = lines(|| {
            tracing::info!(message = 7);
            tracing::info!(only = "fields");
        });
        assert_eq!(lines[0]["@message"], "7");
        assert_eq!(lines[1]["@message"], "");
    }

    #[test]
    fn timestamps_are_as_go_parses_them() {
        for (micros, text) in [
            (0, "1970-01-01T00:00:00.000000Z"),
            (951_868_799_000_042, "2000-02-29T23:59:59.000042Z"),
            (1_772_818_869_250_000, "2026-03-06T17:41:09.250000Z"),
            (1_798_761_599_999_999, "2026-12-31T23:59:59.999999Z"),
        ] {
            assert_eq!(timestamp(micros), text);
        }
    }
}
