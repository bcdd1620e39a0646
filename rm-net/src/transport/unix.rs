//! Unix sockets: their files, and who is at the other end.
//!
//! **Whose the file is.** A file beside the socket, with `.lock` behind its name, is locked for as long as somebody
//! listens; the kernel lets go of it when the process ends, however it ends. Only whoever has that lock takes the place of
//! a socket that was left behind, and only if nobody answers there and it is a socket. The lock's file stays: were it
//! removed, two servers could each have a lock of their own. The socket's file is removed when listening ends, unless
//! another one is there by then.
//!
//! **Who may connect** is what its mode says: the file has it before anybody can connect.

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{
    FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _,
};
use std::path::{Path, PathBuf};

use rm_core::access::Identity;
use rustix::fs::{FlockOperation, OFlags, flock};
use tokio::net::{UnixListener, UnixSocket, UnixStream};

/// Who may connect to a Unix socket, unless configured: its user alone.
pub const SOCKET_MODE_DEFAULT: u32 = 0o600;

/// Connections that wait to be accepted.
const BACKLOG: u32 = 1024;

/// The file of a socket that is listened on. Removed with its owner.
#[derive(Debug)]
pub(crate) struct SocketFile {
    path: PathBuf,
    /// Device and number of the file.
    id: (u64, u64),
    /// Locked.
    _lock: File,
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let present = fs::symlink_metadata(&self.path);
        if present.is_ok_and(|file| (file.dev(), file.ino()) == self.id) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Listens at `path`. The file goes with what is returned.
pub(crate) async fn listen(path: &Path, mode: u32) -> io::Result<(UnixListener, SocketFile)> {
    check_directory(path)?;
    let lock = lock(path)?;
    remove_stale(path).await?;
    let socket = UnixSocket::new_stream()?;
    socket.bind(path)?;
    let file = fs::symlink_metadata(path)?;
    let file = SocketFile {
        path: path.to_owned(),
        id: (file.dev(), file.ino()),
        _lock: lock,
    };
    // Nobody can connect before it listens, and nobody else can put something else there.
    fs::set_permissions(path, Permissions::from_mode(mode))?;
    Ok((socket.listen(BACKLOG)?, file))
}

/// Listens at an abstract name.
pub(crate) fn listen_abstract(name: &str) -> io::Result<UnixListener> {
    UnixListener::bind(abstract_path(name))
}

/// How the system calls know an abstract name.
pub(crate) fn abstract_path(name: &str) -> PathBuf {
    let bytes = [b"\0", name.as_bytes()].concat();
    OsStr::from_bytes(&bytes).into()
}

/// The user at the other end.
pub(crate) fn identity(stream: &UnixStream) -> io::Result<Identity> {
    Ok(Identity::unix(stream.peer_cred()?.uid()))
}

/// Refuses a directory in which everybody may put another file in the place of the socket.
fn check_directory(path: &Path) -> io::Result<()> {
    let parent = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    let mode = fs::metadata(parent.unwrap_or(Path::new(".")))?.mode();
    let (others_may_write, is_sticky) = (mode & 0o002 != 0, mode & 0o1000 != 0);
    if others_may_write && !is_sticky {
        let text = "everybody may replace files in its directory: take the right to write from others, or set the sticky bit";
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, text));
    }
    Ok(())
}

fn lock(path: &Path) -> io::Result<File> {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false).mode(0o600);
    // Where all may make files, somebody may have made a link there.
    options.custom_flags(OFlags::NOFOLLOW.bits().cast_signed());
    let file = options.open(&name)?;
    flock(&file, FlockOperation::NonBlockingLockExclusive).map_err(|error| {
        if error == rustix::io::Errno::WOULDBLOCK {
            in_use()
        } else {
            error.into()
        }
    })?;
    Ok(file)
}

/// Removes a socket that nobody listens on. Whoever calls has the lock.
async fn remove_stale(path: &Path) -> io::Result<()> {
    let file = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        file => file?,
    };
    if !file.file_type().is_socket() {
        let text = "something else than a socket is there, and is left alone";
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, text));
    }
    match UnixStream::connect(path).await {
        // A server that knows nothing of the lock.
        Ok(_) => Err(in_use()),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path),
        Err(error) => Err(error),
    }
}

fn in_use() -> io::Error {
    io::Error::new(io::ErrorKind::AddrInUse, "another server listens there")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_socket_has_its_mode_and_goes_with_whoever_listens() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("s");
        let (listener, file) = listen(&path, 0o660).await.expect("listens");
        let mode = fs::metadata(&path).expect("it is there").mode() & 0o777;
        assert_eq!(mode, 0o660);
        drop((listener, file));
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn a_socket_that_was_left_behind_is_taken_over() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("s");
        drop(std::os::unix::net::UnixListener::bind(&path).expect("bound"));
        assert!(path.exists(), "as after a crash");
        let (_listener, _file) = listen(&path, 0o600).await.expect("taken over");
        UnixStream::connect(&path).await.expect("somebody listens");
    }

    #[tokio::test]
    async fn a_socket_in_use_is_left_to_its_server() {
        let dir = tempfile::tempdir().expect("a directory");
        let (ours, theirs) = (dir.path().join("ours"), dir.path().join("theirs"));
        let _listens = listen(&ours, 0o600).await.expect("listens");
        let stranger = std::os::unix::net::UnixListener::bind(&theirs).expect("bound");
        for path in [&ours, &theirs] {
            let error = listen(path, 0o600).await.expect_err("in use");
            assert_eq!(error.kind(), io::ErrorKind::AddrInUse, "{error}");
        }
        drop(stranger);
        UnixStream::connect(&ours)
            .await
            .expect("the first one still listens");
    }

    #[tokio::test]
    async fn a_file_that_is_no_socket_is_left_alone() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("s");
        fs::write(&path, "precious").expect("written");
        let error = listen(&path, 0o600).await.expect_err("no socket");
        assert!(error.to_string().contains("left alone"), "{error}");
        assert_eq!(fs::read_to_string(&path).expect("still there"), "precious");
    }

    #[tokio::test]
    async fn a_socket_is_not_made_where_everybody_may_replace_it_and_its_lock_is_no_link() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("s");
        let set_mode = |mode| fs::set_permissions(dir.path(), Permissions::from_mode(mode));
        set_mode(0o777).expect("its mode");
        let error = listen(&path, 0o600).await.expect_err("open to all");
        assert_eq!(error.kind(), io::ErrorKind::PermissionDenied, "{error}");
        set_mode(0o1777).expect("its mode");
        let precious = dir.path().join("precious");
        let lock = dir.path().join("s.lock");
        std::os::unix::fs::symlink(&precious, &lock).expect("a link");
        listen(&path, 0o600).await.expect_err("a link");
        assert!(!precious.exists());
        fs::remove_file(&lock).expect("removed");
        listen(&path, 0o600).await.expect("listens");
    }

    #[tokio::test]
    async fn a_successor_keeps_its_socket_when_the_former_server_goes() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("s");
        let (_former, file) = listen(&path, 0o600).await.expect("listens");
        fs::remove_file(&path).expect("removed by hand");
        let _later = std::os::unix::net::UnixListener::bind(&path).expect("bound");
        drop(file);
        assert!(path.exists());
    }
}
