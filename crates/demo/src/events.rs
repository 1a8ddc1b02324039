//! What the page is told, as server-sent events: one channel that every open page listens to, and what a page that is
//! opened later has missed.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use serde::Serialize;
use serde_json::{Value, json};
use testbed::apiserver::{Request, Verb};
use testbed::argo::CallRecord;
use tokio::sync::broadcast;

/// Events that a slow page may be behind; beyond that it misses some.
const BACKLOG: usize = 512;
/// Lines of the log that a new page gets.
const REPLAYED: usize = 80;

/// One event: its name, and its data as JSON.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    pub(crate) name: &'static str,
    pub(crate) data: Arc<str>,
}

/// The channel.
#[derive(Debug)]
pub(crate) struct Events {
    sender: broadcast::Sender<Event>,
    log: Mutex<Log>,
}

#[derive(Debug, Default)]
struct Log {
    lines: VecDeque<Line>,
    next: u64,
    /// Not yet told of.
    calls: Vec<CallRecord>,
    state: Option<Event>,
}

/// What the plugin has done.
enum Done {
    Call(CallRecord),
    Write(Request),
}

/// A call or a write, as the page shows it.
#[derive(Clone, Debug)]
struct Line {
    id: u64,
    name: &'static str,
    count: u64,
    /// All but id and count.
    fields: Value,
    /// Two lines of the same key, one after the other, are one.
    key: String,
}

impl Line {
    fn event(&self) -> Event {
        let mut data = self.fields.clone();
        if let Some(fields) = data.as_object_mut() {
            fields.insert("id".to_owned(), json!(self.id));
            fields.insert("count".to_owned(), json!(self.count));
        }
        Event {
            name: self.name,
            data: Arc::from(data.to_string()),
        }
    }
}

impl Events {
    pub(crate) fn new() -> Self {
        Self {
            sender: broadcast::Sender::new(BACKLOG),
            log: Mutex::default(),
        }
    }

    /// What has been missed, and everything from now on.
    pub(crate) fn listen(&self) -> (Vec<Event>, broadcast::Receiver<Event>) {
        let log = self.lock();
        let missed = log.state.iter().cloned();
        let missed = missed.chain(log.lines.iter().map(Line::event)).collect();
        (missed, self.sender.subscribe())
    }

    /// Tells everyone.
    pub(crate) fn send(&self, name: &'static str, data: &impl Serialize) {
        if let Ok(data) = serde_json::to_string(data) {
            self.tell(Event {
                name,
                data: Arc::from(data),
            });
        }
    }

    /// Tells everyone, and those who come later.
    pub(crate) fn state(&self, data: &impl Serialize) {
        if let Ok(data) = serde_json::to_string(data) {
            let event = Event {
                name: "state",
                data: Arc::from(data),
            };
            self.lock().state = Some(event.clone());
            self.tell(event);
        }
    }

    /// Takes a call of the plugin, for [`Events::flush`].
    pub(crate) fn called(&self, call: &CallRecord) {
        self.lock().calls.push(call.clone());
    }

    /// Tells of calls and of the plugin's writes, in the order in which they were done.
    pub(crate) fn flush(&self, began: Instant, requests: Vec<Request>) {
        let calls = std::mem::take(&mut self.lock().calls);
        let mut done: Vec<(Instant, Done)> = requests
            .into_iter()
            .map(|request| (request.at, Done::Write(request)))
            .chain(
                calls
                    .into_iter()
                    .map(|call| (call.at + call.took, Done::Call(call))),
            )
            .collect();
        done.sort_by_key(|(at, _)| *at);
        for (at, done) in done {
            let at = at.saturating_duration_since(began).as_secs_f64();
            match done {
                Done::Call(call) => self.call(at, &call),
                Done::Write(request) => self.write(at, &request),
            }
        }
    }

    /// The plugin has been started; `times` counts from 1.
    pub(crate) fn started(&self, at: f64, times: u64) {
        let fields = json!({"at": at, "method": "plugin started", "detail": times.to_string(), "ms": null, "error": null});
        self.line("call", fields, format!("plugin started {times}"));
    }

    fn call(&self, at: f64, call: &CallRecord) {
        // The controller asks for it all the time, and the answer is always the same.
        if call.method == "Type" {
            return;
        }
        let error = call.outcome.as_ref().err();
        let fields = json!({
            "at": at,
            "method": call.method,
            "detail": call.detail,
            "ms": call.took.as_secs_f64() * 1000.0,
            "error": error,
        });
        let key = format!("{} {} {error:?}", call.method, call.detail);
        self.line("call", fields, key);
    }

    fn write(&self, at: f64, request: &Request) {
        if request.verb != Verb::Patch {
            return;
        }
        let kind = match request.resource.as_str() {
            "virtualservices" => "VirtualService",
            "destinationrules" => "DestinationRule",
            "wasmplugins" => "WasmPlugin",
            other => other,
        };
        let dry_run = if request.path.contains("dryRun=All") {
            " (dry run)"
        } else {
            ""
        };
        let object = format!("{kind} {}/{}{dry_run}", request.namespace, request.name);
        let key = format!("patch {object} {:?}", request.status);
        let fields = json!({"at": at, "verb": "patch", "object": object, "status": request.status});
        self.line("write", fields, key);
    }

    fn line(&self, name: &'static str, fields: Value, key: String) {
        let mut log = self.lock();
        // A reconcile makes several calls: the same reconcile again repeats the last few lines.
        let recent = log.lines.iter().rev().take(RECENT);
        let repeated = recent
            .take_while(|line| line.name == name)
            .find(|line| line.key == key)
            .map(|line| line.id);
        let known = repeated.and_then(|id| log.lines.iter_mut().find(|line| line.id == id));
        let event = if let Some(line) = known {
            line.count += 1;
            line.fields = fields;
            line.event()
        } else {
            let id = log.next;
            log.next += 1;
            let line = Line {
                id,
                name,
                count: 1,
                fields,
                key,
            };
            let event = line.event();
            log.lines.push_back(line);
            if log.lines.len() > REPLAYED {
                log.lines.pop_front();
            }
            event
        };
        drop(log);
        self.tell(event);
    }

    fn tell(&self, event: Event) {
        // No receiver: no page is open.
        let _ = self.sender.send(event);
    }

    /// A holder that panicked left whole lines.
    fn lock(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How many lines back a repetition is looked for: the calls of one reconcile.
const RECENT: usize = 6;
