//! A registry on loopback (CNCF Distribution), with everything in memory, on a port that was free.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::failure::Failure;
use crate::run;

/// The registry's word before its address.
const LISTENS: &str = "listening on ";
/// `robot` and `not-a-secret`, for this registry alone.
const HTPASSWD: &str = "robot:$2a$04$p4amPN19nQwq.zKA43YuYuPcEIty3.7qrW2btljx6v7xn3zElVRTS\n";
/// The same as Docker writes it.
const AUTH: &str = "cm9ib3Q6bm90LWEtc2VjcmV0";

/// A registry, which ends with this.
pub(super) struct Served {
    child: Child,
    address: String,
}

/// A user of the registry: what the registry knows of it, and Docker's `config.json`.
pub(super) struct Login {
    folder: PathBuf,
}

impl Login {
    /// In a folder below `folder`.
    pub(super) fn new(folder: &Path) -> Result<Self, Failure> {
        let folder = folder.join("login");
        fs::create_dir(&folder).map_err(Failure::file("create", &folder))?;
        let path = folder.join("htpasswd");
        fs::write(&path, HTPASSWD).map_err(Failure::file("write", &path))?;
        Ok(Self { folder })
    }

    /// The folder that `$DOCKER_CONFIG` names.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// What a pull secret has.
    pub(super) fn file(&self) -> PathBuf {
        self.folder.join("config.json")
    }

    fn write(&self, address: &str) -> Result<(), Failure> {
        let path = self.file();
        let text = format!(r#"{{"auths": {{"{address}": {{"auth": "{AUTH}"}}}}}}"#);
        fs::write(&path, text).map_err(Failure::file("write", &path))
    }
}

impl Served {
    /// Starts `program`; with a login, for nobody else.
    pub(super) fn start(
        program: &Path,
        folder: &Path,
        login: Option<&Login>,
    ) -> Result<Self, Failure> {
        let path = folder.join("registry.yml");
        let mut text =
            "version: 0.1\nstorage: {inmemory: {}}\nhttp: {addr: \"127.0.0.1:0\"}\n".to_owned();
        if let Some(login) = login {
            // Istio's agent takes a realm that is an address, and no other (istio 1.29.1 `pkg/wasm/imagefetcher.go`,
            // `validateRealmURL`).
            let file = login.folder.join("htpasswd");
            text = format!(
                "{text}auth: {{htpasswd: {{realm: \"http://registry.test/\", path: \"{}\"}}}}\n",
                file.display()
            );
        }
        fs::write(&path, text).map_err(Failure::file("write", &path))?;
        let mut command = Command::new(program);
        command
            .arg("serve")
            .arg(&path)
            .env("OTEL_TRACES_EXPORTER", "none")
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|source| Failure::Start {
            command: run::line(&command),
            source,
        })?;
        let log = child.stderr.take();
        let mut served = Self {
            child,
            address: String::new(),
        };
        let mut lines = log.into_iter().flat_map(|log| BufReader::new(log).lines());
        let (mut said, mut found) = (String::new(), None);
        for line in lines.by_ref() {
            said = line.unwrap_or_default();
            found = address(&said);
            if found.is_some() {
                break;
            }
        }
        served.address = found.ok_or_else(|| Failure::Wrong {
            what: "the registry's log".to_owned(),
            found: said,
            expected: format!("a line with {LISTENS:?}"),
            next: "start the registry by hand",
        })?;
        // It writes a line for each request, which somebody has to read.
        std::thread::spawn(move || lines.count());
        if let Some(login) = login {
            login.write(&served.address)?;
        }
        Ok(served)
    }

    /// Host and port.
    pub(super) fn address(&self) -> &str {
        &self.address
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // If it has ended by itself there is nothing to end.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The address in a line of the log.
fn address(line: &str) -> Option<String> {
    let rest = line.split_once(LISTENS)?.1;
    let end = rest.find(|letter: char| letter != '.' && letter != ':' && !letter.is_ascii_digit());
    rest.get(..end.unwrap_or(rest.len())).map(str::to_owned)
}
