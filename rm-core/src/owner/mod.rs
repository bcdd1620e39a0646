//! One node's book for one resource.
//!
//! ```text
//! borrowed   what the creditor has lent (at the root: the capital)
//! lent       what debtors have of it, one loan each
//! held       what local requests use                         PROTECT pins
//! cached     the rest: borrowed - held - lent
//! waiting    requests not yet granted, local ones and debtors' wants alike, in order    TRACK pins
//! recall     the steps by which the creditor asks it to shrink
//! wants      the wants that stand at the creditor
//! ```
//!
//! Every input records what it brought and then calls the one decision function, `balance`, which looks at the
//! whole owner. What a waiting request reserves of the free credit (its BARRIER pin) exists only inside
//! that function: it is worked out anew each time, so an older request that arrives late overtakes, and a
//! cancelled one lifts its barrier by being gone.
//!
//! **Invariants.** Each unit is in exactly one place ([`Owner::check`] asserts it). Two holds that conflict are
//! never granted at once, because together they are more than the capital. A token is granted at most once.
//!
//! **Fairness.** One total order. Waiting withholds from the younger, never from the older; only holding
//! withholds from all.
//!
//! **Cancellation.** A cancelled request is gone; what was collected for it is cached, and its wants and recalls
//! are withdrawn by the same `balance`.
//!
//! **The end.** An owner is shut down at once ([`Owner::shut_down`]), or wound up in good order
//! ([`Owner::wind_up`]).

mod adaptive;
mod balance;
mod check;
mod claim;
mod colour;
mod commands;
mod confirm;
mod group;
mod hold;
mod messages;
mod notice;
mod passing;
mod request;
mod rest;
mod revoke;
mod sessions;
mod settings;
mod settle;
mod tenure;
#[cfg(test)]
mod tests;
mod value;
#[cfg(feature = "testing")]
pub(crate) mod view;
mod walk;
mod windup;

use core::marker::PhantomData;
use std::collections::BTreeMap;
use std::sync::Arc;

use smallvec::SmallVec;

use self::adaptive::Learned;
use self::claim::Orphan;
pub use self::hold::Hold;
use self::hold::Holds;
pub use self::messages::Origin;
use self::request::{Asker, Waiting};
pub use self::request::{Conversion, Request, WaitingView};
pub(crate) use self::rest::Rest;
pub use self::settings::Settings;
use self::tenure::{Succession, Tenure};
use self::value::Known;
use crate::access::Access;
use crate::book::Lessee;
use crate::credit::{Colour, Credit, Level};
use crate::effect::Effects;
use crate::error::PeerMisbehaved;
use crate::event::Event;
use crate::fence::FenceClock;
use crate::id::{LoanId, Order, PeerId, Token, Version};
use crate::message::{Blockers, Step, Steps};
use crate::policy::Policy;
use crate::resource::{Lending, ResourceType};
use crate::time::Time;

/// The most steps a recall register carries. The first one alone would do; more save round trips.
pub const STEPS_MAX: usize = 64;

/// The book of one node for one resource: a deterministic state machine. See the module's words.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Owner<T: ResourceType> {
    settings: Arc<Settings>,
    policy: Policy,
    /// What the policy goes by, where it adapts.
    learned: Learned,
    capital: T::Credit,
    /// What the creditor has lent, or the capital.
    borrowed: T::Credit,
    /// What is neither held nor lent.
    cached: T::Credit,
    /// The sum of all loans to debtors.
    lent: T::Credit,
    upstream: Upstream,
    /// Boxed: a node of the tree has room for eleven, and nearly all resources have one debtor or none.
    debtors: BTreeMap<PeerId, Box<Debtor<T::Credit>>>,
    /// How many debtors have a recall register that is not empty.
    recalling: u32,
    /// How many debtors have no loan.
    unlent: u32,
    holds: Holds<T::Credit>,
    /// Some hold may have been told that it is wanted.
    is_wanted: bool,
    /// By order.
    waiting: Vec<Waiting<T::Level>>,
    /// The recall register as the creditor last sent it, less the steps already met. By order.
    recall: Vec<RecallStep<T::Credit>>,
    /// The wants that stand at the creditor, by order.
    wants: SmallVec<[StandingWant<T::Level>; 1]>,
    /// The version of the last want sent.
    version: Version,
    fence: FenceClock,
    known: Known,
    /// The colour of all coloured credit, as known here.
    colour: Option<Colour>,
    /// It was shut down: nothing is decided any more.
    is_shut: bool,
    /// The creditor has taken back what is still lent below: see `revoke`.
    is_revoked: bool,
    /// At a debtor: the loan that no root of the present view has answered for.
    orphan: Option<Box<Orphan<T::Credit>>>,
    /// At a root: what is left to do since it became one.
    succession: Option<Box<Succession<T::Credit>>>,
    /// It winds up, with that order: see `windup`.
    winding_up: Option<Order>,
    /// The last loan opened.
    last_loan: LoanId,
    resource_type: PhantomData<T>,
}

