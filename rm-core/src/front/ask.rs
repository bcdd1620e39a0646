//! What a request says: how much, how long it waits, and what few requests need beside that.

use core::time::Duration;

use super::gate::Door;
use crate::id::GroupId;
use crate::time::Time;
use crate::trace::TraceContext;

/// What is asked for, and how long to wait for it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "made by lock types")]
pub struct Ask<L> {
    /// How much.
    pub level: L,
    /// How long to wait.
    pub patience: Patience,
    /// What most requests go without.
    pub options: Option<Box<Options>>,
    /// By which door it may pass the gate; `None`: it gets a hold of its own. See [`Door`].
    pub door: Option<Door>,
}

/// What few requests need: kept apart, so that the others are small.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "made by lock types")]
pub struct Options {
    /// What the caller calls the request, for people.
    pub label: Option<String>,
    /// How much older it counts than it is, at most as much as the domain allows: it goes before requests that were
    /// made up to so long before it. Nothing else changes the order.
    pub priority: Duration,
    /// Its group: members on this node share one hold, and do not wait for each other.
    pub group: Option<GroupId>,
    /// It gives up what it holds within this time after somebody waits for it; if it does not, the hold is lost.
    pub gives_way: Option<Duration>,
    /// Where it belongs in a distributed trace; `None`: what the process's [source](super::trace::set_source) says.
    pub trace: Option<TraceContext>,
}

impl<L> Ask<L> {
    /// Asks for `level`, without any option, and waits as long as it takes.
    pub const fn new(level: L) -> Self {
        Self {
            level,
            patience: Patience::Forever,
            options: None,
            door: None,
        }
    }

    /// The same request for something else, through no door.
    pub fn of<M>(self, level: M) -> Ask<M> {
        Ask {
            level,
            patience: self.patience,
            options: self.options,
            door: None,
        }
    }

    /// The same request with that patience.
    #[must_use]
    pub const fn patience(mut self, patience: Patience) -> Self {
        self.patience = patience;
        self
    }

    /// The same request by that door, which must be the one that its type names for this level. Builds with debug assertions
    /// look; elsewhere the holder would have what the door stands for, whatever it asked for.
    #[must_use]
    pub const fn door(mut self, door: Door) -> Self {
        self.door = Some(door);
        self
    }

    /// Its options, to be set.
    pub fn options(&mut self) -> &mut Options {
        self.options.get_or_insert_default()
    }

    pub(super) fn label(&self) -> &str {
        let options = self.options.as_ref();
        let label = options.and_then(|options| options.label.as_deref());
        label.unwrap_or_default()
    }

    pub(super) fn trace(&self) -> Option<TraceContext> {
        self.options.as_ref().and_then(|options| options.trace)
    }

    pub(super) fn priority(&self) -> Duration {
        let options = self.options.as_ref();
        options.map_or(Duration::ZERO, |options| options.priority)
    }

    /// Whether the request has nothing that its hold must remember.
    pub(super) fn is_plain(&self) -> bool {
        let is_plain = |options: &Options| {
            options.label.is_none()
                && options.group.is_none()
                && options.gives_way.is_none()
                && options.trace.is_none()
        };
        self.options.as_deref().is_none_or(is_plain)
    }
}

/// How long a request waits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Patience {
    /// At most this long, counted from the first poll.
    AtMost(Duration),
    /// As long as it takes.
    #[default]
    Forever,
    /// It asks the cluster, but waits for no holder and no older request.
    Try,
}

impl Patience {
    /// When a request that is made at `now` gives up. The owner bounds a `try` by itself.
    pub(super) const fn deadline(self, now: Time) -> Option<Time> {
        match self {
            Self::AtMost(span) => Some(now.after(span)),
            Self::Forever | Self::Try => None,
        }
    }
}
