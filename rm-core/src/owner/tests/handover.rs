//! A debtor between two roots, and the messages between the three.

use super::units::*;
use crate::access::Access;
use crate::book::{Book, Lessee, Opening};
use crate::effect::Effect;
use crate::error::LostReason;
use crate::id::{Boot, LoanId, NodeId, Party, PeerId};
use crate::message::Message;
use crate::owner::{Origin, Owner};
use crate::policy::Policy;

/// What the roots call the debtor, and the pseudo peer that stands for it.
const DEBTOR: PeerId = PeerId(1);
const ABSENT: PeerId = PeerId(1_000);
/// What the debtor calls the second root.
const SECOND: PeerId = PeerId(101);

const PARTY: Party = Party {
    node: NodeId(9),
    boot: Boot(9),
};

/// The debtor, the first root and the second, which gathers.
struct Three {
    leaf: UnitsOwner,
    first: UnitsOwner,
    second: UnitsOwner,
}

fn from(peer: PeerId, epoch: u32) -> Origin {
    let party = PARTY;
    Origin {
        peer,
        party,
        epoch,
        may_have: Access::Exclusive,
    }
}

impl Three {
    /// The debtor holds 3 by request 1.
    fn new() -> Self {
        let mut three = Self {
            leaf: debtor(Policy::Exact),
            first: root(Policy::Exact),
            second: Owner::gathering(settings(Policy::Exact), Units(ALL), 2, 0, LoanId::default()),
        };
        let mut fx = Fx::new();
        three.leaf.acquire(NOW, request(1, 3), &mut fx);
        run((&mut three.first, DEBTOR), &mut three.leaf, fx, Fx::new());
        three
    }

    /// The first root's last word, with which the second begins. Returns what the second says.
    fn activate(&mut self) -> Fx {
        let book = self.first.book(|_| Lessee::Party(PARTY));
        let mut fx = Fx::new();
        self.second.activate(NOW, 2, opening(book), &mut fx);
        fx
    }

    /// The debtor adopts the second view. Returns what it says to the second root.
    fn move_leaf(&mut self) -> Fx {
        let mut fx = Fx::new();
        self.leaf.on_root_moved(NOW, &mut Fx::new());
        self.leaf.on_creditor_up(NOW, SECOND, 2, &mut fx);
        fx
    }

    /// Passes messages between debtor and second root until there are none.
    fn settle(&mut self, mut up: Fx, mut down: Fx) {
        while !up.is_empty() || !down.is_empty() {
            let (ups, downs) = (sent(&up), sent(&down));
            (up, down) = (Fx::new(), Fx::new());
            for message in ups {
                let heard = self
                    .second
                    .on_message(NOW, from(DEBTOR, 2), message, &mut down);
                heard.expect("a correct debtor");
            }
            for message in downs {
                let heard = self.leaf.on_message(NOW, from(SECOND, 2), message, &mut up);
                heard.expect("a correct root");
            }
            self.leaf.check();
            self.second.check();
        }
    }

    /// The book of the second root says of the debtor what it has.
    #[track_caller]
    fn assert_agreed(&self, units: u64) {
        assert_eq!(self.leaf.borrowed(), &Units(units));
        assert_eq!(self.second.lent(), &Units(units));
        let lent = self.second.loan(DEBTOR).copied();
        assert_eq!(lent.unwrap_or(Units(0)), Units(units));
        assert_eq!(self.second.cached(), &Units(ALL - units));
    }
}

fn opening(book: Book<Units>) -> Opening<Units> {
    Opening::of_book(book, |_| ABSENT)
}

#[test]
fn a_loan_moves_with_its_hold_whether_the_claim_or_the_book_comes_first() {
    for claim_first in [true, false] {
        let mut three = Three::new();
        if claim_first {
            let up = three.move_leaf();
            three.settle(up, Fx::new());
            assert!(three.leaf.is_orphan(), "it is answered by the book");
            let down = three.activate();
            three.settle(Fx::new(), down);
        } else {
            three.activate();
            let up = three.move_leaf();
            three.settle(up, Fx::new());
        }
        three.assert_agreed(3);
        assert!(three.leaf.hold(token(1)).is_some());
        assert!(!three.leaf.is_orphan());
    }
}

#[test]
fn a_hold_survives_the_loss_of_the_book() {
    let mut three = Three::new();
    let up = three.move_leaf();
    three.settle(up, Fx::new());
    let (mut down, everybody) = (Fx::new(), Opening::unknown(ABSENT, Units(ALL)));
    three.second.activate(NOW, 2, everybody, &mut down);
    three.settle(Fx::new(), down);
    assert_eq!(three.second.loan(ABSENT), Some(&Units(ALL - 3)));
    three.second.on_debtor_down(NOW, ABSENT, &mut Fx::new());
    three.assert_agreed(3);
}

