//! Connections between processes: in order and without loss, as long as they last.
//!
//! Each direction takes its own time, and may be cut; what was sent meanwhile arrives when it is whole again, unless the
//! connection broke. A connection that breaks may have delivered any part of what was under way, and each end learns of
//! it at its own time, or not at all where the other host is gone.

use core::time::Duration;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use crate::session::packet::Packet;
use crate::testing::random::Random;
use crate::time::Time;
use crate::view::View;

/// Names a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ConnectionId(pub(super) u64);

/// An end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Debtor = 0,
    Creditor = 1,
}

impl Side {
    const fn other(self) -> Self {
        match self {
            Self::Debtor => Self::Creditor,
            Self::Creditor => Self::Debtor,
        }
    }
}

/// What arrives at a process.
#[derive(Clone, Debug)]
pub(super) enum Arrival {
    /// At its end of a connection.
    At(Side, ConnectionId, What),
    /// Somebody asks which view there is.
    Ask { from: usize },
    /// The answer to that.
    Tell(Arc<View>),
}

/// What arrives over a connection.
#[derive(Clone, Debug)]
pub(super) enum What {
    /// It is over.
    Broken,
    /// It stands.
    Connect,
    /// A packet.
    Packet(Box<Packet>),
}

#[derive(Clone, Debug)]
struct End {
    process: usize,
    /// Which run of it.
    life: u32,
    /// Later things do not arrive before this.
    last: Time,
    is_closed: bool,
    /// The connection broke: nothing that is said from now on arrives, whether the ends know of it or not.
    is_broken: bool,
    /// What is under way to it.
    queue: VecDeque<What>,
}

#[derive(Debug)]
struct Flight {
    from: usize,
    to: usize,
    cargo: Cargo,
}

#[derive(Debug)]
enum Cargo {
    /// The next thing that is under way to that end.
    Next(Side, ConnectionId),
    /// The host of that end finds out by itself that the connection is over.
    Notice(Side, ConnectionId),
    /// Without a connection.
    Loose(Arrival),
}

/// How long messages take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Delays {
    pub(super) usual: Duration,
    pub(super) rare: Duration,
    pub(super) rare_percent: u32,
}

/// All that is under way.
#[derive(Debug)]
pub(super) struct Network {
    random: Random,
    pub(super) delays: Delays,
    flights: BTreeMap<(Time, u64), Flight>,
    connections: BTreeMap<ConnectionId, [End; 2]>,
    counter: u64,
    /// Until when nothing gets from one process to another.
    cut: Vec<Vec<Time>>,
}

impl Network {
    pub(super) fn new(processes: usize, delays: Delays, random: Random) -> Self {
        Self {
            random,
            delays,
            flights: BTreeMap::new(),
            connections: BTreeMap::new(),
            counter: 0,
            cut: vec![vec![Time::ZERO; processes]; processes],
        }
    }

    pub(super) fn next_at(&self) -> Option<Time> {
        self.flights.first_key_value().map(|((at, _), _)| *at)
    }

    /// Nothing gets from one to the other until then.
    pub(super) fn cut(&mut self, from: usize, to: usize, until: Time) {
        if from != to {
            let cut = &mut self.cut[from][to];
            *cut = until.max(*cut);
        }
    }

    /// All is whole.
    pub(super) fn mend(&mut self, now: Time) {
        for cut in self.cut.iter_mut().flatten() {
            *cut = now.min(*cut);
        }
        // What was held up until then comes now, in its order.
        let flights = core::mem::take(&mut self.flights);
        let soon = now.after(self.delays.usual);
        for ((at, _), flight) in flights {
            self.put(at.min(soon), flight);
        }
        for end in self.connections.values_mut().flatten() {
            end.last = end.last.min(soon);
        }
    }

    /// A process connects to another.
    pub(super) fn connect(&mut self, now: Time, id: ConnectionId, ends: [(usize, u32); 2]) {
        let ends = ends.map(|(process, life)| End {
            process,
            life,
            last: now,
            is_closed: false,
            is_broken: false,
            queue: VecDeque::new(),
        });
        self.connections.insert(id, ends);
        self.send(now, id, Side::Debtor, What::Connect);
    }

    /// Sends something over a connection.
    pub(super) fn send(&mut self, now: Time, id: ConnectionId, from: Side, what: What) {
        let delay = self.delay();
        let Some(ends) = self.connections.get_mut(&id) else {
            return;
        };
        let sender = ends[from as usize].process;
        let end = &mut ends[from.other() as usize];
        if end.is_broken && !matches!(what, What::Broken) {
            return;
        }
        let delay = if sender == end.process {
            delay / 16
        } else {
            delay
        };
        let at = now.after(delay).max(end.last);
        end.last = at;
        end.queue.push_back(what);
        let flight = Flight {
            from: sender,
            to: end.process,
            cargo: Cargo::Next(from.other(), id),
        };
        self.put(at, flight);
    }

