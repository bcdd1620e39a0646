//! The log of `rmd`: to standard error, as text or as JSON, and what is in it can be changed while the server runs.
//!
//! **Invariant.** What operators ordered (`rm::audit`) is in it, whatever the filter says.

use std::env;
use std::fmt::{self, Formatter};
use std::io::{IsTerminal as _, stderr};
use std::sync::{Mutex, PoisonError};

use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _, Registry, reload};

use crate::cli::args::LogFormat;
use crate::cli::exit::{Exit, Failure};

/// Commands of operators are always logged.
const AUDIT: &str = "rm::audit=warn";
/// A longer filter is no filter.
const FILTER_BYTES_MAX: usize = 1_024;

/// The log of this process.
pub(crate) struct Logs {
    /// What is in force, as it was given. Held while it changes, so that both say the same.
    filter: Mutex<String>,
    handle: reload::Handle<EnvFilter, Registry>,
}

impl Logs {
    /// Logs from here on.
    ///
    /// # Errors
    /// Where the filter is none, or this process logs already.
    pub(crate) fn start(filter: &str, format: LogFormat) -> Result<Self, Failure> {
        let (layer, handle) = reload::Layer::new(parse(filter)?);
        let colours = stderr().is_terminal() && env::var_os("NO_COLOR").is_none();
        let lines = tracing_subscriber::fmt::layer().with_writer(stderr);
        let lines = match format {
            LogFormat::Text => lines.with_ansi(colours).boxed(),
            LogFormat::Json => lines.json().flatten_event(true).boxed(),
        };
        let started = tracing_subscriber::registry().with(layer).with(lines);
        started
            .try_init()
            .map_err(|error| Failure::new(Exit::SYSTEM, format_args!("cannot log: {error}")))?;
        Ok(Self {
            filter: Mutex::new(filter.into()),
            handle,
        })
    }

    /// What is logged, as it was given.
    pub(crate) fn filter(&self) -> String {
        let filter = self.filter.lock();
        filter.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Logs that from now on.
    ///
    /// # Errors
    /// Where it is no filter: then nothing changes.
    pub(crate) fn change(&self, filter: &str) -> Result<(), Failure> {
        let parsed = parse(filter)?;
        let mut present = self.filter.lock().unwrap_or_else(PoisonError::into_inner);
        self.handle
            .reload(parsed)
            .map_err(|error| Failure::new(Exit::SYSTEM, format_args!("cannot log: {error}")))?;
        *present = filter.into();
        Ok(())
    }
}

impl fmt::Debug for Logs {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Logs").field(&self.filter()).finish()
    }
}

/// What a filter says, and that commands are logged.
pub(super) fn parse(filter: &str) -> Result<EnvFilter, Failure> {
    let unusable = |why: &dyn fmt::Display| {
        let error = format_args!("the log filter '{filter}' cannot be used: {why}");
        Failure::new(Exit::CONFIG, error)
            .hint("give --log or RUST_LOG such as info, rm_net=debug, or off")
    };
    if filter.len() > FILTER_BYTES_MAX {
        let error = format_args!(
            "the log filter has {} bytes: at most {FILTER_BYTES_MAX}",
            filter.len()
        );
        return Err(Failure::new(Exit::CONFIG, error).hint("name fewer targets"));
    }
    // Without regular expressions: values are compared as they are.
    let parsed = EnvFilter::builder().with_regex(false).parse(filter);
    let audit = AUDIT.parse().expect("it is a filter");
    parsed
        .map(|parsed| parsed.add_directive(audit))
        .map_err(|why| unusable(&why))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_of_operators_are_logged_whatever_the_filter_says() {
        for filter in ["off", "error", "rm_net=debug"] {
            let filter = parse(filter).unwrap().to_string();
            assert!(filter.contains(AUDIT), "{filter}");
        }
    }

    #[test]
    fn what_is_no_filter_is_refused_with_what_to_do() {
        for bad in ["rm_net=loud", &"x".repeat(FILTER_BYTES_MAX + 1)] {
            let failure = parse(bad).unwrap_err();
            assert_eq!(failure.exit, Exit::CONFIG);
            assert!(failure.hint.is_some());
        }
    }
}
