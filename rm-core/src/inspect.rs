//! What a node tells people and tools about itself: read-only, bounded, outside the sequence.

use core::time::Duration;
use std::sync::Arc;

use crate::id::{LoanId, NodeId, Order, ResourceKey, TypeId};
use crate::view::View;

/// The most resources one answer lists.
pub const LIST_MAX: u32 = 1_000;
/// The most holders, caches and waiting requests one answer shows of a resource.
pub const ENTRIES_MAX: usize = 256;
/// The most warnings of a coordinator that one answer has.
pub const WARNINGS_MAX: usize = 16;

/// A question.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "the wire carries it")]
pub enum Query {
    /// Which resources have any state, in the order of their names.
    List {
        /// Those whose name starts so; all types.
        prefix: Vec<u8>,
        /// Those after this one: the last of the answer before.
        after: Option<(TypeId, ResourceKey)>,
        /// At most so many; more than [`LIST_MAX`] counts as that.
        limit: u32,
    },
    /// Who holds one resource, who has credit of it cached, and who waits.
    Show {
        /// Its type.
        type_id: TypeId,
        /// Its name.
        key: ResourceKey,
    },
    /// The node as a whole.
    Status,
    /// The cluster as the node sees it, and how the node stands in it.
    Members,
    /// What the node knows of its own machine: clocks, files, limits.
    Health,
    /// A question of a later version. Answered by [`Answer::Unknown`]; never asked.
    Unknown,
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "the wire carries it")]
pub enum Answer {
    /// The question was not understood.
    Unknown,
    /// A rule forbids whoever asks to know.
    NotAllowed {
        /// Which rule, and whom it took them for.
        text: String,
    },
    /// To `List`.
    List {
        /// By type and name.
        resources: Vec<Summary>,
        /// There are more after the last one.
        more: bool,
    },
    /// To `Show`; `None`: nothing is known of it, so nobody holds it or waits. Except while a root that started
    /// anew does not know what was lent before: see [`StatusView::grace`].
    Show(Option<ResourceView>),
    /// To `Status`.
    Status(StatusView),
    /// To `Members`.
    Members(Box<MembersView>),
    /// To `Health`.
    Health(Box<HealthView>),
}

/// One line of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "the wire carries each field")]
pub struct Summary {
    /// The type.
    pub type_id: TypeId,
    /// The type's name.
    pub type_name: String,
    /// The resource.
    pub key: ResourceKey,
    /// Local holds at the answering node.
    pub holds: u32,
    /// Debtors with a loan.
    pub debtors: u32,
    /// Requests that wait at the answering node.
    pub waiting: u32,
}

/// One resource as a node sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "the wire carries each field")]
pub struct ResourceView {
    /// The type.
    pub type_id: TypeId,
    /// The type's name.
    pub type_name: String,
    /// The resource.
    pub key: ResourceKey,
    /// Holders, caches and waiting requests; at most [`ENTRIES_MAX`].
    pub entries: Vec<Entry>,
    /// How many more there are.
    pub omitted: u32,
    /// The highest fencing number the node has seen.
    pub fence: u64,
}

/// One party's part in a resource.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "the wire carries each field")]
pub struct Entry {
    /// What the party does.
    pub kind: EntryKind,
    /// Its node's name, as far as the answering node knows it.
    pub node: String,
    /// Its node's identity.
    pub node_id: NodeId,
    /// The mode, such as `read`; of cached credit, how much it is.
    pub mode: String,
    /// What the request called itself.
    pub label: String,
    /// How long it has held, had or waited.
    pub age: Duration,
    /// A waiting request's place.
    pub order: Option<Order>,
    /// A holder's fencing token.
    pub fence: Option<u64>,
    /// A debtor's loan.
    pub loan: Option<LoanId>,
    /// How many guards share a holder's hold; 0 where that is not known, and of others.
    pub guards: u32,
}

/// What a party does with a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "the wire carries it")]
pub enum EntryKind {
    /// It has credit on loan or cached; whether it uses it, the answering node cannot tell.
    Caches,
    /// It holds.
    Holds,
    /// It was asked to answer for itself and did not in time.
    Silent,
    /// It waits.
    Waits,
}

