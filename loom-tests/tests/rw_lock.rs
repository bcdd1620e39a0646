//! The suite of the library on the RW lock: with holds of their own, and by the gate.

#![cfg(any(rm_loom, rm_shuttle))]

use rm_loom::rw::{Gated, Rw};

rm_loom::models! { mod rw for resource Rw }

rm_loom::models! { mod gated for resource Gated }
