//! What callers may take and give back by themselves, while there is nothing to decide.
//!
//! The async face lets them in and out by a word beside the book ([`gate`](crate::front)), and enters it here
//! before the owner gets any input: who is inside then, as one hold, and which numbers the others were given. To the owner
//! it is as if each had come by [`take`](Owner::take) and left by [`put_back`](Owner::put_back) in between.
//!
//! **Invariant.** As long as the word is open the owner is [quiet](Owner::is_quiet) and has in its cache what those
//! inside use. So to enter them in the book always succeeds.

use super::{Owner, sum};
use crate::credit::{Credit, Level};
use crate::id::Token;
use crate::resource::ResourceType;
use crate::time::Time;

impl<T: ResourceType> Owner<T> {
    /// Whether `ask` can be taken and given back again and again without anything to decide.
    #[must_use]
    pub fn lets_pass(&self, ask: &T::Level) -> bool {
        self.is_quiet()
            && self.widened(ask).is_none()
            && ask
                .draw_all(&self.cached)
                .is_some_and(|credit| !self.ticks(&credit) || self.numbers_end() > self.fence.now())
    }

    /// Whoever takes a number by itself finds the clock below this one before.
    #[must_use]
    pub fn numbers_end(&self) -> u64 {
        self.fence.quiet_end()
    }

    /// Others took and gave back by themselves since the last input. The last of their numbers moved the clock to
    /// `clock`.
    pub fn on_passed(&mut self, clock: u64) {
        debug_assert!(clock <= self.fence.limit() || clock == self.fence.now());
        self.fence.observe(clock);
        // Whoever found credit that lies idle here shows that caching pays.
        self.learned.note_found(!self.is_root() && self.is_unused());
    }

    /// Makes a hold `to`, if that is more than it is and needs no decision. Returns its fencing token from now on.
    ///
    /// It does what [`convert`](Self::convert) would do then.
    pub fn convert_at_once(&mut self, token: Token, to: &T::Level) -> Option<u64> {
        if !self.is_quiet() || self.widened(to).is_some() {
            return None;
        }
        let hold = self
            .holds
            .get(token)
            .filter(|hold| hold.group().is_none())?;
        // What becomes less keeps its number.
        if to.draw_all(&hold.credit).is_some() {
            return None;
        }
        let need = to.beyond(&T::Level::of(&hold.credit));
        let taken = need.draw_all(&self.cached)?;
        let all = sum(&hold.credit, &taken);
        let credit = to.draw(&all);
        let ticks = self.ticks(&credit);
        if ticks && !self.fence.has_room() {
            return None;
        }
        let fence = if ticks {
            self.fence.tick()
        } else {
            self.fence.now()
        };
        self.cached = self.cached.less(&taken);
        self.take_back(&all.less(&credit));
        let hold = self.holds.get_mut(token).expect("it was there above");
        hold.credit = credit;
        hold.fence = fence;
        Some(fence)
    }

    /// One or more who came in by themselves are still inside: from here on they have a hold in the book.
    ///
    /// # Panics
    /// If the owner has not let pass `ask` since its last input, or the token names something already.
    pub fn book_in(&mut self, since: Time, token: Token, ask: &T::Level, fence: u64) {
        let credit = ask.draw_all(&self.cached);
        let credit = credit.expect("what is let pass is cached");
        self.cached = self.cached.less(&credit);
        self.holds.insert(token, credit, fence, since, None);
    }
}
