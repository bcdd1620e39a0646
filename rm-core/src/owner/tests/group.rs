//! Members of a group share one hold.

use core::time::Duration;

use super::units::*;
use crate::effect::Effect;
use crate::error::Denied;
use crate::id::{Class, GroupId, PeerId};
use crate::owner::{Conversion, Request};
use crate::policy::Policy;

fn member(index: u32, units: u64) -> Request<Units> {
    Request {
        group: Some(GroupId(1)),
        ..request(index, units)
    }
}

fn of_group(group: u64, index: u32, units: u64) -> Request<Units> {
    Request {
        group: Some(GroupId(group)),
        ..request(index, units)
    }
}

fn held(owner: &UnitsOwner) -> u64 {
    owner.holds().map(|(_, hold)| hold.credit.0).sum()
}

fn deadlocked(fx: &Fx) -> Vec<u32> {
    let deadlocked = |effect: &Effect<UnitsType>| match effect {
        Effect::Deny {
            token,
            why: Denied::WouldDeadlock { .. },
        } => Some(token.index),
        _ => None,
    };
    fx.as_slice().iter().filter_map(deadlocked).collect()
}

#[test]
fn members_hold_the_least_that_covers_what_each_asks() {
    let (mut owner, mut fx) = (root(Policy::Exact), Fx::new());
    owner.acquire(NOW, member(1, 2), &mut fx);
    owner.acquire(NOW, member(2, ALL), &mut fx);
    owner.acquire(NOW, member(3, 1), &mut fx);
    assert_eq!(grants(&fx), [1, 2, 3]);
    assert_eq!(held(&owner), ALL);
    owner.release(NOW, token(2), &mut fx);
    assert_eq!(held(&owner), 2);
    owner.release(NOW, token(1), &mut fx);
    assert_eq!(held(&owner), 1, "what the last one asked for");
    owner.release(NOW, token(3), &mut fx);
    assert_eq!(owner.cached(), &Units(ALL));
}

#[test]
fn who_is_not_in_the_group_waits_for_all_of_it() {
    let (mut owner, mut fx) = (root(Policy::Exact), Fx::new());
    owner.acquire(NOW, member(1, ALL), &mut fx);
    owner.acquire(NOW, request(2, 1), &mut fx);
    owner.acquire(NOW, member(3, ALL), &mut fx);
    assert_eq!(
        grants(&fx),
        [1, 3],
        "a member passes nobody: it takes nothing"
    );
    let mut fx = Fx::new();
    owner.release(NOW, token(1), &mut fx);
    assert_eq!(grants(&fx), []);
    owner.release(NOW, token(3), &mut fx);
    assert_eq!(grants(&fx), [2]);
}

#[test]
fn a_member_that_asks_for_more_goes_before_an_older_request_that_waits_for_its_group() {
    let (mut owner, mut fx) = (root(Policy::Exact), Fx::new());
    owner.acquire(NOW, member(1, 1), &mut fx);
    owner.acquire(NOW, request(2, 3), &mut fx);
    owner.acquire(NOW, request(3, ALL), &mut fx);
    owner.acquire(NOW, member(4, ALL), &mut fx);
    let mut fx = Fx::new();
    owner.release(NOW, token(2), &mut fx);
    assert_eq!(grants(&fx), [4], "else each would wait for the other");
    owner.release(NOW, token(1), &mut fx);
    owner.release(NOW, token(4), &mut fx);
    assert_eq!(grants(&fx), [4, 3]);
}

#[test]
fn those_who_wait_move_up_when_a_member_comes_to_hold() {
    let (mut owner, mut fx) = (root(Policy::Exact), Fx::new());
    owner.acquire(NOW, request(1, ALL), &mut fx);
    owner.acquire(NOW, member(2, 1), &mut fx);
    owner.acquire(NOW, request(3, ALL), &mut fx);
    owner.acquire(NOW, member(4, ALL), &mut fx);
    let mut fx = Fx::new();
    owner.release(NOW, token(1), &mut fx);
    assert_eq!(grants(&fx), [2, 4]);
    assert!(owner.waiting().all(|w| w.order.class == Class::New));
}

