//! What Prometheus reads: what this server says of itself, of its machine and of its process, and whatever else was
//! recorded in this process through the `metrics` crate.
//!
//! Names follow Prometheus' conventions: base units, `_total` for what only rises. **No name of a resource is a label**: there
//! may be millions. [`ALL`] has each metric of this file with its meaning; the table in docs/OPERATIONS.md is compared
//! with it.

use std::sync::OnceLock;
use std::time::Duration;

use metrics::{Unit, counter, describe_counter, describe_gauge, gauge};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use rm_core::inspect::{HealthView, MembersView, Standing, StatusView};
use rm_core::policy::Decision;

use super::process::Usage;
use crate::cli::status;
use crate::telemetry;

/// Where the buckets of spans end, in seconds: from a cached acquire over the network to a stuck one.
const BUCKETS: [f64; 14] = [
    0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 10.0,
    60.0,
];

/// One metric.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Metric {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    /// `seconds`, `bytes`, or empty: a count or a number.
    pub(crate) unit: &'static str,
    pub(crate) help: &'static str,
}

/// How its values behave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Counter,
    Gauge,
}

const fn gauge_of(name: &'static str, unit: &'static str, help: &'static str) -> Metric {
    Metric {
        name,
        kind: Kind::Gauge,
        unit,
        help,
    }
}

const fn counter_of(name: &'static str, help: &'static str) -> Metric {
    Metric {
        name,
        kind: Kind::Counter,
        unit: "",
        help,
    }
}

/// All metrics of this file.
pub(crate) const ALL: [Metric; 33] = [
    gauge_of(
        "rmd_info",
        "",
        "always 1; labels: the software's version, and the server's role",
    ),
    gauge_of("rmd_ready", "", "1 while the server lends, as /readyz says"),
    gauge_of(
        "rmd_standing",
        "",
        "1 for the standing that it has, 0 for the others",
    ),
    gauge_of("rmd_uptime_seconds", "seconds", "since it started"),
    gauge_of(
        "rmd_lease_seconds",
        "seconds",
        "how long a client that falls silent keeps its locks",
    ),
    gauge_of(
        "rmd_grace_seconds",
        "seconds",
        "for how long what nobody has told of may still be in use; 0: all is known",
    ),
    gauge_of(
        "rmd_epoch",
        "",
        "its epoch: it rises with each start, or with each view",
    ),
    gauge_of(
        "rmd_view_epoch",
        "",
        "the epoch of the view that it has adopted; 0: none",
    ),
    gauge_of("rmd_members", "", "members of that view"),
    gauge_of(
        "rmd_reports_missing",
        "",
        "members whose reports it waits for before it lends",
    ),
    gauge_of(
        "rmd_membership_seconds",
        "seconds",
        "for how long it knows that it may lend; absent where that has no end",
    ),
    gauge_of(
        "rmd_coordinator_connected",
        "",
        "1 while its coordinator can be reached, or it needs none",
    ),
    gauge_of(
        "rmd_coordinator_latency_seconds",
        "seconds",
        "how long the coordinator's last answer took",
    ),
    gauge_of(
        "rmd_coordinator_warnings",
        "",
        "what is known to be wrong with the coordinator",
    ),
    gauge_of(
        "rmd_sessions",
        "",
        "sessions with clients, and with servers that borrow here",
    ),
    gauge_of("rmd_sessions_max", "", "how many it admits"),
    counter_of(
        "rmd_policy_decisions_total",
        "what was lent beyond what was asked, and recalled, by decision",
    ),
    counter_of(
        "rmd_evictions_total",
        "credit that went home because there was no room for more",
    ),
    counter_of(
        "rmd_idle_returns_total",
        "credit that went home because it had not been used for long",
    ),
    counter_of(
        "rmd_claims_total",
        "claims after a change of root, by whether they were confirmed",
    ),
    counter_of(
        "rmd_unknown_messages_total",
        "messages of resource types that this server does not know",
    ),
    counter_of("rmd_views_adopted_total", "views that it adopted"),
    gauge_of(
        "rmd_clock_seconds",
        "seconds",
        "its wall clock, since 1970; only the order of requests depends on it",
    ),
    gauge_of(
        "rmd_clock_counts_suspend",
        "",
        "1 if the clock of its leases goes on while the machine is suspended",
    ),
    gauge_of(
        "rmd_data_dir_free_bytes",
        "bytes",
        "what can still be written in the data directory",
    ),
    gauge_of(
        "rmd_data_dir_usable",
        "",
        "1 if the data directory can be written",
    ),
    counter_of("rmd_http_requests_total", "answers over HTTP, by status"),
    counter_of("process_cpu_seconds_total", "processor time of the process"),
    gauge_of(
        "process_resident_memory_bytes",
        "bytes",
        "memory of the process that is in use",
    ),
    gauge_of(
        "process_virtual_memory_bytes",
        "bytes",
        "address space of the process",
    ),
    gauge_of("process_threads", "", "threads of the process"),
    gauge_of(
        "process_open_fds",
        "",
        "files and connections that the process has open",
    ),
    gauge_of("process_max_fds", "", "how many it may have open"),
];

