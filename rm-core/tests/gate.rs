//! The gate: what is cached is taken and given back without the resource's lock, and nobody can tell.

mod desk;

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;
use std::thread;

use desk::*;
use rm_core::credit::{Credit, Opaque};
use rm_core::error::LostReason;
use rm_core::front::{Acquire, AcquireError, Ask, Domain, Door, Held, Role, Trust};
use rm_core::message::{Message, Step};
use rm_core::policy::Decision;
use rm_core::session::packet::Item;
use rm_rwlock::{RwCredit, RwLockType};

/// Takes what is cached, by the door that is meant for it.
fn enter(lock: &Lock, door: Door) -> Option<Hold> {
    let level = match door {
        Door::Shared => READ,
        Door::Sole => *lock.capital(),
    };
    Held::try_cached(lock.clone(), &level, Some(door), None)
}

fn read(lock: &Lock) -> Hold {
    enter(lock, Door::Shared).expect("it is cached")
}

fn write(lock: &Lock) -> Hold {
    enter(lock, Door::Sole).expect("it is cached")
}

fn asks_to_write(lock: &Lock) -> Acquire<RwLockType, Lock> {
    Acquire::new(lock.clone(), Ask::new(*lock.capital()).door(Door::Sole))
}

/// What the owner's book says is held, in how many holds.
fn held(lock: &Lock) -> (RwCredit, usize) {
    lock.with_owner(|owner| {
        owner.check();
        let sum = |sum: RwCredit, credit| sum.join(credit).expect("no more than the capital");
        let holds = owner.holds().map(|(_, hold)| &hold.credit);
        (holds.fold(RwCredit::empty(), sum), owner.holds().count())
    })
}

/// The creditor recalls all that it has lent, for a writer elsewhere; or no longer does.
fn recall(domain: &Domain, is_wanted: bool) {
    let step = Step {
        order: order(),
        keep: RwCredit::empty(),
        whole: true,
        try_only: false,
        note: None,
    };
    let message = Message::Recall {
        loan: lock(domain).with_owner(|owner| owner.last_loan()),
        steps: is_wanted.then_some(step).into_iter().collect(),
    };
    let Ok(message) = message.try_map(
        |credit: RwCredit| Ok::<_, Infallible>(Opaque::of(&credit)),
        |level: RwCredit| Ok(Opaque::of(&level)),
    );
    let delivered = domain.deliver(CREDITOR, item(message));
    delivered.expect("no misbehaviour");
}

#[test]
fn readers_share_one_hold_of_one_share_in_the_book() {
    let lock = lock(&domain(ROOT).0);
    let readers: Vec<_> = (0..5).map(|_| read(&lock)).collect();
    assert_eq!(held(&lock), (READ, 1));
    assert!(readers.iter().all(Held::is_valid));
    let mut writing = pin!(asks_to_write(&lock));
    assert!(writing.as_mut().poll(&mut cx()).is_pending());
    assert!(enter(&lock, Door::Shared).is_none(), "a writer waits");
    for reader in readers {
        assert!(writing.as_mut().poll(&mut cx()).is_pending());
        drop(reader);
    }
    let Poll::Ready(Ok(writer)) = writing.poll(&mut cx()) else {
        panic!("the last reader has left");
    };
    assert_eq!(held(&lock), (*lock.capital(), 1));
    drop(writer);
    assert_eq!(held(&lock), (RwCredit::empty(), 0));
}

#[test]
fn a_writer_is_alone_and_every_token_is_above_those_before_it() {
    let lock = lock(&domain(ROOT).0);
    let mut before = read(&lock).fence();
    for round in 0..20 {
        let writer = write(&lock);
        assert_eq!(writer.fence() % 2, 1, "a writer's is odd");
        assert!(writer.fence() > before);
        assert!(enter(&lock, Door::Shared).is_none() && enter(&lock, Door::Sole).is_none());
        if round % 3 == 0 {
            // The book is asked while it is inside.
            assert_eq!(held(&lock), (*lock.capital(), 1));
        }
        let fence = writer.fence();
        drop(writer);
        let reader = if round % 2 == 0 {
            read(&lock)
        } else {
            hold(&lock, READ)
        };
        assert!(reader.fence() > fence && reader.fence() % 2 == 0);
        before = reader.fence();
    }
}

#[test]
fn the_book_has_the_number_of_a_writer_that_is_inside() {
    let lock = lock(&domain(ROOT).0);
    drop(write(&lock));
    let writer = write(&lock);
    let fence = lock.with_owner(|owner| owner.holds().next().map(|(_, hold)| hold.fence));
    assert_eq!(fence, Some(writer.fence()));
}

