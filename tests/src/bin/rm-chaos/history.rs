//! What all clients recorded, put together, and what must hold of it.
//!
//! * Two holds that conflict never overlap where both are valid *by their holders' own word*, and of two that follow each
//!   other the later one has the larger token. The checker of histories in `rm-core` judges that; here records are
//!   turned into what it takes.
//! * A writer's token is odd and nobody else's; a reader's is even.
//! * A holder to whom the register said that it is too old is not valid after that.
//! * Once everything is healed, every client reads and writes again, and nobody waits longer than [`WAIT_LEASES`] leases,
//!   not counting the time in which somebody who asked before held the lock: that is the queue, and as long as its holds.
//!
//! **Until when a hold is valid.** Until its release, if the guard said then that it was valid to the end. If its lease ran out: until
//! the deadline that it was last told, for that is what it could count on, asleep or not. If it was lost for another reason, or
//! its process was killed: until it was last seen valid. One that was never seen valid proves nothing.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use rm_core::testing::history::{Record, What, check};
use rm_rwlock::credit::SHARES;
use rm_rwlock::{RwCredit, RwLockType};

use crate::record::{Event, Line, Mode, Nanos};

/// Nobody waits longer than so many leases once everything is healed, beside the turns of those who asked before: one for
/// the lease of whoever was cut off, one for the grace after a server's death, and the rest for a busy machine.
pub(crate) const WAIT_LEASES: u32 = 6;
/// What a guard says when its lease ran out, as opposed to all other losses.
const LEASE_EXPIRED: &str = "LeaseExpired";
/// All the credit of a lock.
const WRITE: RwCredit = RwLockType::with_shares(SHARES).write();

/// When the parts of a run began.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Phases {
    /// Faults begin.
    pub(crate) broken: Nanos,
    /// All faults are over.
    pub(crate) healed: Nanos,
    pub(crate) ended: Nanos,
}

/// One turn of a client.
#[derive(Clone, Debug)]
pub(crate) struct Turn {
    /// Whose it is: name and run of the process.
    pub(crate) process: Arc<str>,
    pub(crate) op: u64,
    pub(crate) lock: Arc<str>,
    pub(crate) mode: Mode,
    pub(crate) asked: Nanos,
    pub(crate) outcome: Outcome,
}

/// What became of a request.
#[derive(Clone, Debug)]
pub(crate) enum Outcome {
    /// Its process was killed while it waited.
    Open,
    Failed {
        at: Nanos,
        cause: String,
    },
    Granted(Hold),
}

/// A lock that was held.
#[derive(Clone, Debug)]
pub(crate) struct Hold {
    pub(crate) granted: Nanos,
    pub(crate) token: u64,
    /// The last time at which it was seen valid, and for how long it was then.
    seen_valid: Option<(Nanos, Nanos)>,
    pub(crate) end: End,
    /// What the register said, and when.
    pub(crate) register: Vec<(Nanos, Event)>,
}

/// How a hold ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// Its process was killed.
    Open,
    Released(Nanos),
    Lost {
        cause: String,
    },
}

impl Turn {
    /// How long it waited, or waited in vain.
    pub(crate) fn waited(&self, ended: Nanos) -> Nanos {
        let until = match &self.outcome {
            Outcome::Open => ended,
            Outcome::Failed { at, .. } => *at,
            Outcome::Granted(hold) => hold.granted,
        };
        until.saturating_sub(self.asked)
    }

    /// What is held, if it is.
    pub(crate) const fn hold(&self) -> Option<&Hold> {
        match &self.outcome {
            Outcome::Granted(hold) => Some(hold),
            Outcome::Open | Outcome::Failed { .. } => None,
        }
    }

    /// The name of the client, whichever of its processes it was.
    pub(crate) fn client(&self) -> &str {
        let name = self.process.split_once('.');
        name.map_or(&self.process, |(name, _)| name)
    }

    pub(crate) fn in_words(&self) -> String {
        let Self {
            process,
            op,
            lock,
            mode,
            ..
        } = self;
        format!("turn {op} of {process} ({mode} {lock})")
    }
}

