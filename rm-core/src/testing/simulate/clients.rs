//! What clients do: kinds of clients, each of which goes round and round.
//!
//! A round: think, ask, and, once it is granted, hold and release. Chance may make the request a `try`, give it
//! a deadline, have it cancelled, convert the hold half-way, keep the hold for long, write the value at its end, or
//! send spare credit home afterwards. A client that is denied because the way to the root winds up is done.

use core::fmt;
use std::sync::Arc;

use super::span::Span;
use crate::resource::ResourceType;
use crate::testing::random::Random;

/// What a request asks for.
pub(super) type Ask<T> = <T as ResourceType>::Level;

/// Draws what a request asks for.
type DrawAsk<T> = Arc<dyn Fn(&mut Random) -> Ask<T> + Send + Sync>;

/// Draws what a hold is to become, of what it is.
type DrawChange<T> = Arc<dyn Fn(&mut Random, &<T as ResourceType>::Credit) -> Ask<T> + Send + Sync>;

/// Where clients of one kind live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Everywhere,
    Leaves,
    Node(usize),
}

/// How often something happens, and how long it then takes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sometimes {
    pub(super) percent: u32,
    pub(super) span: Span,
}

impl Sometimes {
    const NEVER: Self = Self {
        percent: 0,
        span: Span::NONE,
    };

    /// The span, if it happens this time.
    pub(super) fn draw(self, random: &mut Random) -> Option<u64> {
        random.percent(self.percent).then(|| self.span.draw(random))
    }
}

/// Clients of one kind. Unless told otherwise there is one at its place, which asks for all there is, again and
/// again, as fast as it can.
///
/// All closures must answer the same for the same numbers, or a run does not replay.
#[derive(Clone)]
pub struct Clients<T: ResourceType> {
    pub(super) place: Place,
    pub(super) each: u32,
    pub(super) name: Option<&'static str>,
    pub(super) rounds: u64,
    pub(super) start: Span,
    pub(super) think: Span,
    pub(super) hold: Span,
    pub(super) stuck: Sometimes,
    pub(super) ask: Option<DrawAsk<T>>,
    pub(super) tries: u32,
    pub(super) deadline: Sometimes,
    pub(super) cancel: Sometimes,
    pub(super) convert: u32,
    pub(super) change: Option<DrawChange<T>>,
    pub(super) return_spare: u32,
    pub(super) write: u32,
}

impl<T: ResourceType> fmt::Debug for Clients<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Clients")
            .field("place", &self.place)
            .field("each", &self.each)
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl<T: ResourceType> Clients<T> {
    /// One at that node.
    #[must_use]
    pub const fn at(node: usize) -> Self {
        Self::new(Place::Node(node))
    }

    /// One at each node, the root included.
    #[must_use]
    pub const fn everywhere() -> Self {
        Self::new(Place::Everywhere)
    }

    /// One at each node that nobody borrows from.
    #[must_use]
    pub const fn at_leaves() -> Self {
        Self::new(Place::Leaves)
    }

    const fn new(place: Place) -> Self {
        Self {
            place,
            each: 1,
            name: None,
            rounds: u64::MAX,
            start: Span::NONE,
            think: Span::NONE,
            hold: Span::NONE,
            stuck: Sometimes::NEVER,
            ask: None,
            tries: 0,
            deadline: Sometimes::NEVER,
            cancel: Sometimes::NEVER,
            convert: 0,
            change: None,
            return_spare: 0,
            write: 0,
        }
    }

    /// So many at each place.
    #[must_use]
    pub const fn each(mut self, count: u32) -> Self {
        self.each = count;
        self
    }

    /// What their requests are called in the report; otherwise each is called by its mode.
    #[must_use]
    pub const fn called(mut self, name: &'static str) -> Self {
        self.name = Some(name);
        self
    }

    /// After so many rounds a client is done.
    #[must_use]
    pub const fn rounds(mut self, count: u64) -> Self {
        self.rounds = count;
        self
    }

    /// How long after the beginning they start.
    #[must_use]
    pub fn starting(mut self, after: impl Into<Span>) -> Self {
        self.start = after.into();
        self
    }

    /// How long they think between two rounds.
    #[must_use]
    pub fn thinking(mut self, span: impl Into<Span>) -> Self {
        self.think = span.into();
        self
    }

    /// How long they hold.
    #[must_use]
    pub fn holding(mut self, span: impl Into<Span>) -> Self {
        self.hold = span.into();
        self
    }

    /// In so many rounds of a hundred the hold takes `span` instead.
    #[must_use]
    pub fn stuck(mut self, percent: u32, span: impl Into<Span>) -> Self {
        self.stuck = sometimes(percent, span);
        self
    }

    /// What they ask for.
    #[must_use]
    pub fn asking(mut self, ask: impl Fn(&mut Random) -> Ask<T> + Send + Sync + 'static) -> Self {
        self.ask = Some(Arc::new(ask));
        self
    }

    /// In so many rounds of a hundred the request waits for no holder and no older request.
    #[must_use]
    pub const fn trying(mut self, percent: u32) -> Self {
        self.tries = percent;
        self
    }

    /// In so many rounds of a hundred the request has a deadline, `patience` after it was made.
    #[must_use]
    pub fn with_deadline(mut self, percent: u32, patience: impl Into<Span>) -> Self {
        self.deadline = sometimes(percent, patience);
        self
    }

    /// In so many rounds of a hundred the client cancels what still waits `patience` after it asked.
    #[must_use]
    pub fn cancelling(mut self, percent: u32, patience: impl Into<Span>) -> Self {
        self.cancel = sometimes(percent, patience);
        self
    }

    /// In so many rounds of a hundred the hold becomes something else, half-way: by [`reduce`] where that is
    /// part of what it is, by [`convert`] otherwise.
    ///
    /// [`reduce`]: crate::owner::Owner::reduce
    /// [`convert`]: crate::owner::Owner::convert
    #[must_use]
    pub fn converting(
        mut self,
        percent: u32,
        change: impl Fn(&mut Random, &T::Credit) -> Ask<T> + Send + Sync + 'static,
    ) -> Self {
        self.convert = percent;
        self.change = Some(Arc::new(change));
        self
    }

    /// After so many rounds of a hundred the node sends back what is cached and nobody there waits for.
    #[must_use]
    pub const fn returning_spare(mut self, percent: u32) -> Self {
        self.return_spare = percent;
        self
    }

    /// In so many rounds of a hundred in which a client held everything in the end it writes the value before it
    /// releases. Every holder must read what was written last.
    #[must_use]
    pub const fn writing(mut self, percent: u32) -> Self {
        self.write = percent;
        self
    }
}

fn sometimes(percent: u32, span: impl Into<Span>) -> Sometimes {
    Sometimes {
        percent,
        span: span.into(),
    }
}

/// Half of a span, rounded down, and the rest.
pub(super) const fn halves(nanos: u64) -> (u64, u64) {
    (nanos / 2, nanos - nanos / 2)
}
