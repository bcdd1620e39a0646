//! Coordination: how a node becomes a member, for how long it knows that it is one, and how views come about.
//!
//! Nodes talk about membership through a *coordinator*, a linearizable store of keys. [`Coordination`] is the part of
//! one node: a state machine without clock and I/O. Its driver hands it what happened and asks it what to do:
//!
//! * [`poll`](Coordination::poll) gives the next [`Command`], until there is none; a command is a [`Transaction`];
//! * what became of it goes to [`on_registered`](Coordination::on_registered),
//!   [`on_heartbeat`](Coordination::on_heartbeat) or [`on_proposed`](Coordination::on_proposed): always, and within a
//!   time that the driver sets, if only as [`Answer::Unknown`];
//! * what stands at the coordinator goes to [`on_store`](Coordination::on_store), at each change;
//! * [`next_tick`](Coordination::next_tick) says when to poll again.
//!
//! # Rules
//!
//! * A node registers by writing a [`Record`]. The revision of that write is its `reg`; a later one is another life.
//! * Every `M/4` it writes the record again, guarded by its creation revision. A success for the write that was sent at
//!   `s` makes membership good until `s + trust(M)`. Later than that the node is *suspended*, until a write
//!   succeeds. It is *evicted* only by a view without it, or by the loss of its record: then it registers anew.
//! * Any registered node may propose a view. It evicts a member whose record stood at the same modification revision
//!   for `wait(M)` of its own clock, counted from receiving it, anew after an outage; or that has left; or of
//!   whose death it was given proof. The transaction compares the revision of the view, the unchanged record
//!   of every member that it evicts, and the presence of every one that it keeps.
//! * There is at most one new epoch a second, so joins and departures share epochs. Who proposes first is settled by
//!   rank; who loses reads again.
//! * A registration joins when its node has written it twice: a registration that was delayed, and of which its node
//!   knows nothing, never does. It joins when no other of its name is a member.
//!
//! # Why no node believes in a membership that is over
//!
//! The last write that succeeded was sent before its modification revision was seen by whoever evicts. Trust ends `M`
//! after the sending, the eviction begins `M` after the sight, each by a clock that is corrected for its own drift. The
//! comparison rules out that a later write succeeded. If one is still under way, the record is gone when it arrives.
//! The coordinator's own timers play no part in this.
//!
//! # A store that lost its past
//!
//! The first epoch of an empty store is the number of minutes since 2020, by the wall clock of whoever proposes it. And no
//! node proposes an epoch that is not larger than all it has seen. Where registrations go back, the
//! node stops with [`Refusal::WentBack`]: its neighbours could take its next life for the former one.

mod plan;
mod roll;
mod store;
#[cfg(test)]
mod tests;

use core::time::Duration;
use std::collections::BTreeSet;

use thiserror::Error;

use crate::session::lease::{GUARD, LeaseTerms};
use crate::time::Time;
use crate::view::View;

pub use self::store::{
    Answer, BadRecord, Change, Compare, Key, Record, RecordKey, RecordState, Snapshot, Stored,
    Transaction,
};

use self::roll::Roll;

/// The shortest time between two epochs, in true time.
pub const EPOCH_EVERY: Duration = Duration::from_secs(1);
/// How many proofs of death are remembered; of more, the smallest registration is forgotten.
pub const DEAD_MAX: usize = 256;

/// What a node wants done at the coordinator.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "a driver must do each")]
pub enum Command {
    /// Register. The revision that does it is the node's `reg`.
    Register(Transaction),
    /// Say that the node is alive.
    Heartbeat(Beat, Transaction),
    /// Write a new view.
    Propose(Transaction),
}

/// Which heartbeat: handed back with its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Beat {
    reg: u64,
    sent: Time,
}

