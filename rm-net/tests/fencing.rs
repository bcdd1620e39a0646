//! Fencing between processes that fail: what the example shows is so.

#[path = "../examples/fenced_sqlite.rs"]
mod fenced_sqlite;

#[test]
fn a_client_that_was_suspended_past_its_lease_is_refused_by_the_database() {
    fenced_sqlite::main().expect("the late write is refused");
}
