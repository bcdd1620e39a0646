//! Who is said to be in the way of whom.

use super::units::*;
use crate::id::{LoanId, Order, PeerId};
use crate::message::{Message, Step};
use crate::policy::Policy;

const LOAN: LoanId = LoanId {
    epoch: 1,
    counter: 1,
};

fn numbers(orders: &[Order]) -> Vec<u64> {
    orders.iter().map(|order| order.seq).collect()
}

#[test]
fn a_younger_reader_waits_behind_the_writer_and_the_writer_for_the_holder() {
    let (mut owner, mut fx) = (root(Policy::Exact), Fx::new());
    for (index, units) in [(1, 1), (2, ALL), (3, 1), (4, 1)] {
        owner.acquire(NOW, request(index, units), &mut fx);
    }
    let jam = owner.jam();
    assert_eq!(numbers(&jam.wanting(token(1))), [2]);
    assert_eq!(numbers(&jam.behind(order(2))), []);
    assert_eq!(numbers(&jam.behind(order(3))), [2]);
    assert_eq!(
        numbers(&jam.behind(order(4))),
        [2],
        "readers do not bar readers"
    );
}

#[test]
fn of_those_in_front_only_the_nearest_are_named() {
    let (mut owner, mut fx) = (root(Policy::Exact), Fx::new());
    for index in 1..=4 {
        owner.acquire(NOW, request(index, ALL), &mut fx);
    }
    let jam = owner.jam();
    assert_eq!(numbers(&jam.behind(order(4))), [3]);
    assert_eq!(numbers(&jam.behind(order(3))), [2]);
    assert_eq!(numbers(&jam.wanting(token(1))), [2]);
}

#[test]
fn a_holder_that_leaves_enough_is_in_nobodys_way() {
    let (mut owner, mut fx) = (root(Policy::Exact), Fx::new());
    owner.acquire(NOW, request(1, 1), &mut fx);
    owner.acquire(NOW, request(2, ALL - 1), &mut fx);
    assert_eq!(owner.jam().wanting(token(1)), []);
}

#[test]
fn at_a_debtor_the_request_is_named_for_which_the_creditor_recalls() {
    let (mut owner, mut fx) = (debtor(Policy::Exact), Fx::new());
    owner.acquire(NOW, request(1, ALL), &mut fx);
    owner
        .on_message(NOW, CREDITOR, grant(LOAN, 1, ALL), &mut fx)
        .expect("a grant");
    let step = Step {
        order: order(7),
        keep: Units(0),
        try_only: false,
        whole: true,
        note: None,
    };
    let recall = Message::Recall {
        loan: LOAN,
        steps: core::iter::once(step).collect(),
    };
    owner
        .on_message(NOW, CREDITOR, recall, &mut fx)
        .expect("a recall");
    owner.acquire(NOW, request(8, 1), &mut fx);
    let jam = owner.jam();
    assert_eq!(numbers(&jam.wanting(token(1))), [7]);
    assert_eq!(numbers(&jam.behind(order(8))), [7]);
}

#[test]
fn a_creditor_names_for_whom_it_asked_a_debtor() {
    let (mut top, mut leaf, mut fx) = (root(Policy::Exact), debtor(Policy::Exact), Fx::new());
    leaf.acquire(NOW, request(1, 1), &mut fx);
    run((&mut top, PeerId(1)), &mut leaf, fx, Fx::new());
    assert_eq!(top.debtor_wanted_by(PeerId(1)), []);
    top.acquire(NOW, request(2, ALL), &mut Fx::new());
    assert_eq!(numbers(&top.debtor_wanted_by(PeerId(1))), [2]);
}
