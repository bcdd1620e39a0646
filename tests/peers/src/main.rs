//! The lock services of the field beside this one: real servers on loopback, the same workloads through each one's usual recipe.
//!
//! ```text
//! cargo xtask peers                          whatever is installed
//! cargo xtask peers --only redis --seconds 1
//! ```
//!
//! docs/PEERS.md has the table, the recipes and their sources. Here, `peer` says what a service is asked, and `ours`, `etcd`,
//! `redis`, `zookeeper` and `postgres` each do it by one recipe or two; `workload` says what is done with locks and `witness` whether they
//! exclude; `server` starts what is needed; `contest` brings these together, and `results` prints.
//!
//! Peers take turns round by round, so that what else the machine does falls on all alike; the median round counts. All servers
//! run all the time, so that each is warm when its turn comes. Those whose turn it is not have nothing to do.

mod contest;
mod etcd;
mod machine;
mod ours;
mod peer;
mod postgres;
mod redis;
mod results;
mod server;
#[cfg(test)]
mod tests;
mod witness;
mod workload;
mod zookeeper;

use std::alloc::System;
use std::process::ExitCode;
use std::time::Duration;

use cap::Cap;
use clap::{Parser, ValueEnum as _};
use tokio::signal::unix::{SignalKind, signal};

use crate::contest::{Contestant, Footprint, Recipe};
use crate::machine::Machine;
use crate::results::{Entry, Results, Series};
use crate::server::Product;
use crate::workload::{Round, Workload};

/// Counts what clients ask of it. A count costs some nanoseconds, which only peers that allocate pay.
#[global_allocator]
static ALLOCATOR: Cap<System> = Cap::new(System, usize::MAX);

/// Rounds of a workload before those that count.
const WARM_UP: u32 = 1;

/// Compare the lock services that are installed with this one.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask peers")]
struct Options {
    /// Beside these only
    #[arg(long, value_enum, value_delimiter = ',', value_name = "PEER")]
    only: Vec<Product>,
    /// These workloads only
    #[arg(long, value_enum, value_delimiter = ',', value_name = "WORKLOAD")]
    workloads: Vec<Workload>,
    /// For how long each peer does each workload, over all rounds
    #[arg(long, default_value_t = 5.0, value_name = "N", value_parser = seconds)]
    seconds: f64,
    /// In how many rounds
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    rounds: u32,
    /// How many locks are held at once for the memory they take; 0 for none (PostgreSQL takes minutes for 100,000)
    #[arg(long, default_value_t = 20_000, value_parser = clap::value_parser!(u32).range(..=150_000))]
    locks: u32,
    /// What is drawn follows from it
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Reads a number of seconds that a person can wait for.
fn seconds(text: &str) -> Result<f64, String> {
    let number: f64 = text.parse().map_err(|_| "give a number of seconds")?;
    (0.01..=3_600.0)
        .contains(&number)
        .then_some(number)
        .ok_or_else(|| "give 0.01 to 3600 seconds".into())
}

fn main() -> ExitCode {
    let options = Options::parse();
    match start(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            eprintln!("error: {reason}");
            ExitCode::FAILURE
        }
    }
}

fn start(options: &Options) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(peer::failed("no runtime"))?;
    // On this thread, which lives to the end: servers that it starts end with it.
    runtime.block_on(async {
        let mut terminated =
            signal(SignalKind::terminate()).map_err(peer::failed("signals cannot be heard"))?;
        tokio::select! {
            done = run(options) => done,
            _ = tokio::signal::ctrl_c() => Err("interrupted; the servers are stopped".into()),
            _ = terminated.recv() => Err("terminated; the servers are stopped".into()),
        }
    })
}

