//! The rules of `deny.toml` on what may be linked.
//!
//! `cargo deny` checks them all, but takes many minutes to build. So the rules that need no network are checked
//! here, from the same file: licences, sources, pre-releases, wildcards, bans. The real `cargo deny` runs as well
//! where it is installed; where it is not, the closing summary says what went unchecked.

use std::path::Path;

use serde_json::Value;
use spdx::{Expression, Licensee, ParseMode};

use crate::cargo::Cargo;
use crate::report::Report;
use crate::workspace::Workspace;

const CRATES_IO: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// Checks every crate in the lock file against `deny.toml`.
pub(crate) fn run(workspace: &Workspace, report: &mut Report) -> Result<(), String> {
    let file = workspace.root().join("deny.toml");
    let text = std::fs::read_to_string(&file)
        .map_err(|error| format!("cannot read {}: {error}", file.display()))?;
    let rules = Rules::parse(&text).map_err(|reason| format!("{}: {reason}", file.display()))?;

    let metadata = [
        "metadata",
        "--format-version",
        "1",
        "--all-features",
        "--locked",
    ];
    let metadata = Cargo::new(workspace, metadata).output()?;
    let metadata: Value =
        serde_json::from_str(&metadata).map_err(|error| format!("cargo metadata: {error}"))?;
    let packages = metadata["packages"]
        .as_array()
        .ok_or("cargo metadata names no packages")?;
    let complaints: Vec<String> = packages
        .iter()
        .flat_map(|package| rules.complaints(package, workspace.root()))
        .collect();
    println!(
        "{} crates, {} against the rules of deny.toml",
        packages.len(),
        complaints.len()
    );
    if !complaints.is_empty() {
        return Err(complaints.join("\n       "));
    }

    if Cargo::new(workspace, ["deny", "--version"]).succeeds() {
        return Cargo::new(workspace, ["deny", "check"]).run(report);
    }
    report.unchecked.push(
        "security advisories and yanked crates, as cargo-deny is missing (cargo install --locked cargo-deny)".into(),
    );
    Ok(())
}

/// The part of `deny.toml` that is checked here.
#[derive(Debug)]
struct Rules {
    licences: Vec<Licensee>,
    banned: Vec<(String, String)>,
}

impl Rules {
    fn parse(text: &str) -> Result<Self, String> {
        let table: toml::Table = text.parse().map_err(|error| format!("{error}"))?;
        let list = |section: &str, key: &str| {
            let value = table.get(section).and_then(|section| section.get(key));
            value
                .and_then(toml::Value::as_array)
                .ok_or(format!("[{section}] has no list `{key}`"))
        };
        let mut rules = Self {
            licences: Vec::new(),
            banned: Vec::new(),
        };
        for licence in list("licenses", "allow")? {
            let name = licence
                .as_str()
                .ok_or(format!("{licence:?} is not a licence"))?;
            rules
                .licences
                .push(Licensee::parse(name).map_err(|error| format!("licence {name:?}: {error}"))?);
        }
        for ban in list("bans", "deny")? {
            let text = |key: &str| {
                ban.get(key)
                    .and_then(toml::Value::as_str)
                    .map(str::to_owned)
            };
            let (Some(name), Some(reason)) = (text("crate"), text("reason")) else {
                return Err(format!("a ban needs a `crate` and a `reason`: {ban:?}"));
            };
            rules.banned.push((name, reason));
        }
        Ok(rules)
    }

    /// What speaks against one package of `cargo metadata`.
    fn complaints(&self, package: &Value, root: &Path) -> Vec<String> {
        let name = package["name"].as_str().unwrap_or("?");
        let version = package["version"].as_str().unwrap_or("?");
        let from_crates_io = package["source"].as_str() == Some(CRATES_IO);
        let ours = package["source"].is_null()
            && package["manifest_path"]
                .as_str()
                .is_some_and(|path| Path::new(path).starts_with(root));

        let mut complaints = Vec::new();
        let mut refuse = |reason: String| complaints.push(format!("{name} {version}: {reason}"));
        if let Err(reason) = self.licence_allowed(package["license"].as_str()) {
            refuse(reason);
        }
        if !from_crates_io && !ours {
            refuse("comes from outside crates.io and this workspace".into());
        }
        if is_prerelease(version) {
            refuse("is a pre-release: depend on a released version".into());
        }
        if let Some((_, reason)) = self.banned.iter().find(|(banned, _)| banned == name) {
            refuse(format!("is banned: {reason}"));
        }
        if ours {
            for wildcard in wildcards(package) {
                refuse(format!(
                    "takes any version of `{wildcard}`: name the one it needs"
                ));
            }
        }
        complaints
    }

