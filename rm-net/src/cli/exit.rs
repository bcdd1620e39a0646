//! Exit codes, and failures as sentences that say what to do.
//!
//! The codes are those of `sysexits.h`, which `flock` uses too, and the shell's for commands.

use std::fmt;
use std::io;
use std::process::ExitCode;

use rm_core::session::packet::RefuseCode;
use rm_rwlock::AcquireError;

use crate::error::{ConnectError, InspectError, StartError};

/// How a program ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Exit(pub(crate) u8);

impl Exit {
    /// All went well.
    pub(crate) const OK: Self = Self(0);
    /// The check failed: the demonstration saw a violation.
    pub(crate) const VIOLATED: Self = Self(1);
    /// It was not done, or not whole: somebody was in the way.
    pub(crate) const NOT_DONE: Self = Self(1);
    /// The arguments make no sense.
    pub(crate) const USAGE: Self = Self(64);
    /// The system refused something: a port, a process, a terminal.
    pub(crate) const SYSTEM: Self = Self(71);
    /// The data directory cannot be used.
    pub(crate) const DATA_DIR: Self = Self(73);
    /// No server, or none that can serve now. Trying again later may help.
    pub(crate) const UNAVAILABLE: Self = Self(75);
    /// The server speaks another protocol. Trying again does not help.
    pub(crate) const PROTOCOL: Self = Self(76);
    /// Not allowed.
    pub(crate) const DENIED: Self = Self(77);
    /// The configuration cannot be used.
    pub(crate) const CONFIG: Self = Self(78);
    /// The lock was lost, or was about to be, while the command ran.
    pub(crate) const LOST: Self = Self(113);
    /// The command was found and could not be run.
    pub(crate) const NOT_EXECUTABLE: Self = Self(126);
    /// The command was not found.
    pub(crate) const NOT_FOUND: Self = Self(127);

    /// Ended by a signal, as shells report it: 128 + n.
    pub(crate) fn signalled(signal: i32) -> Self {
        Self(u8::try_from(signal).map_or(u8::MAX, |signal| 128_u8.saturating_add(signal)))
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.0)
    }
}

/// Why a command failed: what happened, what to do about it, and the exit code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) exit: Exit,
    pub(crate) error: String,
    pub(crate) hint: Option<String>,
}

