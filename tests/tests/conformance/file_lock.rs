//! F: one exclusive lock, which a client C borrows from a server S.

use crate::play;

#[test]
fn f1_a_lock_stays_at_the_client_that_used_it() {
    play(
        "
        tree S; C < S
        R at C: write; settle; expect R holds, messages 2
        R releases; settle; expect messages 0
        expect books S: lent all; C: cached all
        ",
    );
}

#[test]
fn f2_a_client_that_has_the_lock_takes_it_twice_in_turn_and_sends_nothing() {
    play(
        "
        tree S; C < S
        C caches write
        first at C: write; second at C: write
        expect first holds, second waits, C caches nothing
        first releases
        expect second holds, tokens first < second
        second releases; settle; expect messages 0
        expect books S: lent all; C: cached all
        ",
    );
}

#[test]
fn f3_the_server_takes_the_lock_back_that_a_client_has_cached() {
    play(
        "
        tree S; C < S
        C caches write
        R at S: write; settle; expect R holds, messages 2
        R releases
        expect books S: cached all
        ",
    );
}
