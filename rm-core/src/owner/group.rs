//! Groups: the members of a transaction that meet at one owner share one hold.
//!
//! What a group holds is the least that covers what each member asks for. In the book it stands as parts, one for each
//! member, which add up to that: so each unit is still in one place, and a member that goes leaves to the others
//! what they need.
//!
//! A member that asks for what the group has already is granted at once: nobody else can have it, so nobody is
//! passed over. One that asks for more is like a conversion, and goes before new requests: the group holds what
//! they wait for. As of two conversions, the younger of two that wait for each other is denied.

use super::{Asker, Hold, Owner, Waiting, sum};
use crate::credit::Credit;
use crate::effect::Effects;
use crate::id::{Class, GroupId, Token};
use crate::resource::ResourceType;

impl<T: ResourceType> Owner<T> {
    /// What the members of a group hold together.
    pub(super) fn held_by(&self, group: GroupId) -> T::Credit {
        let members = self.holds.iter().map(|(_, hold)| hold);
        let parts = members.filter(|hold| hold.group() == Some(group));
        parts.fold(T::Credit::empty(), |total, hold| sum(&total, &hold.credit))
    }

    /// What a local request has already: the hold that it converts, or what its group holds.
    pub(super) fn has_already(&self, asker: Asker, group: Option<GroupId>) -> T::Credit {
        let own = match asker {
            Asker::Convert(token) => self.holds.get(token),
            Asker::Debtor(..) | Asker::Local(_) => None,
        };
        match (own.and_then(|hold| hold.group()).or(group), own) {
            (Some(group), _) => self.held_by(group),
            (None, Some(hold)) => hold.credit.clone(),
            (None, None) => T::Credit::empty(),
        }
    }

    /// The group on whose behalf a request waits.
    pub(super) fn group_of(&self, item: &Waiting<T::Level>) -> Option<GroupId> {
        match item.asker {
            Asker::Convert(token) => self.holds.get(token)?.group(),
            Asker::Debtor(..) | Asker::Local(_) => item.group,
        }
    }

    /// Shares out what a group holds after a member came, went, or asks for something else. Returns what no member
    /// asks for any more, which is in no hold from here on.
    pub(super) fn share_out(&mut self, group: GroupId) -> T::Credit {
        let total = self.held_by(group);
        let asked = |hold: &Hold<T::Credit>| {
            let (id, asked) = hold.ties()?.group.clone()?;
            (id == group).then_some(asked)
        };
        let needs = self.holds.iter().filter_map(|(_, hold)| asked(hold));
        let needs = needs.fold(T::Credit::empty(), |all, asked| all.sup(&asked));
        let mut rest = total.meet(&needs);
        let back = total.less(&rest);
        for (_, hold) in self.holds.iter_mut() {
            if hold.group() == Some(group) {
                hold.credit = core::mem::replace(&mut rest, T::Credit::empty());
            }
        }
        back
    }

    /// Ends a hold. Its credit is cached again, but for what its group still needs. Returns whether there was one.
    pub(super) fn end_hold(&mut self, token: Token) -> bool {
        let Some(hold) = self.holds.remove(token) else {
            return false;
        };
        let back = match hold.group() {
            None => hold.credit,
            Some(group) => self.leave_group(group, hold.credit),
        };
        self.take_back(&back);
        true
    }

    /// A member of a group is gone, and left this. Returns what the others do not need.
    fn leave_group(&mut self, group: GroupId, left: T::Credit) -> T::Credit {
        let is_member = |(_, other): &(Token, &mut Hold<T::Credit>)| other.group() == Some(group);
        match self.holds.iter_mut().find(is_member) {
            Some((_, heir)) => heir.credit = sum(&heir.credit, &left),
            None => return left,
        }
        self.share_out(group)
    }

    /// A member that came to hold something moves those who wait for more in front of new requests. Returns whether
    /// that changed any place.
    pub(super) fn promote_groups(&mut self, fx: &mut Effects<T>) -> bool {
        let is_behind = |w: &Waiting<T::Level>| {
            let members = || {
                let holds = self.holds.iter();
                holds.filter(|(_, hold)| hold.group() == w.group && !hold.credit.is_empty())
            };
            w.order.class == Class::New && w.group.is_some() && members().next().is_some()
        };
        let behind = self.waiting.iter().filter(|w| is_behind(w));
        let behind: Vec<_> = behind.map(|w| w.order).collect();
        for order in &behind {
            let Ok(index) = self.waiting.binary_search_by_key(order, |w| w.order) else {
                continue;
            };
            let mut waiting = self.waiting.remove(index);
            waiting.order.class = Class::Convert;
            self.insert(waiting, fx);
        }
        !behind.is_empty()
    }
}
