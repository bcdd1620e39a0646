//! The examples of embedding: each is run as a user runs it, shows what it says, and ends by itself.

#[path = "common/example.rs"]
mod example;

use std::process::Command;

/// Runs an example. Returns what it printed.
fn shown_by(name: &str) -> String {
    let output = Command::new(example::example(name)).output();
    let output = output.expect("it runs");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{name}: {errors}\n{said}");
    said
}

#[test]
fn a_web_service_loses_no_update_and_tells_its_callers_who_is_in_the_way() {
    let said = shown_by("web_service");
    assert!(said.contains("of 20 requests were served"), "{said}");
    assert!(said.contains("web-1 (write) \"POST grow\""), "{said}");
}

#[test]
fn of_several_candidates_one_leads_whatever_becomes_of_the_leader() {
    let said = shown_by("leader_election");
    assert!(said.contains("their terms rose"), "{said}");
}

#[test]
fn instances_keep_a_limit_on_their_calls_together() {
    let said = shown_by("rate_limit");
    assert!(said.contains("120 calls of three instances"), "{said}");
}

#[test]
fn the_job_of_a_worker_that_dies_is_done_by_another() {
    let said = shown_by("job_queue");
    assert!(said.contains("12 of 12 jobs are done"), "{said}");
}
