//! How `rmd` ends in good order: a member hands over what it has, any other calls it home. A signal cuts that short.

use std::time::Duration;

use super::event::Event;
use crate::Node;
use crate::cli::signals::Signals;

/// Hands over what the others are to be the roots of from now on, until the time is over or another signal comes.
pub(super) async fn hand_over(node: &Node, within: Duration, signals: &mut Signals) {
    if within.is_zero() {
        return;
    }
    let relieved = tokio::select! {
        relieved = node.drain(within) => relieved,
        _ = signals.next() => return,
    };
    if !relieved {
        tracing::warn!(
            "the others have not taken everything over in time: what they do not know of has to wait for leases"
        );
    }
}

/// Calls everything home before the server stops, until the time is over or another signal comes. Returns what was
/// not back by then.
pub(super) async fn drain(node: &Node, within: Duration, signals: &mut Signals) -> Vec<Event> {
    if within.is_zero() {
        return Vec::new();
    }
    let report = tokio::select! {
        report = node.wind_up(within) => report,
        _ = signals.next() => return Vec::new(),
    };
    let mut events: Vec<_> = report.in_the_way.into_iter().map(Event::from).collect();
    if report.omitted > 0 {
        events.push(Event::MoreInTheWay {
            count: report.omitted,
        });
    }
    events
}
