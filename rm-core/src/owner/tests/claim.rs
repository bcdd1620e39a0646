//! The debtor's side of a change of root: what an orphan may do, what it claims, and which answer counts.

use super::units::*;
use crate::access::Access;
use crate::credit::Credit as _;
use crate::effect::Effect;
use crate::error::{LostReason, PeerMisbehaved};
use crate::id::{LoanId, Party, PeerId};
use crate::message::{Claim, Claimed, Grant, Message, Step, Steps, Unclaimed};
use crate::owner::{Conversion, Origin};
use crate::policy::Policy;
use crate::value::{Value, ValueState};

/// The root of the view of epoch 5.
const NEXT: PeerId = PeerId(101);
/// The loan of the first root.
const OLD: LoanId = loan(1, 3);
/// Its name at the next.
const NEW: LoanId = loan(5, 1);

const fn loan(epoch: u32, counter: u32) -> LoanId {
    LoanId { epoch, counter }
}

/// A debtor that holds 3 by request 1 and caches 2, of the loan `OLD`.
fn borrower() -> UnitsOwner {
    let (mut owner, mut fx) = (debtor(Policy::Exact), Fx::new());
    owner.acquire(NOW, request(1, 3), &mut fx);
    hear(&mut owner, CREDITOR, grant(OLD, 1, 5));
    owner
}

/// The same when its root has moved, and before there is a session with the new one.
fn orphan() -> UnitsOwner {
    let mut owner = borrower();
    owner.on_root_moved(NOW, &mut Fx::new());
    owner
}

/// The same with its claim under way.
fn claiming() -> UnitsOwner {
    let mut owner = orphan();
    owner.on_creditor_up(NOW, NEXT, 5, &mut Fx::new());
    owner
}

fn hear(owner: &mut UnitsOwner, from: PeerId, message: Message<Units>) -> Fx {
    let mut fx = Fx::new();
    let heard = owner.on_message(NOW, from, message, &mut fx);
    heard.expect("a correct peer");
    owner.check();
    fx
}

fn claimed(epoch: u32, old: LoanId, name: LoanId) -> Message<Units> {
    Message::Claimed(Claimed {
        epoch,
        old,
        loan: name,
        fence: 5 << 32,
        limit: (5 << 32) + 100,
        value: None,
    })
}

fn unclaimed(epoch: u32, why: Unclaimed) -> Message<Units> {
    let old = OLD;
    Message::Unclaimed { epoch, old, why }
}

fn returned(fx: &Fx) -> Vec<(LoanId, u64)> {
    let returned = |message: Message<Units>| match message {
        Message::Return { loan, delta, .. } => Some((loan, delta.0)),
        _ => None,
    };
    sent(fx).into_iter().filter_map(returned).collect()
}

fn claims(fx: &Fx) -> Vec<(u32, LoanId, u64)> {
    let claim = |message: Message<Units>| match message {
        Message::Claim(claim) => Some((claim.epoch, claim.loan, claim.amount.0)),
        _ => None,
    };
    sent(fx).into_iter().filter_map(claim).collect()
}

fn wants(fx: &Fx) -> Vec<u64> {
    let want = |message: Message<Units>| match message {
        Message::Want(want) => Some(want.order.stamp.0),
        _ => None,
    };
    sent(fx).into_iter().filter_map(want).collect()
}

#[test]
fn an_orphan_serves_local_requests_out_of_what_it_has() {
    let mut owner = orphan();
    assert!(owner.is_orphan());
    assert!(owner.take(NOW, token(2), &Units(2), None).is_some());
    assert!(owner.put_back(token(2)));
    let mut fx = Fx::new();
    owner.acquire(NOW, request(3, 2), &mut fx);
    assert_eq!((grants(&fx), sent(&fx)), (vec![3], vec![]));
    owner.release(NOW, token(3), &mut Fx::new());
    let more = Conversion::new(token(1), converting(4), Units(5));
    let mut fx = Fx::new();
    owner.convert(NOW, more, &mut fx);
    assert_eq!(grants(&fx), [1]);
}

