//! Metrics of clients and nodes by way of the facade `metrics`: whichever recorder the program installs has them. Feature
//! `metrics`; the names are in [`names`].
//!
//! Two kinds are told apart by what they cost. What becomes of a request that is not served from the cache, and how long a
//! hold of its own lasted, is recorded when it happens. All else is counted where it happens anyway (requests that the cache
//! served, recalls, losses) or seen by a look at each resource (the oldest holder): it is recorded when the program asks for it
//! by `publish_metrics`, before a scrape. So a cached acquire costs the same with metrics and without.
//!
//! **Locks.** A recorder is foreign code. It is called while no lock of a resource is held; of those who publish at once, one
//! waits for the other.

pub mod names;
#[cfg(feature = "opentelemetry")]
mod opentelemetry;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use metrics::{
    Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram,
};
use rm_core::error::LostReason;
use rm_core::front::{Domain, Observer, Outcome, Subject, Totals};

use self::names::{Kind, MODE, OUTCOME, REASON, TYPE};
#[cfg(feature = "opentelemetry")]
pub use self::opentelemetry::{OpenTelemetry, trace_context};
use crate::hub::Hub;

/// Tells the recorder what each metric means, and in which unit it is. Once, after the recorder was installed.
pub fn describe() {
    for metric in names::ALL {
        let unit = if metric.name.ends_with("_seconds") {
            Unit::Seconds
        } else {
            Unit::Count
        };
        match metric.kind {
            Kind::Counter => describe_counter!(metric.name, unit, metric.help),
            Kind::Gauge => describe_gauge!(metric.name, unit, metric.help),
            Kind::Histogram => describe_histogram!(metric.name, unit, metric.help),
        }
    }
}

/// What a hub has told the recorder.
#[derive(Debug, Default)]
pub(crate) struct Telemetry {
    told: Mutex<Told>,
}

/// Counts that the recorder knows: it is told what came to them since.
#[derive(Debug, Default)]
struct Told {
    cached: BTreeMap<&'static str, u64>,
    totals: Totals,
    jeopardies: u64,
}

impl Observer for Telemetry {
    fn on_request(&self, subject: Subject<'_>, outcome: Outcome, waited: Duration) {
        let Subject {
            type_name, mode, ..
        } = subject;
        let name = names::REQUESTS_TOTAL.name;
        counter!(name, TYPE => type_name, MODE => mode, OUTCOME => outcome.name()).increment(1);
        if outcome == Outcome::Granted {
            let name = names::WAIT_SECONDS.name;
            histogram!(name, TYPE => type_name, MODE => mode).record(waited);
        }
    }

    fn on_release(&self, subject: Subject<'_>, held: Duration) {
        let Subject {
            type_name, mode, ..
        } = subject;
        histogram!(names::HOLD_SECONDS.name, TYPE => type_name, MODE => mode).record(held);
    }
}

impl Telemetry {
    pub(crate) fn observer(self: &Arc<Self>) -> Arc<dyn Observer> {
        Arc::<Self>::clone(self)
    }
}

/// Records what is counted elsewhere, of all parts of one node.
pub(crate) fn publish(parts: &[(&Hub, &Domain)]) {
    let mut all: BTreeMap<&'static str, Totals> = BTreeMap::new();
    let mut sessions = 0;
    for (hub, domain) in parts {
        let mut told = hub.telemetry.lock();
        sessions += hub.peers().len();
        for (name, totals) in domain.totals_by_type() {
            let cached = told.cached.entry(name).or_default();
            let new = since(cached, totals.cached_acquires);
            counter!(names::CACHED_TOTAL.name, TYPE => name).increment(new);
            add_gauges(all.entry(name).or_default(), &totals);
        }
        count(&mut told, &domain.sums(), hub.desk.jeopardies());
    }
    for (name, totals) in all {
        set_gauges(name, &totals);
    }
    #[expect(
        clippy::cast_precision_loss,
        reason = "far fewer than what a float counts"
    )]
    gauge!(names::SESSIONS.name).set(sessions as f64);
}

impl Telemetry {
    fn lock(&self) -> std::sync::MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a counter has risen by since it was told.
fn since(told: &mut u64, now: u64) -> u64 {
    // Never back: a look while resources come to rest may miss some for a moment.
    let new = now.saturating_sub(*told);
    *told += new;
    new
}

fn count(told: &mut Told, now: &Totals, jeopardies: u64) {
    let Told {
        totals: before,
        jeopardies: jeopardies_before,
        ..
    } = told;
    let sent = now.recalls_sent.saturating_sub(before.recalls_sent);
    counter!(names::RECALLS_SENT_TOTAL.name).increment(sent);
    let received = now.recalls_received.saturating_sub(before.recalls_received);
    counter!(names::RECALLS_RECEIVED_TOTAL.name).increment(received);
    for why in LostReason::ALL {
        let new = now.losses.count(why) - before.losses.count(why);
        counter!(names::LOST_TOTAL.name, REASON => why.name()).increment(new);
    }
    counter!(names::JEOPARDIES_TOTAL.name).increment(since(jeopardies_before, jeopardies));
    *before = *now;
}

fn add_gauges(sum: &mut Totals, more: &Totals) {
    sum.holds += more.holds;
    sum.waiting += more.waiting;
    sum.resources += more.resources;
    sum.loans += more.loans;
    sum.oldest_hold = sum.oldest_hold.max(more.oldest_hold);
    sum.oldest_wait = sum.oldest_wait.max(more.oldest_wait);
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a gauge is a float, here as at Prometheus"
)]
fn set_gauges(name: &'static str, totals: &Totals) {
    let set = |metric: names::Metric, value: f64| gauge!(metric.name, TYPE => name).set(value);
    set(names::HOLDS, totals.holds as f64);
    set(names::WAITING, totals.waiting as f64);
    set(names::RESOURCES, totals.resources as f64);
    set(names::LOANS, totals.loans as f64);
    set(names::OLDEST_HOLD_SECONDS, totals.oldest_hold.as_secs_f64());
    set(names::OLDEST_WAIT_SECONDS, totals.oldest_wait.as_secs_f64());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_conventions_and_are_told_apart() {
        for metric in names::ALL {
            let twins = names::ALL.iter().filter(|other| other.name == metric.name);
            assert_eq!(twins.count(), 1, "{}", metric.name);
            assert!(metric.name.starts_with("rm_"), "{}", metric.name);
            let is_total = metric.name.ends_with("_total");
            assert_eq!(is_total, metric.kind == Kind::Counter, "{}", metric.name);
            if metric.kind == Kind::Histogram {
                assert!(metric.name.ends_with("_seconds"), "{}", metric.name);
            }
        }
    }

    #[test]
    fn the_document_has_each_metric_with_its_labels() {
        let document = include_str!("../../docs/OBSERVABILITY.md");
        for metric in names::ALL {
            let labels = metric.labels.iter().map(|label| format!("`{label}`"));
            let labels = labels.collect::<Vec<_>>().join(", ");
            let row = format!("| `{}` | {labels} | {} |", metric.name, metric.help);
            assert!(
                document.contains(&row),
                "missing in docs/OBSERVABILITY.md: {row}"
            );
        }
    }
}
