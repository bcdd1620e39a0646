//! Models of lock types for loom.
