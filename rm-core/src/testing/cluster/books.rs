//! Where all credit of a cluster is, and what must be true of it.

use core::fmt;
use std::iter;

use super::{Cluster, Mail};
use crate::credit::Credit;
use crate::id::PeerId;
use crate::message::Message;
use crate::owner::Owner;
use crate::resource::{Lending, ResourceType};

/// Where the credit of one owner is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "there are no other places")]
pub struct Books<C> {
    /// What it has of its creditor; at the root, the capital.
    pub borrowed: C,
    /// What is unused.
    pub cached: C,
    /// What its local requests hold.
    pub held: C,
    /// What its debtors have.
    pub lent: C,
}

impl<T: ResourceType> Cluster<T> {
    /// Where the credit of one owner is.
    #[must_use]
    pub fn books(&self, node: usize) -> Books<T::Credit> {
        let owner = &self.owners[node];
        Books {
            borrowed: owner.borrowed().clone(),
            cached: owner.cached().clone(),
            held: total(owner.holds().map(|(_, hold)| &hold.credit)),
            lent: owner.lent().clone(),
        }
    }

    pub(super) fn check(&self) {
        self.owners.iter().for_each(Owner::check);
        let here = self.owners.iter().map(Owner::cached);
        let under_way = self.under_way.iter().filter_map(Mail::credit);
        let all = total(here.chain(self.holds_of_all()).chain(under_way));
        // A sum of credits that overlap is none, so no unit is in two places.
        let is_whole = match T::LENDING {
            Lending::Loaned => all == self.capital,
            Lending::UsedUp => self.capital.covers(&all),
        };
        assert!(
            is_whole,
            "each unit is in exactly one place: {all:?} in all"
        );
        if T::LENDING == Lending::Loaned {
            (1..self.owners.len()).for_each(|debtor| self.check_link(debtor));
        }
        let holds: Vec<_> = self.holds_of_all().collect();
        for (index, one) in holds.iter().enumerate() {
            for other in &holds[..index] {
                let conflict = one.conflicts(other, &self.capital);
                assert!(!conflict, "{one:?} and {other:?} are held at once");
            }
        }
    }

    fn check_link(&self, debtor: usize) {
        let creditor = self.tree.creditor(debtor);
        let loan = self.owners[creditor].loan(PeerId(debtor as u64));
        let loan = loan.cloned().unwrap_or_else(T::Credit::empty);
        let on_link = |mail: &&Mail<T>| {
            (mail.from, mail.to) == (debtor, creditor) || (mail.from, mail.to) == (creditor, debtor)
        };
        let under_way = self.under_way.iter().filter(on_link);
        let under_way = under_way.filter_map(Mail::credit);
        let borrowed = total(iter::once(self.owners[debtor].borrowed()).chain(under_way));
        assert_eq!(
            loan,
            borrowed,
            "the loan of {} is accounted for",
            self.tree.name(debtor)
        );
    }

    fn holds_of_all(&self) -> impl Iterator<Item = &T::Credit> {
        let holds = self.owners.iter().flat_map(Owner::holds);
        holds.map(|(_, hold)| &hold.credit)
    }
}

/// The books of all nodes, and what is under way, a line each.
impl<T: ResourceType> fmt::Display for Cluster<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for node in 0..self.owners.len() {
            let Books {
                borrowed,
                cached,
                held,
                lent,
            } = self.books(node);
            let name = self.tree.name(node);
            let waiting = self.owners[node].waiting().len();
            writeln!(
                f,
                "{name}: borrowed {borrowed:?}, cached {cached:?}, held {held:?}, lent {lent:?}; {waiting} wait",
            )?;
        }
        for Mail { from, to, message } in &self.under_way {
            let (from, to) = (self.tree.name(*from), self.tree.name(*to));
            writeln!(f, "{from} -> {to}: {message:?}")?;
        }
        Ok(())
    }
}

impl<T: ResourceType> Mail<T> {
    /// The credit that moves with it.
    const fn credit(&self) -> Option<&T::Credit> {
        match &self.message {
            Message::Grant(grant) => Some(&grant.delta),
            Message::Return { delta, .. } => Some(delta),
            Message::AskLimit { .. }
            | Message::Busy { .. }
            | Message::Claim(_)
            | Message::Claimed(_)
            | Message::Deny { .. }
            | Message::Limit { .. }
            | Message::Recall { .. }
            | Message::Revoke { .. }
            | Message::Unclaimed { .. }
            | Message::Unwant { .. }
            | Message::Want(_) => None,
        }
    }
}

fn total<'a, C: Credit>(parts: impl Iterator<Item = &'a C>) -> C {
    parts.fold(C::empty(), |sum, part| {
        sum.join(part).expect("parts of one capital are one credit")
    })
}
