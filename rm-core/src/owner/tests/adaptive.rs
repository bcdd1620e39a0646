//! What the policy `Adaptive` learns, and what it then does.

use super::units::*;
use crate::access::Access;
use crate::error::LostReason;
use crate::id::{LoanId, PeerId, Version};
use crate::message::{Grant, Message, Step, Steps, Want};
use crate::owner::Origin;
use crate::policy::{Decision, Policy};

const A: PeerId = PeerId(1);
const B: PeerId = PeerId(2);
const HALVES: Policy = Policy::adaptive(2);

/// A debtor, and a creditor that is played by the test.
struct Leaf {
    owner: UnitsOwner,
    loan: LoanId,
    fx: Fx,
}

impl Leaf {
    fn new(policy: Policy) -> Self {
        Self {
            owner: debtor(policy),
            loan: LoanId::default(),
            fx: Fx::new(),
        }
    }

    fn sent(&mut self) -> Vec<Message<Units>> {
        let sent = sent(&self.fx);
        self.fx.drain().for_each(drop);
        sent
    }

    /// Request `number` asks for `units`, and is lent just as many.
    fn borrow(&mut self, number: u32, units: u64) {
        self.owner
            .acquire(NOW, request(number, units), &mut self.fx);
        let [Message::Want(Want { order, version, .. })] = self.sent()[..] else {
            panic!("it asks the creditor");
        };
        if self.owner.borrowed() == &Units(0) {
            self.loan.epoch = 1;
            self.loan.counter += 1;
        }
        let grant = Grant {
            loan: self.loan,
            order,
            version,
            delta: Units(units),
            steps: Steps::new(),
            fence: 0,
            limit: 1_000,
            value: None,
            colour: None,
        };
        self.receive(Message::Grant(grant));
        assert_eq!(grants(&self.fx), [number]);
        assert_eq!(self.sent(), []);
    }

    fn release(&mut self, number: u32) -> Vec<Message<Units>> {
        self.owner.release(NOW, token(number), &mut self.fx);
        self.sent()
    }

    /// The creditor asks for all but `keep`, on behalf of a request made at `stamp`.
    fn recall(&mut self, stamp: u64, keep: u64) -> Vec<Message<Units>> {
        let step = Step {
            order: order(stamp),
            keep: Units(keep),
            try_only: false,
            whole: false,
            note: None,
        };
        self.receive(Message::Recall {
            loan: self.loan,
            steps: Steps::from_iter([step]),
        });
        self.sent()
    }

    fn receive(&mut self, message: Message<Units>) {
        let done = self.owner.on_message(NOW, CREDITOR, message, &mut self.fx);
        done.expect("a correct creditor");
    }

    fn returned(&self, units: u64) -> [Message<Units>; 1] {
        [Message::Return {
            loan: self.loan,
            delta: Units(units),
            fence: self.owner.fence().now(),
            value: None,
            colour: None,
        }]
    }

    /// Borrows, releases, and is recalled without having used it again.
    fn is_recalled_unused(&mut self, number: u32) {
        self.borrow(number, 4);
        assert_eq!(self.release(number), [], "it caches");
        assert_eq!(self.recall(100, 0), self.returned(4));
    }

    /// A debtor that has learnt to return with its release. It has used the numbers 1 and 2.
    fn that_returns() -> Self {
        let mut leaf = Self::new(HALVES);
        leaf.is_recalled_unused(1);
        leaf.is_recalled_unused(2);
        leaf
    }
}

fn wants(number: u64, version: u64, level: u64) -> Message<Units> {
    Message::Want(Want {
        order: order(number),
        version: Version(version),
        level: Units(level),
        try_only: false,
        deadline: None,
        note: None,
    })
}

/// What a creditor sends a debtor that asks for that level.
fn ask(top: &mut UnitsOwner, from: PeerId, number: u64, level: u64) -> Vec<Message<Units>> {
    let mut fx = Fx::new();
    top.on_message(NOW, from, wants(number, number, level), &mut fx)
        .expect("a correct debtor");
    sent(&fx)
}

