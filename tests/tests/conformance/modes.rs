//! The lock manager of the VMS line (`dlm`), groups A and B, with its modes none, shared and exclusive.
//!
//! None is a hold of nothing, as a placeholder has it. A mode of another name (concurrent read, protected write and
//! the like) is not here, nor are flags: a request waits or tries.

use rm_core::credit::Credit as _;
use rm_core::testing::cluster::Cluster;
use rm_rwlock::credit::RwLockType;

use crate::{ALL, NONE, READ, play, play_units};

const MODES: [&str; 3] = ["nothing", "read", "write"];

fn go_together(held: &str, asked: &str) -> bool {
    matches!(
        (held, asked),
        ("nothing", _) | (_, "nothing") | ("read", "read")
    )
}

/// Where the resource is: at the holder, at the one that asks, at a third node, or beyond a middle owner.
const TREES: [&str; 4] = [
    "tree H; A < H",
    "tree A; H < A",
    "tree T; H, A < T",
    "tree T; M < T; H, A < M",
];

#[test]
fn dlm_a1_a_try_is_granted_if_and_only_if_its_mode_goes_with_the_one_that_is_held() {
    for (held, asked) in MODES
        .iter()
        .flat_map(|held| MODES.map(|asked| (*held, asked)))
    {
        let outcome = if go_together(held, asked) {
            "holds"
        } else {
            "denied busy, second behind first"
        };
        for tree in TREES {
            play(&format!(
                "
                {tree}
                first at H: {held}; settle; expect first holds
                second at A: try {asked}; settle; expect second {outcome}
                "
            ));
        }
    }
}

#[test]
fn dlm_a2_a_request_that_does_not_go_with_a_holder_is_granted_once_when_the_holder_releases() {
    for (held, asked) in MODES
        .iter()
        .flat_map(|held| MODES.map(|asked| (*held, asked)))
    {
        let before = if go_together(held, asked) {
            "holds"
        } else {
            "waits"
        };
        for tree in TREES {
            play(&format!(
                "
                {tree}
                first at H: {held}; settle
                second at A: {asked}; settle; expect second {before}
                first releases; settle; expect second holds, granted first then second
                "
            ));
        }
    }
}

/// That no two holds conflict is asserted after every message.
#[test]
fn dlm_a3_of_three_requests_in_any_modes_at_any_nodes_all_are_granted_in_the_end() {
    let modes = [NONE, READ, ALL];
    for number in 0..27 * 6 {
        let (modes, nodes) = (
            [number % 3, number / 3 % 3, number / 9 % 3].map(|mode| modes[mode]),
            [
                [0, 1, 2],
                [0, 2, 1],
                [1, 0, 2],
                [1, 2, 0],
                [2, 0, 1],
                [2, 1, 0],
            ][number / 27],
        );
        let mut lock = Cluster::star(&RwLockType::default(), 2);
        let asked = [0, 1, 2].map(|request| lock.acquire(nodes[request], modes[request]));
        for round in 0..3 {
            lock.settle();
            let held = lock.granted()[round];
            lock.release(held);
        }
        lock.settle();
        assert!(asked.iter().all(|request| lock.granted().contains(request)));
        assert!((0..3).all(|node| lock.books(node).held.is_empty()));
    }
}

#[test]
fn dlm_a4_a_try_that_was_refused_leaves_nothing_behind() {
    play(
        "
        tree T; A, B < T
        H at A: write; settle
        tried at B: try write; settle; expect tried denied busy, A not recalled
        expect books T: lent all; A: held all
        H releases; settle; expect messages 7
        expect books T: lent all; A: cached all
        ",
    );
}

#[test]
fn dlm_a8_nothing_is_granted_at_once_behind_a_holder_and_a_queue() {
    play(
        "
        tree T; A < T
        H at T: write; W at T: write; R at A: read; settle
        N at T: nothing; O at A: nothing
        expect N and O hold, W and R wait
        ",
    );
}

#[test]
fn dlm_a10_a_value_is_there_although_nobody_held_or_cached_anything_in_between() {
    let mut lock = Cluster::star(&RwLockType::default(), 2);
    let writer = lock.acquire(1, ALL);
    lock.settle();
    lock.write_value(writer, b"seven").expect("it is exclusive");
    lock.release(writer);
    lock.return_spare(1);
    lock.settle();
    assert_eq!(lock.books(0).cached, ALL);
    let reader = lock.acquire(2, READ);
    lock.settle();
    assert!(lock.holds(reader));
    let value = lock.value(2).expect("it was written");
    assert_eq!((&*value.bytes, value.is_doubtful()), (&b"seven"[..], false));
}

#[test]
fn dlm_a11_two_requests_of_one_node_conflict_like_those_of_two() {
    play(
        "
        tree T; A < T
        R at A: read; settle
        W at A: write within 5 s; tried at A: try write; settle
        expect W waits, tried denied busy, tried behind R
        5 s pass; settle
        expect W denied timeout, W behind R
        ",
    );
}

