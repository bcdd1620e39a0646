//! What holders are told of those who wait.

use core::time::Duration;

use super::units::*;
use crate::effect::Effect;
use crate::error::LostReason;
use crate::id::{LoanId, PeerId};
use crate::message::{Message, Step};
use crate::owner::{Conversion, Request};
use crate::policy::Policy;

const LOAN: LoanId = LoanId {
    epoch: 1,
    counter: 1,
};

/// A debtor whose promising holder has everything.
fn lent_all() -> UnitsOwner {
    let (mut owner, mut fx) = (debtor(Policy::Exact), Fx::new());
    owner.acquire(NOW, promising(1, ALL), &mut fx);
    owner
        .on_message(NOW, CREDITOR, grant(LOAN, 1, ALL), &mut fx)
        .expect("a grant");
    owner
}

/// A recall of everything, for the request of that number.
fn recalled(number: u64, try_only: bool) -> Message<Units> {
    let step = Step {
        order: order(number),
        keep: Units(0),
        try_only,
        whole: false,
        note: None,
    };
    Message::Recall {
        loan: LOAN,
        steps: core::iter::once(step).collect(),
    }
}

fn promising(index: u32, units: u64) -> Request<Units> {
    Request {
        gives_way: Some(Duration::from_secs(1)),
        ..request(index, units)
    }
}

#[test]
fn a_holder_is_told_once_of_who_waits_for_what_it_holds() {
    let (mut owner, mut fx) = (root(Policy::Exact), Fx::new());
    owner.acquire(NOW, request(1, ALL), &mut fx);
    assert_eq!(told(&fx), []);
    let mut fx = Fx::new();
    owner.acquire(NOW, request(2, 1), &mut fx);
    assert_eq!(told(&fx), [(1, 2)]);
    let mut fx = Fx::new();
    owner.acquire(NOW, request(3, 1), &mut fx);
    assert_eq!(told(&fx), [], "an equal request says nothing new");
}

#[test]
fn a_holder_is_told_again_when_somebody_waits_for_more_of_it() {
    let (mut owner, mut fx) = (root(Policy::Exact), Fx::new());
    owner.acquire(NOW, request(1, ALL), &mut fx);
    owner.acquire(NOW, request(2, 1), &mut fx);
    let mut fx = Fx::new();
    owner.acquire(NOW, request(3, ALL), &mut fx);
    assert_eq!(told(&fx), [(1, 3)]);
}

#[test]
fn a_holder_of_what_nobody_misses_is_told_nothing() {
    let (mut owner, mut fx) = (root(Policy::Exact), Fx::new());
    owner.acquire(NOW, request(1, 1), &mut fx);
    owner.acquire(NOW, request(2, 1), &mut fx);
    assert_eq!(told(&fx), []);
    assert!(!owner.hold(token(1)).expect("it holds").is_wanted());
}

#[test]
fn the_grant_comes_before_the_notice() {
    let (mut owner, mut fx) = (root(Policy::Exact), Fx::new());
    owner.acquire(NOW, request(1, ALL), &mut fx);
    owner.acquire(NOW, request(2, ALL), &mut fx);
    owner.acquire(NOW, request(3, 1), &mut fx);
    let mut fx = Fx::new();
    owner.release(NOW, token(1), &mut fx);
    let [
        Effect::Grant { token: granted, .. },
        Effect::Wanted { token: wanted, .. },
    ] = fx.as_slice()
    else {
        panic!("a grant, then a notice: {fx:?}");
    };
    assert_eq!((granted.index, wanted.index), (2, 2));
}

#[test]
fn when_nobody_waits_any_more_the_next_one_to_wait_is_told_of_again() {
    let (mut owner, mut fx) = (root(Policy::Exact), Fx::new());
    owner.acquire(NOW, request(1, ALL), &mut fx);
    owner.acquire(NOW, request(2, 1), &mut fx);
    let mut fx = Fx::new();
    assert!(owner.cancel(NOW, token(2), &mut fx));
    assert!(!owner.hold(token(1)).expect("it holds").is_wanted());
    owner.acquire(NOW, request(3, 1), &mut fx);
    assert_eq!(told(&fx), [(1, 3)]);
}

