//! The data directory of a server: its epoch, and whether anything may be lent.
//!
//! `lock` is locked for the life of the process, so there is never a second server, and a former one is dead.
//! `state.json` is replaced as a whole, synced before its content is acted upon:
//!
//! * `epoch`: raised at every start, so that all fencing tokens are larger than those of the life before;
//! * `lease_ms`: the longest lease under which anything may still be trusted;
//! * `lent`: whether anybody may trust anything. A server that starts with it set waits that lease out before it
//!   lends what it does not know to be free.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rm_core::session::lease::{LEASE_MAX, LEASE_MIN};
use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};

use crate::error::StartError;

const FORMAT: u32 = 1;
const LOCK: &str = "lock";
const STATE: &str = "state.json";
const FRESH: &str = "state.json.new";
const MEMBER: &str = "member.json";
const FRESH_MEMBER: &str = "member.json.new";

/// 2020-01-01, in seconds since 1970.
const SECONDS_TO_2020: u64 = 1_577_836_800;

/// The exclusive lock of a directory: whoever else had it is dead.
#[derive(Debug)]
struct DirLock(File);

impl Drop for DirLock {
    /// Closing the file would not do: a process that another thread is just starting has a copy of it until it runs its
    /// program, and the lock would last as long.
    fn drop(&mut self) {
        // If it fails, closing the file is what is left.
        let _ = flock(&self.0, FlockOperation::Unlock);
    }
}

impl DirLock {
    /// Makes the directory if need be, and locks it.
    fn take(dir: &Path) -> Result<Self, StartError> {
        let unusable = |source| StartError::DataDir {
            path: dir.into(),
            source,
        };
        fs::create_dir_all(dir).map_err(unusable)?;
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(dir.join(LOCK))
            .map_err(unusable)?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Self(lock)),
            Err(rustix::io::Errno::WOULDBLOCK) => {
                Err(StartError::DataDirInUse { path: dir.into() })
            }
            Err(errno) => Err(unusable(errno.into())),
        }
    }
}

/// The data directory of a member of a cluster. Its epoch and its view are the coordinator's; here is which registration
/// this directory had last. Whoever has the directory's lock knows that the process of that registration is dead, and need
/// not wait for its silence.
#[cfg(feature = "etcd")]
#[derive(Debug)]
pub(crate) struct Anchor {
    dir: PathBuf,
    former: Option<u64>,
    _lock: DirLock,
}

#[cfg(feature = "etcd")]
#[derive(Serialize, Deserialize)]
struct Registration {
    format: u32,
    reg: u64,
}

#[cfg(feature = "etcd")]
impl Anchor {
    pub(crate) fn open(dir: &Path) -> Result<Self, StartError> {
        let lock = DirLock::take(dir)?;
        if let Some(state) = read(&dir.join(STATE))?
            && state.lent
        {
            return Err(StartError::DataDirStandsAlone { path: dir.into() });
        }
        let path = dir.join(MEMBER);
        let former = match fs::read(&path) {
            Ok(bytes) => {
                let parsed = serde_json::from_slice::<Registration>(&bytes);
                let known = parsed.ok().filter(|known| known.format == FORMAT);
                // It only saves time: what cannot be read is as good as nothing.
                known.map(|known| known.reg)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(source) => {
                return Err(StartError::DataDir { path, source });
            }
        };
        Ok(Self {
            dir: dir.into(),
            former,
            _lock: lock,
        })
    }

    /// Whether the process of that registration is surely dead.
    pub(crate) fn proves_death_of(&self, reg: u64) -> bool {
        self.former == Some(reg)
    }

    /// This process has that registration. May wait for the disk.
    pub(crate) fn note(&self, reg: u64) -> io::Result<()> {
        let known = Registration {
            format: FORMAT,
            reg,
        };
        let bytes = serde_json::to_vec(&known)?;
        let fresh = self.dir.join(FRESH_MEMBER);
        let mut file = File::create(&fresh)?;
        file.write_all(&bytes)?;
        file.sync_all()?;
        fs::rename(&fresh, self.dir.join(MEMBER))?;
        File::open(&self.dir)?.sync_all()
    }
}

/// The directory, locked.
#[derive(Debug)]
pub(crate) struct Store {
    dir: PathBuf,
    /// What is acted upon.
    state: State,
    /// It is what is on disk, synced. If not, the last write failed, and nobody knows how far it got.
    is_on_disk: bool,
    /// The directory was that of a server before.
    has_past: bool,
    /// The lease of this life.
    lease: Duration,
    _lock: DirLock,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct State {
    format: u32,
    epoch: u32,
    lease_ms: u64,
    lent: bool,
}

impl Store {
    /// Opens the directory for a server with that lease: makes it if need be, locks it, and enters a new epoch.
    ///
    /// Returns the longest lease that may still be trusted from the life before.
    pub(crate) fn open(
        dir: &Path,
        lease: Duration,
    ) -> Result<(Self, Option<Duration>), StartError> {
        let unusable = |source| StartError::DataDir {
            path: dir.into(),
            source,
        };
        let lock = DirLock::take(dir)?;
        let former = read(&dir.join(STATE))?;
        let trusted = former.as_ref().filter(|former| former.lent);
        let trusted = trusted.map(|former| Duration::from_millis(former.lease_ms));
        let epoch = match &former {
            Some(former) => former.epoch.checked_add(1).ok_or_else(|| {
                damaged(&dir.join(STATE), "its epoch is the last there is".into())
            })?,
            None => first_epoch(),
        };
        let longest = trusted.unwrap_or_default().max(lease);
        let lease_ms = millis(longest);
        let state = State {
            format: FORMAT,
            epoch,
            lease_ms,
            lent: trusted.is_some(),
        };
        let mut store = Self {
            dir: dir.into(),
            state: state.clone(),
            is_on_disk: false,
            has_past: former.is_some(),
            lease,
            _lock: lock,
        };
        store.replace(state).map_err(unusable)?;
        Ok((store, trusted))
    }

