//! What went wrong in a handshake or after it: with whose certificate, and what to do.

use std::io;
use std::time::SystemTime;

use rustls::pki_types::ServerName;
use rustls::{AlertDescription, CertificateError, Error};
use x509_parser::time::ASN1Time;

use super::super::DialError;
use super::Loaded;
use super::files::CertificateRole;

/// Which end of a connection this one is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Client,
    Server,
}

pub(super) const OTHER_PROTOCOL: &str =
    "the other side speaks TLS, but not this protocol: is the address right?";

impl Side {
    const fn other(self) -> &'static str {
        match self {
            Self::Client => "server",
            Self::Server => "client",
        }
    }
}

/// A handshake that failed.
pub(super) fn of_handshake(error: io::Error, side: Side, loaded: &Loaded) -> DialError {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
    if let Some(inner) = inner {
        return DialError::Tls(explain(inner, side, loaded));
    }
    match (error.kind(), side) {
        (io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset, Side::Client) => {
            let text = "the server closed the connection during the TLS handshake: perhaps it does not speak TLS (it has no --tls-cert), or is being started";
            DialError::System(io::Error::new(error.kind(), text))
        }
        _ => DialError::System(error),
    }
}

/// An error of TLS.
pub(super) fn explain(error: &Error, side: Side, loaded: &Loaded) -> String {
    let other = side.other();
    match error {
        Error::InvalidCertificate(why) => theirs(why, side, loaded),
        Error::NoCertificatesPresented => {
            "the client has no certificate: it is to give --tls-cert and --tls-key".into()
        }
        Error::InvalidMessage(_) if side == Side::Client => {
            "what answers there does not speak TLS: is the port right, and does the server have a certificate (--tls-cert)?".into()
        }
        Error::InvalidMessage(_) => "what the client says is no TLS".into(),
        Error::AlertReceived(alert) => ours(*alert, side, loaded),
        Error::NoApplicationProtocol => OTHER_PROTOCOL.into(),
        Error::PeerIncompatible(why) => {
            format!("the {other} speaks no TLS 1.3 that this side understands: {why:?}")
        }
        why => format!("the {other} breaks the rules of TLS: {why}"),
    }
}

/// What this side has against the other's certificate.
fn theirs(why: &CertificateError, side: Side, loaded: &Loaded) -> String {
    let whose = format!("the {}'s certificate", side.other());
    match why {
        CertificateError::ExpiredContext { not_after, .. } => {
            let at = utc(not_after.as_secs());
            format!("{whose} expired on {at}: renew it, if the clock of this machine is right")
        }
        CertificateError::Expired => format!("{whose} has expired: renew it"),
        CertificateError::NotValidYetContext { not_before, .. } => {
            let at = utc(not_before.as_secs());
            format!("{whose} is good from {at} on: compare the clocks of both machines")
        }
        CertificateError::UnknownIssuer => {
            let (file, flag) = match side {
                Side::Client => (&loaded.files.ca, "--tls-ca"),
                Side::Server => (&loaded.files.client_ca, "--tls-client-ca"),
            };
            let file = file
                .as_ref()
                .map_or_else(String::new, |file| file.display().to_string());
            format!(
                "{whose} is signed by none of the authorities in {file}: give the one that signed it with {flag}"
            )
        }
        CertificateError::NotValidForNameContext {
            expected,
            presented,
        } => {
            let expected = match expected {
                ServerName::IpAddress(ip) => std::net::IpAddr::from(*ip).to_string(),
                name => name.to_str().into_owned(),
            };
            format!(
                "{whose} is not for {expected} but for {}: dial a name that it is for, or say which with --tls-server-name",
                presented.join(", ")
            )
        }
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            format!(
                "{whose} is not meant for a {}: issue it with that extended key usage",
                side.other()
            )
        }
        CertificateError::Revoked => format!("{whose} is revoked: issue another"),
        why => format!("{whose} cannot be used: {why}"),
    }
}

/// What the other side has against this one.
fn ours(alert: AlertDescription, side: Side, loaded: &Loaded) -> String {
    let other = side.other();
    let own = loaded
        .certificates
        .iter()
        .find(|one| one.role == CertificateRole::Own);
    let mine = match own {
        Some(own) => format!("the certificate in {}", own.file.display()),
        None => "the certificate".into(),
    };
    match alert {
        AlertDescription::CertificateRequired | AlertDescription::NoCertificate => {
            format!("the {other} wants a certificate: give one with --tls-cert and --tls-key")
        }
        AlertDescription::UnknownCA => {
            let flag = match side {
                Side::Client => "--tls-client-ca",
                Side::Server => "--tls-ca",
            };
            format!(
                "the {other} does not know the authority that signed {mine}: have it added to the {other}'s {flag}, or give a certificate that is signed by one of those"
            )
        }
        AlertDescription::CertificateExpired => {
            let until =
                own.and_then(|own| own.not_after.duration_since(SystemTime::UNIX_EPOCH).ok());
            let until = until.map_or_else(String::new, |until| {
                format!(" (good until {})", utc(until.as_secs()))
            });
            format!(
                "the {other} says that {mine}{until} has expired, or is not good yet: renew it, and compare the clocks"
            )
        }
        AlertDescription::CertificateRevoked => {
            format!("the {other} says that {mine} is revoked: get another")
        }
        AlertDescription::BadCertificate
        | AlertDescription::UnsupportedCertificate
        | AlertDescription::CertificateUnknown
        | AlertDescription::AccessDenied
        | AlertDescription::DecryptError => {
            format!("the {other} does not accept {mine}: its log says why")
        }
        AlertDescription::ProtocolVersion => {
            format!("the {other} speaks no TLS 1.3, and older ones are not spoken here")
        }
        AlertDescription::NoApplicationProtocol => OTHER_PROTOCOL.into(),
        alert => format!("the {other} ended the TLS connection: {alert:?}"),
    }
}

/// A moment in seconds since 1970, as people write it.
fn utc(seconds: u64) -> String {
    let moment = i64::try_from(seconds).ok();
    let Some(moment) = moment.and_then(|moment| ASN1Time::from_timestamp(moment).ok()) else {
        return format!("second {seconds} since 1970");
    };
    let moment = moment.to_datetime();
    format!(
        "{}-{:02}-{:02} {:02}:{:02} UTC",
        moment.year(),
        u8::from(moment.month()),
        moment.day(),
        moment.hour(),
        moment.minute()
    )
}
