//! How a domain behaves, and where its credit comes from.

use core::time::Duration;
use std::collections::BTreeMap;

use crate::id::{PeerId, TypeId};
use crate::owner::Settings;
use crate::policy::Policy;

/// The debtor that nobody has heard of: after a restart it has what the former life may have lent.
pub const UNKNOWN: PeerId = PeerId(u64::MAX);

/// How a domain behaves.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DomainSettings {
    /// The node's configured name, for people.
    pub name: String,
    /// How its owners behave.
    pub owner: Settings,
    /// The most by which a request's priority makes it count as older than it is: so no request waits longer for
    /// others' priority than this. 1 s by default.
    pub priority_max: Duration,
    /// The policy of all resources of a type, whatever the type itself says of them. Empty by default: the type
    /// decides ([`ResourceType::policy`](crate::resource::ResourceType::policy)), and where it leaves that open, the
    /// policy in `owner`.
    pub policies: BTreeMap<TypeId, Policy>,
    /// The most resources of one type with any state here; more are refused. 4,194,304 by default.
    pub resources_max: usize,
    /// The most resources of one type that exist here because one debtor asked for them; more are refused. 1,048,576 by
    /// default: four times what a debtor caches, and a quarter of `resources_max`, so that none keeps all others out.
    pub debtor_resources_max: usize,
    /// A debtor sends credit home that has not been used for this long; `None`: never. 10 minutes by default: long
    /// enough for work that comes back, short enough that a server need not remember for ever who once read what.
    pub idle_time: Option<Duration>,
    /// A debtor that has more resources of one type than this sends the credit of those home that were not used for
    /// longest. 262,144 by default.
    pub cached_max: usize,
    /// The same for the memory that the resources of one type take, in bytes. An estimate: without names above 23
    /// bytes, and without what a credit allocates itself. 256 MiB by default.
    pub cached_bytes_max: usize,
}

impl DomainSettings {
    /// The defaults, for the node `name`.
    #[must_use]
    pub fn new(name: &str, owner: Settings) -> Self {
        Self {
            name: name.into(),
            owner,
            priority_max: Duration::from_secs(1),
            policies: BTreeMap::new(),
            resources_max: 1 << 22,
            debtor_resources_max: 1 << 20,
            idle_time: Some(Duration::from_secs(600)),
            cached_max: 1 << 18,
            cached_bytes_max: 1 << 28,
        }
    }

    /// The same with a policy for all resources of a type.
    #[must_use]
    pub fn with_policy_of(mut self, type_id: TypeId, policy: Policy) -> Self {
        self.policies.insert(type_id, policy);
        self
    }
}

/// Where a domain's credit comes from. Either can have debtors of its own: one that borrows and lends at once is in the
/// middle of a tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Role {
    /// It borrows from a creditor, while there is a session with one.
    Debtor,
    /// It is the root of every resource.
    Root {
        /// The epoch under which it lends.
        epoch: u32,
        /// Whether a former life may still have lent anything: until [`Domain::end_grace`](super::Domain::end_grace), everything
        /// counts as lent.
        grace: bool,
    },
}
