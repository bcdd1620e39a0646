//! B, D and H again, with units that differ: rings that are asked for by name, or of which any will do.

use rm_tests::rings::{by_name, by_number};

#[test]
fn b1_different_rings_are_granted_at_once() {
    by_name().play(
        "
        tree T
        first at T: nenya; second at T: vilya; third at T: try durin
        expect first and second and third hold
        first, second, third release
        expect books T: cached all
        ",
    );
}

#[test]
fn b2_a_ring_that_is_worn_is_waited_for_and_a_try_is_busy() {
    by_name().play(
        "
        tree T
        first at T: nenya; second at T: nenya; tried at T: try nenya
        expect first holds, second waits, tried denied busy, tried behind first
        first releases
        expect second holds
        ",
    );
}

#[test]
fn b3_any_ring_waits_where_all_are_worn() {
    by_number().play(
        "
        tree T
        first at T: any 20; second at T: any 1; tried at T: try any 1
        expect first holds, second waits, tried denied busy
        first releases
        expect second holds narya
        ",
    );
}

#[test]
fn b4_any_ring_is_one_that_nobody_wears_and_only_one() {
    by_number().play(
        "
        tree T
        first at T: any 1; second at T: any 1
        expect first holds narya, second holds nenya
        expect books T: cached all - narya - nenya, held narya + nenya
        ",
    );
}

#[test]
fn b5_a_ring_that_is_withheld_for_an_older_request_is_waited_for_although_it_is_cached() {
    by_name().play(
        "
        tree T
        H at T: nenya
        both at T: narya + nenya; late at T: narya
        expect both and late wait, H told of both
        expect books T: cached all - nenya, held nenya
        H releases; expect both holds, late waits
        both releases; expect late holds
        ",
    );
}

#[test]
fn b6_a_ring_that_is_worn_goes_to_the_older_request_first() {
    by_name().play(
        "
        tree T
        H at T: nenya
        both at T: narya + nenya; late at T: nenya
        H releases; expect both holds, late waits
        both releases; expect late holds, granted H then both then late
        ",
    );
}

#[test]
fn b7_a_try_behind_an_older_request_is_busy_whether_the_ring_is_cached_or_worn() {
    by_name().play(
        "
        tree T
        H at T: nenya
        both at T: narya + nenya
        free at T: try narya; worn at T: try nenya
        expect free and worn denied busy, free behind both, worn behind H
        H releases; expect both holds
        ",
    );
}

#[test]
fn b8_two_that_wait_for_one_ring_get_it_in_the_order_in_which_they_asked() {
    by_name().play(
        "
        tree T
        H at T: nenya; first at T: nenya; second at T: nenya
        H releases; expect first holds, second waits
        first releases; expect second holds
        ",
    );
}

#[test]
fn b9_a_ring_that_there_is_not_is_refused() {
    by_name().play("tree T; R at T: forged; expect R denied refused; expect books T: cached all");
    by_number().play("tree T; R at T: any 21; expect R denied refused");
}

#[test]
fn d3_d4_what_is_borrowed_leaves_the_cache_of_the_creditor_when_the_want_arrives() {
    by_name().play(
        "
        tree T; D < T
        R at D: vilya; deliver D -> T
        expect T caches all - vilya, T lends vilya, T holds nothing, R waits
        ",
    );
    by_name()
        .play("tree T; D < T; R at D: all; deliver D -> T; expect T caches nothing, T lends all");
}

#[test]
fn d7_d8_a_recall_takes_what_it_asks_for_and_leaves_the_rest() {
    by_name().play(
        "
        tree T; D < T
        D caches vilya; R at T: vilya; deliver T -> D
        expect D caches nothing, D borrows nothing
        ",
    );
    by_name().play(
        "
        tree T; D < T
        D caches all; R at T: vilya; deliver T -> D
        expect D caches all - vilya, D borrows all - vilya
        ",
    );
}

/// Whoever is recalled from has what it is recalled for: nobody else is asked.
#[test]
fn d9_nobody_is_asked_for_a_ring_that_somebody_else_has() {
    by_name().play(
        "
        tree T; A, B < T
        A caches nenya; B caches vilya
        R at T: vilya; expect A not recalled
        settle; expect R holds, messages 2
        expect books T: cached all - nenya - vilya, held vilya, lent nenya; A: cached nenya
        ",
    );
}

#[test]
fn h2_h8_a_plain_loan_of_a_ring_or_of_a_share() {
    for ring in ["nenya", "shared"] {
        by_name().play(&format!(
            "
            tree T; M < T; L < M
            R at M: {ring}; settle; R releases; settle
            expect messages 2
            expect books T: cached all - {ring}, lent {ring}; M: cached {ring}
            "
        ));
    }
}

#[test]
fn h3_an_owner_serves_one_ring_from_its_cache_and_borrows_the_other() {
    by_name().play(
        "
        tree T; M < T; L < M
        M caches nenya
        R at L: nenya + durin; settle; R releases; settle
        expect messages 4
        expect books T: cached all - nenya - durin, lent nenya + durin
                     M: lent nenya + durin; L: cached nenya + durin
        ",
    );
}

