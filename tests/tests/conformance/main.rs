//! The classic scenarios of a credit manager, as tables of books.
//!
//! Their numbers are those of the tests of Motr's resource manager and of the faults that are known of it:
//! `docs/CONFORMANCE.md` lists them all, with what differs here and why. They run on the lock as it is in production
//! (2^32 shares and the intent), under the policy `Exact`, so that every unit and every message can be counted.
//!
//! In a star, T is the root and D2, D3, D4 borrow from it. In a chain L borrows from M, and M from T. Many scenarios
//! are scripts: `rm_core::testing::script` has their language.

mod cinder;
mod file_lock;
mod groups;
mod guards;
mod handles;
mod life;
mod local;
mod messages;
mod modes;
mod processes;
mod races;
mod regressions;
mod rings;
mod rw_lock;
mod tree;
mod values;
mod wind_up;

use rm_core::credit::Credit as _;
use rm_core::testing::cluster::{Cluster, ROOT};
use rm_core::testing::script::Language;
use rm_rwlock::credit::{RwCredit, RwLockType, SHARES};
use rm_types::{SemaphoreType, Units};

const T: usize = ROOT;
const D2: usize = 1;
const D3: usize = 2;
const D4: usize = 3;
const M: usize = 1;
const L: usize = 2;

const NONE: RwCredit = shares(0);
const READ: RwCredit = RwCredit::READ;
/// All there is: what a writer asks for.
const ALL: RwCredit = RwLockType::with_shares(SHARES).write();

type Lock = Cluster<RwLockType>;

/// Plays a script about one lock.
#[track_caller]
fn play(script: &str) {
    let write = RwLockType::default().write();
    let language = Language::of(RwLockType::default())
        .word("read", READ)
        .word("upgradable", RwCredit::UPGRADABLE)
        .word("write", write);
    language.play(script);
}

/// Plays a script about a semaphore with so many units.
#[track_caller]
fn play_units(units: u64, script: &str) {
    let language = Language::of(SemaphoreType::with_units(units));
    let language = language.word_with("units", "3", |count| count.parse().ok().map(Units));
    language.play(script);
}

fn star() -> Lock {
    Cluster::star(&RwLockType::default(), 3)
}

fn chain() -> Lock {
    Cluster::chain(&RwLockType::default(), 2)
}

const fn shares(shares: u64) -> RwCredit {
    RwCredit { shares, intent: 0 }
}

fn all_but(count: u64) -> RwCredit {
    ALL.less(&shares(count))
}

/// Asserts where all credit is: of each node that is named what it has cached, held and lent, and of the others that
/// they have nothing. What a node borrowed is the sum of the three.
#[track_caller]
fn assert_books<const N: usize>(lock: &Lock, rows: [(usize, RwCredit, RwCredit, RwCredit); N]) {
    for node in 0..lock.size() {
        let row = rows.iter().find(|row| row.0 == node);
        let (_, cached, held, lent) = row.copied().unwrap_or((node, NONE, NONE, NONE));
        let borrowed = cached.join(&held).and_then(|sum| sum.join(&lent));
        let books = lock.books(node);
        let found = (books.cached, books.held, books.lent);
        assert_eq!(found, (cached, held, lent), "cached, held, lent of {node}");
        assert_eq!(Some(books.borrowed), borrowed, "borrowed by {node}");
    }
}

/// Takes and gives back at once, so that the credit is cached there. All messages arrive.
#[track_caller]
fn cache(lock: &mut Lock, node: usize, credit: RwCredit) {
    let asked = lock.acquire(node, credit);
    lock.settle();
    lock.release(asked);
    assert_eq!(lock.settle(), 0, "nobody waits for it");
}