/// Why a node can be no member, until somebody changes something.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The cluster has another lease.
    #[error(
        "this node is configured with a lease of {ours:?}, and the cluster has one of {cluster:?}: configure {cluster:?} here, or stop all nodes and found the cluster anew"
    )]
    OtherLease {
        /// What this node is configured with.
        ours: Duration,
        /// What the first view was written with.
        cluster: Duration,
    },
    /// The coordinator gave a registration that is not larger than an earlier one.
    #[error(
        "the coordinator lost its past: it gave this node the registration {got}, and had given {had} before; stop all nodes, wait one lease, and start them again"
    )]
    WentBack {
        /// What it gave earlier.
        had: u64,
        /// What it gave now.
        got: u64,
    },
}

/// Where a node stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// It is not registered, and registers at that time.
    Out { register_at: Time },
    /// A registration is under way.
    Registering,
    /// It has a record.
    In(Life),
    /// It left, and is no member of any view.
    Left,
}

/// One life: one registration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Life {
    reg: u64,
    /// Whether a view has it.
    is_member: bool,
    /// Until when the last heartbeat that succeeded lasts.
    good_until: Option<Time>,
    /// When the last answer of success came.
    answered: Time,
    /// Which heartbeat is under way.
    beating: Option<Time>,
    /// When the next one is due.
    beat_at: Time,
}

/// The proposals of one node.
#[derive(Clone, Debug, Default)]
struct Proposing {
    is_under_way: bool,
    /// Since when there is something to propose.
    due_since: Option<Time>,
    /// When it may be proposed. Known after each poll.
    at: Option<Time>,
    /// Not before this: the last one was answered.
    not_before: Time,
    /// A new epoch with the same members is wanted after this one.
    after: Option<u32>,
}

/// One node's part in the cluster: see the [module](self).
#[derive(Clone, Debug)]
pub struct Coordination {
    name: Vec<u8>,
    run: u64,
    attempt: u32,
    record: Record,
    /// It must be written, whenever the next heartbeat is due.
    has_news: bool,
    standing: Standing,
    is_connected: bool,
    /// The largest registration that this node had.
    last_reg: u64,
    roll: Roll,
    /// As of which revision the roll is.
    revision: u64,
    /// What stands at the coordinator, and since when that is known.
    stored: Option<Stored<View>>,
    stored_since: Time,
    /// The view of the largest epoch so far.
    view: Option<View>,
    dead: BTreeSet<u64>,
    proposing: Proposing,
    looked: Time,
    refusal: Option<Refusal>,
}

impl Coordination {
    /// A node that is not registered, and not connected to its coordinator. `run` is a number that the process drew at random
    /// at its start.
    ///
    /// # Errors
    /// Where no view could have it as a member: see [`BadRecord`].
    pub fn new(now: Time, name: &[u8], run: u64, record: Record) -> Result<Self, BadRecord> {
        record.check(name)?;
        Ok(Self {
            name: name.to_vec(),
            run,
            attempt: 0,
            record,
            has_news: false,
            standing: Standing::Out { register_at: now },
            is_connected: false,
            last_reg: 0,
            roll: Roll::default(),
            revision: 0,
            stored: None,
            stored_since: now,
            view: None,
            dead: BTreeSet::new(),
            proposing: Proposing::default(),
            looked: now,
            refusal: None,
        })
    }

    /// Until when membership is good; the moment itself is outside. `None` where the node is no member, or has given its
    /// membership up.
    ///
    /// Compare it with the clock before each use: past it the node is suspended, and nobody says so.
    #[must_use]
    pub fn good_until(&self) -> Option<Time> {
        match self.standing {
            Standing::In(life) if life.is_member && self.may_be_member() => life.good_until,
            _ => None,
        }
    }

    /// The registration, if there is one. Books of another one are void.
    #[must_use]
    pub fn reg(&self) -> Option<u64> {
        match self.standing {
            Standing::In(life) => Some(life.reg),
            Standing::Out { .. } | Standing::Registering | Standing::Left => None,
        }
    }

