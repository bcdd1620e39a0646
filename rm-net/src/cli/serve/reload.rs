//! SIGHUP: the settings are read again. What can change while the server runs does; of the rest it is logged that it
//! takes a restart. Settings that cannot be used change nothing.

use std::convert::Infallible;
use std::ffi::OsString;

use super::logs::Logs;
use super::notify;
use super::plan::Plan;
use super::settings::{Refused, Settings};
use crate::cli::args::in_one_line;
use crate::cli::exit::{Exit, Failure};
use crate::cli::signals::Signals;

/// Reads the settings again at each signal, for as long as it is polled. Cancel safe.
pub(super) async fn at_signals(
    hangups: &mut Signals,
    argv: &[OsString],
    settings: &mut Settings,
    logs: &Logs,
    status: &str,
) -> Infallible {
    loop {
        hangups.next().await;
        notify::reloading();
        match again(argv, settings, logs) {
            Ok(newer) => *settings = newer,
            Err(failure) => {
                let hint = failure.hint.as_deref().unwrap_or_default();
                tracing::error!(error = %failure.error, hint, "settings are as before");
            }
        }
        notify::ready(status);
    }
}

/// Takes over what can be taken over.
fn again(argv: &[OsString], settings: &Settings, logs: &Logs) -> Result<Settings, Failure> {
    let newer = Settings::load(argv).map_err(|refused| match refused {
        Refused::Config(failure) => failure,
        Refused::Usage(error) => Failure::new(Exit::USAGE, in_one_line(&error)),
    })?;
    // Also what takes a restart is to make sense, or the restart would fail.
    Plan::of(&newer.args)?;
    if newer.args.log != settings.args.log {
        logs.change(&newer.args.log)?;
    }
    let mut changes = 0;
    for told in settings.changed(&newer) {
        changes += 1;
        let value = told.value.as_deref().unwrap_or("unset");
        if told.is_live() {
            tracing::info!(key = told.key, value, source = %told.source, "changed");
        } else {
            tracing::warn!(key = told.key, value, source = %told.source, "changes at the next start");
        }
    }
    tracing::info!(changes, "settings read again");
    Ok(newer)
}
