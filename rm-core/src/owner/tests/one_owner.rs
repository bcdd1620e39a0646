//! An owner with the capital and local requests only.

use super::units::*;
use crate::credit::Credit;
use crate::effect::Effect;
use crate::error::Denied;
use crate::owner::Conversion;
use crate::policy::Policy;

#[test]
fn what_is_cached_is_granted_at_once() {
    let (mut owner, mut fx) = (root(Policy::Exact), Fx::new());
    owner.acquire(NOW, request(1, 3), &mut fx);
    assert_eq!(grants(&fx), [1]);
    assert_eq!(owner.cached(), &Units(5));
}

#[test]
fn a_younger_small_request_does_not_pass_an_older_large_one() {
    let (mut owner, mut fx) = (root(Policy::Exact), Fx::new());
    owner.acquire(NOW, request(1, 1), &mut fx);
    owner.acquire(NOW, request(2, ALL), &mut fx);
    owner.acquire(NOW, request(3, 1), &mut fx);
    assert_eq!(grants(&fx), [1]);
    let mut fx = Fx::new();
    owner.release(NOW, token(1), &mut fx);
    assert_eq!(grants(&fx), [2]);
    let mut fx = Fx::new();
    owner.release(NOW, token(2), &mut fx);
    assert_eq!(grants(&fx), [3]);
}

#[test]
fn a_cancelled_large_request_lets_the_small_one_behind_it_through() {
    let (mut owner, mut fx) = (root(Policy::Exact), Fx::new());
    owner.acquire(NOW, request(1, 1), &mut fx);
    owner.acquire(NOW, request(2, ALL), &mut fx);
    owner.acquire(NOW, request(3, 1), &mut fx);
    let mut fx = Fx::new();
    assert!(owner.cancel(NOW, token(2), &mut fx));
    assert_eq!(grants(&fx), [3]);
}

#[test]
fn an_old_order_that_turns_up_late_overtakes() {
    let (mut owner, mut fx) = (root(Policy::Exact), Fx::new());
    owner.acquire(NOW, request(5, ALL), &mut fx);
    owner.acquire(NOW, request(7, ALL), &mut fx);
    owner.acquire(NOW, request(6, ALL), &mut fx);
    let mut fx = Fx::new();
    owner.release(NOW, token(5), &mut fx);
    assert_eq!(grants(&fx), [6]);
}

#[test]
fn a_try_that_meets_a_holder_is_busy_at_once() {
    let (mut owner, mut fx) = (root(Policy::Exact), Fx::new());
    owner.acquire(NOW, request(1, 1), &mut fx);
    let mut fx = Fx::new();
    owner.acquire(NOW, tried(2, ALL), &mut fx);
    let [
        Effect::Deny {
            why: Denied::Busy { blockers },
            ..
        },
    ] = fx.as_slice()
    else {
        panic!("busy: {fx:?}");
    };
    assert_eq!(blockers.len(), 1);
}

#[test]
fn more_than_the_capital_is_refused() {
    let (mut owner, mut fx) = (root(Policy::Exact), Fx::new());
    owner.acquire(NOW, request(1, ALL + 1), &mut fx);
    assert_eq!(
        fx.as_slice(),
        [Effect::Deny {
            token: token(1),
            why: Denied::Refused
        }]
    );
}

#[test]
fn a_holder_that_becomes_less_keeps_its_place_without_a_gap() {
    let (mut owner, mut fx) = (root(Policy::Exact), Fx::new());
    owner.acquire(NOW, request(1, ALL), &mut fx);
    owner.acquire(NOW, request(2, 1), &mut fx);
    let mut fx = Fx::new();
    let fence = owner.reduce(NOW, token(1), &Units(1), &mut fx);
    assert_eq!(grants(&fx), [2]);
    assert_eq!(fence % 2, 0, "a reader's token is even");
    assert_eq!(owner.hold(token(1)).map(|hold| hold.credit), Some(Units(1)));
}

#[test]
fn a_deadline_that_passed_denies_and_names_who_is_ahead() {
    let (mut owner, mut fx) = (root(Policy::Exact), Fx::new());
    owner.acquire(NOW, request(1, 1), &mut fx);
    owner.acquire(NOW, request(2, ALL), &mut fx);
    let late = crate::time::Time::from_nanos(2_000);
    let limited = crate::owner::Request {
        deadline: Some(late),
        ..request(3, ALL)
    };
    owner.acquire(NOW, limited, &mut fx);
    assert_eq!(owner.next_deadline(), Some(late));
    let mut fx = Fx::new();
    owner.on_deadline(late, &mut fx);
    let [
        Effect::Deny {
            token,
            why: Denied::Timeout { ahead, .. },
        },
    ] = fx.as_slice()
    else {
        panic!("out of time: {fx:?}");
    };
    assert_eq!((token.index, *ahead), (3, 1));
}

