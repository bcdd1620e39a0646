//! One rule each, on a store that does everything at once.

use core::time::Duration;

use super::*;
use crate::session::lease::LEASE_DEFAULT;
use crate::view::{MemberState, View};

const M: Duration = Duration::from_secs(4);
const MS: Duration = Duration::from_millis(1);
const FIRST: u32 = 3_000_000;

/// A store without a network.
#[derive(Default)]
struct Store(Snapshot);

impl Store {
    fn commit(&mut self, transaction: &Transaction) -> Answer {
        let revisions = |key: &Key| match key {
            Key::View => self.0.view.as_ref().map(|it| (it.created, it.modified)),
            Key::Record(key) => self.0.records.get(key).map(|it| (it.created, it.modified)),
        };
        let holds = |compare: &Compare| match compare {
            Compare::Absent(key) => revisions(key).is_none(),
            Compare::Created(key, is) => revisions(key).is_some_and(|it| it.0 == *is),
            Compare::Modified(key, is) => revisions(key).is_some_and(|it| it.1 == *is),
        };
        if !transaction.compares.iter().all(holds) {
            return Answer::Refused;
        }
        self.0.revision += 1;
        let modified = self.0.revision;
        for change in transaction.changes.clone() {
            match change {
                Change::Delete(key) => drop(self.0.records.remove(&key)),
                Change::PutRecord(key, value) => {
                    let created = self.0.records.get(&key).map_or(modified, |it| it.created);
                    let stored = Stored {
                        created,
                        modified,
                        value,
                    };
                    self.0.records.insert(key, stored);
                }
                Change::PutView(value) => {
                    let created = self.0.view.as_ref().map_or(modified, |it| it.created);
                    self.0.view = Some(Stored {
                        created,
                        modified,
                        value,
                    });
                }
            }
        }
        Answer::Done { revision: modified }
    }

    fn view(&self) -> &View {
        &self.0.view.as_ref().expect("a view").value
    }

    fn names(&self) -> Vec<&str> {
        let members = self.view().members().iter();
        members
            .map(|it| str::from_utf8(&it.name).unwrap())
            .collect()
    }
}

/// Nodes whose clocks agree, and their store.
struct Room {
    now: Time,
    store: Store,
    nodes: Vec<Coordination>,
    /// Who does nothing.
    silent: Vec<usize>,
    /// How often each node looks.
    step: Duration,
}

fn record(lease: Duration) -> Record {
    Record {
        address: "10.0.0.1:7600".into(),
        weight: 1,
        lease: LeaseTerms::new(lease).unwrap(),
        state: RecordState::Full,
    }
}

fn node(now: Time, name: &str, run: u64) -> Coordination {
    let mut node = Coordination::new(now, name.as_bytes(), run, record(LEASE_DEFAULT)).unwrap();
    node.on_connected(now);
    node
}

impl Room {
    fn of(names: &[&str]) -> Self {
        let mut room = Self::empty(names);
        room.pass(3 * EPOCH_EVERY);
        room
    }

    fn empty(names: &[&str]) -> Self {
        let now = Time::from_nanos(1_000_000_000_000);
        let nodes = names.iter().map(|name| node(now, name, 7)).collect();
        Self {
            now,
            store: Store::default(),
            nodes,
            silent: Vec::new(),
            step: 10 * MS,
        }
    }

    /// Everybody does what is due, step by step.
    fn pass(&mut self, span: Duration) {
        let until = self.now.after(span);
        while self.now < until {
            self.now = self.now.after(self.step);
            for index in 0..self.nodes.len() {
                if !self.silent.contains(&index) {
                    self.work(index);
                }
            }
        }
    }

    fn work(&mut self, index: usize) {
        let (now, node) = (self.now, &mut self.nodes[index]);
        node.on_store(now, &self.store.0);
        while let Some(command) = node.poll(now, FIRST) {
            match command {
                Command::Register(it) => node.on_registered(now, self.store.commit(&it)),
                Command::Heartbeat(beat, it) => {
                    node.on_heartbeat(now, beat, self.store.commit(&it));
                }
                Command::Propose(it) => node.on_proposed(now, self.store.commit(&it)),
            }
            node.on_store(now, &self.store.0);
        }
    }

