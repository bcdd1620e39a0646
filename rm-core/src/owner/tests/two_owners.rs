//! A root and one debtor, and the messages between them.

use super::units::*;
use crate::effect::Effect;
use crate::error::{Denied, LostReason, PeerMisbehaved};
use crate::id::{LoanId, PeerId};
use crate::message::{Grant, Message, Steps};
use crate::policy::Policy;

const DEBTOR: PeerId = PeerId(1);

/// A root, and a debtor that holds `units` by its request 1.
fn lent(policy: Policy, units: u64) -> (UnitsOwner, UnitsOwner) {
    let (mut top, mut leaf, mut fx) = (root(policy), debtor(policy), Fx::new());
    leaf.acquire(NOW, request(1, units), &mut fx);
    let (count, _, below) = run((&mut top, DEBTOR), &mut leaf, fx, Fx::new());
    assert_eq!(
        (count, below),
        (2, vec![1]),
        "alone, a request costs two messages"
    );
    (top, leaf)
}

#[test]
fn exact_lends_what_was_asked_slice_a_part_more_and_max_everything() {
    assert_eq!(lent(Policy::Exact, 1).1.borrowed(), &Units(1));
    assert_eq!(lent(Policy::slice(2), 1).1.borrowed(), &Units(1 + 3));
    assert_eq!(lent(Policy::Max, 1).1.borrowed(), &Units(ALL));
}

#[test]
fn what_is_cached_is_taken_again_without_a_message() {
    let (_, mut leaf) = lent(Policy::Exact, 1);
    leaf.release(NOW, token(1), &mut Fx::new());
    assert!(leaf.take(NOW, token(1), &Units(1), None).is_some());
}

#[test]
fn a_writer_above_recalls_and_waits_for_the_reader_below() {
    let (mut top, mut leaf) = lent(Policy::Exact, 1);
    let mut down = Fx::new();
    top.acquire(NOW, request(2, ALL), &mut down);
    let (count, above, _) = run((&mut top, DEBTOR), &mut leaf, Fx::new(), down);
    assert_eq!(
        (count, above),
        (1, vec![]),
        "a recall, and no answer while it is held"
    );
    let mut up = Fx::new();
    leaf.release(NOW, token(1), &mut up);
    let (count, above, _) = run((&mut top, DEBTOR), &mut leaf, up, Fx::new());
    assert_eq!((count, above), (1, vec![2]));
    assert!(leaf.is_idle());
}

#[test]
fn a_reader_below_that_is_younger_than_a_writer_above_waits() {
    let (mut top, mut leaf) = lent(Policy::slice(2), 1);
    let mut down = Fx::new();
    top.acquire(NOW, request(2, ALL), &mut down);
    run((&mut top, DEBTOR), &mut leaf, Fx::new(), down);
    assert!(leaf.take(NOW, token(3), &Units(1), None).is_none());
    let mut up = Fx::new();
    leaf.acquire(NOW, request(3, 1), &mut up);
    leaf.release(NOW, token(1), &mut up);
    let (_, above, below) = run((&mut top, DEBTOR), &mut leaf, up, Fx::new());
    assert_eq!((above, below), (vec![2], vec![]));
    let mut down = Fx::new();
    top.release(NOW, token(2), &mut down);
    let (_, _, below) = run((&mut top, DEBTOR), &mut leaf, Fx::new(), down);
    assert_eq!(below, [3]);
}

