//! What operators tell a node to do: outside the sequence, one at a time, and written down with who and why.
//!
//! A command changes something for others, so it says who gives it and for what reason; without a reason it is
//! refused. Who may give commands is not decided here: whoever may connect.
//!
//! * **Release.** What is lent of one resource is taken back though somebody uses it. *Politely* the holders are told and
//!   give it back; exclusion holds. *Now* the loans are closed at once: later tokens are larger than all earlier ones,
//!   and nothing says that the holder has stopped.
//! * **Drain.** A node hands over what it has, and goes.
//!
//! Neither is retried by anybody: who hears no answer asks what became of it (`show`, `members`).

use core::time::Duration;

use crate::id::{ResourceKey, TypeId};

/// The longest reason, in bytes. Longer ones are cut.
pub const REASON_BYTES_MAX: usize = crate::message::REASON_BYTES_MAX;
/// The most loans of which one answer tells.
pub const RELEASED_MAX: usize = 256;

/// What is to be done, by whom, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "the wire carries each field")]
pub struct Command {
    /// What.
    pub action: Action,
    /// Why: for the log, and for those whom it hits. Never empty.
    pub reason: String,
    /// Who says so: as they call themselves.
    pub by: String,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "the wire carries it")]
pub enum Action {
    /// Hand over what you have, and go.
    Drain {
        /// The name of the node that is meant. Another says where that one is.
        node: String,
        /// How long holders are waited for.
        within: Duration,
    },
    /// Take back what is lent of a resource.
    Release {
        /// Its type.
        type_id: TypeId,
        /// Its name.
        key: ResourceKey,
        /// Whether holders are asked.
        force: Force,
    },
    /// A command of a later version. Answered by [`Outcome::Unknown`]; never given.
    Unknown,
}

/// How what is lent is taken back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "the wire carries it")]
pub enum Force {
    /// The holders are told, and give it back. Who does not answer keeps it as long as its lease.
    #[default]
    Polite,
    /// It counts as back at once. A holder that is not heard may go on, with an older token.
    Now,
}

/// What became of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "the wire carries it")]
pub enum Outcome {
    /// The command was not understood.
    Unknown,
    /// A rule forbids it to whoever ordered it.
    NotAllowed {
        /// Which rule, and whom it took them for.
        text: String,
    },
    /// It was not carried out.
    Refused {
        /// Why, and what to do.
        text: String,
    },
    /// Another node is to be told.
    Elsewhere {
        /// Its name.
        node: String,
        /// Where it is.
        address: String,
    },
    /// The node is on its way out: its connections end when it has gone.
    Draining,
    /// What became of each loan of the resource.
    Released {
        /// Of each; at most [`RELEASED_MAX`].
        loans: Vec<Released>,
        /// How many more there were.
        omitted: u32,
        /// Guards of the server's own process, which are not taken away.
        own_holds: u32,
    },
}

/// What became of one loan.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "the wire carries each field")]
pub struct Released {
    /// Who had it.
    pub node: String,
    /// What became of it.
    pub end: LoanEnd,
}

/// What became of a loan that was to be given back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "the wire carries it")]
pub enum LoanEnd {
    /// It came back, or its lease ended meanwhile: its holders know that they have lost it.
    Returned,
    /// It did not come back. It ends with its lease.
    Silent {
        /// In how long, at the latest.
        ends_in: Duration,
    },
    /// It was closed without its debtor, who may not know it.
    Closed {
        /// For how long, at most, that one may still believe in it.
        believed_for: Duration,
    },
}