/// What is recorded in this process.
#[derive(Clone)]
pub(crate) struct Metrics(PrometheusHandle);

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Metrics")
    }
}

/// What the metrics of a server are made of.
#[derive(Debug)]
pub(super) struct Look {
    pub(super) status: StatusView,
    pub(super) members: MembersView,
    /// `None`: it says nothing of its machine now.
    pub(super) health: Option<HealthView>,
    pub(super) usage: Usage,
    pub(super) is_ready: bool,
}

impl Metrics {
    /// Records what this process counts from here on. A process records once: whoever asks again gets the same.
    pub(crate) fn install() -> Self {
        static RECORDED: OnceLock<PrometheusHandle> = OnceLock::new();
        let handle = RECORDED.get_or_init(|| {
            let builder = PrometheusBuilder::new()
                .set_buckets(&BUCKETS)
                .expect("there are some");
            let recorder = builder.build_recorder();
            let handle = recorder.handle();
            if metrics::set_global_recorder(recorder).is_err() {
                tracing::warn!(
                    "another recorder of metrics is there already: /metrics has what is its own"
                );
            }
            telemetry::describe();
            describe();
            handle
        });
        Self(handle.clone())
    }

    /// An answer over HTTP was given.
    pub(super) fn count_answer(status: u16) {
        counter!("rmd_http_requests_total", "code" => status.to_string()).increment(1);
    }

    /// All of it as text, after a look at the server.
    pub(super) fn render(&self, look: &Look) -> String {
        of_server(&look.status);
        of_cluster(&look.members, look.is_ready);
        if let Some(health) = &look.health {
            of_machine(health);
        }
        of_process(&look.usage);
        self.0.run_upkeep();
        self.0.render()
    }
}

fn describe() {
    for metric in ALL {
        let unit = match metric.unit {
            "seconds" => Unit::Seconds,
            "bytes" => Unit::Bytes,
            _ => Unit::Count,
        };
        match metric.kind {
            Kind::Counter => describe_counter!(metric.name, unit, metric.help),
            Kind::Gauge => describe_gauge!(metric.name, unit, metric.help),
        }
    }
}

fn of_server(status: &StatusView) {
    let role = status::role(status.role);
    gauge!("rmd_info", "version" => status.software.clone(), "role" => role).set(1.0);
    set_seconds("rmd_uptime_seconds", status.uptime);
    set_seconds("rmd_lease_seconds", status.lease);
    set_seconds("rmd_grace_seconds", status.grace);
    gauge!("rmd_epoch").set(status.epoch);
    gauge!("rmd_view_epoch").set(status.view_epoch);
    gauge!("rmd_members").set(status.members);
    gauge!("rmd_sessions").set(status.sessions);
    for (name, value) in &status.counters {
        count(name, *value);
    }
}

/// One of the counters by which a node tells what it did, under the name that it has here. Whether it has one: what the
/// library records by itself is not recorded twice.
fn count(name: &str, value: u64) -> bool {
    match name {
        "evictions" => counter!("rmd_evictions_total").absolute(value),
        "idle_returns" => counter!("rmd_idle_returns_total").absolute(value),
        "unknown" => counter!("rmd_unknown_messages_total").absolute(value),
        "views_adopted" => counter!("rmd_views_adopted_total").absolute(value),
        "claims_confirmed" => counter!("rmd_claims_total", "result" => "confirmed").absolute(value),
        "claims_refused" => counter!("rmd_claims_total", "result" => "refused").absolute(value),
        other => {
            let decision = Decision::ALL.into_iter().find(|one| one.name() == other);
            let Some(decision) = decision else {
                return false;
            };
            counter!("rmd_policy_decisions_total", "decision" => decision.name()).absolute(value);
        }
    }
    true
}

fn of_cluster(members: &MembersView, is_ready: bool) {
    set_switch("rmd_ready", is_ready);
    for standing in [
        Standing::Active,
        Standing::Gathering,
        Standing::Suspended,
        Standing::Leaving,
        Standing::Outside,
    ] {
        let is_it = f64::from(u8::from(standing == members.standing));
        gauge!("rmd_standing", "standing" => status::standing(standing)).set(is_it);
    }
    set("rmd_reports_missing", members.missing.len() as u64);
    if let Some(good_for) = members.good_for {
        set_seconds("rmd_membership_seconds", good_for);
    }
    let coordinator = &members.coordinator;
    set_switch("rmd_coordinator_connected", coordinator.is_connected);
    set_seconds("rmd_coordinator_latency_seconds", coordinator.latency);
    set(
        "rmd_coordinator_warnings",
        coordinator.warnings.len() as u64,
    );
}

