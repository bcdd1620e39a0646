//! An owner that ends in good order: what it denies, waits for, asks for and returns.

use super::units::*;
use crate::effect::Effect;
use crate::error::{Denied, LostReason};
use crate::id::{LoanId, PeerId, Version};
use crate::message::{Blockers, Grant, Message, Refusal, Step, Steps, Want};
use crate::owner::Conversion;
use crate::policy::Policy;

const DEBTOR: PeerId = PeerId(1);
const LOAN: LoanId = LoanId {
    epoch: 1,
    counter: 1,
};

fn grant(units: u64) -> Message<Units> {
    Message::Grant(Grant {
        loan: LOAN,
        order: order(1),
        version: Version(1),
        delta: Units(units),
        steps: Steps::new(),
        fence: 2,
        limit: 100,
        value: None,
        colour: None,
    })
}

fn want(stamp: u64, units: u64) -> Message<Units> {
    Message::Want(Want {
        order: order(stamp),
        version: Version(1),
        level: Units(units),
        try_only: false,
        deadline: None,
        note: None,
    })
}

fn step(stamp: u64, keep: u64) -> Step<Units> {
    Step {
        order: order(stamp),
        keep: Units(keep),
        try_only: false,
        whole: false,
        note: None,
    }
}

fn recall(steps: impl IntoIterator<Item = Step<Units>>) -> Message<Units> {
    Message::Recall {
        loan: LOAN,
        steps: steps.into_iter().collect(),
    }
}

fn returned(units: u64) -> Message<Units> {
    Message::Return {
        loan: LOAN,
        delta: Units(units),
        fence: 2,
        value: None,
        colour: None,
    }
}

fn denied(index: u32) -> Effect<UnitsType> {
    Effect::Deny {
        token: token(index),
        why: Denied::ShuttingDown,
    }
}

/// What an owner has lent its debtor is the first loan that it opened.
const LENT: LoanId = LoanId {
    epoch: 0,
    counter: 1,
};

fn recall_of_debtor(steps: impl IntoIterator<Item = Step<Units>>) -> Message<Units> {
    Message::Recall {
        loan: LENT,
        steps: steps.into_iter().collect(),
    }
}

fn returned_by_debtor(units: u64) -> Message<Units> {
    Message::Return {
        loan: LENT,
        delta: Units(units),
        fence: 2,
        value: None,
        colour: None,
    }
}

/// What was sent, and to whom.
fn mail(fx: &Fx) -> Vec<(PeerId, Message<Units>)> {
    let mail = |effect: &Effect<UnitsType>| match effect {
        Effect::Send { to, message } => Some((*to, message.clone())),
        _ => None,
    };
    fx.as_slice().iter().filter_map(mail).collect()
}

fn say(owner: &mut UnitsOwner, from: PeerId, message: Message<Units>) -> Fx {
    let mut fx = Fx::new();
    let done = owner.on_message(NOW, from, message, &mut fx);
    done.expect("a correct peer");
    fx
}

fn wind_up(owner: &mut UnitsOwner, stamp: u64) -> Fx {
    let mut fx = Fx::new();
    owner.wind_up(NOW, order(stamp), &mut fx);
    fx
}

/// A debtor that has borrowed `units`.
fn borrower(units: u64) -> UnitsOwner {
    let mut owner = debtor(Policy::Exact);
    say(&mut owner, CREDITOR, grant(units));
    owner
}

/// An owner that has borrowed five units, and lent two of them.
fn middle() -> UnitsOwner {
    let mut owner = borrower(5);
    say(&mut owner, DEBTOR, want(1, 2));
    owner
}

#[test]
fn an_owner_that_has_nothing_is_wound_up_at_once() {
    let mut owner = root(Policy::Exact);
    assert!(!owner.is_wound_up(), "nobody told it");
    assert!(wind_up(&mut owner, 1).is_empty());
    assert!(owner.is_wound_up());
}

#[test]
fn what_is_cached_goes_up_at_once_and_what_is_held_when_it_is_released() {
    let mut owner = borrower(5);
    owner.acquire(NOW, request(2, 2), &mut Fx::new());
    let fx = wind_up(&mut owner, 3);
    assert_eq!(mail(&fx), [(CREDITOR, returned(3))]);
    assert!(!owner.is_wound_up() && !owner.put_back(token(2)));
    let mut fx = Fx::new();
    owner.release(NOW, token(2), &mut fx);
    assert_eq!(mail(&fx), [(CREDITOR, returned(2))]);
    assert!(owner.is_wound_up());
}

