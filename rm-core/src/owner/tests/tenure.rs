//! The root's side of a change of root: gathering, activation, answers to claims, suspension, and the book.

use super::units::*;
use crate::access::Access;
use crate::book::{Book, BookLoan, Inherited, Lessee, Opening};
use crate::credit::Credit as _;
use crate::effect::Effect;
use crate::fence::epoch_start;
use crate::id::{Boot, LoanId, NodeId, Party, PeerId};
use crate::message::{Claim, Claimed, Message, Unclaimed};
use crate::owner::{Origin, Owner};
use crate::policy::Policy;
use crate::value::{Value, ValueState};

pub(super) const EPOCH: u32 = 5;
pub(super) const DEBTOR: PeerId = PeerId(1);
pub(super) const OTHER: PeerId = PeerId(2);
/// Stand for those who have not come.
pub(super) const ABSENT: PeerId = PeerId(1_000);
pub(super) const UNKNOWN: PeerId = PeerId(1_001);
/// The debtor's loan at the former root.
pub(super) const OLD: LoanId = loan(1, 3);

const fn loan(epoch: u32, counter: u32) -> LoanId {
    LoanId { epoch, counter }
}

pub(super) const fn party(peer: PeerId) -> Party {
    Party {
        node: NodeId(peer.0),
        boot: Boot(7),
    }
}

pub(super) fn gathering() -> UnitsOwner {
    let settings = settings(Policy::Exact);
    Owner::gathering(settings, Units(ALL), EPOCH, 0, LoanId::default())
}

/// A root whose former one is lost with its book.
pub(super) fn bereft() -> UnitsOwner {
    activated(Opening::unknown(UNKNOWN, Units(ALL)))
}

/// A root with a book in which the debtor, absent, has so much, up to a limit of 100.
pub(super) fn heir(units: u64) -> UnitsOwner {
    activated(opening(units))
}

pub(super) fn opening(units: u64) -> Opening<Units> {
    Opening {
        loans: vec![Inherited {
            peer: ABSENT,
            lessee: Lessee::Party(party(DEBTOR)),
            credit: Units(units),
            id: OLD,
            limit: 100,
        }],
        ..Opening::free()
    }
}

pub(super) fn activated(opening: Opening<Units>) -> UnitsOwner {
    let mut owner = gathering();
    owner.activate(NOW, EPOCH, opening, &mut Fx::new());
    owner.check();
    owner
}

pub(super) fn hear(owner: &mut UnitsOwner, from: PeerId, message: Message<Units>) -> Fx {
    let (mut fx, epoch) = (Fx::new(), EPOCH);
    let origin = Origin {
        peer: from,
        party: party(from),
        epoch,
        may_have: Access::Exclusive,
    };
    owner
        .on_message(NOW, origin, message, &mut fx)
        .expect("a correct debtor");
    owner.check();
    fx
}

pub(super) fn claim_of(epoch: u32, old: LoanId, units: u64) -> Claim<Units> {
    Claim {
        epoch,
        loan: old,
        amount: Units(units),
        fence: 20,
        value: None,
        colour: None,
    }
}

pub(super) fn claim(units: u64) -> Message<Units> {
    Message::Claim(claim_of(EPOCH, OLD, units))
}

fn again(epoch: u32, units: u64) -> Message<Units> {
    Message::Claim(claim_of(epoch, OLD, units))
}

/// Who got which answer.
fn answers(fx: &Fx) -> Vec<(PeerId, Option<Unclaimed>)> {
    let answer = |effect: &Effect<UnitsType>| match effect {
        Effect::Send {
            to,
            message: Message::Claimed(_),
        } => Some((*to, None)),
        Effect::Send {
            to,
            message: Message::Unclaimed { why, .. },
        } => Some((*to, Some(*why))),
        _ => None,
    };
    fx.as_slice().iter().filter_map(answer).collect()
}

fn claimed(fx: &Fx) -> Claimed {
    let claimed = |message| match message {
        Message::Claimed(claimed) => Some(claimed),
        _ => None,
    };
    sent(fx).into_iter().find_map(claimed).expect("confirmed")
}

pub(super) fn granted(fx: &Fx) -> Vec<u64> {
    let grant = |message| match message {
        Message::Grant(grant) => Some(grant.order.stamp.0),
        _ => None,
    };
    sent(fx).into_iter().filter_map(grant).collect()
}

