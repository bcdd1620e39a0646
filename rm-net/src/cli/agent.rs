//! The agent of a host: `rmd --agent`, and how `rmctl` finds it.
//!
//! An agent is a node in the middle of a tree that the processes of one machine reach over a Unix socket. What they are
//! done with stays cached there, under the agent's lease, so the next process finds it without a packet on the network.
//!
//! **Where it listens**, unless told: `agent.sock` in the directory that a service manager made for it; else, for root,
//! in `/run/rm`; else in `rm` in the user's runtime directory.
//!
//! **Whom `rmctl` trusts.** Whoever listens there can grant what is not granted, so not any file will do. A socket is
//! taken if it belongs to root or to the user who asks; that of the system also if it belongs to whom its directory
//! belongs to, as only root makes directories in `/run`. Others are passed over, and so is a directory into which anybody
//! may write.

use std::env;
use std::ffi::OsString;
use std::fs::{self, DirBuilder};
use std::os::unix::fs::{DirBuilderExt as _, FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use rustix::process::getuid;

use super::exit::{Exit, Failure};
use crate::Address;

/// The name of the socket in its directory.
const SOCKET: &str = "agent.sock";
/// The directory of the system's agent.
const SYSTEM_DIR: &str = "/run/rm";
/// That of a user's, in the user's runtime directory.
const USER_DIR: &str = "rm";
const ROOT: u32 = 0;
/// The bits of a mode that let others than the owner write.
const OTHERS_WRITE: u32 = 0o022;

/// Where an agent of this process listens, unless told.
pub(super) fn own_address() -> &'static str {
    static ADDRESS: LazyLock<String> = LazyLock::new(|| {
        let path = own_socket(getuid().as_raw(), |name| env::var_os(name));
        format!("unix:{}", path.display())
    });
    &ADDRESS
}

/// Refuses an agent that would be its own creditor.
pub(super) fn refuse_ring(listen: &[String], creditors: &[String]) -> Result<(), Failure> {
    let Some(own) = listen.iter().find(|one| creditors.contains(one)) else {
        return Ok(());
    };
    let error = format_args!("the agent would borrow from itself at {own}");
    Err(Failure::new(Exit::CONFIG, error)
        .hint("give --creditor the addresses of the cluster, not those of the agent"))
}

/// Makes the directory of the socket, where nobody said another one and there is none yet.
pub(super) fn make_dir(listen: &[String]) -> Result<(), Failure> {
    let Ok(Address::Unix(socket)) = own_address().parse() else {
        return Ok(());
    };
    let (Some(dir), true) = (
        socket.parent(),
        listen.iter().any(|one| one == own_address()),
    ) else {
        return Ok(());
    };
    // Who may come in is for the mode of the socket in it to say.
    let made = DirBuilder::new().recursive(true).mode(0o755).create(dir);
    made.map_err(|error| {
        let what = format!("cannot make the directory {}", dir.display());
        Failure::system(&what, &error)
            .hint("say where the agent is to listen with --listen unix:PATH or RM_LISTEN")
    })
}

/// The agent of this machine, if there is one that can be trusted: that of the user first.
pub(super) fn found() -> Option<String> {
    let user = env::var_os("XDG_RUNTIME_DIR").map(|dir| user_socket(Path::new(&dir)));
    let system = Path::new(SYSTEM_DIR).join(SOCKET);
    let me = getuid().as_raw();
    let user = user.filter(|path| path.is_absolute() && is_trusted(path, &[ROOT, me]));
    let found = user.or_else(|| {
        let owner = fs::symlink_metadata(SYSTEM_DIR).ok()?.uid();
        is_trusted(&system, &[ROOT, me, owner]).then_some(system)
    })?;
    // What is no text cannot be said to anybody.
    Some(format!("unix:{}", found.to_str()?))
}

/// Whether it is a socket of one of `owners`, in a directory into which only its owner writes.
fn is_trusted(socket: &Path, owners: &[u32]) -> bool {
    let dir = socket
        .parent()
        .and_then(|dir| fs::symlink_metadata(dir).ok());
    let is_theirs_alone = dir.is_some_and(|dir| {
        dir.is_dir() && dir.mode() & OTHERS_WRITE == 0 && owners.contains(&dir.uid())
    });
    let file = fs::symlink_metadata(socket);
    let is_theirs =
        file.is_ok_and(|file| file.file_type().is_socket() && owners.contains(&file.uid()));
    is_theirs_alone && is_theirs
}

fn own_socket(user: u32, variable: impl Fn(&str) -> Option<OsString>) -> PathBuf {
    let absolute = |dir: &PathBuf| dir.is_absolute();
    // A service manager gives several, separated by colons, if the service asks for several.
    let given = variable("RUNTIME_DIRECTORY");
    let given = given.and_then(|dirs| env::split_paths(&dirs).next());
    if let Some(dir) = given.filter(absolute) {
        return dir.join(SOCKET);
    }
    let home = variable("XDG_RUNTIME_DIR").map(PathBuf::from);
    match home.filter(absolute) {
        Some(home) if user != ROOT => user_socket(&home),
        _ => Path::new(SYSTEM_DIR).join(SOCKET),
    }
}

fn user_socket(runtime_dir: &Path) -> PathBuf {
    runtime_dir.join(USER_DIR).join(SOCKET)
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt as _;
    use std::os::unix::net::UnixListener;

    use super::*;

    fn socket(user: u32, variables: &[(&str, &str)]) -> String {
        let variable = |name: &str| {
            let mut variables = variables.iter();
            let found = variables.find(|(key, _)| *key == name);
            found.map(|(_, value)| OsString::from(value))
        };
        own_socket(user, variable).display().to_string()
    }

    #[test]
    fn the_socket_is_in_the_services_directory_or_the_users_or_the_systems() {
        let service = ("RUNTIME_DIRECTORY", "/run/rm-2:/run/other");
        let user = ("XDG_RUNTIME_DIR", "/run/user/1000");
        assert_eq!(socket(1000, &[service, user]), "/run/rm-2/agent.sock");
        assert_eq!(socket(1000, &[user]), "/run/user/1000/rm/agent.sock");
        assert_eq!(socket(ROOT, &[user]), "/run/rm/agent.sock");
        assert_eq!(socket(1000, &[]), "/run/rm/agent.sock");
        assert_eq!(
            socket(1000, &[("XDG_RUNTIME_DIR", "x")]),
            "/run/rm/agent.sock"
        );
    }

    #[test]
    fn only_a_socket_of_the_owners_in_a_directory_of_theirs_is_trusted() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join(SOCKET);
        let me = getuid().as_raw();
        assert!(!is_trusted(&path, &[me]), "nothing is there");
        fs::write(&path, "").expect("written");
        assert!(!is_trusted(&path, &[me]), "it is no socket");
        fs::remove_file(&path).expect("removed");
        let _listens = UnixListener::bind(&path).expect("bound");
        assert!(is_trusted(&path, &[me]));
        assert!(
            !is_trusted(&path, &[me.wrapping_add(1)]),
            "it is of another user"
        );
        fs::set_permissions(dir.path(), Permissions::from_mode(0o777)).expect("changed");
        assert!(!is_trusted(&path, &[me]), "anybody can put one there");
    }

    #[test]
    fn an_agent_does_not_borrow_from_itself() {
        let own = ["unix:/tmp/a.sock".to_owned()];
        let failure = refuse_ring(&own, &own).expect_err("a ring");
        assert_eq!(failure.exit, Exit::CONFIG);
        let other = ["10.0.0.1:7600".to_owned()];
        assert_eq!(refuse_ring(&own, &other), Ok(()));
    }
}