impl Hold {
    /// What it read from the register while it was valid for certain, in order.
    pub(crate) fn counts_read(&self) -> Vec<u64> {
        let Some(until) = self.valid_until() else {
            return Vec::new();
        };
        let read = |(at, event): &(Nanos, Event)| match event {
            Event::Read { count } if *at <= until => Some(*count),
            _ => None,
        };
        self.register.iter().filter_map(read).collect()
    }

    /// Until when it was valid for certain, by its holder's own word.
    pub(crate) fn valid_until(&self) -> Option<Nanos> {
        match (&self.end, self.seen_valid) {
            (End::Released(at), _) => Some(*at),
            (End::Lost { cause }, Some((at, left))) if cause == LEASE_EXPIRED => {
                Some(at.saturating_add(left))
            }
            (End::Open | End::Lost { .. }, seen) => seen.map(|(at, _)| at),
        }
    }
}

/// The turns of one process.
///
/// # Errors
/// Where the lines make no sense: a hold without a grant, a grant without a request.
pub(crate) fn turns(process: &str, lines: Vec<Line>) -> Result<Vec<Turn>, String> {
    let process: Arc<str> = process.into();
    let mut turns: BTreeMap<u64, Turn> = BTreeMap::new();
    for line in lines {
        let wrong = format!("{process}: out of turn: {line}");
        let Line { at, op, event } = line;
        if let Event::Asked { lock, mode } = event {
            let turn = Turn {
                process: Arc::clone(&process),
                op,
                lock: lock.into(),
                mode,
                asked: at,
                outcome: Outcome::Open,
            };
            if turns.insert(op, turn).is_some() {
                return Err(wrong);
            }
            continue;
        }
        let turn = turns.get_mut(&op).ok_or_else(|| wrong.clone())?;
        on_event(turn, at, event).ok_or(wrong)?;
    }
    Ok(turns.into_values().collect())
}

/// Adds what happened to a turn; `None` where that cannot be.
fn on_event(turn: &mut Turn, at: Nanos, event: Event) -> Option<()> {
    turn.outcome = match (&mut turn.outcome, event) {
        (Outcome::Open, Event::Failed { cause }) => Outcome::Failed { at, cause },
        (Outcome::Open, Event::Granted { token }) => Outcome::Granted(Hold {
            granted: at,
            token,
            seen_valid: None,
            end: End::Open,
            register: Vec::new(),
        }),
        (Outcome::Granted(hold), event) => return on_use(hold, at, event),
        (Outcome::Open | Outcome::Failed { .. }, _) => return None,
    };
    Some(())
}

/// The same for a lock that is held.
fn on_use(hold: &mut Hold, at: Nanos, event: Event) -> Option<()> {
    if hold.end != End::Open {
        return None;
    }
    match event {
        Event::Valid { left } => hold.seen_valid = Some((at, left)),
        Event::Released => hold.end = End::Released(at),
        Event::Lost { cause } => hold.end = End::Lost { cause },
        Event::Opened { .. } | Event::Wrote { .. } | Event::Read { .. } | Event::Refused { .. } => {
            hold.register.push((at, event));
        }
        Event::Asked { .. } | Event::Granted { .. } | Event::Failed { .. } => return None,
    }
    Some(())
}

/// Everything that is wrong with the turns of a run.
pub(crate) fn judge(turns: &[Turn]) -> Vec<String> {
    let mut violations = Vec::new();
    if let Err(violation) = check(|_| WRITE, &records(turns)) {
        violations.push(violation.to_string());
    }
    judge_tokens(turns, &mut violations);
    for turn in turns {
        judge_word(turn, &mut violations);
    }
    violations
}

/// Who was not served, or late, once everything was healed.
pub(crate) fn judge_healing(
    turns: &[Turn],
    clients: &[String],
    phases: Phases,
    lease: Duration,
) -> Vec<String> {
    let mut violations = Vec::new();
    judge_waits(turns, phases, lease, &mut violations);
    for client in clients {
        for mode in [Mode::Read, Mode::Write] {
            let served = |turn: &&Turn| {
                let granted = turn.hold().map(|hold| hold.granted);
                turn.client() == client
                    && turn.mode == mode
                    && granted.is_some_and(|at| at >= phases.healed)
            };
            if !turns.iter().any(|turn| served(&turn)) {
                violations.push(format!("{client} was granted no {mode} after the healing"));
            }
        }
    }
    violations
}