#[test]
fn an_orphan_returns_nothing_though_it_is_told_to_or_winds_up() {
    for mut owner in [orphan(), claiming()] {
        let mut fx = Fx::new();
        owner.return_spare(NOW, &mut fx);
        owner.release(NOW, token(1), &mut fx);
        owner.wind_up(NOW, order(9), &mut fx);
        assert_eq!(returned(&fx), []);
        assert_eq!(owner.borrowed(), &Units(5));
        assert!(!owner.is_wound_up());
    }
}

#[test]
fn an_orphan_that_winds_up_returns_all_when_its_claim_is_confirmed() {
    let mut owner = claiming();
    let mut fx = Fx::new();
    owner.release(NOW, token(1), &mut fx);
    owner.wind_up(NOW, order(9), &mut fx);
    let fx = hear(&mut owner, NEXT, claimed(5, OLD, NEW));
    assert_eq!(returned(&fx), [(NEW, 5)]);
    assert!(owner.is_wound_up());
}

#[test]
fn an_orphan_stays_though_its_owner_is_used_to_return_with_the_release() {
    for is_moved in [false, true] {
        let mut owner = debtor(Policy::adaptive(2));
        for index in 1..=3 {
            let name = loan(1, index);
            owner.acquire(NOW, request(index, 3), &mut Fx::new());
            hear(
                &mut owner,
                CREDITOR,
                relent(name, index.into(), index.into(), 3),
            );
            if index < 3 {
                owner.release(NOW, token(index), &mut Fx::new());
                hear(&mut owner, CREDITOR, recall(name));
            }
        }
        if is_moved {
            owner.on_root_moved(NOW, &mut Fx::new());
            owner.on_creditor_up(NOW, NEXT, 5, &mut Fx::new());
        }
        owner.release(NOW, token(3), &mut Fx::new());
        let left = if is_moved { 3 } else { 0 };
        assert_eq!(owner.borrowed(), &Units(left));
    }
}

/// Everything is asked for back.
fn recall(loan: LoanId) -> Message<Units> {
    let step = Step {
        order: order(70),
        keep: Units(0),
        try_only: false,
        whole: true,
        note: None,
    };
    let steps = core::iter::once(step).collect();
    Message::Recall { loan, steps }
}

#[test]
fn a_move_clears_the_recall_and_a_recall_of_the_former_loan_is_not_followed() {
    let mut owner = borrower();
    hear(&mut owner, CREDITOR, recall(OLD));
    assert!(owner.is_recalled());
    owner.on_root_moved(NOW, &mut Fx::new());
    assert!(!owner.is_recalled());
    owner.on_creditor_up(NOW, NEXT, 5, &mut Fx::new());
    hear(&mut owner, NEXT, recall(OLD));
    owner.release(NOW, token(1), &mut Fx::new());
    assert_eq!(owner.borrowed(), &Units(5));
}

#[test]
fn an_orphan_takes_no_grant_and_sends_it_back_to_whoever_sent_it() {
    for from in [CREDITOR, NEXT] {
        let mut owner = claiming();
        let fx = hear(&mut owner, from, grant(OLD, 1, 2));
        let back = Effect::Send {
            to: from,
            message: Message::Return {
                loan: OLD,
                delta: Units(2),
                fence: owner.fence().now(),
                value: None,
                colour: None,
            },
        };
        assert_eq!(fx.as_slice(), [back]);
        assert_eq!(owner.borrowed(), &Units(5));
    }
}

#[test]
fn the_claim_goes_first_and_then_the_wants_in_their_order() {
    let mut owner = borrower();
    let mut fx = Fx::new();
    owner.acquire(NOW, request(9, 5), &mut fx);
    owner.acquire(NOW, request(8, 4), &mut fx);
    assert_eq!(wants(&fx), [9, 8]);
    owner.on_root_moved(NOW, &mut Fx::new());
    let mut fx = Fx::new();
    owner.on_creditor_up(NOW, NEXT, 5, &mut fx);
    let messages = sent(&fx);
    let fence = owner.fence().now();
    let claim = Claim {
        epoch: 5,
        loan: OLD,
        amount: Units(5),
        fence,
        value: None,
        colour: None,
    };
    assert_eq!(messages[0], Message::Claim(claim));
    assert_eq!(wants(&fx), [8, 9]);
}