fn of_machine(health: &HealthView) {
    set("rmd_sessions_max", health.sessions_max.into());
    // A gauge is a float: good to a microsecond.
    set_seconds("rmd_clock_seconds", Duration::from_nanos(health.wall_nanos));
    set_switch("rmd_clock_counts_suspend", health.counts_suspend);
    set("process_open_fds", health.files);
    set("process_max_fds", health.files_max);
    if let Some(dir) = &health.data_dir {
        set("rmd_data_dir_free_bytes", dir.free_bytes);
        set_switch("rmd_data_dir_usable", dir.error.is_empty());
    }
}

fn of_process(usage: &Usage) {
    counter!("process_cpu_seconds_total").absolute(usage.cpu.as_secs());
    set("process_resident_memory_bytes", usage.resident_bytes);
    set("process_virtual_memory_bytes", usage.virtual_bytes);
    set("process_threads", usage.threads);
}

fn set(name: &'static str, value: u64) {
    #[expect(
        clippy::cast_precision_loss,
        reason = "a gauge is a float, here as at Prometheus"
    )]
    gauge!(name).set(value as f64);
}

fn set_seconds(name: &'static str, span: Duration) {
    gauge!(name).set(span.as_secs_f64());
}

fn set_switch(name: &'static str, is_on: bool) {
    gauge!(name).set(f64::from(u8::from(is_on)));
}

#[cfg(test)]
mod tests {
    use rm_core::inspect::{CoordinatorView, DataDirView};

    use super::*;

    fn look() -> Look {
        let node = crate::hub::Hub::new("n");
        let mut status = StatusView {
            software: "1.2.3".into(),
            uptime: Duration::from_millis(1_500),
            counters: crate::server::totals_by_name(&rm_core::front::Totals::default()),
            ..StatusView::default()
        };
        status.counters.extend(node.desk.counters());
        Look {
            status,
            members: MembersView {
                good_for: Some(Duration::from_secs(3)),
                coordinator: CoordinatorView::default(),
                ..MembersView::default()
            },
            health: Some(HealthView {
                data_dir: Some(DataDirView::default()),
                ..HealthView::default()
            }),
            usage: Usage::default(),
            is_ready: true,
        }
    }

    #[test]
    fn every_metric_is_there_with_its_meaning_and_no_other() {
        Metrics::count_answer(200);
        let metrics = Metrics::install();
        Metrics::count_answer(200);
        let text = metrics.render(&look());
        for metric in ALL {
            let kind = match metric.kind {
                Kind::Counter => "counter",
                Kind::Gauge => "gauge",
            };
            assert!(
                text.contains(&format!("# TYPE {} {kind}\n", metric.name)),
                "{}: {text}",
                metric.name
            );
            assert!(
                text.contains(&format!("# HELP {} {}", metric.name, metric.help)),
                "{}",
                metric.name
            );
        }
        let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
        for line in types {
            let name = line.split(' ').next().unwrap();
            let is_known = ALL.iter().any(|metric| metric.name == name);
            assert!(is_known || name.starts_with("rm_"), "{name}");
        }
        assert!(text.contains("rmd_uptime_seconds 1.5\n"), "{text}");
        assert!(
            text.contains("rmd_standing{standing=\"active\"} 1\n"),
            "{text}"
        );
    }

    #[test]
    fn each_counter_of_a_node_has_a_name_here_or_in_the_library() {
        const IN_THE_LIBRARY: [&str; 9] = [
            "resources",
            "holds",
            "waiting",
            "loans",
            "cached_acquires",
            "asked_acquires",
            "jeopardies",
            "recalls_sent",
            "recalls_received",
        ];
        for (name, value) in look().status.counters {
            let is_there = IN_THE_LIBRARY.contains(&&*name) || name.starts_with("lost_");
            assert!(count(&name, value) != is_there, "{name}");
        }
    }

    #[test]
    fn names_follow_the_conventions() {
        for metric in ALL {
            let is_total = metric.name.ends_with("_total");
            assert_eq!(is_total, metric.kind == Kind::Counter, "{}", metric.name);
            let has_unit = metric.unit.is_empty() || metric.name.ends_with(metric.unit);
            assert!(has_unit, "{}", metric.name);
        }
    }

    #[test]
    fn the_operators_guide_has_a_line_for_each() {
        let guide = include_str!("../../../docs/OPERATIONS.md");
        for metric in ALL {
            let kind = match metric.kind {
                Kind::Counter => "counter",
                Kind::Gauge => "gauge",
            };
            let start = format!("| `{}` | {kind} | {} |", metric.name, metric.help);
            assert!(guide.contains(&start), "docs/OPERATIONS.md lacks: {start}");
        }
    }
}