#[test]
fn no_debtor_keeps_a_limit_that_its_creditor_has_lost() {
    let (mut middle, mut fx) = (debtor(Policy::Exact), Fx::new());
    let lend = |number, limit| {
        let loan = LoanId {
            epoch: 1,
            counter: number,
        };
        let Message::Grant(lent) = grant(loan, u64::from(number), ALL) else {
            unreachable!("a grant")
        };
        Message::Grant(Grant { limit, ..lent })
    };
    let ask = |middle: &mut UnitsOwner, number: u32, limit| {
        let mut fx = Fx::new();
        middle
            .on_message(NOW, DEBTOR, want(u64::from(number), ALL), &mut fx)
            .expect("a want");
        middle
            .on_message(
                NOW,
                middle.creditor().expect("one"),
                lend(number, limit),
                &mut fx,
            )
            .expect("a grant");
        let limit = |message: &Message<Units>| match message {
            Message::Grant(grant) => Some(grant.limit),
            _ => None,
        };
        sent(&fx).iter().find_map(limit).expect("lent on")
    };
    assert!(ask(&mut middle, 1, 1 << 20) > 100);
    middle
        .on_message(NOW, DEBTOR, want(9, 1), &mut fx)
        .expect("a want that waits");
    middle.on_creditor_down(NOW, LostReason::SessionEnded, &mut fx);
    middle.on_creditor_up(NOW, PeerId(101), 0, &mut fx);
    assert_eq!(ask(&mut middle, 2, 100), 100);
}

#[test]
fn a_dead_debtor_s_loan_is_taken_back_and_later_tokens_are_above_its_limit() {
    let (mut top, leaf) = lent(Policy::Exact, ALL);
    let limit = leaf.fence().limit();
    let mut fx = Fx::new();
    top.acquire(NOW, request(2, ALL), &mut fx);
    let mut fx = Fx::new();
    top.on_debtor_down(NOW, DEBTOR, &mut fx);
    let [Effect::Grant { fence, .. }] = fx.as_slice() else {
        panic!("granted: {fx:?}")
    };
    assert!(*fence > limit);
}

#[test]
fn nothing_is_lent_to_a_debtor_that_fell_silent_until_it_is_heard_again() {
    let (mut top, mut leaf) = lent(Policy::Exact, 1);
    let (mut down, mut up) = (Fx::new(), Fx::new());
    top.acquire(NOW, request(2, ALL - 1), &mut down);
    leaf.acquire(NOW, request(3, 1), &mut up);
    run((&mut top, DEBTOR), &mut leaf, up, Fx::new());
    top.on_debtor_silent(NOW, DEBTOR, &mut Fx::new());
    let mut fx = Fx::new();
    top.release(NOW, token(2), &mut fx);
    assert_eq!(sent(&fx), []);
    assert_eq!(top.lent(), &Units(1));
    let mut fx = Fx::new();
    top.on_debtor_heard(NOW, DEBTOR, &mut fx);
    assert!(matches!(sent(&fx)[..], [Message::Grant(_)]));
}

#[test]
fn a_lost_lease_loses_every_hold_and_keeps_what_waits() {
    let (_, mut leaf) = lent(Policy::Exact, 1);
    leaf.acquire(NOW, request(2, ALL), &mut Fx::new());
    let mut fx = Fx::new();
    leaf.on_creditor_down(NOW, LostReason::LeaseExpired, &mut fx);
    let lost = Effect::Lost {
        token: token(1),
        why: LostReason::LeaseExpired,
    };
    assert_eq!(fx.as_slice(), [lost]);
    let mut fx = Fx::new();
    leaf.on_creditor_up(NOW, PeerId(101), 0, &mut fx);
    assert!(matches!(sent(&fx)[..], [Message::Want(_)]));
}

#[test]
fn a_grant_of_a_loan_that_ended_goes_back() {
    let (_, mut leaf) = lent(Policy::Exact, 1);
    leaf.on_creditor_down(NOW, LostReason::LeaseExpired, &mut Fx::new());
    leaf.on_creditor_up(NOW, CREDITOR, 0, &mut Fx::new());
    let loan = LoanId {
        epoch: 1,
        counter: 1,
    };
    let mut fx = Fx::new();
    let late = Grant {
        loan,
        order: order(1),
        version: crate::id::Version(1),
        delta: Units(1),
        steps: Steps::new(),
        fence: 0,
        limit: 0,
        value: None,
        colour: None,
    };
    leaf.on_message(NOW, CREDITOR, Message::Grant(late), &mut fx)
        .expect("no crime");
    assert!(
        matches!(sent(&fx)[..], [Message::Return { loan: back, delta: Units(1), .. }] if back == loan)
    );
    assert_eq!(leaf.borrowed(), &Units(0));
}

