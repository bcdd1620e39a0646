//! SIGHUP: the settings are read again. What can change while the server runs does; of the rest it is logged that it
//! takes a restart. Settings that cannot be used change nothing.

use std::convert::Infallible;
use std::ffi::OsString;
use std::sync::Arc;

use super::logs::Logs;
use super::notify;
use super::plan::Plan;
use super::settings::{Refused, Settings};
use crate::Node;
use crate::cli::args::in_one_line;
use crate::cli::exit::{Exit, Failure};
use crate::cli::signals::Signals;
use crate::transport::Transport;
use crate::types::Types;

/// What a reload needs.
pub(super) struct Reload<'a> {
    pub(super) argv: Vec<OsString>,
    pub(super) logs: Arc<Logs>,
    /// What the node uses: certificates are exchanged in it.
    pub(super) transport: Transport,
    /// What goes by the rules.
    pub(super) node: &'a Node,
    /// What rules can name.
    pub(super) types: Types,
    /// What the service manager is told afterwards.
    pub(super) status: String,
}

impl Reload<'_> {
    /// Reads the settings again at each signal, for as long as it is polled. Cancel safe.
    pub(super) async fn at_signals(
        &self,
        hangups: &mut Signals,
        settings: &mut Settings,
    ) -> Infallible {
        loop {
            hangups.next().await;
            notify::reloading();
            match self.again(settings).await {
                Ok(newer) => *settings = newer,
                Err(failure) => {
                    let hint = failure.hint.as_deref().unwrap_or_default();
                    tracing::error!(error = %failure.error, hint, "settings are as before");
                }
            }
            notify::ready(&self.status);
        }
    }

    /// Takes over what can be taken over. All of it is looked at before any of it is.
    async fn again(&self, settings: &Settings) -> Result<Settings, Failure> {
        let newer = Settings::load(&self.argv).map_err(|refused| match refused {
            Refused::Config(failure) => failure,
            Refused::Usage(error) => Failure::new(Exit::USAGE, in_one_line(&error)),
        })?;
        // Also what takes a restart is to make sense, or the restart would fail.
        let plan = Plan::of(&newer.args, &self.types)?;
        // Files that settings name may say something else now, though the settings do not.
        #[cfg(feature = "tls")]
        if let Some(tls) = self.transport.tls_config() {
            tls.reload()
                .map_err(|error| Failure::new(Exit::CONFIG, error))?;
        }
        if plan.rules.is_open() && self.node.has_rules() {
            // A line that got lost must not open everything to everybody.
            tracing::warn!(
                key = "rules",
                "no rules are named any more: those from before stay in force until the next start"
            );
        } else {
            let node = self.node.clone();
            // It looks at every resource, and signals are heard meanwhile.
            let enforced = tokio::task::spawn_blocking(move || node.set_rules(plan.rules)).await;
            enforced.map_err(|error| Failure::new(Exit::SYSTEM, error.to_string()))?;
        }
        if newer.args.log != settings.args.log {
            self.logs.change(&newer.args.log)?;
        }
        tell(settings, &newer);
        Ok(newer)
    }
}

/// Logs what has changed, and what of it takes a restart.
fn tell(settings: &Settings, newer: &Settings) {
    let mut changes = 0;
    for told in settings.changed(newer) {
        changes += 1;
        let value = told.value.as_deref().unwrap_or("unset");
        if told.is_live() {
            tracing::info!(key = told.key, value, source = %told.source, "changed");
        } else {
            tracing::warn!(key = told.key, value, source = %told.source, "changes at the next start");
        }
    }
    tracing::info!(changes, "settings read again");
}
