//! The distributed async RW lock.
