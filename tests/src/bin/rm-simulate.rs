//! The long form of the simulation of clusters that fail: `cargo xtask simulate`.
//!
//! Each thread takes the next seed. The first failure of each ends it, and is printed with its trace.

use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use rm_core::testing::failover::{Counts, Failure, Kind};
use rm_tests::failover::run;

/// What is asked for on the command line.
struct Job {
    kinds: Vec<Kind>,
    schedules: u64,
    seed: u64,
    threads: usize,
}

fn main() -> ExitCode {
    let job = match parse(std::env::args().skip(1)) {
        Ok(job) => job,
        Err(why) => {
            eprintln!("error: {why}");
            return ExitCode::FAILURE;
        }
    };
    // A broken assertion is reported with the schedule.
    std::panic::set_hook(Box::new(|_| ()));
    let mut code = ExitCode::SUCCESS;
    for &kind in &job.kinds {
        let started = Instant::now();
        let (sum, failures) = run_kind(kind, &job);
        let span = started.elapsed();
        println!("{}: {sum}  in {span:.1?}", kind.name());
        for failure in failures {
            println!("{failure}");
            code = ExitCode::FAILURE;
        }
    }
    code
}

fn run_kind(kind: Kind, job: &Job) -> (Counts, Vec<Failure>) {
    let (next, sum) = (AtomicU64::new(job.seed), Mutex::new(Counts::default()));
    let failures = Mutex::new(Vec::new());
    let end = job.seed.saturating_add(job.schedules);
    let work = || {
        let mut own = Counts::default();
        loop {
            // Relaxed: each seed is taken once, in any order.
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= end {
                break;
            }
            let replay = format!(
                "cargo xtask simulate --kind {} --seed {seed} --schedules 1",
                kind.name()
            );
            match run(kind, seed, &replay) {
                Ok(counts) => own.add(&counts),
                Err(failure) => {
                    let mut failures = failures.lock().unwrap_or_else(PoisonError::into_inner);
                    failures.push(*failure);
                    break;
                }
            }
        }
        sum.lock().unwrap_or_else(PoisonError::into_inner).add(&own);
    };
    std::thread::scope(|scope| {
        for _ in 0..job.threads {
            scope.spawn(work);
        }
    });
    let sum = sum.into_inner().unwrap_or_else(PoisonError::into_inner);
    let failures = failures
        .into_inner()
        .unwrap_or_else(PoisonError::into_inner);
    (sum, failures)
}

fn parse(mut args: impl Iterator<Item = String>) -> Result<Job, String> {
    let mut job = Job {
        kinds: Kind::ALL.to_vec(),
        schedules: 1_000,
        seed: 0,
        threads: std::thread::available_parallelism().map_or(1, usize::from),
    };
    while let Some(flag) = args.next() {
        let value = args.next().ok_or_else(|| format!("{flag} needs a value"))?;
        let number = || {
            let number = value.parse::<u64>();
            number.map_err(|_| format!("{flag} takes a whole number, not {value}"))
        };
        match flag.as_str() {
            "--kind" => {
                let names = Kind::ALL.map(Kind::name).join(", ");
                let kind = Kind::ALL.into_iter().find(|kind| kind.name() == value);
                job.kinds = vec![kind.ok_or_else(|| format!("no kind {value}: one of {names}"))?];
            }
            "--schedules" => job.schedules = number()?,
            "--seed" => job.seed = number()?,
            "--threads" => job.threads = number()?.max(1) as usize,
            _ => {
                return Err(format!(
                    "no flag {flag}: --kind, --schedules, --seed, --threads"
                ));
            }
        }
    }
    Ok(job)
}
