//! Who stands in whose way: for each request that waits, the holders and the older requests that it does not go with.
//!
//! It is for people: the server decides by credits, this goes by what they are called. Two readers go together;
//! anything else is taken to be in the way.

use rm_core::inspect::{Entry, EntryKind};
use serde::Serialize;

/// The most that are named of those in front of one request.
const FRONT_MAX: usize = 16;

/// Who is in front of one request. Both are places in the list of entries.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Front {
    /// The request that waits.
    pub(super) entry: usize,
    /// How many requests are served before it.
    pub(super) older: usize,
    /// Who is in its way: first those who hold or may hold, then older requests, oldest first.
    pub(super) behind: Vec<usize>,
    /// How many more are.
    pub(super) more: usize,
}

/// For each entry that waits, in the order in which they are served.
pub(super) fn of(entries: &[Entry]) -> Vec<Front> {
    let waits = |entry: &&(usize, &Entry)| entry.1.kind == EntryKind::Waits;
    let all: Vec<_> = entries.iter().enumerate().collect();
    let mut queue: Vec<_> = all.iter().filter(waits).collect();
    queue.sort_by_key(|(place, entry)| (entry.order, *place));
    let fronts = queue.iter().enumerate().map(|(older, (place, waiting))| {
        let holders = all.iter().filter(|(_, other)| may_hold(other, entries));
        let in_front = holders.chain(queue[..older].iter().copied());
        let in_the_way = in_front.filter(|(_, other)| !go_together(waiting, other));
        let mut behind: Vec<_> = in_the_way.map(|(place, _)| *place).collect();
        let more = behind.len().saturating_sub(FRONT_MAX);
        behind.truncate(FRONT_MAX);
        Front {
            entry: *place,
            older,
            behind,
            more,
        }
    });
    fronts.collect()
}

/// Whether it holds, or has credit of which nothing better is known. Of a node that says what it holds, that counts; and
/// what is only cached by a node that waits itself is in nobody's way.
fn may_hold(entry: &Entry, all: &[Entry]) -> bool {
    let says_more = |kind| {
        all.iter()
            .any(|other| other.kind == kind && other.node == entry.node)
    };
    match entry.kind {
        EntryKind::Holds | EntryKind::Silent => true,
        EntryKind::Caches => ![EntryKind::Holds, EntryKind::Silent, EntryKind::Waits]
            .into_iter()
            .any(says_more),
        EntryKind::Waits => false,
    }
}

fn go_together(one: &Entry, other: &Entry) -> bool {
    one.mode == "read" && other.mode == "read"
}

#[cfg(test)]
mod tests {
    use rm_core::id::{Class, NodeId, Order, Party, Stamp};

    use super::*;

    fn entry(kind: EntryKind, node: &str, mode: &str, asked: u64) -> Entry {
        let order = Order {
            class: Class::New,
            stamp: Stamp(asked),
            party: Party::default(),
            seq: 0,
        };
        Entry {
            order: (kind == EntryKind::Waits).then_some(order),
            ..Entry::new(kind, node.into(), NodeId(1), mode.into())
        }
    }

    #[test]
    fn a_request_waits_for_holders_and_for_the_older_ones_it_does_not_go_with() {
        let entries = [
            entry(EntryKind::Caches, "a", "all", 0),
            entry(EntryKind::Holds, "a", "read", 0),
            entry(EntryKind::Waits, "d", "read", 9),
            entry(EntryKind::Waits, "b", "write", 7),
            entry(EntryKind::Waits, "c", "read", 8),
        ];
        let fronts = of(&entries);
        let behind = |place: usize| (fronts[place].entry, fronts[place].behind.clone());
        assert_eq!(behind(0), (3, vec![1]));
        assert_eq!(behind(1), (4, vec![3]));
        // The reader before it is not in its way.
        assert_eq!(behind(2), (2, vec![3]));
        assert_eq!(fronts[2].older, 2);
    }

    #[test]
    fn credit_of_which_nobody_says_more_may_be_in_use() {
        let entries = [
            entry(EntryKind::Caches, "a", "all", 0),
            entry(EntryKind::Caches, "b", "1 share", 0),
            entry(EntryKind::Waits, "b", "write", 7),
        ];
        assert_eq!(of(&entries)[0].behind, [0]);
    }

    #[test]
    fn of_many_in_front_some_are_named_and_the_others_counted() {
        let mut entries = vec![entry(EntryKind::Holds, "a", "read", 0); FRONT_MAX + 3];
        entries.push(entry(EntryKind::Waits, "b", "write", 7));
        let front = &of(&entries)[0];
        assert_eq!((front.behind.len(), front.more), (FRONT_MAX, 3));
    }
}
