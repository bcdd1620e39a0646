//! What goes wrong, and when.

use core::time::Duration;

use super::Kind;
use super::driver::Fault;
use super::plan::LEASE;
use super::process::Seat;
use super::world::{CALM, World};
use crate::command::Force;
use crate::resource::ResourceType;
use crate::testing::coordinator::Network as Way;
use crate::testing::random::Random;
use crate::time::Time;

/// A kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ill {
    Break,
    CleanUp,
    Crash,
    CutGroup,
    CutFromStore,
    CutOneWay,
    CutTwoWays,
    Drain,
    Outage,
    Pause,
    Release(Force),
    SlowStore,
}

const EVERYTHING: [Ill; 17] = [
    Ill::Break,
    Ill::Break,
    Ill::CleanUp,
    Ill::Crash,
    Ill::Crash,
    Ill::CutGroup,
    Ill::CutFromStore,
    Ill::CutFromStore,
    Ill::CutOneWay,
    Ill::CutOneWay,
    Ill::CutTwoWays,
    Ill::Drain,
    Ill::Outage,
    Ill::Pause,
    Ill::Pause,
    Ill::Release(Force::Polite),
    Ill::SlowStore,
];

const MOVES: [Ill; 9] = [
    Ill::Break,
    Ill::CleanUp,
    Ill::CutFromStore,
    Ill::CutGroup,
    Ill::CutOneWay,
    Ill::CutTwoWays,
    Ill::Drain,
    Ill::Drain,
    Ill::Outage,
];

const STANDALONE: [Ill; 7] = [
    Ill::Break,
    Ill::Crash,
    Ill::Crash,
    Ill::Crash,
    Ill::CutOneWay,
    Ill::CutTwoWays,
    Ill::Pause,
];

/// What ends a fault, or is a later part of one.
#[derive(Clone, Copy, Debug)]
enum Cure {
    /// All connections of a process break.
    Break(usize),
    /// From the first to the second nothing comes until then.
    Cut(usize, usize, Time),
    Drain(usize),
    EndOutage,
    Mend(usize),
    Restart(usize),
    Quicken,
}

const SECOND: Duration = Duration::from_secs(1);

/// The faults of one schedule.
#[derive(Debug)]
pub(super) struct Faults {
    random: Random,
    next: Time,
    cures: Vec<(Time, Cure)>,
}

impl Faults {
    pub(super) fn new<T: ResourceType>(world: &mut World<T>) -> Self {
        let mut random = world.random.fork();
        let mut cures = Vec::new();
        let has_visits = world.plan.kind == Kind::Visits;
        for index in (0..world.plan.late).filter(|_| !has_visits) {
            let at = world.now.after(part(&mut random, 2 * LEASE));
            cures.push((at, Cure::Restart(index)));
        }
        let first = match world.plan.kind {
            Kind::Deaths | Kind::Restarts => LEASE,
            _ => part(&mut random, LEASE),
        };
        Self {
            random,
            next: world.now.after(first),
            cures,
        }
    }

    pub(super) fn next_at(&self) -> Time {
        let cures = self.cures.iter().map(|(at, _)| *at);
        cures.min().unwrap_or(Time::MAX).min(self.next)
    }

    /// The next fault, or the end of one.
    pub(super) fn strike<T: ResourceType>(&mut self, world: &mut World<T>) -> Result<(), Fault> {
        let due = self.cures.iter().position(|(at, _)| *at <= world.now);
        if let Some(due) = due {
            let (_, cure) = self.cures.swap_remove(due);
            return cure_it(world, cure);
        }
        match world.plan.kind {
            Kind::Everything | Kind::Forced | Kind::Moves | Kind::Standalone => {
                self.next = world.now.after(part(&mut self.random, world.plan.gap));
                let all: &[Ill] = match world.plan.kind {
                    Kind::Moves => &MOVES,
                    Kind::Standalone => &STANDALONE,
                    _ => &EVERYTHING,
                };
                let mut ill = all[self.random.below(all.len() as u64) as usize];
                if world.plan.kind == Kind::Forced && self.random.one_in(4) {
                    ill = Ill::Release(Force::Now);
                }
                self.befall(world, ill)
            }
            Kind::Deaths => {
                self.next = world.now.after(2 * LEASE);
                let index = self.random.below(world.plan.members as u64) as usize;
                self.kill(world, index, LEASE)
            }
            Kind::Visits => {
                self.visit(world);
                Ok(())
            }
            Kind::Together => {
                self.cut_together(world);
                Ok(())
            }
            Kind::Restarts => {
                self.next = world.now.after(LEASE);
                self.kill(world, 0, LEASE / 4)
            }
        }
    }