fn give_back(top: &mut UnitsOwner, from: PeerId, counter: u32, units: u64) -> Fx {
    let (loan, mut fx) = (LoanId { epoch: 1, counter }, Fx::new());
    let message = Message::Return {
        loan,
        delta: Units(units),
        fence: 0,
        value: None,
        colour: None,
    };
    top.on_message(NOW, from, message, &mut fx)
        .expect("a correct debtor");
    fx
}

#[test]
fn a_debtor_alone_gets_everything_along_and_no_longer_once_it_had_to_be_recalled() {
    let mut top = root(HALVES);
    ask(&mut top, A, 1, 1);
    assert_eq!(top.lent(), &Units(ALL));
    ask(&mut top, B, 2, 1);
    give_back(&mut top, A, 1, ALL);
    assert_eq!(top.lent(), &Units(1 + 3), "half of what B left");
}

#[test]
fn the_third_grant_to_a_lone_debtor_after_a_recall_is_generous_again() {
    let mut top = root(HALVES);
    ask(&mut top, A, 1, 1);
    ask(&mut top, B, 2, 1);
    give_back(&mut top, A, 1, ALL);
    give_back(&mut top, B, 2, 4);
    let lent = [3, 4].map(|number| {
        ask(&mut top, A, number, 1);
        let lent = *top.lent();
        give_back(&mut top, A, number as u32, lent.0);
        lent
    });
    assert_eq!(lent, [Units(4), Units(ALL)]);
}

#[test]
fn extra_goes_to_one_debtor_as_a_slice_where_another_has_a_loan() {
    let mut top = root(HALVES);
    let mut fx = Fx::new();
    top.acquire(NOW, request(9, 1), &mut fx);
    ask(&mut top, A, 1, 1);
    assert_eq!(top.lent(), &Units(1 + 3), "half of what A left");
    ask(&mut top, B, 2, 1);
    assert_eq!(top.lent(), &Units(4 + 1 + 1));
}

#[test]
fn what_a_waiting_request_could_use_is_no_extra() {
    let mut top = root(HALVES);
    let mut fx = Fx::new();
    top.acquire(NOW, request(1, 3), &mut fx);
    top.acquire(NOW, request(2, ALL), &mut fx);
    top.on_message(NOW, A, wants(3, 1, 1), &mut fx)
        .expect("a correct debtor");
    assert_eq!(top.lent(), &Units(0), "the older request takes all");
    // An older one than the request that waits is served, and nothing on top of it.
    top.on_message(NOW, B, wants(0, 1, 1), &mut fx)
        .expect("a correct debtor");
    assert_eq!(top.lent(), &Units(1));
}

#[test]
fn with_the_answer_to_a_recall_half_of_the_spare_stays() {
    let mut leaf = Leaf::new(HALVES);
    leaf.borrow(1, ALL);
    leaf.release(1);
    assert_eq!(leaf.recall(2, ALL - 2), leaf.returned(2 + 3));
    let decided: Vec<_> = leaf.fx.take_decisions().collect();
    let expected = [
        Decision::SliceKept,
        Decision::Recalled,
        Decision::RecalledIdle,
        Decision::RecalledUnused,
    ];
    assert_eq!(decided, expected.map(|decision| (decision, 1)));
}

#[test]
fn after_two_recalls_of_unused_credit_a_debtor_returns_everything_with_its_release() {
    let mut leaf = Leaf::that_returns();
    leaf.borrow(3, 4);
    leaf.fx.take_decisions().for_each(drop);
    assert_eq!(leaf.release(3), leaf.returned(4));
    let decided: Vec<_> = leaf.fx.take_decisions().collect();
    assert_eq!(decided, [(Decision::ReturnedUnasked, 1)]);
}

#[test]
fn under_a_fixed_policy_it_goes_on_caching() {
    for policy in [Policy::Exact, Policy::Max, Policy::slice(2)] {
        let mut leaf = Leaf::new(policy);
        (1..10).for_each(|number| leaf.is_recalled_unused(number));
    }
}

#[test]
fn credit_that_was_used_again_before_the_recall_was_worth_caching() {
    let mut leaf = Leaf::new(HALVES);
    leaf.is_recalled_unused(1);
    leaf.borrow(2, 4);
    leaf.release(2);
    assert!(leaf.owner.take(NOW, token(3), &Units(1), None).is_some());
    assert!(leaf.owner.put_back(token(3)));
    assert_eq!(leaf.recall(100, 0), leaf.returned(4));
    leaf.is_recalled_unused(4);
    leaf.borrow(5, 4);
    assert_eq!(leaf.release(5), [], "one recall in vain since then");
}

