//! `rmctl lock` behind a cable that is cut: its command is dead before the server lends the lock to anybody else.
#![cfg(feature = "cli")]

mod common;
mod support;

use std::fs::File;
use std::io::Read as _;
use std::process::Command;
use std::time::Instant;

use common::proxy::{Cable, Proxy};
use support::{Daemon, Running, rmctl};

/// A command that does not care for SIGTERM: only SIGKILL, by the local clock, ends it. All its processes have a pipe.
const STUBBORN: &str = "trap '' TERM; exec 9>\"$PIPE\"; echo in; while :; do sleep 1000; done";

/// Cuts the cable of a holder while another waits for the lock.
async fn cut(cable: Cable) {
    let daemon = Daemon::start_with_lease("2s");
    let proxy = Proxy::to(&daemon.address).await;
    let pipe = daemon.dir.path().join("pipe");
    let made = Command::new("mkfifo").arg(&pipe).status();
    assert!(made.expect("started").success());
    let mut command = rmctl(&["lock", "x", "--", "sh", "-c", STUBBORN]);
    command.env("RM_ENDPOINTS", &proxy.endpoint);
    command.env("PIPE", &pipe);
    // Its end is the end of the last process that the command started; rmctl itself does not have it.
    let dead = tokio::task::spawn_blocking(move || {
        let mut said = Vec::new();
        let mut pipe = File::open(pipe).expect("a pipe");
        pipe.read_to_end(&mut said).expect("an end");
        Instant::now()
    });
    let holder = tokio::task::spawn_blocking(move || {
        let holder = Running::start(command);
        assert_eq!(holder.lines.next().as_deref(), Some("in"));
        holder
    });
    let mut holder = holder.await.expect("it holds");
    let next = daemon.rmctl(&["lock", "x", "--", "echo", "in"]);
    proxy.set(cable);
    let lent = tokio::task::spawn_blocking(move || {
        let mut next = Running::start(next);
        assert_eq!(next.lines.next().as_deref(), Some("in"));
        let at = Instant::now();
        assert_eq!(next.end().code(), Some(0));
        at
    });
    let (dead, lent) = (
        dead.await.expect("it died"),
        lent.await.expect("it came in"),
    );
    assert!(dead < lent, "it lived {:?} beside the next", dead - lent);
    let ended = tokio::task::spawn_blocking(move || holder.end().code());
    assert_eq!(ended.await.expect("it ended"), Some(113));
}

#[tokio::test(flavor = "multi_thread")]
async fn when_nothing_comes_through_the_command_is_dead_before_the_next_one_has_the_lock() {
    cut(Cable::Held).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn when_no_answers_come_the_command_is_dead_before_the_next_one_has_the_lock() {
    cut(Cable::Deaf).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn when_no_renewals_arrive_the_command_is_dead_before_the_next_one_has_the_lock() {
    cut(Cable::Mute).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn when_connections_break_the_command_is_dead_before_the_next_one_has_the_lock() {
    cut(Cable::Cut).await;
}
