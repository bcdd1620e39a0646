//! Exact effects of single inputs.

mod adaptive;
mod colour;
mod group;
mod notice;
mod one_owner;
mod two_owners;
mod units;
mod used_up;
mod value;
mod wind_up;
