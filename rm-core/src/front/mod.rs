//! The thread-safe async face of owners: what every resource type gets without writing it.
//!
//! ```text
//! Domain     one node's resources of all registered types
//!  Table     the resources of one type, in shards by name
//!   Resource one owner behind a mutex, and the callers that wait for it or hold of it
//!    Acquire the future of one request         Held  what it ends in
//! Host       what the domain needs of its node: clocks, and a way to send
//! Trust      until when what was borrowed may be used
//! WindUp     the future of an end in good order
//! ```
//!
//! **How an input runs.** Lock the resource; let the owner decide; put its messages into the sessions' queues, still
//! under the lock, so that they leave in the order in which it decided; note outcomes in the callers'
//! slots; unlock; only then wake callers and sessions. So no user code (wakers) runs under a lock, and
//! nothing here blocks but for a mutex held for the time of one decision.
//!
//! **Cancellation.** Dropping an [`Acquire`] withdraws its request. If the grant has come in the meantime, it is
//! released: the credit warms the cache. A slot's generation tells a late outcome from its successor's.
//!
//! **Lost.** A hold whose lease ran out is lost for good. Every use compares the clock with the lease's deadline
//! first, so a process that slept past it finds out before it acts, whatever its timers do.

mod acquire;
mod ask;
mod blocking;
mod convert;
mod domain;
mod gate;
mod heat;
mod host;
mod inspect;
mod lending;
mod observe;
mod permit;
mod quota;
mod reclaim;
mod release;
mod resource;
mod routes;
mod settings;
mod shard;
mod shared;
mod slots;
mod table;
mod timers;
mod totals;
pub mod trace;
mod trust;
mod wanted;
mod windup;

pub use self::acquire::{Acquire, AcquireError, Held, Holder};
pub use self::ask::{Ask, Options, Patience};
pub use self::blocking::block_on;
pub use self::convert::Convert;
pub use self::domain::{Domain, Handle, WeakDomain};
pub use self::gate::Door;
pub use self::host::Host;
pub use self::inspect::{PeerNames, Visible};
pub(crate) use self::lending::GivenUp;
pub use self::observe::{Observer, Outcome, Subject};
pub use self::quota::Quota;
pub use self::release::{Lent, REASONS_MAX};
pub use self::resource::Resource;
pub use self::settings::{DomainSettings, Role, UNKNOWN};
pub use self::totals::{Losses, Totals};
pub use self::trust::Trust;
pub use self::wanted::{Leaving, Lost, Waiter, Wanted};
pub use self::windup::{IN_THE_WAY_MAX, InTheWay, Obstacle, Scope, WindUp, WindUpReport};
