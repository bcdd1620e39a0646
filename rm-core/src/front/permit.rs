//! What the rules let debtors have, asked about each want and claim; and what becomes of it when the rules change.
//!
//! **Invariant.** Nothing that the present rules forbid is granted for long. Whoever changes them changes the number of their
//! generation next, and then visits all resources. A want that was checked by former rules is in its resource before
//! that visit, which finds it; or it comes after it, sees the new number, and is looked at again.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::domain::Domain;
use super::resource::Resource;
use super::shard::Place;
use super::table::Table;
use crate::access::{Access, Allowance, Forbidden};
use crate::credit::Level as _;
use crate::error::PeerMisbehaved;
use crate::id::{PeerId, ResourceKey};
use crate::message::Message;
use crate::owner::Rest;
use crate::resource::ResourceType;
use crate::session::packet::Item;

/// What rules that change ask of a table.
pub(super) trait AnyPermit {
    fn enforce(&self);
    fn note_beyond_rules(&self, found: &mut BTreeSet<PeerId>);
}

impl<T: ResourceType> AnyPermit for Table<T> {
    fn enforce(&self) {
        self.each_that_lends_too_much(|resource| resource.enforce());
    }

    fn note_beyond_rules(&self, found: &mut BTreeSet<PeerId>) {
        self.each(|place| match place {
            Place::Live(resource) => {
                let allowance = |peer| self.shared.host.allowance(peer, T::ID, resource.key());
                resource.with_owner(|owner| found.extend(owner.beyond(&allowance)));
            }
            Place::Resting(resting) => {
                resting.rest.any_loan(&mut |peer, loan| {
                    if !self.may_have(&resting.key, peer, loan) {
                        found.insert(peer);
                    }
                    false
                });
            }
        });
    }
}

impl<T: ResourceType> Table<T> {
    /// What the rules let a debtor have of what it wants or claims, or why that is too much. Nothing is remembered of it yet.
    pub(super) fn allowed(
        &self,
        from: PeerId,
        item: &Item,
    ) -> Result<Result<Access, Forbidden>, PeerMisbehaved> {
        if !matches!(item.message, Message::Want(_) | Message::Claim(_)) {
            // Whoever gives back, or withdraws, may always do so; and what a creditor says is its own to say.
            return Ok(Ok(Access::Exclusive));
        }
        let host = &self.shared.host;
        let allowance = host.allowance(from, T::ID, &item.key);
        let may_have = match &allowance {
            Allowance::Everything => return Ok(Ok(Access::Exclusive)),
            Allowance::Shares(_) => Access::Share,
            Allowance::Nothing(why) => return Ok(Err(why.clone())),
        };
        let level = match &item.message {
            Message::Want(want) => want.level.read_level::<T::Credit, T::Level>(),
            Message::Claim(claim) => claim.amount.read::<T::Credit>().map(|c| T::Level::of(&c)),
            _ => return Ok(Ok(may_have)),
        };
        let level = level.map_err(|_| PeerMisbehaved::MalformedCredit)?;
        let access = T::access(&level, &self.capital(&item.key));
        Ok(match allowance.check(access) {
            Ok(()) => Ok(may_have),
            Err(why) => Err(why.clone()),
        })
    }

    /// Visits all live resources, and those at rest that have lent anybody more than it may have, none of them under a
    /// shard's lock.
    fn each_that_lends_too_much(&self, f: impl Fn(&Arc<Resource<T>>)) {
        for shard in &self.shards {
            let (live, woken) = {
                let mut shard = shard.lock();
                let (live, seen) = (shard.live(), shard.seen);
                let concerned = shard.iter_mut().filter(|place| match place {
                    Place::Live(_) => false,
                    Place::Resting(resting) => self.lends_too_much(&resting.key, &resting.rest),
                });
                let woken: Vec<_> = concerned.map(|place| self.wake(place, seen)).collect();
                (live, woken)
            };
            live.iter().chain(&woken).for_each(&f);
            self.put_away(shard, woken);
        }
    }

    fn lends_too_much(&self, key: &ResourceKey, rest: &Rest<T::Credit>) -> bool {
        rest.any_loan(&mut |peer, loan| !self.may_have(key, peer, loan))
    }

    fn may_have(&self, key: &ResourceKey, peer: PeerId, loan: &T::Credit) -> bool {
        let capital = self.capital(key);
        let access = T::access(&T::Level::of(loan), &capital);
        let allowance = self.shared.host.allowance(peer, T::ID, key);
        allowance.check(access).is_ok()
    }
}

impl Domain {
    /// The rules have changed ([`Host::allowance`](super::Host::allowance)): what debtors wait for and may not have any more is
    /// denied, and what they have beyond it is taken back politely, as by [`release`](Self::release). It looks at every
    /// resource.
    ///
    /// Who does not answer keeps what it has: [`beyond_rules`](Self::beyond_rules) tells later who did not.
    pub fn enforce(&self) {
        self.each(|table| table.enforce());
    }

    /// The debtors that have more than the rules let them have: those that do not give back what [`enforce`](Self::enforce)
    /// asked of them. It looks at every resource.
    #[must_use]
    pub fn beyond_rules(&self) -> BTreeSet<PeerId> {
        let mut found = BTreeSet::new();
        self.each(|table| table.note_beyond_rules(&mut found));
        found
    }
}
