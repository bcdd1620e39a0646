//! What a script says, once it is read: steps and expectations, with nodes and requests as numbers.

use core::cmp::Ordering;
use core::time::Duration;

use crate::front::Patience;
use crate::id::GroupId;
use crate::resource::ResourceType;

/// One step, and where it stands.
#[derive(Clone, Debug)]
pub(super) struct Placed<T: ResourceType> {
    /// Counted from 1.
    pub(super) line: usize,
    pub(super) step: Step<T>,
}

/// How old a request is: [`cluster::Age`](crate::testing::cluster::Age) by the number of the other request.
#[derive(Clone, Copy, Debug)]
pub(super) enum Rank {
    AsOldAs(usize),
    OlderThan(usize),
    Youngest,
}

/// How a request is made: [`cluster::Options`](crate::testing::cluster::Options).
#[derive(Clone, Copy, Debug)]
pub(super) struct Options {
    pub(super) patience: Patience,
    pub(super) rank: Rank,
    pub(super) group: Option<GroupId>,
    pub(super) gives_way: Option<Duration>,
}

/// Something that happens, or that must be so.
#[derive(Clone, Debug)]
pub(super) enum Step<T: ResourceType> {
    /// The next request is made.
    Acquire {
        node: usize,
        ask: T::Level,
        options: Options,
    },
    Books(Vec<Row<T::Credit>>),
    Cache {
        node: usize,
        credit: T::Credit,
    },
    Cancel(usize),
    Convert {
        request: usize,
        to: T::Level,
        patience: Patience,
    },
    Deliver {
        from: usize,
        to: usize,
    },
    DeliverAll,
    Expect(Expectation<T::Credit>),
    LoseSession(usize),
    Pass(Duration),
    Reduce {
        request: usize,
        keep: T::Credit,
    },
    Release(usize),
    ReturnSpare(usize),
    Settle,
    ShutDown(usize),
    WindUp(usize),
}

/// What one node must have.
#[derive(Clone, Debug)]
pub(super) struct Row<C> {
    pub(super) node: usize,
    pub(super) cached: C,
    pub(super) held: C,
    pub(super) lent: C,
}

/// Something that must be so, other than all books.
#[derive(Clone, Debug)]
pub(super) enum Expectation<C> {
    /// Among those that are in the way of a denied request is another one.
    Behind {
        request: usize,
        other: usize,
    },
    /// A request or its last conversion was denied.
    Denied {
        request: usize,
        why: Why,
    },
    /// These were granted in this order, others between them or not.
    Granted(Vec<usize>),
    /// A request holds something, or just that much.
    Holds {
        request: usize,
        credit: Option<C>,
    },
    /// A hold is over before its time.
    Lost(usize),
    /// Whether a node was told that cached credit leaves, since that was last asked.
    Leaving {
        node: usize,
        was_told: bool,
    },
    /// So many messages arrived since they were last counted.
    Messages(usize),
    /// A node has that much in one place.
    Place {
        node: usize,
        place: Place,
        credit: C,
    },
    /// Whether a node is asked for something back.
    Recalled {
        node: usize,
        is_recalled: bool,
    },
    WoundUp {
        node: usize,
        is_wound_up: bool,
    },
    /// The fencing token of one request compares so with that of another.
    Tokens {
        first: usize,
        is: Ordering,
        second: usize,
    },
    /// Of these, in this order, a holder was told since that was last asked: they wait for what it holds.
    Told {
        request: usize,
        of: Vec<usize>,
    },
    /// A request or its conversion waits.
    Waits(usize),
}

/// Why a request is denied, as scripts say it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    Busy,
    Deadlock,
    Refused,
    Shutdown,
    Timeout,
}

impl Why {
    pub(super) const ALL: [(&'static str, Self); 5] = [
        ("busy", Self::Busy),
        ("deadlock", Self::Deadlock),
        ("refused", Self::Refused),
        ("shutdown", Self::Shutdown),
        ("timeout", Self::Timeout),
    ];
}

/// Where credit is at a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Borrowed,
    Cached,
    Held,
    Lent,
}
