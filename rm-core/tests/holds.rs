//! What becomes of holds while they last: they convert, shrink, are split and merged, or stay with the node.

mod desk;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::atomic::Ordering;
use std::task::Poll;

use desk::*;
use rm_core::credit::{Credit, Opaque};
use rm_core::error::LostReason;
use rm_core::front::{Acquire, AcquireError, Ask};
use rm_core::id::{GroupId, ResourceKey, Version};
use rm_core::message::{Message, Want};
use rm_rwlock::RwCredit;

#[test]
fn a_holder_that_asks_for_more_gets_it_when_others_let_go_with_a_new_token() {
    let lock = lock(&domain(ROOT).0);
    let (mut one, other) = (hold(&lock, UPGRADABLE), hold(&lock, READ));
    let fence = one.fence();
    {
        let mut converting = pin!(one.convert(*lock.capital()));
        assert!(converting.as_mut().poll(&mut cx()).is_pending());
        drop(other);
        assert_eq!(converting.as_mut().poll(&mut cx()), Poll::Ready(Ok(())));
    }
    assert_eq!(&one.credit(), lock.capital());
    assert!(one.fence() > fence);
}

#[test]
fn a_dropped_conversion_is_withdrawn_and_what_was_granted_unseen_goes_back() {
    let lock = lock(&domain(ROOT).0);
    let (mut one, other) = (hold(&lock, UPGRADABLE), hold(&lock, READ));
    {
        let mut converting = pin!(one.convert(*lock.capital()));
        assert!(converting.as_mut().poll(&mut cx()).is_pending());
        assert!(!is_free(&lock, READ), "readers wait behind it");
    }
    assert!(is_free(&lock, READ));
    {
        let mut converting = pin!(one.convert(*lock.capital()));
        assert!(converting.as_mut().poll(&mut cx()).is_pending());
        drop(other);
    }
    assert_eq!(one.credit(), UPGRADABLE);
    assert!(is_free(&lock, READ));
    let next = hold(&lock, READ);
    assert!(one.fence() <= next.fence());
}

#[test]
fn a_conversion_never_polled_asks_nothing() {
    let lock = lock(&domain(ROOT).0);
    let mut one = hold(&lock, READ);
    drop(one.convert(*lock.capital()));
    assert!(is_free(&lock, READ));
    assert_eq!(one.credit(), READ);
}

#[test]
fn the_younger_of_two_that_wait_for_each_other_is_told_and_holds_what_it_held() {
    let lock = lock(&domain(ROOT).0);
    let (mut one, mut two) = (hold(&lock, READ), hold(&lock, READ));
    let all = *lock.capital();
    let mut first = pin!(one.convert(all));
    assert!(first.as_mut().poll(&mut cx()).is_pending());
    {
        let mut second = pin!(two.convert(all));
        let Poll::Ready(Err(AcquireError::WouldDeadlock { holders })) =
            second.as_mut().poll(&mut cx())
        else {
            panic!("told at once");
        };
        assert!(!holders.is_empty());
    }
    assert_eq!(two.credit(), READ);
    assert!(two.is_valid());
    drop(two);
    assert_eq!(first.as_mut().poll(&mut cx()), Poll::Ready(Ok(())));
}

#[test]
fn more_than_there_is_is_refused_and_the_hold_stays() {
    let lock = lock(&domain(ROOT).0);
    let mut one = hold(&lock, READ);
    let two_intents = RwCredit {
        shares: 1,
        intent: 2,
    };
    {
        let mut converting = pin!(one.convert(two_intents));
        let refused = Poll::Ready(Err(AcquireError::Refused));
        assert_eq!(converting.as_mut().poll(&mut cx()), refused);
    }
    assert_eq!((one.credit(), one.is_valid()), (READ, true));
}

#[test]
fn the_future_of_a_conversion_that_is_forgotten_does_no_harm() {
    let lock = lock(&domain(ROOT).0);
    let (mut one, other) = (hold(&lock, READ), hold(&lock, READ));
    let forget = |one: &mut Hold| {
        let mut converting = Box::pin(one.convert(*lock.capital()));
        assert!(converting.as_mut().poll(&mut cx()).is_pending());
        core::mem::forget(converting);
    };
    forget(&mut one);
    {
        let mut again = pin!(one.convert(UPGRADABLE));
        assert_eq!(again.as_mut().poll(&mut cx()), Poll::Ready(Ok(())));
    }
    forget(&mut one);
    one.reduce(&READ);
    assert!(is_free(&lock, UPGRADABLE));
    forget(&mut one);
    drop((one, other));
    assert!(is_free(&lock, *lock.capital()));
}

#[test]
fn a_hold_that_is_lost_while_it_converts_is_lost() {
    let (domain, desk) = debtor();
    let lock = lock(&domain);
    let (mut one, _other) = (hold(&lock, READ), hold(&lock, READ));
    {
        let mut converting = pin!(one.convert(*lock.capital()));
        assert!(converting.as_mut().poll(&mut cx()).is_pending());
        desk.now.store(LEASE.as_nanos(), Ordering::Relaxed);
        let lost = AcquireError::SessionLost(LostReason::LeaseExpired);
        assert_eq!(converting.as_mut().poll(&mut cx()), Poll::Ready(Err(lost)));
    }
    assert!(!one.is_valid());
    assert_eq!(one.credit(), RwCredit::empty());
    let mut again = pin!(one.convert(READ));
    assert!(again.as_mut().poll(&mut cx()).is_ready());
}

