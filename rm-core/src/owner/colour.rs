//! Colour: what tells apart two modes that exclude each other, but neither its own kind.
//!
//! Some credit of a type may be *coloured* ([`ResourceType::coloured`]). The colour is no part of the amounts: it is one
//! register of each owner, sent with every grant and return that moves coloured credit.
//!
//! **Invariant.** All coloured credit in the world has one colour, or none yet. Only who has all of it free, its own
//! converting hold's included, gives it another one. Therefore:
//!
//! * a request in another colour reckons as one for all coloured credit. Once it is served it keeps what it asked for,
//!   in its own colour, and the rest is free again;
//! * who has no coloured credit does not know its colour, and neither does who has lent all there is to one debtor: that
//!   one may change it. Both reckon with what was asked, and the first share to arrive tells;
//! * who will have given all of it back when older requests are served will not know it by then, and reckons so;
//! * a debtor that asks and has some in the wrong colour is lent the rest as it is. It then has all of it,
//!   and changes the colour itself when its own holders let go.
//!
//! **Fencing.** A change of colour moves the clock, so that holds of the old and of the new colour never share a token.
//!
//! Coloured credit that never had a colour is in no colour that anybody asks for. A type without colour has an
//! empty register for ever, and nothing here does anything.

use super::walk::Walk;
use super::{Asker, Owner, Waiting};
use crate::credit::{Colour, Credit, Level};
use crate::error::PeerMisbehaved;
use crate::resource::ResourceType;

impl<T: ResourceType> Owner<T> {
    /// The colour of all coloured credit, as far as it is known here.
    #[must_use]
    pub const fn colour(&self) -> Option<Colour> {
        self.colour
    }

    /// Whether some of that credit is coloured.
    fn is_coloured(&self, credit: &T::Credit) -> bool {
        let all = T::coloured(&self.capital);
        !all.is_empty() && !credit.restrict(&all).is_empty()
    }

    /// Whether coloured credit is cached or held here: then its colour is known, if it has one.
    fn has_coloured(&self) -> bool {
        self.is_coloured(&self.borrowed.less(&self.lent))
    }

    /// What a request reckons with that asks for another colour than there is: all coloured credit. `None`: with what
    /// it asked for.
    pub(super) fn widened(&self, ask: &T::Level) -> Option<T::Level> {
        let asked = T::colour_of(ask)?;
        let is_other = match self.colour {
            Some(known) => known != asked,
            None => self.has_coloured(),
        };
        is_other.then(|| ask.at_least(&T::Level::of(&T::coloured(&self.capital))))
    }

    /// What a request in a walk reckons with. Where older steps take all coloured credit that is here, its colour will not
    /// be known any more: then with what it asked for, unless it holds some.
    pub(super) fn widened_then(
        &self,
        walk: &Walk<T::Credit, T::Level>,
        item: &Waiting<T::Level>,
    ) -> Option<T::Level> {
        let wide = self.widened(&item.level)?;
        let all = T::Level::of(&T::coloured(&self.capital));
        let is_here_then = !walk.loan.only_where(&all).is_zero();
        let has = || self.is_coloured(&self.has_already(item.asker, item.group));
        (is_here_then || has()).then_some(wide)
    }

    /// Whether a widened request, once it is covered, is served in its own colour here.
    ///
    /// Not that of a debtor that has coloured credit itself, or will have of an older want. Nor that of a group, whose
    /// members may ask for different colours: it holds all of it in the colour that it has.
    pub(super) fn may_recolour(
        &self,
        walk: &mut Walk<T::Credit, T::Level>,
        item: &Waiting<T::Level>,
        tail: &T::Level,
    ) -> bool {
        match item.asker {
            Asker::Convert(token) => {
                let hold = self.holds.get(token);
                hold.is_some_and(|hold| hold.group().is_none())
            }
            Asker::Debtor(peer, _) => {
                tail.is_zero() && !self.is_coloured(&walk.plan(self, peer).keep)
            }
            Asker::Local(_) => item.group.is_none(),
        }
    }

    /// All coloured credit is free here, and gets the colour that was asked for. The caller moves the clock.
    pub(super) fn recolour(&mut self, ask: &T::Level) {
        self.colour = T::colour_of(ask);
    }

    /// A level that is asked of the creditor on behalf of `ask`: in its colour, if it has to do with colour.
    pub(super) fn tinted(&self, level: T::Level, ask: &T::Level) -> T::Level {
        match T::colour_of(ask) {
            Some(colour) => {
                let all = T::Level::of(&T::coloured(&self.capital));
                if level.only_where(&all).is_zero() {
                    level
                } else {
                    T::in_colour(level, colour)
                }
            }
            None => level,
        }
    }

    /// The colour that goes with credit on its way.
    pub(super) fn colour_with(&self, delta: &T::Credit) -> Option<Colour> {
        self.colour.filter(|_| self.is_coloured(delta))
    }

    /// That credit which arrives has the colour of what is here.
    pub(super) fn check_arriving(
        &self,
        delta: &T::Credit,
        colour: Option<Colour>,
    ) -> Result<(), PeerMisbehaved> {
        let is_known = || self.colour.is_some() || self.has_coloured();
        if self.is_coloured(delta) && is_known() && colour != self.colour {
            return Err(PeerMisbehaved::WrongColour);
        }
        Ok(())
    }

    /// Credit that arrives tells the colour.
    pub(super) fn learn_colour(&mut self, delta: &T::Credit, colour: Option<Colour>) {
        if self.is_coloured(delta) {
            self.colour = colour;
        }
    }

    /// After credit has left: who has no coloured credit, or lent all there is to one debtor, does not know its colour.
    pub(super) fn forget_colour(&mut self) {
        if self.colour.is_some() && !self.can_know_colour() {
            self.colour = None;
        }
    }

    fn can_know_colour(&self) -> bool {
        let all = T::coloured(&self.capital);
        self.is_coloured(&self.borrowed) && !self.debtors.values().any(|d| d.loan.covers(&all))
    }

    pub(super) fn check_colour(&self) {
        assert!(
            self.colour.is_none() || self.can_know_colour(),
            "a colour is known only while nobody else can change it"
        );
    }
}
