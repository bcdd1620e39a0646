//! How long certificates are still good: those of this process, and those that servers show.
//!
//! A server's certificate is looked at from here, in the handshake, so what is said of it is what clients go by.

use std::time::{Duration, SystemTime};

use super::finding::{Finding, Level};
use super::is_loopback;
use super::probe::{Machine, Seen};

const CHECK: &str = "tls";
/// One that is good for less is to be renewed.
const SOON: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// One certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Certificate {
    /// Whose, and where it is.
    pub(super) what: String,
    pub(super) not_after: SystemTime,
}

/// Those that this process was given.
#[cfg(feature = "tls")]
pub(super) fn configured() -> Vec<Certificate> {
    use crate::cli::connect::transport;
    use crate::transport::{CertificateRole, CertificateView, TlsConfig};
    let config = transport().tls_config();
    let views = config.map(TlsConfig::certificates);
    let words = |view: CertificateView| {
        let role = match view.role {
            CertificateRole::Own => "the certificate",
            CertificateRole::Authority | CertificateRole::ClientAuthority => "the authority",
        };
        let (subject, file) = (view.subject, view.file.display());
        Certificate {
            what: format!("{role} {subject} in {file}"),
            not_after: view.not_after,
        }
    };
    views.unwrap_or_default().into_iter().map(words).collect()
}

#[cfg(not(feature = "tls"))]
pub(super) fn configured() -> Vec<Certificate> {
    Vec::new()
}

/// What is to be said of one, now.
pub(super) fn of(subject: &str, certificate: &Certificate, now: SystemTime) -> Finding {
    let what = &certificate.what;
    match certificate.not_after.duration_since(now) {
        Err(_) => Finding::bad(
            Level::Fail,
            CHECK,
            subject,
            format!("{what} has expired"),
            "renew it: the files are read again when they change; if it has not, set the clock of this machine",
        ),
        Ok(left) if left < SOON => Finding::bad(
            Level::Warn,
            CHECK,
            subject,
            format!("{what} expires in {}", days(left)),
            "renew it: the files are read again when they change",
        ),
        Ok(left) => Finding::ok(CHECK, subject, format!("{what} is good for {}", days(left))),
    }
}

/// How a server is spoken with.
pub(super) fn link(address: &str, seen: &Seen, here: &Machine) -> Vec<Finding> {
    let is_secured = seen.health.as_ref().is_some_and(|health| health.is_secured);
    match &seen.certificate {
        Some(certificate) => vec![
            Finding::ok(CHECK, address, "encrypted by TLS 1.3"),
            of(address, certificate, here.now),
        ],
        None if is_secured => vec![Finding::ok(CHECK, address, "encrypted")],
        None if address.starts_with("unix:") || is_loopback(address) => {
            vec![Finding::ok(
                CHECK,
                address,
                "plain, and of this machine only",
            )]
        }
        None => vec![Finding::bad(
            Level::Warn,
            CHECK,
            address,
            "plain: whoever reaches it can take and release any lock, and whoever is in between can read and change what is said",
            "give the server --tls-cert, --tls-key and --tls-client-ca, and its clients --tls-ca; or let only trusted machines reach it",
        )],
    }
}

fn days(span: Duration) -> String {
    match span.as_secs() / (24 * 60 * 60) {
        0 => "less than a day".into(),
        1 => "1 day".into(),
        days => format!("{days} days"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(24 * 60 * 60);

    #[test]
    fn a_certificate_is_warned_of_thirty_days_before_it_fails() {
        let now = SystemTime::UNIX_EPOCH + 20_000 * DAY;
        let level = |not_after| {
            let what = "the certificate web-1".into();
            of("h:1", &Certificate { what, not_after }, now).level
        };
        assert_eq!(level(now + 31 * DAY), Level::Ok);
        assert_eq!(level(now + 29 * DAY), Level::Warn);
        assert_eq!(level(now + DAY / 2), Level::Warn);
        assert_eq!(level(now - DAY), Level::Fail);
    }

    #[test]
    fn time_that_is_left_is_told_in_whole_days() {
        assert_eq!(days(DAY / 2), "less than a day");
        assert_eq!(days(DAY), "1 day");
        assert_eq!(days(90 * DAY), "90 days");
    }
}
