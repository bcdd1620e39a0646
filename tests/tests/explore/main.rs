//! Exhaustive exploration of small worlds: every interleaving of scripted clients, for many orders of their
//! requests, under every policy.
//!
//! Each test is a family of scenarios. Most scenarios are the smallest world in which some simpler rule of
//! the protocol fails (docs/PROTOCOL.md lists them); their names say what happens in them.
//!
//! `RM_EXPLORE=long` tries more orders and larger worlds, `RM_REDUCTION=none` every interleaving where some are
//! left out otherwise. Run with `--nocapture` to see the table. A violation prints the order of the requests and the
//! shortest run that leads to it.

mod adaptive;
mod rw_lock;
mod rw_variants;
mod semaphore;
mod six_mode;
mod values;
mod verified;
mod wind_up;

use rm_core::testing::explore::Tree;

// Nodes of the trees.
const ROOT: usize = 0;
/// The middle owner of `tree()`; in a star it is the first leaf.
const M: usize = 1;
const L1: usize = 2;
const L2: usize = 3;
const L3: usize = 4;

/// A middle owner with two leaves below it, and a leaf beside it.
fn tree() -> Tree {
    Tree::root()
        .with("M", ROOT)
        .with("L1", M)
        .with("L2", M)
        .with("L3", ROOT)
}

/// Two middle owners in a chain, with two leaves below them.
fn deep_tree() -> Tree {
    Tree::root()
        .with("M", ROOT)
        .with("N", 1)
        .with("L1", 2)
        .with("L2", 2)
}
