//! The value: where it goes, who may write it, whom an owner believes, and when it is doubtful.

use std::sync::Arc;

use super::units::*;
use crate::error::{LostReason, PeerMisbehaved};
use crate::id::{GroupId, LoanId, PeerId};
use crate::message::{Grant, Message, Steps};
use crate::owner::Conversion;
use crate::owner::Request;
use crate::policy::Policy;
use crate::value::{VALUE_BYTES_MAX, Value, ValueState, WriteError};

const DEBTOR: PeerId = PeerId(1);
const OTHER: PeerId = PeerId(2);
/// The first loan of a root.
const LOAN: LoanId = LoanId {
    epoch: 1,
    counter: 1,
};

/// A request of the debtor for `units`, up to its grant.
fn borrow(top: &mut UnitsOwner, name: PeerId, leaf: &mut UnitsOwner, index: u32, units: u64) {
    let mut fx = Fx::new();
    leaf.acquire(NOW, request(index, units), &mut fx);
    let (_, _, below) = run((top, name), leaf, fx, Fx::new());
    assert_eq!(below, [index]);
}

/// All that the debtor has and nobody there uses goes back.
fn send_home(top: &mut UnitsOwner, name: PeerId, leaf: &mut UnitsOwner) {
    let mut fx = Fx::new();
    leaf.return_spare(NOW, &mut fx);
    run((top, name), leaf, fx, Fx::new());
}

fn write(owner: &mut UnitsOwner, index: u32, bytes: &[u8]) {
    owner.write_value(token(index), bytes).expect("it may");
    owner.check();
}

/// A root, and a debtor that wrote `a` and still holds everything.
fn written() -> (UnitsOwner, UnitsOwner) {
    let (mut top, mut leaf) = (root(Policy::Exact), debtor(Policy::Exact));
    borrow(&mut top, DEBTOR, &mut leaf, 1, ALL);
    write(&mut leaf, 1, b"a");
    (top, leaf)
}

fn returned(delta: u64, fence: u64, value: Value) -> Message<Units> {
    Message::Return {
        loan: LOAN,
        delta: Units(delta),
        fence,
        value: Some(Arc::new(value)),
        colour: None,
    }
}

fn value(version: u64, bytes: &[u8]) -> Value {
    Value {
        version,
        state: ValueState::Sure,
        bytes: bytes.into(),
    }
}

fn known(owner: &UnitsOwner) -> Option<(&[u8], ValueState)> {
    let value = owner.value()?;
    Some((&value.bytes, value.state))
}

const SURE_A: Option<(&[u8], ValueState)> = Some((b"a", ValueState::Sure));
const DOUBTFUL_A: Option<(&[u8], ValueState)> = Some((b"a", ValueState::Doubtful));
const UNKNOWN: Option<(&[u8], ValueState)> = Some((b"", ValueState::Doubtful));

#[test]
fn only_a_holder_of_everything_writes() {
    let (mut top, mut fx) = (root(Policy::Exact), Fx::new());
    top.acquire(NOW, request(1, ALL - 1), &mut fx);
    assert_eq!(
        top.write_value(token(1), b"a"),
        Err(WriteError::NotExclusive)
    );
    let conversion = Conversion::new(token(1), converting(2), Units(ALL));
    top.convert(NOW, conversion, &mut fx);
    assert_eq!(top.write_value(token(1), b"a"), Ok(()));
    top.reduce(NOW, token(1), &Units(1), &mut fx);
    assert_eq!(
        top.write_value(token(1), b"b"),
        Err(WriteError::NotExclusive)
    );
    assert_eq!(known(&top), SURE_A);
}

#[test]
fn a_value_over_the_limit_is_not_written() {
    let mut top = root(Policy::Exact);
    top.acquire(NOW, request(1, ALL), &mut Fx::new());
    assert_eq!(top.write_value(token(1), &[0; 1024]), Ok(()));
    let error = top.write_value(token(1), &[0; 1025]);
    let (bytes, max) = (1025, 1024);
    assert_eq!(error, Err(WriteError::TooLarge { bytes, max }));
}

#[test]
fn its_version_is_the_token_of_the_hold_that_wrote_it() {
    let (_, leaf) = written();
    let fence = leaf.hold(token(1)).expect("held").fence;
    assert_eq!(leaf.value().map(|value| value.version), Some(fence));
}