#[test]
fn who_only_asked_claims_nothing_so_that_its_former_wants_are_forgotten() {
    let (mut owner, mut fx) = (debtor(Policy::Exact), Fx::new());
    owner.acquire(NOW, request(1, 3), &mut fx);
    owner.on_root_moved(NOW, &mut Fx::new());
    let mut fx = Fx::new();
    owner.on_creditor_up(NOW, NEXT, 5, &mut fx);
    assert_eq!(claims(&fx), [(5, LoanId::default(), 0)]);
    assert_eq!(wants(&fx), [1]);
    hear(&mut owner, NEXT, claimed(5, LoanId::default(), NEW));
    let fx = hear(&mut owner, NEXT, relent(loan(5, 2), 1, 2, 3));
    assert_eq!(grants(&fx), [1]);
}

/// A grant that closes a later version of a want.
fn relent(loan: LoanId, number: u64, version: u64, units: u64) -> Message<Units> {
    let Message::Grant(lent) = grant(loan, number, units) else {
        unreachable!("a grant")
    };
    let version = crate::id::Version(version);
    Message::Grant(Grant { version, ..lent })
}

#[test]
fn who_has_returned_everything_claims_nothing_since_the_return_may_not_have_been_heard() {
    let mut owner = borrower();
    owner.release(NOW, token(1), &mut Fx::new());
    let mut fx = Fx::new();
    owner.return_spare(NOW, &mut fx);
    assert_eq!(returned(&fx), [(OLD, 5)]);
    owner.on_root_moved(NOW, &mut Fx::new());
    let mut fx = Fx::new();
    owner.on_creditor_up(NOW, NEXT, 5, &mut fx);
    assert_eq!(claims(&fx), [(5, OLD, 0)]);
    hear(&mut owner, NEXT, claimed(5, OLD, NEW));
    assert!(owner.is_idle());
}

#[test]
fn who_never_had_anything_makes_no_claim() {
    let mut owner = debtor(Policy::Exact);
    owner.on_root_moved(NOW, &mut Fx::new());
    let mut fx = Fx::new();
    owner.on_creditor_up(NOW, NEXT, 5, &mut fx);
    assert!(fx.is_empty());
    assert!(owner.is_idle());
}

#[test]
fn a_confirmed_claim_makes_the_orphan_a_loan_under_its_new_name_and_limit() {
    let mut owner = claiming();
    let fx = hear(&mut owner, NEXT, claimed(5, OLD, NEW));
    assert!(!owner.is_orphan() && fx.is_empty());
    assert_eq!(owner.fence().limit(), (5 << 32) + 100);
    assert_eq!(owner.fence().now(), 5 << 32);
    let mut fx = Fx::new();
    owner.release(NOW, token(1), &mut fx);
    owner.return_spare(NOW, &mut fx);
    assert_eq!(returned(&fx), [(NEW, 5)]);
}

#[test]
fn a_grant_under_a_name_that_was_claimed_away_goes_back() {
    let mut owner = claiming();
    hear(&mut owner, NEXT, claimed(5, OLD, NEW));
    let fx = hear(&mut owner, NEXT, grant(OLD, 1, 2));
    assert_eq!(returned(&fx), [(OLD, 2)]);
}

#[test]
fn an_answer_to_another_claim_is_ignored() {
    for message in [
        claimed(4, OLD, NEW),
        claimed(5, loan(1, 2), NEW),
        unclaimed(4, Unclaimed::Refused),
    ] {
        let mut owner = claiming();
        let fx = hear(&mut owner, NEXT, message);
        assert!(fx.is_empty(), "to send it back would free what is trusted");
        assert!(owner.is_orphan());
    }
}

#[test]
fn a_second_answer_changes_nothing() {
    let mut owner = claiming();
    hear(&mut owner, NEXT, claimed(5, OLD, NEW));
    let before = owner.clone();
    let fx = hear(&mut owner, NEXT, claimed(5, OLD, loan(5, 2)));
    assert!(fx.is_empty());
    assert_eq!(owner, before);
}

