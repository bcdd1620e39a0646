//! `rmctl lock` on a terminal: the command has it, and Ctrl-C and Ctrl-Z mean the command.
//!
//! A pseudo-terminal stands for the person. `setsid --ctty` (of util-linux) makes it `rmctl`'s own.
#![cfg(all(feature = "cli", target_os = "linux"))]

mod support;

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::process::Child;

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

use self::support::{Daemon, Lines, RMCTL, program};

/// A person before a terminal on which `rmctl lock x -- sh -c script` runs.
struct Person {
    keys: File,
    screen: Lines,
    child: Child,
}

impl Person {
    fn starts(daemon: &Daemon, script: &str) -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)
            .expect("a terminal");
        grantpt(&master)
            .and_then(|()| unlockpt(&master))
            .expect("ours");
        let path = ptsname(&master, Vec::new()).expect("a name");
        let path = path.to_str().expect("a plain path");
        let terminal = || {
            OpenOptions::new()
                .read(true)
                .write(true)
                .open(path)
                .expect("opened")
        };
        let mut command = program("setsid");
        command.args(["--ctty", RMCTL, "lock", "x", "--", "sh", "-c", script]);
        command.env("RM_ENDPOINTS", &daemon.address);
        command
            .stdin(terminal())
            .stdout(terminal())
            .stderr(terminal());
        let child = command.spawn().expect("util-linux has setsid");
        // Else the terminal would stay open as long as the command does.
        drop(command);
        let keys = File::from(master);
        let screen = Lines::of(keys.try_clone().expect("cloned"));
        Self {
            keys,
            screen,
            child,
        }
    }

    fn types(&mut self, keys: &[u8]) {
        self.keys.write_all(keys).expect("typed");
    }

    fn sees(&self, text: &str) -> bool {
        self.screen.find(text).is_some()
    }

    fn code(&mut self) -> Option<i32> {
        while self.screen.next().is_some() {}
        self.child.wait().expect("waited for").code()
    }
}

const CTRL_C: &[u8] = b"\x03";
const CTRL_Z: &[u8] = b"\x1a";

#[test]
fn the_command_reads_what_the_person_types() {
    let daemon = Daemon::start();
    let mut person = Person::starts(&daemon, "echo name?; read name; echo hello $name");
    assert!(person.sees("name?"));
    person.types(b"Ada\n");
    assert!(person.sees("hello Ada"));
    assert_eq!(person.code(), Some(0));
}

#[test]
fn ctrl_c_ends_the_command() {
    let daemon = Daemon::start();
    let mut person = Person::starts(&daemon, "echo ready; exec sleep 1000");
    assert!(person.sees("ready"));
    person.types(CTRL_C);
    assert_eq!(person.code(), Some(128 + 2));
}

/// Nobody could wake a job that stops without a shell above it.
#[test]
fn ctrl_z_without_a_shell_does_not_leave_the_command_stopped() {
    let daemon = Daemon::start();
    let mut person = Person::starts(&daemon, "echo name?; read name; echo hello $name");
    assert!(person.sees("name?"));
    person.types(CTRL_Z);
    person.types(b"Ada\n");
    assert!(person.sees("hello Ada"));
    assert_eq!(person.code(), Some(0));
}
