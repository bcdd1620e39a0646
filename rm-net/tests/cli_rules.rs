//! Rules of `rmd` as `rmctl` meets them, with real processes; and what strangers write into logs.
#![cfg(feature = "cli")]

mod support;

use std::fs;

use self::support::{Daemon, Lines, code, finish, rmd, stderr, stdout};

const RULES: &str = r#"
[[allow]]
who = ["anonymous"]
what = ["read", "inspect"]

[[deny]]
who = ["*"]
what = ["read"]
names = ["secret/"]
"#;

/// A file with these rules, and its directory.
fn file(text: &str) -> (tempfile::TempDir, String) {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("rules.toml");
    fs::write(&path, text).expect("written");
    let path = path.to_str().expect("a path").to_owned();
    (dir, path)
}

#[test]
fn what_a_rule_forbids_ends_with_77_and_says_which_rule_and_whom_it_took_somebody_for() {
    let (_dir, path) = file(RULES);
    let daemon = Daemon::start_with(&["--rules", &path]);
    let read = daemon.run(&["lock", "-s", "config", "--", "true"]);
    assert_eq!(code(&read), Some(0), "{}", stderr(&read));
    let cases: [(&[&str], &str); 3] = [
        (
            &["lock", "config", "--", "true"],
            "no [[allow]] rule of the server lets anonymous write it",
        ),
        (
            &["lock", "-s", "secret/1", "--", "true"],
            "[[deny]] rule 1 of the server forbids anonymous to read it",
        ),
        (
            &["release", "--force", "--reason", "r", "config"],
            "no [[allow]] rule lets anonymous operate",
        ),
    ];
    for (args, why) in cases {
        let output = daemon.run(args);
        assert_eq!(code(&output), Some(77), "{args:?}: {}", stderr(&output));
        assert!(stderr(&output).contains(why), "{}", stderr(&output));
    }
}

#[test]
fn rules_that_make_no_sense_are_told_with_their_line_and_end_with_78() {
    let (dir, path) = file("[[allow]]\nwho = [\"a\"]\nwhat = [\"reed\"]\n");
    let mut command = rmd(dir.path());
    command.args(["--rules", &path]);
    let output = finish(command);
    assert_eq!(code(&output), Some(78));
    let place = format!("{path}:3: unknown variant `reed`");
    assert!(stderr(&output).contains(&place), "{}", stderr(&output));
}

#[test]
fn an_order_cannot_forge_a_line_of_the_audit_log() {
    let mut daemon = Daemon::start_heard(&[]);
    let errors = Lines::of(daemon.child.stderr.take().expect("piped"));
    let reason = "r\nWARN rm::audit: forged\u{1b}[2J";
    let output = daemon.run(&["release", "--force", "--reason", reason, "x"]);
    assert_eq!(code(&output), Some(0), "{}", stderr(&output));
    let line = errors.find("ordered").expect("it is in the log");
    assert!(
        line.contains("forged"),
        "another line begins with it: {line}"
    );
    assert!(
        !line.contains("\u{1b}[2J"),
        "it would clear a terminal: {line:?}"
    );
}

#[test]
fn names_and_labels_of_strangers_cannot_write_to_a_terminal() {
    let daemon = Daemon::start();
    let (name, label) = ("\u{1b}]0;owned\u{7}", "\u{1b}[2J\r\nroot holds it");
    let _holder = daemon.hold(&["--label", label, name], "read line");
    for args in [&["ls"][..], &["show", name]] {
        let output = daemon.run(args);
        assert_eq!(code(&output), Some(0), "{}", stderr(&output));
        let text = stdout(&output);
        assert!(text.contains("owned"), "it is shown: {text}");
        let strange = text.chars().find(|c| c.is_control() && *c != '\n');
        assert_eq!(strange, None, "{text:?}");
        assert!(
            !text.lines().any(|line| line.starts_with("root holds")),
            "{text:?}"
        );
    }
}
