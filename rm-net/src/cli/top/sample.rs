//! What `rmctl top` shows: the servers, the locks of which credit moves most, the requests that have waited longest.
//!
//! Servers count since their start; the rates are differences between two looks. A lock that came into a server's sketch
//! between the two has no rate yet.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use rm_core::id::{ResourceKey, TypeId};
use rm_core::inspect::{HotResource, LongWait, StatusView, TOP_MAX, TopView};
use schemars::JsonSchema;
use serde::Serialize;

use crate::cli::args::Sort;
use crate::cli::exit::Failure;
use crate::cli::output::{Output, hex, millis, readable};
use crate::cli::servers::Servers;
use crate::cli::status::standing;

/// What `top` prints.
#[derive(Clone, Debug, Default, JsonSchema, Serialize)]
pub(in crate::cli) struct TopLine {
    /// The time that rates are of.
    pub(super) interval_ms: u64,
    /// Each server.
    pub(super) servers: Vec<ServerLine>,
    /// The locks of which credit moved most, in the order that was asked for.
    pub(super) locks: Vec<HotLine>,
    /// The requests that have waited longest.
    pub(super) waits: Vec<WaitLine>,
    /// How many more wait.
    pub(super) omitted: u64,
}

/// One server.
#[derive(Clone, Debug, JsonSchema, Serialize)]
pub(super) struct ServerLine {
    /// The server, by its name.
    pub(super) node: String,
    /// `active`, `gathering`, `suspended`, `leaving` or `outside`.
    pub(super) standing: &'static str,
    /// Sessions with clients and other members.
    pub(super) sessions: u32,
    /// Resources with any state.
    pub(super) resources: u64,
    /// Requests that wait there.
    pub(super) waiting: u64,
    /// Grants and recalls a second.
    pub(super) moves_per_s: f64,
    /// Of the requests of the server's own process, how many in a hundred its cache served; null: it makes none.
    pub(super) hit_percent: Option<u64>,
}

/// One lock.
#[derive(Clone, Debug, JsonSchema, Serialize)]
pub(super) struct HotLine {
    /// The name, readable: bytes that are no text as `\xNN`.
    pub(super) name: String,
    /// The name exactly: its bytes in hexadecimal.
    pub(super) name_hex: String,
    /// The type, such as `rw-lock`.
    pub(super) r#type: String,
    /// The server that lends it.
    pub(super) server: String,
    /// Grants to nodes since the server counts it.
    pub(super) grants: u64,
    /// Recalls since then.
    pub(super) recalls: u64,
    /// How many of both there may have been before.
    pub(super) uncertain: u64,
    /// Grants a second.
    pub(super) grants_per_s: f64,
    /// Recalls a second.
    pub(super) recalls_per_s: f64,
}

/// One request.
#[derive(Clone, Debug, JsonSchema, Serialize)]
pub(super) struct WaitLine {
    /// The name of the lock, readable.
    pub(super) name: String,
    /// The name exactly: its bytes in hexadecimal.
    pub(super) name_hex: String,
    /// The type, such as `rw-lock`.
    pub(super) r#type: String,
    /// The node that waits.
    pub(super) node: String,
    /// The debtor through which it came; empty: it has a session with the server itself.
    pub(super) via: String,
    /// What it asks for, such as `write`.
    pub(super) mode: String,
    /// What the request called itself; empty if nothing.
    pub(super) label: String,
    /// How long it has waited.
    pub(super) waited_ms: u64,
}

/// Looks again and again.
#[derive(Debug)]
pub(super) struct Sampler {
    endpoints: Vec<String>,
    output: Output,
    pub(super) prefix: Vec<u8>,
    pub(super) sort: Sort,
    servers: Option<Servers>,
    before: Option<Before>,
}

type Counted = (String, TypeId, ResourceKey);

/// What was counted at the last look.
#[derive(Debug)]
struct Before {
    at: Instant,
    locks: HashMap<Counted, (u64, u64)>,
    moves: HashMap<String, u64>,
}

impl Sampler {
    pub(super) const fn new(
        endpoints: Vec<String>,
        output: Output,
        prefix: Vec<u8>,
        sort: Sort,
    ) -> Self {
        Self {
            endpoints,
            output,
            prefix,
            sort,
            servers: None,
            before: None,
        }
    }

    /// The same without notices.
    #[cfg(feature = "top")]
    pub(super) fn quiet(self) -> Self {
        Self {
            output: self.output.quiet(),
            ..self
        }
    }

