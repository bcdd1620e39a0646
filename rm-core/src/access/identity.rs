//! Who is at the other end of a connection, as far as the transport can prove it.
//!
//! The name of a node is what it says of itself; its identity is what was checked: the name in a certificate that was
//! verified, or the user id that the kernel tells of the process behind a Unix socket. Everybody else is
//! [`anonymous`](Identity::anonymous).
//!
//! No certificate can bear the identity of a user id or of nobody, and none a wildcard, so that a rule for one kind
//! never matches another. The text is printable: it goes into logs and onto terminals as it is.

use core::fmt;
use std::sync::Arc;

use thiserror::Error;

/// The longest identity, in bytes.
pub const IDENTITY_BYTES_MAX: usize = 255;

/// What nobody in particular is called.
const ANONYMOUS: &str = "anonymous";

/// What a process is called that is at both ends.
const OWN: &str = "own process";

/// What identities of Unix sockets start with.
const UNIX: &str = "unix:";

/// Who somebody is: 1 to [`IDENTITY_BYTES_MAX`] bytes of printable text. Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Identity(Arc<str>);

impl Identity {
    /// Somebody of whom nothing is known: plain TCP, or TLS without a client certificate.
    #[must_use]
    pub fn anonymous() -> Self {
        Self(ANONYMOUS.into())
    }

    /// The user `uid` of this host, at the other end of a Unix socket: `unix:uid=1000`.
    #[must_use]
    pub fn unix(uid: u32) -> Self {
        Self(format!("{UNIX}uid={uid}").into())
    }

    /// The process itself, which called itself. Rules say nothing of it.
    #[must_use]
    pub fn own_process() -> Self {
        Self(OWN.into())
    }

    /// Whom a verified certificate names.
    ///
    /// # Errors
    /// [`BadIdentity`] where the name is empty, too long, not printable, a wildcard, or one that belongs to those who
    /// have no certificate.
    pub fn certified(name: &str) -> Result<Self, BadIdentity> {
        match name {
            "" => return Err(BadIdentity::Empty),
            _ if name.len() > IDENTITY_BYTES_MAX => {
                return Err(BadIdentity::TooLong { bytes: name.len() });
            }
            _ if name.chars().any(is_unprintable) => return Err(BadIdentity::Unprintable),
            _ if name.contains('*') => return Err(BadIdentity::Wildcard),
            _ if [ANONYMOUS, OWN].contains(&name) || name.starts_with(UNIX) => {
                return Err(BadIdentity::Reserved);
            }
            _ => {}
        }
        Ok(Self(name.into()))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is the process itself.
    #[must_use]
    pub fn is_own_process(&self) -> bool {
        &*self.0 == OWN
    }

    /// Whether nothing is known of it.
    #[must_use]
    pub fn is_anonymous(&self) -> bool {
        &*self.0 == ANONYMOUS
    }
}

impl Default for Identity {
    fn default() -> Self {
        Self::anonymous()
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity({})", self.0)
    }
}

/// White space other than a blank, control characters, and those that turn the direction of a line.
pub(crate) fn is_unprintable(c: char) -> bool {
    let turns =
        matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    c.is_control() || turns || (c.is_whitespace() && c != ' ')
}

/// A name in a certificate that can be nobody's identity.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum BadIdentity {
    /// No text at all.
    #[error("the name in the certificate is empty: issue it for 1 to {IDENTITY_BYTES_MAX} bytes")]
    Empty,
    /// Too long.
    #[error(
        "the name in the certificate has {bytes} bytes: issue it for at most {IDENTITY_BYTES_MAX}"
    )]
    TooLong {
        /// How long it is.
        bytes: usize,
    },
    /// Control characters and the like.
    #[error("the name in the certificate has characters that cannot be printed: issue another")]
    Unprintable,
    /// A wildcard names many.
    #[error("the name in the certificate is a wildcard, which names nobody: issue another")]
    Wildcard,
    /// It belongs to those who have no certificate.
    #[error(
        "the name in the certificate is `{ANONYMOUS}` or `{OWN}` or starts with `{UNIX}`, which is how those without one are called: issue another"
    )]
    Reserved,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_names_somebody_with_1_to_255_printable_bytes() {
        assert_eq!(
            Identity::certified("spiffe://prod/web").unwrap().as_str(),
            "spiffe://prod/web"
        );
        assert!(Identity::certified(&"x".repeat(255)).is_ok());
        let bad = [
            ("", BadIdentity::Empty),
            (&"x".repeat(256), BadIdentity::TooLong { bytes: 256 }),
            ("web\n1", BadIdentity::Unprintable),
            ("web\u{202e}1", BadIdentity::Unprintable),
            ("*.example.com", BadIdentity::Wildcard),
        ];
        for (name, why) in bad {
            assert_eq!(Identity::certified(name), Err(why), "{name:?}");
        }
    }

    #[test]
    fn no_certificate_is_a_user_of_this_host_or_nobody() {
        for name in ["anonymous", "unix:uid=0"] {
            assert_eq!(Identity::certified(name), Err(BadIdentity::Reserved));
        }
        assert_eq!(Identity::unix(1000).as_str(), "unix:uid=1000");
        assert!(Identity::default().is_anonymous());
    }
}
