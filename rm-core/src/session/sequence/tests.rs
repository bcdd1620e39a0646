use super::*;
use crate::session::testing::{grant, recall, unwant, want};

const ALL: Window = Window {
    items: usize::MAX,
    bytes: usize::MAX,
};

/// A sequence in which much waits, merged now.
fn merged(items: impl IntoIterator<Item = Item>) -> Vec<Item> {
    let mut outgoing = Outgoing::new(ALL);
    for item in items {
        outgoing.push(item).unwrap();
    }
    outgoing.merge();
    let left = outgoing.next_batch(ALL);
    left.map_or_else(Vec::new, |(_, items)| items)
}

fn numbers(items: impl IntoIterator<Item = Item>) -> Vec<Item> {
    items.into_iter().collect()
}

#[test]
fn items_are_numbered_from_one_and_leave_in_batches() {
    let mut outgoing = Outgoing::new(Window::default());
    for n in 1..=3 {
        outgoing.push(want(n)).unwrap();
    }
    let two = Window {
        items: 2,
        bytes: usize::MAX,
    };
    assert_eq!(outgoing.next_batch(two), Some((1, vec![want(1), want(2)])));
    assert_eq!(outgoing.next_batch(two), Some((3, vec![want(3)])));
    assert_eq!(outgoing.next_batch(two), None);
    assert_eq!(outgoing.last_sent(), 3);
}

#[test]
fn a_batch_is_bounded_in_bytes_but_never_empty() {
    let mut outgoing = Outgoing::new(Window::default());
    outgoing.push(want(1)).unwrap();
    outgoing.push(want(2)).unwrap();
    let tight = Window {
        items: 10,
        bytes: 1,
    };
    assert_eq!(outgoing.next_batch(tight), Some((1, vec![want(1)])));
    let fits_one = Window {
        items: 10,
        bytes: want(2).weight(),
    };
    outgoing.push(want(3)).unwrap();
    assert_eq!(outgoing.next_batch(fits_one), Some((2, vec![want(2)])));
}

#[test]
fn a_full_window_refuses_until_an_acknowledgement_makes_room() {
    let window = Window {
        items: 2,
        bytes: usize::MAX,
    };
    let mut outgoing = Outgoing::new(window);
    outgoing.push(want(1)).unwrap();
    outgoing.push(want(2)).unwrap();
    assert!(outgoing.is_full());
    let full = outgoing.push(want(3)).unwrap_err();
    assert_eq!(full.items, 2);
    // Sending alone makes no room.
    outgoing.next_batch(window);
    assert!(outgoing.is_full());
    assert_eq!(outgoing.on_ack(1), Ok(1));
    outgoing.push(want(3)).unwrap();
    assert_eq!(outgoing.next_batch(window), Some((2, vec![want(2)])));
}

#[test]
fn a_window_is_bounded_in_bytes() {
    let window = Window {
        items: usize::MAX,
        bytes: want(1).weight() + 1,
    };
    let mut outgoing = Outgoing::new(window);
    outgoing.push(want(1)).unwrap();
    assert!(!outgoing.is_full());
    outgoing.push(want(2)).unwrap();
    assert!(outgoing.push(want(3)).is_err());
    for ack in 1..=2 {
        outgoing.next_batch(window);
        outgoing.on_ack(ack).unwrap();
    }
    assert_eq!(outgoing, {
        let mut fresh = Outgoing::new(window);
        fresh.acked = 2;
        fresh
    });
}

#[test]
fn an_old_acknowledgement_is_nothing_and_one_of_the_unsent_an_error() {
    let mut outgoing = Outgoing::new(Window::default());
    outgoing.push(want(1)).unwrap();
    assert_eq!(outgoing.on_ack(1), Err(AckBeyondSent { ack: 1, sent: 0 }));
    outgoing.next_batch(Window::default());
    assert_eq!(outgoing.on_ack(1), Ok(1));
    assert_eq!(outgoing.on_ack(1), Ok(0));
    assert_eq!(outgoing.on_ack(0), Ok(0));
}

#[test]
fn each_number_is_let_through_once() {
    let mut incoming = Incoming::default();
    let first = numbers(incoming.on_items(1, vec![want(1), want(2)]).unwrap());
    assert_eq!(first, [want(1), want(2)]);
    let again = numbers(incoming.on_items(2, vec![want(2), want(3)]).unwrap());
    assert_eq!(again, [want(3)]);
    let old = numbers(incoming.on_items(1, vec![want(1)]).unwrap());
    assert_eq!(old, []);
    assert_eq!(incoming.received(), 3);
}

#[test]
fn a_gap_and_the_number_zero_are_errors_and_count_nothing() {
    let mut incoming = Incoming::default();
    for first in [0, 2, u64::MAX] {
        let gap = incoming.on_items(first, vec![want(1)]).err();
        assert_eq!(gap, Some(Gap { first, expected: 1 }));
    }
    assert_eq!(incoming, Incoming::default());
}

