//! The data beside a lock: who borrows it, where the lock itself no longer keeps anybody out, as after a lost lease.

#![cfg(any(rm_loom, rm_shuttle))]

use std::sync::Arc;

use rm_loom::check::{Bound, check};
use rm_loom::engine::{join, thread};
use rm_rwlock::LockMode;
use rm_rwlock::guarded::cell::DataCell;

/// Counts up, if nobody is in the way; says by how much.
fn change(cell: &Arc<DataCell<u64>>) -> u64 {
    cell.try_borrow(LockMode::Write).map_or(0, |mut borrow| {
        *borrow.exclusive().expect("it is alone") += 1;
        1
    })
}

/// Looks twice, if nobody changes it: both times it is the same.
fn look(cell: &Arc<DataCell<u64>>) {
    if let Some(borrow) = cell.try_borrow(LockMode::Read) {
        let first = *borrow;
        assert_eq!(first, *borrow, "it changed under its reader");
    }
}

fn shared() -> Arc<DataCell<u64>> {
    Arc::new(DataCell::new(0))
}

#[test]
fn two_who_change_the_data_do_so_one_after_the_other() {
    check(
        "two_who_change_the_data_do_so_one_after_the_other",
        Bound::Full,
        || {
            let cell = shared();
            let other = Arc::clone(&cell);
            let thread = thread::spawn(move || change(&other) + change(&other));
            let here = change(&cell) + change(&cell);
            let all = here + join(thread);
            let last = cell.try_borrow(LockMode::Read).expect("all are done");
            assert_eq!(*last, all, "a change was lost");
        },
    );
}

#[test]
fn nobody_looks_at_the_data_while_it_changes() {
    check(
        "nobody_looks_at_the_data_while_it_changes",
        Bound::Full,
        || {
            let cell = shared();
            let other = Arc::clone(&cell);
            let thread = thread::spawn(move || {
                look(&other);
                look(&other);
            });
            let _changed = change(&cell) + change(&cell);
            join(thread);
        },
    );
}

#[test]
fn whoever_changes_the_data_comes_after_all_who_looked() {
    check(
        "whoever_changes_the_data_comes_after_all_who_looked",
        Bound::Full,
        || {
            let cell = shared();
            let readers = [(); 2].map(|()| {
                let cell = Arc::clone(&cell);
                thread::spawn(move || look(&cell))
            });
            let _changed = change(&cell);
            let [(), ()] = readers.map(join);
        },
    );
}