#[test]
fn a_root_that_gathers_says_nothing_to_wants_and_claims() {
    let mut owner = gathering();
    assert!(hear(&mut owner, DEBTOR, claim(2)).is_empty());
    assert!(hear(&mut owner, DEBTOR, want(1, 3)).is_empty());
    assert!(hear(&mut owner, OTHER, want(2, ALL)).is_empty());
    let mut fx = Fx::new();
    owner.on_debtor_silent(NOW, OTHER, &mut fx);
    owner.on_debtor_heard(NOW, OTHER, &mut fx);
    owner.on_epoch(NOW, EPOCH + 1, &mut fx);
    owner.acquire(NOW, request(3, 1), &mut fx);
    assert!(owner.cancel(NOW, token(3), &mut fx));
    assert!(owner.take(NOW, token(4), &Units(1), None).is_none());
    assert!(fx.is_empty() && !owner.is_quiet());
    assert!(!owner.is_idle() && owner.rest().is_none());
}

#[test]
fn recorded_claims_are_answered_oldest_first_and_before_the_first_grant() {
    let mut owner = gathering();
    hear(&mut owner, OTHER, claim(2));
    hear(&mut owner, DEBTOR, claim(3));
    hear(&mut owner, DEBTOR, want(1, 4));
    let mut fx = Fx::new();
    owner.activate(NOW, EPOCH, opening(5), &mut fx);
    let names: Vec<_> = sent(&fx).iter().map(Message::name).collect();
    assert_eq!(names, ["Unclaimed", "Claimed", "Grant"]);
    assert_eq!(
        answers(&fx),
        [(OTHER, Some(Unclaimed::Refused)), (DEBTOR, None)]
    );
    assert_eq!(owner.loan(DEBTOR), Some(&Units(4)));
    assert_eq!(owner.cached(), &Units(4), "what was more is free");
}

#[test]
fn a_later_claim_of_the_same_session_replaces_the_one_recorded() {
    let mut owner = gathering();
    hear(&mut owner, DEBTOR, claim(3));
    hear(&mut owner, DEBTOR, again(EPOCH + 1, 2));
    let mut fx = Fx::new();
    owner.activate(
        NOW,
        EPOCH + 1,
        Opening::unknown(UNKNOWN, Units(ALL)),
        &mut fx,
    );
    assert_eq!(claimed(&fx).epoch, EPOCH + 1);
    assert_eq!(answers(&fx).len(), 1);
    assert_eq!(owner.loan(DEBTOR), Some(&Units(2)));
}

#[test]
fn a_recorded_claim_ends_with_its_session() {
    let mut owner = gathering();
    hear(&mut owner, DEBTOR, claim(3));
    owner.on_debtor_down(NOW, DEBTOR, &mut Fx::new());
    let mut fx = Fx::new();
    owner.activate(NOW, EPOCH, opening(3), &mut fx);
    assert!(fx.is_empty());
    assert_eq!(owner.loan(ABSENT), Some(&Units(3)));
}

#[test]
fn a_claim_makes_what_the_debtor_asked_before_void() {
    let mut owner = gathering();
    hear(&mut owner, DEBTOR, want(1, 3));
    hear(&mut owner, DEBTOR, claim(0));
    assert_eq!(owner.waiting().len(), 0);
    hear(&mut owner, DEBTOR, want(2, 3));
    let mut fx = Fx::new();
    owner.activate(NOW, EPOCH, Opening::free(), &mut fx);
    assert_eq!(granted(&fx), [2]);
}

#[test]
fn a_claim_is_one_loan_of_exactly_what_is_claimed_under_a_new_name() {
    for (in_book, of_it, free) in [(3, 3, 5), (5, 3, 5), (3, 0, 8)] {
        let mut owner = heir(in_book);
        let fx = hear(&mut owner, DEBTOR, claim(of_it));
        let answer = claimed(&fx);
        assert_eq!((answer.epoch, answer.old), (EPOCH, OLD));
        assert!(answer.loan > OLD);
        let loan = (of_it > 0).then_some(Units(of_it));
        assert_eq!(owner.loan(DEBTOR).copied(), loan);
        assert_eq!(owner.loan(ABSENT), None);
        assert_eq!(owner.cached(), &Units(free));
    }
}

