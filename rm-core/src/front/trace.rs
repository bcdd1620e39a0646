//! What programs see of requests by way of `tracing`: a span around each that waits, and events of what goes on about a
//! resource. docs/OBSERVABILITY.md lists their fields.
//!
//! | target `rm::lock` | level | when |
//! |---|---|---|
//! | span `lock.acquire` | INFO | a request that is not served from the cache; TRACE: one that is, with `cached = true` |
//! | span `lock.convert` | INFO | a hold that asks to become something else, and does not at once |
//! | event `recall` | DEBUG | a recall is sent, or has come: somebody else needs what was lent |
//! | event `barrier` | DEBUG | somebody begins to wait for a hold of this node: younger requests wait behind it |
//! | event `lost` | WARN | holds of a resource were lost |
//!
//! **Cost.** Nothing of this is on the way through an open gate, on or off. While somebody listens at TRACE, requests
//! that come to the lock no longer open the gate, so that all are seen.
//!
//! **Locks.** A subscriber is foreign code, and so is a [`Source`]: both run while no lock is held. What happens under one is
//! put aside until after it (`Happened`); whether anybody may listen is read there from a static of `tracing`'s.
//!
//! **Cancellation.** The span of a request whose future is dropped ends there, with `outcome = "cancelled"`.

use core::time::Duration;
use std::sync::{Arc, OnceLock};

use thiserror::Error;
use tracing::field::{Empty, display};
use tracing::level_filters::{LevelFilter, STATIC_MAX_LEVEL};
use tracing::{Level, Span};

use super::acquire::AcquireError;
use super::ask::Ask;
use super::host::Host;
use super::observe::{Outcome, Subject};
use super::resource::Resource;
use crate::error::LostReason;
use crate::id::{Note, PeerId, ResourceKey};
use crate::resource::ResourceType;
use crate::trace::TraceContext;

/// The target of all spans and events here.
pub const TARGET: &str = "rm::lock";

/// Where requests get their trace context from that were given none.
///
/// It is asked once for each request that is not served from the cache, inside the request's own span.
pub trait Source: Send + Sync + 'static {
    /// The context of the present span, if there is one.
    fn current(&self) -> Option<TraceContext>;

    /// `span` waited for a holder in that other trace: whatever can link them does.
    fn link(&self, span: &Span, to: TraceContext) {
        let _ = (span, to);
    }
}

impl<F: Fn() -> Option<TraceContext> + Send + Sync + 'static> Source for F {
    fn current(&self) -> Option<TraceContext> {
        self()
    }
}

static SOURCE: OnceLock<Box<dyn Source>> = OnceLock::new();

/// There is one source for the whole process, and it was set before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the source of trace contexts is already set: set it once, at the start of the program")]
#[non_exhaustive]
pub struct AlreadySet;

/// Sets where requests get their trace context from. Once, at the start of the program; libraries leave that to it.
///
/// # Errors
/// [`AlreadySet`].
pub fn set_source(source: impl Source) -> Result<(), AlreadySet> {
    SOURCE.set(Box::new(source)).map_err(|_| AlreadySet)
}

/// Whether somebody wants to see what is served from the cache, too.
pub(super) fn sees_cached() -> bool {
    tracing::enabled!(target: TARGET, Level::TRACE)
}

/// Whether anybody may listen at `level`. Runs no foreign code.
pub(super) fn may_listen(level: Level) -> bool {
    level <= STATIC_MAX_LEVEL && level <= LevelFilter::current()
}

/// A request was served from the cache.
#[cold]
pub(super) fn on_cached<T: ResourceType>(resource: &Resource<T>, ask: &T::Level, fence: u64) {
    let mode = T::mode_name(ask, resource.capital());
    let key = resource.key();
    drop(tracing::trace_span!(
        target: TARGET, "lock.acquire", kind = T::NAME, resource = %key, mode, cached = true, fence,
        outcome = Outcome::Granted.name(),
    ));
}

