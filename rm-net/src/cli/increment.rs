//! Adds one to the number in a file, as the command of `rmctl lock` in tests: it is started thousands of times, and
//! starting a shell for it would take most of the time.
//!
//! It reads, then replaces the file by a new one: whole at any moment, also where it is killed, but an increment that
//! runs at the same time is lost. The fencing token goes into the file beside the number, and must rise.

use std::fs;
use std::io;
use std::path::Path;

use crate::cli::exit::{Exit, Failure};

pub(crate) fn run(file: &Path) -> Result<Exit, Failure> {
    let fence = std::env::var("RM_FENCE").ok();
    let fence: Option<u64> = fence.and_then(|fence| fence.parse().ok());
    let fence =
        fence.ok_or_else(|| wrong("RM_FENCE has no token: it must run under rmctl lock"))?;
    let text = fs::read_to_string(file).map_err(|error| unusable(&error))?;
    let (number, last) = parse(&text).ok_or_else(|| wrong("the file is torn"))?;
    if fence <= last {
        return Err(wrong(&format!("token {fence} came after token {last}")));
    }
    let new = file.with_extension(format!("{fence}"));
    let replaced = fs::write(&new, format!("{} {fence}\n", number + 1));
    let replaced = replaced.and_then(|()| fs::rename(&new, file));
    replaced.map_err(|error| unusable(&error))?;
    Ok(Exit::OK)
}

/// The number, and the token it was written with.
fn parse(text: &str) -> Option<(u64, u64)> {
    let (number, fence) = text.strip_suffix('\n')?.split_once(' ')?;
    Some((number.parse().ok()?, fence.parse().ok()?))
}

fn wrong(what: &str) -> Failure {
    Failure::new(Exit::VIOLATED, what)
}

fn unusable(error: &io::Error) -> Failure {
    Failure::system("cannot use the file", error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_torn_file_is_found() {
        assert_eq!(parse("7 3\n"), Some((7, 3)));
        for torn in ["", "7", "7 3", "7 \n", "x 3\n"] {
            assert_eq!(parse(torn), None, "{torn:?}");
        }
    }
}
