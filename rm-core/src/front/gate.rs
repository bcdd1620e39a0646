//! The gate: how callers take what is cached, and give it back, without the resource's lock.
//!
//! It is a word beside the lock. It is *open* while the owner has nothing to decide and has in its cache what may pass; then
//! a shared holder enters by one `fetch_add` and leaves by one `fetch_sub`, and a sole holder (of everything) by one
//! exchange each. Whoever locks the resource *closes* it first and learns who is inside; so under the lock nobody
//! enters, and the owner's book is exact ([`resource::passing`](super::resource)). Nobody waits here: those inside a
//! closed gate have a hold in the book, and whoever finds the gate shut goes to the lock.
//!
//! **Invariants.** Only who has the lock changes [`CLOSED`], [`SOLE`] and [`SHARDED`]. While it is open nobody waits for the
//! resource, and nothing of it is recalled. While one is inside alone, nobody else enters. Whoever is the last to leave
//! a closed gate tells the owner: the exchange that makes the count zero is one, and sees `CLOSED`.
//!
//! **Order.** Each hand-shake is on one location, so the coherence of its exchanges is enough, and no fence is needed. An
//! entry acquires what the opening released, and by way of the opening what every earlier holder did. A leave releases
//! what the holder did; closing, and the look whether all have left, acquire it. A chain of exchanges continues a
//! release, whoever made them.
//!
//! **Lease.** Under a lease each entry looks at a clock *after* it was let in, and whether the session has ended
//! ([`Ended`](super::trust::Ended)). A process that slept in between finds out before it has a guard. The deadline is the
//! one that was known when the gate was opened; who comes later goes to the lock, which opens it with the
//! present one.
//!
//! **Shards.** A word that several threads hammer moves between their caches. After [`DUE`] entries the next one goes to the
//! lock, which looks how fast that was and who was there: a hot gate opens with words of their own for the
//! threads, and one that has cooled down with the single word again. A holder remembers its word, since it may leave on
//! another thread, and long after the gate has cooled down: so whoever closes the gate looks at all words. They stay until
//! the resource rests.
//!
//! **Fairness.** It has none to give: it is shut from the moment somebody must wait. **Cancellation.** Entering takes no time
//! that could be cancelled.

use std::sync::OnceLock;

use crossbeam_utils::CachePadded;

use crate::sync::{AtomicU64, IS_MODELLED, Ordering, thread_number};
use crate::time::Time;

/// The lock's side has it: nobody enters.
const CLOSED: u64 = 1;
/// One is inside, alone.
const INSIDE_ALONE: u64 = 1 << 1;
/// Shared holders enter by the shards. Of the single word only.
const SHARDED: u64 = 1 << 2;
/// A sole holder may enter, if nobody is inside.
const SOLE: u64 = 1 << 3;
/// One shared holder inside.
const ONE: u64 = 1 << 8;
/// The count of shared holders inside.
const COUNT: u64 = FULL | (FULL - ONE);
/// More than that many are not let in, by the lock's side neither: half of what the count can count.
const FULL: u64 = 1 << 31;
/// More than that many do not come by sharing either. The rest is for threads that are about to find that out.
const SHARERS_MAX: u64 = FULL + FULL / 2;
/// One entry since the gate was opened.
const ENTRY: u64 = 1 << 32;
/// So many entries came that the lock should have a look. Whoever passes it goes there, so it is not passed by much.
const DUE: u64 = if IS_MODELLED { ENTRY << 2 } else { ENTRY << 16 };
/// All entries, those beyond `DUE` included.
const ENTRIES: u64 = !(ENTRY - 1);
/// Entries of which one more goes to the lock.
const OVERDUE: u64 = !(DUE - 1);

/// What bars a shared holder.
const BARS: u64 = CLOSED | INSIDE_ALONE | SHARDED | FULL | OVERDUE;
/// What bars a sole one.
const BARS_ALONE: u64 = BARS | COUNT;

/// No deadline.
pub(super) const FOR_EVER: u64 = u64::MAX;

/// The most words of one gate.
const SHARDS_MAX: usize = if IS_MODELLED { 2 } else { 16 };

/// What a holder of the gate has: the way by which it leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Pass {
    Alone,
    /// By the word of that number: 0 is the single one.
    Shared(u8),
}

/// How a request may come by the gate: what its type names for that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "alone or with others")]
pub enum Door {
    /// Beside any number of its kind: [`ResourceType::shared`](crate::resource::ResourceType::shared).
    Shared,
    /// Alone: [`ResourceType::sole`](crate::resource::ResourceType::sole).
    Sole,
}