/// As the checker of histories takes them.
fn records(turns: &[Turn]) -> Vec<Record<RwCredit>> {
    let mut records = Vec::new();
    for turn in turns {
        let mut push = |at, what| {
            records.push(Record {
                process: Arc::clone(&turn.process),
                request: turn.op,
                resource: Arc::clone(&turn.lock),
                at,
                // All processes read one clock.
                uncertainty: 0,
                what,
            });
        };
        push(turn.asked, What::Invoked);
        if let Some(hold) = turn.hold() {
            let credit = match turn.mode {
                Mode::Read => RwCredit::READ,
                Mode::Write => WRITE,
            };
            let fence = hold.token;
            push(hold.granted, What::Granted { credit, fence });
            // Without this one the hold counts at no time.
            if let Some(until) = hold.valid_until() {
                push(until, What::Released);
            }
        }
    }
    records
}

fn judge_tokens(turns: &[Turn], violations: &mut Vec<String>) {
    let mut writers: BTreeMap<(&str, u64), &Turn> = BTreeMap::new();
    for turn in turns {
        let Some(hold) = turn.hold() else {
            continue;
        };
        let token = hold.token;
        if (token % 2 == 1) != (turn.mode == Mode::Write) {
            violations.push(format!(
                "{} has token {token}: a writer's is odd, a reader's even",
                turn.in_words()
            ));
        }
        if turn.mode == Mode::Write
            && let Some(other) = writers.insert((&turn.lock, token), turn)
        {
            violations.push(format!(
                "{} and {} have one token, {token}",
                other.in_words(),
                turn.in_words()
            ));
        }
    }
}

/// What the register told a holder, against what the holder says of itself.
fn judge_word(turn: &Turn, violations: &mut Vec<String>) {
    let Some(hold) = turn.hold() else {
        return;
    };
    let Some(until) = hold.valid_until() else {
        return;
    };
    for (at, event) in hold.register.iter().filter(|(at, _)| *at <= until) {
        if let Event::Refused { mark } = event {
            violations.push(format!(
                "{} was refused by the register, which had seen token {mark} and was shown {}, and says that it was valid {} ns later",
                turn.in_words(),
                hold.token,
                until - at
            ));
        }
    }
}

fn judge_waits(turns: &[Turn], phases: Phases, lease: Duration, violations: &mut Vec<String>) {
    let bound = lease * WAIT_LEASES;
    for turn in turns.iter().filter(|turn| turn.asked >= phases.healed) {
        let waited = turn.waited(phases.ended);
        // Few wait so long: only for them is the queue looked at.
        if Duration::from_nanos(waited) <= bound {
            continue;
        }
        let idle = Duration::from_nanos(waited - held_by_older(turn, turns, waited));
        if idle > bound {
            violations.push(format!(
                "{} waited {idle:.1?} after the healing, beside the turns of those before it",
                turn.in_words()
            ));
        }
    }
}

/// For how long of its wait the lock was held by those who had asked before.
fn held_by_older(turn: &Turn, turns: &[Turn], waited: Nanos) -> Nanos {
    let until = turn.asked + waited;
    let older = turns
        .iter()
        .filter(|other| other.lock == turn.lock && other.asked < turn.asked);
    let mut held: Vec<(Nanos, Nanos)> = older
        .filter_map(|other| match other.hold()? {
            Hold {
                granted,
                end: End::Released(end),
                ..
            } => Some(((*granted).max(turn.asked), (*end).min(until))),
            _ => None,
        })
        .filter(|(from, to)| from < to)
        .collect();
    held.sort_unstable();
    let mut total = 0;
    let mut counted = turn.asked;
    for (from, to) in held {
        total += to.saturating_sub(from.max(counted));
        counted = counted.max(to);
    }
    total
}

#[cfg(test)]
#[path = "history/tests.rs"]
mod tests;
