//! What a member remembers of the views in which it was a root, and what follows for resources it has no book of.
//!
//! Most resources of a cluster have no book at the moment: nothing of them is lent, and their root forgot them. So
//! "there is no book" must be able to say "all of it is here". It says so where this member has been the root without
//! a gap since it last knew what was out; and when a resource moves, the former root's word is worth the same, if that
//! root tells in which views it was active ([`ReportedPast`]).
//!
//! # Invariants
//!
//! * The views are those this member has adopted, in order; at most [`PAST_MAX`], the oldest is forgotten first.
//!   Who relied on a forgotten one waits a lease: safe, and slow.
//! * A member that was *active* for a resource in some view stays so while it is the root in each view it adopts, also
//!   over views that it skipped: nobody else can have become active without its report.
//! * Of several words about one resource the one of the highest view holds, and none if somebody to whom the resource
//!   was given since is no member any more: that one may have lent it.

use core::time::Duration;
use std::sync::Arc;

use super::ghosts::Ghosts;
use super::report::ReportedPast;
use crate::book::Lessee;
use crate::id::{PeerId, ResourceKey, TypeId};
use crate::session::lease::LeaseTerms;
use crate::time::Time;
use crate::view::{Member, MemberState, RootId, View};

/// So many views a member remembers.
pub const PAST_MAX: usize = 8;

/// What is told where nothing is trusted any more, but values may be lost: nothing at all would say that none is.
const DOUBT: Duration = Duration::from_nanos(1);

/// What a root does about a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stance {
    /// Another member is its root.
    NotMine,
    /// This one is, and does not know yet what is lent.
    Gathering,
    /// This one is, and of a resource without a book it knows this.
    Active(Absent),
}

/// What is known of a resource without a book.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Absent {
    /// Nothing of it is lent.
    Free,
    /// Nothing of it is lent, but it may have a value that is lost.
    Doubtful,
    /// All of it may be lent to somebody unknown: that pseudo debtor, until then.
    Unknown(PeerId, Time),
}

/// One view that was adopted.
#[derive(Clone, Debug)]
struct Past {
    view: Arc<View>,
    activation: Option<Arc<Activation>>,
}

/// What was known when the books of a view's newly won resources were opened.
#[derive(Clone, Debug)]
struct Activation {
    view: Arc<View>,
    /// Of resources that nobody told of.
    lost: Absent,
    /// Whether there can be any.
    may_be_lost: bool,
    /// What each member told of its past, this one included.
    told: Vec<Told>,
}

/// What one member told of its past.
#[derive(Clone, Debug)]
struct Told {
    by: RootId,
    /// The views, and where it was active in one, what it knew of resources without a book.
    past: Vec<(Arc<View>, Option<Absent>)>,
}

/// The word of one member about one resource.
struct Word {
    /// The newest view in which it was active as its root.
    version: u32,
    absent: Absent,
    /// Who has been the root since.
    given: Vec<RootId>,
}

/// The views that one member has adopted.
#[derive(Clone, Debug)]
pub(crate) struct History {
    me: RootId,
    past: Vec<Past>,
}

impl History {
    pub(crate) const fn new(me: RootId) -> Self {
        let past = Vec::new();
        Self { me, past }
    }

    /// The present view.
    pub(crate) fn view(&self) -> Option<&Arc<View>> {
        self.past.last().map(|past| &past.view)
    }

    pub(crate) fn adopt(&mut self, view: Arc<View>) {
        if self.past.len() == PAST_MAX {
            self.past.remove(0);
        }
        let activation = None;
        self.past.push(Past { view, activation });
    }

    /// Whether the books of the present view have been opened.
    pub(crate) fn is_active(&self) -> bool {
        let present = self.past.last();
        present.is_some_and(|past| past.activation.is_some())
    }

    /// Opens the books of the present view: every other member has told of its past. Of what nobody told, something may
    /// be lent under the view's lease, or that of a former life.
    pub(crate) fn activate(
        &mut self,
        now: Time,
        others: Vec<(RootId, Time, Vec<ReportedPast>)>,
        former_lease: Duration,
        ghosts: &mut Ghosts,
    ) {
        // Whatever it doubts, its own resources know.
        let own = (self.me, now, self.reported(now, false));
        let Some(present) = self.past.last_mut() else {
            return;
        };
        let view = Arc::clone(&present.view);
        let mut told: Vec<_> = others.into_iter().chain([own]).collect();
        // What is said of this very view says nothing yet.
        for (_, _, past) in &mut told {
            past.retain(|past| past.view.epoch() < view.epoch());
        }
        let told: Vec<_> = (told.into_iter())
            .map(|(by, arrived, past)| Told::new(by, arrived, past, ghosts))
            .collect();
        let lease = view.lease().length().max(former_lease);
        let until = now.after(LeaseTerms::wait(lease));
        let activation = Activation {
            may_be_lost: !view.is_founding() && may_be_lost(&told),
            lost: if view.is_founding() {
                Absent::Free
            } else {
                Absent::Unknown(ghosts.add(Lessee::Unknown, until), until)
            },
            told,
            view,
        };
        present.activation = Some(Arc::new(activation));
    }

    /// Whether the present view makes this member the root of a resource.
    pub(crate) fn is_mine(&self, type_id: TypeId, key: &ResourceKey) -> bool {
        let root = self.view().and_then(|view| view.root_id(type_id, key));
        root == Some(self.me)
    }

