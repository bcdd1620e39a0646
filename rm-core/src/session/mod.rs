//! Sessions and leases: how two nodes stay in step, and when they must stop trusting each other.
//!
//! # Two sides
//!
//! A session goes from a *debtor*, which borrows credit, to a *creditor*, which lends it. It carries credit
//! messages both ways, in order and once ([`sequence`]), and one lease that covers all credit lent over it
//! ([`lease`]). [`DebtorSession`] and [`CreditorSession`] are its two sides; [`CreditorSessions`] decides
//! which of them may begin. All are pure: every input carries the time, and what happened comes back as data.
//!
//! The debtor says hello and is welcomed. It renews the lease at once and every quarter of it; each answer
//! extends its trust. Trust that is not extended ends: the debtor counts all that it borrowed as lost, and
//! the creditor, a little later, takes it back.
//!
//! # Why two holders never trust the same credit
//!
//! The debtor counts from before it sent a renewal, the creditor from after it received it: *send before
//! receipt*. And the debtor counts a little less than the lease, the creditor a little more, by as much as a
//! clock may be off: *trust ends before wait*. So when the creditor takes back, the debtor has stopped,
//! whatever was lost on the way. There are two short cuts, and each is word of the debtor itself: a
//! goodbye, and a later session of the same run, which is opened only after the earlier was dropped.
//!
//! What was lost stays lost: no later answer revives it, and a process that slept looks at its clock before
//! it does anything else. A connection that breaks says nothing about credit.
//!
//! # How to drive one
//!
//! ```
//! use rm_core::access::Identity;
//! use rm_core::id::{Boot, PeerId};
//! use rm_core::session::{
//!     Admission, CreditorConfig, CreditorSession, CreditorSessions, DebtorConfig, DebtorSession,
//!     LeaseTerms, Membership, SessionEffect, SessionEffects, Ticket, Window, check_ticket,
//! };
//! use rm_core::session::packet::Body;
//! use rm_core::time::Time;
//! use std::time::Duration;
//!
//! let (now, batch) = (Time::ZERO, Window::default());
//! let ticket = Ticket([7; 16]); // drawn at random at the start of the process
//! let mut debtor = DebtorSession::connect(now, DebtorConfig {
//!     name: b"web-1".to_vec(),
//!     boot: ticket.boot(),
//!     ticket,
//!     session: 1,
//!     reg: 0,
//!     window: Window::default(),
//!     patience: Duration::from_secs(5),
//! });
//! let Some(Body::Hello(hello)) = debtor.transmit(now, batch) else { unreachable!() };
//!
//! // The creditor reads the first packet of a connection, and decides.
//! assert_eq!(check_ticket(&hello), Ok(()));
//! let mut sessions = CreditorSessions::new(1, 1_000);
//! assert_eq!(sessions.admit(&hello, &Identity::anonymous(), PeerId(1)), Admission::New);
//! let config = CreditorConfig {
//!     name: b"server".to_vec(),
//!     boot: Boot(2),
//!     reg: 1,
//!     terms: LeaseTerms::default(),
//!     claimed: LeaseTerms::default().length(),
//!     window: Window::default(),
//! };
//! let mut creditor = CreditorSession::accept(now, &config, &hello);
//!
//! // From here on both drivers do the same: what comes goes in, the effects are worked off, and what
//! // there is to say goes out.
//! let mut fx = SessionEffects::new();
//! for _ in 0..2 {
//!     while let Some(body) = creditor.transmit(Membership::Good, batch) {
//!         debtor.on_packet(now, body, &mut fx);
//!     }
//!     while let Some(body) = debtor.transmit(now, batch) {
//!         creditor.on_packet(now, body, &mut fx);
//!     }
//! }
//! assert!(debtor.is_trusted(now) && creditor.may_lend(now));
//! let effects: Vec<_> = fx.drain().collect();
//! assert!(matches!(effects[..], [SessionEffect::Established(_), SessionEffect::Extended { .. }]));
//! ```
//!
//! A driver keeps to these rules:
//!
//! * after every input it works off the effects, then writes what `transmit` returns while the socket takes
//!   it; where nothing is left to say and the session is not connected, it closes the connection;
//! * a message that cannot be pushed is gone, so the session is of no more use: it abandons it;
//! * it calls `on_tick` at `next_tick`; ticks mark what is due and `transmit` does it, so a socket that
//!   takes nothing causes no work;
//! * a creditor whose clock jumped reads its sockets before it ticks ([`JumpWatch`]);
//! * it fills epoch and stamp into each packet and takes over those that come, after [`check_stamp`]; the
//!   machines see the [`Body`](packet::Body) alone;
//! * the use of a guard asks [`DebtorSession::is_trusted`] or compares the clock with
//!   [`DebtorSession::deadline`], whatever effects are still on their way.
//!
//! # Over another connection
//!
//! A session outlives its connections. When one breaks, both drivers say `on_disconnect`. The debtor's makes another
//! one and says [`DebtorSession::reconnect`]; its hello comes to [`CreditorSessions`], which answers
//! [`Admission::Resumes`], and the creditor's driver says [`CreditorSession::resume`]. From then on no packet that came
//! over an earlier connection goes into a session, and none that is transmitted goes out over one.
//!
//! # When a creditor dies
//!
//! Then its debtors claim what they had from the next root: see [`cluster`](crate::cluster).

pub mod lease;
pub mod packet;
pub mod sequence;

mod creditor;
mod debtor;
mod effect;
mod link;
mod registry;
#[cfg(test)]
mod testing;
mod ticket;

pub use creditor::{CreditorConfig, CreditorSession, Membership};
pub use debtor::{DebtorConfig, DebtorSession};
pub use effect::{EndReason, Misbehaviour, Refusal, SessionEffect, SessionEffects, VoidReason};
pub use lease::{BadLease, ClockLook, CreditorLease, DebtorLease, JumpWatch, LeaseTerms, Renewed};
pub use link::{ACK_DELAY, ACK_EVERY};
pub use registry::{Admission, CreditorSessions, check_stamp, check_version};
pub use sequence::{CannotResume, Incoming, Outgoing, Window, WindowFull};
pub use ticket::{TICKET_BYTES, Ticket, check_ticket};
