//! C and D: what each message says, and what it does where it arrives.

use std::sync::Arc;
use std::time::Duration;

use rm_core::credit::Credit as _;
use rm_core::effect::{Effect, Effects};
use rm_core::id::{Boot, Class, LoanId, NodeId, Order, Party, PeerId, Stamp, Token, Version};
use rm_core::message::{Message, Refusal, Step, Want};
use rm_core::owner::{Owner, Request, Settings};
use rm_core::policy::Policy;
use rm_core::time::Time;
use rm_rwlock::credit::{RwCredit, RwLockType};
use rm_tests::rings::by_name;

use crate::{ALL, NONE, READ};

const CREDITOR: PeerId = PeerId(1);
const DEBTOR: PeerId = PeerId(2);

type Lock = Owner<RwLockType>;
type Words = Message<RwCredit, RwCredit>;

fn root() -> Lock {
    let settings = Settings::default().with_policy(Policy::Exact);
    Lock::root(Arc::new(settings), ALL, 1, 0, LoanId::default())
}

fn debtor() -> Lock {
    let settings = Arc::new(Settings::default().with_policy(Policy::Exact));
    let mut owner = Lock::debtor(settings, ALL, 0, LoanId::default());
    owner.on_creditor_up(Time::ZERO, CREDITOR, 0, &mut Effects::new());
    owner
}

fn order(number: u64) -> Order {
    let (node, boot) = (NodeId(number), Boot(0));
    Order {
        class: Class::New,
        stamp: Stamp(number),
        party: Party { node, boot },
        seq: number,
    }
}

fn write() -> Request<RwCredit> {
    let (index, generation) = (0, 0);
    Request::new(Token { index, generation }, order(7), ALL)
}

const fn want(level: RwCredit) -> Want<RwCredit> {
    Want {
        order: Order {
            class: Class::New,
            stamp: Stamp(1),
            party: Party {
                node: NodeId(1),
                boot: Boot(0),
            },
            seq: 1,
        },
        version: Version(1),
        level,
        try_only: false,
        deadline: None,
        note: None,
    }
}

/// The messages that an input sends.
fn sent(input: impl FnOnce(&mut Effects<RwLockType>)) -> Vec<Words> {
    let mut fx = Effects::new();
    input(&mut fx);
    let messages = fx.drain().filter_map(|effect| {
        if let Effect::Send { message, .. } = effect {
            Some(message)
        } else {
            None
        }
    });
    messages.collect()
}

#[test]
fn c1_a_want_says_what_for_whom_and_how_patiently() {
    let second = Duration::from_secs(1);
    let deadline = Some(Time::ZERO.after(second));
    let requests = [
        write(),
        Request {
            try_only: true,
            ..write()
        },
        Request {
            deadline,
            ..write()
        },
    ];
    for request in requests {
        let messages = sent(|fx| debtor().acquire(Time::ZERO, request.clone(), fx));
        let [Message::Want(want)] = &messages[..] else {
            panic!("one want: {messages:?}");
        };
        assert_eq!((want.order, want.level), (order(7), ALL));
        assert_eq!(want.try_only, request.try_only);
        assert_eq!(want.deadline, request.deadline.map(|_| second));
    }
}

#[test]
fn c2_a_recall_says_what_to_keep_for_whom_and_how_patiently() {
    for try_only in [false, true] {
        let mut root = root();
        let lent = sent(|fx| {
            let want = Message::Want(want(READ));
            root.on_message(Time::ZERO, DEBTOR, want, fx)
                .expect("in order");
        });
        let [Message::Grant(grant)] = &lent[..] else {
            panic!("one grant: {lent:?}");
        };
        let messages = sent(|fx| {
            root.acquire(
                Time::ZERO,
                Request {
                    try_only,
                    ..write()
                },
                fx,
            )
        });
        let [Message::Recall { loan, steps }] = &messages[..] else {
            panic!("one recall: {messages:?}");
        };
        assert_eq!(*loan, grant.loan);
        let [step] = &steps[..] else {
            panic!("one step: {steps:?}");
        };
        assert_eq!(
            (step.order, step.keep, step.try_only),
            (order(7), NONE, try_only)
        );
    }
}

#[test]
fn c3_a_grant_is_borrowed_and_held() {
    by_name().play(
        "
        tree T; D < T
        R at D: nenya; deliver D -> T; expect D borrows nothing
        deliver T -> D; expect D borrows nenya, R holds
        ",
    );
}

#[test]
fn c4_a_denial_brings_no_credit() {
    by_name().play(
        "
        tree T; D < T
        H at T: nenya
        R at D: try nenya; settle; expect R denied busy, D borrows nothing, messages 2
        ",
    );
}

#[test]
fn c5_c6_what_is_recalled_is_lent_until_the_return_arrives() {
    by_name().play(
        "
        tree T; D < T
        D caches nenya
        R at T: nenya; deliver T -> D
        expect D borrows nothing, T lends nenya, T caches all - nenya, R waits
        deliver D -> T
        expect T lends nothing, R holds
        ",
    );
}

#[test]
fn d5_a_want_for_more_than_there_is_is_refused() {
    let mut root = root();
    let more = ALL.join(&READ).expect("a number");
    let messages = sent(|fx| {
        let want = Message::Want(want(more));
        root.on_message(Time::ZERO, DEBTOR, want, fx)
            .expect("answered");
    });
    let [Message::Deny { why, .. }] = &messages[..] else {
        panic!("one denial: {messages:?}");
    };
    assert_eq!(*why, Refusal::Refused);
    assert_eq!((*root.lent(), *root.cached()), (NONE, ALL));
}

#[test]
fn d9_a_recall_of_what_a_debtor_has_not_is_met_already() {
    let mut root = root();
    let mut debtor = debtor();
    let read = Request {
        ask: READ,
        ..write()
    };
    sent(|fx| debtor.acquire(Time::ZERO, read, fx));
    let grants = sent(|fx| {
        let want = Message::Want(want(READ));
        root.on_message(Time::ZERO, DEBTOR, want, fx)
            .expect("in order");
    });
    for grant in grants {
        sent(|fx| {
            debtor
                .on_message(Time::ZERO, CREDITOR, grant, fx)
                .expect("in order")
        });
    }
    let step = Step {
        order: order(9),
        keep: READ,
        try_only: false,
        whole: false,
        note: None,
    };
    let loan = debtor.last_loan();
    let steps = [step].into_iter().collect();
    let answers = sent(|fx| {
        let recall = Message::Recall { loan, steps };
        debtor
            .on_message(Time::ZERO, CREDITOR, recall, fx)
            .expect("in order");
    });
    assert!(answers.is_empty() && !debtor.is_recalled());
    assert_eq!(*debtor.borrowed(), READ);
}