/// Not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// To the lock.
    Shut,
    /// To the lock, and tell the owner that all have left: this was counted for a moment, and left last.
    Last,
}

/// What bounds an entry under a lease.
pub(super) trait Lease {
    /// The lease's clock.
    fn now(&self) -> Time;
    /// Whether that session has ended.
    fn has_ended(&self, session: u64) -> bool;
}

/// How a gate is opened.
#[derive(Clone, Copy, Debug)]
pub(super) struct Opening {
    /// Whether a sole holder may enter as well.
    pub(super) sole: bool,
    /// Whether by the shards.
    pub(super) sharded: bool,
    /// The fencing clock, and where the numbers end that may be taken without asking.
    pub(super) clock: u64,
    pub(super) clock_end: u64,
    /// The session on which it rests, and its deadline.
    pub(super) session: u64,
    pub(super) until: u64,
}

/// What was found when a gate was closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Inside {
    pub(super) alone: bool,
    pub(super) shared: bool,
    /// A word counts so many that nobody else is to be let in.
    pub(super) is_full: bool,
    /// How often it was entered since it was opened.
    pub(super) entries: u64,
    /// What the sole holders made of the fencing clock.
    pub(super) clock: u64,
}

/// One gate.
#[derive(Debug)]
pub(super) struct Gate {
    word: AtomicU64,
    /// The fencing clock. Of the sole holder that is inside, of the lock's side while it is closed.
    clock: AtomicU64,
    clock_end: AtomicU64,
    session: AtomicU64,
    /// In nanoseconds of the lease's clock.
    until: AtomicU64,
    shards: OnceLock<Box<[CachePadded<AtomicU64>]>>,
}

impl Gate {
    /// A closed one.
    pub(super) fn new() -> Self {
        Self {
            word: AtomicU64::new(CLOSED),
            clock: AtomicU64::new(0),
            clock_end: AtomicU64::new(0),
            session: AtomicU64::new(0),
            until: AtomicU64::new(0),
            shards: OnceLock::new(),
        }
    }

    /// Enters, and takes a fencing token.
    #[inline]
    pub(super) fn enter(&self, door: Door, lease: &impl Lease) -> Result<(Pass, u64), Refused> {
        match door {
            Door::Shared => self.enter_shared(lease),
            Door::Sole => self.enter_alone(lease),
        }
    }

    #[inline]
    fn enter_shared(&self, lease: &impl Lease) -> Result<(Pass, u64), Refused> {
        // A look first, so that those whom it does not let in do not disturb those inside. Relaxed: a hint.
        let seen = self.word.load(Ordering::Relaxed);
        let (number, word) = if seen & BARS == 0 {
            (0, &self.word)
        } else if seen & (CLOSED | SHARDED) == SHARDED {
            self.own_shard().ok_or(Refused::Shut)?
        } else {
            return Err(Refused::Shut);
        };
        let pass = Pass::Shared(number);
        let former = word.fetch_add(ONE + ENTRY, Ordering::Acquire);
        if former & BARS != 0 || self.is_over(lease) {
            return Err(refused(self.leave(pass)));
        }
        // Relaxed: the entry has acquired it.
        Ok((pass, self.clock.load(Ordering::Relaxed)))
    }

    #[inline]
    fn enter_alone(&self, lease: &impl Lease) -> Result<(Pass, u64), Refused> {
        // Relaxed: the exchange compares it.
        let seen = self.word.load(Ordering::Relaxed);
        if seen & (BARS_ALONE | SOLE) != SOLE {
            return Err(Refused::Shut);
        }
        let inside = (seen | INSIDE_ALONE) + ENTRY;
        let swap = self
            .word
            .compare_exchange(seen, inside, Ordering::Acquire, Ordering::Relaxed);
        if swap.is_err() {
            return Err(Refused::Shut);
        }
        // Relaxed: the entry has acquired it, and nobody else is here.
        let clock = self.clock.load(Ordering::Relaxed);
        if clock >= self.clock_end.load(Ordering::Relaxed) || self.is_over(lease) {
            return Err(refused(self.leave_alone()));
        }
        Ok((Pass::Alone, clock + 1))
    }

    /// Whether it rests on a lease that is over.
    #[inline]
    fn is_over(&self, lease: &impl Lease) -> bool {
        // Relaxed: the entry has acquired them. What was written since bounds this one as well.
        let until = self.until.load(Ordering::Relaxed);
        until != FOR_EVER
            && (lease.now().as_nanos() >= until
                || lease.has_ended(self.session.load(Ordering::Relaxed)))
    }

