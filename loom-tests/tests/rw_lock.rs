//! The suite of the library on the RW lock.

#![cfg(any(rm_loom, rm_shuttle))]

use rm_loom::rw::Rw;

rm_loom::models! { mod rw for resource Rw }
