//! Exact effects of single inputs.

mod one_owner;
mod two_owners;
mod units;
mod wind_up;