/// Where an owner's credit comes from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Upstream {
    /// Nowhere: it has the capital, or will have when it is active.
    Root(Tenure),
    /// From a creditor.
    Debtor {
        /// The session with it, if there is one.
        peer: Option<PeerId>,
        /// The loan under which everything was borrowed.
        loan: LoanId,
        /// Loans up to this one ended with their session: nothing is taken from them.
        dead: LoanId,
        /// That creditor has been the root since this epoch, as far as is known here.
        since: u32,
    },
}

/// What a creditor knows of one debtor.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Debtor<C> {
    loan: C,
    /// The loan's identity; `None` while nothing is lent.
    id: Option<LoanId>,
    /// No token of that loan is above it.
    limit: u64,
    /// How many exclusive holds the next limit allows.
    room: u64,
    /// When it last asked for a higher limit.
    asked_at: Option<Time>,
    /// It may not hear us: its wants do not count.
    silent: bool,
    /// The most that rules let it have: what it asked for is within that, and so must be what it gets on top.
    may_have: Access,
    /// It asked for a higher limit than this owner could give.
    limit_owed: bool,
    /// It was confirmed of a claim, so its debtor may know it by the name that it claimed.
    is_claimed: bool,
    /// No session has the loan, but somebody who has not come.
    absent: Option<Lessee>,
    /// The recall register as last sent, less the steps already met.
    sent: Steps<C>,
}

impl<C: Credit> Debtor<C> {
    /// One to whom nothing is lent. The first limit will allow `room` exclusive holds.
    fn new(room: u64) -> Self {
        Self {
            loan: C::empty(),
            id: None,
            limit: 0,
            room: room.max(1),
            asked_at: None,
            silent: false,
            may_have: Access::Exclusive,
            limit_owed: false,
            is_claimed: false,
            absent: None,
            sent: Steps::new(),
        }
    }
}

/// A step of the creditor's recall.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct RecallStep<C> {
    step: Step<C>,
    /// The creditor has been told that it cannot be met at once.
    busy_sent: bool,
    /// Debtors that said they cannot give way to it at once.
    busy: SmallVec<[PeerId; 1]>,
    /// Who they said is in the way.
    blockers: Blockers,
}

impl<C> RecallStep<C> {
    fn new(step: Step<C>) -> Self {
        Self {
            step,
            busy_sent: false,
            busy: SmallVec::new(),
            blockers: Blockers::new(),
        }
    }
}

/// A want that stands at the creditor.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct StandingWant<L> {
    order: Order,
    version: Version,
    level: L,
}

/// What happens to credit that nothing waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Spare {
    /// It stays cached.
    Keep,
    /// It goes back to the creditor.
    Return,
}

impl<T: ResourceType> Owner<T> {
    /// The root's book: it has the capital, and lends under `epoch`.
    ///
    /// `fence` and `last_loan` are the highest numbers of the owners of this resource that vanished before.
    #[must_use]
    pub fn root(
        settings: Arc<Settings>,
        capital: T::Credit,
        epoch: u32,
        fence: u64,
        last_loan: LoanId,
    ) -> Self {
        let last_loan = last_loan.max(LoanId { epoch, counter: 0 });
        let mut owner = Self::empty(settings, capital, FenceClock::root(epoch, fence), last_loan);
        owner.borrowed = T::opening(&owner.capital, epoch);
        owner.cached = owner.borrowed.clone();
        owner
    }