/// The servers live as long as this future.
async fn run(options: &Options) -> Result<(), String> {
    let mut machine = Machine::look()?;
    let contestants = gather(options).await?;
    let mut results = Results::default();
    for contestant in &contestants {
        let server = contestant.server();
        results.recipes.push(contestant.recipe());
        results.entries.push(Entry {
            name: contestant.recipe().title(),
            version: server.version()?,
            settings: server.settings(),
        });
    }
    warm_up(&contestants, options).await?;
    let is_asked =
        |workload: &&Workload| options.workloads.is_empty() || options.workloads.contains(workload);
    for &workload in Workload::value_variants().iter().filter(is_asked) {
        eprintln!("{}", workload.title());
        let series = rounds(&contestants, workload, options).await?;
        results.series.extend(series);
    }
    if options.locks > 0 {
        eprintln!("memory of {} locks held", options.locks);
        drop(contestants);
        for &recipe in &results.recipes {
            match footprint(recipe, options.locks as usize).await {
                Ok(footprint) => results.footprints.push((recipe, footprint)),
                // All else is measured by now, and stays.
                Err(why) => eprintln!("no memory of {}: {why}", recipe.title()),
            }
        }
    }
    machine.look_again()?;
    if options.json {
        println!("{}", results.json(&machine.json()));
    } else {
        println!("{machine}\n{}\n\n{}", results.entrants(), results.table());
    }
    Ok(())
}

/// On a new server, by itself: one that has had many locks before would take them from memory that it has.
async fn footprint(recipe: Recipe, locks: usize) -> Result<Footprint, String> {
    recipe.enter().await?.hold(locks).await
}

/// Everybody who is asked for and installed; says how to get the others.
async fn gather(options: &Options) -> Result<Vec<Box<dyn Contestant>>, String> {
    let is_asked = |product: Product| {
        product == Product::Rmd || options.only.is_empty() || options.only.contains(&product)
    };
    for &product in Product::value_variants() {
        if is_asked(product) && !product.is_installed() {
            let name = format!("{product:?}").to_lowercase();
            eprintln!("not installed: {name}. {}", product.install());
        }
    }
    let takes_part = |recipe: &Recipe| {
        let product = recipe.product();
        product == Product::Rmd || (is_asked(product) && product.is_installed())
    };
    let mut contestants = Vec::new();
    for recipe in Recipe::ALL.into_iter().filter(takes_part) {
        eprintln!("starting {}", recipe.title());
        let contestant = recipe.enter().await;
        contestants.push(contestant.map_err(|why| format!("{}: {why}", recipe.title()))?);
    }
    Ok(contestants)
}

/// Very many locks, once: by then ZooKeeper's server has compiled itself.
async fn warm_up(contestants: &[Box<dyn Contestant>], options: &Options) -> Result<(), String> {
    let round = Round {
        span: Duration::from_secs_f64(options.seconds),
        number: u64::MAX,
        seed: options.seed,
    };
    for contestant in contestants {
        let title = contestant.recipe().title();
        let warm = contestant.run(Workload::FirstUseMany, round).await;
        warm.map_err(|why| format!("{title}: warm-up: {why}"))?;
    }
    Ok(())
}

/// All rounds of a workload, by everybody whom it suits, in turn.
async fn rounds(
    contestants: &[Box<dyn Contestant>],
    workload: Workload,
    options: &Options,
) -> Result<Vec<Series>, String> {
    let suited = contestants.iter().map(Box::as_ref);
    let suited = suited.filter(|it| workload.suits(it.recipe().modes()));
    let suited: Vec<&dyn Contestant> = suited.collect();
    let new = |contestant: &&dyn Contestant| Series {
        recipe: contestant.recipe(),
        workload,
        samples: Vec::new(),
    };
    let mut all: Vec<Series> = suited.iter().map(new).collect();
    for number in 0..WARM_UP + options.rounds {
        let round = Round {
            span: Duration::from_secs_f64(options.seconds / f64::from(options.rounds)),
            number: number.into(),
            seed: options.seed,
        };
        for (contestant, series) in suited.iter().zip(&mut all) {
            let sample = contestant.run(workload, round).await;
            let title = contestant.recipe().title();
            let sample = sample.map_err(|why| format!("{title}: {}: {why}", workload.title()))?;
            if number >= WARM_UP {
                series.samples.push(sample);
            }
        }
    }
    Ok(all)
}
