//! Where things are: the root of the source tree and the folder for build output.

use std::env;
use std::path::{Path, PathBuf};

/// The source tree that the task works on.
#[derive(Debug)]
pub(crate) struct Workspace {
    root: PathBuf,
    target: PathBuf,
}

impl Workspace {
    /// Finds the tree from what `cargo run` says about this program, so a task works from any folder within it.
    pub(crate) fn locate() -> Result<Self, String> {
        let manifest = env::var_os("CARGO_MANIFEST_DIR")
            .ok_or("start this program as `cargo xtask`, so that it knows its tree")?;
        let root = Path::new(&manifest)
            .parent()
            .ok_or("the xtask crate must lie in a folder of the workspace")?
            .canonicalize()
            .map_err(|error| {
                format!(
                    "cannot find the workspace of {}: {error}",
                    manifest.display()
                )
            })?;
        // Cargo reads a relative folder from where it was started; the tasks start it in the root.
        let target = match env::var_os("CARGO_TARGET_DIR") {
            Some(folder) => {
                std::path::absolute(folder).map_err(|error| format!("CARGO_TARGET_DIR: {error}"))?
            }
            None => root.join("target"),
        };
        Ok(Self { root, target })
    }

    /// The folder that holds the workspace's `Cargo.toml`.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// A folder for build output made under other rules than the normal build's, which it must not disturb.
    pub(crate) fn target(&self, purpose: &str) -> PathBuf {
        self.target.join(purpose)
    }
}