    /// One end is done with it: the other learns of that in its turn.
    pub(super) fn close(&mut self, now: Time, id: ConnectionId, side: Side) {
        if let Some(ends) = self.connections.get_mut(&id) {
            ends[side as usize].is_closed = true;
            if ends.iter().all(|end| end.is_closed) {
                self.connections.remove(&id);
            } else {
                self.send(now, id, side, What::Broken);
            }
        }
    }

    /// Says something without a connection: it may be lost.
    pub(super) fn post(&mut self, now: Time, from: usize, to: usize, arrival: Arrival) {
        let delay = self.delay();
        if now >= self.cut[from][to] && !self.random.percent(5) {
            let cargo = Cargo::Loose(arrival);
            self.put(now.after(delay), Flight { from, to, cargo });
        }
    }

    /// Breaks a connection: some of what is under way is lost.
    pub(super) fn break_one(&mut self, now: Time, id: ConnectionId) {
        for side in [Side::Debtor, Side::Creditor] {
            let keeps = self.random.below(6) as usize;
            if let Some(ends) = self.connections.get_mut(&id) {
                let end = &mut ends[side as usize];
                end.queue.truncate(keeps);
                end.is_broken = true;
            }
            self.notice(now, id, side);
        }
    }

    /// All connections of a process break.
    pub(super) fn break_all(&mut self, now: Time, process: usize) {
        let is_its = |ends: &[End; 2]| ends.iter().any(|end| end.process == process);
        let all = self.connections.iter().filter(|(_, ends)| is_its(ends));
        let all: Vec<_> = all.map(|(&id, _)| id).collect();
        for id in all {
            self.break_one(now, id);
        }
    }

    /// The host of that end finds out that the connection is over.
    fn notice(&mut self, now: Time, id: ConnectionId, side: Side) {
        let delay = self.delay() * 4;
        let Some(ends) = self.connections.get(&id) else {
            return;
        };
        let end = &ends[side as usize];
        if !end.is_closed {
            let flight = Flight {
                from: end.process,
                to: end.process,
                cargo: Cargo::Notice(side, id),
            };
            self.put(now.after(delay), flight);
        }
    }

    /// Some connection, if there is any.
    pub(super) fn any(&mut self) -> Option<ConnectionId> {
        let which = self.random.below(self.connections.len() as u64);
        self.connections.keys().nth(which as usize).copied()
    }

    /// A process is dead. Where its host is not, the others are told that their connections are over.
    pub(super) fn forget(&mut self, now: Time, process: usize, is_told: bool) {
        let mut others = Vec::new();
        for (&id, ends) in &mut self.connections {
            for side in [Side::Debtor, Side::Creditor] {
                if ends[side as usize].process == process {
                    ends[side as usize].is_closed = true;
                    others.push((id, side.other()));
                }
            }
        }
        for (id, side) in others {
            if is_told {
                self.notice(now, id, side);
            }
        }
        let is_dead = |ends: &[End; 2]| ends.iter().all(|end| end.is_closed);
        self.connections.retain(|_, ends| !is_dead(ends));
    }

    /// The next thing arrives: where, and what. `lives` are the runs of all processes; `None`: it is dead.
    pub(super) fn step(
        &mut self,
        lives: impl Fn(usize) -> Option<u32>,
    ) -> Option<(usize, Arrival)> {
        let ((at, _), flight) = self.flights.pop_first()?;
        let until = self.cut[flight.from][flight.to];
        let life = lives(flight.to);
        let (side, id) = match flight.cargo {
            Cargo::Loose(arrival) => return life.map(|_| (flight.to, arrival)),
            Cargo::Next(..) if at < until => {
                self.put(until, flight);
                return None;
            }
            Cargo::Next(side, id) => (side, id),
            Cargo::Notice(side, id) => {
                let end = &mut self.connections.get_mut(&id)?[side as usize];
                end.queue.clear();
                end.queue.push_back(What::Broken);
                (side, id)
            }
        };
        let ends = self.connections.get_mut(&id)?;
        let end = &mut ends[side as usize];
        let what = end.queue.pop_front()?;
        if end.is_closed || life != Some(end.life) {
            // A host whose process is another by now says so.
            if life.is_some() && !matches!(what, What::Broken) {
                self.notice(at, id, side.other());
            }
            return None;
        }
        if let What::Broken = what {
            end.is_closed = true;
            if ends.iter().all(|end| end.is_closed) {
                self.connections.remove(&id);
            }
        }
        Some((flight.to, Arrival::At(side, id, what)))
    }

    fn put(&mut self, at: Time, flight: Flight) {
        self.counter += 1;
        self.flights.insert((at, self.counter), flight);
    }

    fn delay(&mut self) -> Duration {
        let is_rare = self.random.percent(self.delays.rare_percent);
        let most = if is_rare {
            self.delays.rare
        } else {
            self.delays.usual
        };
        let nanos = most.as_nanos() as u64;
        Duration::from_nanos(1 + self.random.below(nanos))
    }
}
