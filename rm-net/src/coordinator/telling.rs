//! What operators are told of etcd: whether it can be reached, what went wrong, and what is known against it.
//!
//! Nothing is decided by it. Each endpoint is asked how it is once in [`CHECK_EVERY`], whatever it is used for.

use std::sync::Arc;
use std::time::Duration;

use rm_core::inspect::{CoordinatorView, WARNINGS_MAX};
use tokio::sync::watch;
use tokio::time::Instant;

use super::config::EtcdConfig;
use super::driver::EtcdCoordinator;
use super::state::State;
use crate::desk::Desk;

/// How often each endpoint is asked for its version, and how long it takes to answer.
const CHECK_EVERY: Duration = Duration::from_secs(60);

/// Keeps the desk informed until the node no longer follows its coordinator.
pub(crate) async fn tell(config: EtcdConfig, mut states: watch::Receiver<State>, desk: Arc<Desk>) {
    let mut view = CoordinatorView {
        kind: "etcd".into(),
        ..CoordinatorView::default()
    };
    let mut check_at = Instant::now();
    states.mark_changed();
    loop {
        tokio::select! {
            changed = states.changed() => {
                if changed.is_err() {
                    return;
                }
                let state = states.borrow_and_update();
                view.is_connected = state.connected;
                let problem = state.problem.as_ref();
                view.last_error = problem.map_or_else(String::new, ToString::to_string);
            }
            () = tokio::time::sleep_until(check_at) => {
                check(&config, &mut view).await;
                check_at = Instant::now() + CHECK_EVERY;
            }
        }
        desk.set_coordinator(view.clone());
    }
}

/// Asks each endpoint. The slowest and the oldest of them count.
async fn check(config: &EtcdConfig, view: &mut CoordinatorView) {
    view.warnings.clear();
    view.latency = Duration::ZERO;
    let mut versions = Vec::new();
    for (endpoint, health) in EtcdCoordinator::check(config).await {
        match health {
            Ok(health) => {
                view.latency = view.latency.max(health.latency);
                let warnings = health.warnings.iter();
                view.warnings
                    .extend(warnings.map(|warning| format!("{endpoint}: {warning}")));
                versions.push(health.version);
            }
            Err(error) => view.warnings.push(format!("{endpoint}: {error}")),
        }
    }
    versions.sort();
    versions.dedup();
    view.version = versions.join(", ");
    view.warnings.truncate(WARNINGS_MAX);
}