#[test]
fn a_member_converts_what_it_asked_for_and_the_group_keeps_what_others_need() {
    let (mut owner, mut fx) = (root(Policy::Exact), Fx::new());
    owner.acquire(NOW, member(1, 1), &mut fx);
    owner.acquire(NOW, member(2, 3), &mut fx);
    let conversion = Conversion::new(token(1), converting(3), Units(5));
    owner.convert(NOW, conversion, &mut fx);
    assert_eq!(held(&owner), 5);
    owner.reduce(NOW, token(1), &Units(2), &mut fx);
    assert_eq!(held(&owner), 3);
    owner.release(NOW, token(2), &mut fx);
    assert_eq!(held(&owner), 2);
}

#[test]
fn over_nodes_a_group_is_only_a_label() {
    let peer = PeerId(7);
    let (mut owner, mut fx) = (root(Policy::Exact), Fx::new());
    owner.acquire(NOW, member(1, ALL), &mut fx);
    owner
        .on_message(NOW, peer, want(2, 1), &mut fx)
        .expect("a want");
    assert_eq!(owner.lent(), &Units(0), "it waits like anybody else");
}

#[test]
fn members_are_not_told_of_each_other() {
    let (mut owner, mut fx) = (root(Policy::Exact), Fx::new());
    owner.acquire(NOW, member(1, 1), &mut fx);
    owner.acquire(NOW, request(2, 3), &mut fx);
    owner.acquire(NOW, member(4, ALL), &mut fx);
    assert_eq!(told(&fx), [(2, 4)]);
}

#[test]
fn a_members_conversion_is_no_conflict_with_its_group() {
    let (mut owner, mut fx) = (root(Policy::Exact), Fx::new());
    owner.acquire(NOW, member(1, 1), &mut fx);
    let promising = Request {
        gives_way: Some(Duration::from_secs(1)),
        ..member(2, 1)
    };
    owner.acquire(NOW, promising, &mut fx);
    owner.acquire(NOW, request(3, 3), &mut fx);
    let conversion = Conversion::new(token(1), converting(4), Units(ALL));
    owner.convert(NOW, conversion, &mut fx);
    assert_eq!(told(&fx), [(3, 4)]);
    assert_eq!(owner.next_deadline(), None, "nobody waits for the promise");
}

#[test]
fn of_two_groups_that_wait_for_each_other_the_younger_request_is_denied() {
    let (mut owner, mut fx) = (root(Policy::Exact), Fx::new());
    owner.acquire(NOW, of_group(1, 1, 1), &mut fx);
    owner.acquire(NOW, of_group(2, 2, 1), &mut fx);
    owner.acquire(NOW, of_group(1, 3, ALL), &mut fx);
    let mut fx = Fx::new();
    owner.acquire(NOW, of_group(2, 4, ALL), &mut fx);
    assert_eq!(deadlocked(&fx), [4]);
    owner.release(NOW, token(2), &mut fx);
    assert_eq!(grants(&fx), [3]);
}

#[test]
fn a_member_is_not_deadlocked_by_its_own_group() {
    let (mut owner, mut fx) = (root(Policy::Exact), Fx::new());
    owner.acquire(NOW, member(1, 1), &mut fx);
    owner.acquire(NOW, request(2, 3), &mut fx);
    owner.acquire(NOW, member(3, ALL), &mut fx);
    let conversion = Conversion::new(token(1), converting(4), Units(ALL));
    owner.convert(NOW, conversion, &mut fx);
    owner.acquire(NOW, member(5, ALL), &mut fx);
    assert_eq!(deadlocked(&fx), []);
    let mut fx = Fx::new();
    owner.release(NOW, token(2), &mut fx);
    assert_eq!(grants(&fx), [3, 1, 5]);
}

#[test]
fn who_holds_nothing_passes_nobody() {
    let (mut owner, mut fx) = (root(Policy::Exact), Fx::new());
    owner.acquire(NOW, member(1, 0), &mut fx);
    owner.acquire(NOW, request(2, 0), &mut fx);
    owner.acquire(NOW, request(3, ALL), &mut fx);
    owner.acquire(NOW, request(4, ALL), &mut fx);
    owner.acquire(NOW, member(5, ALL), &mut fx);
    let conversion = Conversion::new(token(2), converting(6), Units(ALL));
    owner.convert(NOW, conversion, &mut fx);
    let mut fx = Fx::new();
    for index in [3, 4, 5] {
        owner.release(NOW, token(index), &mut fx);
    }
    assert_eq!(grants(&fx), [4, 5, 2]);
}