/// A request that is not served from the cache, while it lasts.
///
/// There only where somebody listens or counts.
pub(super) struct Watched {
    span: Span,
    mode: &'static str,
}

impl Watched {
    /// A request begins; and in which trace it is.
    pub(super) fn acquire<T: ResourceType>(
        resource: &Resource<T>,
        ask: &Ask<T::Level>,
    ) -> (Option<Self>, Option<TraceContext>) {
        let mode = T::mode_name(&ask.level, resource.capital());
        let (key, label) = (resource.key(), ask.label());
        let span = tracing::info_span!(
            target: TARGET, "lock.acquire", kind = T::NAME, resource = %key, mode, label, cached = Empty,
            queue_pos = Empty, waited_us = Empty, fence = Empty, outcome = Empty, error = Empty, trace_id = Empty,
            blocked_by.node = Empty, blocked_by.label = Empty, blocked_by.trace_id = Empty,
            blocked_by.span_id = Empty,
        );
        let trace = ask.trace().or_else(|| {
            let source = SOURCE.get()?;
            span.in_scope(|| source.current())
        });
        if let Some(trace) = trace {
            span.record(
                "trace_id",
                display(format_args!("{:032x}", trace.trace_id())),
            );
        }
        (Self::new(resource, span, mode), trace)
    }

    /// A hold asks to become `to`.
    pub(super) fn convert<T: ResourceType>(resource: &Resource<T>, to: &T::Level) -> Option<Self> {
        let mode = T::mode_name(to, resource.capital());
        let key = resource.key();
        let span = tracing::info_span!(
            target: TARGET, "lock.convert", kind = T::NAME, resource = %key, mode, waited_us = Empty,
            fence = Empty, outcome = Empty, error = Empty, blocked_by.node = Empty, blocked_by.label = Empty,
            blocked_by.trace_id = Empty, blocked_by.span_id = Empty,
        );
        Self::new(resource, span, mode)
    }

    fn new<T: ResourceType>(
        resource: &Resource<T>,
        span: Span,
        mode: &'static str,
    ) -> Option<Self> {
        let is_watched = !span.is_disabled() || resource.shared().observer.is_some();
        is_watched.then_some(Self { span, mode })
    }

    /// It has to wait, behind so many older requests at this node.
    pub(super) fn on_waiting(&self, ahead: usize) {
        self.span.record("cached", false);
        self.span.record("queue_pos", ahead as u64);
    }

    /// It was granted out of the cache after all: counted there.
    pub(super) fn on_cached(self, fence: u64) {
        self.span.record("cached", true);
        self.span.record("fence", fence);
        self.span.record("outcome", Outcome::Granted.name());
    }

    /// It was granted, when `let_go` was the last to let go.
    pub(super) fn on_granted<T: ResourceType>(
        self,
        resource: &Resource<T>,
        waited: Duration,
        fence: u64,
        let_go: Option<&Note>,
    ) {
        self.span.record("fence", fence);
        if let Some(note) = let_go {
            self.blocked_by(&note.node, &note.label, note.trace());
        }
        self.end(resource, Outcome::Granted, waited);
    }

    /// It failed.
    pub(super) fn on_failed<T: ResourceType>(
        self,
        resource: &Resource<T>,
        waited: Duration,
        error: &AcquireError,
    ) {
        if !self.span.is_disabled() {
            self.span.record("error", display(error));
            if let Some(first) = error.holders().first() {
                self.blocked_by(&first.node, &first.label, first.trace);
            }
        }
        self.end(resource, Outcome::from(error), waited);
    }

    /// Its future was dropped.
    pub(super) fn on_cancelled<T: ResourceType>(self, resource: &Resource<T>, waited: Duration) {
        self.end(resource, Outcome::Cancelled, waited);
    }

