//! Where a server is: host and port, or a Unix socket. One form of text for flags, variables, views and messages.
//!
//! | text | means |
//! |---|---|
//! | `10.0.0.1:7600`, `[::1]:7600`, `locks.example.org:7600` | TCP |
//! | `unix:/run/rm/agent.sock` | a Unix socket by its path |
//! | `unix:@rm` | a Unix socket by an abstract name, which Linux alone has; it has no file and no mode |
//!
//! What has another form is refused where it is read, with what is known. Whether a host exists shows when it is
//! connected to, and may change.

use std::fmt::{self, Display, Formatter};
use std::path::PathBuf;
use std::str::FromStr;

use thiserror::Error;

/// What the text of a Unix socket starts with.
const UNIX: &str = "unix:";

/// The longest path of a Unix socket, in bytes: the kernel's field for it, less its last byte.
pub const UNIX_PATH_BYTES_MAX: usize = if cfg!(any(target_os = "linux", target_os = "android")) {
    107
} else {
    103
};

/// The longest host, in bytes: that of a name in the DNS.
const HOST_BYTES_MAX: usize = 253;

/// Where a server is, or is to listen.
///
/// ```
/// use rm_net::Address;
///
/// let address: Address = "unix:/run/rm/agent.sock".parse()?;
/// assert!(matches!(address, Address::Unix(_)));
/// assert_eq!(address.to_string(), "unix:/run/rm/agent.sock");
/// assert!("agent.sock".parse::<Address>().is_err());
/// # Ok::<(), rm_net::AddressError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Address {
    /// Host and port, as they were written.
    Tcp(HostPort),
    /// A Unix socket with a path.
    Unix(PathBuf),
    /// A Unix socket with an abstract name, which Linux alone has.
    Abstract(String),
}

/// Host and port.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HostPort {
    text: String,
    /// How much of the text is the host.
    host: usize,
}

impl HostPort {
    /// The host, without the brackets of an IPv6 address.
    #[must_use]
    pub fn host(&self) -> &str {
        let host = &self.text[..self.host];
        let bare = host.strip_prefix('[');
        bare.and_then(|bare| bare.strip_suffix(']')).unwrap_or(host)
    }

    /// Both, as they were written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

/// Why a text is no address.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum AddressError {
    /// None of the known forms.
    #[error(
        "'{text}' is no address: write host and port, such as 10.0.0.1:7600, or unix: and a path, such as unix:/run/rm/agent.sock"
    )]
    Unknown {
        /// What was given.
        text: String,
    },
    /// The kernel takes no such path for a socket.
    #[error(
        "the path of the socket '{path}' has {bytes} bytes, and a Unix socket has at most {UNIX_PATH_BYTES_MAX}: choose a shorter one"
    )]
    PathTooLong {
        /// What was given.
        path: String,
        /// How long it is.
        bytes: usize,
    },
    /// Only Linux has abstract names.
    #[error("'{text}' has an abstract name, which only Linux has: give a path")]
    NoAbstractNames {
        /// What was given.
        text: String,
    },
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        match text.strip_prefix(UNIX) {
            Some(name) => unix(text, name),
            None => host_port(text),
        }
    }
}

fn unix(text: &str, name: &str) -> Result<Address, AddressError> {
    let path = name.strip_prefix('@');
    let bytes = path.map_or(name.len(), |name| name.len() + 1);
    if bytes > UNIX_PATH_BYTES_MAX {
        let path = name.to_owned();
        return Err(AddressError::PathTooLong { path, bytes });
    }
    if name.contains('\0') || path.unwrap_or(name).is_empty() {
        return Err(unknown(text));
    }
    match path {
        None => Ok(Address::Unix(name.into())),
        Some(name) if cfg!(any(target_os = "linux", target_os = "android")) => {
            Ok(Address::Abstract(name.into()))
        }
        Some(_) => {
            let text = text.to_owned();
            Err(AddressError::NoAbstractNames { text })
        }
    }
}

fn host_port(text: &str) -> Result<Address, AddressError> {
    let parts = text.rsplit_once(':');
    let known = parts.filter(|(host, port)| {
        let is_bracketed = host.starts_with('[') && host.ends_with(']');
        let has_only = |c: char| c.is_ascii_graphic() && c != '/' && c != '@';
        (1..=HOST_BYTES_MAX).contains(&host.len())
            && (is_bracketed || !host.contains([':', '[', ']']))
            && host.chars().all(has_only)
            && !port.starts_with('+')
            && port.parse::<u16>().is_ok()
    });
    let (host, _) = known.ok_or_else(|| unknown(text))?;
    let (text, host) = (text.to_owned(), host.len());
    Ok(Address::Tcp(HostPort { text, host }))
}

fn unknown(text: &str) -> AddressError {
    // It may be anything, of any length, and is going to be printed.
    let text = text.chars().take(HOST_BYTES_MAX).collect();
    AddressError::Unknown { text }
}

impl From<std::net::SocketAddr> for Address {
    fn from(address: std::net::SocketAddr) -> Self {
        let text = address.to_string();
        let host = text.rfind(':').unwrap_or(text.len());
        Self::Tcp(HostPort { text, host })
    }
}

impl Display for Address {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => f.write_str(address.as_str()),
            Self::Unix(path) => write!(f, "{UNIX}{}", path.display()),
            Self::Abstract(name) => write!(f, "{UNIX}@{name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_and_ports_are_known_by_their_last_colon() {
        for (text, host) in [
            ("10.0.0.1:7600", "10.0.0.1"),
            ("localhost:0", "localhost"),
            ("[::1]:65535", "::1"),
        ] {
            match text.parse() {
                Ok(Address::Tcp(address)) => assert_eq!(address.host(), host),
                other => panic!("{text}: {other:?}"),
            }
        }
    }

    #[test]
    fn what_is_no_address_is_told_what_is_one() {
        let long = format!("{}:1", "x".repeat(254));
        for text in [
            "",
            "foo",
            "foo:",
            ":7600",
            "foo:http",
            "foo:70000",
            "foo:+1",
            "::1:7600",
            "http://foo:1",
            "a b:1",
            "unix:",
            "unix:@",
            "unix:a\0b",
            "[::1:1",
            &long,
        ] {
            let error = text.parse::<Address>().expect_err(text).to_string();
            assert!(error.contains("unix:/run/rm/agent.sock"), "{error}");
            assert!(error.len() < 512, "{error}");
        }
    }

    #[test]
    fn a_path_is_as_long_as_the_kernel_takes_and_no_longer() {
        let fits = format!("unix:/{}", "x".repeat(UNIX_PATH_BYTES_MAX - 1));
        assert_eq!(
            fits.parse::<Address>().map(|a| a.to_string()),
            Ok(fits.clone())
        );
        let error = format!("{fits}x").parse::<Address>().expect_err("too long");
        assert!(
            error.to_string().contains("choose a shorter one"),
            "{error}"
        );
    }

    #[test]
    fn every_form_comes_back_from_its_text() {
        let forms = [
            "10.0.0.1:1",
            "[fe80::1]:2",
            "unix:/run/x.sock",
            "unix:relative",
        ];
        let abstracts = cfg!(target_os = "linux").then_some("unix:@rm");
        for text in forms.into_iter().chain(abstracts) {
            assert_eq!(
                text.parse::<Address>().map(|a| a.to_string()).as_deref(),
                Ok(text)
            );
        }
        let socket: std::net::SocketAddr = "[::1]:7600".parse().expect("an address");
        assert_eq!(
            Address::from(socket),
            "[::1]:7600".parse().expect("an address")
        );
    }
}