#[test]
fn the_number_of_no_items_means_nothing() {
    let mut incoming = Incoming::default();
    for first in [0, 1, 9] {
        assert_eq!(incoming.on_items(first, vec![]).unwrap().count(), 0);
    }
    assert_eq!(incoming.received(), 0);
}

#[test]
fn no_more_than_half_of_the_window_is_under_way() {
    let window = Window {
        items: 4,
        bytes: usize::MAX,
    };
    let mut outgoing = Outgoing::new(window);
    for n in 1..=3 {
        outgoing.push(want(n)).unwrap();
    }
    assert_eq!(outgoing.next_batch(ALL), Some((1, vec![want(1), want(2)])));
    assert_eq!(outgoing.next_batch(ALL), None);
    outgoing.on_ack(1).unwrap();
    assert_eq!(outgoing.next_batch(ALL), Some((3, vec![want(3)])));

    let bytes = Window {
        items: usize::MAX,
        bytes: 2 * want(1).weight(),
    };
    let mut outgoing = Outgoing::new(bytes);
    outgoing.push(want(1)).unwrap();
    outgoing.push(want(2)).unwrap();
    assert_eq!(outgoing.next_batch(ALL), Some((1, vec![want(1)])));
    assert_eq!(outgoing.next_batch(ALL), None);
}

#[test]
fn over_another_connection_all_that_is_expected_is_sent_again_under_its_number() {
    let mut outgoing = Outgoing::new(Window::default());
    for n in 1..=4 {
        outgoing.push(want(n)).unwrap();
    }
    let three = Window { items: 3, ..ALL };
    outgoing.next_batch(three);
    outgoing.on_ack(1).unwrap();
    outgoing.resume(3).unwrap();
    assert_eq!(outgoing.on_ack(3), Err(AckBeyondSent { ack: 3, sent: 2 }));
    assert_eq!(outgoing.next_batch(ALL), Some((3, vec![want(3), want(4)])));
    outgoing.on_ack(4).unwrap();
    assert_eq!(outgoing, {
        let mut fresh = Outgoing::new(Window::default());
        fresh.acked = 4;
        fresh
    });
}

#[test]
fn what_was_never_sent_or_is_kept_no_longer_cannot_be_sent_again() {
    let mut outgoing = Outgoing::new(Window::default());
    for n in 1..=3 {
        outgoing.push(want(n)).unwrap();
    }
    outgoing.next_batch(Window { items: 2, ..ALL });
    outgoing.on_ack(1).unwrap();
    let before = outgoing.clone();
    let beyond = |ack| Err(CannotResume::Beyond(AckBeyondSent { ack, sent: 2 }));
    let acked = 1;
    for (next_expected, answer) in [
        (4, beyond(3)),
        (u64::MAX, beyond(u64::MAX - 1)),
        (
            1,
            Err(CannotResume::Forgotten {
                next_expected: 1,
                acked,
            }),
        ),
    ] {
        assert_eq!(outgoing.resume(next_expected), answer);
        assert_eq!(outgoing, before);
    }
}

#[test]
fn of_a_register_only_the_last_word_that_waits_is_said() {
    assert_eq!(
        merged([want(1), want(2), want(1), unwant(2)]),
        [want(1), unwant(2)]
    );
    assert_eq!(
        merged([recall(), grant(1), recall(), recall()]),
        [grant(1), recall()]
    );
    assert_eq!(merged([recall(), grant(1)]), [grant(1)]);
}

#[test]
fn credit_that_moves_and_what_has_a_number_is_never_dropped() {
    assert_eq!(merged([grant(1), grant(1)]), [grant(1), grant(1)]);
    let mut outgoing = Outgoing::new(ALL);
    outgoing.push(want(1)).unwrap();
    outgoing.next_batch(ALL);
    outgoing.resume(1).unwrap();
    outgoing.push(want(1)).unwrap();
    outgoing.merge();
    let both = outgoing.next_batch(ALL);
    assert_eq!(both, Some((1, vec![want(1), want(1)])));
}

#[test]
fn registers_of_another_resource_stay() {
    let mut other = recall();
    other.key = ResourceKey::new(b"other").unwrap();
    assert_eq!(merged([recall(), other.clone()]), [recall(), other]);
}

#[test]
fn however_often_registers_change_while_nothing_is_taken_they_fill_no_window() {
    let window = Window {
        items: 4_096,
        bytes: usize::MAX,
    };
    let mut outgoing = Outgoing::new(window);
    for round in 0..100_000 {
        outgoing.push(want(round % 1_000)).unwrap();
    }
    assert!(outgoing.kept.len() <= 2_048);
    // The last word of each is there.
    outgoing.merge();
    assert_eq!(outgoing.kept.len(), 1_000);
    // What does not merge fills it in the end.
    let full = (0..5_000).find_map(|n| outgoing.push(grant(n)).err());
    assert_eq!(full.map(|full| full.items), Some(4_096));
}
