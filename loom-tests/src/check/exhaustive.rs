//! The search by loom: every order of threads, up to a bound of preemptions.

use core::time::Duration;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use loom::model::Builder;

use super::{Bound, Report};

/// Preemptions per execution where the environment does not say.
const PREEMPTIONS: usize = 3;
/// The longest run of one model with all its cases. Longer ones are too large, and fail as incomplete.
const DURATION_MAX: Duration = Duration::from_secs(240);
/// The most steps of one execution: beyond it, something spins.
const BRANCHES_MAX: usize = 10_000;
/// Limits are looked at once in so many executions; loom's default would overshoot by minutes.
const CHECKPOINT_INTERVAL: usize = 1_000;

/// The limits of one run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Preemptions per execution; `None`: any number.
    pub preemptions: Option<usize>,
    /// The most executions; reaching it fails the model.
    pub executions_max: Option<usize>,
    /// The longest run; reaching it fails the model.
    pub duration_max: Duration,
    /// How often the two are looked at.
    pub checkpoint_interval: usize,
}

impl Limits {
    /// The usual limits for that bound.
    ///
    /// # Panics
    /// If `LOOM_MAX_PREEMPTIONS` is set and no number.
    #[must_use]
    pub fn new(bound: Bound) -> Self {
        let given = || Builder::new().preemption_bound.unwrap_or(PREEMPTIONS);
        Self {
            preemptions: match bound {
                Bound::Full => None,
                Bound::Given => Some(given()),
            },
            executions_max: None,
            duration_max: DURATION_MAX,
            checkpoint_interval: CHECKPOINT_INTERVAL,
        }
    }

    /// The same, after so much of the time is spent.
    pub(super) const fn less(self, spent: Duration) -> Self {
        Self {
            duration_max: self.duration_max.saturating_sub(spent),
            ..self
        }
    }
}

/// Explores `model` in this process.
///
/// # Panics
/// If an execution fails, or a limit other than the bound cut the run short.
pub fn explore(name: &str, limits: Limits, model: impl Fn() + Send + Sync + 'static) -> Report {
    let mut builder = Builder::new();
    builder.preemption_bound = limits.preemptions;
    builder.max_permutations = limits.executions_max;
    builder.max_duration = Some(limits.duration_max);
    builder.max_branches = BRANCHES_MAX;
    builder.checkpoint_interval = limits.checkpoint_interval;

    let count = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&count);
    let started = Instant::now();
    builder.check(move || {
        // Relaxed: read only after the run.
        counter.fetch_add(1, Ordering::Relaxed);
        model();
    });
    let duration = started.elapsed();
    let executions = count.load(Ordering::Relaxed);

    // Loom looks at its limits before every execution whose number the interval divides, and then returns as if it
    // were done. A run that ended there by itself fails too, which is the safe side.
    let next = executions + 1;
    let at_checkpoint = next.is_multiple_of(limits.checkpoint_interval as u64);
    let too_many = limits.executions_max.is_some_and(|max| next >= max as u64);
    let too_long = duration >= limits.duration_max;
    assert!(
        !(at_checkpoint && (too_many || too_long)),
        "model {name} is incomplete: cut short after {executions} executions, {} ms: make it smaller",
        duration.as_millis()
    );
    Report {
        name: name.into(),
        cases: 1,
        executions,
        duration,
        search: match limits.preemptions {
            Some(preemptions) => format!("bound {preemptions}"),
            None => "no bound".into(),
        },
    }
}