#[test]
fn a_claim_confirmed_under_an_older_name_is_a_fault_of_the_root() {
    let mut owner = claiming();
    let before = owner.clone();
    let heard = owner.on_message(NOW, NEXT, claimed(5, OLD, OLD), &mut Fx::new());
    assert_eq!(heard, Err(PeerMisbehaved::LoanRenamed));
    assert_eq!(owner, before);
}

#[test]
fn a_refused_claim_loses_every_hold_and_what_waits_is_asked_for() {
    let mut owner = claiming();
    let mut fx = Fx::new();
    owner.acquire(NOW, request(2, ALL), &mut fx);
    let fx = hear(&mut owner, NEXT, unclaimed(5, Unclaimed::Refused));
    assert_eq!(losses(&fx), [(1, LostReason::NotConfirmed)]);
    assert!(owner.borrowed().is_empty() && !owner.has_claim());
    let fx = hear(&mut owner, NEXT, relent(NEW, 2, 1, ALL));
    assert_eq!(grants(&fx), [2]);
}

#[test]
fn a_claim_that_is_too_early_is_made_again_in_the_present_view_with_all_wants() {
    let mut owner = claiming();
    owner.acquire(NOW, request(2, ALL), &mut Fx::new());
    owner.on_view(6);
    let fx = hear(&mut owner, NEXT, unclaimed(5, Unclaimed::Again));
    assert_eq!(claims(&fx), [(6, OLD, 5)]);
    assert_eq!(wants(&fx), [2]);
    let fx = hear(&mut owner, NEXT, unclaimed(6, Unclaimed::Again));
    assert!(fx.is_empty(), "there is no later view to claim in");
}

#[test]
fn a_view_with_the_same_root_leaves_the_claim_as_it_is() {
    let mut owner = claiming();
    owner.on_view(6);
    hear(&mut owner, NEXT, claimed(5, OLD, NEW));
    assert!(!owner.is_orphan());
}

#[test]
fn an_orphan_past_its_deadline_is_lost_and_claimed_as_nothing() {
    let mut owner = orphan();
    let mut fx = Fx::new();
    owner.on_orphan_lost(NOW, LostReason::LeaseExpired, &mut fx);
    assert_eq!(losses(&fx), [(1, LostReason::LeaseExpired)]);
    assert_eq!(fx.as_slice()[0], Effect::Leaving, "what was cached leaves");
    assert!(!owner.is_idle(), "its claim is still to be made");
    let mut fx = Fx::new();
    owner.on_creditor_up(NOW, NEXT, 5, &mut fx);
    assert_eq!(claims(&fx), [(5, OLD, 0)]);
    let fx = hear(&mut owner, NEXT, claimed(5, OLD, NEW));
    assert!(fx.is_empty());
    assert!(owner.is_idle());
}

#[test]
fn what_is_confirmed_of_an_orphan_that_was_lost_meanwhile_goes_back() {
    let mut owner = claiming();
    owner.on_orphan_lost(NOW, LostReason::LeaseExpired, &mut Fx::new());
    let fx = hear(&mut owner, NEXT, claimed(5, OLD, NEW));
    assert_eq!(returned(&fx), [(NEW, 5)]);
    assert!(owner.borrowed().is_empty() && owner.is_idle());
    let fx = hear(&mut owner, NEXT, grant(NEW, 1, 2));
    assert_eq!(returned(&fx), [(NEW, 2)], "that name is over");
}

#[test]
fn a_writer_that_was_lost_with_its_orphan_makes_the_value_doubtful() {
    let mut owner = debtor(Policy::Exact);
    owner.acquire(NOW, request(1, ALL), &mut Fx::new());
    hear(&mut owner, CREDITOR, grant(OLD, 1, ALL));
    owner.on_root_moved(NOW, &mut Fx::new());
    owner.on_creditor_up(NOW, NEXT, 5, &mut Fx::new());
    owner.write_value(token(1), b"late").expect("it may");
    owner.on_orphan_lost(NOW, LostReason::LeaseExpired, &mut Fx::new());
    let fx = hear(&mut owner, NEXT, claimed(5, OLD, NEW));
    let [Message::Return { value, .. }] = &sent(&fx)[..] else {
        panic!("all goes back: {fx:?}")
    };
    assert_eq!(**value.as_ref().expect("a doubt"), Value::unknown());
}

