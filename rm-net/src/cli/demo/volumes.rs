//! Volumes: snapshots are made under read locks of their source, which is deleted under the write lock.
//!
//! As in a volume service: many `create snapshot from volume X` may copy X at once, and `delete X` must not begin before
//! the last of them is done. Here a volume is a file with a checksum; deleting truncates it, removes it and
//! founds it anew, in steps with pauses. Who copies must find the same sound file before and after.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use xxhash_rust::xxh3::xxh3_64;

use super::client::pause;
use super::tally::Wrong;

/// How many volumes there are.
pub(super) const VOLUMES: usize = 4;

const BODY_BYTES: usize = 16 * 1_024;
/// Generation, fencing token and checksum of all else.
const HEADER_BYTES: usize = 24;

/// The lock of a volume.
pub(super) fn lock_name(volume: usize) -> String {
    format!("demo/volume/{volume}")
}

/// Makes all volumes as they are at first.
pub(super) fn found(dir: &Path) -> io::Result<()> {
    (0..VOLUMES).try_for_each(|volume| fs::write(path(dir, volume), image(1, 0)))
}

/// A reader's work: copies `volume` into a file called `snapshot`, checks everything, and removes the copy.
pub(super) async fn create_snapshot(
    dir: &Path,
    volume: usize,
    snapshot: &str,
    fence: Option<u64>,
) -> Result<(), Wrong> {
    let source = path(dir, volume);
    let before = load(&source)?;
    let copy = dir.join(snapshot);
    write_in_steps(&copy, &before.bytes)
        .await
        .map_err(|error| unusable(&copy, &error))?;
    let (after, copied) = (load(&source)?, load(&copy)?);
    fs::remove_file(&copy).map_err(|error| unusable(&copy, &error))?;
    if after.bytes != before.bytes || copied.bytes != before.bytes {
        let what = format!("volume {volume} changed while it was copied");
        return Err(Wrong::Violation(what));
    }
    before.check_fence(volume, fence)
}

/// A writer's work: deletes `volume` and founds it anew.
pub(super) async fn delete(dir: &Path, volume: usize, fence: Option<u64>) -> Result<(), Wrong> {
    let path = path(dir, volume);
    let old = load(&path)?;
    old.check_fence(volume, fence)?;
    let new = image(old.generation + 1, fence.unwrap_or(old.fence));
    let replaced = async {
        let file = fs::OpenOptions::new().write(true).open(&path)?;
        file.set_len(old.bytes.len() as u64 / 2)?;
        pause().await;
        fs::remove_file(&path)?;
        pause().await;
        write_in_steps(&path, &new).await
    };
    replaced.await.map_err(|error| unusable(&path, &error))
}

/// A volume's file, found sound.
#[derive(Debug)]
struct Image {
    bytes: Vec<u8>,
    generation: u64,
    fence: u64,
}

impl Image {
    fn check_fence(&self, volume: usize, fence: Option<u64>) -> Result<(), Wrong> {
        match fence {
            Some(fence) if fence <= self.fence => Err(Wrong::Violation(format!(
                "volume {volume} was written with token {}, and a later lock has {fence}",
                self.fence
            ))),
            _ => Ok(()),
        }
    }
}

fn load(path: &Path) -> Result<Image, Wrong> {
    let bytes = fs::read(path).map_err(|error| unusable(path, &error))?;
    parse(bytes).ok_or_else(|| Wrong::Violation(format!("{} is half deleted", name(path))))
}

fn parse(bytes: Vec<u8>) -> Option<Image> {
    let number = |at: usize| {
        let bytes = bytes.get(at..at + 8)?;
        Some(u64::from_le_bytes(bytes.try_into().ok()?))
    };
    let (generation, fence, sum) = (number(0)?, number(8)?, number(16)?);
    let image = Image {
        generation,
        fence,
        bytes,
    };
    (image.bytes.len() == HEADER_BYTES + BODY_BYTES && sum == checksum(&image.bytes))
        .then_some(image)
}

/// A volume's content: different in each generation.
fn image(generation: u64, fence: u64) -> Vec<u8> {
    let mut bytes = vec![0; HEADER_BYTES + BODY_BYTES];
    bytes[..8].copy_from_slice(&generation.to_le_bytes());
    bytes[8..16].copy_from_slice(&fence.to_le_bytes());
    fastrand::Rng::with_seed(generation).fill(&mut bytes[HEADER_BYTES..]);
    let sum = checksum(&bytes);
    bytes[16..HEADER_BYTES].copy_from_slice(&sum.to_le_bytes());
    bytes
}

/// Of all but itself.
fn checksum(bytes: &[u8]) -> u64 {
    xxh3_64(&bytes[..16]) ^ xxh3_64(&bytes[HEADER_BYTES..]).rotate_left(1)
}

async fn write_in_steps(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = fs::File::create(path)?;
    let (first, second) = bytes.split_at(bytes.len() / 2);
    file.write_all(first)?;
    pause().await;
    file.write_all(second)
}

/// A file that is not there was deleted under our feet; anything else is the system's fault.
fn unusable(path: &Path, error: &io::Error) -> Wrong {
    let what = format!("{}: {error}", name(path));
    match error.kind() {
        io::ErrorKind::NotFound => Wrong::Violation(what),
        _ => Wrong::Failure(what),
    }
}

fn name(path: &Path) -> String {
    path.file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into()
}

fn path(dir: &Path, volume: usize) -> PathBuf {
    dir.join(format!("volume-{volume}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_volume_is_read_as_it_was_written() {
        let image = parse(image(3, 7)).unwrap();
        assert_eq!((image.generation, image.fence), (3, 7));
    }

    #[test]
    fn half_a_volume_and_a_changed_one_are_found() {
        let whole = image(3, 7);
        assert!(parse(whole[..whole.len() / 2].to_vec()).is_none());
        assert!(parse(Vec::new()).is_none());
        for at in [0, 8, 16, HEADER_BYTES, whole.len() - 1] {
            let mut changed = whole.clone();
            changed[at] ^= 1;
            assert!(parse(changed).is_none(), "changed at {at}");
        }
    }

    #[test]
    fn generations_differ() {
        assert_ne!(image(1, 0)[HEADER_BYTES..], image(2, 0)[HEADER_BYTES..]);
    }
}
