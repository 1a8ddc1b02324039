//! A headless Chromium, driven over WebDriver (https://www.w3.org/TR/webdriver2/). The five commands that the test needs:
//! a client library for all of them brings some forty crates.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::Stdio;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1;
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

/// How long a browser may take to be there.
const START_LIMIT: Duration = Duration::from_mins(1);
/// How often a driver is started.
const TRIES: usize = 5;
/// How long a condition may take to come true.
const LIMIT: Duration = Duration::from_secs(90);

/// One browser with one page.
pub(crate) struct Browser {
    driver: SocketAddr,
    session: String,
    // Ends the browser too.
    _process: Child,
}

impl Browser {
    /// `chromedriver` is the program; its browser is the system's.
    pub(crate) async fn start(chromedriver: &str) -> Self {
        let mut tries = Vec::new();
        let (process, port) = loop {
            match driver(chromedriver).await {
                Ok(driver) => break driver,
                // It ends if the free port that it has chosen is taken on its other address meanwhile.
                Err(said) => tries.push(said),
            }
            assert!(tries.len() < TRIES, "chromedriver doesn't start: {tries:?}");
        };
        let mut browser = Self {
            driver: SocketAddr::from((Ipv4Addr::LOCALHOST, port)),
            session: String::new(),
            _process: process,
        };
        let arguments = [
            "--headless=new",
            "--no-sandbox",
            "--disable-dev-shm-usage",
            "--disable-gpu",
            "--window-size=1440,900",
        ];
        let wanted = json!({"capabilities": {"alwaysMatch": {"goog:chromeOptions": {"args": arguments}, "goog:loggingPrefs": {"browser": "ALL"}}}});
        let created = browser.command(Method::POST, "/session", &wanted).await;
        browser.session = created["sessionId"].as_str().expect("an id").into();
        browser
    }

    pub(crate) async fn open(&self, url: &str) {
        self.post("url", &json!({"url": url})).await;
    }

    /// The value of a JavaScript expression in the page.
    pub(crate) async fn value(&self, expression: &str) -> Value {
        let script = json!({"script": format!("return {expression}"), "args": []});
        self.post("execute/sync", &script).await
    }

    /// Waits until the expression is true.
    pub(crate) async fn until(&self, what: &str, expression: &str) {
        let wait = async {
            while self.value(expression).await != json!(true) {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        if tokio::time::timeout(LIMIT, wait).await.is_err() {
            let text = self.value("document.body.innerText").await;
            panic!("waited in vain: {what}; the page says:\n{text}");
        }
    }

    /// The text of the element with this `data-testid`.
    pub(crate) async fn text(&self, id: &str) -> String {
        let text = self.value(&format!("{}.innerText", element(id))).await;
        text.as_str().unwrap_or_default().trim().to_owned()
    }

    /// Clicks it; a disabled button can't be clicked.
    pub(crate) async fn click(&self, id: &str) {
        let enabled = format!("!{}.disabled", element(id));
        self.until(&format!("{id} can be clicked"), &enabled).await;
        self.value(&format!("{}.click()", element(id))).await;
    }

    /// What the page has written to the console as an error.
    pub(crate) async fn errors(&self) -> Vec<String> {
        let log = self.post("se/log", &json!({"type": "browser"})).await;
        let entries = log.as_array().cloned().unwrap_or_default();
        let severe = entries.iter().filter(|entry| entry["level"] == "SEVERE");
        severe.map(|entry| entry["message"].to_string()).collect()
    }

    /// Closes the browser.
    pub(crate) async fn quit(self) {
        let path = format!("/session/{}", self.session);
        self.command(Method::DELETE, &path, &json!({})).await;
    }

    async fn post(&self, command: &str, body: &Value) -> Value {
        let path = format!("/session/{}/{command}", self.session);
        self.command(Method::POST, &path, body).await
    }

    async fn command(&self, method: Method, path: &str, body: &Value) -> Value {
        let socket = TcpStream::connect(self.driver).await.expect("connects");
        let (mut sender, connection) = http1::handshake(TokioIo::new(socket)).await.expect("HTTP");
        let connection = tokio::spawn(connection);
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", self.driver.to_string())
            .header("content-type", "application/json")
            .body(Full::new(Bytes::from(body.to_string())))
            .expect("a valid request");
        let response = sender.send_request(request).await.expect("an answer");
        let status = response.status();
        let body = response.into_body().collect().await.expect("a body");
        drop(sender);
        connection.abort();
        let answer: Value = serde_json::from_slice(&body.to_bytes()).expect("JSON");
        assert!(
            status.is_success(),
            "{path}: {}",
            answer["value"]["message"]
        );
        answer["value"].clone()
    }
}

/// A driver on a free port; if it ends, what it said.
async fn driver(program: &str) -> Result<(Child, u16), String> {
    let mut process = Command::new(program)
        .arg("--port=0")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .expect("chromedriver starts");
    let mut lines = BufReader::new(process.stdout.take().expect("piped")).lines();
    let mut said = String::new();
    let port = tokio::time::timeout(START_LIMIT, async {
        while let Some(line) = lines.next_line().await.expect("readable") {
            let port = line
                .strip_prefix("ChromeDriver was started successfully on port ")
                .and_then(|rest| rest.trim_end_matches('.').parse::<u16>().ok());
            if port.is_some() {
                return port;
            }
            said.push_str(&line);
        }
        None
    });
    let port = port.await.expect("chromedriver says its port in time");
    port.map(|port| (process, port)).ok_or(said)
}

/// The element with this `data-testid`, as an expression.
pub(crate) fn element(id: &str) -> String {
    format!("document.querySelector('[data-testid=\"{id}\"]')")
}