    /// Leaves. Returns whether the owner is to be told, because the gate is closed and nobody is left inside.
    #[inline]
    #[must_use]
    pub(super) fn leave(&self, pass: Pass) -> bool {
        match pass {
            Pass::Alone => {
                // As late as can be: whoever closes the gate takes it that this is still to be done. Relaxed: nobody
                // else is here.
                let clock = self.clock.load(Ordering::Relaxed);
                self.clock.store(clock + 2, Ordering::Relaxed);
                self.leave_alone()
            }
            Pass::Shared(number) => {
                let former = self.word_of(number).fetch_sub(ONE, Ordering::Release);
                former & (CLOSED | COUNT) == CLOSED | ONE
            }
        }
    }

    #[inline]
    fn leave_alone(&self) -> bool {
        let former = self.word.fetch_and(!INSIDE_ALONE, Ordering::Release);
        former & CLOSED != 0
    }

    /// One more that shares the hold of one inside: also where the gate is closed.
    ///
    /// # Panics
    /// If more than twelve million share it.
    pub(super) fn share(&self, pass: Pass) {
        let Pass::Shared(number) = pass else {
            panic!("who is inside alone shares with nobody");
        };
        let word = self.word_of(number);
        // Relaxed: it is inside already, by the one with whom it shares.
        let former = word.fetch_add(ONE, Ordering::Relaxed);
        if former & COUNT >= SHARERS_MAX {
            // Not as the last: the one with whom it was to share is inside.
            word.fetch_sub(ONE, Ordering::Relaxed);
            panic!("too many guards of one hold");
        }
    }

    /// Whether it is open, and its lease good: then nothing that came by it is lost.
    #[inline]
    pub(super) fn is_good(&self, lease: &impl Lease) -> bool {
        // Relaxed: whoever was told of a loss was told after the closing, and a later look at one word sees no earlier value.
        self.word.load(Ordering::Relaxed) & CLOSED == 0 && !self.is_over(lease)
    }

    /// Closes it. By who has the lock, of an open one.
    pub(super) fn close(&self) -> Inside {
        // Acquire: what those did who have left comes before whatever is decided now.
        let former = self.word.fetch_or(CLOSED, Ordering::Acquire);
        let mut shared = former & COUNT;
        let mut entries = (former & ENTRIES) / ENTRY;
        for shard in self.shards() {
            // Also those that are closed: who entered by them while it was hot may still be inside.
            let former = shard.fetch_or(CLOSED, Ordering::Acquire);
            shared |= former & COUNT;
            if former & CLOSED == 0 {
                entries += (former & ENTRIES) / ENTRY;
            }
        }
        let alone = former & INSIDE_ALONE != 0;
        // Who is inside alone has taken the next number. If it is about to leave, it may have moved the clock already, and
        // then one number is skipped.
        let clock = self.clock.load(Ordering::Relaxed) + if alone { 2 } else { 0 };
        Inside {
            alone,
            // Beside one who is alone, only those are counted who are about to turn back.
            shared: shared != 0 && !alone,
            is_full: shared & FULL != 0,
            entries,
            clock,
        }
    }

    /// How many shared holders are inside. Of a closed one.
    pub(super) fn count(&self) -> u32 {
        // Relaxed: for people.
        let count = |word: &AtomicU64| ((word.load(Ordering::Relaxed) & COUNT) / ONE) as u32;
        let shards = self.shards().iter().map(|shard| count(shard));
        count(&self.word) + shards.sum::<u32>()
    }

    /// Whether all have left. Of a closed one.
    pub(super) fn is_empty(&self) -> bool {
        // Acquire: what they did comes before whatever is decided now.
        let is_left = |word: &AtomicU64| word.load(Ordering::Acquire) & COUNT == 0;
        let word = self.word.load(Ordering::Acquire);
        word & (COUNT | INSIDE_ALONE) == 0 && self.shards().iter().all(|shard| is_left(shard))
    }