#[test]
fn a_grant_in_flight_from_the_former_root_goes_back_to_it_and_the_want_is_served_by_the_next() {
    let mut three = Three::new();
    let (mut up, mut late) = (Fx::new(), Fx::new());
    three.leaf.acquire(NOW, request(2, 2), &mut up);
    let want = sent(&up).remove(0);
    let heard = three.first.on_message(NOW, DEBTOR, want, &mut late);
    heard.expect("a want");
    three.activate();
    let up = three.move_leaf();
    let mut back = Fx::new();
    let grant = sent(&late).remove(0);
    let heard = three
        .leaf
        .on_message(NOW, from(CREDITOR, 1), grant, &mut back);
    heard.expect("it is only late");
    let [Effect::Send { to: CREDITOR, .. }] = back.as_slice() else {
        panic!("back to its sender: {back:?}")
    };
    three.settle(up, Fx::new());
    assert!(three.leaf.hold(token(2)).is_some());
    three.assert_agreed(5);
}

#[test]
fn a_return_in_flight_to_the_former_root_is_free_at_the_next() {
    let mut three = Three::new();
    let mut fx = Fx::new();
    three.leaf.acquire(NOW, request(2, 2), &mut fx);
    run((&mut three.first, DEBTOR), &mut three.leaf, fx, Fx::new());
    three.leaf.release(NOW, token(2), &mut Fx::new());
    three.leaf.return_spare(NOW, &mut Fx::new());
    assert_eq!(three.first.lent(), &Units(5));
    three.activate();
    let up = three.move_leaf();
    three.settle(up, Fx::new());
    three.assert_agreed(3);
}

#[test]
fn a_return_of_everything_in_flight_is_free_at_the_next_too() {
    let mut three = Three::new();
    three.leaf.release(NOW, token(1), &mut Fx::new());
    three.leaf.return_spare(NOW, &mut Fx::new());
    three.activate();
    let up = three.move_leaf();
    three.settle(up, Fx::new());
    three.assert_agreed(0);
}

#[test]
fn an_orphan_that_ends_before_its_answer_is_sent_back_and_one_after_it_is_not() {
    let mut three = Three::new();
    let up = three.move_leaf();
    three.settle(up, Fx::new());
    let why = LostReason::LeaseExpired;
    three.leaf.on_orphan_lost(NOW, why, &mut Fx::new());
    let down = three.activate();
    three.settle(Fx::new(), down);
    three.assert_agreed(0);

    let mut three = Three::new();
    three.activate();
    let up = three.move_leaf();
    three.settle(up, Fx::new());
    three.leaf.on_orphan_lost(NOW, why, &mut Fx::new());
    three.assert_agreed(3);
}

#[test]
fn an_orphan_that_was_lost_before_it_was_claimed_is_free_at_once() {
    let mut three = Three::new();
    three.activate();
    three.leaf.on_root_moved(NOW, &mut Fx::new());
    let why = LostReason::LeaseExpired;
    three.leaf.on_orphan_lost(NOW, why, &mut Fx::new());
    let mut up = Fx::new();
    three.leaf.on_creditor_up(NOW, SECOND, 2, &mut up);
    three.settle(up, Fx::new());
    three.assert_agreed(0);
}

#[test]
fn a_root_that_stays_one_while_the_debtor_skips_epochs_confirms_its_own_loan() {
    let mut three = Three::new();
    three.activate();
    let up = three.move_leaf();
    three.settle(up, Fx::new());
    three.second.on_epoch(NOW, 5, &mut Fx::new());
    three.leaf.on_root_moved(NOW, &mut Fx::new());
    let mut up = Fx::new();
    three.leaf.on_creditor_up(NOW, SECOND, 5, &mut up);
    three.settle(up, Fx::new());
    three.assert_agreed(3);
    assert_eq!(three.second.loan_id(DEBTOR).map(|loan| loan.epoch), Some(5));
}

#[test]
fn a_claim_repeated_before_its_first_answer_leaves_one_loan() {
    let mut three = Three::new();
    three.activate();
    let mut up = three.move_leaf();
    three.second.on_epoch(NOW, 4, &mut Fx::new());
    three.leaf.on_root_moved(NOW, &mut up);
    three.leaf.on_creditor_up(NOW, SECOND, 4, &mut up);
    assert_eq!(sent(&up).len(), 2);
    three.settle(up, Fx::new());
    three.assert_agreed(3);
}

#[test]
fn a_writer_after_a_move_has_a_larger_token_than_the_reader_before_it() {
    let mut three = Three::new();
    let before = three.leaf.hold(token(1)).expect("it holds").fence;
    three.activate();
    let up = three.move_leaf();
    three.settle(up, Fx::new());
    let mut up = Fx::new();
    three.leaf.release(NOW, token(1), &mut up);
    three.leaf.acquire(NOW, request(2, ALL), &mut up);
    three.settle(up, Fx::new());
    let after = three.leaf.hold(token(2)).expect("it holds").fence;
    assert!(after > before, "{after:#x} after {before:#x}");
    assert_eq!(after >> 32, 2, "of the new root's epoch");
}

#[test]
fn an_orphan_whose_credit_was_closed_and_lent_again_is_refused() {
    let mut three = Three::new();
    let mut fx = Fx::new();
    three.first.close_loans(NOW, None, &"admin".into(), &mut fx);
    three.first.acquire(NOW, request(8, ALL), &mut fx);
    three.first.release(NOW, token(8), &mut fx);
    let down = three.activate();
    assert!(down.is_empty());
    let up = three.move_leaf();
    assert!(matches!(sent(&up)[..], [Message::Claim(_)]));
    three.settle(up, Fx::new());
    three.assert_agreed(0);
    assert!(three.leaf.hold(token(1)).is_none());
}