#[test]
fn a_lost_orphan_is_claimed_as_nothing_of_each_next_root_until_one_answers() {
    let mut owner = claiming();
    owner.on_orphan_lost(NOW, LostReason::LeaseExpired, &mut Fx::new());
    for epoch in 6..9 {
        owner.on_root_moved(NOW, &mut Fx::new());
        let (mut fx, peer) = (Fx::new(), PeerId(100 + u64::from(epoch)));
        owner.on_creditor_up(NOW, peer, epoch, &mut fx);
        assert_eq!(claims(&fx), [(epoch, OLD, 0)]);
    }
    hear(&mut owner, PeerId(108), unclaimed(8, Unclaimed::Refused));
    owner.on_root_moved(NOW, &mut Fx::new());
    let mut fx = Fx::new();
    owner.on_creditor_up(NOW, PeerId(109), 9, &mut fx);
    assert_eq!(claims(&fx), []);
}

#[test]
fn an_orphan_is_lost_with_the_session_that_its_claim_went_over() {
    let mut owner = claiming();
    let mut fx = Fx::new();
    owner.on_creditor_down(NOW, LostReason::SessionEnded, &mut fx);
    assert_eq!(losses(&fx), [(1, LostReason::SessionEnded)]);
    let mut fx = Fx::new();
    owner.on_creditor_up(NOW, PeerId(102), 5, &mut fx);
    assert_eq!(claims(&fx), [(5, OLD, 0)]);
}

#[test]
fn an_orphan_that_moves_on_is_claimed_of_the_newest_root_alone() {
    let mut owner = claiming();
    owner.on_root_moved(NOW, &mut Fx::new());
    let mut fx = Fx::new();
    owner.on_creditor_up(NOW, PeerId(102), 6, &mut fx);
    assert_eq!(claims(&fx), [(6, OLD, 5)]);
    assert!(hear(&mut owner, NEXT, claimed(5, OLD, NEW)).is_empty());
    assert!(owner.is_orphan());
}

#[test]
fn nothing_is_taken_while_a_claim_is_unanswered_and_the_want_is_made_anew() {
    let mut owner = claiming();
    owner.on_orphan_lost(NOW, LostReason::LeaseExpired, &mut Fx::new());
    owner.acquire(NOW, request(2, 1), &mut Fx::new());
    let fx = hear(&mut owner, NEXT, relent(loan(5, 9), 2, 2, 1));
    assert_eq!(returned(&fx), [(loan(5, 9), 1)]);
    assert_eq!(wants(&fx), [2]);
}

#[test]
fn a_grant_of_an_epoch_before_the_root_s_own_goes_back() {
    let mut owner = debtor(Policy::Exact);
    owner.on_root_moved(NOW, &mut Fx::new());
    owner.on_creditor_up(NOW, NEXT, 5, &mut Fx::new());
    owner.acquire(NOW, request(1, 1), &mut Fx::new());
    let origin = |epoch| Origin {
        peer: NEXT,
        party: Party::default(),
        epoch,
        may_have: Access::Exclusive,
    };
    let mut fx = Fx::new();
    let late = relent(loan(3, 1), 1, 1, 1);
    owner
        .on_message(NOW, origin(4), late, &mut fx)
        .expect("it is only late");
    assert_eq!(returned(&fx), [(loan(3, 1), 1)]);
    assert_eq!(wants(&fx), [1]);
    let mut fx = Fx::new();
    let good = relent(NEW, 1, 2, 1);
    owner
        .on_message(NOW, origin(5), good, &mut fx)
        .expect("of this view");
    assert_eq!(grants(&fx), [1]);
}

