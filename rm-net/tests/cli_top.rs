//! `rmctl top`: live on a pseudo-terminal, and as a snapshot.
#![cfg(all(feature = "cli", feature = "top", target_os = "linux"))]

mod support;

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::process::Child;
use std::sync::{Arc, Condvar, Mutex};

use rustix::process::Signal;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

use self::support::{
    Daemon, PATIENCE, RMCTL, Running, code, objects, program, send, stderr, stdout,
};

/// How a program leaves the alternate screen, and how it shows the cursor again.
const LEAVES: &str = "\u{1b}[?1049l";
const SHOWS_CURSOR: &str = "\u{1b}[?25h";

/// Everything that was drawn so far.
type Drawn = Arc<(Mutex<String>, Condvar)>;

/// A person before a terminal of 80 columns and 24 lines on which `rmctl top` runs.
struct Person {
    keys: File,
    drawn: Drawn,
    child: Child,
}

impl Person {
    fn starts(daemon: &Daemon) -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)
            .expect("a terminal");
        grantpt(&master)
            .and_then(|()| unlockpt(&master))
            .expect("ours");
        let size = Winsize {
            ws_row: 24,
            ws_col: 80,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        tcsetwinsize(&master, size).expect("sized");
        let path = ptsname(&master, Vec::new()).expect("a name");
        let path = path.to_str().expect("a plain path");
        let terminal = || {
            let options = OpenOptions::new().read(true).write(true).open(path);
            options.expect("opened")
        };
        let mut command = program("setsid");
        command.args(["--ctty", RMCTL, "top", "--interval", "100ms"]);
        command
            .env("RM_ENDPOINTS", &daemon.address)
            .env("NO_COLOR", "1");
        command
            .stdin(terminal())
            .stdout(terminal())
            .stderr(terminal());
        let child = command.spawn().expect("util-linux has setsid");
        // Else the terminal would stay open as long as the command does.
        drop(command);
        let keys = File::from(master);
        let drawn = Drawn::default();
        let (mut source, drawing) = (keys.try_clone().expect("cloned"), Arc::clone(&drawn));
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            // At the end of a terminal stands an error.
            while let Ok(count @ 1..) = source.read(&mut bytes) {
                let text = String::from_utf8_lossy(&bytes[..count]).into_owned();
                drawing.0.lock().expect("sound").push_str(&text);
                drawing.1.notify_all();
            }
        });
        Self { keys, drawn, child }
    }

    fn types(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).expect("typed");
    }

    /// Waits until that was drawn.
    fn sees(&self, text: &str) {
        let (drawn, more) = &*self.drawn;
        let is_missing = |drawn: &mut String| !drawn.contains(text);
        let guard = drawn.lock().expect("sound");
        let (drawn, late) = more
            .wait_timeout_while(guard, PATIENCE, is_missing)
            .expect("sound");
        assert!(!late.timed_out(), "{text} is not drawn: {drawn:?}");
    }

    fn code(&mut self) -> Option<i32> {
        self.child.wait().expect("waited for").code()
    }
}

/// A lock that is held, and somebody who waits for it.
fn busy() -> (Daemon, [Running; 2]) {
    let daemon = Daemon::start();
    let holder = daemon.hold(&["--label", "nightly", "volumes/42"], "read line");
    let waits = ["lock", "--label", "resize", "volumes/42", "--", "true"];
    let waiter = Running::start(daemon.rmctl(&waits));
    (daemon, [holder, waiter])
}

#[test]
fn a_person_sees_locks_and_waits_asks_why_and_quits() {
    let (daemon, _parties) = busy();
    let mut person = Person::starts(&daemon);
    person.sees("volumes/42");
    person.sees("resize");
    person.types("\r");
    // Words only: where nothing changes, nothing is drawn, not even the space between two.
    person.sees("--reason");
    person.types("x");
    person.types("q");
    person.sees(LEAVES);
    person.sees(SHOWS_CURSOR);
    assert_eq!(person.code(), Some(0));
}

#[test]
fn a_signal_puts_the_terminal_back() {
    let (daemon, _parties) = busy();
    let mut person = Person::starts(&daemon);
    person.sees("volumes/42");
    send(&person.child, Signal::TERM);
    person.sees(LEAVES);
    assert_eq!(person.code(), Some(128 + 15));
}

#[test]
fn a_server_that_dies_is_told_of_and_the_view_goes_on() {
    let (mut daemon, _parties) = busy();
    let mut person = Person::starts(&daemon);
    person.sees("volumes/42");
    daemon.child.kill().expect("killed");
    person.sees("answers");
    person.types("q");
    assert_eq!(person.code(), Some(0));
}

#[test]
fn without_a_terminal_it_is_refused_politely_and_a_snapshot_is_not() {
    let (daemon, _parties) = busy();
    let refused = daemon.run(&["top"]);
    assert_eq!(code(&refused), Some(64));
    assert!(stderr(&refused).contains("--once"), "{}", stderr(&refused));
    let once = daemon.run(&["top", "--once", "--interval", "50ms"]);
    assert_eq!(code(&once), Some(0), "{}", stderr(&once));
    let text = stdout(&once);
    assert!(
        text.contains("volumes/42") && text.contains("resize"),
        "{text}"
    );
    let start = std::time::Instant::now();
    loop {
        let top = &objects(&daemon.run(&["--json", "top", "--interval", "50ms"]))[0];
        let lock = &top["locks"][0];
        if top["waits"][0]["label"] == "resize" && lock["recalls"] == 1 {
            assert_eq!(lock["name"], "volumes/42");
            assert_eq!(top["servers"][0]["waiting"], 1);
            break;
        }
        assert!(start.elapsed() < PATIENCE, "{top}");
    }
    let other = &objects(&daemon.run(&["--json", "top", "--interval", "50ms", "other"]))[0];
    assert_eq!(other["locks"], serde_json::json!([]));
}
