//! The distributed async RW lock.

pub mod credit;