    /// The view of the largest epoch that was seen.
    #[must_use]
    pub fn view(&self) -> Option<&View> {
        self.view.as_ref()
    }

    /// Whether it has left: no view has it, and it will not register again.
    #[must_use]
    pub fn has_left(&self) -> bool {
        self.standing == Standing::Left
    }

    /// Why it can be no member.
    #[must_use]
    pub fn refusal(&self) -> Option<&Refusal> {
        self.refusal.as_ref()
    }

    /// The member that has this node's name, and must be out before this one joins.
    #[must_use]
    pub fn waits_for(&self) -> Option<u64> {
        let view = self.stored.as_ref().map(|stored| &stored.value)?;
        let holder = view.members().iter().find(|it| it.name == self.name)?;
        (self.reg() != Some(holder.reg)).then_some(holder.reg)
    }

    /// When to poll again, if nothing happens before. It is [`Time::MAX`] while only the connection can change something.
    #[must_use]
    pub fn next_tick(&self) -> Time {
        if !self.is_connected || self.refusal.is_some() {
            return Time::MAX;
        }
        match self.standing {
            Standing::Out { register_at } => register_at,
            Standing::Registering | Standing::Left => Time::MAX,
            Standing::In(life) => {
                let beat = if life.beating.is_some() || self.is_known_to_leave(life.reg) {
                    Time::MAX
                } else {
                    life.beat_at
                };
                let propose = if self.proposing.is_under_way {
                    Time::MAX
                } else {
                    let at = self.proposing.at.unwrap_or(Time::MAX);
                    at.min(self.next_silence().unwrap_or(Time::MAX))
                };
                // The pulse: who looks less often takes itself to have been paused.
                beat.min(propose).min(self.looked.after(self.every()))
            }
        }
    }

    /// What to do next. Ask until it is `None`. `first_epoch` is the epoch of an empty store: the minutes since 2020 by
    /// the wall clock.
    #[must_use]
    pub fn poll(&mut self, now: Time, first_epoch: u32) -> Option<Command> {
        self.look(now);
        if !self.is_connected || self.refusal.is_some() {
            return None;
        }
        match self.standing {
            Standing::Out { register_at } if now >= register_at => Some(self.register()),
            Standing::In(life) => {
                let beat = self.beat(now, life);
                beat.or_else(|| self.propose(now, first_epoch))
            }
            Standing::Out { .. } | Standing::Registering | Standing::Left => None,
        }
    }

    /// The coordinator can be reached again. Its driver reads it afresh.
    pub fn on_connected(&mut self, now: Time) {
        self.look(now);
        self.is_connected = true;
        self.revision = 0;
        self.roll.start_anew(now);
        if let Standing::In(life) = &mut self.standing {
            life.beat_at = now;
        }
    }

    /// The coordinator cannot be reached. What is under way is answered all the same.
    pub fn on_disconnected(&mut self, now: Time) {
        self.look(now);
        self.is_connected = false;
    }

    /// What became of a registration.
    pub fn on_registered(&mut self, now: Time, answer: Answer) {
        self.look(now);
        if self.standing != Standing::Registering {
            return;
        }
        let Answer::Done { revision: reg } = answer else {
            let register_at = now.after(self.retry());
            self.standing = Standing::Out { register_at };
            return;
        };
        if reg <= self.last_reg {
            let had = self.last_reg;
            self.refusal = Some(Refusal::WentBack { had, got: reg });
            self.standing = Standing::Out { register_at: now };
            return;
        }
        self.last_reg = reg;
        self.standing = Standing::In(Life {
            reg,
            is_member: false,
            good_until: None,
            answered: now,
            beating: None,
            beat_at: now,
        });
    }

