//! Usage credit for clusters.
//!
//! Anything that can be shared or fought over is a *resource* of some *resource type*; the right to use it is
//! *usage credit*; nodes lend credit to each other. This crate is the framework: the algebra of credit, the
//! books that nodes keep, the one function that decides, all as pure state machines without clock,
//! randomness or I/O.

pub mod access;
pub mod book;
pub mod cluster;
pub mod command;
pub mod coordination;
pub mod credit;
#[doc(hidden)]
pub mod doc;
pub mod effect;
pub mod error;
pub mod event;
pub mod fence;
pub mod front;
pub mod id;
pub mod inspect;
pub mod message;
pub mod number;
pub mod owner;
pub mod policy;
pub mod resource;
pub mod session;
pub mod stamp;
pub mod sync;
#[cfg(feature = "testing")]
pub mod testing;
pub mod time;
pub mod trace;
pub mod value;
pub mod view;