#[test]
fn what_was_lost_is_lost_in_both_parts_and_merges_with_nothing() {
    let (domain, _) = debtor();
    let lock = lock(&domain);
    let (mut one, other) = (hold(&lock, UPGRADABLE), hold(&lock, READ));
    domain.on_creditor_down(CREDITOR, LostReason::SessionEnded);
    let part = one.split(&READ);
    assert!(!part.is_valid() && !one.is_valid());
    one.reduce(&READ);
    let other = one.merge(other).expect_err("both were lost");
    drop((one, part));
    assert_eq!(other.keep(), Err(LostReason::SessionEnded));
    domain.sweep();
    assert_eq!(domain.totals().holds, 0);
}

#[test]
fn a_hold_is_split_and_merged_with_one_of_its_own_resource_only() {
    let (domain, _) = domain(ROOT);
    let lock = lock(&domain);
    let other: Lock = domain
        .resource(&ResourceKey::new(b"y").expect("a name"))
        .expect("room");
    let mut one = hold(&lock, UPGRADABLE);
    let part = one.split(&READ);
    assert_eq!((one.credit().intent, part.credit()), (1, READ));
    let stranger = one.merge(hold(&other, READ)).expect_err("another lock's");
    drop(stranger);
    one.merge(part).expect("the same lock's");
    assert_eq!(one.credit(), UPGRADABLE);
    assert_eq!(domain.totals().holds, 1);
}

#[test]
fn what_a_node_keeps_stays_without_a_handle_until_it_is_given_back() {
    let (domain, _) = domain(ROOT);
    for _ in 0..3 {
        hold(&lock(&domain), READ).keep().expect("it was not lost");
    }
    domain.sweep();
    domain.sweep();
    let lock = lock(&domain);
    assert_eq!(lock.kept().shares, 3);
    assert_eq!(domain.totals().holds, 1, "it adds up");
    assert!(!is_free(&lock, *lock.capital()));
    let two = RwCredit {
        shares: 2,
        intent: 0,
    };
    lock.give_back(&two).expect("three are kept");
    assert_eq!(lock.give_back(&two), Err(READ));
    lock.give_back(&READ).expect("one is left");
    assert!(is_free(&lock, *lock.capital()));
}

#[test]
fn what_a_node_keeps_is_lost_with_its_lease() {
    let (domain, desk) = debtor();
    {
        let lock = lock(&domain);
        hold(&lock, UPGRADABLE).keep().expect("it was not lost");
        desk.now.store(LEASE.as_nanos(), Ordering::Relaxed);
        assert_eq!(lock.kept(), RwCredit::empty());
        assert!(lock.give_back(&READ).is_err());
    }
    domain.sweep();
    domain.sweep();
    assert_eq!(domain.totals().resources, 0, "nothing of it is left");
}

fn poll<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut cx())
}

#[test]
fn a_holder_is_not_told_of_one_who_no_longer_waits() {
    let lock = lock(&domain(ROOT).0);
    let held = hold(&lock, READ);
    let all = *lock.capital();
    {
        let mut gone = pin!(Acquire::new(lock.clone(), Ask::new(all)));
        assert!(poll(gone.as_mut()).is_pending());
    }
    assert!(!held.is_wanted());
    let mut wanted = pin!(held.wanted());
    assert!(poll(wanted.as_mut()).is_pending(), "nobody waits");
    let mut writing = pin!(Acquire::new(lock.clone(), Ask::new(all)));
    assert!(poll(writing.as_mut()).is_pending());
    assert!(poll(wanted.as_mut()).is_ready(), "somebody waits");
}

#[test]
fn a_node_is_told_of_cached_credit_that_it_lends_to_a_debtor() {
    let (domain, _) = domain(ROOT);
    let lock = lock(&domain);
    drop(hold(&lock, READ));
    let mut leaving = pin!(lock.leaving());
    assert!(poll(leaving.as_mut()).is_pending());
    let want = Message::Want(Want {
        order: order(),
        version: Version(1),
        level: Opaque::of(lock.capital()),
        try_only: false,
        deadline: None,
        note: None,
    });
    domain.deliver(DEBTOR, item(want)).expect("no misbehaviour");
    assert!(poll(leaving.as_mut()).is_ready());
}

#[test]
fn a_node_is_told_of_cached_credit_that_is_lost_with_the_session_or_the_lease() {
    for is_lease in [true, false] {
        let (domain, desk) = debtor();
        let lock = lock(&domain);
        let mut leaving = pin!(lock.leaving());
        assert!(poll(leaving.as_mut()).is_pending());
        if is_lease {
            desk.now.store(LEASE.as_nanos(), Ordering::Relaxed);
        } else {
            domain.on_creditor_down(CREDITOR, LostReason::SessionEnded);
        }
        assert!(!is_free(&lock, READ));
        assert!(poll(leaving.as_mut()).is_ready());
        assert!(poll(pin!(lock.leaving())).is_pending(), "nothing is left");
    }
}

#[test]
fn a_member_of_a_group_keeps_nothing_for_its_node() {
    let lock = lock(&domain(ROOT).0);
    let mut ask = Ask::new(READ);
    ask.options().group = Some(GroupId(1));
    let Poll::Ready(Ok(member)) = poll(pin!(Acquire::new(lock.clone(), ask))) else {
        panic!("it is free");
    };
    let kept = catch_unwind(AssertUnwindSafe(|| member.keep()));
    assert!(kept.is_err(), "the group has it, not the member");
    assert!(is_free(&lock, *lock.capital()), "it was released");
}