#[test]
fn a_cancelled_writer_lets_readers_pass_again() {
    let lock = lock(&domain(ROOT).0);
    let first = read(&lock);
    {
        let mut writing = pin!(asks_to_write(&lock));
        assert!(writing.as_mut().poll(&mut cx()).is_pending());
        assert!(enter(&lock, Door::Shared).is_none());
    }
    let second = read(&lock);
    assert_eq!(held(&lock), (READ, 1), "they share one hold");
    drop((first, second));
    assert_eq!(held(&lock), (RwCredit::empty(), 0));
}

#[test]
fn a_recall_waits_for_readers_inside_and_not_for_an_open_gate() {
    let (domain, desk) = debtor();
    let lock = lock(&domain);
    drop(read(&lock));
    let reader = read(&lock);
    desk.said();
    recall(&domain, true);
    assert!(enter(&lock, Door::Shared).is_none(), "it is recalled");
    assert!(
        desk.said().is_empty(),
        "it needs all, and a reader is inside"
    );
    drop(reader);
    assert_eq!(
        lock.with_owner(|owner| *owner.borrowed()),
        RwCredit::empty()
    );
}

#[test]
fn nobody_passes_after_the_lease_even_where_nobody_was_told() {
    for door in [Door::Shared, Door::Sole] {
        let (domain, desk) = debtor();
        let lock = lock(&domain);
        drop(enter(&lock, door).expect("it is cached"));
        let inside = enter(&lock, door).expect("it is cached");
        assert!(inside.is_valid());
        desk.now.store(LEASE.as_nanos(), Ordering::Relaxed);
        assert!(enter(&lock, door).is_none(), "the machine slept");
        assert!(!inside.is_valid());
        let why = pin!(inside.lost()).poll(&mut cx());
        assert_eq!(why, Poll::Ready(LostReason::LeaseExpired));
    }
}

#[test]
fn nobody_passes_once_the_session_has_ended_before_any_resource_hears_of_it() {
    let (domain, _) = domain(Role::Debtor);
    let trust = Arc::new(Trust::until(LEASE));
    domain.on_creditor_up(CREDITOR, Arc::clone(&trust));
    lend_all(&domain);
    let lock = lock(&domain);
    let inside = read(&lock);
    trust.end();
    assert!(!inside.is_valid());
    assert!(enter(&lock, Door::Shared).is_none());
    assert_eq!(held(&lock), (RwCredit::empty(), 0));
    drop(inside);
    domain.on_creditor_down(CREDITOR, LostReason::SessionEnded);
    domain.on_creditor_up(CREDITOR, Arc::new(Trust::until(LEASE)));
    lend_all(&domain);
    drop(read(&lock));
    assert!(read(&lock).is_valid(), "the next session has a gate, too");
}

#[test]
fn a_lost_reader_shares_nothing_with_those_of_the_next_session() {
    let (domain, _) = debtor();
    let lock = lock(&domain);
    let former = read(&lock);
    domain.on_creditor_down(CREDITOR, LostReason::SessionEnded);
    domain.on_creditor_up(CREDITOR, Arc::new(Trust::until(LEASE)));
    lend_all(&domain);
    let next = [read(&lock), read(&lock)];
    assert!(!former.is_valid());
    assert!(next.iter().all(Held::is_valid));
    drop(former);
    assert!(next.iter().all(Held::is_valid));
    drop(next);
    assert_eq!(held(&lock), (RwCredit::empty(), 0));
}

#[test]
fn a_longer_lease_is_found_by_the_first_who_comes_after_the_shorter() {
    let (domain, desk) = domain(Role::Debtor);
    let trust = Arc::new(Trust::until(LEASE));
    domain.on_creditor_up(CREDITOR, Arc::clone(&trust));
    lend_all(&domain);
    let lock = lock(&domain);
    let inside = read(&lock);
    assert!(trust.extend(LEASE.after(std::time::Duration::from_secs(1))));
    desk.now.store(LEASE.as_nanos() + 1, Ordering::Relaxed);
    let after = read(&lock);
    assert!(inside.is_valid() && after.is_valid());
}

#[test]
fn a_writer_that_passed_converts_without_a_gap() {
    let lock = lock(&domain(ROOT).0);
    drop(write(&lock));
    let mut writer = write(&lock);
    let fence = writer.fence();
    writer.reduce(&READ);
    assert_eq!(held(&lock), (READ, 1));
    assert!(writer.fence() > fence);
    let beside = read(&lock);
    drop(writer);
    drop(beside);
    assert_eq!(held(&lock), (RwCredit::empty(), 0));
    drop(write(&lock));
}