#[test]
fn members_of_a_group_write_in_turn_and_no_version_is_below_the_one_before() {
    let mut top = root(Policy::Exact);
    for index in [1, 2] {
        let member = Request {
            group: Some(GroupId(1)),
            ..request(index, ALL)
        };
        top.acquire(NOW, member, &mut Fx::new());
    }
    write(&mut top, 2, b"b");
    let version = top.value().expect("written").version;
    write(&mut top, 1, b"a");
    assert_eq!(known(&top), SURE_A);
    assert!(top.value().expect("written").version >= version);
}

#[test]
fn writing_sends_nothing_and_the_next_return_takes_the_value_up_once() {
    let (mut top, mut leaf) = written();
    assert_eq!(known(&top), None);
    let mut up = Fx::new();
    leaf.reduce(NOW, token(1), &Units(2), &mut up);
    assert_eq!(sent(&up), [], "nobody asks for it");
    leaf.return_spare(NOW, &mut up);
    let first = leaf.value().cloned();
    assert!(
        matches!(&sent(&up)[..], [Message::Return { value, .. }] if *value == first && first.is_some())
    );
    run((&mut top, DEBTOR), &mut leaf, up, Fx::new());
    assert_eq!((known(&top), known(&leaf)), (SURE_A, SURE_A));
    let mut up = Fx::new();
    leaf.reduce(NOW, token(1), &Units(1), &mut up);
    leaf.return_spare(NOW, &mut up);
    assert!(matches!(
        sent(&up)[..],
        [Message::Return { value: None, .. }]
    ));
}

#[test]
fn it_goes_down_with_the_grant_that_opens_a_loan_and_no_other() {
    let (mut top, mut leaf) = written();
    leaf.release(NOW, token(1), &mut Fx::new());
    send_home(&mut top, DEBTOR, &mut leaf);
    for (index, goes_down) in [(2, true), (3, false)] {
        let (mut up, mut down) = (Fx::new(), Fx::new());
        leaf.acquire(NOW, request(index, 1), &mut up);
        for message in sent(&up) {
            top.on_message(NOW, DEBTOR, message, &mut down)
                .expect("a want");
        }
        let [Message::Grant(grant)] = &sent(&down)[..] else {
            panic!("granted: {down:?}");
        };
        assert_eq!(grant.value.is_some(), goes_down, "request {index}");
        run((&mut top, DEBTOR), &mut leaf, Fx::new(), down);
        assert_eq!(known(&leaf), SURE_A);
    }
}

#[test]
fn a_debtor_without_credit_knows_no_value() {
    let (mut top, mut leaf) = written();
    leaf.release(NOW, token(1), &mut Fx::new());
    assert!(leaf.unreturned_value().is_some());
    send_home(&mut top, DEBTOR, &mut leaf);
    assert_eq!((known(&top), known(&leaf)), (SURE_A, None));
    assert!(leaf.is_idle() && leaf.unreturned_value().is_none());
}

#[test]
fn a_root_with_a_value_does_not_vanish_and_one_whose_value_is_empty_may() {
    let mut top = root(Policy::Exact);
    for (bytes, may_vanish) in [(&b"a"[..], false), (b"", true)] {
        top.acquire(NOW, request(1, ALL), &mut Fx::new());
        write(&mut top, 1, bytes);
        top.release(NOW, token(1), &mut Fx::new());
        assert_eq!(top.is_idle(), may_vanish);
    }
}

#[test]
fn a_recall_that_crosses_the_return_of_a_writer_changes_nothing_about_its_value() {
    let (mut top, mut leaf) = written();
    let (mut up, mut down) = (Fx::new(), Fx::new());
    leaf.release(NOW, token(1), &mut up);
    leaf.return_spare(NOW, &mut up);
    top.acquire(NOW, request(2, 1), &mut down);
    let (_, above, _) = run((&mut top, DEBTOR), &mut leaf, up, down);
    assert_eq!((above, known(&top)), (vec![2], SURE_A));
}

