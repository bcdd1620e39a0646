//! More distributed async resource types, beside the read-write lock: each is its credit, a handle, and guards.
//!
//! | type | lends | for |
//! |---|---|---|
//! | [`Semaphore`] | units | so many at once over the whole cluster; a quota that is consumed and refilled |
//! | [`IdRange`] | identifiers, for good | identifiers that are unique over the cluster and all its lives |
//! | [`Sequence`] | the turn | numbers that rise over the whole cluster |
//! | [`ByteRange`] | shares of each byte | read and write locks on ranges, which are split, merged, upgraded and downgraded in part |
//!
//! Each comes from a node or a client that has the type registered, as any [`Domain`] may:
//! [`Domain::with_type`]. The framework knows none of them.
//!
//! **Guards** are `Send`. Dropping one is synchronous, cannot fail and needs no runtime. A guard over a network can
//! be *lost*, when the lease of its node's session runs out; what is lost stays lost.
//!
//! [`Domain`]: rm_core::front::Domain
//! [`Domain::with_type`]: rm_core::front::Domain::with_type

pub mod byte_range;
#[doc(hidden)]
pub mod doc;
pub mod id_range;
pub mod request;
pub mod semaphore;
pub mod sequence;

pub use rm_core::error::LostReason;
pub use rm_core::front::{AcquireError, Holder};

pub use self::byte_range::{ByteRange, ByteRangeType, RangeCredit};
pub use self::id_range::{IdRange, IdRangeType, Ids};
pub use self::request::{Acquiring, Request};
pub use self::semaphore::{Semaphore, SemaphoreType, Units};
pub use self::sequence::{Sequence, SequenceType};
