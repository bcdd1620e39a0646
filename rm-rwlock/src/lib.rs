//! A distributed async read-write lock.
//!
//! Any number of readers, or one writer, over the whole cluster. A reader takes one share of the lock's credit, a
//! writer all of it. Credit stays cached where it was used, so taking the same lock again costs no packet;
//! when somebody else needs it, it is recalled. Requests are served in one order: readers that come
//! after a waiting writer wait behind it, and a writer waits for no reader that came after it.
//!
//! A lock comes from a node or a client of the network crate, or from any [`Domain`] that has
//! the type registered:
//!
//! ```
//! # use rm_rwlock::doc::{block_on, domain};
//! use rm_rwlock::RwLock;
//!
//! # block_on(async {
//! # let domain = domain();
//! let lock = RwLock::new(&domain, "volumes/42");
//! {
//!     let first = lock.read().await?;
//!     let second = lock.read().await?;
//!     assert!(lock.try_write().await.is_err());
//!     assert!(first.is_valid() && second.is_valid());
//! }
//! let writer = lock.write().label("resize").await?;
//! assert!(writer.fence() > 0);
//! # Ok::<(), rm_rwlock::AcquireError>(())
//! # }).unwrap();
//! ```
//!
//! **Guards** are `Send`. Dropping one is synchronous, cannot fail and needs no runtime. A guard over a
//! network can be *lost*, when the lease of its node's session runs out: [`Guard::is_valid`] tells, and
//! [`Guard::lost`] waits for it. What is lost stays lost. Give [`Guard::fence`] to the store that you
//! write to, and let it refuse smaller numbers: that holds even where a process slept past its lease.
//!
//! **A value** of a few bytes may go with a lock: a writer sets it ([`Guard::set_value`]), whoever holds reads it
//! ([`Guard::value`]) without a message.
//!
//! [`Domain`]: rm_core::front::Domain

pub mod credit;
#[doc(hidden)]
pub mod doc;
mod guard;
mod lock;

pub use self::credit::{RwCredit, RwLockType};
pub use self::guard::{Guard, OwnedReadGuard, OwnedWriteGuard, ReadGuard, WriteGuard};
pub use self::lock::{Acquiring, Mode, Read, Request, RwLock, Write};
pub use rm_core::error::LostReason;
pub use rm_core::front::{AcquireError, Holder};
pub use rm_core::value::{Value, ValueState, WriteError};
