//! The page of `rmd` in a real browser, headless: what it shows of locks, and that it does what it says.
//!
//! The programs are `chromium` and `chromedriver` on the path, or what `RM_CHROMIUM` and `RM_CHROMEDRIVER` name. Where there
//! are none, a test says so and passes, but not under `CI`. With `RM_SHOTS` each leaves a picture in that directory.
#![cfg(feature = "http")]
#![allow(clippy::print_stderr, reason = "a test that is skipped says so")]

mod support;

use std::env;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;
use thirtyfour::Key;
use thirtyfour::prelude::*;

use self::support::http;
use self::support::{Daemon, Lines, PATIENCE, Running};

/// How often the page is looked at for what it is to show.
const LOOK: Duration = Duration::from_millis(100);
/// A name that would run a script if it were ever taken for markup.
const HOSTILE: &str = "<img src=x onerror=\"document.title='owned'\">";

/// A browser and what drives it. Both end with it.
struct Browser {
    driver: WebDriver,
    process: Child,
    _dir: TempDir,
}

impl Browser {
    /// One with a window of that size, or `None` where there is none.
    async fn start(width: u32, height: u32) -> Option<Self> {
        let chromedriver = named("RM_CHROMEDRIVER", "chromedriver");
        let chromium = named("RM_CHROMIUM", "chromium");
        let answers = |program: &str| Command::new(program).arg("--version").output().is_ok();
        if !answers(&chromedriver) || !answers(&chromium) {
            let how = "no browser: install chromium and chromium-driver (Debian), or set RM_CHROMIUM and RM_CHROMEDRIVER";
            assert!(env::var_os("CI").is_none(), "{how}");
            eprintln!("skipped: {how}");
            return None;
        }
        let dir = tempfile::tempdir().expect("a directory");
        let mut process = Command::new(&chromedriver)
            .arg("--port=0")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("started");
        let lines = Lines::of(process.stdout.take().expect("piped"));
        let line = lines
            .find("started successfully on port")
            .expect("it says its port");
        let port = line
            .trim_end_matches('.')
            .rsplit(' ')
            .next()
            .expect("a port")
            .to_owned();
        let mut wanted = DesiredCapabilities::chrome();
        // Without a path the driver looks where the system puts browsers.
        if env::var_os("RM_CHROMIUM").is_some() {
            wanted.set_binary(&chromium).expect("a path");
        }
        let profile = format!("--user-data-dir={}", dir.path().display());
        let size = format!("--window-size={width},{height}");
        for argument in [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--disable-dev-shm-usage",
            &profile,
            &size,
        ] {
            wanted.add_arg(argument).expect("an argument");
        }
        let driver = WebDriver::new(format!("http://127.0.0.1:{port}"), wanted).await;
        Some(Self {
            driver: driver.expect("a browser"),
            process,
            _dir: dir,
        })
    }

    /// The text of an element, once it is as wanted.
    async fn shows(&self, id: &str, wanted: impl Fn(&str) -> bool) -> String {
        let look = async {
            loop {
                let text = self.text(id).await;
                if wanted(&text) {
                    return text;
                }
                tokio::time::sleep(LOOK).await;
            }
        };
        match tokio::time::timeout(PATIENCE, look).await {
            Ok(text) => text,
            Err(_) => panic!("#{id} stays at {:?}", self.text(id).await),
        }
    }

    async fn text(&self, id: &str) -> String {
        let element = self.driver.find(By::Id(id)).await.expect("it is there");
        element.text().await.expect("its text")
    }

    async fn shot(&self, name: &str) {
        if let Some(dir) = env::var_os("RM_SHOTS") {
            let path = Path::new(&dir).join(name);
            self.driver.screenshot(&path).await.expect("a picture");
        }
    }

    async fn script(&self, script: &str) -> serde_json::Value {
        let done = self.driver.execute(script, Vec::new()).await;
        done.expect("it runs").json().clone()
    }

