//! The report of a run: what was done to it, what became of the locks, and whether anything was violated.

use std::collections::BTreeMap;
use std::fmt::{self, Display, Formatter};
use std::time::Duration;

use crate::faults::{Fault, Kind};
use crate::history::{End, Outcome, Phases, Turn};
use crate::record::{Event, Mode};

/// So many violations are printed; the rest is counted.
const SHOWN_MAX: usize = 20;

/// What a run ends with.
#[derive(Debug)]
pub(crate) struct Verdict {
    pub(crate) network: &'static str,
    pub(crate) seed: u64,
    pub(crate) lasted: Duration,
    faults: BTreeMap<Kind, u64>,
    counts: Counts,
    violations: Vec<String>,
}

#[derive(Debug, Default)]
struct Counts {
    turns: u64,
    reads: u64,
    writes: u64,
    register_writes: u64,
    /// Uses of a register that came too late: the token was too old.
    refused: u64,
    /// Holds whose process was killed.
    killed: u64,
    failed: BTreeMap<String, u64>,
    lost: BTreeMap<String, u64>,
    /// By phase: before the faults, during them, after them.
    longest_wait: [Duration; 3],
}

impl Verdict {
    pub(crate) fn new(
        network: &'static str,
        seed: u64,
        faults: &[Fault],
        turns: &[Turn],
        phases: Phases,
        violations: Vec<String>,
    ) -> Self {
        let mut by_kind = BTreeMap::new();
        for fault in faults {
            *by_kind.entry(fault.kind).or_default() += 1;
        }
        let mut counts = Counts::default();
        for turn in turns {
            counts.add(turn, phases);
        }
        let first = turns.iter().map(|turn| turn.asked).min();
        let began = first.unwrap_or(phases.broken).min(phases.broken);
        Self {
            network,
            seed,
            lasted: Duration::from_nanos(phases.ended.saturating_sub(began)),
            faults: by_kind,
            counts,
            violations,
        }
    }

    /// Whether nothing was violated.
    pub(crate) const fn is_good(&self) -> bool {
        self.violations.is_empty()
    }
}

impl Counts {
    fn add(&mut self, turn: &Turn, phases: Phases) {
        self.turns += 1;
        let waited = Duration::from_nanos(turn.waited(phases.ended));
        let phase =
            usize::from(turn.asked >= phases.broken) + usize::from(turn.asked >= phases.healed);
        match &turn.outcome {
            Outcome::Open => {}
            Outcome::Failed { cause, .. } => *self.failed.entry(cause.clone()).or_default() += 1,
            Outcome::Granted(hold) => {
                self.longest_wait[phase] = self.longest_wait[phase].max(waited);
                match turn.mode {
                    Mode::Read => self.reads += 1,
                    Mode::Write => self.writes += 1,
                }
                match &hold.end {
                    End::Open => self.killed += 1,
                    End::Lost { cause } => *self.lost.entry(cause.clone()).or_default() += 1,
                    End::Released(_) => {}
                }
                for (_, event) in &hold.register {
                    match event {
                        Event::Wrote { .. } => self.register_writes += 1,
                        Event::Refused { .. } => self.refused += 1,
                        _ => {}
                    }
                }
            }
        }
    }
}

/// `3 of this, 4 of that`, or `none`.
fn listed<K: Display>(counts: &BTreeMap<K, u64>) -> String {
    if counts.is_empty() {
        return "none".into();
    }
    let each: Vec<_> = counts
        .iter()
        .map(|(name, count)| format!("{count} {name}"))
        .collect();
    each.join(", ")
}

impl Display for Verdict {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Counts {
            turns,
            reads,
            writes,
            register_writes,
            refused,
            killed,
            failed,
            lost,
            longest_wait: [before, during, after],
        } = &self.counts;
        let faults: u64 = self.faults.values().sum();
        writeln!(
            f,
            "{:.1} min on network {}, seed {}",
            self.lasted.as_secs_f64() / 60.0,
            self.network,
            self.seed
        )?;
        writeln!(f, "faults: {faults}")?;
        for (kind, count) in &self.faults {
            writeln!(f, "  {count:>4} {kind}")?;
        }
        writeln!(
            f,
            "requests: {turns}; granted to read {reads}, to write {writes}; not granted: {}",
            listed(failed)
        )?;
        writeln!(
            f,
            "locks lost: {}; held by a process that was killed: {killed}",
            listed(lost)
        )?;
        writeln!(
            f,
            "registers: {register_writes} writes, {refused} uses refused for an old token"
        )?;
        writeln!(
            f,
            "longest wait: {before:.1?} before the faults, {during:.1?} during them, {after:.1?} after the healing"
        )?;
        writeln!(f, "violations: {}", self.violations.len())?;
        for violation in self.violations.iter().take(SHOWN_MAX) {
            writeln!(f, "  {violation}")?;
        }
        Ok(())
    }
}
