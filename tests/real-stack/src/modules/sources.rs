//! Where proxies fetch the module from: a registry and a web server on loopback.

use std::path::{Path, PathBuf};

use tokio::process::Command;

use crate::error::Error;
use crate::modules::Images;
use crate::program::{Plan, Program};

/// The registry.
pub(super) const REGISTRY: &str = "127.0.0.1:5000";
/// A web server that speaks TLS.
pub(super) const WEB: &str = "127.0.0.1:8443";
/// The image's name in the registry.
pub(super) const REPOSITORY: &str = "serin/serin-filter";

/// Serves a folder by https, with the certificate and the key of its arguments.
const SERVE: &str = "
import http.server, ssl, sys
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(sys.argv[2], sys.argv[3])
host, port = sys.argv[1].split(':')
server = http.server.ThreadingHTTPServer((host, int(port)), http.server.SimpleHTTPRequestHandler)
server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()
";

/// How the registry is started in `folder`. What it has stays there when it is killed.
pub(super) fn registry(program: &Path, folder: &Path) -> Result<Plan, Error> {
    let own = folder.join("registry");
    std::fs::create_dir_all(&own).map_err(Error::file("create", &own))?;
    let store = own.join("store").display().to_string();
    let text = format!(
        "version: 0.1\nstorage: {{filesystem: {{rootdirectory: {store:?}}}}}\nhttp: {{addr: {REGISTRY:?}}}\n"
    );
    let path = own.join("registry.yml");
    std::fs::write(&path, text).map_err(Error::file("write", &path))?;
    Ok(Plan {
        name: "registry".to_owned(),
        file: program.join("registry"),
        arguments: vec!["serve".to_owned(), path.display().to_string()],
        environment: vec![("OTEL_TRACES_EXPORTER".to_owned(), "none".to_owned())],
        bare: false,
        folder: own,
    })
}

/// Starts the web server, which has the files beside `module`; the API server's certificate is its own too.
pub(super) fn web(module: &Path, folder: &Path) -> Result<Program, Error> {
    let certificate = |end: &str| {
        let path: PathBuf = folder.join("certificates").join(format!("apiserver.{end}"));
        path.display().to_string()
    };
    let plan = Plan {
        name: "web".to_owned(),
        file: "python3".into(),
        arguments: vec![
            "-c".to_owned(),
            SERVE.to_owned(),
            WEB.to_owned(),
            certificate("crt"),
            certificate("key"),
        ],
        environment: Vec::new(),
        bare: false,
        folder: module.parent().unwrap_or(module).to_path_buf(),
    };
    Program::start(plan, folder)
}

/// Pushes the images to the registry; returns the module's, as `<repository>:<tag>@<digest>`.
pub(super) async fn push(images: &Images) -> Result<String, Error> {
    let output = Command::new(&images.program)
        .arg("push")
        .arg("--folder")
        .arg(&images.folder)
        .args(["--tag", &images.tag, "--plain-http", "--"])
        .arg(format!("{REGISTRY}/serin"))
        .output()
        .await
        .map_err(|source| Error::Start {
            name: "images push".to_owned(),
            source,
        })?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let wanted = format!("{REGISTRY}/{REPOSITORY}:");
    match said.lines().find(|line| line.starts_with(&wanted)) {
        Some(line) if output.status.success() => Ok(line.to_owned()),
        _ => Err(Error::Waited {
            what: format!("images push to print a line that begins with {wanted}"),
            limit: std::time::Duration::ZERO,
            seen: format!("{said}{}", String::from_utf8_lossy(&output.stderr)),
        }),
    }
}