    /// Whether there was a life before this one.
    pub(crate) const fn has_past(&self) -> bool {
        self.has_past
    }

    /// Where it is.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(crate) const fn epoch(&self) -> u32 {
        self.state.epoch
    }

    /// From now on somebody may trust something. Synced when it returns.
    pub(crate) fn set_lent(&mut self) -> io::Result<()> {
        self.replace(State {
            lent: true,
            ..self.state.clone()
        })
    }

    /// Nobody trusts anything any more, of this life or the one before.
    pub(crate) fn set_all_back(&mut self) -> io::Result<()> {
        self.replace(State {
            lent: false,
            lease_ms: millis(self.lease),
            ..self.state.clone()
        })
    }

    /// Enters the next epoch. Synced when it returns.
    pub(crate) fn next_epoch(&mut self) -> io::Result<u32> {
        let next = self.state.epoch.checked_add(1);
        let epoch = next.ok_or_else(|| io::Error::other("there is no later epoch"))?;
        self.replace(State {
            epoch,
            ..self.state.clone()
        })?;
        Ok(epoch)
    }

    /// Acts upon `state` from now on, if it can be written.
    fn replace(&mut self, state: State) -> io::Result<()> {
        if self.is_on_disk && self.state == state {
            return Ok(());
        }
        self.is_on_disk = false;
        self.write(&state)?;
        self.state = state;
        self.is_on_disk = true;
        Ok(())
    }

    fn write(&self, state: &State) -> io::Result<()> {
        let fresh = self.dir.join(FRESH);
        let mut file = File::create(&fresh)?;
        let mut text = serde_json::to_vec(state)?;
        text.push(b'\n');
        file.write_all(&text)?;
        file.sync_all()?;
        fs::rename(&fresh, self.dir.join(STATE))?;
        File::open(&self.dir)?.sync_all()
    }
}

/// What is noted of what is lent.
#[derive(Debug)]
pub(crate) enum Notes {
    Disk(Store),
    /// In the middle of a tree.
    Needless,
    /// The node has stopped: the directory is free for the next one.
    Closed,
}

impl Notes {
    /// Before anybody may trust anything.
    pub(crate) fn set_lent(&mut self) -> io::Result<()> {
        match self {
            Self::Disk(store) => store.set_lent(),
            Self::Needless => Ok(()),
            Self::Closed => stopped(),
        }
    }

    /// Where nobody trusts anything any more. Returns whether that is so from here on.
    pub(crate) fn set_all_back(&mut self) -> io::Result<bool> {
        match self {
            Self::Disk(store) => store.set_all_back().map(|()| true),
            Self::Needless => Ok(true),
            Self::Closed => Ok(false),
        }
    }

    pub(crate) fn next_epoch(&mut self) -> io::Result<u32> {
        match self {
            Self::Disk(store) => store.next_epoch(),
            Self::Needless | Self::Closed => stopped(),
        }
    }
}

fn stopped<T>() -> io::Result<T> {
    Err(io::Error::other("the server is stopping"))
}

/// Rounded up: who waits a lease out must not wait too short.
fn millis(lease: Duration) -> u64 {
    u64::try_from(lease.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX)
}

fn read(path: &Path) -> Result<Option<State>, StartError> {
    let text = match fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => {
            return Err(StartError::DataDir {
                path: path.into(),
                source: error,
            });
        }
    };
    let state: State =
        serde_json::from_slice(&text).map_err(|error| damaged(path, error.to_string()))?;
    if state.format != FORMAT {
        let what = format!(
            "its format is {}, and this server knows {FORMAT} only",
            state.format
        );
        return Err(damaged(path, what));
    }
    if state.epoch == 0 {
        return Err(damaged(path, "its epoch is 0".into()));
    }
    let trusted = Duration::from_millis(state.lease_ms);
    if !(LEASE_MIN..=LEASE_MAX).contains(&trusted) {
        // Else the start would wait for it, perhaps for years.
        let what = format!("its lease of {} ms is none", state.lease_ms);
        return Err(damaged(path, what));
    }
    Ok(Some(state))
}

