//! What a new root takes over beside loans: the value, and the places of those who waited.

use core::time::Duration;

use super::tenure::*;
use super::units::*;
use crate::book::Opening;
use crate::id::{Order, PeerId};
use crate::message::{Claim, Message, Want};

#[test]
fn a_claim_of_any_credit_brings_the_value_of_its_time() {
    for known in [Some(value(4, b"v")), None] {
        let mut owner = bereft();
        owner.doubt_value();
        let claim = Claim {
            value: known.clone(),
            ..claim_of(EPOCH, OLD, 1)
        };
        hear(&mut owner, DEBTOR, Message::Claim(claim));
        assert_eq!(owner.value(), known.as_ref());
        owner.on_debtor_down(NOW, UNKNOWN, &mut Fx::new());
        assert_eq!(owner.value(), known.as_ref(), "no writer can have been");
    }
}

#[test]
fn the_value_is_doubtful_where_the_unknown_may_have_written() {
    let mut owner = bereft();
    owner.on_debtor_down(NOW, UNKNOWN, &mut Fx::new());
    assert!(owner.value().is_some_and(|value| value.is_doubtful()));
}

#[test]
fn the_value_is_doubtful_where_a_writer_claims_nothing() {
    for (units, doubtful) in [(ALL, true), (ALL - 1, false)] {
        let mut opening = opening(units);
        opening.value = Some(value(4, b"v"));
        let mut owner = activated(opening);
        hear(&mut owner, DEBTOR, claim(0));
        let known = owner.value().expect("a value");
        assert_eq!(known.is_doubtful(), doubtful);
    }
}

fn of(peer: PeerId, number: u64) -> Order {
    Order {
        party: party(peer),
        ..order(number)
    }
}

fn want_of(peer: PeerId, number: u64, units: u64) -> Message<Units> {
    let Message::Want(asked) = want(number, units) else {
        unreachable!("a want")
    };
    let order = of(peer, number);
    Message::Want(Want { order, ..asked })
}

#[test]
fn a_request_that_waited_bars_younger_ones_until_its_party_asks() {
    let mut opening = Opening::free();
    opening.waiting = vec![of(DEBTOR, 3)];
    let mut owner = activated(opening);
    let fx = hear(&mut owner, OTHER, want_of(OTHER, 4, 2));
    assert!(fx.is_empty());
    let fx = hear(&mut owner, OTHER, want_of(OTHER, 2, 1));
    assert_eq!(granted(&fx), [2], "an older one is not barred");
    let fx = hear(&mut owner, DEBTOR, want_of(DEBTOR, 3, ALL - 1));
    assert_eq!(granted(&fx), [3]);
}

#[test]
fn a_request_that_waited_bars_nobody_when_its_party_asks_for_something_younger_or_a_second_is_over()
{
    let mut opening = Opening::free();
    opening.waiting = vec![of(DEBTOR, 3)];
    let mut owner = activated(opening.clone());
    let fx = hear(&mut owner, DEBTOR, want_of(DEBTOR, 9, 1));
    assert_eq!(granted(&fx), [9]);
    let mut owner = activated(opening);
    hear(&mut owner, OTHER, want_of(OTHER, 4, 2));
    let end = NOW.after(Duration::from_secs(1));
    assert_eq!(owner.next_deadline(), Some(end));
    let mut fx = Fx::new();
    owner.on_deadline(end, &mut fx);
    assert_eq!(granted(&fx), [4]);
    assert_eq!(owner.next_deadline(), None);
}