    /// What became of a heartbeat.
    pub fn on_heartbeat(&mut self, now: Time, beat: Beat, answer: Answer) {
        self.look(now);
        let (terms, retry) = (self.record.lease, self.retry());
        let Standing::In(life) = &mut self.standing else {
            return;
        };
        if life.reg != beat.reg {
            return;
        }
        if life.beating == Some(beat.sent) {
            life.beating = None;
        }
        match answer {
            Answer::Done { .. } => {
                let until = beat.sent.after(LeaseTerms::trust(terms.member_length()));
                life.good_until = life.good_until.max(Some(until));
                let was_out = now.since(life.answered) > terms.member_length() / 2;
                life.answered = now;
                if was_out {
                    self.roll.start_anew(now);
                }
            }
            Answer::Refused => self.fall_out(now),
            // The next one is due soon: this one may have been lost on the way.
            Answer::Unknown => life.beat_at = life.beat_at.min(now.after(retry)),
        }
    }

    /// What became of a proposal. Before the next one, the driver hands in what stands at the coordinator now.
    pub fn on_proposed(&mut self, now: Time, answer: Answer) {
        self.look(now);
        self.proposing.is_under_way = false;
        self.proposing.due_since = None;
        self.proposing.not_before = match answer {
            Answer::Done { .. } => now.after(LeaseTerms::wait(EPOCH_EVERY)),
            Answer::Refused | Answer::Unknown => now.after(self.retry()),
        };
    }

    /// What stands at the coordinator. One that is older than what was handed in before changes nothing.
    pub fn on_store(&mut self, now: Time, snapshot: &Snapshot) {
        self.look(now);
        if snapshot.revision < self.revision {
            return;
        }
        self.revision = snapshot.revision;
        if let Some(stored) = &snapshot.view
            && !self.take_view(now, stored)
        {
            return;
        }
        if snapshot.view.is_none() {
            self.stored = None;
        }
        let view = self.stored.as_ref().map(|stored| &stored.value);
        self.roll.update(now, snapshot, view);
        let Standing::In(life) = self.standing else {
            return;
        };
        // An answer may overtake the news of what it did.
        let is_known = snapshot.revision >= life.reg;
        let has_left = self.is_known_to_leave(life.reg) && !life.is_member;
        if has_left || (is_known && self.roll.entry(life.reg).is_none()) {
            self.fall_out(now);
        }
    }

    /// Proof that the process behind a registration is dead, such as the exclusive lock of its data directory.
    pub fn on_proof_of_death(&mut self, now: Time, reg: u64) {
        self.look(now);
        if self.reg() != Some(reg) {
            self.dead.insert(reg);
        }
        if self.dead.len() > DEAD_MAX {
            self.dead.pop_first();
        }
    }

    /// Go, in good order: stay a member, but be the root of nothing. Where it is no member, it leaves.
    pub fn drain(&mut self, now: Time) {
        let is_member = matches!(self.standing, Standing::In(life) if life.is_member);
        if !is_member {
            self.leave(now);
        } else if self.record.state == RecordState::Full {
            self.look(now);
            self.set_state(RecordState::Leaving);
        }
    }

    /// Go now. Membership is given up at once, and the others may evict this node as soon as they are told.
    pub fn leave(&mut self, now: Time) {
        self.look(now);
        self.set_state(RecordState::Left);
        if !matches!(self.standing, Standing::In(_)) {
            self.standing = Standing::Left;
        }
    }

    /// Bid for resources with that weight from now on.
    ///
    /// # Errors
    /// Where it is out of bounds; nothing changes then.
    pub fn set_weight(&mut self, now: Time, weight: u32) -> Result<(), BadRecord> {
        self.look(now);
        let record = Record {
            weight,
            ..self.record.clone()
        };
        record.check(&self.name)?;
        self.has_news |= record != self.record;
        self.record = record;
        Ok(())
    }

    /// Ask for a new epoch with the same members. It follows within about a second, where the coordinator answers.
    pub fn request_epoch(&mut self, now: Time) {
        self.look(now);
        self.proposing.after = self.stored.as_ref().map(|stored| stored.value.epoch());
    }