#[test]
fn a_recall_that_meets_a_holder_says_nothing_about_caching() {
    let mut leaf = Leaf::new(HALVES);
    for number in 1..5 {
        leaf.borrow(number, 4);
        assert_eq!(leaf.recall(100, 0), []);
        assert_eq!(leaf.release(number), leaf.returned(4));
    }
    leaf.borrow(5, 4);
    assert_eq!(leaf.release(5), []);
}

#[test]
fn a_debtor_that_returns_keeps_what_another_holder_or_request_there_needs() {
    let mut leaf = Leaf::that_returns();
    leaf.borrow(3, 4);
    leaf.owner.acquire(NOW, request(4, 4), &mut leaf.fx);
    let [Message::Want(_)] = leaf.sent()[..] else {
        panic!("it asks for more");
    };
    let sent = leaf.release(3);
    let [Message::Unwant { .. }] = sent[..] else {
        panic!("the next one is served here: {sent:?}");
    };
    assert!(leaf.owner.hold(token(4)).is_some());
    assert_eq!(leaf.release(4), leaf.returned(4));
}

#[test]
fn after_eight_returns_it_caches_once_more_and_goes_by_what_becomes_of_it() {
    let mut leaf = Leaf::that_returns();
    let return_eight_times = |leaf: &mut Leaf, from: u32| {
        for number in from..from + 8 {
            leaf.borrow(number, 4);
            assert_eq!(leaf.release(number), leaf.returned(4));
        }
    };
    return_eight_times(&mut leaf, 3);
    leaf.is_recalled_unused(11);
    return_eight_times(&mut leaf, 12);
    leaf.borrow(20, 4);
    assert_eq!(leaf.release(20), []);
    assert!(leaf.owner.take(NOW, token(21), &Units(4), None).is_some());
    assert!(leaf.owner.put_back(token(21)));
    assert_eq!(leaf.recall(100, 0), leaf.returned(4));
    leaf.is_recalled_unused(22);
}

#[test]
fn a_middle_owner_passes_on_what_its_last_debtor_returned() {
    let mut middle = Leaf::that_returns();
    middle.borrow(3, 4);
    let owner = &mut middle.owner;
    owner
        .on_message(NOW, A, wants(30, 1, 1), &mut middle.fx)
        .expect("a correct debtor");
    let [Message::Want(Want { order, version, .. })] = middle.sent()[..] else {
        panic!("the middle asks for it above");
    };
    middle.receive(Message::Grant(Grant {
        loan: middle.loan,
        order,
        version,
        delta: Units(1),
        steps: Steps::new(),
        fence: 0,
        limit: 1_000,
        value: None,
        colour: None,
    }));
    let [Message::Grant(Grant { loan, .. })] = middle.sent()[..] else {
        panic!("and lends it on");
    };
    assert_eq!(middle.release(3), [], "the debtor has a loan");
    let back = Message::Return {
        loan,
        delta: Units(1),
        fence: 0,
        value: None,
        colour: None,
    };
    let owner = &mut middle.owner;
    owner
        .on_message(NOW, A, back, &mut middle.fx)
        .expect("a correct debtor");
    assert_eq!(middle.sent(), middle.returned(5));
}

#[test]
fn a_reader_whose_want_waits_over_the_loss_of_all_is_lent_nothing_on_top_afterwards() {
    let mut middle = debtor(Policy::Max);
    let reader = Origin {
        may_have: Access::Share,
        ..Origin::from(A)
    };
    let mut fx = Fx::new();
    middle
        .on_message(NOW, reader, want(1, 2), &mut fx)
        .expect("a want");
    middle.on_creditor_down(NOW, LostReason::LeaseExpired, &mut fx);
    middle.on_creditor_up(NOW, CREDITOR, 0, &mut fx);
    let (epoch, counter) = (1, 1);
    middle
        .on_message(
            NOW,
            CREDITOR,
            grant(LoanId { epoch, counter }, 1, ALL),
            &mut fx,
        )
        .expect("a grant");
    assert_eq!(middle.lent(), &Units(2));
}
