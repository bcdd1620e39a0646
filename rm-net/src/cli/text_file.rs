//! Files of text that people write: settings, rules. One that is too large was meant for somebody else.

use std::fmt::Display;
use std::io::Read as _;
use std::path::Path;

use super::exit::{Exit, Failure};

/// The most bytes of such a file.
pub(crate) const FILE_BYTES_MAX: u64 = 1 << 20;

/// All of it. `what` is in it, and `hint` says how to name another.
///
/// # Errors
/// Where it cannot be read, is no text, or is too large.
pub(crate) fn read(path: &Path, what: &str, hint: &str) -> Result<String, Failure> {
    let unreadable = |error: &dyn Display| {
        let error = format_args!("cannot read the {what} in {}: {error}", path.display());
        Failure::new(Exit::CONFIG, error).hint(hint)
    };
    let file = std::fs::File::open(path).map_err(|error| unreadable(&error))?;
    let mut text = String::new();
    let read = file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text);
    if read.map_err(|error| unreadable(&error))? as u64 > FILE_BYTES_MAX {
        return Err(unreadable(&format_args!(
            "it has more than {FILE_BYTES_MAX} bytes"
        )));
    }
    Ok(text)
}
