//! Rules that change while a want is on its way.

mod desk;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use desk::{DEBTOR, Desk, READ, ROOT, item, order};
use rm_core::access::{Action, Allowance, Identity, Rule, Rules};
use rm_core::credit::Opaque;
use rm_core::front::{Domain, DomainSettings, Host};
use rm_core::id::{PeerId, ResourceKey, TypeId, Version};
use rm_core::message::{Message, Refusal, Want};
use rm_core::owner::Settings;
use rm_core::session::packet::Item;
use rm_core::time::Time;
use rm_rwlock::{RwCredit, RwLockType};

/// Whoever asks it for the first time is allowed everything, and the rules change right after that: from then on they let
/// nobody do anything.
struct Changing {
    desk: Desk,
    asked: AtomicU64,
}

impl Host for Changing {
    fn now(&self) -> Time {
        self.desk.now()
    }

    fn stamp_now(&self) -> Time {
        self.desk.stamp_now()
    }

    fn queue(&self, to: PeerId, item: Item) {
        self.desk.queue(to, item);
    }

    fn flush(&self, to: PeerId) {
        self.desk.flush(to);
    }

    fn rearm(&self) {}

    fn rules_generation(&self) -> u64 {
        self.asked.load(Ordering::Relaxed).min(1)
    }

    fn allowance(&self, _: PeerId, type_id: TypeId, key: &ResourceKey) -> Allowance {
        if self.asked.fetch_add(1, Ordering::Relaxed) == 0 {
            return Allowance::Everything;
        }
        let others = Rule::new(["somebody-else"], [Action::Write]).expect("a rule");
        let rules = Rules::new(vec![others], vec![]).expect("rules");
        rules.allowance(&Identity::anonymous(), type_id, key)
    }
}

fn want(level: RwCredit) -> Item {
    item(Message::Want(Want {
        order: order(),
        version: Version(1),
        level: Opaque::of(&level),
        try_only: false,
        deadline: None,
        note: None,
    }))
}

/// A root with those rules.
fn root() -> (Domain, Arc<Changing>) {
    let host = Arc::new(Changing {
        desk: Desk::default(),
        asked: AtomicU64::new(0),
    });
    let settings = DomainSettings::new("here", Settings::default());
    let domain = Domain::new(settings, ROOT, Arc::clone(&host) as Arc<dyn Host>);
    (domain.with_type(RwLockType::default()), host)
}

#[test]
fn a_want_that_was_checked_by_former_rules_waits_no_longer_than_it_takes_to_look_again() {
    let (domain, host) = root();
    let lock = desk::lock(&domain);
    let _held = desk::hold(&lock, *lock.capital());
    domain
        .deliver(DEBTOR, want(READ))
        .expect("a correct debtor");
    let said = host.desk.said();
    let denials = said.iter().filter(|(_, item)| {
        let not_allowed = Refusal::NotAllowed;
        matches!(item.message, Message::Deny { why, .. } if why == not_allowed)
    });
    assert_eq!(denials.count(), 1, "{said:?}");
    assert_eq!(domain.totals().waiting, 0);
}

#[test]
fn who_was_lent_by_former_rules_is_asked_for_it_and_known_for_as_long_as_it_keeps_it() {
    let (domain, host) = root();
    domain
        .deliver(DEBTOR, want(READ))
        .expect("a correct debtor");
    let said = host.desk.said();
    let has =
        |is_it: fn(&Message<Opaque>) -> bool| said.iter().any(|(_, item)| is_it(&item.message));
    assert!(has(|message| matches!(message, Message::Grant(_))));
    assert!(
        has(|message| matches!(message, Message::Revoke { .. })),
        "{said:?}"
    );
    assert!(domain.beyond_rules().into_iter().eq([DEBTOR]));
    domain.on_debtor_down(DEBTOR);
    assert!(domain.beyond_rules().is_empty());
}