    fn befall<T: ResourceType>(&mut self, world: &mut World<T>, ill: Ill) -> Result<(), Fault> {
        let now = world.now;
        let members = world.plan.members as u64;
        let all = world.processes.len() as u64;
        let index = self.random.below(all) as usize;
        let other = self.random.below(all) as usize;
        let member = self.random.below(members) as usize;
        let until = now.after(self.span());
        world.out.note(|| {
            format!(
                "{:.3} {ill:?} of {index}, {other}, {member} until {until}",
                now.as_nanos() as f64 / 1e9
            )
        });
        *world.out.counts.faults.entry(ill.name()).or_default() += 1;
        match ill {
            Ill::Break => {
                if let Some(id) = world.network.any() {
                    world.network.break_one(now, id);
                }
            }
            Ill::CleanUp => {
                let records = &world.coordinator.store().snapshot().records;
                let which = self.random.below(records.len() as u64) as usize;
                if let Some(key) = records.keys().nth(which).cloned() {
                    world.coordinator.store_mut().clean_up(&key);
                    world.coordinator.news(now);
                }
            }
            Ill::Crash => {
                let index = if self.random.percent(60) {
                    member
                } else {
                    index
                };
                return self.kill(world, index, 2 * LEASE);
            }
            Ill::CutFromStore => {
                world.coordinator.cut(member);
                self.cures.push((until, Cure::Mend(member)));
            }
            Ill::CutOneWay => world.network.cut(index, other, until),
            Ill::CutTwoWays => {
                world.network.cut(index, other, until);
                world.network.cut(other, index, until);
            }
            Ill::CutGroup => self.cut_group(world, until),
            Ill::Drain => {
                drain(world, member);
                let back = now.after(part(&mut self.random, 3 * LEASE));
                self.cures.push((back, Cure::Restart(member)));
            }
            Ill::Outage => {
                world.coordinator.begin_outage();
                self.cures.push((until, Cure::EndOutage));
            }
            Ill::Pause => {
                let process = &mut world.processes[index];
                process.paused_until = process.paused_until.max(until);
            }
            Ill::Release(force) => {
                let resource = self.random.below(world.keys.len() as u64) as usize;
                return world.release(resource, force);
            }
            Ill::SlowStore => {
                world.coordinator.set_network(Way {
                    delay_rare: LEASE / 2,
                    rare_percent: 30,
                    lost_percent: 10,
                    ..CALM
                });
                self.cures.push((until, Cure::Quicken));
            }
        }
        Ok(())
    }

    /// Some processes are cut off from the others; in half of the cases from the coordinator too.
    fn cut_group<T: ResourceType>(&mut self, world: &mut World<T>, until: Time) {
        let count = world.processes.len();
        let inside: Vec<bool> = (0..count).map(|_| self.random.percent(35)).collect();
        let from_store = self.random.percent(50);
        for from in 0..count {
            for to in 0..count {
                if inside[from] != inside[to] {
                    world.network.cut(from, to, until);
                }
            }
            if inside[from] && from_store && from < world.plan.members {
                world.coordinator.cut(from);
                self.cures.push((until, Cure::Mend(from)));
            }
        }
    }

    /// A member comes, and goes again after a while: what it is the root of moves to it and back. Meanwhile there is a client
    /// that is out of luck.
    fn visit<T: ResourceType>(&mut self, world: &mut World<T>) {
        let guest = 0;
        world.kill(guest, true);
        let client = world.plan.members + self.random.below(world.plan.clients as u64) as usize;
        let random = &mut self.random;
        let comes = world.now.after(part(random, 2 * SECOND));
        let long = LEASE + part(random, LEASE);
        let luck = random.below(3);
        let (goes, from, until, others) = match luck {
            // It hears of neither in time, and still trusts what it had.
            0 => {
                let goes = comes.after(3 * SECOND + part(random, 2 * SECOND));
                (
                    goes,
                    world.now,
                    goes.after(2 * SECOND),
                    0..world.plan.members,
                )
            }
            // It cannot talk with that member.
            1 => {
                let from = comes.after(part(random, 4 * SECOND));
                let until = from.after(LEASE / 2 + part(random, LEASE));
                (comes.after(long), from, until, 0..1)
            }
            // It hears only that member, and none of those that come after it.
            _ => {
                let goes = comes.after(long);
                let from = comes.after(long - part(random, 4 * SECOND));
                let until = from.after(LEASE - part(random, 2 * SECOND));
                (goes, from, until, 1..world.plan.members)
            }
        };
        for other in others {
            self.cures.push((from, Cure::Cut(other, client, until)));
            if luck < 2 {
                self.cures.push((from, Cure::Cut(client, other, until)));
            }
        }
        if luck == 0 {
            // What it was told meanwhile is lost.
            let at = goes.after(SECOND);
            self.cures.push((at, Cure::Break(client)));
        }
        self.cures.push((comes, Cure::Restart(guest)));
        self.cures.push((goes, Cure::Drain(guest)));
        *world.out.counts.faults.entry("visit").or_default() += 1;
        world.out.note(|| {
            format!("{guest} is here from {comes} to {goes}; {client} is cut off until {until}")
        });
        self.next = until.max(goes).after(part(&mut self.random, LEASE));
    }