#[test]
fn a_return_under_another_loan_s_name_is_dropped() {
    let (mut top, _) = lent(Policy::Exact, 1);
    let loan = LoanId {
        epoch: 1,
        counter: 9,
    };
    let message = Message::Return {
        loan,
        delta: Units(1),
        fence: 0,
        value: None,
        colour: None,
    };
    top.on_message(NOW, DEBTOR, message, &mut Fx::new())
        .expect("no crime");
    assert_eq!(top.lent(), &Units(1));
}

#[test]
fn a_return_of_more_than_was_lent_is_a_crime_and_changes_nothing() {
    let (mut top, _) = lent(Policy::Exact, 1);
    let before = top.clone();
    let loan = LoanId {
        epoch: 1,
        counter: 1,
    };
    let message = Message::Return {
        loan,
        delta: Units(2),
        fence: 0,
        value: None,
        colour: None,
    };
    let crime = top.on_message(NOW, DEBTOR, message, &mut Fx::new());
    assert_eq!(crime, Err(PeerMisbehaved::ReturnAboveLoan));
    assert_eq!(top, before);
}

#[test]
fn a_creditor_s_message_from_a_debtor_is_a_crime() {
    let (mut top, _) = lent(Policy::Exact, 1);
    let message = Message::Recall {
        loan: LoanId::default(),
        steps: Steps::new(),
    };
    let crime = top.on_message(NOW, DEBTOR, message, &mut Fx::new());
    assert_eq!(crime, Err(PeerMisbehaved::WrongDirection));
}

#[test]
fn a_debtor_that_writes_on_and_on_gets_a_higher_limit_before_it_runs_out() {
    let (mut top, mut leaf) = lent(Policy::Exact, ALL);
    leaf.release(NOW, token(1), &mut Fx::new());
    let (mut last, mut messages) = (0, 0);
    for _ in 0..20_000 {
        let mut up = Fx::new();
        leaf.acquire(NOW, request(1, ALL), &mut up);
        assert_eq!(grants(&up), [1]);
        let fence = leaf.hold(token(1)).expect("held").fence;
        assert!(fence > last && fence <= leaf.fence().limit());
        last = fence;
        leaf.release(NOW, token(1), &mut up);
        messages += run((&mut top, DEBTOR), &mut leaf, up, Fx::new()).0;
    }
    assert!((2..=10).contains(&messages), "{messages} messages");
}

/// A debtor that wrote on and on under one loan, was given ever more room for it, and sent everything
/// home before it used that.
fn with_room_from_a_former_loan() -> (UnitsOwner, UnitsOwner) {
    let (mut top, mut leaf) = lent(Policy::Exact, ALL);
    leaf.release(NOW, token(1), &mut Fx::new());
    for _ in 0..12_000 {
        write((&mut top, DEBTOR), &mut leaf);
    }
    let mut up = Fx::new();
    leaf.return_spare(NOW, &mut up);
    run((&mut top, DEBTOR), &mut leaf, up, Fx::new());
    assert_eq!(top.lent(), &Units(0));
    (top, leaf)
}

/// One write, and its token.
fn write(top: (&mut UnitsOwner, PeerId), leaf: &mut UnitsOwner) -> u64 {
    let mut up = Fx::new();
    leaf.acquire(NOW, request(1, ALL), &mut up);
    run(top, leaf, up, Fx::new());
    let token_number = leaf.hold(token(1)).expect("held").fence;
    leaf.release(NOW, token(1), &mut Fx::new());
    token_number
}

#[test]
fn the_limit_of_a_loan_that_ended_is_none_of_the_next_loan() {
    let (mut top, mut leaf) = with_room_from_a_former_loan();
    write((&mut top, DEBTOR), &mut leaf);
    let limit = leaf.fence().limit();
    top.on_debtor_down(NOW, DEBTOR, &mut Fx::new());
    assert!(
        top.fence().now() >= limit,
        "the dead debtor may have given out tokens above those of the next holder"
    );
}