    fn is_good(&self, index: usize) -> bool {
        self.nodes[index].good_until() > Some(self.now)
    }
}

#[test]
fn the_first_epoch_of_an_empty_store_is_given_and_all_become_members() {
    let room = Room::of(&["a", "b", "c"]);
    assert_eq!(room.store.names(), ["a", "b", "c"]);
    assert!((FIRST..FIRST + 2).contains(&room.store.view().epoch()));
    assert!((0..3).all(|index| room.is_good(index)));
}

#[test]
fn a_silent_member_is_evicted_after_the_wait_and_not_before() {
    let mut room = Room::of(&["a", "b"]);
    room.pass(M / 4);
    let heard = room.nodes[0]
        .roll
        .silent_since(room.nodes[1].reg().unwrap())
        .unwrap();
    room.silent.push(1);
    let wait = LeaseTerms::wait(M);
    room.pass(heard.after(wait).since(room.now) - 10 * MS);
    assert_eq!(room.store.names(), ["a", "b"]);
    room.pass(20 * MS);
    assert_eq!(room.store.names(), ["a"]);
    assert!(!room.is_good(1), "it stopped believing before");
}

#[test]
fn an_evicted_node_comes_back_as_another_member() {
    let mut room = Room::of(&["a", "b"]);
    let before = room.nodes[1].reg();
    room.silent.push(1);
    room.pass(2 * M);
    room.silent.clear();
    room.work(1);
    assert_eq!(room.nodes[1].good_until(), None);
    room.pass(3 * EPOCH_EVERY);
    assert_eq!(room.store.names(), ["a", "b"]);
    assert!(room.nodes[1].reg() > before && room.is_good(1));
}

#[test]
fn a_node_whose_heartbeats_fail_for_a_while_is_suspended_and_goes_on() {
    let mut room = Room::of(&["a"]);
    let (reg, good) = (room.nodes[0].reg(), room.nodes[0].good_until().unwrap());
    room.silent.push(0);
    room.pass(good.since(room.now));
    assert!(!room.is_good(0));
    room.silent.clear();
    room.pass(20 * MS);
    assert!(room.is_good(0) && room.nodes[0].reg() == reg);
}

#[test]
fn there_is_at_most_one_epoch_a_second() {
    let mut room = Room::of(&["a"]);
    let epoch = room.store.view().epoch();
    for _ in 0..300 {
        room.nodes[0].request_epoch(room.now);
        room.pass(10 * MS);
    }
    assert!((epoch + 2..=epoch + 3).contains(&room.store.view().epoch()));
}

#[test]
fn a_new_epoch_on_request_has_the_same_members() {
    let mut room = Room::of(&["a", "b"]);
    let before = room.store.view().clone();
    room.nodes[0].request_epoch(room.now);
    room.pass(3 * EPOCH_EVERY);
    assert_eq!(room.store.view().epoch(), before.epoch() + 1);
    assert_eq!(room.store.view().members(), before.members());
}

#[test]
fn a_node_of_another_lease_is_refused_and_both_leases_are_named() {
    let mut room = Room::of(&["a"]);
    let other = record(Duration::from_secs(30));
    let mut other = Coordination::new(room.now, b"b", 1, other).unwrap();
    other.on_connected(room.now);
    room.nodes.push(other);
    room.pass(M);
    let refusal = room.nodes[1].refusal().unwrap().to_string();
    assert!(
        refusal.contains("30s") && refusal.contains("15s"),
        "{refusal}"
    );
    assert_eq!(room.store.names(), ["a"]);
}

#[test]
fn a_second_node_of_a_name_joins_only_when_the_first_is_out() {
    let mut room = Room::of(&["a", "b"]);
    let first = room.nodes[1].reg().unwrap();
    room.nodes.push(node(room.now, "b", 8));
    room.pass(M);
    assert_eq!(room.nodes[2].waits_for(), Some(first));
    assert!(room.is_good(1) && !room.is_good(2));
    room.silent.push(1);
    room.pass(2 * M);
    assert!(room.is_good(2) && !room.is_good(1));
}

