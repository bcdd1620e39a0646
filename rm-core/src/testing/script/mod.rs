//! Scenarios as text: a tree of owners, what happens, and what must be so then.
//!
//! A [`Language`] knows the words for the credit of one type. [`Language::play`] reads a script and runs it on
//! production [`Owner`](crate::owner::Owner)s, with all invariants of a [`Cluster`] after every step.
//!
//! ```
//! # use rm_core::policy::Policy;
//! # use rm_core::testing::script::Language;
//! # use rm_rwlock::{RwCredit, RwLockType};
//! let locks = RwLockType::default();
//! let write = locks.write();
//! let language = Language::of(locks).word("read", RwCredit::READ).word("write", write);
//! language.play("
//!     tree T; M < T; L < M                # L borrows from M, and M from T
//!     R at L: read; settle                # a request called R; all messages arrive
//!     expect R holds, messages 4
//!     expect books T: cached all - 1 read, lent 1 read
//!                  M: lent 1 read; L: held 1 read
//!
//!     W at T: write                       # it waits for R
//!     tried at T: try read                # would pass W
//!     expect tried denied busy, tried behind W
//!     settle; expect W waits, M and L recalled
//!     R releases; settle
//!     expect W holds, tokens R < W, granted R then W
//! ");
//! ```
//!
//! # The language
//!
//! A line is a step, or several with `;` between them. `#` begins a comment. Names are those of nodes and of requests,
//! each used for one thing; a list of them has `,` or `and` in steps, and `and` in expectations. Verbs may have their `s` or not.
//!
//! | setup | says |
//! |---|---|
//! | `tree T` | `T` is the root |
//! | `A, B < T` | they borrow from it |
//! | `policy slice 16` | `exact`, `slice N` or `max`; `exact` unless said |
//!
//! | step | does |
//! |---|---|
//! | `R at A: read` | at `A` a request is made, called `R` from now on. It waits as long as it takes |
//! | `R at A: try read` | it waits for no holder and no older request |
//! | `R at A: read within 5 s` | it waits so long at most (`ms`, `s`, `min`) |
//! | `.. older than Q`, `.. as old as Q` | it is older than `Q` by a little, or the node decides. Else it is the youngest |
//! | `.. in group g` | it is a member of that group |
//! | `.. giving way within 1 s` | it promises to release that soon after somebody waits for what it holds |
//! | `R converts to write` | it asks to hold that instead; it keeps what it has until then. Also with `try` and `within` |
//! | `R reduces to read` | it keeps that of what it has |
//! | `R releases`, `R cancels` | its hold ends; it does not want any more what it waits for |
//! | `A caches read` | it takes that and releases it, and all messages arrive. They are not counted |
//! | `A returns spare` | it sends back what is cached and nobody there waits for |
//! | `A loses its session` | with its creditor, and with it all it borrowed, and the nodes below it theirs. The creditors take it back. A new session is there at once |
//! | `A shuts down` | it decides nothing any more |
//! | `A winds up` | it takes nothing new, waits for its holders, calls home what it lent, and returns what it borrowed |
//! | `deliver A -> T` | the next message from `A` to `T` arrives |
//! | `deliver all` | all that is under way arrives, what is sent because of it not |
//! | `settle` | messages arrive until none is under way |
//! | `5 s pass` | on every clock |
//!
//! | `expect ..` | is true if |
//! |---|---|
//! | `R holds`, `R holds read` | it was granted and has not ended; and is just that much |
//! | `R waits` | it, or its conversion, has no outcome |
//! | `R denied busy` | it, or its last conversion, failed so: `busy`, `timeout`, `deadlock`, `refused`, `shutdown` |
//! | `R behind Q` | `Q` is named among those that were in the way when `R` was denied |
//! | `R told of Q`, `R told of nobody` | since last asked, its holder was told that `Q` waits for what it holds; of several with `then` |
//! | `R lost` | its hold ended before its time |
//! | `A caches read`, `A holds ..`, `A lends ..`, `A borrows ..` | that much is there, and no more |
//! | `A recalled`, `A not recalled` | its creditor asks it for something back that it still has |
//! | `A wound up`, `A not wound up` | it winds up, and nothing is left there |
//! | `A told`, `A not told` | since last asked, it was told that credit it had cached leaves |
//! | `messages 4` | so many arrived since they were last counted |
//! | `granted R then Q` | in this order, others between them or not; of a request that converted the last grant counts |
//! | `tokens R < Q` | so compare the fencing tokens of two that hold, or held; also `=` |
//! | `books T: cached .., held .., lent ..; A: ..` | that is where all credit is: what is not said is nothing. It comes last |
//!
//! An amount is a word of the type, with a count before it (`3 read`) or an argument behind it (`units 3`), `all`, or
//! `nothing`; or several with `+` and `-`. What a request asks for may also be a word for a level that is no credit, such
//! as `any 3`.

mod expect;
mod language;
mod parse;
mod run;
mod step;
mod tokens;

use core::fmt;

use thiserror::Error;

pub use self::language::Language;
use self::step::Placed;
use crate::policy::Policy;
use crate::resource::ResourceType;
use crate::testing::cluster::Cluster;
use crate::testing::explore::Tree;

/// The longest script, in bytes.
pub const SCRIPT_BYTES_MAX: usize = 1 << 16;

/// A scenario that was read, and can be run.
#[derive(Clone, Debug)]
pub struct Script<T: ResourceType> {
    resource_type: T,
    text: String,
    tree: Tree,
    policy: Policy,
    /// The names of the requests, in the order in which they are made.
    requests: Vec<String>,
    steps: Vec<Placed<T>>,
}

impl<T: ResourceType> Script<T> {
    /// Plays it, and returns the cluster as it is in the end.
    ///
    /// # Errors
    /// The first expectation that is not met, or step that cannot be taken.
    ///
    /// # Panics
    /// If an invariant of the cluster breaks. The script is printed then, with a mark at the step that did it.
    pub fn run(&self) -> Result<Cluster<T>, Failure> {
        run::run(self)
    }
}

/// A text that is no script.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("line {line} of the script cannot be read: {what}\n  {line} | {text}")]
#[non_exhaustive]
pub struct Mistake {
    /// Which line, counted from 1.
    pub line: usize,
    /// The line.
    pub text: String,
    /// What is wrong with it, and what could stand there.
    pub what: String,
}

/// A scenario that went another way than its script says.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "line {line} of the script: expected that {expected}, but {found}\n\n{script}\nwhere the credit is:\n{books}"
)]
#[non_exhaustive]
pub struct Failure {
    /// Which line, counted from 1.
    pub line: usize,
    /// What should have been.
    pub expected: String,
    /// What was.
    pub found: String,
    /// The script, with a mark at that line.
    pub script: Marked,
    /// The books of all nodes, and what is under way.
    pub books: String,
}

/// A script with a mark at one of its lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Marked {
    text: String,
    line: usize,
}

impl fmt::Display for Marked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // As far as all lines are indented, that is the test's.
        let indents = self.text.lines().filter(|line| !line.trim().is_empty());
        let indents = indents.map(|line| line.len() - line.trim_start().len());
        let indent = indents.min().unwrap_or(0);
        for (line, text) in (1..).zip(self.text.lines()) {
            let mark = if line == self.line { '>' } else { ' ' };
            let text = text.get(indent..).unwrap_or_default();
            writeln!(f, "{mark} {line:3} | {text}")?;
        }
        Ok(())
    }
}
