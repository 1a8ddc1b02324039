//! A real Envoy with a given configuration, and a plain HTTP/1.1 client to ask it (`client`).
//!
//! Everything here blocks. Listeners bind port 0; where they ended up is asked of the admin interface. The process
//! ends when its [`Envoy`] is dropped. Nothing is shared between two of them (no hot restart), so any number run at
//! once.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

mod client;

pub use client::{Connection, Reply};

use client::get;

/// How long Envoy may take until it answers. It is there in a second; a busy machine takes longer.
const READY_WITHIN: Duration = Duration::from_mins(1);
/// How often to look meanwhile.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// How much of the log an error shows.
const LOG_LINES: usize = 12;

/// A running Envoy.
#[derive(Debug)]
pub struct Envoy {
    process: Child,
    admin: SocketAddr,
    log: PathBuf,
}

/// Why an Envoy isn't there, or doesn't say what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EnvoyError {
    /// A file for it could not be written or read.
    #[error("cannot use {}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// The system's word.
        #[source]
        source: io::Error,
    },
    /// The program could not be started.
    #[error("cannot start {}", program.display())]
    Start {
        /// Which.
        program: PathBuf,
        /// The system's word.
        #[source]
        source: io::Error,
    },
    /// It ended before it was ready: its configuration is refused.
    #[error("envoy ended with {status}; its log ends with:\n{log}")]
    Ended {
        /// How.
        status: ExitStatus,
        /// The end of the log.
        log: String,
    },
    /// It is not ready in time.
    #[error("envoy is not ready after {} s; its log ends with:\n{log}", READY_WITHIN.as_secs())]
    NotReady {
        /// The end of the log.
        log: String,
    },
    /// The admin interface gave no answer, or one that isn't understood.
    #[error("envoy's admin interface does not answer {path}")]
    Admin {
        /// What was asked.
        path: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// There is no such listener, or it isn't bound to an IP address.
    #[error("envoy has no listener {name:?} with an address")]
    NoListener {
        /// What was asked for.
        name: String,
    },
}

impl Envoy {
    /// Starts `program` with `bootstrap` and waits until all listeners are up. `folder`, which stays the caller's,
    /// takes its files. The admin interface is added to the bootstrap; `workers` is `--concurrency`.
    pub fn start(
        program: &Path,
        folder: &Path,
        mut bootstrap: Value,
        workers: u32,
    ) -> Result<Self, EnvoyError> {
        let file = |path: &Path| {
            let path = path.to_path_buf();
            move |source| EnvoyError::File { path, source }
        };
        if let Some(fields) = bootstrap.as_object_mut() {
            let admin =
                json!({"address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}}});
            fields.insert("admin".to_owned(), admin);
        }
        let config = folder.join("envoy.json");
        fs::write(&config, bootstrap.to_string()).map_err(file(&config))?;
        let log = folder.join("envoy.log");
        let output = fs::File::create(&log).map_err(file(&log))?;
        let address = folder.join("envoy.admin");
        let mut process = Command::new(program)
            .arg("--config-path")
            .arg(&config)
            .arg("--admin-address-path")
            .arg(&address)
            .args([
                "--disable-hot-restart",
                // Connections of a listener's former filters are told to close with their next answer.
                "--drain-strategy",
                "immediate",
                "--log-level",
                "warn",
                "--concurrency",
            ])
            .arg(workers.to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(output)
            .spawn()
            .map_err(|source| EnvoyError::Start {
                program: program.to_path_buf(),
                source,
            })?;
        match wait(&mut process, &address, &log) {
            Ok(admin) => Ok(Self {
                process,
                admin,
                log,
            }),
            Err(error) => {
                end(&mut process);
                Err(error)
            }
        }
    }

    /// The number of its process.
    pub fn process(&self) -> u32 {
        self.process.id()
    }

    /// What it has logged so far, warnings and above.
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// The last lines of that, which say why it ended or refused something.
    pub fn log_end(&self) -> String {
        tail(&self.log)
    }

    /// Where its admin interface listens.
    pub fn admin_address(&self) -> SocketAddr {
        self.admin
    }

    /// Where a listener that binds port 0 ended up.
    pub fn listener(&self, name: &str) -> Result<SocketAddr, EnvoyError> {
        let path = "/listeners?format=json";
        let reply = self.admin(path)?;
        let listed: Value = serde_json::from_str(&reply).map_err(|source| EnvoyError::Admin {
            path: path.to_owned(),
            source: source.into(),
        })?;
        let socket = listed
            .get("listener_statuses")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .find(|listener| listener.get("name").and_then(Value::as_str) == Some(name))
            .and_then(|listener| listener.pointer("/local_address/socket_address"));
        let part = |field| socket.and_then(|socket| socket.get(field));
        part("address")
            .and_then(Value::as_str)
            .zip(part("port_value").and_then(Value::as_u64))
            .and_then(|(address, port)| {
                Some(SocketAddr::new(
                    address.parse().ok()?,
                    port.try_into().ok()?,
                ))
            })
            .ok_or_else(|| EnvoyError::NoListener {
                name: name.to_owned(),
            })
    }

    /// The value of one counter or gauge; `None` if there is none of that name.
    pub fn stat(&self, name: &str) -> Result<Option<u64>, EnvoyError> {
        let stats = self.admin("/stats")?;
        let value = stats
            .lines()
            .filter_map(|line| line.split_once(": "))
            .find(|(found, _)| *found == name);
        Ok(value.and_then(|(_, value)| value.parse().ok()))
    }

    /// What the admin interface says to `GET path`.
    pub fn admin(&self, path: &str) -> Result<String, EnvoyError> {
        get(self.admin, path).map_err(|source| EnvoyError::Admin {
            path: path.to_owned(),
            source,
        })
    }
}

impl Drop for Envoy {
    fn drop(&mut self) {
        end(&mut self.process);
    }
}

/// Waits until Envoy says that it is ready; its admin address.
fn wait(process: &mut Child, address: &Path, log: &Path) -> Result<SocketAddr, EnvoyError> {
    let began = Instant::now();
    while began.elapsed() < READY_WITHIN {
        let ended = process.try_wait().map_err(|source| EnvoyError::File {
            path: address.to_path_buf(),
            source,
        })?;
        if let Some(status) = ended {
            let log = tail(log);
            return Err(EnvoyError::Ended { status, log });
        }
        let admin = fs::read_to_string(address)
            .ok()
            .and_then(|text| text.trim().parse().ok());
        if let Some(admin) = admin
            && get(admin, "/ready").is_ok()
        {
            return Ok(admin);
        }
        thread::sleep(LOOK_EVERY);
    }
    Err(EnvoyError::NotReady { log: tail(log) })
}

fn tail(log: &Path) -> String {
    let log = fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = log.lines().collect();
    let from = lines.len().saturating_sub(LOG_LINES);
    lines.get(from..).unwrap_or_default().join("\n")
}

/// Kills the process and takes its status, so that nothing is left of it.
fn end(process: &mut Child) {
    // An error means that it is gone already.
    let _ = process.kill();
    let _ = process.wait();
}