#[test]
fn proof_of_death_evicts_at_once() {
    let mut room = Room::of(&["a", "b"]);
    room.silent.push(1);
    let dead = room.nodes[1].reg().unwrap();
    room.nodes[0].on_proof_of_death(room.now, dead);
    room.pass(20 * MS);
    assert_eq!(room.store.names(), ["a"]);
}

#[test]
fn who_drains_stays_a_member_and_who_leaves_is_out_at_once() {
    let mut room = Room::of(&["a", "b"]);
    room.nodes[1].drain(room.now);
    room.pass(2 * EPOCH_EVERY);
    assert_eq!(room.store.view().members()[1].state, MemberState::Leaving);
    assert!(room.is_good(1));
    room.nodes[1].leave(room.now);
    assert!(!room.is_good(1), "before anybody is told");
    room.pass(2 * EPOCH_EVERY);
    assert_eq!(room.store.names(), ["a"]);
    assert!(room.nodes[1].has_left());
}

#[test]
fn a_weight_goes_into_the_view() {
    let mut room = Room::of(&["a", "b"]);
    room.nodes[1].set_weight(room.now, 3).unwrap();
    assert!(room.nodes[1].set_weight(room.now, 17).is_err());
    room.pass(2 * EPOCH_EVERY);
    assert_eq!(room.store.view().members()[1].weight, 3);
}

#[test]
fn a_registration_of_which_its_node_does_not_know_never_joins() {
    let mut room = Room::of(&["a"]);
    let mut stranger = node(room.now, "z", 1);
    let Some(Command::Register(registration)) = stranger.poll(room.now, FIRST) else {
        panic!("it registers");
    };
    room.store.commit(&registration);
    room.pass(2 * M);
    assert_eq!(room.store.names(), ["a"]);
}

#[test]
fn a_store_that_lost_all_gets_a_larger_epoch_and_a_smaller_registration_stops_the_node() {
    let mut room = Room::of(&["a", "b"]);
    let before = room.store.view().epoch();
    room.store.0 = Snapshot::default();
    for index in 0..2 {
        room.nodes[index].on_disconnected(room.now);
        room.nodes[index].on_connected(room.now);
    }
    room.work(0);
    assert!(matches!(
        room.nodes[0].refusal(),
        Some(Refusal::WentBack { .. })
    ));
    assert!(!room.is_good(0));
    room.nodes.push(node(room.now, "c", 1));
    room.nodes[2].view = room.nodes[1].view.clone();
    room.pass(M);
    assert!(room.store.view().epoch() > before);
}

#[test]
fn a_store_that_went_back_is_led_beyond_all_that_was_seen() {
    let mut room = Room::of(&["a"]);
    let old = room.store.0.view.clone();
    for _ in 0..2 {
        room.nodes[0].request_epoch(room.now);
        room.pass(2 * EPOCH_EVERY);
    }
    let seen = room.store.view().epoch();
    room.store.0.view = old;
    room.pass(3 * EPOCH_EVERY);
    assert_eq!(room.store.view().epoch(), seen + 1);
    assert_eq!(room.nodes[0].view().map(View::epoch), Some(seen + 1));
}

#[test]
fn a_full_cluster_that_restarts_fits_into_transactions() {
    let names: Vec<String> = (0..64).map(|index| format!("n{index:02}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut room = Room::empty(&names);
    room.step = M / 20;
    room.pass(3 * EPOCH_EVERY);
    assert_eq!(room.store.names().len(), 64);
    room.silent = (0..64).collect();
    let again = names.iter().map(|name| node(room.now, name, 9));
    room.nodes.extend(again);
    room.pass(2 * M);
    assert_eq!(room.store.names().len(), 64);
    assert!((64..128).all(|index| room.is_good(index)));
}