    fn licence_allowed(&self, licence: Option<&str>) -> Result<(), String> {
        let Some(licence) = licence else {
            return Err("states no licence".into());
        };
        // Older crates write `MIT/Apache-2.0`.
        let expression = Expression::parse_mode(licence, ParseMode::LAX)
            .map_err(|error| format!("licence {licence:?} cannot be read: {}", error.reason))?;
        let allowed = expression.evaluate(|needed| {
            self.licences
                .iter()
                .any(|allowed| allowed.satisfies(needed))
        });
        if allowed {
            Ok(())
        } else {
            Err(format!("licence {licence:?} is not among those allowed"))
        }
    }
}

/// Whether a version names a pre-release: a `-` before the build metadata, which may hold one of its own.
fn is_prerelease(version: &str) -> bool {
    version
        .split('+')
        .next()
        .is_some_and(|release| release.contains('-'))
}

/// The dependencies that a package takes in any version; a path within the workspace is exact enough.
fn wildcards(package: &Value) -> Vec<&str> {
    let dependencies = package["dependencies"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    let any = dependencies
        .iter()
        .filter(|dependency| dependency["req"] == "*" && dependency["path"].is_null());
    any.filter_map(|dependency| dependency["name"].as_str())
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const DENY: &str = r#"
        [licenses]
        allow = ["MIT", "Apache-2.0", "Unicode-3.0"]
        [bans]
        deny = [{ crate = "cmake", reason = "only cargo" }]
    "#;

    fn complaints(package: &Value) -> Vec<String> {
        Rules::parse(DENY)
            .expect("the rules above are well-formed")
            .complaints(package, Path::new("/tree"))
    }

    fn released() -> Value {
        json!({"name": "a", "version": "1.0.0", "source": CRATES_IO, "license": "MIT/Apache-2.0",
               "dependencies": [{"name": "b", "req": "*", "path": null}]})
    }

    #[test]
    fn a_released_crate_with_an_allowed_licence_passes() {
        assert_eq!(complaints(&released()), Vec::<String>::new());
    }

    #[test]
    fn a_licence_passes_only_if_all_that_it_demands_is_allowed() {
        for (licence, passes) in [
            ("MIT OR GPL-3.0-only", true),
            ("(MIT OR Apache-2.0) AND Unicode-3.0", true),
            ("MIT AND GPL-3.0-only", false),
            ("Apache-2.0 WITH LLVM-exception", false),
            ("GPL-3.0-only", false),
            ("no such licence", false),
        ] {
            let mut package = released();
            package["license"] = licence.into();
            assert_eq!(complaints(&package).is_empty(), passes, "{licence}");
        }
    }

    #[test]
    fn a_crate_without_a_licence_is_refused() {
        let mut package = released();
        package["license"] = Value::Null;
        assert_eq!(complaints(&package), ["a 1.0.0: states no licence"]);
    }

    #[test]
    fn a_crate_from_git_or_from_a_path_outside_is_refused() {
        let mut package = released();
        package["source"] = "git+https://example.org/a".into();
        assert_eq!(complaints(&package).len(), 1);
        package["source"] = Value::Null;
        package["manifest_path"] = "/elsewhere/Cargo.toml".into();
        assert_eq!(complaints(&package).len(), 1);
    }

    #[test]
    fn a_pre_release_is_refused_and_build_metadata_is_not() {
        for (version, passes) in [("2.0.0-beta.4", false), ("1.2.1+spec-1.1.0", true)] {
            let mut package = released();
            package["version"] = version.into();
            assert_eq!(complaints(&package).is_empty(), passes, "{version}");
        }
    }

    #[test]
    fn a_banned_crate_is_refused_with_the_reason() {
        let mut package = released();
        package["name"] = "cmake".into();
        assert_eq!(complaints(&package), ["cmake 1.0.0: is banned: only cargo"]);
    }

    #[test]
    fn a_wildcard_is_refused_in_our_own_crates() {
        let mut package = released();
        package["source"] = Value::Null;
        package["manifest_path"] = "/tree/a/Cargo.toml".into();
        assert_eq!(
            complaints(&package),
            ["a 1.0.0: takes any version of `b`: name the one it needs"]
        );
    }

    #[test]
    fn rules_without_a_list_of_licences_are_an_error_and_not_an_empty_rule() {
        let error = Rules::parse("[bans]\ndeny = []").expect_err("there is no list of licences");
        assert_eq!(error, "[licenses] has no list `allow`");
    }
}
