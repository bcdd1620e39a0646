//! Somebody who watches: what observing costs where it is on.
//!
//! A subscriber and an observer that do as little as they can: what is counted is what the lock does for them. It listens in
//! the whole process, so the lock that is watched runs in one of its own.

use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;
use std::sync::Arc;

use rm_core::front::{Observer, Outcome, Subject};
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

/// Counts requests and releases.
#[derive(Debug, Default)]
pub(crate) struct Counts(AtomicU64);

impl Counts {
    /// From here on a subscriber listens at INFO, too.
    pub(crate) fn listen() -> Arc<Self> {
        // Where the name is only looked up, one does already.
        let _ = tracing::subscriber::set_global_default(Listener);
        Arc::default()
    }
}

impl Observer for Counts {
    fn on_request(&self, _: Subject<'_>, _: Outcome, _: Duration) {
        // Relaxed: nobody reads it.
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn on_release(&self, _: Subject<'_>, _: Duration) {
        // Relaxed: nobody reads it.
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

struct Listener;

impl Subscriber for Listener {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= LevelFilter::INFO
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::INFO)
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, _: &Event<'_>) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}