#[test]
fn new_requests_are_denied_also_out_of_the_cache() {
    let mut owner = root(Policy::Exact);
    wind_up(&mut owner, 1);
    assert_eq!(owner.take(NOW, token(2), &Units(1), None), None);
    let mut fx = Fx::new();
    owner.acquire(NOW, request(2, 1), &mut fx);
    assert_eq!(fx.as_slice(), [denied(2)]);
}

#[test]
fn what_waits_is_denied_and_a_conversion_keeps_its_hold() {
    let mut owner = root(Policy::Exact);
    owner.acquire(NOW, request(1, 2), &mut Fx::new());
    owner.acquire(NOW, request(6, 1), &mut Fx::new());
    owner.acquire(NOW, request(2, ALL), &mut Fx::new());
    owner.acquire(NOW, request(3, 1), &mut Fx::new());
    owner.convert(
        NOW,
        Conversion::new(token(1), converting(4), Units(ALL)),
        &mut Fx::new(),
    );
    let fx = wind_up(&mut owner, 5);
    assert_eq!(fx.as_slice(), [denied(1), denied(2), denied(3)]);
    assert_eq!(owner.hold(token(1)).map(|hold| hold.credit), Some(Units(2)));
}

#[test]
fn a_holder_may_become_less_but_not_more() {
    let mut owner = borrower(5);
    owner.acquire(NOW, request(2, 3), &mut Fx::new());
    wind_up(&mut owner, 3);
    let mut fx = Fx::new();
    owner.convert(
        NOW,
        Conversion::new(token(2), converting(4), Units(4)),
        &mut fx,
    );
    assert_eq!(fx.as_slice(), [denied(2)]);
    let mut fx = Fx::new();
    owner.convert(
        NOW,
        Conversion::new(token(2), converting(5), Units(1)),
        &mut fx,
    );
    assert_eq!(mail(&fx), [(CREDITOR, returned(2))]);
    assert_eq!(grants(&fx), [2]);
}

#[test]
fn its_wants_are_withdrawn_and_a_grant_that_comes_late_goes_back() {
    let mut owner = borrower(1);
    owner.acquire(NOW, request(2, 3), &mut Fx::new());
    let fx = wind_up(&mut owner, 3);
    let unwant = Message::Unwant { order: order(2) };
    assert_eq!(fx.as_slice()[0], denied(2));
    assert_eq!(mail(&fx), [(CREDITOR, returned(1)), (CREDITOR, unwant)]);
    assert!(owner.is_wound_up());
    let fx = say(&mut owner, CREDITOR, grant(2));
    assert_eq!(mail(&fx), [(CREDITOR, returned(2))]);
    assert!(owner.is_wound_up());
}

#[test]
fn a_debtor_is_asked_for_all_and_its_wants_are_denied() {
    let mut owner = middle();
    say(&mut owner, DEBTOR, want(2, ALL));
    let fx = wind_up(&mut owner, 3);
    let deny = |stamp| Message::Deny {
        order: order(stamp),
        version: Version(1),
        why: Refusal::ShuttingDown,
        blockers: Blockers::new(),
    };
    let unwant = Message::Unwant { order: order(2) };
    assert_eq!(
        mail(&fx),
        [
            (DEBTOR, deny(2)),
            (CREDITOR, returned(3)),
            (CREDITOR, unwant),
            (DEBTOR, recall_of_debtor([step(3, 0)])),
        ]
    );
    let fx = say(&mut owner, DEBTOR, want(4, 3));
    assert_eq!(mail(&fx), [(DEBTOR, deny(4))]);
}

#[test]
fn what_a_debtor_returns_goes_up_part_by_part() {
    let mut owner = middle();
    wind_up(&mut owner, 3);
    let fx = say(&mut owner, DEBTOR, returned_by_debtor(1));
    assert_eq!(mail(&fx), [(CREDITOR, returned(1))]);
    assert!(!owner.is_wound_up());
    let fx = say(&mut owner, DEBTOR, returned_by_debtor(1));
    assert_eq!(mail(&fx), [(CREDITOR, returned(1))]);
    assert!(owner.is_wound_up());
}