    /// How it is at this moment, with rates since the last look.
    pub(super) async fn sample(&mut self) -> Result<TopLine, Failure> {
        let mut servers = self.servers().await?;
        let statuses = servers.statuses().await?;
        // All names, so that what servers count in all is known; the prefix is for the view.
        let views = servers.top(b"", TOP_MAX).await?;
        self.servers = Some(servers);
        if views.is_empty() {
            return Err(crate::cli::contact::not_understood());
        }
        Ok(self.line(&statuses, views))
    }

    /// Connections to all servers: those of before, if they are still the right ones.
    pub(super) async fn servers(&mut self) -> Result<Servers, Failure> {
        if let Some(mut servers) = self.servers.take()
            && servers.is_stale().await.is_ok_and(|is_stale| !is_stale)
        {
            return Ok(servers);
        }
        Servers::open(&self.endpoints, self.output).await
    }

    /// They are still good.
    pub(super) fn keep(&mut self, servers: Servers) {
        self.servers = Some(servers);
    }

    pub(super) async fn close(self) {
        if let Some(servers) = self.servers {
            servers.close().await;
        }
    }

    fn line(&mut self, statuses: &[StatusView], views: Vec<TopView>) -> TopLine {
        let now = Instant::now();
        let before = self.before.take();
        let span = before.as_ref().map(|before| now - before.at);
        let rates = Rates { span };
        let mut next = Before {
            at: now,
            locks: HashMap::new(),
            moves: HashMap::new(),
        };
        let mut line = TopLine {
            interval_ms: millis(span.unwrap_or_default()),
            ..TopLine::default()
        };
        for view in views {
            // What servers say is added up without overflow, whatever it is.
            let moves = view.hot.iter().fold(0_u64, |sum, hot| {
                let of = [hot.grants, hot.recalls, hot.uncertain];
                of.into_iter().fold(sum, u64::saturating_add)
            });
            next.moves.insert(view.node.clone(), moves);
            line.omitted = line.omitted.saturating_add(view.omitted);
            for hot in view.hot {
                let of = (view.node.clone(), hot.type_id, hot.key.clone());
                let was = before.as_ref().and_then(|before| before.locks.get(&of));
                next.locks.insert(of, (hot.grants, hot.recalls));
                if hot.key.as_bytes().starts_with(&self.prefix) {
                    line.locks.push(HotLine::new(hot, &view.node, was, rates));
                }
            }
            let waits = view.waits.into_iter();
            let waits = waits.filter(|wait| wait.key.as_bytes().starts_with(&self.prefix));
            line.waits.extend(waits.map(WaitLine::from));
        }
        line.waits
            .sort_by_key(|wait| std::cmp::Reverse(wait.waited_ms));
        line.sort(self.sort);
        line.servers = statuses
            .iter()
            .map(|status| {
                let was = before.as_ref().and_then(|b| b.moves.get(&status.name));
                let is = next.moves.get(&status.name).copied().unwrap_or(0);
                ServerLine::new(status, rates.of(was.copied(), is))
            })
            .collect();
        self.before = Some(next);
        line
    }
}

impl TopLine {
    /// Puts the locks in that order.
    pub(super) fn sort(&mut self, sort: Sort) {
        // What moved lately first; then what moved ever.
        let by = |a: (f64, u64), b: (f64, u64)| b.0.total_cmp(&a.0).then(b.1.cmp(&a.1));
        self.locks.sort_by(|a, b| match sort {
            Sort::Moves => by(
                (
                    a.grants_per_s + a.recalls_per_s,
                    a.grants.saturating_add(a.recalls),
                ),
                (
                    b.grants_per_s + b.recalls_per_s,
                    b.grants.saturating_add(b.recalls),
                ),
            ),
            Sort::Recalls => by((a.recalls_per_s, a.recalls), (b.recalls_per_s, b.recalls)),
            Sort::Name => a.name.cmp(&b.name),
        });
    }
}

/// Counts as rates.
#[derive(Clone, Copy)]
struct Rates {
    span: Option<Duration>,
}

impl Rates {
    /// In tenths; 0 where it was not counted before, or is counted anew.
    fn of(self, was: Option<u64>, is: u64) -> f64 {
        match (self.span, was) {
            (Some(span), Some(was)) if !span.is_zero() && is >= was => {
                (10.0 * (is - was) as f64 / span.as_secs_f64()).round() / 10.0
            }
            _ => 0.0,
        }
    }
}