    async fn end(self) {
        self.driver.clone().quit().await.expect("it ends");
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

fn named(variable: &str, usual: &str) -> String {
    env::var(variable).unwrap_or_else(|_| usual.into())
}

fn waiter(daemon: &Daemon, label: &str, name: &str) -> Running {
    Running::start(daemon.rmctl(&["lock", "--label", label, name, "--", "true"]))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_shows_who_waits_for_whom_and_forgets_what_is_over() {
    let Some(browser) = Browser::start(1_280, 1_000).await else {
        return;
    };
    let (daemon, page) = http::daemon(&["--name", "n1"]);
    let mut holder = daemon.hold(&["--label", "nightly backup", "volumes/42"], "cat");
    let _other = daemon.hold(&["-s", "config"], "sleep 600");
    let mut waiting = waiter(&daemon, "resize job 7", "volumes/42");

    browser
        .driver
        .goto(format!("http://{page}/"))
        .await
        .expect("it opens");
    browser.shows("standing", |text| text == "lends").await;
    assert!(browser.text("members").await.contains("n1"));
    let listed = browser
        .shows("resources", |text| text.contains("volumes/42"))
        .await;
    assert!(listed.contains("config"), "{listed}");

    // By keyboard alone.
    let link = browser
        .driver
        .find(By::LinkText("volumes/42"))
        .await
        .expect("a link");
    link.send_keys(Key::Enter).await.expect("pressed");
    let holders = browser
        .shows("holders", |text| text.contains("holds it to write"))
        .await;
    assert!(holders.contains("nightly backup"), "{holders}");
    let waiters = browser
        .shows("waiters", |text| text.contains("resize job 7"))
        .await;
    assert!(waiters.contains("waits to write"), "{waiters}");
    assert!(
        waiters.contains("(nightly backup), which holds it to write"),
        "{waiters}"
    );
    browser.shot("desktop.png").await;

    let prefix = browser
        .driver
        .find(By::Id("prefix"))
        .await
        .expect("a field");
    prefix.send_keys("conf").await.expect("typed");
    browser
        .shows("resources", |text| {
            text.contains("config") && !text.contains("volumes")
        })
        .await;

    holder.close_stdin();
    assert!(holder.end().success());
    assert!(waiting.end().success());
    browser.shows("waiters", str::is_empty).await;
    browser.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_strangers_chose_is_text_and_never_markup() {
    let Some(browser) = Browser::start(500, 1_600).await else {
        return;
    };
    let (daemon, page) = http::daemon(&["--name", "<b>n1</b>"]);
    let _holder = daemon.hold(
        &[
            "--label",
            "<script>document.title='owned'</script>",
            HOSTILE,
        ],
        "sleep 600",
    );
    let hex: String = HOSTILE.bytes().map(|byte| format!("{byte:02x}")).collect();
    browser
        .driver
        .goto(format!("http://{page}/#1:{hex}"))
        .await
        .expect("it opens");
    browser
        .shows("resources", |text| text.contains(HOSTILE))
        .await;
    browser.shows("name", |text| text == HOSTILE).await;
    browser
        .shows("holders", |text| text.contains("<script>"))
        .await;
    assert_eq!(browser.text("server").await, "<b>n1</b>");
    let markup = browser
        .script("return document.querySelectorAll('main img, main script, main b').length")
        .await;
    assert_eq!(markup, 0);
    assert_eq!(
        browser.driver.title().await.expect("a title"),
        "<b>n1</b>: locks"
    );
    // At the width of a phone nothing runs out of the side.
    let overhang = browser
        .script(
            "return document.documentElement.scrollWidth - document.documentElement.clientWidth",
        )
        .await;
    assert_eq!(overhang, 0);
    browser.shot("phone.png").await;
    browser.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_gone_is_missed_and_what_was_seen_stays() {
    let Some(browser) = Browser::start(1_000, 900).await else {
        return;
    };
    let (mut daemon, page) = http::daemon(&["--name", "n1"]);
    browser
        .driver
        .goto(format!("http://{page}/"))
        .await
        .expect("it opens");
    browser.shows("standing", |text| text == "lends").await;
    assert_eq!(browser.text("gone").await, "");
    daemon.child.kill().expect("killed");
    let gone = browser.shows("gone", |text| !text.is_empty()).await;
    assert!(gone.contains("cannot be reached since"), "{gone}");
    assert_eq!(browser.text("server").await, "n1");
    assert_eq!(browser.text("standing").await, "unknown");
    browser.shot("gone.png").await;
    browser.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_has_landmarks_labels_and_texts_that_can_be_told_from_their_ground() {
    let Some(browser) = Browser::start(1_000, 900).await else {
        return;
    };
    let (_daemon, page) = http::daemon(&[]);
    browser
        .driver
        .goto(format!("http://{page}/"))
        .await
        .expect("it opens");
    browser.shows("standing", |text| text == "lends").await;
    for selector in [
        "header",
        "main",
        "footer",
        "h1",
        "[role=search]",
        "html[lang]",
    ] {
        assert_eq!(
            browser
                .driver
                .find_all(By::Css(selector))
                .await
                .expect("found")
                .len(),
            1,
            "{selector}"
        );
    }
    let nameless = "return [...document.querySelectorAll('button, a, input')].filter(e => !(e.textContent.trim() || e.labels?.length)).length";
    assert_eq!(browser.script(nameless).await, 0);
    assert_eq!(browser.script(CONTRAST).await, serde_json::json!([]));
    browser.end().await;
}

/// The texts of the page whose colour is too near to that of their ground: WCAG asks for 4.5 to 1.
const CONTRAST: &str = "
    const rgb = (text) => text.match(/[\\d.]+/g).map(Number);
    const light = ([r, g, b]) => [r, g, b].map((v) => v / 255)
        .map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
        .reduce((sum, v, at) => sum + v * [0.2126, 0.7152, 0.0722][at], 0);
    const ground = (element) => {
        for (let e = element; e; e = e.parentElement) {
            const colour = rgb(getComputedStyle(e).backgroundColor);
            if (colour.length === 3 || colour[3] > 0) return colour;
        }
        return [255, 255, 255];
    };
    return [...document.querySelectorAll('body *')]
        .filter((e) => [...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim()) && e.offsetParent && !e.disabled)
        .filter((e) => {
            const [one, other] = [light(rgb(getComputedStyle(e).color)), light(ground(e))];
            return (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05) < 4.5;
        })
        .map((e) => e.outerHTML.slice(0, 80));
";