fn damaged(path: &Path, what: String) -> StartError {
    StartError::DataDamaged {
        path: path.into(),
        what,
    }
}

/// The first epoch of an empty directory: the minutes since 2020. So a server whose directory was lost starts
/// above its past, unless it had more than one epoch a minute.
pub(crate) fn first_epoch() -> u32 {
    let since = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    let minutes = since.as_secs().saturating_sub(SECONDS_TO_2020) / 60;
    u32::try_from(minutes).unwrap_or(u32::MAX / 2).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEASE: Duration = Duration::from_secs(15);

    fn open(dir: &Path, lease: Duration) -> (Store, Option<Duration>) {
        Store::open(dir, lease).expect("usable")
    }

    #[test]
    fn every_start_has_a_later_epoch() {
        let dir = tempfile::tempdir().expect("a directory");
        let first = open(dir.path(), LEASE).0.epoch();
        let second = open(dir.path(), LEASE).0.epoch();
        assert!(first > 3_000_000 && second == first + 1);
    }

    #[test]
    fn a_start_waits_only_if_something_was_lent_and_not_all_came_back() {
        let dir = tempfile::tempdir().expect("a directory");
        let (mut store, trusted) = open(dir.path(), LEASE);
        assert_eq!(trusted, None);
        store.set_lent().expect("written");
        drop(store);
        let (mut store, trusted) = open(dir.path(), LEASE);
        assert_eq!(trusted, Some(LEASE));
        store.set_all_back().expect("written");
        drop(store);
        assert_eq!(open(dir.path(), LEASE).1, None);
    }

    #[test]
    fn a_shorter_lease_does_not_shorten_the_wait_for_loans_under_the_longer_one() {
        let dir = tempfile::tempdir().expect("a directory");
        open(dir.path(), LEASE).0.set_lent().expect("written");
        let short = Duration::from_secs(2);
        assert_eq!(open(dir.path(), short).1, Some(LEASE));
        assert_eq!(
            open(dir.path(), short).1,
            Some(LEASE),
            "and again, after a start in between"
        );
    }

    #[test]
    fn a_second_server_is_refused() {
        let dir = tempfile::tempdir().expect("a directory");
        let _first = open(dir.path(), LEASE);
        let second = Store::open(dir.path(), LEASE);
        assert!(matches!(second, Err(StartError::DataDirInUse { .. })));
    }

    #[test]
    fn a_directory_is_free_again_though_a_child_that_is_being_started_has_a_copy_of_its_lock() {
        let dir = tempfile::tempdir().expect("a directory");
        let first = open(dir.path(), LEASE).0;
        let _copy = first._lock.0.try_clone().expect("a descriptor");
        drop(first);
        assert!(Store::open(dir.path(), LEASE).is_ok());
    }

    #[test]
    fn a_lease_is_noted_rounded_up() {
        let dir = tempfile::tempdir().expect("a directory");
        let lease = LEASE + Duration::from_nanos(1);
        let mut store = open(dir.path(), lease).0;
        store.set_lent().expect("written");
        drop(store);
        let trusted = open(dir.path(), LEASE).1;
        assert!(trusted.is_some_and(|trusted| trusted >= lease));
    }

    #[test]
    fn after_a_note_that_failed_nothing_is_taken_to_be_on_disk() {
        let dir = tempfile::tempdir().expect("a directory");
        let data = dir.path().join("data");
        let mut store = open(&data, LEASE).0;
        store.set_lent().expect("written");
        fs::remove_dir_all(&data).expect("removed");
        store.set_all_back().expect_err("there is no directory");
        store.set_lent().expect_err("there is none yet");
        fs::create_dir(&data).expect("made");
        store.set_lent().expect("written");
        let on_disk = read(&data.join(STATE)).expect("sound").expect("there");
        assert!(on_disk.lent);
    }

    #[test]
    fn a_state_that_no_server_writes_is_damaged() {
        for (epoch, lease_ms) in [(0, 15_000), (7, u64::MAX), (7, 999)] {
            let dir = tempfile::tempdir().expect("a directory");
            let text =
                format!("{{\"format\":1,\"epoch\":{epoch},\"lease_ms\":{lease_ms},\"lent\":true}}");
            fs::write(dir.path().join(STATE), text).expect("written");
            let refused = Store::open(dir.path(), LEASE);
            assert!(
                matches!(refused, Err(StartError::DataDamaged { .. })),
                "epoch {epoch}, lease {lease_ms} ms"
            );
        }
    }

    #[test]
    fn a_damaged_state_is_refused_and_left_alone() {
        let dir = tempfile::tempdir().expect("a directory");
        fs::write(dir.path().join(STATE), b"{\"format\": 1, \"ep").expect("written");
        let refused = Store::open(dir.path(), LEASE);
        assert!(matches!(refused, Err(StartError::DataDamaged { .. })));
        assert_eq!(
            fs::read(dir.path().join(STATE)).expect("there"),
            b"{\"format\": 1, \"ep"
        );
    }
}