#[test]
fn who_asks_for_more_does_not_wait_for_itself() {
    let (mut owner, mut fx) = (root(Policy::Exact), Fx::new());
    owner.acquire(NOW, request(1, 1), &mut fx);
    owner.acquire(NOW, request(2, 1), &mut fx);
    let conversion = Conversion::new(token(1), converting(3), Units(ALL));
    owner.convert(NOW, conversion, &mut fx);
    assert_eq!(told(&fx), [(2, 3)]);
}

#[test]
fn a_recall_tells_the_holders_of_what_is_missing_and_cached_credit_is_told_to_leave() {
    let (mut owner, mut fx) = (debtor(Policy::Exact), Fx::new());
    owner.acquire(NOW, request(1, 2), &mut fx);
    let loan = LoanId {
        epoch: 1,
        counter: 1,
    };
    let grant = grant(loan, 1, 3);
    owner
        .on_message(NOW, CREDITOR, grant, &mut fx)
        .expect("a grant");
    let mut fx = Fx::new();
    let step = Step {
        order: order(9),
        keep: Units(0),
        try_only: false,
        whole: false,
        note: None,
    };
    let steps = core::iter::once(step).collect();
    let recall = Message::Recall { loan, steps };
    owner
        .on_message(NOW, CREDITOR, recall, &mut fx)
        .expect("a recall");
    assert_eq!(told(&fx), [(1, 9)]);
    let leaves = |effect: &Effect<_>| matches!(effect, Effect::Leaving);
    let returns = |effect: &Effect<_>| {
        matches!(
            effect,
            Effect::Send {
                message: Message::Return {
                    delta: Units(1),
                    ..
                },
                ..
            }
        )
    };
    let place = |what: &dyn Fn(&Effect<_>) -> bool| fx.as_slice().iter().position(what);
    assert!(place(&leaves) < place(&returns), "before it leaves: {fx:?}");
    assert!(place(&leaves).is_some());
}

#[test]
fn a_hold_that_promised_to_give_way_is_lost_when_it_does_not() {
    let (mut owner, mut fx) = (root(Policy::Exact), Fx::new());
    owner.acquire(NOW, promising(1, ALL), &mut fx);
    assert_eq!(owner.next_deadline(), None, "nobody waits");
    owner.acquire(NOW, request(2, 1), &mut fx);
    let due = owner.next_deadline().expect("the promise runs");
    assert_eq!(due, NOW.after(Duration::from_secs(1)));
    let mut fx = Fx::new();
    owner.on_deadline(due, &mut fx);
    assert_eq!(losses(&fx), [(1, LostReason::Overdue)]);
    assert_eq!(grants(&fx), [2]);
}

#[test]
fn the_promise_stops_when_nobody_waits_any_more() {
    let (mut owner, mut fx) = (root(Policy::Exact), Fx::new());
    owner.acquire(NOW, promising(1, ALL), &mut fx);
    owner.acquire(NOW, request(2, 1), &mut fx);
    assert!(owner.cancel(NOW, token(2), &mut fx));
    assert_eq!(owner.next_deadline(), None);
    let mut fx = Fx::new();
    owner.on_deadline(NOW.after(Duration::from_secs(9)), &mut fx);
    assert_eq!(losses(&fx), []);
}

#[test]
fn the_promise_of_a_debtors_holder_runs_from_the_recall() {
    let peer = PeerId(7);
    let (mut owner, mut fx) = (root(Policy::Exact), Fx::new());
    owner.acquire(NOW, promising(1, ALL), &mut fx);
    owner
        .on_message(NOW, peer, want(2, 1), &mut fx)
        .expect("a want");
    let later = NOW.after(Duration::from_secs(1));
    let mut fx = Fx::new();
    owner.on_deadline(later, &mut fx);
    assert_eq!(losses(&fx), [(1, LostReason::Overdue)]);
    assert_eq!(owner.loan(peer), Some(&Units(1)));
}

