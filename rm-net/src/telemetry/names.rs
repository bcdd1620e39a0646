//! The names of all metrics, with what they mean: the one place where they are written.
//!
//! Names and units follow Prometheus' conventions: seconds, counters that end in `_total`. The labels are few and their values
//! come from short lists (a resource type's name, its modes, outcomes, reasons). **The name of a resource is never a label**:
//! there may be millions, and each would be a time series of its own.

/// One metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Metric {
    /// What it is called.
    pub name: &'static str,
    /// How its values behave.
    pub kind: Kind,
    /// The labels that it has, always all of them.
    pub labels: &'static [&'static str],
    /// What it counts, for people.
    pub help: &'static str,
}

/// How the values of a metric behave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// It only rises.
    Counter,
    /// It is what it is at the moment.
    Gauge,
    /// Spans, in seconds.
    Histogram,
}

/// The label of a resource type's name, such as `rw-lock`.
pub const TYPE: &str = "type";
/// The label of a mode as its type calls it, such as `read`.
pub const MODE: &str = "mode";
/// The label of what became of a request: see [`Outcome::name`](rm_core::front::Outcome::name).
pub const OUTCOME: &str = "outcome";
/// The label of why a hold was lost: see [`LostReason::name`](rm_core::error::LostReason::name).
pub const REASON: &str = "reason";

/// How long requests waited that were granted.
pub const WAIT_SECONDS: Metric = Metric {
    name: "rm_lock_wait_seconds",
    kind: Kind::Histogram,
    labels: &[TYPE, MODE],
    help: "How long requests waited that were granted and not served from the cache; conversions of guards, such as an upgrade, are requests here",
};

/// How long holds lasted.
pub const HOLD_SECONDS: Metric = Metric {
    name: "rm_lock_hold_seconds",
    kind: Kind::Histogram,
    labels: &[TYPE, MODE],
    help: "How long holds lasted that were released; without those that came and left by the gate",
};

/// Requests that were not served from the cache, by what became of them.
pub const REQUESTS_TOTAL: Metric = Metric {
    name: "rm_lock_requests_total",
    kind: Kind::Counter,
    labels: &[TYPE, MODE, OUTCOME],
    help: "Requests that were not served from the cache, by what became of them; conversions among them",
};

/// Requests that were served from the cache.
pub const CACHED_TOTAL: Metric = Metric {
    name: "rm_lock_cached_acquires_total",
    kind: Kind::Counter,
    labels: &[TYPE],
    help: "Requests that were served from the cache, without a message or a wait",
};

/// Recalls that were sent.
pub const RECALLS_SENT_TOTAL: Metric = Metric {
    name: "rm_recalls_sent_total",
    kind: Kind::Counter,
    labels: &[],
    help: "Recalls that were sent to debtors: somebody else needs what they were lent",
};

/// Recalls that came.
pub const RECALLS_RECEIVED_TOTAL: Metric = Metric {
    name: "rm_recalls_received_total",
    kind: Kind::Counter,
    labels: &[],
    help: "Recalls that came from creditors: somebody else needs what was borrowed",
};

/// Holds that were lost.
pub const LOST_TOTAL: Metric = Metric {
    name: "rm_lock_lost_total",
    kind: Kind::Counter,
    labels: &[REASON],
    help: "Holds that were lost before they were released",
};

/// Leases in jeopardy.
pub const JEOPARDIES_TOTAL: Metric = Metric {
    name: "rm_lease_jeopardies_total",
    kind: Kind::Counter,
    labels: &[],
    help: "How often the lease of what is borrowed was about to end without an answer",
};

/// The age of the oldest hold.
pub const OLDEST_HOLD_SECONDS: Metric = Metric {
    name: "rm_lock_oldest_hold_seconds",
    kind: Kind::Gauge,
    labels: &[TYPE],
    help: "The age of the oldest hold of this process; 0 where there is none",
};

/// The age of the oldest request that waits.
pub const OLDEST_WAIT_SECONDS: Metric = Metric {
    name: "rm_lock_oldest_wait_seconds",
    kind: Kind::Gauge,
    labels: &[TYPE],
    help: "How long the oldest request has waited that waits here; 0 where none does",
};

/// Holds.
pub const HOLDS: Metric = Metric {
    name: "rm_lock_holds",
    kind: Kind::Gauge,
    labels: &[TYPE],
    help: "Guards that hold in this process",
};

/// Requests that wait.
pub const WAITING: Metric = Metric {
    name: "rm_lock_waiting",
    kind: Kind::Gauge,
    labels: &[TYPE],
    help: "Requests that wait here, those of debtors included",
};

/// Resources.
pub const RESOURCES: Metric = Metric {
    name: "rm_resources",
    kind: Kind::Gauge,
    labels: &[TYPE],
    help: "Resources with any state here",
};

/// Loans.
pub const LOANS: Metric = Metric {
    name: "rm_loans",
    kind: Kind::Gauge,
    labels: &[TYPE],
    help: "Loans to debtors",
};

/// Sessions.
pub const SESSIONS: Metric = Metric {
    name: "rm_sessions",
    kind: Kind::Gauge,
    labels: &[],
    help: "Sessions with creditors and debtors",
};

/// All of them.
pub const ALL: [Metric; 15] = [
    WAIT_SECONDS,
    HOLD_SECONDS,
    REQUESTS_TOTAL,
    CACHED_TOTAL,
    RECALLS_SENT_TOTAL,
    RECALLS_RECEIVED_TOTAL,
    LOST_TOTAL,
    JEOPARDIES_TOTAL,
    OLDEST_HOLD_SECONDS,
    OLDEST_WAIT_SECONDS,
    HOLDS,
    WAITING,
    RESOURCES,
    LOANS,
    SESSIONS,
];

/// Where the buckets of histograms may end, in seconds: from a request that another thread held up for a moment to one that
/// is stuck. For recorders that need to be told.
pub const BUCKETS_SECONDS: [f64; 14] = [
    0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 10.0,
    60.0,
];