    /// The book of a node that borrows from a creditor, once there is a session with one.
    ///
    /// `fence` and `last_loan` are the highest numbers of the owners of this resource that vanished before.
    #[must_use]
    pub fn debtor(
        settings: Arc<Settings>,
        capital: T::Credit,
        fence: u64,
        last_loan: LoanId,
    ) -> Self {
        let mut owner = Self::empty(settings, capital, FenceClock::debtor(fence), last_loan);
        owner.upstream = Upstream::Debtor {
            peer: None,
            loan: last_loan,
            dead: last_loan,
            since: 0,
        };
        owner
    }

    fn empty(
        settings: Arc<Settings>,
        capital: T::Credit,
        fence: FenceClock,
        last_loan: LoanId,
    ) -> Self {
        let epoch = last_loan.epoch;
        Self {
            policy: settings.policy,
            settings,
            learned: Learned::default(),
            capital,
            borrowed: T::Credit::empty(),
            cached: T::Credit::empty(),
            lent: T::Credit::empty(),
            upstream: Upstream::Root(Tenure::active(epoch)),
            debtors: BTreeMap::new(),
            recalling: 0,
            unlent: 0,
            holds: Holds::new(),
            is_wanted: false,
            waiting: Vec::new(),
            recall: Vec::new(),
            wants: SmallVec::new(),
            version: Version(0),
            fence,
            known: Known::default(),
            colour: None,
            is_shut: false,
            is_revoked: false,
            orphan: None,
            succession: None,
            winding_up: None,
            last_loan,
            resource_type: PhantomData,
        }
    }

    /// The same with another policy than its settings have.
    #[must_use]
    pub const fn with_policy(mut self, policy: Policy) -> Self {
        self.policy = policy;
        self
    }

    /// How much it adds to grants and returns.
    pub(crate) const fn policy(&self) -> Policy {
        self.policy
    }

    /// Takes one input as data.
    ///
    /// # Errors
    /// What the peer did wrong, for a message that no correct peer sends. It changed nothing.
    pub fn apply(
        &mut self,
        now: Time,
        event: Event<T>,
        fx: &mut Effects<T>,
    ) -> Result<(), PeerMisbehaved> {
        match event {
            Event::Acquire(request) => self.acquire(now, request, fx),
            Event::Activate { epoch, opening } => self.activate(now, epoch, opening, fx),
            Event::Cancel { token } => {
                self.cancel(now, token, fx);
            }
            Event::CloseLoans { peer, reason } => self.close_loans(now, peer, &reason, fx),
            Event::Convert(conversion) => self.convert(now, conversion, fx),
            Event::CreditorDown => {
                self.on_creditor_down(now, crate::error::LostReason::SessionEnded, fx);
            }
            Event::CreditorUp { peer, epoch } => self.on_creditor_up(now, peer, epoch, fx),
            Event::Deadline => self.on_deadline(now, fx),
            Event::DebtorDown { peer } => self.on_debtor_down(now, peer, fx),
            Event::DebtorHeard { peer } => self.on_debtor_heard(now, peer, fx),
            Event::DebtorSilent { peer } => self.on_debtor_silent(now, peer, fx),
            Event::Epoch { epoch } => self.on_epoch(now, epoch, fx),
            Event::MergeHolds { into, from } => {
                self.merge_holds(now, into, from, fx);
            }
            Event::Message { from, message } => return self.on_message(now, from, message, fx),
            Event::OrphanLost { why } => self.on_orphan_lost(now, why, fx),
            Event::Reduce { token, keep } => {
                self.reduce(now, token, &keep, fx);
            }
            Event::Release { token } => self.release(now, token, fx),
            Event::Resume => self.resume(now, fx),
            Event::ReturnSpare => self.return_spare(now, fx),
            Event::Revoke { peer, reason } => self.revoke(peer, &reason, fx),
            Event::RootMoved => self.on_root_moved(now, fx),
            Event::ShutDown => self.shut_down(fx),
            Event::SplitHold { token, part, new } => self.split_hold(token, &part, new),
            Event::Suspend => self.suspend(),
            Event::View { epoch } => self.on_view(epoch),
            Event::WriteValue { token, bytes } => {
                // An event has no answer: who may not write has changed nothing.
                let _ = self.write_value(token, &bytes);
            }
            Event::WindUp { order } => self.wind_up(now, order, fx),
        }
        Ok(())
    }

    /// All the credit there is of this resource.
    pub const fn capital(&self) -> &T::Credit {
        &self.capital
    }

