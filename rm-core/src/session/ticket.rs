//! What proves that a hello comes from the run that it names.
//!
//! Everybody sees the number of a run: it is part of every order. So the number alone must not open a session of that run,
//! which would end the run's present one, or claim after a change of roots what the run has borrowed. A run draws a
//! *ticket* at its start, and its number is a hash of that ticket. Only creditors are told the ticket; any of
//! them can check it, also one that never heard of that run before.
//!
//! The hash is SHA-256, cut to the 64 bits of a [`Boot`]. To find another ticket for a given number takes some 2^63
//! attempts, within the life of that run. Who can read the connection reads the ticket: only TLS helps
//! against that.

use core::fmt;

use sha2::{Digest as _, Sha256};

use super::effect::Refusal;
use super::packet::{Hello, RefuseCode};
use crate::id::Boot;

/// How many bytes a ticket has.
pub const TICKET_BYTES: usize = 16;

/// Told apart from whatever else is hashed.
const DOMAIN: &[u8] = b"rm/boot/1";

/// The secret of one run: random bytes, drawn at its start. It is never shown.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Ticket(pub [u8; TICKET_BYTES]);

impl Ticket {
    /// The number of the run that this is the ticket of.
    #[must_use]
    pub fn boot(&self) -> Boot {
        let hash = Sha256::new().chain_update(DOMAIN).chain_update(self.0);
        let mut number = [0; 8];
        number.copy_from_slice(&hash.finalize()[..8]);
        Boot(u64::from_be_bytes(number))
    }
}

impl fmt::Debug for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ticket(..)")
    }
}

/// Whether a hello comes from the run that it names.
///
/// # Errors
/// The [`Refusal`] to answer with.
pub fn check_ticket(hello: &Hello) -> Result<(), Refusal> {
    // Nothing secret is compared: what comes out of the hash is public, and so is what it must be.
    if hello.ticket.boot() == hello.boot {
        return Ok(());
    }
    Err(Refusal {
        code: RefuseCode::Denied,
        text: "its ticket is not that of the run it names: the number of a run is the hash of its ticket"
            .into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::packet::WIRE_VERSION;

    fn hello(ticket: Ticket, boot: Boot) -> Hello {
        Hello {
            version: WIRE_VERSION,
            name: b"web-1".to_vec(),
            boot,
            ticket,
            session: 2,
            reg: 0,
            next_expected: 1,
        }
    }

    #[test]
    fn only_the_ticket_of_a_run_speaks_for_it() {
        let (own, other) = (Ticket([7; 16]), Ticket([8; 16]));
        assert_eq!(check_ticket(&hello(own, own.boot())), Ok(()));
        let refusal = check_ticket(&hello(other, own.boot())).unwrap_err();
        assert_eq!(refusal.code, RefuseCode::Denied);
    }

    #[test]
    fn the_number_of_a_run_is_the_same_everywhere() {
        // Other implementations must come to the same.
        assert_eq!(Ticket([0; 16]).boot(), Boot(0x680b_9414_6591_8a1f));
    }

    #[test]
    fn a_ticket_is_never_printed() {
        assert_eq!(format!("{:?}", Ticket([7; 16])), "Ticket(..)");
    }
}
