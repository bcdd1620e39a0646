//! Colour, on a bridge with one lane: cars of one direction cross it side by side, and those of the other wait.

use super::units::{ALL, CREDITOR, NOW, Units, converting, order, settings, token};
use crate::credit::{Colour, Credit as _, Level, Malformed};
use crate::effect::{Effect, Effects};
use crate::error::PeerMisbehaved;
use crate::id::{GroupId, LoanId, PeerId, ResourceKey, TypeId, Version};
use crate::message::{Grant, Message, Steps, Want};
use crate::owner::{Conversion, Owner, Request};
use crate::policy::Policy;
use crate::resource::ResourceType;

const EAST: Colour = Colour(1);
const WEST: Colour = Colour(2);
const LEFT: PeerId = PeerId(1);
const RIGHT: PeerId = PeerId(2);

/// So many cars, in a direction or (a lorry as wide as the bridge) in none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Cars {
    count: u64,
    to: Option<Colour>,
}

impl Cars {
    const fn with(self, count: u64) -> Self {
        Self { count, to: self.to }
    }
}

impl Level<Units> for Cars {
    fn of(credit: &Units) -> Self {
        Self {
            count: credit.0,
            to: None,
        }
    }
    fn is_zero(&self) -> bool {
        self.count == 0
    }
    fn reaches(&self, other: &Self) -> bool {
        self.count >= other.count
    }
    fn at_least(&self, other: &Self) -> Self {
        self.with(self.count.max(other.count))
    }
    fn beyond(&self, other: &Self) -> Self {
        self.with(self.count.saturating_sub(other.count))
    }
    fn plus(&self, other: &Self, capital: &Units) -> Self {
        self.with((self.count + other.count).min(capital.0))
    }
    fn only_where(&self, to: &Self) -> Self {
        self.with(if to.is_zero() { 0 } else { self.count })
    }
    fn draw(&self, credit: &Units) -> Units {
        Units(self.count.min(credit.0))
    }
    fn write(&self, out: &mut Vec<u8>) {
        Units(self.count).encode(out);
    }
    fn read(bytes: &[u8]) -> Result<Self, Malformed> {
        Units::decode(bytes).map(|units| Self::of(&units))
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Bridge;

impl ResourceType for Bridge {
    type Credit = Units;
    type Level = Cars;
    const ID: TypeId = TypeId(901);
    const NAME: &'static str = "bridge";

    fn capital(&self, _: &ResourceKey) -> Units {
        Units(ALL)
    }

    fn coloured(capital: &Units) -> Units {
        *capital
    }

    fn colour_of(ask: &Cars) -> Option<Colour> {
        ask.to
    }

    fn in_colour(level: Cars, colour: Colour) -> Cars {
        Cars {
            to: Some(colour),
            ..level
        }
    }
}

type Fx = Effects<Bridge>;

fn cars(count: u64, to: Colour) -> Cars {
    Cars {
        count,
        to: Some(to),
    }
}

const LORRY: Cars = Cars {
    count: ALL,
    to: None,
};

fn root() -> Owner<Bridge> {
    Owner::root(settings(Policy::Exact), Units(ALL), 1, 0, LoanId::default())
}

fn leaf() -> Owner<Bridge> {
    let mut owner = Owner::debtor(settings(Policy::Exact), Units(ALL), 0, LoanId::default());
    owner.on_creditor_up(NOW, CREDITOR, 0, &mut Fx::new());
    owner
}

fn request(number: u32, ask: Cars) -> Request<Cars> {
    Request::new(token(number), order(u64::from(number)), ask)
}

/// Asks for that, and says what follows.
fn ask(owner: &mut Owner<Bridge>, number: u32, ask: Cars) -> Fx {
    let mut fx = Fx::new();
    owner.acquire(NOW, request(number, ask), &mut fx);
    fx
}

fn want(number: u64, version: u64, level: Cars) -> Message<Units, Cars> {
    Message::Want(Want {
        order: order(number),
        version: Version(version),
        level,
        try_only: false,
        deadline: None,
        note: None,
    })
}

fn grant(number: u64, units: u64, colour: Option<Colour>) -> Message<Units, Cars> {
    Message::Grant(Grant {
        loan: LoanId {
            epoch: 1,
            counter: 1,
        },
        order: order(number),
        version: Version(1),
        delta: Units(units),
        steps: Steps::new(),
        fence: 2,
        limit: 1 << 40,
        value: None,
        colour,
    })
}

fn back(loan: LoanId, units: u64, colour: Option<Colour>) -> Message<Units, Cars> {
    Message::Return {
        loan,
        delta: Units(units),
        fence: 0,
        value: None,
        colour,
    }
}

/// Hands over a message of a correct peer, and says what follows.
fn take(owner: &mut Owner<Bridge>, from: PeerId, message: Message<Units, Cars>) -> Fx {
    let mut fx = Fx::new();
    let taken = owner.on_message(NOW, from, message, &mut fx);
    taken.expect("no misbehaviour");
    fx
}

fn granted(fx: &Fx) -> Vec<(u32, u64)> {
    let granted = |effect: &Effect<Bridge>| match effect {
        Effect::Grant { token, fence } => Some((token.index, *fence)),
        _ => None,
    };
    fx.as_slice().iter().filter_map(granted).collect()
}

/// Who is granted.
fn crosses(fx: &Fx) -> Vec<u32> {
    granted(fx).into_iter().map(|(number, _)| number).collect()
}

/// The credit that leaves: to whom, how much, in which colour.
fn moved(fx: &Fx) -> Vec<(PeerId, u64, Option<Colour>)> {
    let moved = |effect: &Effect<Bridge>| match effect {
        Effect::Send {
            to,
            message:
                Message::Grant(Grant { delta, colour, .. }) | Message::Return { delta, colour, .. },
        } => Some((*to, delta.0, *colour)),
        _ => None,
    };
    fx.as_slice().iter().filter_map(moved).collect()
}

/// What is asked of the creditor.
fn wanted(fx: &Fx) -> Vec<Cars> {
    let wanted = |effect: &Effect<Bridge>| match effect {
        Effect::Send {
            message: Message::Want(want),
            ..
        } => Some(want.level),
        _ => None,
    };
    fx.as_slice().iter().filter_map(wanted).collect()
}

/// What debtors are asked to keep.
fn recalled(fx: &Fx) -> Vec<(PeerId, u64)> {
    let recalled = |effect: &Effect<Bridge>| match effect {
        Effect::Send {
            to,
            message: Message::Recall { steps, .. },
        } => steps.last().map(|step| (*to, step.keep.0)),
        _ => None,
    };
    fx.as_slice().iter().filter_map(recalled).collect()
}

fn release(owner: &mut Owner<Bridge>, number: u32) -> Fx {
    let mut fx = Fx::new();
    owner.release(NOW, token(number), &mut fx);
    fx
}

#[test]
fn cars_of_one_direction_cross_together_and_one_of_the_other_waits_for_all_of_them() {
    let mut owner = root();
    assert_eq!(crosses(&ask(&mut owner, 1, cars(1, EAST))), [1]);
    assert_eq!(crosses(&ask(&mut owner, 2, cars(1, EAST))), [2]);
    assert_eq!(crosses(&ask(&mut owner, 3, cars(1, WEST))), []);
    assert_eq!(crosses(&release(&mut owner, 1)), []);
    assert_eq!(crosses(&release(&mut owner, 2)), [3]);
    assert_eq!(owner.colour(), Some(WEST));
}

#[test]
fn one_that_waits_for_the_other_colour_is_not_passed_by_younger_ones() {
    let mut owner = root();
    ask(&mut owner, 1, cars(1, EAST));
    ask(&mut owner, 2, cars(1, WEST));
    assert_eq!(crosses(&ask(&mut owner, 3, cars(1, EAST))), []);
    assert_eq!(crosses(&release(&mut owner, 1)), [2]);
    assert_eq!(crosses(&release(&mut owner, 2)), [3]);
}

#[test]
fn what_a_change_of_colour_takes_beyond_the_request_is_free_again_at_once() {
    let mut owner = root();
    ask(&mut owner, 1, cars(ALL, EAST));
    ask(&mut owner, 2, cars(1, WEST));
    ask(&mut owner, 3, cars(1, WEST));
    assert_eq!(crosses(&release(&mut owner, 1)), [2, 3]);
    assert_eq!(owner.cached(), &Units(ALL - 2));
}

#[test]
fn the_cache_serves_its_own_colour_without_a_decision_and_no_other() {
    let mut owner = root();
    ask(&mut owner, 1, cars(1, EAST));
    let mut served = |to| owner.take(NOW, token(2), &cars(1, to), None).is_some();
    assert!(!served(WEST));
    assert!(served(EAST));
}

#[test]
fn what_asks_for_no_colour_takes_any_and_leaves_it() {
    let mut owner = root();
    ask(&mut owner, 1, cars(1, EAST));
    release(&mut owner, 1);
    assert_eq!(crosses(&ask(&mut owner, 2, LORRY)), [2]);
    assert_eq!(owner.colour(), Some(EAST));
}

#[test]
fn tokens_rise_over_a_change_of_colour_and_not_within_one() {
    let mut owner = root();
    let tokens: Vec<_> = [(1, EAST), (2, EAST), (3, WEST), (4, WEST)]
        .into_iter()
        .map(|(number, to)| {
            let granted = granted(&ask(&mut owner, number, cars(1, to)));
            release(&mut owner, number);
            granted[0].1
        })
        .collect();
    assert!(tokens[0] == tokens[1] && tokens[1] < tokens[2] && tokens[2] == tokens[3]);
}

#[test]
fn a_colour_is_not_changed_without_room_for_the_fence() {
    let mut owner = leaf();
    ask(&mut owner, 1, cars(1, EAST));
    let Message::Grant(mut all) = grant(1, ALL, Some(WEST)) else {
        unreachable!("it is a grant");
    };
    all.limit = 2;
    let fx = take(&mut owner, CREDITOR, Message::Grant(all.clone()));
    assert_eq!(crosses(&fx), []);
    let (loan, limit) = (all.loan, 100);
    let fx = take(&mut owner, CREDITOR, Message::Limit { loan, limit });
    assert_eq!(crosses(&fx), [1]);
}

#[test]
fn a_root_lends_a_share_in_the_colour_asked_for_and_keeps_the_rest_in_it() {
    let mut top = root();
    let fx = take(&mut top, LEFT, want(1, 1, cars(1, EAST)));
    assert_eq!(moved(&fx), [(LEFT, 1, Some(EAST))]);
    let fx = take(&mut top, RIGHT, want(2, 1, cars(1, EAST)));
    assert_eq!(moved(&fx), [(RIGHT, 1, Some(EAST))]);
    assert_eq!(top.colour(), Some(EAST));
}

#[test]
fn a_clash_recalls_all_of_the_old_colour_and_lends_what_was_asked_of_the_new_one() {
    let mut top = root();
    take(&mut top, LEFT, want(1, 1, cars(2, EAST)));
    let fx = take(&mut top, RIGHT, want(2, 1, cars(1, WEST)));
    assert_eq!((moved(&fx), recalled(&fx)), (vec![], vec![(LEFT, 0)]));
    let loan = top.loan_id(LEFT).expect("lent above");
    let fx = take(&mut top, LEFT, back(loan, 2, Some(EAST)));
    assert_eq!(moved(&fx), [(RIGHT, 1, Some(WEST))]);
}

#[test]
fn a_debtor_that_has_the_wrong_colour_asks_for_all_of_it() {
    let mut owner = leaf();
    ask(&mut owner, 1, cars(1, EAST));
    take(&mut owner, CREDITOR, grant(1, 1, Some(EAST)));
    let fx = ask(&mut owner, 2, cars(1, WEST));
    assert_eq!(wanted(&fx), [cars(ALL, WEST)]);
}

#[test]
fn a_debtor_that_has_none_asks_for_what_it_was_asked() {
    let fx = ask(&mut leaf(), 1, cars(1, WEST));
    assert_eq!(wanted(&fx), [cars(1, WEST)]);
}

#[test]
fn a_debtor_with_some_of_the_old_colour_is_lent_the_rest_of_it_and_changes_it_in_place() {
    let mut top = root();
    take(&mut top, LEFT, want(1, 1, cars(1, EAST)));
    let fx = take(&mut top, LEFT, want(2, 1, cars(1, WEST)));
    assert_eq!(moved(&fx), [(LEFT, ALL - 1, Some(EAST))]);

    let mut below = leaf();
    ask(&mut below, 1, cars(1, EAST));
    take(&mut below, CREDITOR, grant(1, 1, Some(EAST)));
    ask(&mut below, 2, cars(1, WEST));
    let fx = take(&mut below, CREDITOR, grant(2, ALL - 1, Some(EAST)));
    assert_eq!(crosses(&fx), []);
    assert_eq!(crosses(&release(&mut below, 1)), [2]);
    assert_eq!(below.colour(), Some(WEST));
}

#[test]
fn who_lent_all_of_it_to_one_debtor_does_not_know_its_colour_until_some_comes_back() {
    let mut top = root();
    take(&mut top, LEFT, want(1, 1, cars(ALL, EAST)));
    assert_eq!(top.colour(), None);
    let fx = take(&mut top, RIGHT, want(2, 1, cars(1, EAST)));
    assert_eq!(recalled(&fx), [(LEFT, ALL - 1)]);
    let loan = top.loan_id(LEFT).expect("lent above");
    let fx = take(&mut top, LEFT, back(loan, 1, Some(WEST)));
    assert_eq!((moved(&fx), recalled(&fx)), (vec![], vec![(LEFT, 0)]));
    assert_eq!(top.colour(), Some(WEST));
}

#[test]
fn who_has_returned_all_of_it_forgets_its_colour() {
    let mut owner = leaf();
    ask(&mut owner, 1, cars(1, EAST));
    take(&mut owner, CREDITOR, grant(1, 1, Some(EAST)));
    release(&mut owner, 1);
    let mut fx = Fx::new();
    owner.return_spare(NOW, &mut fx);
    assert_eq!(moved(&fx), [(CREDITOR, 1, Some(EAST))]);
    assert_eq!(owner.colour(), None);
}

#[test]
fn who_gives_all_of_it_to_an_older_request_wants_no_more_than_was_asked() {
    let mut owner = leaf();
    ask(&mut owner, 1, cars(1, EAST));
    take(&mut owner, CREDITOR, grant(1, 1, Some(EAST)));
    release(&mut owner, 1);
    let fx = ask(&mut owner, 3, cars(1, WEST));
    assert_eq!(wanted(&fx), [cars(ALL, WEST)]);
    let step = crate::message::Step {
        order: order(2),
        keep: Units(0),
        try_only: false,
        whole: false,
        note: None,
    };
    let recall = Message::Recall {
        loan: LoanId {
            epoch: 1,
            counter: 1,
        },
        steps: [step].into_iter().collect(),
    };
    let fx = take(&mut owner, CREDITOR, recall);
    assert_eq!(moved(&fx), [(CREDITOR, 1, Some(EAST))]);
    assert_eq!(wanted(&fx), [cars(1, WEST)]);
}

#[test]
fn a_try_behind_an_older_change_of_colour_of_the_same_debtor_is_denied_and_not_left_waiting() {
    let mut top = root();
    take(&mut top, RIGHT, want(1, 1, cars(1, EAST)));
    take(&mut top, LEFT, want(2, 1, cars(1, WEST)));
    let Message::Want(tried) = want(3, 1, cars(2, WEST)) else {
        unreachable!("it is a want");
    };
    let tried = Want {
        try_only: true,
        ..tried
    };
    let fx = take(&mut top, LEFT, Message::Want(tried));
    let is_denied = |effect: &Effect<Bridge>| {
        let Effect::Send { to, message } = effect else {
            return false;
        };
        let why = crate::message::Refusal::Busy;
        *to == LEFT && matches!(message, Message::Deny { why: said, .. } if *said == why)
    };
    assert!(fx.as_slice().iter().any(is_denied), "{fx:?}");
}

#[test]
fn credit_that_never_had_a_colour_is_nobody_s_colour() {
    let mut top = root();
    take(&mut top, LEFT, want(1, 1, LORRY));
    let loan = top.loan_id(LEFT).expect("lent above");
    take(&mut top, LEFT, back(loan, 1, None));
    let fx = take(&mut top, RIGHT, want(2, 1, cars(1, EAST)));
    assert_eq!((moved(&fx), recalled(&fx)), (vec![], vec![(LEFT, 0)]));
}

#[test]
fn after_the_loss_of_one_who_had_all_of_it_the_next_request_of_any_colour_changes_it() {
    let mut top = root();
    let fx = take(&mut top, LEFT, want(1, 1, cars(ALL, EAST)));
    assert_eq!(moved(&fx), [(LEFT, ALL, Some(EAST))]);
    top.on_debtor_down(NOW, LEFT, &mut Fx::new());
    let before = top.fence().now();
    assert_eq!(crosses(&ask(&mut top, 2, cars(1, EAST))), [2]);
    assert!(top.fence().now() > before);
}

#[test]
fn a_holder_changes_colour_in_place_when_nobody_else_holds_any() {
    let mut owner = root();
    ask(&mut owner, 1, cars(1, EAST));
    ask(&mut owner, 2, cars(1, EAST));
    let mut fx = Fx::new();
    let conversion = Conversion::new(token(1), converting(3), cars(1, WEST));
    owner.convert(NOW, conversion, &mut fx);
    assert_eq!(crosses(&fx), []);
    assert_eq!(crosses(&release(&mut owner, 2)), [1]);
    assert_eq!(owner.colour(), Some(WEST));
    assert_eq!(owner.cached(), &Units(ALL - 1));
}

#[test]
fn a_lorry_that_becomes_a_car_takes_its_colour_at_once() {
    let mut owner = root();
    ask(&mut owner, 1, cars(1, EAST));
    release(&mut owner, 1);
    ask(&mut owner, 2, LORRY);
    let mut fx = Fx::new();
    let conversion = Conversion::new(token(2), converting(3), cars(1, WEST));
    owner.convert(NOW, conversion, &mut fx);
    assert_eq!(crosses(&fx), [2]);
    assert_eq!(crosses(&ask(&mut owner, 4, cars(1, WEST))), [4]);
    assert_eq!(crosses(&ask(&mut owner, 5, cars(1, EAST))), []);
}

#[test]
fn members_of_a_group_that_ask_for_two_colours_hold_all_of_it() {
    let mut owner = root();
    let member = |number, to| Request {
        group: Some(GroupId(7)),
        ..request(number, cars(1, to))
    };
    ask(&mut owner, 1, cars(1, EAST));
    release(&mut owner, 1);
    let mut fx = Fx::new();
    owner.acquire(NOW, member(2, EAST), &mut fx);
    owner.acquire(NOW, member(3, WEST), &mut fx);
    assert_eq!(crosses(&fx), [2, 3]);
    assert_eq!(owner.cached(), &Units(0));
    release(&mut owner, 3);
    assert_eq!(owner.cached(), &Units(ALL - 1));
    assert_eq!(crosses(&ask(&mut owner, 4, cars(1, EAST))), [4]);
}

#[test]
fn credit_in_another_colour_than_the_rest_is_misbehaviour_and_changes_nothing() {
    let mut top = root();
    take(&mut top, LEFT, want(1, 1, cars(2, EAST)));
    let loan = top.loan_id(LEFT).expect("lent above");
    let before = top.clone();
    for colour in [None, Some(WEST)] {
        let taken = top.on_message(NOW, LEFT, back(loan, 1, colour), &mut Fx::new());
        assert_eq!(taken, Err(PeerMisbehaved::WrongColour));
        assert_eq!(top, before);
    }
}

#[test]
fn a_grant_of_a_loan_that_ended_goes_back_in_its_colour() {
    let mut owner = leaf();
    ask(&mut owner, 1, cars(1, EAST));
    take(&mut owner, CREDITOR, grant(1, 1, Some(EAST)));
    let why = crate::error::LostReason::SessionEnded;
    owner.on_creditor_down(NOW, why, &mut Fx::new());
    assert_eq!(owner.colour(), None);
    owner.on_creditor_up(NOW, CREDITOR, 0, &mut Fx::new());
    let fx = take(&mut owner, CREDITOR, grant(1, 1, Some(WEST)));
    assert_eq!(moved(&fx), [(CREDITOR, 1, Some(WEST))]);
}

#[test]
fn an_owner_at_rest_keeps_the_colour() {
    let mut owner = leaf();
    ask(&mut owner, 1, cars(1, EAST));
    take(&mut owner, CREDITOR, grant(1, 1, Some(EAST)));
    release(&mut owner, 1);
    let rest = owner.rest().expect("nothing happens in it");
    let woken = Owner::<Bridge>::wake(settings(Policy::Exact), Units(ALL), 0, &rest);
    assert_eq!(woken.colour(), Some(EAST));
}

#[test]
fn a_type_without_colour_does_not_look_at_one() {
    use super::units::{grant, request};
    let mut owner = super::units::debtor(Policy::Exact);
    let mut fx = super::units::Fx::new();
    owner.acquire(NOW, request(1, 1), &mut fx);
    let loan = LoanId {
        epoch: 1,
        counter: 1,
    };
    let Message::Grant(mut message) = grant(loan, 1, 1) else {
        unreachable!("it is a grant");
    };
    message.colour = Some(WEST);
    let taken = owner.on_message(NOW, CREDITOR, Message::Grant(message), &mut fx);
    assert_eq!((taken, owner.colour()), (Ok(()), None));
}