#[test]
fn what_a_book_does_not_have_comes_out_of_the_unknown() {
    let mut opening = opening(2);
    opening.loans.push(Inherited {
        peer: UNKNOWN,
        lessee: Lessee::Unknown,
        credit: Units(4),
        id: LoanId::default(),
        limit: 0,
    });
    let mut owner = activated(opening);
    hear(&mut owner, DEBTOR, claim(5));
    assert_eq!(owner.loan(DEBTOR), Some(&Units(5)));
    assert_eq!(owner.loan(UNKNOWN), Some(&Units(1)));
    assert_eq!(owner.cached(), &Units(2));
}

#[test]
fn more_than_the_book_and_the_unknown_is_refused_and_changes_nothing() {
    let mut owner = heir(3);
    let before = owner.clone();
    let fx = hear(&mut owner, DEBTOR, claim(4));
    assert_eq!(answers(&fx), [(DEBTOR, Some(Unclaimed::Refused))]);
    assert_eq!(owner, before, "what the book says may still be trusted");
}

#[test]
fn another_party_s_loan_is_not_claimed() {
    let mut owner = heir(3);
    let fx = hear(&mut owner, OTHER, claim(3));
    assert_eq!(answers(&fx), [(OTHER, Some(Unclaimed::Refused))]);
}

#[test]
fn a_claim_made_again_finds_its_loan_by_its_former_name() {
    let mut owner = heir(3);
    let first = claimed(&hear(&mut owner, DEBTOR, claim(3))).loan;
    hear(&mut owner, DEBTOR, want(1, 5));
    let second = claimed(&hear(&mut owner, DEBTOR, again(EPOCH + 2, 3))).loan;
    assert!(second > first);
    assert_eq!(owner.loan(DEBTOR), Some(&Units(3)));
    let third = claimed(&hear(&mut owner, DEBTOR, again(EPOCH + 3, 0)));
    assert_eq!(owner.loan(DEBTOR), None);
    assert!(third.loan > second);
    assert_eq!(owner.cached(), &Units(ALL));
}

#[test]
fn a_fresh_loan_under_another_name_stays_untouched() {
    let mut owner = heir(3);
    hear(&mut owner, OTHER, want(1, 2));
    let fresh = owner.loan_id(OTHER).expect("lent");
    let fx = hear(&mut owner, OTHER, claim(0));
    assert_eq!(answers(&fx), [(OTHER, None)]);
    assert_eq!(owner.loan(OTHER), Some(&Units(2)));
    assert_eq!(owner.loan_id(OTHER), Some(fresh));
    let fx = hear(&mut owner, OTHER, claim(1));
    assert_eq!(answers(&fx), [(OTHER, Some(Unclaimed::Refused))]);
}

#[test]
fn a_claim_older_than_the_tenure_is_to_be_made_again() {
    let mut owner = heir(3);
    let fx = hear(&mut owner, DEBTOR, again(EPOCH - 1, 3));
    assert_eq!(answers(&fx), [(DEBTOR, Some(Unclaimed::Again))]);
    assert_eq!(owner.loan(ABSENT), Some(&Units(3)));
    let fx = hear(&mut owner, DEBTOR, claim(3));
    assert_eq!(answers(&fx), [(DEBTOR, None)]);
}

#[test]
fn what_returns_late_under_a_name_that_was_claimed_is_dropped() {
    let mut owner = heir(5);
    hear(&mut owner, DEBTOR, claim(3));
    let late = Message::Return {
        loan: OLD,
        delta: Units(2),
        fence: 0,
        value: None,
        colour: None,
    };
    hear(&mut owner, DEBTOR, late);
    assert_eq!(owner.loan(DEBTOR), Some(&Units(3)));
}

#[test]
fn known_credit_is_lent_at_once_and_only_what_is_out_waits_for_its_end() {
    let mut owner = heir(3);
    let fx = hear(&mut owner, OTHER, want(1, 5));
    assert_eq!(granted(&fx), [1]);
    let fx = hear(&mut owner, OTHER, want(2, ALL));
    assert!(fx.is_empty(), "nobody is there to be asked");
    let mut fx = Fx::new();
    owner.on_debtor_down(NOW, ABSENT, &mut fx);
    assert_eq!(granted(&fx), [2]);
}

#[test]
fn the_end_of_an_inherited_loan_moves_the_clock_past_its_limit() {
    let mut opening = opening(3);
    let limit = epoch_start(EPOCH) + 1_000;
    opening.loans[0].limit = limit;
    let mut owner = activated(opening);
    owner.on_debtor_down(NOW, ABSENT, &mut Fx::new());
    assert!(owner.fence().now() >= limit);
    assert!(owner.is_idle());
}