#[test]
fn the_loan_of_a_debtor_that_is_gone_goes_up() {
    let mut owner = middle();
    wind_up(&mut owner, 3);
    let mut fx = Fx::new();
    owner.on_debtor_down(NOW, DEBTOR, &mut fx);
    assert!(matches!(
        mail(&fx)[..],
        [(
            CREDITOR,
            Message::Return {
                delta: Units(2),
                ..
            }
        )]
    ));
    assert!(owner.is_wound_up());
}

#[test]
fn a_root_keeps_what_comes_home() {
    let mut owner = root(Policy::Exact);
    say(&mut owner, DEBTOR, want(1, 2));
    let fx = wind_up(&mut owner, 2);
    assert_eq!(mail(&fx), [(DEBTOR, recall([step(2, 0)]))]);
    say(&mut owner, DEBTOR, returned(2));
    assert!(owner.is_wound_up());
    assert_eq!(owner.cached(), &Units(ALL));
}

#[test]
fn a_recall_of_the_creditor_is_met_beside_it() {
    let mut owner = borrower(5);
    owner.acquire(NOW, request(2, 2), &mut Fx::new());
    wind_up(&mut owner, 3);
    let fx = say(&mut owner, CREDITOR, recall([step(4, 0)]));
    assert_eq!(mail(&fx), []);
    let mut fx = Fx::new();
    owner.release(NOW, token(2), &mut fx);
    assert_eq!(mail(&fx), [(CREDITOR, returned(2))]);
    assert!(owner.is_wound_up() && !owner.is_recalled());
}

#[test]
fn a_younger_step_of_the_creditor_goes_down_before_that_of_the_wind_up() {
    let mut owner = middle();
    wind_up(&mut owner, 3);
    let fx = say(&mut owner, CREDITOR, recall([step(7, 1)]));
    let [(DEBTOR, Message::Recall { steps, .. })] = &mail(&fx)[..] else {
        panic!("a recall: {fx:?}");
    };
    let orders: Vec<_> = steps.iter().map(|s| (s.order.stamp.0, s.keep)).collect();
    assert_eq!(orders, [(7, Units(1)), (8, Units(0))]);
}

#[test]
fn a_try_of_the_creditor_is_answered() {
    let mut owner = borrower(5);
    owner.acquire(NOW, request(2, 2), &mut Fx::new());
    wind_up(&mut owner, 3);
    let tried = Step {
        try_only: true,
        ..step(4, 0)
    };
    let fx = say(&mut owner, CREDITOR, recall([tried]));
    assert!(matches!(mail(&fx)[..], [(CREDITOR, Message::Busy { .. })]));
}

#[test]
fn without_its_creditor_it_has_nothing_and_borrows_nothing_from_the_next() {
    let mut owner = borrower(5);
    owner.acquire(NOW, request(2, 2), &mut Fx::new());
    wind_up(&mut owner, 3);
    let mut fx = Fx::new();
    owner.on_creditor_down(NOW, LostReason::SessionEnded, &mut fx);
    let lost = Effect::Lost {
        token: token(2),
        why: LostReason::SessionEnded,
    };
    assert_eq!(fx.as_slice(), [lost]);
    assert!(owner.is_wound_up());
    let mut fx = Fx::new();
    owner.on_creditor_up(NOW, PeerId(101), 0, &mut fx);
    assert!(fx.is_empty());
}

#[test]
fn a_second_wind_up_changes_nothing() {
    let mut owner = middle();
    wind_up(&mut owner, 3);
    assert!(wind_up(&mut owner, 9).is_empty());
}

#[test]
fn below_a_creditor_that_winds_up_requests_are_denied_and_holds_stay() {
    let mut owner = borrower(1);
    owner.acquire(NOW, request(2, 1), &mut Fx::new());
    owner.acquire(NOW, request(3, 1), &mut Fx::new());
    let deny = Message::Deny {
        order: order(3),
        version: Version(1),
        why: Refusal::ShuttingDown,
        blockers: Blockers::new(),
    };
    let fx = say(&mut owner, CREDITOR, deny);
    assert_eq!(fx.as_slice(), [denied(3)]);
    assert!(owner.hold(token(2)).is_some());
}