    /// Opens it, with `entrant` inside. By who has the lock, of a closed one that nobody is inside of alone. Returns what
    /// the entrant has.
    ///
    /// # Panics
    /// If the entrant comes alone, and may not.
    pub(super) fn open(&self, opening: Opening, entrant: Option<Door>) -> Option<(Pass, u64)> {
        let Opening {
            sole,
            sharded,
            clock,
            clock_end,
            session,
            until,
        } = opening;
        let mut pass = None;
        // Who is let in now is counted like any other.
        let (mut single, mut shard) = (0, None);
        match entrant {
            Some(Door::Sole) => {
                assert!(sole && !sharded, "it may enter alone");
                single = INSIDE_ALONE + ENTRY;
                pass = Some((Pass::Alone, clock + 1));
            }
            Some(Door::Shared) if sharded => {
                let number = thread_number() % self.make_shards().len();
                shard = Some(number);
                pass = Some((Pass::Shared(number as u8 + 1), clock));
            }
            Some(Door::Shared) => {
                single = ONE + ENTRY;
                pass = Some((Pass::Shared(0), clock));
            }
            None => {}
        }
        // Relaxed: released by the opening below.
        self.clock.store(clock, Ordering::Relaxed);
        self.clock_end.store(clock_end, Ordering::Relaxed);
        self.session.store(session, Ordering::Relaxed);
        self.until.store(until, Ordering::Relaxed);
        if sharded {
            for (number, word) in self.make_shards().iter().enumerate() {
                let plus = if shard == Some(number) {
                    ONE + ENTRY
                } else {
                    0
                };
                open_word(word, plus);
            }
        }
        let flags = u64::from(sharded) * SHARDED + u64::from(sole && !sharded) * SOLE;
        open_word(&self.word, flags + single);
        pass
    }

    /// Whoever was inside alone has a hold of its own now, and does not leave by the gate. Of a closed one.
    pub(super) fn forget_alone(&self) {
        // Relaxed: it has not left, so there is nothing of it to see.
        self.word.fetch_and(!INSIDE_ALONE, Ordering::Relaxed);
    }

    fn shards(&self) -> &[CachePadded<AtomicU64>] {
        self.shards.get().map_or(&[], |shards| shards)
    }

    fn make_shards(&self) -> &[CachePadded<AtomicU64>] {
        self.shards.get_or_init(|| {
            let threads = std::thread::available_parallelism();
            let threads = threads.map_or(SHARDS_MAX, |n| n.get().next_power_of_two());
            let count = if IS_MODELLED {
                SHARDS_MAX
            } else {
                threads.clamp(2, SHARDS_MAX)
            };
            (0..count)
                .map(|_| CachePadded::new(AtomicU64::new(CLOSED)))
                .collect()
        })
    }

    /// The shard of the calling thread.
    fn own_shard(&self) -> Option<(u8, &AtomicU64)> {
        let shards = self.shards();
        let number = thread_number().checked_rem(shards.len())?;
        Some((number as u8 + 1, &shards[number]))
    }

    #[inline]
    fn word_of(&self, number: u8) -> &AtomicU64 {
        match number {
            0 => &self.word,
            _ => &self.shards()[usize::from(number) - 1],
        }
    }
}

/// Somebody who was counted has left again, and that was the last one or not.
#[cold]
const fn refused(is_last: bool) -> Refused {
    if is_last {
        Refused::Last
    } else {
        Refused::Shut
    }
}

/// Opens a word, with `plus` in it beside the count of those who are still inside.
fn open_word(word: &AtomicU64, plus: u64) {
    // Relaxed: what only the lock's side changes is as it left it, and the rest is not taken away here.
    let seen = word.load(Ordering::Relaxed);
    debug_assert!(seen & CLOSED != 0 && seen & INSIDE_ALONE == 0);
    let minus = seen & (CLOSED | SHARDED | SOLE | ENTRIES);
    // By an addition: others may count themselves in and out meanwhile. Release: whoever enters sees all that was done
    // before.
    word.fetch_add(plus.wrapping_sub(minus), Ordering::Release);
}

/// Whether a gate is hot: entered so often, and by several threads, that it pays to give them words of their own.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Heat {
    /// When it was last found due.
    due_at: Time,
    /// By which thread, from 1; 0: it never was.
    thread: u32,
    is_hot: bool,
}

impl Heat {
    /// Entries that are due after no longer than this are many.
    const MANY_WITHIN_NANOS: u64 = 50_000_000;
    /// A gate that was not due for so long is hot no more.
    const COOL_AFTER_NANOS: u64 = 1_000_000_000;

    /// A gate is opened at `now` for a request. Before, it had been opened at `opened_at` and entered so often since.
    pub(super) fn on_opening(&mut self, entries: u64, opened_at: Time, now: Time) {
        let nanos_since = |then: Time| now.since(then).as_nanos() as u64;
        if entries >= DUE / ENTRY {
            let thread = thread_number() as u32 + 1;
            let is_other = self.thread != 0 && self.thread != thread;
            self.is_hot |= is_other && nanos_since(opened_at) < Self::MANY_WITHIN_NANOS;
            self.thread = thread;
            self.due_at = now;
        } else if self.is_hot {
            self.is_hot = nanos_since(self.due_at) < Self::COOL_AFTER_NANOS;
        }
    }

    pub(super) const fn is_hot(&self) -> bool {
        self.is_hot
    }
}