impl Failure {
    pub(crate) fn new(exit: Exit, error: impl fmt::Display) -> Self {
        Self {
            exit,
            error: error.to_string(),
            hint: None,
        }
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The system refused something.
    pub(crate) fn system(what: &str, error: &io::Error) -> Self {
        Self::new(Exit::SYSTEM, format_args!("{what}: {error}"))
    }

    /// The lock named `name` was not had; `conflict` is the code for a lock that others have.
    pub(crate) fn acquire(name: &str, error: &AcquireError, conflict: Exit) -> Self {
        let of_lock = |exit| Self::new(exit, format_args!("lock '{name}': {error}"));
        match error {
            AcquireError::BadName(_) => of_lock(Exit::USAGE),
            AcquireError::Busy { .. }
            | AcquireError::Timeout { .. }
            | AcquireError::WouldDeadlock { .. } => of_lock(conflict).hint(
                "'rmctl show' with the lock's name tells who holds it and who waits; \
                     'rmctl status', whether the server has just started and lends nothing yet",
            ),
            AcquireError::NotAllowed { .. } => of_lock(Exit::DENIED).hint(
                "ask whoever runs the server for a rule that allows it, or use another certificate or user",
            ),
            AcquireError::Refused => of_lock(Exit::UNAVAILABLE)
                .hint("the server has reached a limit: look at 'rmctl status', try again later"),
            AcquireError::SessionLost(_) => {
                of_lock(Exit::UNAVAILABLE).hint("the connection to the server broke: try again")
            }
            _ => of_lock(Exit::UNAVAILABLE),
        }
    }
}

impl From<ConnectError> for Failure {
    fn from(error: ConnectError) -> Self {
        let exit = match &error {
            ConnectError::BadName(_) | ConnectError::BadEndpoint(_) => Exit::USAGE,
            ConnectError::Insecure { .. } | ConnectError::Tls { .. } => Exit::DENIED,
            ConnectError::Refused { code, .. } => match code {
                RefuseCode::Denied => Exit::DENIED,
                RefuseCode::Protocol | RefuseCode::Version => Exit::PROTOCOL,
                RefuseCode::Limit | RefuseCode::Stamp | RefuseCode::Stopping => Exit::UNAVAILABLE,
            },
            ConnectError::Unreachable { .. } | ConnectError::Closed => Exit::UNAVAILABLE,
        };
        let failure = Self::new(exit, &error);
        match &error {
            ConnectError::Unreachable { .. } => failure.hint(
                "start a server with 'rmd', or name a running one with --endpoints or RM_ENDPOINTS",
            ),
            _ => failure,
        }
    }
}

impl From<InspectError> for Failure {
    fn from(error: InspectError) -> Self {
        let exit = match &error {
            InspectError::NotAllowed { .. } => Exit::DENIED,
            InspectError::Unavailable | InspectError::Timeout(_) => Exit::UNAVAILABLE,
        };
        Self::new(exit, error)
    }
}

impl From<StartError> for Failure {
    fn from(error: StartError) -> Self {
        let exit = match &error {
            StartError::BadName(_)
            | StartError::BadAddress(_)
            | StartError::BadLease { .. }
            | StartError::Insecure { .. }
            | StartError::Member(_)
            | StartError::NoDataDir
            | StartError::TooManyListeners { .. } => Exit::CONFIG,
            #[cfg(feature = "etcd")]
            StartError::Coordinator(_) => Exit::CONFIG,
            StartError::DataDir { .. }
            | StartError::DataDirInUse { .. }
            | StartError::DataDirStandsAlone { .. }
            | StartError::DataDamaged { .. } => Exit::DATA_DIR,
            StartError::Listen { .. } | StartError::System(_) => Exit::SYSTEM,
        };
        Self::new(exit, error)
    }
}

#[cfg(test)]
mod tests {
    use rm_core::id::BadName;

    use super::*;

    #[test]
    fn a_signal_becomes_128_and_its_number() {
        assert_eq!(Exit::signalled(9), Exit(137));
        assert_eq!(Exit::signalled(15), Exit(143));
    }

    #[test]
    fn each_way_not_to_get_a_lock_has_its_code() {
        let code = |error: AcquireError| Failure::acquire("n", &error, Exit(42)).exit;
        let busy = AcquireError::Busy { holders: vec![] };
        let late = AcquireError::Timeout {
            waited: std::time::Duration::ZERO,
            holders: vec![],
            ahead: 0,
        };
        assert_eq!(code(busy), Exit(42));
        assert_eq!(code(late), Exit(42));
        assert_eq!(
            code(AcquireError::NotAllowed { why: "w".into() }),
            Exit::DENIED
        );
        assert_eq!(code(AcquireError::Unavailable), Exit::UNAVAILABLE);
        assert_eq!(code(AcquireError::ShuttingDown), Exit::UNAVAILABLE);
        assert_eq!(code(AcquireError::BadName(BadName::Empty)), Exit::USAGE);
    }

    #[test]
    fn a_refused_client_learns_whether_to_try_again() {
        let code = |code| {
            let refused = ConnectError::Refused {
                endpoint: "e".into(),
                code,
                text: "t".into(),
            };
            Failure::from(refused).exit
        };
        assert_eq!(code(RefuseCode::Denied), Exit::DENIED);
        assert_eq!(code(RefuseCode::Version), Exit::PROTOCOL);
        assert_eq!(code(RefuseCode::Limit), Exit::UNAVAILABLE);
    }

    #[test]
    fn each_way_not_to_start_has_its_code() {
        let refused = || io::Error::from(io::ErrorKind::AddrInUse);
        let code = |error: StartError| Failure::from(error).exit;
        let listen = StartError::Listen {
            address: "127.0.0.1:7600".into(),
            source: refused(),
        };
        let dir = StartError::DataDirInUse { path: "d".into() };
        assert_eq!(code(listen), Exit::SYSTEM);
        assert_eq!(code(dir), Exit::DATA_DIR);
        assert_eq!(code(StartError::NoDataDir), Exit::CONFIG);
    }
}
