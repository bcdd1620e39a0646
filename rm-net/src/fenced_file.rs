//! A file that refuses writers who come too late: the rule of [`rm_rwlock::fencing`] for files.
//!
//! Three names stand beside each other in one directory:
//!
//! * `NAME`: the content. Whole at any time, and any program may read it.
//! * `NAME.fence`: the [`Mark`], the highest token that wrote.
//! * `NAME.lock`: locked (`flock`) while a writer compares and replaces. Never replaced itself: a lock on a file that
//!   was renamed away keeps nobody out.
//!
//! A write goes in this order, and each step is on disk before the next:
//!
//! 1. lock; read the mark, and compare;
//! 2. the new content, under a name of its own;
//! 3. the new mark, renamed to `NAME.fence`, unless it is the same;
//! 4. the new content, renamed to `NAME`.
//!
//! A process that dies after 1 or 2 has changed nothing. After 3 the mark is raised and the content is the old one:
//! older holds are refused, the same hold and later ones are not. What it leaves behind under other names, the next
//! writer overwrites. The mark rises *before* the content, so no content was ever written under a token above the mark.
//!
//! That is also why a reader needs no lock: it reads the content, then the mark. If the mark admits it, so would the
//! one have that belongs to the content.
//!
//! Nobody waits. Who finds the file locked gets [`FencedFileError::Busy`]: live holders are kept apart by the lock that
//! the token comes from, so the other one is a holder that was lost, and it may have been stopped for hours.
//!
//! The content is a new file each time, with the permissions of one. It is for local file systems. Over a network, a server may drop the `flock` of a client that it lost sight of.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use rm_rwlock::fencing::{Mark, Refused};
use rustix::fs::{FlockOperation, flock};
use thiserror::Error;

/// The longest mark: twenty digits and the end of the line.
const MARK_BYTES_MAX: u64 = 21;

/// A file that is written under fencing tokens, and replaced as a whole.
///
/// Its calls are for threads that may wait for the disk; in a task, use `tokio::task::spawn_blocking`.
///
/// ```
/// # let dir = tempfile::tempdir()?;
/// # let path = dir.path().join("volumes.json");
/// use rm_net::fenced_file::{FencedFile, FencedFileError};
///
/// let file = FencedFile::new(&path)?;
/// file.write(105, b"{}")?;
/// assert!(matches!(file.write(101, b"late"), Err(FencedFileError::Refused { .. })));
/// assert_eq!(file.read(106)?.as_deref(), Some(&b"{}"[..]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct FencedFile {
    content: PathBuf,
    mark: PathBuf,
    lock: PathBuf,
    /// Where it all is; synced when a name in it has changed.
    dir: PathBuf,
}

/// How far a write has come. Each step is on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Admitted,
    ContentStaged,
    MarkStaged,
    MarkRaised,
    Replaced,
}

/// Told of each step; an error ends the write there, as if the process had died.
type Hook<'a> = &'a mut dyn FnMut(Step) -> io::Result<()>;

impl FencedFile {
    /// The file at that path, which need not exist yet; its directory must. Touches nothing.
    ///
    /// # Errors
    /// [`FencedFileError::NoName`] if the path ends in no file name.
    pub fn new(path: impl AsRef<Path>) -> Result<Self, FencedFileError> {
        let path = path.as_ref();
        let no_name = || FencedFileError::NoName { path: path.into() };
        let name = path.file_name().ok_or_else(no_name)?;
        let dir = match path.parent().ok_or_else(no_name)? {
            here if here.as_os_str().is_empty() => Path::new("."),
            dir => dir,
        };
        Ok(Self {
            content: dir.join(name),
            mark: dir.join(with(name.into(), ".fence")),
            lock: dir.join(with(name.into(), ".lock")),
            dir: dir.into(),
        })
    }

    /// The content, unless a later hold has written; `None` if nobody has written any. The mark stays as it is.
    ///
    /// # Errors
    /// [`FencedFileError`].
    pub fn read(&self, token: u64) -> Result<Option<Vec<u8>>, FencedFileError> {
        // In this order: see above.
        let content = found(fs::read(&self.content)).map_err(at(&self.content))?;
        let admitted = self.mark()?.admit_read(token);
        admitted.map_err(|refused| self.refused(refused))?;
        Ok(content)
    }

    /// Replaces the content under a writer's token. On disk when it returns.
    ///
    /// # Errors
    /// [`FencedFileError`]. After [`Io`](FencedFileError::Io) the content is the old or the new one, and never a mixture; to
    /// write it again under the same token is right.
    pub fn write(&self, token: u64, content: &[u8]) -> Result<(), FencedFileError> {
        self.replace(token, Some(content), &mut |_| Ok(()))
    }

    /// Raises the mark and leaves the content: from here on, no older hold writes. For a holder that reads first, and
    /// acts on what it reads. On disk when it returns.
    ///
    /// # Errors
    /// [`FencedFileError`].
    pub fn raise_mark(&self, token: u64) -> Result<(), FencedFileError> {
        self.replace(token, None, &mut |_| Ok(()))
    }

