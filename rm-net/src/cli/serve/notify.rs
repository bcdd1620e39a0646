//! What the service manager is told: ready, reloading, stopping; and that the server is alive, where it watches.
//!
//! It follows the protocol of `sd_notify`. Without a service manager all of it is silent.

use std::time::Duration;

use sd_notify::NotifyState;

/// The server lends, or will as soon as it may; its addresses can be connected to.
pub(super) fn ready(status: &str) {
    tell(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// The settings are read again. [`ready`] ends it.
pub(super) fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(error) => tracing::warn!(%error, "cannot tell the service manager of the reload"),
    }
}

/// It stops, and may take so long.
pub(super) fn stopping(within: Duration) {
    let within = u32::try_from(within.as_micros()).unwrap_or(u32::MAX);
    tell(&[
        NotifyState::Stopping,
        NotifyState::ExtendTimeoutUsec(within),
    ]);
}

/// It is alive.
pub(super) fn alive() {
    tell(&[NotifyState::Watchdog]);
}

/// How often the service manager wants to hear that it is alive; `None`: it does not.
pub(super) fn watched_every() -> Option<Duration> {
    // Twice as often as it asks for, so that one late turn is no death.
    sd_notify::watchdog_enabled().map(|every| every / 2)
}

fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::warn!(%error, "cannot tell the service manager");
    }
}
