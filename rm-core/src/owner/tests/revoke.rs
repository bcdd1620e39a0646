//! Forced release, politely and hard.

use std::sync::Arc;

use super::units::*;
use crate::credit::Credit as _;
use crate::effect::Effect;
use crate::error::LostReason;
use crate::id::PeerId;
use crate::message::Message;
use crate::policy::Policy;

const DEBTOR: PeerId = PeerId(1);

fn reason() -> Arc<str> {
    "admin: maintenance".into()
}

/// A root, and a debtor that holds 3 by request 1 and caches 2.
fn lent() -> (UnitsOwner, UnitsOwner) {
    let (mut top, mut leaf) = (root(Policy::Exact), debtor(Policy::Exact));
    for (index, units) in [(1, 3), (2, 2)] {
        let mut fx = Fx::new();
        leaf.acquire(NOW, request(index, units), &mut fx);
        run((&mut top, DEBTOR), &mut leaf, fx, Fx::new());
    }
    leaf.release(NOW, token(2), &mut Fx::new());
    (top, leaf)
}

/// Delivers what was sent to the debtor, and returns all that it did.
fn down(leaf: &mut UnitsOwner, fx: &Fx) -> Fx {
    let mut below = Fx::new();
    for message in sent(fx) {
        leaf.on_message(NOW, CREDITOR, message, &mut below)
            .expect("a correct creditor");
        leaf.check();
    }
    below
}

#[test]
fn a_debtor_that_is_asked_loses_its_holds_and_returns_all_with_its_number() {
    let (mut top, mut leaf) = lent();
    let mut fx = Fx::new();
    top.revoke(Some(DEBTOR), &reason(), &mut fx);
    let below = down(&mut leaf, &fx);
    assert_eq!(losses(&below), [(1, LostReason::Revoked)]);
    let fence = leaf.fence().now();
    let [
        Message::Return {
            delta,
            fence: number,
            ..
        },
    ] = sent(&below)[..]
    else {
        panic!("one return: {below:?}")
    };
    assert_eq!((delta, number), (Units(5), fence));
    run((&mut top, DEBTOR), &mut leaf, below, Fx::new());
    assert_eq!(top.cached(), &Units(ALL));
    assert!(leaf.is_idle());
}

#[test]
fn what_waits_at_a_debtor_that_is_asked_gets_nothing_of_it_and_is_asked_for_anew() {
    let (mut top, mut leaf) = lent();
    top.acquire(NOW, request(8, 3), &mut Fx::new());
    let mut up = Fx::new();
    leaf.acquire(NOW, request(9, 4), &mut up);
    run((&mut top, DEBTOR), &mut leaf, up, Fx::new());
    let mut fx = Fx::new();
    top.revoke(None, &reason(), &mut fx);
    let below = down(&mut leaf, &fx);
    assert_eq!(grants(&below), []);
    assert!(matches!(
        sent(&below)[0],
        Message::Return {
            delta: Units(5),
            ..
        }
    ));
    let (_, _, granted) = run((&mut top, DEBTOR), &mut leaf, below, Fx::new());
    assert_eq!(granted, [9]);
}

#[test]
fn a_revocation_of_a_former_loan_does_nothing() {
    let (_, mut leaf) = lent();
    let before = leaf.clone();
    let loan = crate::id::LoanId::default();
    let reason = reason();
    let mut fx = Fx::new();
    leaf.on_message(NOW, CREDITOR, Message::Revoke { loan, reason }, &mut fx)
        .expect("it is only late");
    assert!(fx.is_empty());
    assert_eq!(leaf, before);
}

#[test]
fn a_writer_that_is_revoked_leaves_a_doubtful_value() {
    let (mut top, mut leaf) = (root(Policy::Exact), debtor(Policy::Exact));
    let mut fx = Fx::new();
    leaf.acquire(NOW, request(1, ALL), &mut fx);
    run((&mut top, DEBTOR), &mut leaf, fx, Fx::new());
    leaf.write_value(token(1), b"half").expect("it may");
    let mut fx = Fx::new();
    top.revoke(None, &reason(), &mut fx);
    let below = down(&mut leaf, &fx);
    run((&mut top, DEBTOR), &mut leaf, below, Fx::new());
    let value = top.value().expect("what it wrote");
    assert_eq!(
        (&value.bytes[..], value.is_doubtful()),
        (&b"half"[..], true)
    );
}