    /// What the creditor has lent; at the root, the capital.
    pub const fn borrowed(&self) -> &T::Credit {
        &self.borrowed
    }

    /// What is here and unused.
    pub const fn cached(&self) -> &T::Credit {
        &self.cached
    }

    /// What all debtors have together.
    pub const fn lent(&self) -> &T::Credit {
        &self.lent
    }

    /// What one debtor has.
    #[must_use]
    pub fn loan(&self, peer: PeerId) -> Option<&T::Credit> {
        self.debtors.get(&peer).map(|d| &d.loan)
    }

    /// The name of one debtor's loan.
    #[must_use]
    pub fn loan_id(&self, peer: PeerId) -> Option<LoanId> {
        self.debtors.get(&peer).and_then(|d| d.id)
    }

    /// What each debtor has.
    pub fn loans(&self) -> impl Iterator<Item = (PeerId, &T::Credit)> {
        self.debtors
            .iter()
            .filter(|(_, d)| !d.loan.is_empty())
            .map(|(&peer, d)| (peer, &d.loan))
    }

    /// Whether that debtor has or wants anything.
    #[must_use]
    pub fn knows(&self, debtor: PeerId) -> bool {
        self.debtors.contains_key(&debtor)
    }

    /// The local holds.
    pub fn holds(&self) -> impl Iterator<Item = (Token, &Hold<T::Credit>)> {
        self.holds.iter()
    }

    /// The hold of one token.
    #[must_use]
    pub fn hold(&self, token: Token) -> Option<&Hold<T::Credit>> {
        self.holds.get(token)
    }

    /// The requests that wait, oldest first.
    pub fn waiting(&self) -> impl ExactSizeIterator<Item = WaitingView<'_, T::Level>> {
        self.waiting.iter().map(|w| WaitingView {
            order: w.order,
            token: w.asker.token(),
            debtor: w.asker.debtor(),
            level: &w.level,
            try_only: w.try_only,
            note: w.note.as_ref(),
        })
    }

    /// Whether the creditor asks for something back that is still here.
    #[must_use]
    pub fn is_recalled(&self) -> bool {
        !self.recall.is_empty()
    }

    /// The session with the creditor, if this is no root and there is one.
    #[must_use]
    pub const fn creditor(&self) -> Option<PeerId> {
        match self.upstream {
            Upstream::Root(_) => None,
            Upstream::Debtor { peer, .. } => peer,
        }
    }

    /// Whether this is the root of its resource.
    #[must_use]
    pub const fn is_root(&self) -> bool {
        matches!(self.upstream, Upstream::Root(_))
    }

    /// The fencing clock.
    pub const fn fence(&self) -> &FenceClock {
        &self.fence
    }

    /// The last loan that was opened here or, at a debtor, taken.
    #[must_use]
    pub fn last_loan(&self) -> LoanId {
        match self.upstream {
            Upstream::Root(_) => self.last_loan,
            Upstream::Debtor { loan, dead, .. } => self.last_loan.max(loan).max(dead),
        }
    }

    /// What the root had to lend when it entered its epoch.
    fn opening(&self) -> T::Credit {
        T::opening(&self.capital, self.last_loan.epoch)
    }

    /// Whether a level can ever be reached: it is no more than the capital or, where credit is given for good and this
    /// is the root, than what one epoch has.
    fn is_possible(&self, level: &T::Level) -> bool {
        let most = match T::LENDING {
            Lending::UsedUp if self.is_root() => T::Level::of(&self.opening()),
            Lending::Loaned | Lending::UsedUp => T::Level::of(&self.capital),
        };
        most.reaches(level)
    }

    /// Whether a hold of that much moves the fencing clock. What is given for good is never held twice, so no two
    /// holds of it conflict, and its tokens say nothing.
    fn ticks(&self, held: &T::Credit) -> bool {
        T::LENDING == Lending::Loaned && T::ticks(held, &self.capital)
    }

    /// When [`on_deadline`](Self::on_deadline) has something to do.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Time> {
        let requests = self.waiting.iter().filter_map(Waiting::due).min();
        let holds = self.next_give_way();
        let bars = self.next_unbarring();
        requests.into_iter().chain(holds).chain(bars).min()
    }
}

/// The sum of two parts of one capital.
fn sum<C: Credit>(a: &C, b: &C) -> C {
    a.join(b)
        .expect("parts of one capital add up to no more than it")
}
