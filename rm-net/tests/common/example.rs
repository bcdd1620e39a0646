//! Programs of `examples/`, for tests that run them.

use std::path::PathBuf;
use std::process::Command;

/// A program of `examples/`. A whole `cargo test` has built it beside the tests; one of a single test has not.
pub(crate) fn example(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("a program");
    let folder = test.ancestors().nth(2).expect("the profile's folder");
    let program = folder.join("examples").join(name);
    if !program.exists() {
        let profile = match folder.file_name().and_then(|name| name.to_str()) {
            Some("debug") | None => "dev",
            Some(profile) => profile,
        };
        let built = Command::new(env!("CARGO"))
            .args(["build", "--quiet", "--example", name, "--profile", profile])
            .args([
                "--manifest-path",
                concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"),
            ])
            .arg("--target-dir")
            .arg(folder.parent().expect("the target folder"))
            .status();
        assert!(built.expect("cargo runs").success(), "{name} is built");
    }
    program
}