#[test]
fn the_next_writer_s_value_replaces_it() {
    let (mut top, mut leaf) = written();
    leaf.release(NOW, token(1), &mut Fx::new());
    let (mut other, mut fx) = (debtor(Policy::Exact), Fx::new());
    other.acquire(NOW, request(2, ALL), &mut fx);
    let mut recall = Fx::new();
    for message in sent(&fx) {
        top.on_message(NOW, OTHER, message, &mut recall)
            .expect("a want");
    }
    // The root is asked, the first debtor returns, and the grant goes to the other one.
    let mut grant = Fx::new();
    for message in sent(&recall) {
        let mut up = Fx::new();
        leaf.on_message(NOW, CREDITOR, message, &mut up)
            .expect("a recall");
        for message in sent(&up) {
            top.on_message(NOW, DEBTOR, message, &mut grant)
                .expect("a return");
        }
    }
    run((&mut top, OTHER), &mut other, Fx::new(), grant);
    assert_eq!(known(&other), SURE_A);
    write(&mut other, 2, b"b");
    other.release(NOW, token(2), &mut Fx::new());
    send_home(&mut top, OTHER, &mut other);
    assert_eq!(known(&top), Some((&b"b"[..], ValueState::Sure)));
}

#[test]
fn a_middle_owner_passes_it_up_and_down() {
    let (mut top, mut middle, mut leaf) = (
        root(Policy::Exact),
        debtor(Policy::Exact),
        debtor(Policy::Exact),
    );
    borrow(&mut top, DEBTOR, &mut middle, 1, ALL);
    middle.release(NOW, token(1), &mut Fx::new());
    borrow(&mut middle, OTHER, &mut leaf, 2, ALL);
    write(&mut leaf, 2, b"a");
    leaf.release(NOW, token(2), &mut Fx::new());
    send_home(&mut middle, OTHER, &mut leaf);
    assert_eq!((known(&top), known(&middle)), (None, SURE_A));
    send_home(&mut top, DEBTOR, &mut middle);
    assert_eq!((known(&top), known(&middle)), (SURE_A, None));
    borrow(&mut top, DEBTOR, &mut middle, 3, 1);
    middle.release(NOW, token(3), &mut Fx::new());
    borrow(&mut middle, OTHER, &mut leaf, 4, 1);
    assert_eq!((known(&middle), known(&leaf)), (SURE_A, SURE_A));
}

#[test]
fn the_loss_of_one_who_may_have_written_makes_it_doubtful_and_the_next_write_sure() {
    let (mut top, mut leaf) = written();
    leaf.release(NOW, token(1), &mut Fx::new());
    send_home(&mut top, DEBTOR, &mut leaf);
    borrow(&mut top, DEBTOR, &mut leaf, 2, ALL);
    top.on_debtor_down(NOW, DEBTOR, &mut Fx::new());
    assert_eq!(known(&top), DOUBTFUL_A);
    let version = top.value().expect("known").version;
    top.acquire(NOW, request(3, ALL), &mut Fx::new());
    write(&mut top, 3, b"b");
    assert_eq!(known(&top), Some((&b"b"[..], ValueState::Sure)));
    assert!(top.value().expect("known").version > version);
}

#[test]
fn the_loss_of_a_first_writer_leaves_a_value_that_is_empty_and_doubtful() {
    let (mut top, _) = written();
    top.on_debtor_down(NOW, DEBTOR, &mut Fx::new());
    assert_eq!(known(&top), UNKNOWN);
    assert!(top.is_idle(), "it has nothing to keep");
}

#[test]
fn the_loss_of_one_who_could_only_read_changes_nothing() {
    let (mut top, mut leaf) = written();
    leaf.reduce(NOW, token(1), &Units(1), &mut Fx::new());
    send_home(&mut top, DEBTOR, &mut leaf);
    top.on_debtor_down(NOW, DEBTOR, &mut Fx::new());
    assert_eq!(known(&top), SURE_A);
}

#[test]
fn a_debtor_that_lost_its_creditor_forgets_the_value() {
    let (_, mut leaf) = written();
    leaf.on_creditor_down(NOW, LostReason::LeaseExpired, &mut Fx::new());
    assert_eq!(known(&leaf), None);
}

