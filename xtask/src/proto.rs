//! Makes the Rust structs of the wire from the schemas in `rm-net/proto`.
//!
//! The structs are committed, so that building the product needs neither this nor a protobuf compiler. The
//! compiler used here is plain Rust and comes with cargo. A test refuses a committed file that is not what
//! the schema gives.

use std::fs;
use std::path::{Path, PathBuf};

/// Each schema, and the file that is made from it.
const SCHEMAS: [(&str, &str); 2] = [
    ("rm-net/proto/rm.proto", "rm-net/src/wire/generated.rs"),
    (
        "rm-net/proto/etcd.proto",
        "rm-net/src/coordinator/generated.rs",
    ),
];

/// Writes the structs; with `check` only says whether the committed ones are what the schemas give.
pub(crate) fn run(check: bool) -> Result<(), String> {
    for (schema, generated) in SCHEMAS {
        let path = root().join(generated);
        let fresh = generate(schema)?;
        let unusable = |error| format!("{}: {error}", path.display());
        if !check {
            fs::write(&path, fresh).map_err(unusable)?;
        } else if fs::read_to_string(&path).map_err(unusable)? != fresh {
            return Err(format!(
                "{generated} is not what {schema} gives: run `cargo xtask proto`"
            ));
        }
    }
    Ok(())
}

fn generate(name: &str) -> Result<String, String> {
    let schema = root().join(name);
    let folder = schema.parent().unwrap_or(Path::new("."));
    let descriptors =
        protox::compile([&schema], [folder]).map_err(|error| format!("{name}: {error}"))?;
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
        .map_err(|error| format!("{name}: {error}"))?;
    let code: String = files.into_values().collect();
    let file = name.trim_start_matches("rm-net/");
    Ok(format!(
        "// Made from {file} by `cargo xtask proto`: edit that instead.\n\n{code}"
    ))
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