#[test]
fn dlm_b1_readers_that_wait_for_a_writer_are_granted_in_their_order_when_it_releases() {
    play(
        "
        tree T; A < T
        W at T: write; first at A: read; second at T: read; third at A: read; settle
        expect first and second and third wait
        W releases; settle
        expect first and second and third hold, granted first then third
        ",
    );
}

#[test]
fn dlm_b2_a_new_reader_waits_behind_a_writer_that_waits_for_a_reader() {
    play(
        "
        tree T; A, B < T
        R at A: read; settle; W at T: write; settle
        late at B: read; more at A: read; settle
        expect W and late and more wait
        ",
    );
}

#[test]
fn dlm_b3_a_conversion_goes_before_an_older_request_that_fits_as_well() {
    play_units(
        4,
        "
        tree T; A, B < T
        C at T: units 1; H at A: units 3; settle
        first at B: units 3; settle
        C converts to units 3; settle
        expect first and C wait
        H releases; settle
        expect C holds units 3, first waits
        ",
    );
}

/// Elsewhere it would be granted in place; a queue for conversions is the only way here.
#[test]
fn dlm_b4_b5_a_conversion_goes_behind_an_older_one_that_it_conflicts_with() {
    play(
        "
        tree T; A < T
        N at T: nothing; U at T: upgradable; R at A: read; settle
        U converts to write; N converts to read; settle
        expect U and N wait
        R releases; settle
        expect U holds write, N waits
        U releases
        expect N holds read
        ",
    );
}

#[test]
fn dlm_b8_readers_that_come_again_and_again_do_not_starve_a_writer() {
    play(
        "
        tree T; A, B, C < T
        R1 at A: read; R2 at B: read; settle
        W at C: write; settle
        R1 releases; again1 at A: read; settle; expect W and again1 wait
        R2 releases; again2 at B: read; settle
        expect W holds, again1 and again2 wait
        W releases; settle
        expect again1 and again2 hold
        ",
    );
}

#[test]
fn dlm_b9_a_writer_is_granted_when_the_readers_before_it_release_however_many_come_after() {
    play(
        "
        tree T; A, B, C < T
        R1, R2 at A: read; R3 at B: read; settle
        W at C: write; settle
        late1 at A: read; late2 at B: read; late3 at C: read; late4 at T: read; settle
        R1, R2 release; settle; expect W waits
        R3 releases; settle; expect W holds
        expect late1 and late2 and late3 and late4 wait
        W releases; settle
        expect late1 and late2 and late3 and late4 hold
        ",
    );
}

#[test]
fn dlm_b10_a_writer_that_becomes_a_reader_lets_in_readers_up_to_the_next_writer() {
    play(
        "
        tree T; A, B < T
        H at A: write; settle
        R1 at A: read; R2 at B: read; W at B: write; late at A: read; settle
        H reduces to read; settle
        expect H holds read, R1 and R2 hold, W and late wait
        H, R1, R2 release; settle
        expect W holds, late waits
        ",
    );
}

#[test]
fn dlm_b11_a_writer_becomes_a_reader_at_once_and_its_creditor_learns_of_it_once() {
    play(
        "
        tree T; A, B < T
        H at A: write; settle
        R at B: read; settle; expect R waits, messages 4
        H reduces to read; expect H holds read, R waits, T lends all
        deliver A -> T; expect T lends all
        settle; expect R holds, messages 2
        ",
    );
}

#[test]
fn dlm_b14_a_conversion_that_does_not_wait_leaves_the_hold_as_it_was_if_it_cannot_be_had() {
    play(
        "
        tree T; A, B < T
        U at A: upgradable; R at B: read; settle
        U converts to try write; settle
        expect U holds upgradable, U denied busy, U behind R, B not recalled
        R releases
        U converts to try write; settle; expect U holds write
        ",
    );
}

#[test]
fn dlm_b17_one_release_lets_in_all_that_fit_conversions_first() {
    play(
        "
        tree T; A, B < T
        N1, N2 at A: nothing; W at T: write
        R1 at T: read; R2 at A: read; R3 at B: read
        N1, N2 convert to read; settle
        expect N1 and N2 and R1 and R2 and R3 wait
        W releases; settle
        # Who holds nothing holds up nobody, and goes by its age.
        expect N1 and N2 and R1 and R2 and R3 hold, granted R2 then N1 then N2
        ",
    );
    play_units(
        4,
        "
        tree T; A, B < T
        N at A: units 1; W at T: units 3; settle
        R at A: units 1; settle; expect R waits
        N converts to units 2; settle; expect N waits
        W releases; settle
        expect N holds units 2, R holds, granted N then R
        ",
    );
}
