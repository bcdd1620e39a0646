//! The boundaries between crates: what the core and the lock types may depend on.
//!
//! The core decides and never acts: without a runtime, a socket, a clock or a source of randomness among its
//! dependencies it cannot do otherwise. The standard library's clocks and hash maps are refused by
//! `rm-core/clippy.toml`. Code under loom has a second reason: a dependency that synchronises by itself would be
//! invisible to the models.

use std::collections::BTreeSet;

use crate::cargo::Cargo;
use crate::workspace::Workspace;

/// All that the core links, its dependencies' dependencies included. Whoever adds a row says in the change why
/// the core stays free of I/O, time, randomness and hidden synchronisation.
const CORE: [&str; 18] = [
    // `sha2`, and what it links: a hash that nobody can turn round, by which a session is known to be its run's own
    // (`session/ticket.rs`). Arithmetic on bytes; all that it looks at beside them is which instructions there are.
    "block-buffer",
    "cfg-if",
    "cpufeatures",
    "crossbeam-utils",
    "crypto-common",
    "digest",
    "generic-array",
    // A table without a hasher: the core gives it the hashes, so its order is the same in every run.
    "hashbrown",
    "once_cell",
    "pin-project-lite",
    "sha2",
    "slab",
    "smallvec",
    "thiserror",
    "tracing",
    "tracing-core",
    "typenum",
    "xxhash-rust",
];

/// The crates held to that list. A lock type knows the core and nothing of the network.
const PURE: [&str; 3] = ["rm-core", "rm-rwlock", "rm-types"];

/// Fails, naming what is too much, when a pure crate links something else than it may.
pub(crate) fn run(workspace: &Workspace) -> Result<(), String> {
    let mut complaints = Vec::new();
    for package in PURE {
        // Macros run at compile time and link nothing into the crate.
        let tree = [
            "tree",
            "--package",
            package,
            "--edges",
            "normal,no-proc-macro",
            "--prefix",
            "none",
        ];
        let linked = Cargo::new(workspace, tree).output()?;
        let excess = excess(package, &linked);
        println!(
            "{package}: {} crates linked, {} too many",
            names(&linked).len(),
            excess.len()
        );
        complaints.extend(
            excess
                .iter()
                .map(|name| format!("{package} must not link `{name}`")),
        );
    }
    if complaints.is_empty() {
        return Ok(());
    }
    Err(format!(
        "{}: take it out, or make the case for it in xtask/src/purity.rs",
        complaints.join(", ")
    ))
}

/// The names in a dependency tree printed without indentation, one `name vVERSION ..` per line.
fn names(tree: &str) -> BTreeSet<&str> {
    tree.lines()
        .filter_map(|line| line.split_whitespace().next())
        .collect()
}

fn excess<'t>(package: &str, tree: &'t str) -> Vec<&'t str> {
    let allowed = |name: &str| name == package || name == "rm-core" || CORE.contains(&name);
    names(tree)
        .into_iter()
        .filter(|name| !allowed(name))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_runtime_in_the_tree_of_the_core_is_refused() {
        let tree = "rm-core v0.1.0 (/x/rm-core)\nslab v0.4.12\ntokio v1.54.1\nmio v1.0.0\nslab v0.4.12 (*)\n";
        assert_eq!(excess("rm-core", tree), ["mio", "tokio"]);
    }

    #[test]
    fn a_lock_type_may_link_the_core_but_not_the_network() {
        let tree = "rm-rwlock v0.1.0\nrm-core v0.1.0\nsmallvec v1.16.5\nrm-net v0.1.0\n";
        assert_eq!(excess("rm-rwlock", tree), ["rm-net"]);
        let tree = tree.replace("rm-rwlock", "rm-types");
        assert_eq!(excess("rm-types", &tree), ["rm-net"]);
    }
}
