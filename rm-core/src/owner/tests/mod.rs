//! Exact effects of single inputs.

mod adaptive;
mod one_owner;
mod two_owners;
mod units;