impl HotLine {
    fn new(hot: HotResource, server: &str, was: Option<&(u64, u64)>, rates: Rates) -> Self {
        Self {
            name: readable(hot.key.as_bytes()),
            name_hex: hex(hot.key.as_bytes()),
            r#type: hot.type_name,
            server: server.into(),
            grants: hot.grants,
            recalls: hot.recalls,
            uncertain: hot.uncertain,
            grants_per_s: rates.of(was.map(|was| was.0), hot.grants),
            recalls_per_s: rates.of(was.map(|was| was.1), hot.recalls),
        }
    }
}

impl From<LongWait> for WaitLine {
    fn from(wait: LongWait) -> Self {
        Self {
            name: readable(wait.key.as_bytes()),
            name_hex: hex(wait.key.as_bytes()),
            r#type: wait.type_name,
            node: wait.node,
            via: wait.via,
            mode: wait.mode,
            label: wait.label,
            waited_ms: millis(wait.age),
        }
    }
}

impl ServerLine {
    fn new(status: &StatusView, moves_per_s: f64) -> Self {
        let counter = |name: &str| {
            let mut counters = status.counters.iter();
            counters
                .find(|(of, _)| of == name)
                .map_or(0, |(_, count)| *count)
        };
        let cached = counter("cached_acquires");
        let all = cached.saturating_add(counter("asked_acquires"));
        Self {
            node: status.name.clone(),
            standing: standing(status.standing),
            sessions: status.sessions,
            resources: status.resources,
            waiting: counter("waiting"),
            moves_per_s,
            hit_percent: cached.saturating_mul(100).checked_div(all),
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::cli::top) fn line() -> TopLine {
        let lock = |name: &str, grants_per_s, recalls_per_s| HotLine {
            name: name.into(),
            name_hex: String::new(),
            r#type: "rw-lock".into(),
            server: "n1".into(),
            grants: 100,
            recalls: 50,
            uncertain: 0,
            grants_per_s,
            recalls_per_s,
        };
        let wait = WaitLine {
            name: "volumes/42".into(),
            name_hex: String::new(),
            r#type: "rw-lock".into(),
            node: "web-1".into(),
            via: String::new(),
            mode: "write".into(),
            label: "resize job 7".into(),
            waited_ms: 12_000,
        };
        TopLine {
            interval_ms: 1_000,
            servers: vec![ServerLine {
                node: "n1".into(),
                standing: "active",
                sessions: 3,
                resources: 2,
                waiting: 1,
                moves_per_s: 9.0,
                hit_percent: None,
            }],
            locks: vec![lock("b", 1.0, 5.0), lock("volumes/42", 8.0, 1.0)],
            waits: vec![wait],
            omitted: 0,
        }
    }

    #[test]
    fn locks_stand_in_the_order_that_was_asked_for() {
        let mut top = line();
        let first = |top: &TopLine| top.locks[0].name.clone();
        top.sort(Sort::Moves);
        assert_eq!(first(&top), "volumes/42");
        top.sort(Sort::Recalls);
        assert_eq!(first(&top), "b");
        top.sort(Sort::Moves);
        top.sort(Sort::Name);
        assert_eq!(first(&top), "b");
    }

    #[test]
    fn whatever_servers_count_is_added_up() {
        let hot = HotResource {
            type_id: TypeId(1),
            type_name: "rw-lock".into(),
            key: ResourceKey::new(b"x").expect("a name"),
            grants: u64::MAX,
            recalls: u64::MAX,
            uncertain: u64::MAX,
        };
        let view = TopView {
            node: "hostile".into(),
            hot: vec![hot.clone(), hot],
            omitted: u64::MAX,
            ..TopView::default()
        };
        let status = StatusView {
            name: "hostile".into(),
            counters: ["cached_acquires", "asked_acquires"]
                .map(|name| (name.into(), u64::MAX))
                .into(),
            ..StatusView::default()
        };
        let output = Output::new(false);
        let mut sampler = Sampler::new(Vec::new(), output, Vec::new(), Sort::Moves);
        let line = sampler.line(&[status], vec![view.clone(), view]);
        assert_eq!(line.omitted, u64::MAX);
        assert_eq!(line.servers[0].hit_percent, Some(1));
    }

    #[test]
    fn what_is_counted_anew_has_no_rate() {
        let rates = Rates {
            span: Some(Duration::from_secs(2)),
        };
        assert_eq!(rates.of(Some(10), 15), 2.5);
        assert_eq!(rates.of(Some(10), 3), 0.0);
        assert_eq!(rates.of(None, 3), 0.0);
    }
}
