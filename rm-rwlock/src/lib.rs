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
//! **Modes.** [`RwLock::read`] shares, [`RwLock::write`] is alone. [`RwLock::upgradable_read`] shares with readers and can
//! become a writer without letting go ([`Guard::upgrade`]), since there is one of its kind at a
//! time; a plain reader cannot. A guard that holds more than it needs gives up the rest at once, and nobody writes
//! in between (`downgrade`). [`all::lock_all`] takes several locks, all or none.
//!
//! **Requests** are builders: set a [`timeout`](Request::timeout), a [`deadline`](Request::deadline) or a
//! [`label`](Request::label), then await them, or [park a thread](Request::blocking). Dropping the future withdraws the
//! request; one that asks again has a new place in the order. Each future says what becomes of it when dropped.
//!
//! **Guards** are `Send`. Dropping one is synchronous, cannot fail and needs no runtime. A guard over a
//! network can be *lost*, when the lease of its node's session runs out: [`Guard::is_valid`] tells, and
//! [`Guard::lost`] waits for it. What is lost stays lost. Give [`Guard::fence`] to the store that you
//! write to, and let it refuse smaller numbers: that holds even where a process slept past its lease. [`fencing`] has the
//! rule, and checkers for databases and key-value stores.
//!
//! **A value** of a few bytes may go with a lock: a writer sets it ([`Guard::set_value`]), whoever holds reads it
//! ([`Guard::value`]) without a message. **Data** of this process that a lock is to guard goes into a
//! [`guarded::Guarded`].
//!
//! [`Domain`]: rm_core::front::Domain

pub mod all;
pub mod credit;
#[doc(hidden)]
pub mod doc;
pub mod fencing;
mod guard;
pub mod guarded;
mod lock;
mod mode;
mod nesting;
mod request;
mod upgrade;

pub use self::credit::{RwCredit, RwLockType};
pub use self::guard::{
    Guard, OwnedReadGuard, OwnedUpgradableGuard, OwnedWriteGuard, ReadGuard, UpgradableGuard,
    WriteGuard,
};
pub use self::lock::RwLock;
pub use self::mode::{LockMode, Mode, Read, SharedMode, Upgradable, Write};
pub use self::request::{Acquiring, Request};
pub use self::upgrade::{Upgrade, UpgradeError, Upgrading};
pub use rm_core::error::LostReason;
pub use rm_core::front::{AcquireError, Holder};
pub use rm_core::value::{Value, ValueState, WriteError};
