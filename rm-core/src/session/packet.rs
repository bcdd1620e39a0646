//! What travels between two nodes: plain data, put into bytes by the network crate.
//!
//! A session goes from a *debtor* (a client, or a node that borrows) to a *creditor*. Credit messages ride in
//! sequence ([`Body::Data`]): numbered, acknowledged, delivered in order and once. All else rides outside
//! the sequence: the newest wins, loss is cured by repeating.

use core::time::Duration;
use std::sync::Arc;

use super::ticket::Ticket;
use crate::cluster::Report;
use crate::command::{Command, Outcome};
use crate::credit::Opaque;
use crate::id::{Boot, Note, ResourceKey, Stamp, TypeId};
use crate::inspect::{Answer, Query};
use crate::message::Message;
use crate::view::View;

/// The version of the wire that this code speaks. Others are refused at [`Hello`].
pub const WIRE_VERSION: u32 = 1;

/// One packet. Every one carries its sender's epoch and highest stamp.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "the wire carries each field")]
pub struct Packet {
    /// The view the sender has adopted; 0 where it has none yet.
    pub epoch: u32,
    /// The highest stamp the sender has seen.
    pub stamp: Stamp,
    /// What it says.
    pub body: Body,
}

/// What a packet says.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "a session must handle every packet"
)]
pub enum Body {
    /// Either side: the session is over. A debtor says it when its last hold is over or lost: its loans may
    /// be taken back at once. A creditor says it when it stops; loans still end by their lease.
    Bye {
        /// For people.
        reason: String,
    },
    /// To the node that the sender has a session with: do this. Answered by `Commanded`. It changes something for others.
    Command {
        /// Tells answers apart.
        id: u64,
        /// What is to be done.
        command: Command,
    },
    /// The answer to `Command`.
    Commanded {
        /// The id of the command.
        id: u64,
        /// What became of it.
        outcome: Outcome,
    },
    /// Either side: credit messages in sequence, and what has been received of the other's. No items: an
    /// acknowledgement alone.
    Data {
        /// All of the other's items up to this number have been received.
        ack: u64,
        /// The number of the first item here. The first item of a session is 1.
        first: u64,
        /// The items, numbered upward from `first`.
        items: Vec<Item>,
    },
    /// Creditor: that session is over for good; open the next one.
    Gone {
        /// For people.
        reason: String,
    },
    /// Debtor: opens a session, or asks to go on with one. The first packet of a connection.
    Hello(Hello),
    /// Either side: what do you know? Answered by `Inspected`; read-only.
    Inspect {
        /// Tells answers apart.
        id: u64,
        /// The question.
        query: Query,
    },
    /// The answer to `Inspect`.
    Inspected {
        /// The id of the question.
        id: u64,
        /// The answer.
        answer: Answer,
    },
    /// Creditor: no session can be had, and why. The last packet of a connection.
    Refuse {
        /// The kind of reason, for programs.
        code: RefuseCode,
        /// For people: what is wrong and what to do.
        text: String,
    },
    /// Debtor: extend my lease. It also says: I heard you within L/2. A debtor that does not is silent.
    Renew {
        /// The debtor's clock just before sending: an opaque number to everybody else.
        sent: u64,
        /// The number of the newest answer that the debtor has heard; 0: none yet. Proof that it hears.
        heard: u64,
    },
    /// Member to member: that view is adopted, and what of it the other is now the root of. The reporter says it as a
    /// creditor: the other has called it where the view says that it is, and so knows whose word it is.
    Report(Report),
    /// The answer to a part of a `Report`, said as a creditor too.
    ReportAck {
        /// The view.
        epoch: u32,
        /// The registration of who answers.
        reg: u64,
        /// Which part has come.
        part: u32,
        /// Whether who answers has opened its books of that view.
        is_active: bool,
    },
    /// Creditor: extended.
    RenewAck {
        /// The number of the `Renew` that is answered.
        sent: u64,
        /// How long the debtor may trust, in true time from `sent`.
        length: Duration,
    },
    /// Either side: this is the newest view that I have adopted.
    View(Arc<View>),
    /// Creditor: the session stands.
    Welcome(Welcome),
}

/// Opens a session, or goes on with one.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "the wire carries each field")]
pub struct Hello {
    /// [`WIRE_VERSION`] of the sender.
    pub version: u32,
    /// The debtor's configured name, 1 to 255 bytes.
    pub name: Vec<u8>,
    /// Its run.
    pub boot: Boot,
    /// What proves that it is that run.
    pub ticket: Ticket,
    /// Which of that run's sessions with this creditor, from 1.
    pub session: u64,
    /// The creditor's registration that the session is with; 0 in a first hello: whoever you are.
    pub reg: u64,
    /// The number of the creditor's next item that the debtor has not received: 1 in a new session.
    pub next_expected: u64,
}

/// The session stands.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "the wire carries each field")]
pub struct Welcome {
    /// [`WIRE_VERSION`] of the sender.
    pub version: u32,
    /// The creditor's configured name.
    pub name: Vec<u8>,
    /// Its run.
    pub boot: Boot,
    /// Its registration.
    pub reg: u64,
    /// The number of the debtor's next item that the creditor has not received.
    pub next_expected: u64,
    /// The cluster's lease length `L`, in true time.
    pub lease: Duration,
}

/// Why no session can be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "the wire carries it")]
pub enum RefuseCode {
    /// The sender's wire version is not spoken here.
    Version,
    /// The first packet was no `Hello`, or a packet broke the rules.
    Protocol,
    /// Sessions, memory or another limit is reached.
    Limit,
    /// The sender's stamp is too far ahead: its clock is wrong.
    Stamp,
    /// Not allowed.
    Denied,
    /// The node is stopping.
    Stopping,
}

/// One credit message in sequence.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "the wire carries each field")]
pub struct Item {
    /// The type of the resource.
    pub type_id: TypeId,
    /// The resource.
    pub key: ResourceKey,
    /// What is said.
    pub message: Message<Opaque>,
    /// Who let go last of what moves, where that is in a distributed trace: for people, never for decisions.
    pub let_go: Option<Arc<Note>>,
}
