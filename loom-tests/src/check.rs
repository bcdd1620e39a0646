//! Runs one model through its executions.
//!
//! **One process per model.** A deadlock makes the engine panic while the model's wakers are alive; dropping them then
//! panics again and aborts the process. So [`check`] starts the test program anew for its one test, and a
//! model takes no other down.
//!
//! **Cases.** A model can be tried on several cases, such as all pairs of modes that conflict. Each is searched by
//! itself, one after the other in the process of the model, and the report adds them up.
//!
//! **Complete or failed.** Loom stops without a word when a limit on time or on executions is reached. Here that is
//! a failure: a model that was cut short has shown nothing.

#[cfg(rm_loom)]
mod exhaustive;
#[cfg(all(rm_shuttle, not(rm_loom)))]
mod random;

use core::fmt;
use core::time::Duration;
use std::env;
use std::process::Command;
use std::time::Instant;

#[cfg(rm_loom)]
pub use self::exhaustive::{Limits, explore};
#[cfg(all(rm_shuttle, not(rm_loom)))]
pub use self::random::{Limits, explore, replay};

/// Tells the process that runs one model which one.
const MODEL_VARIABLE: &str = "RM_LOOM_MODEL";

/// How much of what can happen loom explores. Shuttle draws its schedules at random, and has no bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    /// Every order. For two threads, and three that do little.
    Full,
    /// Up to as many preemptions per execution as `LOOM_MAX_PREEMPTIONS` says, 3 if it says nothing.
    Given,
}

/// What a complete run of a model came to.
#[derive(Clone, Debug)]
pub struct Report {
    /// The model's name.
    pub name: String,
    /// How many cases it was tried on.
    pub cases: usize,
    /// How many executions all of them had.
    pub executions: u64,
    /// How long it took.
    pub duration: Duration,
    /// Which executions these were, in words.
    pub search: String,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            name,
            cases,
            executions,
            duration,
            search,
        } = self;
        let millis = duration.as_millis();
        write!(f, "model {name}: ")?;
        if *cases != 1 {
            write!(f, "{cases} cases, ")?;
        }
        write!(f, "{executions} executions, {millis} ms, {search}")
    }
}

/// Checks `model` in a process of its own, and prints its [`Report`].
///
/// To be called once, by the test called `name`: the new process runs that test. The name of a test in a module has
/// the module's in front, as in `train::exclusion_of_two`.
///
/// # Panics
/// If an execution fails, the run is incomplete, or there is no test of that name.
pub fn check(name: &str, bound: Bound, model: impl Fn() + Clone + Send + Sync + 'static) {
    check_each(name, bound, &[()], move |()| model());
}

/// As [`check`], on each of several cases. Without any there is nothing to show, and the report says so.
///
/// # Panics
/// If an execution of any case fails, the run is incomplete, or there is no test of that name.
pub fn check_each<C>(
    name: &str,
    bound: Bound,
    cases: &[C],
    model: impl Fn(C) + Clone + Send + Sync + 'static,
) where
    C: Clone + fmt::Debug + Send + Sync + 'static,
{
    if cases.is_empty() {
        println!("model {name}: no case, as no modes of this type can meet so");
    } else if env::var(MODEL_VARIABLE).as_deref() == Ok(name) {
        eprintln!("{}", explore_each(name, bound, cases, model));
    } else {
        run_apart(name);
    }
}

/// What the process of one model does.
fn explore_each<C>(
    name: &str,
    bound: Bound,
    cases: &[C],
    model: impl Fn(C) + Clone + Send + Sync + 'static,
) -> Report
where
    C: Clone + fmt::Debug + Send + Sync + 'static,
{
    let started = Instant::now();
    let limits = Limits::new(bound);
    let mut total: Option<Report> = None;
    for (index, case) in cases.iter().enumerate() {
        // The last of these lines tells which case failed.
        eprintln!("{CASE}{index}: {case:?}");
        let (case, model) = (case.clone(), model.clone());
        let model = move || model(case.clone());
        #[cfg(all(rm_shuttle, not(rm_loom)))]
        if let Some(schedule) = random::asked_for(name) {
            if schedule.case == index {
                replay(&schedule.text, model);
            }
            continue;
        }
        let spent = started.elapsed();
        let report = explore(name, limits.less(spent), model);
        match &mut total {
            Some(total) => {
                total.cases += 1;
                total.executions += report.executions;
                total.duration += report.duration;
            }
            None => total = Some(report),
        }
    }
    total.unwrap_or_else(|| Report {
        name: name.into(),
        cases: 1,
        executions: 1,
        duration: started.elapsed(),
        search: "replayed, and it passes".into(),
    })
}

/// How the line begins that says which case comes now.
const CASE: &str = "case ";

fn run_apart(name: &str) {
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
        _ => panic!(
            "model {name} failed, {}:\n{}{}",
            output.status,
            quoted(&said),
            again(name, &said)
        ),
    }
}

/// The output of another process, set off from our own.
fn quoted(text: &str) -> String {
    text.lines().map(|line| format!("  | {line}\n")).collect()
}

/// The command that runs a failed model again, as it failed.
fn again(name: &str, said: &str) -> String {
    #[cfg(rm_loom)]
    {
        let _ = said;
        format!("the search is the same every time: cargo xtask loom {name}\n")
    }
    #[cfg(all(rm_shuttle, not(rm_loom)))]
    random::again(name, said)
}
