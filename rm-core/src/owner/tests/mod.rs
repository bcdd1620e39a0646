//! Exact effects of single inputs.

mod adaptive;
mod behind;
mod claim;
mod colour;
mod group;
mod handover;
mod notice;
mod one_owner;
mod revoke;
mod succession;
mod tenure;
mod two_owners;
mod units;
mod used_up;
mod value;
mod wind_up;
