//! What a lock costs whose credit is in this process already, beside the locks one would compare it with.
//!
//! ```text
//! cargo xtask bench local           nanoseconds, and ratios
//! cargo xtask bench instructions    machine instructions, under valgrind
//! ```
//!
//! The method is told in docs/BENCHMARKS.md. `subject` has the locks, `workload` what is done with them, `times` and
//! `instructions` the two ways to measure it.

mod instructions;
mod subject;
mod times;
mod watched;
mod workload;

use std::process::ExitCode;

const USAGE: &str = "give one of: local, instructions, check-instructions";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let result = match args[..] {
        ["local"] => {
            times::run();
            Ok(())
        }
        ["instructions"] => instructions::run(),
        ["check-instructions"] => instructions::check(),
        [instructions::REPEAT, subject, workload, count] => {
            instructions::repeat(subject, workload, count)
        }
        _ => Err(USAGE.to_owned()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            eprintln!("error: {reason}");
            ExitCode::FAILURE
        }
    }
}
