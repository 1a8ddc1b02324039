//! The page in a real browser: it loads, shows a canary that is promoted, and the dots change.
//!
//! Run by `cargo xtask test`, which builds the plugin and the module and fetches Envoy. Without Chromium and its driver
//! (Debian packages `chromium` and `chromium-driver`) it says so and does nothing.

// Helpers of a test count as shipped code to clippy.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod browser;

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::browser::{Browser, element};

const DRIVER: &str = "chromedriver";

/// The demo with a page, and the page's address; its files go below `folder`. Ends when dropped.
async fn demo(folder: &Path) -> (Child, String) {
    let variable = |name: &str| {
        std::env::var_os(name)
            .unwrap_or_else(|| panic!("{name} is not set: run `cargo xtask test`"))
    };
    let mut demo = Command::new(env!("CARGO_BIN_EXE_demo"))
        .arg("--envoy")
        .arg(variable("SERIN_ENVOY"))
        .arg("--plugin")
        .arg(variable("SERIN_PLUGIN"))
        .arg("--module")
        .arg(variable("SERIN_FILTER_WASM"))
        .args(["--port", "0"])
        .env("TMPDIR", folder)
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(demo.stderr.take().unwrap()).lines();
    let address = async {
        while let Some(line) = lines.next_line().await.unwrap() {
            if let Some((_, rest)) = line.split_once("the page: ") {
                return rest.split_whitespace().next().unwrap().to_owned();
            }
        }
        panic!("the demo has ended without a page");
    };
    let address = tokio::time::timeout(Duration::from_mins(1), address).await;
    let address = address.expect("the page is there in time");
    // Its progress is read to the end, so that it is never held up.
    tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
    (demo, address)
}

/// The command lines of processes that name the folder.
fn processes_with(folder: &Path) -> Vec<String> {
    let folder = folder.display().to_string();
    let lines = std::fs::read_dir("/proc").unwrap().filter_map(|item| {
        let line = std::fs::read(item.ok()?.path().join("cmdline")).ok()?;
        Some(String::from_utf8_lossy(&line).replace('\0', " "))
    });
    lines.filter(|line| line.contains(&folder)).collect()
}

/// Chromium and its driver.
async fn has_browser() -> bool {
    let found = Command::new(DRIVER).arg("--version").output().await;
    found.is_ok_and(|output| output.status.success())
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_left_of_a_demo_that_was_killed() {
    let folder = tempfile::tempdir().unwrap();
    let (mut demo, _) = demo(folder.path()).await;
    assert!(!processes_with(folder.path()).is_empty());
    demo.kill().await.unwrap();
    // As when a test fails, or somebody clears up the temporary folder.
    std::fs::remove_dir_all(folder.path()).unwrap();
    std::fs::create_dir(folder.path()).unwrap();
    let gone = async {
        while !processes_with(folder.path()).is_empty()
            || std::fs::read_dir(folder.path()).unwrap().count() > 0
        {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let gone = tokio::time::timeout(Duration::from_secs(20), gone).await;
    assert!(gone.is_ok(), "left: {:?}", processes_with(folder.path()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_promotion_is_seen() {
    if !has_browser().await {
        println!("skipped: no chromedriver (Debian packages chromium and chromium-driver)");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (mut demo, address) = demo(folder.path()).await;
    let browser = Browser::start(DRIVER).await;
    browser.open(&address).await;

    let dots = |image: &str| format!("(window.serinDemo.dotsByVersion()['{image}'] ?? 0)");
    browser
        .until("requests are drawn", &format!("{} > 20", dots("reviews:1")))
        .await;
    assert_eq!(browser.value(&dots("reviews:2")).await, 0);
    browser
        .until(
            "the first header route",
            &format!("{}.innerText.includes('beta-users')", element("policy")),
        )
        .await;
    browser
        .until("the canary's dots", &format!("{} > 0", dots("reviews:2")))
        .await;
    assert!(
        browser
            .text("virtual-service")
            .await
            .contains("serin-shop.reviews.canary")
    );

    // To the end, a click a pause.
    for _ in 0..20 {
        if browser.text("phase").await == "Healthy" {
            break;
        }
        if browser
            .value(&format!("!{}.disabled", element("promote")))
            .await
            == true
        {
            browser.click("promote").await;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    browser
        .until(
            "only the new version's dots",
            &format!("{} == 0 && {} > 20", dots("reviews:1"), dots("reviews:2")),
        )
        .await;
    assert_eq!(browser.text("failed").await, "0");
    assert_ne!(browser.text("requests").await, "0");
    assert_eq!(browser.errors().await, Vec::<String>::new());
    browser.quit().await;

    // As Ctrl-C in a terminal.
    let process = demo.id().unwrap().to_string();
    let interrupted = Command::new("kill").args(["-INT", &process]).status().await;
    assert!(interrupted.unwrap().success());
    let ended = tokio::time::timeout(Duration::from_secs(20), demo.wait()).await;
    assert_eq!(ended.expect("it ends").unwrap().code(), Some(130));
    assert_eq!(
        std::fs::read_dir(folder.path()).unwrap().count(),
        0,
        "files are left"
    );
    assert_eq!(processes_with(folder.path()), [""; 0], "processes are left");
}
