//! Runs one model through its executions.
//!
//! **One process per model.** A deadlock makes loom panic while the model's wakers are alive; dropping them then
//! panics again and aborts the process. So [`check`] starts the test program anew for its one test, and a
//! model takes no other down.
//!
//! **Complete or failed.** Loom stops without a word when a limit on time or on executions is reached. Here that is
//! a failure: a model that was cut short has shown nothing.

use std::env;
use std::fmt;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use loom::model::Builder;

/// Tells the process that runs one model which one.
const MODEL_VARIABLE: &str = "RM_LOOM_MODEL";
/// Preemptions per execution where the environment does not say.
const PREEMPTIONS: usize = 3;
/// The longest run of one model. Longer ones are too large, and fail as incomplete.
const DURATION_MAX: Duration = Duration::from_secs(240);
/// The most steps of one execution: beyond it, something spins.
const BRANCHES_MAX: usize = 10_000;
/// Limits are looked at once in so many executions; loom's default would overshoot by minutes.
const CHECKPOINT_INTERVAL: usize = 1_000;

/// How much of what can happen is explored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    /// Every order. For two threads, and three that do little.
    Full,
    /// Up to as many preemptions per execution as `LOOM_MAX_PREEMPTIONS` says, 3 if it says nothing.
    Given,
}

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
}

/// What a complete run of a model came to.
#[derive(Clone, Debug)]
pub struct Report {
    /// The model's name.
    pub name: String,
    /// How many orders were run.
    pub executions: u64,
    /// How long it took.
    pub duration: Duration,
    /// Preemptions per execution; `None`: any number.
    pub preemptions: Option<usize>,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.duration.as_millis();
        write!(
            f,
            "model {}: {} executions, {millis} ms, ",
            self.name, self.executions
        )?;
        match self.preemptions {
            Some(preemptions) => write!(f, "bound {preemptions}"),
            None => write!(f, "no bound"),
        }
    }
}

/// Checks `model` in a process of its own, and prints its [`Report`].
///
/// To be called once, by the test called `name`: the new process runs that test.
///
/// # Panics
/// If an execution fails, the run is incomplete, or there is no test of that name.
pub fn check(name: &str, bound: Bound, model: impl Fn() + Send + Sync + 'static) {
    if env::var(MODEL_VARIABLE).as_deref() == Ok(name) {
        eprintln!("{}", explore(name, Limits::new(bound), model));
        return;
    }
    let program = env::current_exe().expect("a test knows its program");
    let output = Command::new(program)
        .args([name, "--exact", "--nocapture"])
        .env(MODEL_VARIABLE, name)
        .output()
        .expect("a test program can be started again");
    let said = String::from_utf8_lossy(&output.stderr);
    let report = said
        .lines()
        .find(|line| line.starts_with(&format!("model {name}: ")));
    match report {
        Some(report) if output.status.success() => println!("{report}"),
        _ => panic!("model {name} failed, {}:\n{}", output.status, quoted(&said)),
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
        executions,
        duration,
        preemptions: limits.preemptions,
    }
}

/// The output of another process, set off from our own.
fn quoted(text: &str) -> String {
    text.lines().map(|line| format!("  | {line}\n")).collect()
}
