//! Makes the Rust structs of the wire from `rm-net/proto/rm.proto`.
//!
//! The structs are committed, so that building the product needs neither this nor a protobuf compiler. The
//! compiler used here is plain Rust and comes with cargo. A test refuses a committed file that is not what
//! the schema gives.

use std::fs;
use std::path::{Path, PathBuf};

const SCHEMA: &str = "rm-net/proto/rm.proto";
const GENERATED: &str = "rm-net/src/wire/generated.rs";
const HEADER: &str = "// Made from proto/rm.proto by `cargo xtask proto`: edit that instead.\n\n";

/// Writes the structs; with `check` only says whether the committed ones are what the schema gives.
pub(crate) fn run(check: bool) -> Result<(), String> {
    let path = root().join(GENERATED);
    let fresh = generate()?;
    if check {
        let committed =
            fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        return if committed == fresh {
            Ok(())
        } else {
            Err(format!(
                "{GENERATED} is not what {SCHEMA} gives: run `cargo xtask proto`"
            ))
        };
    }
    fs::write(&path, fresh).map_err(|error| format!("{}: {error}", path.display()))
}

fn generate() -> Result<String, String> {
    let schema = root().join(SCHEMA);
    let folder = schema.parent().unwrap_or(Path::new("."));
    let descriptors =
        protox::compile([&schema], [folder]).map_err(|error| format!("{SCHEMA}: {error}"))?;
    let mut config = prost_build::Config::new();
    // Slices of the frame instead of copies.
    config.bytes(["."]);
    let modules = descriptors
        .file
        .into_iter()
        .map(|file| {
            (
                prost_build::Module::from_protobuf_package_name(file.package()),
                file,
            )
        })
        .collect();
    let files = config
        .generate(modules)
        .map_err(|error| format!("{SCHEMA}: {error}"))?;
    let code: String = files.into_values().collect();
    Ok(format!("{HEADER}{code}"))
}

/// The folder of the workspace.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_committed_structs_are_what_the_schema_gives() {
        assert_eq!(super::run(true), Ok(()));
    }
}
