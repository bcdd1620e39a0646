//! Who may do what.
//!
//! An [`Identity`] is what the transport proved of the other end of a connection.

mod identity;

pub use identity::{BadIdentity, IDENTITY_BYTES_MAX, Identity};
