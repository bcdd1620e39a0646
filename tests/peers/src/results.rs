//! What was measured, as one table for people and one object for programs.

use serde::Serialize;
use serde_json::{Value, json};

use crate::contest::{Footprint, Recipe};
use crate::workload::{Sample, Workload, median};

/// All rounds of a workload by a recipe.
#[derive(Clone, Debug)]
pub(crate) struct Series {
    pub(crate) recipe: Recipe,
    pub(crate) workload: Workload,
    pub(crate) samples: Vec<Sample>,
}

/// A server that took part.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Entry {
    pub(crate) name: &'static str,
    pub(crate) version: String,
    pub(crate) settings: String,
}

/// Everything that a run gives.
#[derive(Debug, Default)]
pub(crate) struct Results {
    pub(crate) recipes: Vec<Recipe>,
    pub(crate) entries: Vec<Entry>,
    pub(crate) series: Vec<Series>,
    pub(crate) footprints: Vec<(Recipe, Footprint)>,
}

impl Series {
    /// The median of the rounds, or of all waits, in nanoseconds.
    fn median(&self) -> f64 {
        let waits = self.waits();
        if waits.is_empty() {
            median(self.samples.iter().map(|sample| sample.nanos).collect())
        } else {
            median(waits)
        }
    }

    fn waits(&self) -> Vec<f64> {
        let waits = self.samples.iter().flat_map(|sample| &sample.waits);
        waits.map(|wait| wait.as_nanos() as f64).collect()
    }

    fn longest(&self) -> Option<f64> {
        self.waits().into_iter().reduce(f64::max)
    }

    fn starved(&self) -> u64 {
        self.samples.iter().map(|sample| sample.starved).sum()
    }

    /// A cell without its ratio.
    fn cell(&self) -> String {
        let median = time(self.median());
        match (self.longest(), self.starved()) {
            (None, _) => median,
            (Some(longest), 0) => format!("{median}, at most {}", time(longest)),
            (Some(_), starved) => format!("{median}, starved {starved} of {}", self.waits().len()),
        }
    }
}

impl Results {
    fn of(&self, recipe: Recipe, workload: Workload) -> Option<&Series> {
        let mut all = self.series.iter();
        all.find(|series| series.recipe == recipe && series.workload == workload)
    }

    fn workloads(&self) -> Vec<Workload> {
        let mut all: Vec<Workload> = self.series.iter().map(|series| series.workload).collect();
        all.dedup();
        all
    }

    /// How many times as long as ours, above 1 ours is faster.
    fn ratio(&self, series: &Series) -> Option<f64> {
        let ours = self.of(Recipe::Ours, series.workload)?;
        Some(series.median() / ours.median())
    }

    /// The table, in Markdown.
    pub(crate) fn table(&self) -> String {
        let titles = self.recipes.iter().map(|recipe| recipe.title().to_owned());
        let mut lines = vec![row("", titles)];
        lines.push(format!("|{}", "---|".repeat(self.recipes.len() + 1)));
        for workload in self.workloads() {
            let cells = self.recipes.iter().map(|&recipe| {
                let Some(series) = self.of(recipe, workload) else {
                    return "–".to_owned();
                };
                with_ratio(series.cell(), recipe, self.ratio(series))
            });
            lines.push(row(workload.title(), cells));
        }
        if !self.footprints.is_empty() {
            let server = |footprint: Footprint| footprint.server_each();
            let client = |footprint: Footprint| footprint.client_each();
            lines.push(self.memory("memory of the server for each lock held", server));
            let kept = |footprint: Footprint| footprint.kept_each();
            lines.push(self.memory("memory of the client for each", client));
            lines.push(self.memory("the same, when it gave it back", kept));
        }
        lines.join("\n")
    }

    fn memory(&self, title: &str, each: impl Fn(Footprint) -> f64) -> String {
        let of = |recipe: Recipe| {
            let mut all = self.footprints.iter();
            let found = all.find(|(other, _)| *other == recipe);
            found.map(|(_, footprint)| each(*footprint))
        };
        let ours = of(Recipe::Ours);
        let cells = self.recipes.iter().map(|&recipe| match of(recipe) {
            None => "–".to_owned(),
            Some(bytes) => {
                let ratio = ours.map(|ours| bytes / ours);
                with_ratio(format!("{bytes:.0} B"), recipe, ratio)
            }
        });
        row(title, cells)
    }

    /// Who took part, a line each.
    pub(crate) fn entrants(&self) -> String {
        let line = |entry: &Entry| format!("{} {}: {}", entry.name, entry.version, entry.settings);
        self.entries.iter().map(line).collect::<Vec<_>>().join("\n")
    }