    fn blocked_by(&self, node: &str, label: &str, trace: Option<TraceContext>) {
        self.span.record("blocked_by.node", node);
        self.span.record("blocked_by.label", label);
        let Some(trace) = trace else {
            return;
        };
        let ids = (trace.trace_id(), trace.span_id());
        self.span.record(
            "blocked_by.trace_id",
            display(format_args!("{:032x}", ids.0)),
        );
        self.span.record(
            "blocked_by.span_id",
            display(format_args!("{:016x}", ids.1)),
        );
        if let Some(source) = SOURCE.get() {
            source.link(&self.span, trace);
        }
    }

    fn end<T: ResourceType>(self, resource: &Resource<T>, outcome: Outcome, waited: Duration) {
        let micros = u64::try_from(waited.as_micros()).unwrap_or(u64::MAX);
        self.span.record("waited_us", micros);
        self.span.record("outcome", outcome.name());
        if let Some(observer) = &resource.shared().observer {
            let subject = Subject {
                type_name: T::NAME,
                mode: self.mode,
                key: resource.key(),
            };
            observer.on_request(subject, outcome, waited);
        }
    }
}

/// What happened under a resource's lock, to be told after it.
pub(super) enum Happened {
    /// A request begins to wait for a hold.
    Barrier {
        waiter: Option<Arc<Note>>,
        holder: Option<Arc<Note>>,
    },
    /// So many holds were lost.
    Lost(LostReason, u64),
    /// A recall was sent to a debtor, for so many requests, of which this is the oldest.
    Recall {
        to: PeerId,
        steps: usize,
        waiter: Option<Arc<Note>>,
    },
}

impl Happened {
    pub(super) fn tell(self, kind: &'static str, key: &ResourceKey, host: &dyn Host) {
        match self {
            Self::Barrier { waiter, holder } => {
                let (waiter, holder) = (Told::of(waiter.as_deref()), Told::of(holder.as_deref()));
                tracing::debug!(
                    target: TARGET, kind, resource = %key, waiter.node = waiter.node, waiter.label = waiter.label,
                    waiter.mode = waiter.mode, waiter.trace = waiter.trace, holder.label = holder.label,
                    holder.mode = holder.mode, holder.trace = holder.trace, "barrier"
                );
            }
            Self::Lost(why, holds) => {
                tracing::warn!(
                    target: TARGET, kind, resource = %key, reason = why.name(), holds, "lost: {why}"
                );
            }
            Self::Recall { to, steps, waiter } => {
                let waiter = Told::of(waiter.as_deref());
                tracing::debug!(
                    target: TARGET, kind, resource = %key, direction = "sent", peer = host.peer_name(to), steps,
                    waiter.node = waiter.node, waiter.label = waiter.label, waiter.mode = waiter.mode,
                    waiter.trace = waiter.trace, "recall"
                );
            }
        }
    }
}

/// A recall has come, for so many requests, of which this is the oldest.
pub(super) fn on_recall(
    kind: &'static str,
    key: &ResourceKey,
    peer: &str,
    (steps, waiter): (usize, Option<&Note>),
) {
    let waiter = Told::of(waiter);
    tracing::debug!(
        target: TARGET, kind, resource = %key, direction = "received", peer, steps, waiter.node = waiter.node,
        waiter.label = waiter.label, waiter.mode = waiter.mode, waiter.trace = waiter.trace, "recall"
    );
}

/// What somebody said of itself, as fields; empty ones are left out.
struct Told<'a> {
    node: Option<&'a str>,
    label: Option<&'a str>,
    mode: Option<&'a str>,
    trace: Option<String>,
}

impl<'a> Told<'a> {
    fn of(note: Option<&'a Note>) -> Self {
        let field = |of: fn(&Note) -> &str| note.map(of).filter(|text| !text.is_empty());
        Self {
            node: field(|note| &note.node),
            label: field(|note| &note.label),
            mode: field(|note| &note.mode),
            trace: note.and_then(Note::trace).map(|trace| trace.to_string()),
        }
    }
}
