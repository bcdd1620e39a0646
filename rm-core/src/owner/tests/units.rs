//! The smallest lock type: a number of units. Whoever has all of them is alone.

use std::sync::Arc;

use crate::credit::{Credit, Malformed};
use crate::effect::{Effect, Effects};
use crate::error::LostReason;
use crate::id::{
    Boot, Class, LoanId, NodeId, Order, Party, PeerId, ResourceKey, Stamp, Token, TypeId, Version,
};
use crate::message::{Grant, Message, Steps, Want};
use crate::owner::{Owner, Request, Settings};
use crate::policy::Policy;
use crate::resource::ResourceType;
use crate::time::Time;

pub(super) const ALL: u64 = 8;
pub(super) const CREDITOR: PeerId = PeerId(100);
pub(super) const NOW: Time = Time::from_nanos(1_000);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Units(pub(super) u64);

impl Credit for Units {
    fn empty() -> Self {
        Self(0)
    }
    fn is_empty(&self) -> bool {
        self.0 == 0
    }
    fn join(&self, other: &Self) -> Option<Self> {
        self.0.checked_add(other.0).map(Self)
    }
    fn covers(&self, part: &Self) -> bool {
        self.0 >= part.0
    }
    fn meet(&self, other: &Self) -> Self {
        Self(self.0.min(other.0))
    }
    fn sup(&self, other: &Self) -> Self {
        Self(self.0.max(other.0))
    }
    fn less(&self, other: &Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
    fn raise(&self, other: &Self, capital: &Self) -> Self {
        Self(self.0.saturating_add(other.0).min(capital.0))
    }
    fn restrict(&self, to: &Self) -> Self {
        if to.is_empty() { Self(0) } else { *self }
    }
    fn conflicts(&self, other: &Self, capital: &Self) -> bool {
        !self.is_empty() && !other.is_empty() && (self == capital || other == capital)
    }
    fn slice(&self, parts: u32) -> Self {
        Self(self.0 / u64::from(parts))
    }
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend(self.0.to_be_bytes());
    }
    fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        bytes
            .try_into()
            .map(|bytes| Self(u64::from_be_bytes(bytes)))
            .map_err(|_| Malformed)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct UnitsType;

impl ResourceType for UnitsType {
    type Credit = Units;
    type Level = Units;
    const ID: TypeId = TypeId(900);
    const NAME: &'static str = "units";

    fn capital(&self, _: &ResourceKey) -> Units {
        Units(ALL)
    }
}

pub(super) type UnitsOwner = Owner<UnitsType>;
pub(super) type Fx = Effects<UnitsType>;

pub(super) fn settings(policy: Policy) -> Arc<Settings> {
    Arc::new(Settings::default().with_policy(policy))
}

pub(super) fn root(policy: Policy) -> UnitsOwner {
    Owner::root(settings(policy), Units(ALL), 1, 0, LoanId::default())
}

pub(super) fn debtor(policy: Policy) -> UnitsOwner {
    let mut owner = Owner::debtor(settings(policy), Units(ALL), 0, LoanId::default());
    owner.on_creditor_up(NOW, CREDITOR, 0, &mut Fx::new());
    owner
}

pub(super) fn token(index: u32) -> Token {
    Token {
        index,
        generation: 0,
    }
}

pub(super) fn order(stamp: u64) -> Order {
    let party = Party {
        node: NodeId(0),
        boot: Boot(0),
    };
    Order {
        class: Class::New,
        stamp: Stamp(stamp),
        party,
        seq: stamp,
    }
}

pub(super) fn converting(stamp: u64) -> Order {
    Order {
        class: Class::Convert,
        ..order(stamp)
    }
}

pub(super) fn request(index: u32, units: u64) -> Request<Units> {
    Request::new(token(index), order(u64::from(index)), Units(units))
}

pub(super) fn tried(index: u32, units: u64) -> Request<Units> {
    Request {
        try_only: true,
        ..request(index, units)
    }
}

pub(super) fn grants(fx: &Fx) -> Vec<u32> {
    let granted = |effect: &Effect<UnitsType>| match effect {
        Effect::Grant { token, .. } => Some(token.index),
        _ => None,
    };
    fx.as_slice().iter().filter_map(granted).collect()
}

/// Who was told that somebody waits, and who waits.
pub(super) fn told(fx: &Fx) -> Vec<(u32, u64)> {
    let told = |effect: &Effect<UnitsType>| match effect {
        Effect::Wanted { token, by } => Some((token.index, by.order.stamp.0)),
        _ => None,
    };
    fx.as_slice().iter().filter_map(told).collect()
}

pub(super) fn losses(fx: &Fx) -> Vec<(u32, LostReason)> {
    let lost = |effect: &Effect<UnitsType>| match effect {
        Effect::Lost { token, why } => Some((token.index, *why)),
        _ => None,
    };
    fx.as_slice().iter().filter_map(lost).collect()
}

pub(super) fn sent(fx: &Fx) -> Vec<Message<Units>> {
    let sent = |effect: &Effect<UnitsType>| match effect {
        Effect::Send { message, .. } => Some(message.clone()),
        _ => None,
    };
    fx.as_slice().iter().filter_map(sent).collect()
}

/// Passes messages between a creditor and one debtor until none is left. Returns how many there were, and
/// the grants at each side.
pub(super) fn run(
    creditor: (&mut UnitsOwner, PeerId),
    debtor: &mut UnitsOwner,
    mut up: Fx,
    mut down: Fx,
) -> (usize, Vec<u32>, Vec<u32>) {
    let (creditor, name) = creditor;
    let (mut count, mut above, mut below) = (0, grants(&down), grants(&up));
    while !up.is_empty() || !down.is_empty() {
        let (ups, downs) = (sent(&up), sent(&down));
        (up, down) = (Fx::new(), Fx::new());
        count += ups.len() + downs.len();
        for message in ups {
            creditor
                .on_message(NOW, name, message, &mut down)
                .expect("a correct debtor");
        }
        for message in downs {
            debtor
                .on_message(NOW, CREDITOR, message, &mut up)
                .expect("a correct creditor");
        }
        above.extend(grants(&down));
        below.extend(grants(&up));
    }
    (count, above, below)
}

/// A debtor's want, as old as its number.
pub(super) fn want(number: u64, units: u64) -> Message<Units> {
    Message::Want(Want {
        order: order(number),
        version: Version(1),
        level: Units(units),
        try_only: false,
        deadline: None,
        note: None,
    })
}

/// A grant to the first want of the request of that number.
pub(super) fn grant(loan: LoanId, number: u64, units: u64) -> Message<Units> {
    Message::Grant(Grant {
        loan,
        order: order(number),
        version: Version(1),
        delta: Units(units),
        steps: Steps::new(),
        fence: 2,
        limit: 1 << 40,
        value: None,
        colour: None,
    })
}