    /// The same as the table, and every round.
    pub(crate) fn json(&self, machine: &Value) -> Value {
        let series = self.series.iter().map(|series| {
            let rounds: Vec<f64> = series.samples.iter().map(|sample| sample.nanos).collect();
            let operations: u64 = series.samples.iter().map(|sample| sample.operations).sum();
            json!({
                "peer": series.recipe.title(),
                "workload": series.workload.title(),
                "median_ns": series.median(),
                "ratio": self.ratio(series),
                "rounds_ns": rounds,
                "operations": operations,
                "longest_wait_ns": series.longest(),
                "starved": series.starved(),
            })
        });
        let memory = self.footprints.iter().map(|(recipe, footprint)| {
            json!({
                "peer": recipe.title(),
                "locks": footprint.locks,
                "server_bytes": footprint.server,
                "client_bytes": footprint.client,
                "client_bytes_given_back": footprint.kept,
            })
        });
        json!({
            "machine": machine,
            "peers": self.entries,
            "figures": series.collect::<Vec<_>>(),
            "memory": memory.collect::<Vec<_>>(),
        })
    }
}

fn row(title: &str, cells: impl Iterator<Item = String>) -> String {
    let mut line = format!("| {title} |");
    for cell in cells {
        line = format!("{line} {cell} |");
    }
    line
}

fn with_ratio(cell: String, recipe: Recipe, ratio: Option<f64>) -> String {
    match ratio {
        Some(ratio) if recipe != Recipe::Ours => format!("{cell} (×{})", figure(ratio)),
        _ => cell,
    }
}

/// A ratio, with as many digits as mean something.
fn figure(ratio: f64) -> String {
    if ratio < 10.0 {
        return format!("{ratio:.2}");
    }
    let digits = format!("{ratio:.0}");
    let mut grouped = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index) % 3 == 0 {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

fn time(nanos: f64) -> String {
    match nanos {
        ..1e3 => format!("{nanos:.0} ns"),
        ..1e5 => format!("{:.1} µs", nanos / 1e3),
        ..1e6 => format!("{:.0} µs", nanos / 1e3),
        _ => format!("{:.1} ms", nanos / 1e6),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn series(recipe: Recipe, workload: Workload, nanos: &[f64]) -> Series {
        let sample = |&nanos: &f64| Sample {
            nanos,
            ..Sample::default()
        };
        Series {
            recipe,
            workload,
            samples: nanos.iter().map(sample).collect(),
        }
    }

    fn results(series: Vec<Series>) -> Results {
        Results {
            recipes: vec![Recipe::Ours, Recipe::Redis, Recipe::RedisExclusive],
            series,
            ..Results::default()
        }
    }

    #[test]
    fn the_table_has_the_median_of_the_rounds_and_its_ratio_to_ours() {
        let table = results(vec![
            series(Recipe::Ours, Workload::ReadAgain, &[90.0, 100.0, 7e6]),
            series(Recipe::Redis, Workload::ReadAgain, &[9e9, 150e3, 1.0]),
        ])
        .table();
        let line = table.lines().nth(2).expect("a workload");
        let title = Workload::ReadAgain.title();
        assert_eq!(line, format!("| {title} | 100 ns | 150 µs (×1,500) | – |"));
    }

    #[test]
    fn where_ours_is_slower_the_ratio_is_below_one() {
        let results = results(vec![
            series(Recipe::Ours, Workload::FirstUse, &[200e3]),
            series(Recipe::Redis, Workload::FirstUse, &[150e3]),
        ]);
        assert!(results.table().contains("150 µs (×0.75)"));
    }

    #[test]
    fn waits_are_told_with_the_longest_and_with_those_that_had_no_end() {
        let mut waits = series(Recipe::Redis, Workload::Starve, &[]);
        let milliseconds = |ms| Duration::from_millis(ms);
        waits.samples.push(Sample {
            waits: vec![milliseconds(2), milliseconds(1), milliseconds(9)],
            ..Sample::default()
        });
        assert_eq!(waits.cell(), "2.0 ms, at most 9.0 ms");
        waits.samples[0].starved = 1;
        assert_eq!(waits.cell(), "2.0 ms, starved 1 of 3");
    }

    #[test]
    fn memory_is_told_for_each_lock_on_either_side() {
        let mut results = results(Vec::new());
        let footprint = |server, client| Footprint {
            locks: 100,
            server,
            client,
            kept: 0,
        };
        results.footprints = vec![
            (Recipe::Ours, footprint(20_000, 10_000)),
            (Recipe::Redis, footprint(10_000, 40_000)),
        ];
        let table = results.table();
        assert!(table.contains("| 200 B | 100 B (×0.50) | – |"), "{table}");
        assert!(table.contains("| 100 B | 400 B (×4.00) | – |"), "{table}");
    }

    #[test]
    fn programs_get_every_round() {
        let rounds = [90.0, 100.0, 110.0];
        let results = results(vec![series(Recipe::Ours, Workload::ReadAgain, &rounds)]);
        let figures = &results.json(&Value::Null)["figures"][0];
        assert_eq!(figures["rounds_ns"], json!(rounds));
        assert_eq!(figures["median_ns"], json!(100.0));
    }

    #[test]
    fn times_and_ratios_have_the_digits_that_mean_something() {
        assert_eq!(time(62.4), "62 ns");
        assert_eq!(time(73_210.0), "73.2 µs");
        assert_eq!(time(412_000.0), "412 µs");
        assert_eq!(time(12_345_678.0), "12.3 ms");
        assert_eq!(figure(1_234_567.8), "1,234,568");
        assert_eq!(figure(12.3), "12");
    }
}