#[test]
fn the_numbers_of_a_new_root_are_above_those_of_its_book_and_of_older_epochs() {
    let mut opening = Opening::free();
    opening.fence = epoch_start(4) + 77;
    opening.last_loan = loan(4, 9);
    let owner = activated(opening);
    assert_eq!(owner.fence().now(), epoch_start(EPOCH));
    assert!(owner.last_loan() >= loan(EPOCH, 0));
    let mut opening = Opening::free();
    opening.fence = epoch_start(EPOCH) + 77;
    opening.last_loan = loan(EPOCH, 9);
    let mut owner = activated(opening);
    assert!(owner.fence().now() >= epoch_start(EPOCH) + 77);
    hear(&mut owner, DEBTOR, want(1, 1));
    assert!(owner.loan_id(DEBTOR) > Some(loan(EPOCH, 9)));
}

#[test]
fn a_claim_brings_its_numbers_but_none_above_its_limit() {
    let mut opening = opening(3);
    let limit = epoch_start(EPOCH) + 1_000;
    opening.loans[0].limit = limit;
    for (said, reached) in [(limit - 10, limit - 10), (u64::MAX, limit)] {
        let mut owner = activated(opening.clone());
        let claim = Claim {
            fence: said,
            ..claim_of(EPOCH, OLD, 3)
        };
        let answer = claimed(&hear(&mut owner, DEBTOR, Message::Claim(claim)));
        assert_eq!(owner.fence().now(), reached);
        assert!(answer.limit > answer.fence);
    }
}

#[test]
fn a_claim_out_of_the_unknown_cannot_move_the_clock() {
    let mut owner = bereft();
    let claim = Claim {
        fence: u64::MAX,
        ..claim_of(EPOCH, OLD, 3)
    };
    hear(&mut owner, DEBTOR, Message::Claim(claim));
    assert_eq!(owner.fence().now(), epoch_start(EPOCH));
}

#[test]
fn a_suspended_root_records_and_takes_back_and_says_nothing() {
    let mut owner = heir(3);
    hear(&mut owner, OTHER, want(1, 2));
    let id = owner.loan_id(OTHER).expect("lent");
    owner.suspend();
    assert!(hear(&mut owner, OTHER, want(2, 3)).is_empty());
    assert!(hear(&mut owner, DEBTOR, claim(3)).is_empty());
    let back = Message::Return {
        loan: id,
        delta: Units(1),
        fence: 0,
        value: None,
        colour: None,
    };
    assert!(hear(&mut owner, OTHER, back).is_empty());
    assert_eq!(owner.loan(OTHER), Some(&Units(1)));
    assert!(hear(&mut owner, OTHER, Message::AskLimit { loan: id }).is_empty());
    assert!(owner.rest().is_none() && !owner.is_idle());
    let mut fx = Fx::new();
    owner.resume(NOW, &mut fx);
    let names: Vec<_> = sent(&fx).iter().map(Message::name).collect();
    assert_eq!(names, ["Claimed", "Limit", "Grant"]);
}

#[test]
fn a_root_activated_while_it_is_suspended_speaks_when_it_resumes() {
    let mut owner = gathering();
    hear(&mut owner, DEBTOR, claim(3));
    owner.suspend();
    let mut fx = Fx::new();
    owner.activate(NOW, EPOCH, opening(3), &mut fx);
    assert!(fx.is_empty());
    owner.resume(NOW, &mut fx);
    assert_eq!(answers(&fx), [(DEBTOR, None)]);
}

#[test]
fn a_root_that_gathers_and_resumes_still_says_nothing() {
    let mut owner = gathering();
    hear(&mut owner, DEBTOR, claim(3));
    owner.suspend();
    let mut fx = Fx::new();
    owner.resume(NOW, &mut fx);
    assert!(fx.is_empty() && owner.is_gathering());
}