/// A node as a whole.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "the wire carries each field")]
pub struct StatusView {
    /// Its name.
    pub name: String,
    /// The version of the software.
    pub software: String,
    /// What coordinates the cluster, such as `standalone`.
    pub coordinator: String,
    /// Its epoch.
    pub epoch: u32,
    /// Its lease length.
    pub lease: Duration,
    /// How long it has run.
    pub uptime: Duration,
    /// How long it will still lend nothing, after a restart.
    pub grace: Duration,
    /// Sessions with debtors.
    pub sessions: u32,
    /// Resources with any state.
    pub resources: u64,
    /// Counters, by name: since the start.
    pub counters: Vec<(String, u64)>,
    /// What it is to the others.
    pub role: NodeRole,
    /// How far it may lend.
    pub standing: Standing,
    /// The epoch of the view that it has adopted.
    pub view_epoch: u32,
    /// The members of that view.
    pub members: u32,
    /// Whether it can reach its coordinator; what needs none can.
    pub is_coordinator_connected: bool,
}

/// What a node is to the others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "the wire carries it")]
pub enum NodeRole {
    /// The only server, and the root of everything.
    #[default]
    Standalone,
    /// One of the members of a cluster: the root of what it wins.
    Member,
    /// In the middle of a tree: it lends what it borrows.
    Relay,
}

/// How far a node may lend.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "the wire carries it")]
pub enum Standing {
    /// It lends.
    #[default]
    Active,
    /// It is the root of what others were the root of before, and waits for their reports.
    Gathering,
    /// It does not know whether it is still a member: it lends nothing, and extends nothing.
    Suspended,
    /// It hands over what it was the root of, and goes.
    Leaving,
    /// It is no member: not yet, or not any more.
    Outside,
}

/// The cluster as one node sees it, and how that node stands in it.
///
/// A server that stands alone is a view of one member.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "the wire carries each field")]
pub struct MembersView {
    /// The name of the node that answers.
    pub node: String,
    /// Its registration; 0 where it has none.
    pub reg: u64,
    /// What it is to the others.
    pub role: NodeRole,
    /// How far it may lend.
    pub standing: Standing,
    /// The view that it goes by, if it has one. In it is the cluster's lease.
    pub view: Option<Arc<View>>,
    /// Members whose reports it still waits for.
    pub missing: Vec<String>,
    /// For how long it knows itself to be a member: `None`, for ever; zero, not any more.
    pub good_for: Option<Duration>,
    /// How it stands with what coordinates the cluster.
    pub coordinator: CoordinatorView,
    /// How long credit of which it knows nothing may still be in use; zero: there is none.
    pub grace: Duration,
}

/// How a node stands with what coordinates its cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "the wire carries each field")]
pub struct CoordinatorView {
    /// What it is, such as `standalone` or `etcd`.
    pub kind: String,
    /// Whether it can be reached; what needs none can.
    pub is_connected: bool,
    /// What went wrong last; empty where nothing did.
    pub last_error: String,
    /// The version of its software, where it has one.
    pub version: String,
    /// How long its last answer took; zero where none was measured.
    pub latency: Duration,
    /// What is known to be wrong with it; at most [`WARNINGS_MAX`].
    pub warnings: Vec<String>,
}

/// What a node knows of its own machine. Nothing is decided by it: it is for people who look for what is wrong.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "the wire carries each field")]
pub struct HealthView {
    /// The name of the node that answers.
    pub node: String,
    /// The version of its software.
    pub software: String,
    /// The version of the wire that it speaks.
    pub wire: u32,
    /// Its wall clock, in nanoseconds since 1970.
    pub wall_nanos: u64,
    /// The clock by which it measures leases, in nanoseconds since any start.
    pub clock_nanos: u64,
    /// What that clock is called.
    pub clock: String,
    /// Whether that clock counts the time that the machine is suspended.
    pub counts_suspend: bool,
    /// Whether connections to it are encrypted, and both sides authenticated.
    pub is_secured: bool,
    /// How many rules it has; none: everything is allowed to whoever can connect.
    pub rules: u32,
    /// What those may do of whom nothing is known: names of actions, with blanks between them.
    pub anonymous: String,
    /// Files and connections that its process has open; 0 where that is not known.
    pub files: u64,
    /// How many it may have open.
    pub files_max: u64,
    /// Sessions that it admits at most.
    pub sessions_max: u32,
    /// Its data directory, if it has one.
    pub data_dir: Option<DataDirView>,
}

/// The data directory of a node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "the wire carries each field")]
pub struct DataDirView {
    /// Where it is.
    pub path: String,
    /// Bytes that can still be written.
    pub free_bytes: u64,
    /// Why it cannot be written; empty where it can.
    pub error: String,
}