#[test]
fn a_middle_owner_s_doubt_goes_up_though_the_version_is_the_same() {
    let (mut top, mut middle) = written();
    middle.release(NOW, token(1), &mut Fx::new());
    send_home(&mut top, DEBTOR, &mut middle);
    // The middle has everything, lends it on, and loses its debtor.
    borrow(&mut top, DEBTOR, &mut middle, 2, ALL);
    middle.release(NOW, token(2), &mut Fx::new());
    let mut leaf = debtor(Policy::Exact);
    borrow(&mut middle, OTHER, &mut leaf, 3, ALL);
    middle.on_debtor_down(NOW, OTHER, &mut Fx::new());
    assert_eq!((known(&top), known(&middle)), (SURE_A, DOUBTFUL_A));
    send_home(&mut top, DEBTOR, &mut middle);
    assert_eq!(known(&top), DOUBTFUL_A);
}

#[test]
fn a_debtor_that_had_only_a_part_cannot_have_written() {
    let (mut top, mut leaf) = (root(Policy::Exact), debtor(Policy::Exact));
    borrow(&mut top, DEBTOR, &mut leaf, 1, ALL - 1);
    let message = returned(1, 0, value(1, b"forged"));
    top.on_message(NOW, DEBTOR, message, &mut Fx::new())
        .expect("no crime");
    assert_eq!(known(&top), None);
}

#[test]
fn a_version_above_the_limit_of_its_writer_is_not_believed() {
    let (mut top, leaf) = written();
    let beyond = leaf.fence().limit() + 1;
    let message = returned(1, 0, value(beyond, b"forged"));
    top.on_message(NOW, DEBTOR, message, &mut Fx::new())
        .expect("no crime");
    assert_eq!((top.lent(), known(&top)), (&Units(ALL - 1), None));
}

#[test]
fn an_older_version_does_not_replace_a_newer_one() {
    let (mut top, mut leaf) = written();
    leaf.release(NOW, token(1), &mut Fx::new());
    send_home(&mut top, DEBTOR, &mut leaf);
    borrow(&mut top, DEBTOR, &mut leaf, 2, ALL);
    let message = Message::Return {
        loan: LoanId { counter: 2, ..LOAN },
        delta: Units(1),
        fence: 0,
        value: Some(Arc::new(value(1, b"old"))),
        colour: None,
    };
    top.on_message(NOW, DEBTOR, message, &mut Fx::new())
        .expect("no crime");
    assert_eq!((top.lent(), known(&top)), (&Units(ALL - 1), SURE_A));
}

#[test]
fn the_next_write_is_above_a_version_that_was_as_high_as_it_may_be() {
    let (mut top, leaf) = written();
    let highest = leaf.fence().limit();
    // Its fencing number is held back, so the clock must learn from the version.
    top.on_message(
        NOW,
        DEBTOR,
        returned(ALL, 0, value(highest, b"x")),
        &mut Fx::new(),
    )
    .expect("no crime");
    top.acquire(NOW, request(2, ALL), &mut Fx::new());
    write(&mut top, 2, b"y");
    assert!(top.value().expect("known").version > highest);
}

#[test]
fn a_value_over_the_limit_from_a_debtor_is_a_crime_and_changes_nothing() {
    let (mut top, _) = written();
    let before = top.clone();
    let message = returned(1, 0, value(1, &[0; 1025]));
    let crime = top.on_message(NOW, DEBTOR, message, &mut Fx::new());
    assert_eq!(crime, Err(PeerMisbehaved::ValueTooLarge));
    assert_eq!(top, before);
}

#[test]
fn a_value_from_the_creditor_may_be_as_large_as_any_node_allows() {
    for (len, result) in [
        (VALUE_BYTES_MAX, Ok(())),
        (VALUE_BYTES_MAX + 1, Err(PeerMisbehaved::ValueTooLarge)),
    ] {
        let mut leaf = debtor(Policy::Exact);
        leaf.acquire(NOW, request(1, 1), &mut Fx::new());
        let grant = Grant {
            loan: LOAN,
            order: order(1),
            version: crate::id::Version(1),
            delta: Units(1),
            steps: Steps::new(),
            fence: 2,
            limit: 2,
            value: Some(Arc::new(value(1, &vec![0; len]))),
            colour: None,
        };
        let before = leaf.clone();
        let done = leaf.on_message(NOW, CREDITOR, Message::Grant(grant), &mut Fx::new());
        assert_eq!(done, result);
        assert_eq!(leaf == before, result.is_err());
    }
}