#[test]
fn a_try_waits_for_nobody_and_tells_nobody() {
    let (mut owner, mut fx) = (root(Policy::Exact), Fx::new());
    owner.acquire(NOW, promising(1, ALL), &mut fx);
    owner.acquire(NOW, tried(2, 1), &mut fx);
    assert_eq!(told(&fx), []);
    let (mut owner, mut fx) = (lent_all(), Fx::new());
    owner
        .on_message(NOW, CREDITOR, recalled(9, true), &mut fx)
        .expect("a recall");
    assert_eq!(told(&fx), []);
    assert_eq!(owner.next_deadline(), None, "the promise does not run");
    owner
        .on_message(NOW, CREDITOR, recalled(9, false), &mut fx)
        .expect("a recall");
    assert_eq!(told(&fx), [(1, 9)]);
}

#[test]
fn a_promise_is_kept_by_both_parts_of_a_hold() {
    let (mut owner, mut fx) = (root(Policy::Exact), Fx::new());
    owner.acquire(NOW, promising(1, ALL), &mut fx);
    owner.split_hold(token(1), &Units(3), token(2));
    owner.acquire(NOW, request(3, ALL), &mut fx);
    let mut fx = Fx::new();
    owner.on_deadline(NOW.after(Duration::from_secs(1)), &mut fx);
    let overdue = LostReason::Overdue;
    assert_eq!(losses(&fx), [(1, overdue), (2, overdue)]);
    assert_eq!(grants(&fx), [3]);
}

#[test]
fn a_promise_that_runs_goes_on_in_both_parts_and_neither_is_told_again() {
    let (mut owner, mut fx) = (root(Policy::Exact), Fx::new());
    owner.acquire(NOW, promising(1, ALL), &mut fx);
    owner.acquire(NOW, request(3, ALL), &mut fx);
    owner.split_hold(token(1), &Units(3), token(2));
    let mut fx = Fx::new();
    let later = NOW.after(Duration::from_millis(500));
    owner.acquire(later, request(4, ALL), &mut fx);
    assert_eq!(told(&fx), []);
    owner.on_deadline(NOW.after(Duration::from_secs(1)), &mut fx);
    assert_eq!(losses(&fx).len(), 2);
}

#[test]
fn holds_that_promised_different_things_are_not_merged() {
    let (mut owner, mut fx) = (root(Policy::Exact), Fx::new());
    owner.acquire(NOW, promising(1, 1), &mut fx);
    owner.acquire(NOW, request(2, 1), &mut fx);
    owner.acquire(NOW, promising(3, 1), &mut fx);
    for (into, from) in [(1, 2), (2, 1)] {
        let merged = owner.merge_holds(NOW, token(into), token(from), &mut fx);
        assert_eq!(merged, None);
    }
    assert!(
        owner
            .merge_holds(NOW, token(1), token(3), &mut fx)
            .is_some()
    );
    owner.acquire(NOW, request(4, ALL), &mut fx);
    let mut fx = Fx::new();
    owner.on_deadline(NOW.after(Duration::from_secs(1)), &mut fx);
    assert_eq!(losses(&fx), [(1, LostReason::Overdue)]);
}

#[test]
fn a_wind_up_waits_for_the_holders_here_and_they_are_told() {
    let (mut owner, mut fx) = (root(Policy::Exact), Fx::new());
    owner.acquire(NOW, promising(1, 2), &mut fx);
    owner.acquire(NOW, request(2, 1), &mut fx);
    owner.wind_up(NOW, order(9), &mut fx);
    assert_eq!(told(&fx), [(1, 9), (2, 9)]);
    let mut fx = Fx::new();
    owner.on_deadline(NOW.after(Duration::from_secs(1)), &mut fx);
    assert_eq!(losses(&fx), [(1, LostReason::Overdue)]);
    owner.release(NOW, token(2), &mut fx);
    assert_eq!(told(&fx), [], "once");
    assert!(owner.is_wound_up());
}
