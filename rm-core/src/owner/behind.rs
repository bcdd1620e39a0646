//! Who waits for whom, for people: worked out from the book when somebody asks, and read by no decision.
//!
//! Two things keep a request waiting. A *holder* or a *debtor* has credit that it needs. As in `balance`, what each of
//! them has counts for the oldest request that needs it: the younger ones wait behind that. And an *older request* asks
//! for what conflicts with it: what is free is kept for the older one, which is its barrier.
//!
//! **Bound.** Only the oldest [`ITEMS_MAX`] requests and steps are looked at, each beside each, and each beside
//! [`HOLDS_MAX`] holds; nothing where nobody waits. Whoever is younger waits behind them anyway.

use super::walk::Walk;
use super::{Asker, Owner, Waiting, sum};
use crate::credit::{Credit, Level};
use crate::id::{Order, PeerId, Token};
use crate::inspect::EDGES_MAX;
use crate::resource::{Lending, ResourceType};

/// The most requests and steps that are looked at.
const ITEMS_MAX: usize = 64;

/// The most holds that are looked at.
const HOLDS_MAX: usize = 32;

/// The requests that somebody waits behind, or that want what somebody has.
pub(crate) type Orders = Vec<Order>;

/// Who is in the way of whom, at one owner.
#[derive(Clone, Debug, Default)]
pub(crate) struct Jam {
    /// Each request that waits behind older ones, and those; not those that these wait behind themselves.
    behind: Vec<(Order, Orders)>,
    /// Each holder that is in the way, and of whom.
    holds: Vec<(Token, Orders)>,
}

impl Jam {
    /// The older requests that this one waits behind.
    pub(crate) fn behind(&self, order: Order) -> Orders {
        let found = self.behind.iter().find(|(of, _)| *of == order);
        found.map_or_else(Orders::new, |(_, orders)| orders.clone())
    }

    /// The requests that want what this hold has.
    pub(crate) fn wanting(&self, hold: Token) -> Orders {
        let found = self.holds.iter().find(|(of, _)| *of == hold);
        found.map_or_else(Orders::new, |(_, orders)| orders.clone())
    }
}

/// A waiting request, or a step of the creditor's recall, which stands for one elsewhere.
enum Item<'a, T: ResourceType> {
    Request(&'a Waiting<T::Level>),
    Step(Order, &'a T::Credit),
}

impl<T: ResourceType> Item<'_, T> {
    const fn order(&self) -> Order {
        match self {
            Self::Request(waiting) => waiting.order,
            Self::Step(order, _) => *order,
        }
    }
}

impl<T: ResourceType> Owner<T> {
    /// Who is in the way of whom here.
    pub(crate) fn jam(&self) -> Jam {
        // What was given for good is never held by two, so nobody waits for a holder or for who asked before.
        if T::LENDING == Lending::UsedUp {
            return Jam::default();
        }
        let items = self.items();
        if items.is_empty() {
            return Jam::default();
        }
        let holds = self.holds_in_the_way(&items);
        // What each asks for, out of everything there is.
        let asked = items.iter().map(|item| match item {
            Item::Request(waiting) => waiting.level.draw(&self.capital),
            Item::Step(_, keep) => self.borrowed.less(keep),
        });
        let asked: Vec<T::Credit> = asked.collect();
        // One bit for each item that is in front of it, near or far.
        let mut in_front: Vec<u64> = Vec::with_capacity(items.len());
        let mut behind = Vec::new();
        for (index, item) in items.iter().enumerate() {
            let mut known = 0_u64;
            let mut orders = Orders::new();
            for older in (0..index).rev() {
                let is_known = known & (1 << older) != 0;
                if is_known || !asked[index].conflicts(&asked[older], &self.capital) {
                    continue;
                }
                known |= 1 << older | in_front[older];
                if orders.len() < EDGES_MAX {
                    orders.push(items[older].order());
                }
            }
            in_front.push(known);
            if !orders.is_empty() {
                behind.push((item.order(), orders));
            }
        }
        Jam { behind, holds }
    }

    /// The requests for which a debtor was asked to give back, as far as it has not.
    pub(crate) fn debtor_wanted_by(&self, peer: PeerId) -> Orders {
        let steps = self.debtors.get(&peer).map(|debtor| &debtor.sent);
        let steps = steps.into_iter().flatten().take(EDGES_MAX);
        steps.map(|step| step.order).collect()
    }

    /// What waits here, and what the creditor asks for on behalf of others, in order.
    fn items(&self) -> Vec<Item<'_, T>> {
        let requests = self.waiting.iter().take(ITEMS_MAX).map(Item::Request);
        let steps = self.recall.iter().take(ITEMS_MAX);
        let steps = steps.map(|recalled| Item::Step(recalled.step.order, &recalled.step.keep));
        let mut items: Vec<_> = requests.chain(steps).collect();
        items.sort_by_key(Item::order);
        items.truncate(ITEMS_MAX);
        items
    }

    /// Which holds have what the items miss: each part of one counts for the oldest that misses it.
    fn holds_in_the_way(&self, items: &[Item<'_, T>]) -> Vec<(Token, Orders)> {
        let mut walk = Walk::new(self);
        let mut owed = T::Credit::empty();
        let mut left: Vec<(Token, T::Credit, Orders)> = (self.holds.iter().take(HOLDS_MAX))
            .map(|(token, hold)| (token, hold.credit.clone(), Orders::new()))
            .collect();
        for item in items {
            let (miss, own) = match item {
                Item::Request(waiting) => {
                    let (need, _) = self.need(&mut walk, waiting, &waiting.level);
                    let have = need.draw(&walk.free);
                    walk.free = walk.free.less(&have);
                    if let Asker::Debtor(peer, _) = waiting.asker {
                        walk.plan(self, peer).serve(&waiting.level, T::LENDING);
                    }
                    let own = match waiting.asker {
                        Asker::Convert(token) => Some(token),
                        Asker::Debtor(..) | Asker::Local(_) => None,
                    };
                    (need.beyond(&T::Level::of(&have)), own)
                }
                Item::Step(_, keep) => {
                    let excess = self.borrowed.less(keep).less(&owed);
                    owed = sum(&owed, &excess);
                    let have = walk.free.meet(&excess);
                    walk.free = walk.free.less(&have);
                    (T::Level::of(&excess.less(&have)), None)
                }
            };
            if miss.is_zero() {
                continue;
            }
            for (_, credit, orders) in left.iter_mut().filter(|(token, ..)| Some(*token) != own) {
                let part = miss.draw(credit);
                if !part.is_empty() {
                    *credit = credit.less(&part);
                    if orders.len() < EDGES_MAX {
                        orders.push(item.order());
                    }
                }
            }
        }
        let is_in_the_way = |(.., orders): &(_, _, Orders)| !orders.is_empty();
        let holds = left.into_iter().filter(is_in_the_way);
        holds.map(|(token, _, orders)| (token, orders)).collect()
    }
}
