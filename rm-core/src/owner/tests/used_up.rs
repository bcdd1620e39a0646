//! Credit that is given for good: any so many of 64 tickets, eight for each epoch.

use super::units::{CREDITOR, NOW, converting, order, settings, token};
use crate::credit::{Credit, Level, Malformed};
use crate::effect::{Effect, Effects};
use crate::error::{Denied, LostReason};
use crate::id::{GroupId, LoanId, PeerId, ResourceKey, TypeId, Version};
use crate::message::{Message, Refusal, Want};
use crate::owner::{Conversion, Owner, Request};
use crate::policy::Policy;
use crate::resource::{Lending, ResourceType};

/// A set of tickets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Tickets(u64);

impl Credit for Tickets {
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

    fn conflicts(&self, other: &Self, _: &Self) -> bool {
        self.0 & other.0 != 0
    }

    fn slice(&self, _: u32) -> Self {
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

/// How many tickets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Many(u32);

impl Level<Tickets> for Many {
    fn of(credit: &Tickets) -> Self {
        Self(credit.0.count_ones())
    }

    fn is_zero(&self) -> bool {
        self.0 == 0
    }

    fn reaches(&self, other: &Self) -> bool {
        self.0 >= other.0
    }

    fn at_least(&self, other: &Self) -> Self {
        Self(self.0.max(other.0))
    }

    fn beyond(&self, other: &Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }

    fn plus(&self, other: &Self, capital: &Tickets) -> Self {
        Self((self.0 + other.0).min(capital.0.count_ones()))
    }

    fn only_where(&self, to: &Self) -> Self {
        Self(if to.0 == 0 { 0 } else { self.0 })
    }

    fn draw(&self, credit: &Tickets) -> Tickets {
        let mut rest = credit.0;
        for _ in 0..self.0.min(rest.count_ones()) {
            rest &= rest - 1;
        }
        Tickets(credit.0 & !rest)
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.extend(self.0.to_be_bytes());
    }

    fn read(bytes: &[u8]) -> Result<Self, Malformed> {
        let bytes = bytes.try_into().map_err(|_| Malformed)?;
        Ok(Self(u32::from_be_bytes(bytes)))
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Counter;

impl ResourceType for Counter {
    type Credit = Tickets;
    type Level = Many;
    const LENDING: Lending = Lending::UsedUp;
    const ID: TypeId = TypeId(902);
    const NAME: &'static str = "counter";

    fn capital(&self, _: &ResourceKey) -> Tickets {
        Tickets(u64::MAX)
    }

    fn opening(_: &Tickets, epoch: u32) -> Tickets {
        Tickets(0xff << (8 * (epoch % 8)))
    }
}

const PEER: PeerId = PeerId(7);

fn root() -> Owner<Counter> {
    Owner::root(
        settings(Policy::Exact),
        Tickets(u64::MAX),
        0,
        0,
        LoanId::default(),
    )
}

fn debtor() -> Owner<Counter> {
    let mut owner = Owner::debtor(
        settings(Policy::Exact),
        Tickets(u64::MAX),
        0,
        LoanId::default(),
    );
    owner.on_creditor_up(NOW, CREDITOR, 0, &mut Effects::new());
    owner
}

fn take(owner: &mut Owner<Counter>, index: u32, many: u32) -> (Option<Tickets>, Effects<Counter>) {
    let mut fx = Effects::new();
    let request = Request::new(token(index), order(u64::from(index)), Many(many));
    owner.acquire(NOW, request, &mut fx);
    let got = owner.hold(token(index)).map(|hold| hold.credit);
    if got.is_some() {
        owner.release(NOW, token(index), &mut fx);
    }
    (got, fx)
}

fn sent(fx: &Effects<Counter>) -> Vec<Message<Tickets, Many>> {
    let sent = |effect: &Effect<Counter>| match effect {
        Effect::Send { message, .. } => Some(message.clone()),
        _ => None,
    };
    fx.as_slice().iter().filter_map(sent).collect()
}

fn want(number: u64, many: u32) -> Message<Tickets, Many> {
    Message::Want(Want {
        order: order(number),
        version: Version(number),
        level: Many(many),
        try_only: false,
        deadline: None,
        note: None,
    })
}

#[test]
fn what_was_taken_is_never_taken_again() {
    let mut owner = root();
    assert_eq!(take(&mut owner, 1, 3).0, Some(Tickets(0b111)));
    assert_eq!(take(&mut owner, 2, 2).0, Some(Tickets(0b1_1000)));
    assert_eq!(owner.borrowed(), &Tickets(0b1110_0000));
}

#[test]
fn what_is_used_up_takes_no_fencing_numbers_of_which_a_debtor_would_run_out() {
    let mut owner = root();
    let before = owner.fence().now();
    let _ = take(&mut owner, 1, 3);
    assert!(owner.take(NOW, token(2), &Many(2), None).is_some());
    assert_eq!(owner.fence().now(), before);
}

#[test]
fn a_root_that_gave_any_must_not_vanish_and_one_that_gave_none_may() {
    let mut owner = root();
    assert!(owner.is_idle());
    let _ = take(&mut owner, 1, 1);
    assert!(!owner.is_idle());
}

#[test]
fn what_is_given_to_a_debtor_is_no_loan_and_does_not_come_back_when_it_is_lost() {
    let (mut owner, mut fx) = (root(), Effects::new());
    owner
        .on_message(NOW, PEER, want(1, 3), &mut fx)
        .expect("a want");
    let [Message::Grant(grant)] = &sent(&fx)[..] else {
        panic!("a grant: {fx:?}");
    };
    assert_eq!(grant.delta, Tickets(0b111));
    assert_eq!(owner.lent(), &Tickets(0));
    owner.on_debtor_down(NOW, PEER, &mut fx);
    assert_eq!(owner.cached(), &Tickets(0b1111_1000));
}

#[test]
fn a_debtor_asks_for_what_it_misses_and_keeps_what_it_has_when_its_session_ends() {
    let mut owner = debtor();
    let (got, fx) = take(&mut owner, 1, 3);
    assert_eq!(got, None);
    let [Message::Want(wanted)] = &sent(&fx)[..] else {
        panic!("a want: {fx:?}");
    };
    assert_eq!(wanted.level, Many(3));
    let (mut above, mut down) = (root(), Effects::new());
    above
        .on_message(NOW, PEER, want(9, 5), &mut down)
        .expect("a want");
    let [Message::Grant(grant)] = &sent(&down)[..] else {
        panic!("a grant: {down:?}");
    };
    let mut fx = Effects::new();
    let grant = crate::message::Grant {
        order: order(1),
        version: wanted.version,
        ..grant.clone()
    };
    owner
        .on_message(NOW, CREDITOR, Message::Grant(grant), &mut fx)
        .expect("a grant");
    assert_eq!(
        owner.hold(token(1)).map(|hold| hold.credit),
        Some(Tickets(0b111))
    );
    owner.release(NOW, token(1), &mut fx);
    owner.on_creditor_down(NOW, LostReason::LeaseExpired, &mut fx);
    assert_eq!(owner.cached(), &Tickets(0b1_1000));
    assert_eq!(
        take(&mut owner, 2, 2).0,
        Some(Tickets(0b1_1000)),
        "without a session"
    );
}

#[test]
fn what_nobody_uses_is_dropped_and_not_sent_home() {
    let (mut owner, mut fx) = (root(), Effects::new());
    owner
        .on_message(NOW, PEER, want(1, 3), &mut fx)
        .expect("a want");
    let [Message::Grant(grant)] = &sent(&fx)[..] else {
        panic!("a grant: {fx:?}");
    };
    let (mut owner, mut fx) = (debtor(), Effects::new());
    let grant = Message::Grant(grant.clone());
    owner
        .on_message(NOW, CREDITOR, grant, &mut fx)
        .expect("a grant");
    owner.return_spare(NOW, &mut fx);
    assert_eq!(sent(&fx), [], "nobody would take it");
    assert!(owner.is_idle());
}

#[test]
fn a_hole_in_what_one_epoch_has_is_never_filled_and_the_next_one_has_its_own() {
    let (mut owner, mut fx) = (root(), Effects::new());
    let _ = take(&mut owner, 1, 8);
    assert!(owner.needs_epoch());
    assert_eq!(take(&mut owner, 2, 1).0, None, "nothing is left");
    owner.on_epoch(NOW, 1, &mut fx);
    assert_eq!(
        owner.hold(token(2)).map(|hold| hold.credit),
        Some(Tickets(1 << 8))
    );
    assert!(!owner.needs_epoch());
}

#[test]
fn what_an_older_want_just_got_is_not_recalled_for_a_younger_request() {
    let (mut owner, mut fx) = (root(), Effects::new());
    let _ = take(&mut owner, 1, 8);
    owner
        .on_message(NOW, PEER, want(2, 1), &mut fx)
        .expect("a want");
    assert_eq!(take(&mut owner, 3, 8).0, None);
    let mut fx = Effects::new();
    owner.on_epoch(NOW, 1, &mut fx);
    let [Message::Grant(grant)] = &sent(&fx)[..] else {
        panic!("a grant and no recall: {fx:?}");
    };
    assert_eq!(grant.delta, Tickets(1 << 8));
    assert!(grant.steps.is_empty());
    owner.check();
}

#[test]
fn each_want_says_what_it_needs_alone() {
    let mut owner = debtor();
    let (_, first) = take(&mut owner, 1, 6);
    let (_, second) = take(&mut owner, 2, 6);
    let level = |fx| match &sent(fx)[..] {
        [Message::Want(want)] => want.level,
        other => panic!("one want: {other:?}"),
    };
    assert_eq!([level(&first), level(&second)], [Many(6); 2]);
}

#[test]
fn two_wants_of_one_debtor_are_both_served_at_once() {
    let (mut owner, mut fx) = (root(), Effects::new());
    let _ = take(&mut owner, 1, 8);
    owner
        .on_message(NOW, PEER, want(2, 1), &mut fx)
        .expect("a want");
    owner
        .on_message(NOW, PEER, want(3, 2), &mut fx)
        .expect("a want");
    let mut fx = Effects::new();
    owner.on_epoch(NOW, 1, &mut fx);
    assert_eq!(sent(&fx).len(), 2, "{fx:?}");
    assert_eq!(owner.cached(), &Tickets(0b1111_1000 << 8));
}

#[test]
fn what_a_member_of_a_group_converts_away_is_used_up_too() {
    let (mut owner, mut fx) = (root(), Effects::new());
    let member = |index, many| Request {
        group: Some(GroupId(1)),
        ..Request::new(token(index), order(u64::from(index)), Many(many))
    };
    owner.acquire(NOW, member(1, 3), &mut fx);
    owner.acquire(NOW, member(2, 1), &mut fx);
    let conversion = Conversion::new(token(1), converting(3), Many(1));
    owner.convert(NOW, conversion, &mut fx);
    assert_eq!(owner.borrowed(), &Tickets(0b1111_1001), "a hole");
    assert_eq!(take(&mut owner, 4, 1).0, Some(Tickets(0b1000)));
}

#[test]
fn a_request_for_more_than_the_epoch_has_left_gets_the_next_one() {
    let (mut owner, mut fx) = (root(), Effects::new());
    let _ = take(&mut owner, 1, 6);
    assert!(!owner.needs_epoch(), "two are left");
    assert_eq!(take(&mut owner, 2, 3).0, None);
    assert!(owner.needs_epoch(), "or it and all behind it wait for ever");
    owner.on_epoch(NOW, 1, &mut fx);
    assert_eq!(
        owner.hold(token(2)).map(|hold| hold.credit),
        Some(Tickets(0b111 << 8))
    );
}

#[test]
fn what_no_epoch_can_give_is_refused() {
    let (mut owner, mut fx) = (root(), Effects::new());
    owner.acquire(NOW, Request::new(token(1), order(1), Many(9)), &mut fx);
    assert_eq!(
        fx.as_slice(),
        [Effect::Deny {
            token: token(1),
            why: Denied::Refused
        }]
    );
    let mut fx = Effects::new();
    owner
        .on_message(NOW, PEER, want(2, 9), &mut fx)
        .expect("a want");
    let [Message::Deny { why, .. }] = &sent(&fx)[..] else {
        panic!("denied: {fx:?}");
    };
    assert_eq!(*why, Refusal::Refused);
}
