//! Identifiers and sequences in one process.

use std::collections::BTreeSet;

use rm_core::front::Domain;
use rm_types::doc::{block_on, domain};
use rm_types::id_range::TAKE_MAX;
use rm_types::{AcquireError, IdRange, Sequence};

fn take(domain: &Domain, count: u64) -> Vec<u64> {
    let ids = IdRange::new(domain, "x");
    let taken = block_on(async { ids.take(count).await }).expect("there are enough");
    assert_eq!(taken.len(), count);
    taken.iter().collect()
}

#[test]
fn no_identifier_comes_twice_whoever_takes_it() {
    let domain = domain();
    let mut seen = BTreeSet::new();
    for count in [1, 5, 1_000, 1, 70_000] {
        for id in take(&domain, count) {
            assert!(id > 0 && seen.insert(id), "{id} came before");
        }
    }
}

#[test]
fn no_identifier_comes_twice_over_epochs_and_the_resource_outlives_its_handles() {
    let domain = domain();
    let before = take(&domain, 10);
    domain.sweep();
    domain.on_epoch(2);
    let after = take(&domain, 10);
    domain.on_epoch(3);
    let later = take(&domain, 10);
    let all: BTreeSet<_> = [before, after, later].concat().into_iter().collect();
    assert_eq!(all.len(), 30);
}

#[test]
fn different_names_have_identifiers_of_their_own() {
    let domain = domain();
    let one = block_on(async { IdRange::new(&domain, "one").next().await });
    let other = block_on(async { IdRange::new(&domain, "other").next().await });
    assert_eq!(one, other, "each name counts by itself");
}

#[test]
fn too_few_or_too_many_at_once_are_refused_with_a_word_on_how_many_may_be_taken() {
    let ids = IdRange::new(&domain(), "x");
    for count in [0, TAKE_MAX + 1, u64::MAX] {
        let refused = block_on(async { ids.take(count).await });
        let Err(AcquireError::BadRequest { why }) = refused else {
            panic!("{count} at once: {refused:?}");
        };
        assert!(why.contains("16,777,216"));
        assert!(ids.try_take_cached(count).is_none());
    }
}

#[test]
fn a_bad_name_shows_at_the_first_request() {
    let domain = domain();
    let nameless = block_on(async { IdRange::new(&domain, "").next().await });
    assert!(matches!(nameless, Err(AcquireError::BadName(_))));
    let nameless = block_on(async { Sequence::new(&domain, "").next().await });
    assert!(matches!(nameless, Err(AcquireError::BadName(_))));
}

#[test]
fn what_is_in_stock_is_taken_without_asking() {
    let ids = IdRange::new(&domain(), "x");
    let stock = ids.in_stock();
    let taken = ids.try_take_cached(3).expect("the root has them");
    assert_eq!((taken.len(), ids.in_stock()), (3, stock - 3));
}

#[test]
fn a_sequence_rises_over_handles_and_epochs() {
    let domain = domain();
    let one = Sequence::new(&domain, "x");
    let other = Sequence::new(&domain, "x");
    let mut last = 0;
    for round in 1..100_u32 {
        let handle = if round % 3 == 0 { &one } else { &other };
        let next = block_on(async { handle.next().await }).expect("free");
        assert!(next > last, "{next} after {last}");
        last = next;
        if round % 10 == 0 {
            domain.on_epoch(round);
            domain.sweep();
        }
    }
    assert!(one.try_next_cached().is_some_and(|next| next > last));
}