#[test]
fn what_a_former_root_says_late_is_void() {
    let mut owner = claiming();
    for message in [
        Message::Recall {
            loan: OLD,
            steps: Steps::new(),
        },
        Message::Limit {
            loan: OLD,
            limit: 1 << 50,
        },
        unclaimed(5, Unclaimed::Refused),
        claimed(5, OLD, NEW),
    ] {
        let before = owner.clone();
        assert!(hear(&mut owner, CREDITOR, message).is_empty());
        assert_eq!(owner, before);
    }
}

#[test]
fn an_orphan_asks_for_no_limit_and_takes_none() {
    let mut owner = debtor(Policy::Exact);
    let Message::Grant(all) = grant(OLD, 1, ALL) else {
        unreachable!("a grant")
    };
    owner.acquire(NOW, request(1, ALL), &mut Fx::new());
    let low = Message::Grant(Grant { limit: 8, ..all });
    hear(&mut owner, CREDITOR, low);
    owner.on_root_moved(NOW, &mut Fx::new());
    owner.on_creditor_up(NOW, NEXT, 5, &mut Fx::new());
    let mut fx = Fx::new();
    owner.release(NOW, token(1), &mut fx);
    owner.acquire(NOW, request(2, ALL), &mut fx);
    let asks = |message: &Message<Units>| matches!(message, Message::AskLimit { .. });
    assert!(!sent(&fx).iter().any(asks));
    let limit = owner.fence().limit();
    let more = Message::Limit {
        loan: OLD,
        limit: 1 << 50,
    };
    hear(&mut owner, NEXT, more);
    assert_eq!(owner.fence().limit(), limit);
}

#[test]
fn a_middle_owner_lends_nothing_of_an_orphan_and_all_of_a_confirmed_loan() {
    let mut middle = orphan();
    let below = PeerId(1);
    let fx = hear(&mut middle, below, want(7, 2));
    assert!(sent(&fx).is_empty());
    middle.on_creditor_up(NOW, NEXT, 5, &mut Fx::new());
    assert!(middle.lent().is_empty());
    let fx = hear(&mut middle, NEXT, claimed(5, OLD, NEW));
    assert!(matches!(sent(&fx)[..], [Message::Grant(_)]));
    assert_eq!(middle.lent(), &Units(2));
}

#[test]
fn what_comes_back_to_a_middle_owner_s_orphan_is_cached() {
    let mut middle = borrower();
    let below = PeerId(1);
    hear(&mut middle, below, want(7, 2));
    let lent = middle.loan_id(below).expect("it was lent");
    middle.on_root_moved(NOW, &mut Fx::new());
    let back = Message::Return {
        loan: lent,
        delta: Units(2),
        fence: 0,
        value: None,
        colour: None,
    };
    assert!(hear(&mut middle, below, back).is_empty());
    assert_eq!(middle.cached(), &Units(2));
}

#[test]
fn an_orphan_does_not_rest() {
    let mut owner = borrower();
    owner.release(NOW, token(1), &mut Fx::new());
    assert!(owner.rest().is_some());
    owner.on_root_moved(NOW, &mut Fx::new());
    assert!(owner.rest().is_none());
    owner.on_creditor_up(NOW, NEXT, 5, &mut Fx::new());
    assert!(owner.rest().is_none());
    hear(&mut owner, NEXT, claimed(5, OLD, NEW));
    assert!(owner.rest().is_some());
}

#[test]
fn the_claim_of_a_writer_carries_its_value_which_is_no_news_afterwards() {
    let mut owner = debtor(Policy::Exact);
    owner.acquire(NOW, request(1, ALL), &mut Fx::new());
    hear(&mut owner, CREDITOR, grant(OLD, 1, ALL));
    owner.write_value(token(1), b"v").expect("it may");
    owner.on_root_moved(NOW, &mut Fx::new());
    let mut fx = Fx::new();
    owner.on_creditor_up(NOW, NEXT, 5, &mut fx);
    let [Message::Claim(claim)] = &sent(&fx)[..] else {
        panic!("one claim: {fx:?}")
    };
    let value = claim.value.as_ref().expect("its value");
    assert_eq!(
        (&value.bytes[..], value.state),
        (&b"v"[..], ValueState::Sure)
    );
}
