//! The example of docs/MODELS.md: a resource type of one's own, and a lock of another make, under the suite.
//!
//! The guide shows this file; the last test holds it to that.

#![cfg(any(rm_loom, rm_shuttle))]

use core::future::Future;

use rm_core::credit::{Credit, Malformed};
use rm_core::front::{Acquire, Ask, Held, Patience};
use rm_core::id::{ResourceKey, TypeId};
use rm_core::resource::ResourceType;
use rm_loom::lock::ModelLock;
use rm_loom::node::{HandleOf, HeldOf, Node};
use rm_loom::subject::Subject;

/// A set of seats, one bit for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Seats(u64);

impl Credit for Seats {
    fn empty() -> Self {
        Self(0)
    }

    fn is_empty(&self) -> bool {
        self.0 == 0
    }

    fn join(&self, other: &Self) -> Option<Self> {
        (self.0 & other.0 == 0).then_some(Self(self.0 | other.0))
    }

    fn covers(&self, part: &Self) -> bool {
        part.0 & !self.0 == 0
    }

    fn meet(&self, other: &Self) -> Self {
        Self(self.0 & other.0)
    }

    fn sup(&self, other: &Self) -> Self {
        Self(self.0 | other.0)
    }

    fn less(&self, other: &Self) -> Self {
        Self(self.0 & !other.0)
    }

    fn raise(&self, other: &Self, capital: &Self) -> Self {
        Self((self.0 | other.0) & capital.0)
    }

    fn restrict(&self, to: &Self) -> Self {
        self.meet(to)
    }

    fn conflicts(&self, other: &Self, _capital: &Self) -> bool {
        self.0 & other.0 != 0
    }

    fn slice(&self, _parts: u32) -> Self {
        Self(0)
    }

    fn encode(&self, out: &mut Vec<u8>) {
        out.extend(self.0.to_be_bytes());
    }

    fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let bytes = bytes.try_into().map_err(|_| Malformed)?;
        Ok(Self(u64::from_be_bytes(bytes)))
    }
}

/// Trains with three seats.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Train;

impl ResourceType for Train {
    type Credit = Seats;
    type Level = Seats;
    const ID: TypeId = TypeId(5_000);
    const NAME: &'static str = "train";

    fn capital(&self, _train: &ResourceKey) -> Seats {
        Seats(0b111)
    }
}

/// What the models book.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Booking {
    Window,
    Aisle,
    Both,
}

impl Subject for Train {
    type Type = Self;
    type Mode = Booking;
    const MODES: &'static [Booking] = &[Booking::Window, Booking::Aisle, Booking::Both];

    fn resource_type() -> Self {
        Self
    }

    fn level(booking: Booking, _train: &Seats) -> Seats {
        match booking {
            Booking::Window => Seats(0b001),
            Booking::Aisle => Seats(0b010),
            Booking::Both => Seats(0b011),
        }
    }
}

rm_loom::models! { mod train for resource Train }

/// A handle to the first two seats of a train: the face of the type that programs see.
#[derive(Clone, Debug)]
struct Bench {
    node: Node<Train>,
    train: HandleOf<Train>,
}

impl ModelLock for Bench {
    type Mode = Booking;
    type Guard = HeldOf<Train>;
    const MODES: &'static [Booking] = &[Booking::Window, Booking::Both];

    fn new() -> Self {
        let node = Node::root();
        let train = node.handle();
        Self { node, train }
    }

    fn acquire(&self, booking: Booking) -> impl Future<Output = Self::Guard> + Send + 'static {
        let seats = Train::level(booking, self.train.capital());
        let request = Acquire::new(self.train.clone(), Ask::new(seats));
        async move { request.await.expect("a root refuses nobody who waits") }
    }

    fn try_acquire(
        &self,
        booking: Booking,
    ) -> impl Future<Output = Option<Self::Guard>> + Send + 'static {
        let ask = Ask::new(Train::level(booking, self.train.capital()));
        let request = Acquire::new(self.train.clone(), ask.patience(Patience::Try));
        async move { request.await.ok() }
    }

    fn conflict(a: Booking, b: Booking) -> bool {
        a == b || a == Booking::Both || b == Booking::Both
    }

    fn assert_idle(&self) {
        assert_eq!(self.node.domain().totals().holds, 0);
        let all = Held::try_cached(&*self.train, &Seats(0b111), None, None);
        assert!(all.is_some(), "all seats can be had");
    }
}

rm_loom::models! { mod bench for lock Bench }

#[test]
fn the_guide_shows_the_code_as_it_is() {
    let guide = include_str!("../../docs/MODELS.md");
    let code = include_str!("seats.rs");
    let shown = guide.split("```rust\n").skip(1);
    let shown: Vec<_> = shown.filter_map(|rest| rest.split("```").next()).collect();
    assert!(shown.len() >= 4, "the guide shows code");
    for block in shown {
        assert!(
            code.contains(block.trim_end()),
            "this is not there:\n{block}"
        );
    }
}