    /// A member and one other process are cut off together: from all others, and the member from the coordinator, for
    /// long enough that it is evicted. The member is back first.
    fn cut_together<T: ResourceType>(&mut self, world: &mut World<T>) {
        let now = world.now;
        let count = world.processes.len();
        let member = self.random.below(world.plan.members as u64) as usize;
        let other = self.random.below(count as u64) as usize;
        let root_back = now.after(LEASE / 4 + part(&mut self.random, LEASE / 2));
        let other_back = root_back.after(part(&mut self.random, LEASE));
        for index in (0..count).filter(|&index| index != member && index != other) {
            for (from, to, until) in [
                (member, index, root_back),
                (index, member, root_back),
                (other, index, other_back),
                (index, other, other_back),
            ] {
                world.network.cut(from, to, until);
            }
        }
        world.coordinator.cut(member);
        self.cures.push((root_back, Cure::Mend(member)));
        *world
            .out
            .counts
            .faults
            .entry("cut off together")
            .or_default() += 1;
        world.out.note(|| {
            format!("{member} until {root_back} and {other} until {other_back} are cut off")
        });
        self.next = other_back.after(part(&mut self.random, LEASE / 2));
    }

    fn kill<T: ResourceType>(
        &mut self,
        world: &mut World<T>,
        index: usize,
        most: Duration,
    ) -> Result<(), Fault> {
        if world.processes[index].live.is_none() {
            return Ok(());
        }
        let is_told = self.random.percent(70);
        let back = world.now.after(part(&mut self.random, most));
        let now = world.now;
        world.out.note(|| {
            format!(
                "{:.3} {index} dies, and is back at {back}",
                now.as_nanos() as f64 / 1e9
            )
        });
        *world.out.counts.faults.entry("death").or_default() += 1;
        world.kill(index, is_told);
        self.cures.push((back, Cure::Restart(index)));
        Ok(())
    }

    /// How long a fault lasts: mostly not long.
    fn span(&mut self) -> Duration {
        let most = match self.random.below(4) {
            0 => 2 * LEASE,
            1 => LEASE,
            _ => LEASE / 3,
        };
        part(&mut self.random, most)
    }

    /// All is whole again.
    pub(super) fn heal<T: ResourceType>(&mut self, world: &mut World<T>) -> Result<(), Fault> {
        for (_, cure) in core::mem::take(&mut self.cures) {
            cure_it(world, cure)?;
        }
        world.network.mend(world.now);
        for index in 0..world.processes.len() {
            let process = &mut world.processes[index];
            process.paused_until = process.paused_until.min(world.now);
            // Who is on its way out is taken to be gone, and starts anew.
            let goes = process.live.as_ref().is_some_and(|live| live.is_draining);
            if goes {
                world.kill(index, true);
            }
            if world.processes[index].live.is_none() {
                world.start(index)?;
            }
        }
        Ok(())
    }
}

impl Ill {
    const fn name(self) -> &'static str {
        match self {
            Self::Break => "connection broken",
            Self::CleanUp => "record lost",
            Self::Crash => "crash",
            Self::CutFromStore => "cut from the coordinator",
            Self::CutGroup => "group cut off",
            Self::CutOneWay => "cut one way",
            Self::CutTwoWays => "cut both ways",
            Self::Drain => "drain",
            Self::Outage => "coordinator away",
            Self::Pause => "pause",
            Self::Release(Force::Polite) => "released by force",
            Self::Release(Force::Now) => "released by force at once",
            Self::SlowStore => "coordinator slow",
        }
    }
}

fn drain<T: ResourceType>(world: &mut World<T>, index: usize) {
    let process = &mut world.processes[index];
    let local = process.clock.read(world.now);
    if world.now >= process.paused_until
        && let Some(live) = &mut process.live
        && let Seat::Coordinated(machine) = &mut live.seat
    {
        machine.drain(local);
        live.is_draining = true;
    }
}

fn cure_it<T: ResourceType>(world: &mut World<T>, cure: Cure) -> Result<(), Fault> {
    match cure {
        Cure::Cut(from, to, until) => world.network.cut(from, to, until),
        Cure::Break(index) => world.network.break_all(world.now, index),
        Cure::Drain(index) => drain(world, index),
        Cure::EndOutage => world.coordinator.end_outage(),
        Cure::Mend(member) => world.coordinator.mend(world.now, member),
        Cure::Quicken => world.coordinator.set_network(CALM),
        Cure::Restart(index) => {
            if world.processes[index].live.is_none() {
                world.start(index)?;
                prove(world, index);
            }
        }
    }
    Ok(())
}

/// In half of the cases a process that starts has proof that its predecessor is dead: it holds the lock of its data
/// directory.
fn prove<T: ResourceType>(world: &mut World<T>, index: usize) {
    let has_proof = world.random.percent(50);
    let process = &mut world.processes[index];
    let local = process.clock.read(world.now);
    if let (true, Some(reg), Some(live)) = (has_proof, process.last_reg, &mut process.live)
        && let Seat::Coordinated(machine) = &mut live.seat
    {
        machine.on_proof_of_death(local, reg);
    }
}

fn part(random: &mut Random, most: Duration) -> Duration {
    Duration::from_nanos(1 + random.below(most.as_nanos() as u64))
}
