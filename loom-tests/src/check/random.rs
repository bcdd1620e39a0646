//! The search by shuttle: schedules drawn at random, from one seed.
//!
//! Half of them choose any thread at each step. The other half are drawn by the PCT algorithm: threads have priorities,
//! which change at a few random steps, so that a fault that needs few preemptions at the right places is likelier to be
//! met.
//!
//! A schedule that fails is printed, and replays: [`again`] makes the command from what the model's process said.

use core::time::Duration;
use std::env;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Arc;
use std::time::Instant;

use shuttle::scheduler::{PctScheduler, RandomScheduler, ReplayScheduler, Scheduler};
use shuttle::{Config, Runner};

use super::{Bound, CASE, Report};

/// Where the seed is taken from; drawn afresh otherwise.
const SEED_VARIABLE: &str = "RM_SEED";
/// How many schedules each case has.
const SCHEDULES_VARIABLE: &str = "RM_SHUTTLE_SCHEDULES";
/// The one schedule to run: `MODEL:CASE:SCHEDULE`.
const REPLAY_VARIABLE: &str = "RM_SHUTTLE_REPLAY";

/// Schedules of each case where the environment does not say.
const SCHEDULES: usize = 1_000;
/// Steps at which the priorities of one schedule change, and one more: the depth of the faults that are looked for.
const DEPTH: usize = 3;
/// The stack of each thread of a model: shuttle's default is too small for an owner with its checks.
const STACK_BYTES: usize = 1 << 18;

/// The limits of one run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// How many schedules to draw.
    pub schedules: usize,
    /// What they are drawn from.
    pub seed: u64,
}

impl Limits {
    /// What the environment says; `bound` says nothing to shuttle.
    ///
    /// # Panics
    /// If `RM_SEED` or `RM_SHUTTLE_SCHEDULES` is set and no number.
    #[must_use]
    pub fn new(bound: Bound) -> Self {
        let _ = bound;
        let schedules = number(SCHEDULES_VARIABLE).map(|number| number as usize);
        let fresh = || RandomState::new().build_hasher().finish();
        Self {
            schedules: schedules.unwrap_or(SCHEDULES),
            seed: number(SEED_VARIABLE).unwrap_or_else(fresh),
        }
    }

    /// The same: what was spent shortens no run, as their number is what bounds them.
    pub(super) const fn less(self, _: Duration) -> Self {
        self
    }
}

/// Runs `model` under as many schedules as `limits` says, in this process.
///
/// # Panics
/// If a schedule fails, or not all were run.
pub fn explore(name: &str, limits: Limits, model: impl Fn() + Send + Sync + 'static) -> Report {
    let Limits { schedules, seed } = limits;
    eprintln!("{SEED_VARIABLE}={seed}");
    let model = Arc::new(model);
    let started = Instant::now();
    let by_priority = schedules / 2;
    let executions = run(
        RandomScheduler::new_from_seed(seed, schedules - by_priority),
        &model,
    ) + run(
        PctScheduler::new_from_seed(seed, DEPTH, by_priority),
        &model,
    );
    assert_eq!(
        executions, schedules,
        "model {name} is incomplete: not all schedules were run"
    );
    Report {
        name: name.into(),
        cases: 1,
        executions: executions as u64,
        duration: started.elapsed(),
        search: format!("drawn from {SEED_VARIABLE}={seed}"),
    }
}

/// Runs `model` under one schedule, as it was printed.
///
/// # Panics
/// If it fails, or the schedule is not one of this model.
pub fn replay(schedule: &str, model: impl Fn() + Send + Sync + 'static) {
    run(
        ReplayScheduler::new_from_encoded(schedule),
        &Arc::new(model),
    );
}

fn run<M: Fn() + Send + Sync + 'static>(
    scheduler: impl Scheduler + 'static,
    model: &Arc<M>,
) -> usize {
    let mut config = Config::new();
    config.stack_size = STACK_BYTES;
    // Its warning, that all orderings count as the strongest, stands in this crate's documentation.
    config.silence_warnings = true;
    let model = Arc::clone(model);
    Runner::new(scheduler, config).run(move || model())
}

/// One schedule of one case.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) case: usize,
    pub(super) text: String,
}

/// The schedule of this model that is to be replayed, if one is.
pub(super) fn asked_for(name: &str) -> Option<Asked> {
    let value = env::var(REPLAY_VARIABLE).ok()?;
    // From the end, as the names of models have colons too.
    let mut parts = value.rsplitn(3, ':');
    let (text, case, model) = (parts.next(), parts.next(), parts.next());
    let (Some(text), Some(Ok(case)), Some(model)) = (text, case.map(str::parse), model) else {
        panic!("{REPLAY_VARIABLE} must be MODEL:CASE:SCHEDULE, as a failed model prints it");
    };
    (model == name).then(|| Asked {
        case,
        text: text.into(),
    })
}

/// The command that replays what failed, from what the model's process said.
pub(super) fn again(name: &str, said: &str) -> String {
    let mut case = None;
    let mut schedule = None;
    let mut lines = said.lines();
    while let Some(line) = lines.next() {
        if let Some((index, _)) = line.strip_prefix(CASE).and_then(|l| l.split_once(':')) {
            case = Some(index);
        }
        if line == "failing schedule:" {
            // Between two quotation marks; a long one has several lines.
            let text = lines.by_ref().skip(1).take_while(|&line| line != "\"");
            schedule = Some(text.collect::<String>());
        }
    }
    match (case, schedule) {
        (Some(case), Some(schedule)) => format!(
            "replay: {REPLAY_VARIABLE}='{name}:{case}:{schedule}' cargo xtask shuttle {name}\n"
        ),
        _ => format!("no schedule was printed; again: cargo xtask shuttle {name}\n"),
    }
}

fn number(variable: &str) -> Option<u64> {
    let value = env::var(variable).ok()?;
    let number = value.parse();
    Some(number.unwrap_or_else(|_| panic!("{variable} must be a number, not {value:?}")))
}
