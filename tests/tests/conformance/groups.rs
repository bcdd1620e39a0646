//! G: members of one group, on one node and on several.
//!
//! On one node they share a hold. Over nodes credit is conserved, so there a group is a name and nothing more.

use rm_tests::rings::by_name;

/// Motr lends the same ring to both.
#[test]
fn g1_g2_members_on_different_nodes_wait_for_each_other() {
    by_name().play(
        "
        tree T; A, B < T
        first at A: nenya in group g; settle; expect first holds
        second at B: nenya in group g; settle; expect second waits
        first releases; settle; expect second holds
        ",
    );
}

#[test]
fn g1_g2_members_on_one_node_have_the_same_ring() {
    by_name().play(
        "
        tree T; A, B < T
        first at A: nenya in group g; settle; expect T lends nenya
        second at A: nenya in group g; third at A: nenya + narya in group g; settle
        expect first and second hold nenya, third holds nenya + narya, A holds nenya + narya
        ",
    );
}

#[test]
fn g3_who_asks_for_another_ring_is_granted_and_the_members_keep_theirs() {
    by_name().play(
        "
        tree T; A < T
        first, second at A: nenya in group g; settle
        other at T: durin; settle
        expect first and second and other hold
        ",
    );
}

#[test]
fn g4_who_is_not_in_the_group_gets_the_ring_when_all_members_are_done() {
    by_name().play(
        "
        tree T; A < T
        first, second at A: nenya in group g; settle
        other at T: nenya; settle; expect other waits, first told of other, second told of other
        first releases; settle; expect second holds nenya, other waits
        second releases; settle; expect other holds
        expect books T: cached all - nenya, held nenya
        ",
    );
}