#[test]
fn of_two_holders_that_wait_for_each_other_the_younger_is_told_at_once() {
    let (mut owner, mut fx) = (root(Policy::Exact), Fx::new());
    owner.acquire(NOW, request(1, 2), &mut fx);
    owner.acquire(NOW, request(2, 2), &mut fx);
    let mut fx = Fx::new();
    let conversion = Conversion::new(token(1), converting(3), Units(ALL));
    owner.convert(NOW, conversion, &mut fx);
    assert!(grants(&fx).is_empty(), "it waits for the other holder");
    let mut fx = Fx::new();
    let conversion = Conversion::new(token(2), converting(4), Units(ALL));
    owner.convert(NOW, conversion, &mut fx);
    let [
        Effect::Deny {
            token: younger,
            why: Denied::WouldDeadlock { .. },
        },
    ] = fx.as_slice()
    else {
        panic!("a deadlock: {fx:?}");
    };
    assert_eq!(*younger, token(2));
    let mut fx = Fx::new();
    owner.release(NOW, token(2), &mut fx);
    assert_eq!(grants(&fx), [1]);
}

#[test]
fn a_hold_in_two_parts_has_one_fencing_token_and_each_part_ends_by_itself() {
    let (mut owner, mut fx) = (root(Policy::Exact), Fx::new());
    owner.acquire(NOW, request(1, ALL), &mut fx);
    owner.acquire(NOW, request(2, 3), &mut fx);
    owner.split_hold(token(1), &Units(3), token(3));
    owner.check();
    let hold = |owner: &UnitsOwner, index| {
        let hold = owner.hold(token(index)).expect("it holds");
        (hold.credit, hold.fence)
    };
    let (kept, parted) = (hold(&owner, 1), hold(&owner, 3));
    assert_eq!((kept.0, parted.0), (Units(ALL - 3), Units(3)));
    assert_eq!(kept.1, parted.1);
    let mut fx = Fx::new();
    owner.release(NOW, token(3), &mut fx);
    assert_eq!(grants(&fx), [2], "what one part gave up is free");
    assert_eq!(hold(&owner, 1), kept);
}

#[test]
fn merged_holds_have_the_larger_token_and_end_as_one() {
    let (mut owner, mut fx) = (root(Policy::Exact), Fx::new());
    // Parts of a writer keep its token, and what is taken beside them has a later one.
    owner.acquire(NOW, request(1, ALL), &mut fx);
    owner.split_hold(token(1), &Units(3), token(2));
    owner.split_hold(token(1), &Units(2), token(3));
    owner.release(NOW, token(2), &mut fx);
    owner.acquire(NOW, request(4, 3), &mut fx);
    let fence = |owner: &UnitsOwner, index| owner.hold(token(index)).map(|hold| hold.fence);
    let (smaller, larger) = (fence(&owner, 3), fence(&owner, 4));
    assert!(smaller < larger);
    assert_eq!(owner.merge_holds(NOW, token(3), token(4), &mut fx), larger);
    assert!(owner.hold(token(4)).is_none());
    owner.release(NOW, token(3), &mut fx);
    assert_eq!(owner.cached(), &Units(5));
}

#[test]
fn holds_that_only_together_exclude_others_get_a_token_of_their_own() {
    let (mut owner, mut fx) = (root(Policy::Exact), Fx::new());
    owner.acquire(NOW, request(1, 1), &mut fx);
    owner.acquire(NOW, request(2, ALL - 1), &mut fx);
    let fence = owner
        .merge_holds(NOW, token(1), token(2), &mut fx)
        .expect("there is room");
    assert_eq!(fence % 2, 1, "a writer's token is odd");
    owner.release(NOW, token(1), &mut fx);
    owner.acquire(NOW, request(3, 1), &mut fx);
    let next = owner.hold(token(3)).map(|hold| hold.fence);
    assert!(next > Some(fence));
}

#[test]
fn the_token_of_a_writer_in_parts_is_no_writer_s_again_after_one_part_ended() {
    let (mut owner, mut fx) = (root(Policy::Exact), Fx::new());
    owner.acquire(NOW, request(1, ALL), &mut fx);
    owner.split_hold(token(1), &Units(3), token(2));
    let shared = owner.hold(token(1)).map(|hold| hold.fence);
    owner.release(NOW, token(2), &mut fx);
    owner.acquire(NOW, request(3, 3), &mut fx);
    let merged = owner.merge_holds(NOW, token(1), token(3), &mut fx);
    assert!(merged > shared);
}

#[test]
fn without_room_for_a_new_token_holds_stay_apart() {
    let mut owner = debtor(Policy::Exact);
    let mut fx = Fx::new();
    for (index, units) in [(1, 1), (2, ALL - 1)] {
        owner.acquire(NOW, request(index, units), &mut fx);
    }
    for message in sent(&fx) {
        let crate::message::Message::Want(want) = message else {
            panic!("only wants are sent");
        };
        let grant = crate::message::Grant {
            loan: crate::id::LoanId {
                epoch: 1,
                counter: 1,
            },
            order: want.order,
            version: want.version,
            delta: want.level.less(owner.borrowed()),
            steps: crate::message::Steps::new(),
            fence: 2,
            // Readers need no room.
            limit: 2,
            value: None,
            colour: None,
        };
        owner
            .on_message(
                NOW,
                CREDITOR,
                crate::message::Message::Grant(grant),
                &mut fx,
            )
            .expect("a correct creditor");
    }
    assert_eq!(owner.merge_holds(NOW, token(1), token(2), &mut fx), None);
    owner.check();
    assert_eq!(owner.holds().count(), 2);
}
