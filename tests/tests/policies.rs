//! The policy `Adaptive` against the fixed ones, on workloads that each favour another of them.
//!
//! `cargo run --release -p rm-tests --bin rm-policies` prints the table behind these bounds.

use rm_core::policy::{Decision, Policy};
use rm_tests::workload::{Cost, Workload, policies, run, workloads};

/// The seeds of the workloads.
const SEEDS: core::ops::RangeInclusive<u64> = 1..=5;

fn workload(name: &str) -> Workload {
    let mut all = workloads(*SEEDS.start()).into_iter();
    all.find(|workload| workload.name == name)
        .expect("there is such a workload")
}

fn adaptive(workload: &Workload) -> Cost {
    run(Policy::default(), workload)
}

/// The costs under every fixed policy.
fn fixed(workload: &Workload) -> Vec<Cost> {
    let fixed = policies()
        .into_iter()
        .filter(|(_, policy)| *policy != Policy::default());
    fixed.map(|(_, policy)| run(policy, workload)).collect()
}

fn least(costs: &[Cost], of: impl Fn(&Cost) -> f64) -> f64 {
    costs.iter().map(of).fold(f64::INFINITY, f64::min)
}

#[test]
fn adaptive_costs_at_most_five_percent_more_than_the_best_fixed_policy_of_each_workload() {
    for (seed, workload) in
        SEEDS.flat_map(|seed| workloads(seed).into_iter().map(move |w| (seed, w)))
    {
        let (adaptive, fixed) = (adaptive(&workload), fixed(&workload));
        let name = workload.name;
        let (messages, best) = (adaptive.messages_each(), least(&fixed, Cost::messages_each));
        assert!(
            messages <= 1.05 * best,
            "{name}, seed {seed}: {messages} messages, {best} under the best"
        );
        let (wait, best) = (adaptive.mean_wait(), least(&fixed, Cost::mean_wait));
        assert!(
            wait <= 1.05 * best,
            "{name}, seed {seed}: {wait} delays, {best} under the best"
        );
    }
}

#[test]
fn where_writers_take_turns_adaptive_saves_a_fifth_of_the_messages_and_two_fifths_of_the_wait() {
    let workload = workload("ping-pong");
    let (adaptive, fixed) = (adaptive(&workload), fixed(&workload));
    assert!(adaptive.messages_each() <= 0.8 * least(&fixed, Cost::messages_each));
    assert!(adaptive.mean_wait() <= 0.6 * least(&fixed, Cost::mean_wait));
}

#[test]
fn when_the_contention_ends_adaptive_goes_back_to_caching() {
    let adaptive = adaptive(&workload("contention that ends"));
    // Alone it returns at most eight times a phase before it keeps what it has; 10 phases of 60 are alone.
    let returned_alone = 10 * 8;
    let cached = adaptive.acquires * 6 / 10;
    assert!(
        adaptive.cached >= cached - returned_alone - 10,
        "{adaptive:?}"
    );
    assert!(adaptive.decisions.count(Decision::ReturnedUnasked) > 0);
}

#[test]
fn a_lock_that_only_moves_on_now_and_then_is_never_returned_unasked() {
    for name in ["private", "read-mostly shared", "migrating"] {
        let adaptive = adaptive(&workload(name));
        let unasked = adaptive.decisions.count(Decision::ReturnedUnasked);
        assert_eq!(unasked, 0, "{name}");
    }
}