#[test]
fn guards_that_share_a_hold_give_it_back_when_the_last_is_dropped() {
    let lock = lock(&domain(ROOT).0);
    for passes in [true, false] {
        let first = if passes {
            read(&lock)
        } else {
            hold(&lock, UPGRADABLE)
        };
        let mut writing = pin!(asks_to_write(&lock));
        assert!(writing.as_mut().poll(&mut cx()).is_pending());
        let second = first.share();
        assert_eq!(first.fence(), second.fence());
        drop(first);
        assert!(writing.as_mut().poll(&mut cx()).is_pending());
        assert!(second.is_valid());
        drop(second);
        assert!(writing.poll(&mut cx()).is_ready());
    }
}

#[test]
fn a_hold_that_is_shared_does_not_convert_until_it_is_alone() {
    let lock = lock(&domain(ROOT).0);
    let mut first = hold(&lock, UPGRADABLE);
    let second = first.share();
    let refused = pin!(first.convert(*lock.capital())).poll(&mut cx());
    assert!(matches!(
        refused,
        Poll::Ready(Err(AcquireError::BadRequest { .. }))
    ));
    drop(second);
    let granted = pin!(first.convert(*lock.capital())).poll(&mut cx());
    assert_eq!(granted, Poll::Ready(Ok(())));
}

#[test]
fn each_reader_that_passed_is_told_of_a_writer() {
    let lock = lock(&domain(ROOT).0);
    let readers = [read(&lock), read(&lock)];
    let mut writing = pin!(asks_to_write(&lock));
    assert!(writing.as_mut().poll(&mut cx()).is_pending());
    for reader in &readers {
        assert!(reader.is_wanted());
        let Poll::Ready(Ok(waiter)) = pin!(reader.wanted()).poll(&mut cx()) else {
            panic!("a writer waits");
        };
        assert_eq!(waiter.mode, "write");
        assert!(pin!(reader.wanted()).poll(&mut cx()).is_pending());
    }
}

#[test]
fn what_passed_is_counted_as_served_by_the_cache_and_as_held() {
    let (domain, _) = domain(ROOT);
    let lock = lock(&domain);
    for _ in 0..10 {
        drop(read(&lock));
        drop(write(&lock));
    }
    let readers = [read(&lock), read(&lock)];
    let totals = domain.totals();
    assert_eq!((totals.cached_acquires, totals.holds), (22, 2));
    drop(readers);
    assert_eq!(domain.totals().holds, 0);
}

#[test]
fn who_looks_at_the_books_does_not_shut_out_those_who_come() {
    let lock = lock(&domain(ROOT).0);
    let reader = read(&lock);
    assert_eq!(held(&lock), (READ, 1));
    assert!(reader.value().is_ok() && reader.valid_for().is_none());
    // Without the lock, which would open the gate again.
    let second = Held::pass(lock.clone(), Door::Shared).expect("the gate is open");
    assert_eq!(held(&lock), (READ, 1));
    drop((reader, second));
}

#[test]
fn one_hold_for_the_gate_leaves_the_other_shares_to_others() {
    let lock = lock(&domain(ROOT).0);
    let (inside, own) = (read(&lock), hold(&lock, READ));
    let upgradable = hold(&lock, UPGRADABLE);
    let late = read(&lock);
    let (all, holds) = held(&lock);
    assert_eq!((all.shares, all.intent, holds), (3, 1, 3));
    drop((inside, own, upgradable, late));
    assert_eq!(held(&lock), (RwCredit::empty(), 0));
}

#[test]
fn a_writers_numbers_end_where_more_must_be_asked_for() {
    // The loan allows numbers up to 100: far fewer than are asked for here.
    let (domain, desk) = debtor();
    let lock = lock(&domain);
    let mut last = 0;
    while let Some(writer) = enter(&lock, Door::Sole) {
        assert!(writer.fence() > last && writer.fence() < 100);
        last = writer.fence();
    }
    assert!(last > 40, "half of the room was there");
    desk.said();
    let asking = pin!(asks_to_write(&lock)).poll(&mut cx());
    assert!(asking.is_ready(), "there are numbers left");
    let said = desk.said();
    let asks = |item: &Item| matches!(item.message, Message::AskLimit { .. });
    assert!(said.iter().any(|(_, item)| asks(item)));
}

#[test]
fn a_hot_gate_has_words_for_its_threads_and_keeps_nobody_inside() {
    // So many that it is found hot, if the machine is not very slow; nothing here depends on it.
    const ROUNDS: u64 = if cfg!(miri) { 100 } else { 400_000 };
    let lock = lock(&domain(ROOT).0);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..ROUNDS {
                    let outer = read(&lock);
                    drop(read(&lock));
                    drop(outer);
                }
            });
        }
    });
    let inside = read(&lock);
    let mut writing = pin!(asks_to_write(&lock));
    assert!(writing.as_mut().poll(&mut cx()).is_pending());
    assert_eq!(held(&lock), (READ, 1));
    drop(inside);
    assert!(writing.poll(&mut cx()).is_ready());
    assert_eq!(held(&lock), (RwCredit::empty(), 0));
}