#[test]
fn h4_an_owner_recalls_one_ring_and_borrows_the_other_for_one_request() {
    by_name().play(
        "
        tree T; M < T; L < M
        L caches nenya
        R at M: nenya + vilya; settle; R releases; settle
        expect messages 4
        expect books T: cached all - nenya - vilya, lent nenya + vilya; M: cached nenya + vilya
        ",
    );
}

#[test]
fn h5_a_recall_of_a_ring_travels_down_and_the_ring_up() {
    by_name().play(
        "
        tree T; M < T; L < M
        L caches angmar
        R at T: angmar; settle; expect R holds, messages 4
        R releases; expect books T: cached all
        ",
    );
}

#[test]
fn h6_a_ring_that_is_worn_below_is_waited_for_and_its_holder_is_told() {
    by_name().play(
        "
        tree T; M < T; L < M
        H at M: nenya; settle
        R at T: nenya; settle; expect R waits, M recalled, H told of R
        H releases; settle; expect R holds
        R releases; expect books T: cached all
        ",
    );
}

#[test]
fn h7_a_try_for_a_ring_that_is_worn_below_is_busy_and_takes_nothing() {
    by_name().play(
        "
        tree T; M < T; L < M
        H at M: nenya; settle
        R at T: try nenya; settle
        expect R denied busy, R behind H, M not recalled
        expect books T: cached all - nenya, lent nenya; M: held nenya
        ",
    );
}

#[test]
fn h9_h10_a_share_that_is_worn_below_is_not_recalled_while_others_are_free() {
    by_name().play(
        "
        tree T; M < T; L < M
        H at M: shared; settle; expect messages 2
        R at T: shared; tried at T: try shared; settle
        expect R and tried hold, M not recalled, messages 0
        ",
    );
}

#[test]
fn h11_a_ring_that_is_worn_is_not_lent_and_another_is_borrowed() {
    by_number().play(
        "
        tree T; M < T; L < M
        H at M: any 1; settle
        R at L: any 1; settle
        expect H holds narya, R holds nenya
        R releases
        expect books T: cached all - narya - nenya, lent narya + nenya
                     M: held narya, lent nenya; L: cached nenya
        ",
    );
}

#[test]
fn h12_a_debtor_waits_for_the_ring_that_its_creditor_wears() {
    by_name().play(
        "
        tree T; M < T; L < M
        H at M: nenya; settle
        R at L: nenya; settle; expect R waits, H told of R
        H releases; settle; expect R holds
        expect books T: cached all - nenya, lent nenya; M: lent nenya; L: held nenya
        ",
    );
}

#[test]
fn h13_h14_a_ring_that_was_collected_for_a_request_for_all_is_withheld_from_one_that_comes_again() {
    by_name().play(
        "
        tree T; M < T; L < M
        low at L: narya; middle at M: nenya; settle
        everything at T: all; settle; expect everything waits, M and L recalled
        low releases; again at L: narya; settle
        expect again waits
        # The recall asks for all there is, so M collects it and returns it once.
        expect L borrows nothing, M caches narya, M holds nenya
        middle releases; settle; expect everything holds, again waits
        everything releases; settle; expect again holds narya
        ",
    );
}

#[test]
fn h15_an_older_request_for_two_rings_overtakes_a_younger_one_for_one_of_them() {
    by_name().play(
        "
        tree T; A, B < T
        H at T: nenya
        young at A: nenya; old at B: narya + nenya older than young
        settle; expect young and old wait, H told of young
        H releases; settle; expect old holds, young waits
        old releases; settle; expect young holds
        young releases
        expect books T: cached all - narya - nenya, lent narya + nenya; A: cached nenya; B: cached narya
        ",
    );
}

#[test]
fn h16_an_older_request_in_the_middle_overtakes_a_want_that_passes_through() {
    by_name().play(
        "
        tree T; M < T; L < M
        H at T: nenya
        young at L: nenya; old at M: narya + nenya older than young
        settle; expect young and old wait
        H releases; settle; expect old holds, young waits
        old releases; settle; expect young holds
        young releases
        expect books T: cached all - narya - nenya, lent narya + nenya
                     M: cached narya, lent nenya; L: cached nenya
        ",
    );
}

#[test]
fn h17_of_two_requests_of_one_time_the_one_of_the_smaller_node_goes_first() {
    by_name().play(
        "
        tree T; A, B < T
        H at T: nenya
        other at B: narya + nenya; first at A: nenya as old as other
        settle
        H releases; settle; expect first holds, other waits
        first releases; settle; expect other holds
        other releases
        expect books T: cached all - narya - nenya, lent narya + nenya; B: cached narya + nenya
        ",
    );
}

#[test]
fn h18_what_a_debtor_had_is_taken_back_without_a_word_from_it_when_its_session_is_over() {
    by_name().play(
        "
        tree T; M < T; L < M
        M caches nenya; M loses its session
        expect T caches all, T lends nothing, M borrows nothing
        ",
    );
}

#[test]
fn h19_h20_h21_who_lost_its_creditor_has_nothing_and_borrows_again_when_it_is_back() {
    by_name().play(
        "
        tree T; M < T; L < M
        H at M: nenya; settle; L caches narya
        M loses its session; settle
        expect H lost, M and L borrow nothing, T caches all
        again at M: nenya; settle
        expect again holds, M borrows nenya
        ",
    );
}