#[test]
fn a_middle_owner_passes_it_on_and_keeps_nothing_of_what_comes() {
    let (mut middle, below) = (debtor(Policy::Exact), PeerId(7));
    let name = crate::id::LoanId {
        epoch: 1,
        counter: 1,
    };
    let mut fx = Fx::new();
    middle
        .on_message(NOW, below, want(1, 3), &mut fx)
        .expect("a want");
    middle
        .on_message(NOW, CREDITOR, grant(name, 1, 5), &mut fx)
        .expect("a grant");
    let lent = middle.loan_id(below).expect("lent on");
    let revoke = Message::Revoke {
        loan: name,
        reason: reason(),
    };
    let mut fx = Fx::new();
    middle
        .on_message(NOW, CREDITOR, revoke, &mut fx)
        .expect("a correct creditor");
    let passed = Effect::Send {
        to: below,
        message: Message::Revoke {
            loan: lent,
            reason: reason(),
        },
    };
    assert!(fx.as_slice().contains(&passed));
    assert_eq!(middle.borrowed(), &Units(3));
    // An older request here would take what comes, if it could.
    middle.acquire(NOW, request(2, 3), &mut Fx::new());
    let back = Message::Return {
        loan: lent,
        delta: Units(3),
        fence: 0,
        value: None,
        colour: None,
    };
    let mut fx = Fx::new();
    middle
        .on_message(NOW, below, back, &mut fx)
        .expect("a return");
    assert_eq!(grants(&fx), []);
    assert!(middle.borrowed().is_empty());
    middle.check();
}

#[test]
fn a_loan_closed_at_once_is_free_with_later_numbers_and_a_late_return_doubles_nothing() {
    let (mut top, leaf) = lent();
    let limit = leaf.fence().limit();
    let id = top.loan_id(DEBTOR).expect("lent");
    let mut fx = Fx::new();
    top.acquire(NOW, request(9, ALL), &mut Fx::new());
    top.close_loans(NOW, Some(DEBTOR), &reason(), &mut fx);
    top.check();
    let [Effect::Send { .. }, Effect::Grant { fence, .. }] = fx.as_slice() else {
        panic!("told, and granted: {fx:?}")
    };
    assert!(*fence > limit);
    let late = Message::Return {
        loan: id,
        delta: Units(5),
        fence: 0,
        value: None,
        colour: None,
    };
    top.on_message(NOW, DEBTOR, late, &mut Fx::new())
        .expect("it is only late");
    top.check();
    assert_eq!(top.borrowed(), &Units(ALL));
}

#[test]
fn the_old_holder_is_told_and_can_borrow_again() {
    let (mut top, mut leaf) = lent();
    let mut up = Fx::new();
    leaf.acquire(NOW, request(3, ALL), &mut up);
    run((&mut top, DEBTOR), &mut leaf, up, Fx::new());
    let mut fx = Fx::new();
    top.close_loans(NOW, None, &reason(), &mut fx);
    let below = down(&mut leaf, &fx);
    assert_eq!(losses(&below), [(1, LostReason::Revoked)]);
    run((&mut top, DEBTOR), &mut leaf, below, Fx::new());
    assert!(leaf.hold(token(3)).is_some());
    assert_eq!(leaf.borrowed(), &Units(ALL));
}

#[test]
fn a_writer_s_loan_closed_at_once_leaves_a_doubtful_value() {
    let (mut top, mut leaf) = (root(Policy::Exact), debtor(Policy::Exact));
    let mut fx = Fx::new();
    leaf.acquire(NOW, request(1, ALL), &mut fx);
    run((&mut top, DEBTOR), &mut leaf, fx, Fx::new());
    top.close_loans(NOW, None, &reason(), &mut Fx::new());
    assert!(top.value().is_some_and(|value| value.is_doubtful()));
}
