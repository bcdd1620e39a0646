//! The store that servers agree through: a real `etcd`, of one member, with its data on disk.
//!
//! One member is enough: what the servers rely on is that its answers are linearizable and that it may be away. It is killed,
//! paused and cut off like everything else.

use std::path::{Path, PathBuf};

/// What it prints when it answers.
pub(crate) const READY: &str = "ready to serve";

/// Where the program is.
///
/// # Errors
/// Where it is not installed, and what to do.
pub(crate) fn program() -> Result<PathBuf, String> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|dir| dir.join("etcd"));
    found.into_iter().find(|program| program.is_file()).ok_or_else(|| {
        "etcd is not installed: install it (Debian: etcd-server), or say --coordinator standalone".into()
    })
}

/// Its arguments, where it listens at `address` and keeps its data in `dir`.
pub(crate) fn arguments(address: &str, dir: &Path) -> Vec<String> {
    let client = format!("http://{address}");
    // It has no peers. It wants an address for them all the same.
    let peer = "http://127.0.0.1:0";
    let words = [
        ("--name", "chaos"),
        ("--data-dir", &dir.display().to_string()),
        ("--listen-client-urls", &client),
        ("--advertise-client-urls", &client),
        ("--listen-peer-urls", peer),
        ("--initial-advertise-peer-urls", peer),
        ("--initial-cluster", &format!("chaos={peer}")),
        ("--log-outputs", "stdout"),
    ];
    let words = words.map(|(name, value)| [name.to_owned(), value.to_owned()]);
    words.into_iter().flatten().collect()
}