#[test]
fn a_book_names_each_loan_and_opens_as_what_it_was() {
    let mut opening = opening(3);
    opening.value = Some(value(4, b"v"));
    let mut owner = activated(opening);
    hear(&mut owner, OTHER, want(1, 2));
    hear(&mut owner, OTHER, want(2, ALL));
    let mut asked = Vec::new();
    let book = owner.book(|peer| {
        asked.push(peer);
        Lessee::Party(party(peer))
    });
    assert_eq!(
        asked.len(),
        2,
        "of each loan it is asked who stands behind it"
    );
    let id = owner.loan_id(OTHER).expect("lent");
    let limit = owner.fence().now() + 2 * crate::fence::ROOM_MIN;
    let of_other = BookLoan {
        lessee: Lessee::Party(party(OTHER)),
        credit: Units(2),
        id,
        limit,
    };
    let of_absent = BookLoan {
        lessee: Lessee::Party(party(DEBTOR)),
        credit: Units(3),
        id: OLD,
        limit: 100,
    };
    let expected = Book {
        loans: vec![of_other, of_absent],
        fence: owner.fence().now(),
        last_loan: owner.last_loan(),
        value: Some(value(4, b"v")),
        colour: None,
        waiting: vec![order(2)],
    };
    assert_eq!(book, expected);
    let mut next = 2_000;
    let opening = Opening::of_book(book, |_| {
        next += 1;
        PeerId(next)
    });
    let next = activated(opening);
    assert_eq!(next.cached(), &Units(3));
    assert_eq!(next.value(), owner.value());
}

#[test]
fn an_opening_of_more_than_there_is_is_not_sound() {
    assert!(opening(ALL).is_sound(&Units(ALL)));
    assert!(!opening(ALL + 1).is_sound(&Units(ALL)));
    assert!(!opening(0).is_sound(&Units(ALL)));
    let mut twice = opening(2);
    twice.loans.push(twice.loans[0].clone());
    assert!(!twice.is_sound(&Units(ALL)), "one peer stands for one loan");
    twice.loans[1].peer = UNKNOWN;
    assert!(twice.is_sound(&Units(ALL)));
    twice.loans[1].credit = Units(u64::MAX);
    assert!(!twice.is_sound(&Units(ALL)));
}

pub(super) fn value(version: u64, bytes: &[u8]) -> std::sync::Arc<Value> {
    let state = ValueState::Sure;
    let bytes = bytes.into();
    std::sync::Arc::new(Value {
        version,
        state,
        bytes,
    })
}

#[test]
fn a_root_that_stays_one_raises_its_numbers_with_the_epoch() {
    let mut owner = heir(3);
    owner.on_epoch(NOW, EPOCH + 3, &mut Fx::new());
    assert_eq!(owner.fence().now(), epoch_start(EPOCH + 3));
    let answer = claimed(&hear(&mut owner, DEBTOR, claim(3)));
    assert_eq!(answer.loan, loan(EPOCH + 3, 1));
}

#[test]
fn a_restarted_root_answers_claims_out_of_what_it_lent_to_the_unknown() {
    let mut owner = Owner::root(
        settings(Policy::Exact),
        Units(ALL),
        EPOCH,
        0,
        LoanId::default(),
    );
    owner.lend_all_to_unknown(UNKNOWN);
    hear(&mut owner, DEBTOR, claim(3));
    assert_eq!(owner.loan(UNKNOWN), Some(&Units(ALL - 3)));
    owner.on_debtor_down(NOW, UNKNOWN, &mut Fx::new());
    assert_eq!(owner.cached(), &Units(ALL - 3));
    assert!(owner.value().is_none());
}

#[test]
fn a_root_rests_when_the_absent_have_come() {
    let mut owner = heir(3);
    assert!(owner.rest().is_none());
    let name = claimed(&hear(&mut owner, DEBTOR, claim(3))).loan;
    let rest = owner.rest().expect("nothing happens");
    let woken = Owner::wake(settings(Policy::Exact), Units(ALL), EPOCH, &rest);
    assert_eq!(woken.loan_id(DEBTOR), Some(name));
    let mut woken = woken;
    let fx = hear(&mut woken, DEBTOR, again(EPOCH + 2, 0));
    assert_eq!(answers(&fx), [(DEBTOR, None)]);
    assert!(woken.lent().is_empty(), "its former name was kept");
}

#[test]
fn a_root_that_is_activated_in_a_later_view_than_it_gathered_in_has_the_numbers_of_that_one() {
    let (mut owner, later) = (gathering(), EPOCH + 2);
    owner.activate(NOW, later, Opening::free(), &mut Fx::new());
    assert_eq!(owner.fence().now(), epoch_start(later));
    hear(&mut owner, DEBTOR, want(1, 1));
    assert_eq!(owner.loan_id(DEBTOR), Some(loan(later, 1)));
}