#[test]
fn a_debtor_with_room_from_a_former_loan_writes_on_and_on_in_the_next() {
    let (mut top, mut leaf) = with_room_from_a_former_loan();
    let mut last = 0;
    for _ in 0..30_000 {
        let token = write((&mut top, DEBTOR), &mut leaf);
        assert!(token > last);
        last = token;
    }
}

#[test]
fn a_limit_that_was_owed_under_a_loan_that_ended_is_asked_for_no_more() {
    let mut middle = debtor(Policy::Exact);
    let mut hear = |from, message| {
        let mut fx = Fx::new();
        middle
            .on_message(NOW, from, message, &mut fx)
            .expect("of a correct peer");
        sent(&fx)
    };
    let asks = |sent: &[Message<Units>]| {
        let is_asked = |message| matches!(message, &Message::AskLimit { .. });
        sent.iter().any(is_asked)
    };
    let own = LoanId {
        epoch: 1,
        counter: 1,
    };
    let Message::Grant(some) = grant(own, 1, 4) else {
        unreachable!("a grant")
    };
    hear(DEBTOR, want(1, 4));
    // Too few numbers for more than one debtor.
    let lent = hear(CREDITOR, Message::Grant(Grant { limit: 100, ..some }));
    let [Message::Grant(lent)] = &*lent else {
        panic!("lent on: {lent:?}")
    };
    let loan = lent.loan;
    assert!(asks(&hear(DEBTOR, Message::AskLimit { loan })));
    // It gives back what it had, and waits for more than there is here.
    hear(DEBTOR, want(2, ALL));
    let back = Message::Return {
        loan,
        delta: Units(4),
        fence: 2,
        value: None,
        colour: None,
    };
    hear(DEBTOR, back);
    let limit = Message::Limit {
        loan: own,
        limit: 200,
    };
    assert!(!asks(&hear(CREDITOR, limit)));
}

#[test]
fn what_nobody_uses_can_be_sent_back() {
    let (mut top, mut leaf) = lent(Policy::Max, 1);
    let mut up = Fx::new();
    leaf.return_spare(NOW, &mut up);
    run((&mut top, DEBTOR), &mut leaf, up, Fx::new());
    assert_eq!((top.lent(), leaf.borrowed()), (&Units(1), &Units(1)));
}

#[test]
fn a_debtor_that_waits_for_numbers_gets_them_from_the_next_epoch() {
    let mut top = UnitsOwner::root(
        settings(Policy::Exact),
        Units(ALL),
        1,
        (2 << 32) - 64,
        LoanId::default(),
    );
    let (mut leaf, mut writes) = (debtor(Policy::Exact), 0);
    for _ in 0..100 {
        let mut up = Fx::new();
        leaf.acquire(NOW, request(1, ALL), &mut up);
        let (_, _, below) = run((&mut top, DEBTOR), &mut leaf, up, Fx::new());
        if below.is_empty() && leaf.hold(token(1)).is_none() {
            break;
        }
        writes += 1;
        leaf.release(NOW, token(1), &mut Fx::new());
    }
    assert!(writes < 64 && top.needs_epoch(), "{writes} writes");
    let mut down = Fx::new();
    top.on_epoch(NOW, 2, &mut down);
    let (_, _, below) = run((&mut top, DEBTOR), &mut leaf, Fx::new(), down);
    assert_eq!(below, [1]);
    assert!(!top.needs_epoch());
}

#[test]
fn an_owner_that_was_shut_down_decides_nothing_any_more() {
    let (mut top, mut fx) = (root(Policy::Exact), Fx::new());
    top.acquire(NOW, request(1, ALL), &mut fx);
    top.acquire(NOW, request(2, 1), &mut fx);
    let mut fx = Fx::new();
    top.shut_down(&mut fx);
    top.acquire(NOW, request(3, 1), &mut fx);
    let lost = Effect::Lost {
        token: token(1),
        why: LostReason::ShutDown,
    };
    let denied = |index| Effect::Deny {
        token: token(index),
        why: Denied::ShuttingDown,
    };
    assert_eq!(fx.as_slice(), [lost, denied(2), denied(3)]);
    assert!(top.take(NOW, token(4), &Units(1), None).is_none());
}