#[test]
fn who_came_by_a_word_of_a_hot_gate_is_inside_when_it_has_cooled_down() {
    let (domain, desk) = domain(ROOT);
    let lock = lock(&domain);
    let hammer = || (0..200_000).for_each(|_| drop(read(&lock)));
    hammer();
    thread::scope(|scope| scope.spawn(hammer).join().expect("it reads"));
    let inside = read(&lock);
    let closes_it = || {
        let mut writing = pin!(asks_to_write(&lock));
        assert!(writing.as_mut().poll(&mut cx()).is_pending());
    };
    closes_it();
    desk.now.store(10_000_000_000, Ordering::Relaxed);
    let opens_it = read(&lock);
    assert_eq!(held(&lock), (READ, 1));
    drop(opens_it);
    assert_eq!(held(&lock), (READ, 1), "one is still inside");
    closes_it();
    drop(inside);
    assert_eq!(held(&lock), (RwCredit::empty(), 0));
}

#[test]
fn many_threads_pass_and_each_writer_is_alone() {
    const ROUNDS: u64 = if cfg!(miri) { 50 } else { 20_000 };
    let (domain, _) = domain(ROOT);
    let lock = lock(&domain);
    let sum = AtomicU64::new(0);
    let work = |thread: u64| {
        for round in 0..ROUNDS {
            let wants_to_write = (round + thread).is_multiple_of(16);
            let door = if wants_to_write {
                Door::Sole
            } else {
                Door::Shared
            };
            let Some(held) = enter(&lock, door) else {
                continue;
            };
            let before = sum.load(Ordering::Relaxed);
            if wants_to_write {
                sum.store(before + 1, Ordering::Relaxed);
            } else {
                assert_eq!(sum.load(Ordering::Relaxed), before, "a writer came in");
            }
            drop(held);
        }
    };
    thread::scope(|scope| {
        for thread in 0..4 {
            scope.spawn(move || work(thread));
        }
    });
    assert_eq!(held(&lock), (RwCredit::empty(), 0));
    assert!(sum.into_inner() > 0);
}

#[test]
fn readers_that_were_lost_are_counted_as_holders_no_more() {
    let (domain, _) = debtor();
    let lock = lock(&domain);
    drop(read(&lock));
    let readers = [read(&lock), read(&lock)];
    let own = hold(&lock, UPGRADABLE);
    let shares = own.share();
    assert_eq!(domain.totals().holds, 4);
    domain.on_creditor_down(CREDITOR, LostReason::SessionEnded);
    assert_eq!(domain.totals().holds, 0);
    drop((readers, own, shares));
    assert_eq!(domain.totals().holds, 0);
}

#[test]
#[should_panic(expected = "shares with nobody")]
fn what_passed_alone_is_not_shared() {
    let lock = lock(&domain(ROOT).0);
    drop(write(&lock));
    let writer = write(&lock);
    let _second = writer.share();
}

#[test]
fn credit_that_served_those_who_passed_was_not_cached_in_vain() {
    let (domain, _) = debtor();
    let lock = lock(&domain);
    let (own, inside) = (hold(&lock, READ), read(&lock));
    // A writer elsewhere asks for it and goes away. Whether it is cached in vain is counted from here on.
    recall(&domain, true);
    recall(&domain, false);
    let late = read(&lock);
    drop((own, inside, late));
    drop(read(&lock));
    recall(&domain, true);
    let decisions = domain.totals().decisions;
    assert_eq!(decisions.count(Decision::RecalledIdle), 1);
    assert_eq!(decisions.count(Decision::RecalledUnused), 0);
}

#[cfg(not(miri))] // Millions of guards.
#[test]
fn a_reader_whom_the_gate_cannot_count_any_more_has_a_hold_of_its_own() {
    /// So many are let in by one word.
    const FULL: u64 = 1 << 23;
    let lock = lock(&domain(ROOT).0);
    let read = || Held::try_cached(&*lock, &READ, Some(Door::Shared), None).expect("it is cached");
    let first = read();
    for _ in 1..FULL {
        std::mem::forget(first.share());
    }
    assert_eq!(held(&lock).1, 1);
    let more = [read(), read()];
    assert_eq!(held(&lock).1, 3);
    drop((first, more));
    assert_eq!(held(&lock).1, 1, "many are still inside");
    assert!(enter(&lock, Door::Sole).is_none());
}

#[cfg(debug_assertions)]
#[test]
#[should_panic(expected = "what its type names")]
fn who_comes_by_a_door_that_is_meant_for_less_is_told() {
    let lock = lock(&domain(ROOT).0);
    let all = *lock.capital();
    let _held = Held::try_cached(lock, &all, Some(Door::Shared), None);
}