    /// The highest token that wrote.
    ///
    /// # Errors
    /// [`FencedFileError::Io`], [`FencedFileError::Damaged`].
    pub fn mark(&self) -> Result<Mark, FencedFileError> {
        let Some(file) = found(File::open(&self.mark)).map_err(at(&self.mark))? else {
            return Ok(Mark::NONE);
        };
        let mut text = String::new();
        // One more than is right, to see that there is more.
        match file.take(MARK_BYTES_MAX + 1).read_to_string(&mut text) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::InvalidData => return Err(self.damaged()),
            Err(error) => return Err(at(&self.mark)(error)),
        }
        let digits = text.strip_suffix('\n').ok_or_else(|| self.damaged())?;
        let highest = digits.parse().map_err(|_| self.damaged())?;
        Mark::stored(highest).map_err(|_| self.damaged())
    }

    fn replace(
        &self,
        token: u64,
        content: Option<&[u8]>,
        reached: Hook<'_>,
    ) -> Result<(), FencedFileError> {
        let _locked = self.lock()?;
        let former = self.mark()?;
        let mark = former.admit_write(token);
        let mark = mark.map_err(|refused| self.refused(refused))?;
        self.replace_locked(former, mark, content, reached)
            .map_err(at(&self.content))
    }

    /// Steps 2 to 4. The caller has compared, and holds the lock.
    fn replace_locked(
        &self,
        former: Mark,
        mark: Mark,
        content: Option<&[u8]>,
        reached: Hook<'_>,
    ) -> io::Result<()> {
        reached(Step::Admitted)?;
        if let Some(content) = content {
            stage(&self.content, content)?;
            reached(Step::ContentStaged)?;
        }
        if mark != former {
            stage(&self.mark, format!("{}\n", mark.highest()).as_bytes())?;
            reached(Step::MarkStaged)?;
            fs::rename(staged(&self.mark), &self.mark)?;
        }
        // In any case: the same hold may have raised it before, and died, or failed to get it to disk.
        self.sync_names()?;
        reached(Step::MarkRaised)?;
        if content.is_some() {
            fs::rename(staged(&self.content), &self.content)?;
            self.sync_names()?;
            reached(Step::Replaced)?;
        }
        Ok(())
    }

    fn sync_names(&self) -> io::Result<()> {
        File::open(&self.dir)?.sync_all()
    }

    fn lock(&self) -> Result<Locked, FencedFileError> {
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&self.lock)
            .map_err(at(&self.lock))?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Locked(file)),
            Err(rustix::io::Errno::WOULDBLOCK) => Err(FencedFileError::Busy {
                path: self.content.clone(),
                lock: self.lock.clone(),
            }),
            Err(errno) => Err(at(&self.lock)(errno.into())),
        }
    }

    fn refused(&self, why: Refused) -> FencedFileError {
        FencedFileError::Refused {
            path: self.content.clone(),
            why,
        }
    }

    fn damaged(&self) -> FencedFileError {
        FencedFileError::Damaged {
            path: self.mark.clone(),
        }
    }
}

/// The lock, until dropped.
struct Locked(File);

impl Drop for Locked {
    /// Closing the file would not do: a process that another thread is just starting has a copy of it until it runs its
    /// program, and the lock would last as long.
    fn drop(&mut self) {
        // If it fails, closing the file is what is left.
        let _ = flock(&self.0, FlockOperation::Unlock);
    }
}

/// Writes and syncs what is to be renamed to `path`.
fn stage(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::create(staged(path))?;
    file.write_all(bytes)?;
    file.sync_all()
}

fn staged(path: &Path) -> PathBuf {
    with(path.into(), ".new").into()
}

fn with(mut name: OsString, ending: &str) -> OsString {
    name.push(ending);
    name
}

/// What was read, if there is such a file.
fn found<T>(outcome: io::Result<T>) -> io::Result<Option<T>> {
    match outcome {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> FencedFileError {
    move |source| FencedFileError::Io {
        path: path.into(),
        source,
    }
}

/// Why a fenced file was not read or written.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum FencedFileError {
    /// Another process compares and replaces at this moment, or was stopped while it did. Nothing was written.
    #[error(
        "{} is being written by another process, or one that was stopped while it wrote: try again, or see who has \
         {} open and end it", path.display(), lock.display()
    )]
    Busy {
        /// The file.
        path: PathBuf,
        /// What is locked.
        lock: PathBuf,
    },
    /// The mark is unreadable, and without it nobody knows who wrote last. Nothing was written.
    #[error(
        "{} is damaged: write into it, as one line, an odd number above the tokens of all holds so far, such as that of \
         a guard taken now to write", path.display()
    )]
    Damaged {
        /// The file with the mark.
        path: PathBuf,
    },
    /// The disk or the directory does not allow it.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The path does not name a file.
    #[error("{} names no file: give the path of one, in a directory that exists", path.display())]
    NoName {
        /// The path.
        path: PathBuf,
    },
    /// The token does not allow it. Nothing was written.
    #[error("{}: {why}", path.display())]
    Refused {
        /// The file.
        path: PathBuf,
        /// Why.
        why: Refused,
    },
}

#[cfg(test)]
mod tests;