    /// What this member does about a resource.
    pub(crate) fn stance(&self, now: Time, type_id: TypeId, key: &ResourceKey) -> Stance {
        let mine = |past: &&Past| past.view.root_id(type_id, key) == Some(self.me);
        let mut opened = None;
        let mut is_mine = false;
        for past in self.past.iter().rev().take_while(mine) {
            is_mine = true;
            // The oldest since it became the root: there the book was opened.
            opened = past.activation.as_ref().or(opened);
        }
        match opened {
            None if is_mine => Stance::Gathering,
            None => Stance::NotMine,
            Some(opened) => Stance::Active(match opened.absent(type_id, key) {
                Absent::Unknown(_, until) if now >= until => Absent::Doubtful,
                absent => absent,
            }),
        }
    }

    /// What is told to the others: in which views this member was active, and how long what it has no book of may
    /// still be trusted by somebody. `has_doubts`: some of it may have had a value that is lost.
    pub(crate) fn reported(&self, now: Time, has_doubts: bool) -> Vec<ReportedPast> {
        let reported = self.past.iter().map(|past| {
            let activation = past.activation.as_ref();
            let remaining = activation.map(|activation| {
                let is_sure = !has_doubts && !activation.has_doubts();
                let least = if is_sure { Duration::ZERO } else { DOUBT };
                activation.remaining(now).max(least)
            });
            ReportedPast {
                view: Arc::clone(&past.view),
                remaining,
            }
        });
        reported.collect()
    }

    /// How long something without a book may still be trusted, in true time; the lease where the books are not open.
    pub(crate) fn grace(&self, now: Time) -> Duration {
        self.past.last().map_or(Duration::ZERO, |past| {
            let opened = past.activation.as_ref();
            opened.map_or(past.view.lease().length(), |opened| opened.remaining(now))
        })
    }

    /// The newest view in which somebody was active for a resource of which that member told no book; 0: none.
    pub(crate) fn version_without_book(&self, type_id: TypeId, key: &ResourceKey) -> u32 {
        let opened = self.past.last().and_then(|past| past.activation.as_ref());
        let told = opened.iter().flat_map(|opened| &opened.told);
        let words = told.filter_map(|told| told.word(type_id, key));
        words.map(|word| word.version).max().unwrap_or(0)
    }
}

impl Activation {
    /// What is known of a resource that has no book.
    fn absent(&self, type_id: TypeId, key: &ResourceKey) -> Absent {
        let words = self.told.iter().filter_map(|told| told.word(type_id, key));
        match words.max_by_key(|word| word.version) {
            Some(word) if word.given.iter().all(|&id| self.view.has(id)) => word.absent,
            Some(_) | None => self.lost,
        }
    }

    /// Whether values of resources without a book may be lost.
    fn has_doubts(&self) -> bool {
        let told = self.told.iter().flat_map(|told| &told.past);
        let mut told = told.filter_map(|(_, absent)| *absent);
        let is_doubt = |absent| absent != Absent::Free;
        told.any(is_doubt) || (self.may_be_lost && is_doubt(self.lost))
    }

    /// How long anything without a book may still be trusted, in true time. Rounded up.
    fn remaining(&self, now: Time) -> Duration {
        let told = self.told.iter().flat_map(|told| &told.past);
        let told = told.filter_map(|(_, absent)| *absent);
        let until = told.chain(self.may_be_lost.then_some(self.lost));
        let until = until.map(|absent| match absent {
            Absent::Free | Absent::Doubtful => Time::ZERO,
            Absent::Unknown(_, until) => until,
        });
        let until = until.max().unwrap_or(Time::ZERO);
        LeaseTerms::remaining(until.since(now))
    }
}

impl Told {
    fn new(by: RootId, arrived: Time, past: Vec<ReportedPast>, ghosts: &mut Ghosts) -> Self {
        let past = past.into_iter().map(|past| {
            let absent = past.remaining.map(|remaining| {
                if remaining.is_zero() {
                    return Absent::Free;
                }
                let until = arrived.after(LeaseTerms::wait(remaining));
                Absent::Unknown(ghosts.add(Lessee::Unknown, until), until)
            });
            (past.view, absent)
        });
        let past = past.collect();
        Self { by, past }
    }

    /// What it says of one resource, if it was ever active as its root.
    fn word(&self, type_id: TypeId, key: &ResourceKey) -> Option<Word> {
        let mut word: Option<Word> = None;
        let mut is_active = false;
        for (view, absent) in &self.past {
            let root = view.root_id(type_id, key);
            if root != Some(self.by) {
                is_active = false;
                if let (Some(word), Some(root)) = (&mut word, root) {
                    word.given.push(root);
                }
                continue;
            }
            let present = match (is_active, *absent, &word) {
                (true, _, Some(word)) => Some(word.absent),
                (_, absent, _) => absent,
            };
            if let Some(absent) = present {
                is_active = true;
                word = Some(Word {
                    version: view.epoch(),
                    absent,
                    given: Vec::new(),
                });
            }
        }
        word
    }
}

/// Whether there can be a resource that nobody can tell of. Not if everybody who was a member in the newest view that
/// any of them knows was active in it, and has told.
fn may_be_lost(told: &[Told]) -> bool {
    let views = told.iter().flat_map(|told| &told.past);
    let Some((newest, _)) = views.max_by_key(|(view, _)| view.epoch()) else {
        return true;
    };
    let full = |member: &&Member| member.state == MemberState::Full;
    let knows = |member: &Member| {
        let told = told.iter().find(|told| told.by == member.id());
        told.is_some_and(|told| {
            let mut past = told.past.iter();
            past.any(|(view, absent)| view.epoch() == newest.epoch() && absent.is_some())
        })
    };
    !newest.members().iter().filter(full).all(knows)
}

#[cfg(test)]
mod tests;