    /// The time is `now`. Who looks up after so long was paused, and heard nobody meanwhile.
    fn look(&mut self, now: Time) {
        if now.since(self.looked) > self.record.lease.member_length() / 2 {
            self.roll.start_anew(now);
        }
        self.looked = self.looked.max(now);
    }

    /// How often a heartbeat is sent.
    fn every(&self) -> Duration {
        (self.record.lease.member_length() / 4).max(GUARD)
    }

    /// How soon something is tried again.
    fn retry(&self) -> Duration {
        (self.record.lease.member_length() / 16).max(GUARD)
    }

    /// Whether the record says that it left. An earlier heartbeat that was delayed may have unsaid it.
    fn is_known_to_leave(&self, reg: u64) -> bool {
        let entry = self.roll.entry(reg);
        entry.is_some_and(|entry| entry.record.state == RecordState::Left)
    }

    fn may_be_member(&self) -> bool {
        self.record.state != RecordState::Left && self.refusal.is_none()
    }

    fn set_state(&mut self, state: RecordState) {
        self.has_news |= self.record.state != state;
        self.record.state = state;
    }

    fn register(&mut self) -> Command {
        self.attempt = self.attempt.saturating_add(1);
        self.standing = Standing::Registering;
        self.has_news = false;
        let key = self.key();
        Command::Register(Transaction {
            compares: vec![Compare::Absent(Key::Record(key.clone()))],
            changes: vec![Change::PutRecord(key, self.record.clone())],
        })
    }

    fn key(&self) -> RecordKey {
        RecordKey {
            name: self.name.clone(),
            run: self.run,
            attempt: self.attempt,
        }
    }

    fn beat(&mut self, now: Time, mut life: Life) -> Option<Command> {
        let is_due = now >= life.beat_at || self.has_news;
        if !is_due || life.beating.is_some() || self.is_known_to_leave(life.reg) {
            return None;
        }
        self.has_news = false;
        life.beating = Some(now);
        life.beat_at = now.after(self.every());
        self.standing = Standing::In(life);
        let (reg, key) = (life.reg, self.key());
        let beat = Beat { reg, sent: now };
        let transaction = Transaction {
            compares: vec![Compare::Created(Key::Record(key.clone()), reg)],
            changes: vec![Change::PutRecord(key, self.record.clone())],
        };
        Some(Command::Heartbeat(beat, transaction))
    }

    /// Takes the view in. Returns whether this node can be a member where it stands.
    fn take_view(&mut self, now: Time, stored: &Stored<View>) -> bool {
        let (ours, cluster) = (self.record.lease.length(), stored.value.lease().length());
        if ours != cluster {
            self.refusal = Some(Refusal::OtherLease { ours, cluster });
            return false;
        }
        let known = self.stored.as_ref().map(|known| known.modified);
        if known == Some(stored.modified) {
            return true;
        }
        self.stored = Some(stored.clone());
        self.stored_since = now;
        let epoch = stored.value.epoch();
        if self.view.as_ref().is_some_and(|view| view.epoch() >= epoch) {
            // The store went back. The next proposal goes beyond what was seen.
            return true;
        }
        self.view = Some(stored.value.clone());
        if let Standing::In(life) = &mut self.standing {
            let (was_member, reg) = (life.is_member, life.reg);
            life.is_member = stored.value.members().iter().any(|it| it.reg == reg);
            if was_member && !life.is_member {
                self.fall_out(now);
            }
        }
        true
    }

    /// Its life is over: a view without it, or no record any more. Who was about to go has nothing left to hand over.
    fn fall_out(&mut self, now: Time) {
        self.standing = match self.record.state {
            RecordState::Full => Standing::Out { register_at: now },
            RecordState::Leaving | RecordState::Left => Standing::Left,
        };
    }
}
