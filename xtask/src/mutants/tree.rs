//! A copy of the source tree that can be patched and restored.
//!
//! Invariant after [`Tree::restore`]: the copy holds exactly the files that git tracks or would track, with the
//! contents they have in the source tree. Files that are right already are not touched, since cargo rebuilds by date.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The source tree and its copy.
#[derive(Debug)]
pub(crate) struct Tree {
    source: PathBuf,
    root: PathBuf,
}

impl Tree {
    /// A copy of `source` in `root`, which need not exist yet; [`Tree::restore`] fills it.
    pub(crate) fn new(source: &Path, root: PathBuf) -> Self {
        Self {
            source: source.to_owned(),
            root,
        }
    }

    /// The root of the copy.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Makes the copy equal to the source tree, whatever was done to it.
    pub(crate) fn restore(&self) -> Result<(), String> {
        let failed =
            |path: &Path, error: io::Error| format!("cannot copy {}: {error}", path.display());
        let mut wanted = BTreeSet::new();
        for file in self.source_files()? {
            let (from, to) = (self.source.join(&file), self.root.join(&file));
            // Tracked files that were deleted are listed as well.
            if from.is_file() {
                copy_if_different(&from, &to).map_err(|error| failed(&from, error))?;
                wanted.insert(to);
            }
        }
        remove_others(&self.root, &wanted).map_err(|error| failed(&self.root, error))
    }

    /// Applies a patch to the copy and says whether it fitted; git's words about it go to `log`.
    pub(crate) fn apply(&self, patch: &Path, log: &Path) -> Result<bool, String> {
        let unusable =
            |error: io::Error| format!("cannot keep a log in {}: {error}", log.display());
        let file = File::create(log).map_err(unusable)?;
        // The copy lies within the repository's folder, where git would take its paths for ignored ones and skip
        // them in silence. So git must not look above the copy, and finds no repository at all.
        let above = self.root.parent().unwrap_or(&self.root);
        let above = above
            .canonicalize()
            .map_err(|error| format!("cannot find {}: {error}", above.display()))?;
        let status = Command::new("git")
            .current_dir(&self.root)
            .env("GIT_CEILING_DIRECTORIES", above)
            .env_remove("GIT_DIR")
            .env_remove("GIT_WORK_TREE")
            .args(["apply", "--verbose"])
            .arg(patch)
            .stdin(Stdio::null())
            .stdout(file.try_clone().map_err(unusable)?)
            .stderr(file)
            .status()
            .map_err(|error| format!("cannot start git: {error}"))?;
        Ok(status.success())
    }

    /// The files that git tracks or would track, relative to the source tree.
    fn source_files(&self) -> Result<Vec<PathBuf>, String> {
        let output = Command::new("git")
            .current_dir(&self.source)
            .args([
                "ls-files",
                "-z",
                "--cached",
                "--others",
                "--exclude-standard",
            ])
            .stdin(Stdio::null())
            .output()
            .map_err(|error| format!("cannot start git: {error}"))?;
        if !output.status.success() {
            return Err(format!(
                "git cannot list the files: {}",
                String::from_utf8_lossy(&output.stderr).trim()
            ));
        }
        let list = String::from_utf8(output.stdout).map_err(|_| "a file's name is not UTF-8")?;
        Ok(list.split_terminator('\0').map(PathBuf::from).collect())
    }
}

fn copy_if_different(from: &Path, to: &Path) -> io::Result<()> {
    if to.is_file() && fs::read(from)? == fs::read(to)? {
        return Ok(());
    }
    if let Some(folder) = to.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::copy(from, to).map(drop)
}

/// Removes every file under `root` that is not wanted.
fn remove_others(root: &Path, wanted: &BTreeSet<PathBuf>) -> io::Result<()> {
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                folders.push(entry.path());
            } else if !wanted.contains(&entry.path()) {
                fs::remove_file(entry.path())?;
            }
        }
    }
    Ok(())
}
