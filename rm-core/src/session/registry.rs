//! Which hello is admitted, and what it proves about sessions before it.
//!
//! A debtor numbers its sessions with one creditor from 1. Session `n + 1` of the same run proves that the
//! run dropped session `n`. Another run of the same name proves nothing: the first may still run, paused or
//! behind a broken link, so it keeps its lease, and both have sessions side by side.
//!
//! A hello with the number and the registration of a session that is not over asks to go on with it. Only its own run
//! can, and only under the identity that opened the session: the driver has [checked](super::check_ticket) that the
//! hello comes from the run that it names, and the transport who sends it.
//!
//! No identity can have more than half of the sessions, so that none keeps all others out.
//!
//! Only sessions that are not over are remembered. A late hello of a forgotten one that had received anything is
//! gone; one that had not opens a session that nobody renews: it runs out by its lease, and nothing is lent over it.

use core::time::Duration;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use crate::access::Identity;
use crate::id::{BadName, NodeId, Party, PeerId, Stamp};
use crate::stamp::HybridClock;
use crate::time::Time;

use super::effect::Refusal;
use super::packet::{Hello, RefuseCode, WIRE_VERSION};

/// What to do with a hello.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "a driver must handle every answer")]
pub enum Admission {
    /// Answer [`Gone`](super::packet::Body::Gone): it asks to go on with a session that cannot go on.
    Gone {
        /// For people.
        reason: String,
    },
    /// Accept it.
    New,
    /// Answer [`Refuse`](super::packet::Body::Refuse).
    Refused(Refusal),
    /// It goes on with that session, if the session can: see
    /// [`CreditorSession::resume`](super::CreditorSession::resume).
    Resumes {
        /// The session, under the name that it has.
        peer: PeerId,
    },
    /// Accept it, and end that session at once: the debtor has dropped it.
    Succeeds {
        /// The session that is over.
        ends: PeerId,
    },
}

/// The sessions of one creditor that are not over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreditorSessions {
    /// The creditor's registration.
    reg: u64,
    /// At most so many.
    limit: usize,
    open: BTreeMap<Party, Known>,
    /// How many of them each identity has.
    shares: BTreeMap<Identity, usize>,
}

/// The newest session of one run of a debtor.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Known {
    number: u64,
    peer: PeerId,
    identity: Identity,
}

impl CreditorSessions {
    /// No sessions, for a creditor registered as `reg`; at most `limit`.
    #[must_use]
    pub const fn new(reg: u64, limit: usize) -> Self {
        Self {
            reg,
            limit,
            open: BTreeMap::new(),
            shares: BTreeMap::new(),
        }
    }

    /// Decides about a hello of whom the transport knows as `identity`. Where it opens a session, that is `peer` from
    /// now on.
    pub fn admit(&mut self, hello: &Hello, identity: &Identity, peer: PeerId) -> Admission {
        if let Err(refusal) = check_hello(hello) {
            return Admission::Refused(refusal);
        }
        if hello.reg != 0 && hello.reg != self.reg {
            return gone("it was with an earlier run of this server");
        }
        let present = self.open.get(&party(hello));
        if let Some(present) = present.filter(|present| present.identity != *identity) {
            return Admission::Refused(another(&present.identity, identity));
        }
        if let Some(peer) = self.resumes(hello, identity) {
            return Admission::Resumes { peer };
        }
        if hello.next_expected != 1 {
            return gone("it is over");
        }
        let known = Known {
            number: hello.session,
            peer,
            identity: identity.clone(),
        };
        if let Some(present) = self.open.get_mut(&party(hello)) {
            if hello.session <= present.number {
                return gone("a later connection needs a session with a higher number");
            }
            let ends = core::mem::replace(present, known).peer;
            return Admission::Succeeds { ends };
        }
        if let Err(refusal) = self.check_room(identity) {
            return Admission::Refused(refusal);
        }
        self.open.insert(party(hello), known);
        *self.shares.entry(identity.clone()).or_default() += 1;
        Admission::New
    }

    /// Whether `identity` may have one more.
    fn check_room(&self, identity: &Identity) -> Result<(), Refusal> {
        let limit = |text| Refusal {
            code: RefuseCode::Limit,
            text,
        };
        if self.open.len() >= self.limit {
            return Err(limit(format!(
                "the server has {} sessions, as many as it may: close some, or raise its limit",
                self.limit
            )));
        }
        let most = self.limit.div_ceil(2);
        let has = self.shares.get(identity).copied().unwrap_or(0);
        if has >= most {
            return Err(limit(format!(
                "{identity} has {has} sessions, half of what the server has for all: close some, or raise its limit"
            )));
        }
        Ok(())
    }

    /// The session that a hello asks to go on with, if there is one of that identity.
    #[must_use]
    pub fn resumes(&self, hello: &Hello, identity: &Identity) -> Option<PeerId> {
        let known = self.open.get(&party(hello))?;
        let is_same = hello.reg == self.reg && hello.session == known.number;
        (is_same && known.identity == *identity).then_some(known.peer)
    }

    /// Whether `peer` is the newest session of `party`: another one has been superseded.
    #[must_use]
    pub fn is_newest(&self, party: Party, peer: PeerId) -> bool {
        self.open
            .get(&party)
            .is_some_and(|known| known.peer == peer)
    }

    /// The session `peer` of `party` is over. A later one of the same run stays.
    pub fn remove(&mut self, party: Party, peer: PeerId) {
        if !self.is_newest(party, peer) {
            return;
        }
        let identity = self.open.remove(&party).map(|known| known.identity);
        if let Some(identity) = identity
            && let Entry::Occupied(mut share) = self.shares.entry(identity)
        {
            *share.get_mut() -= 1;
            if *share.get() == 0 {
                share.remove();
            }
        }
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.open.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }
}

/// Whether a newcomer's highest stamp may be taken over. `now` is what stamps are made of, not the clock of
/// leases; `ahead_max` is how far ahead it may be, such as [`STAMP_AHEAD_MAX`](crate::stamp::STAMP_AHEAD_MAX).
///
/// # Errors
/// The [`Refusal`] to answer with.
pub fn check_stamp(
    clock: &HybridClock,
    now: Time,
    stamp: Stamp,
    ahead_max: Duration,
) -> Result<(), Refusal> {
    if clock.is_poisoned(now, stamp, ahead_max) {
        return Err(Refusal {
            code: RefuseCode::Stamp,
            text: format!(
                "its stamp is more than {ahead_max:?} ahead of ours: set the clocks of both hosts right"
            ),
        });
    }
    Ok(())
}

/// Whether a hello is of this version of the wire. Asked first: of another one, nothing else need mean the same.
///
/// # Errors
/// The [`Refusal`] to answer with.
pub fn check_version(hello: &Hello) -> Result<(), Refusal> {
    if hello.version != WIRE_VERSION {
        return Err(Refusal {
            code: RefuseCode::Version,
            text: format!(
                "it speaks version {} of the wire, this server {WIRE_VERSION}: upgrade the older one",
                hello.version
            ),
        });
    }
    Ok(())
}

/// Whether a hello makes sense at all.
fn check_hello(hello: &Hello) -> Result<(), Refusal> {
    let protocol = |text: &str| Refusal {
        code: RefuseCode::Protocol,
        text: text.to_owned(),
    };
    check_version(hello)?;
    BadName::check(&hello.name).map_err(|bad| protocol(&format!("its name is no name: {bad}")))?;
    if hello.session == 0 || hello.next_expected == 0 {
        return Err(protocol("sessions and messages are numbered from 1"));
    }
    Ok(())
}

fn party(hello: &Hello) -> Party {
    Party {
        node: NodeId::of_name(&hello.name),
        boot: hello.boot,
    }
}

/// A run does not change who it is.
fn another(present: &Identity, identity: &Identity) -> Refusal {
    Refusal {
        code: RefuseCode::Denied,
        text: format!(
            "this run has a session as {present}, and comes now as {identity}: end that session first, or use the same certificate"
        ),
    }
}

fn gone(why: &str) -> Admission {
    Admission::Gone {
        reason: format!("{why}: open a new one"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::Boot;
    use crate::session::Ticket;
    use crate::stamp::STAMP_AHEAD_MAX;

    const OURS: u64 = 7;

    fn hello(boot: u64, session: u64) -> Hello {
        Hello {
            version: WIRE_VERSION,
            name: b"web-1".to_vec(),
            boot: Boot(boot),
            ticket: Ticket::default(),
            session,
            reg: 0,
            next_expected: 1,
        }
    }

    fn anyone() -> Identity {
        Identity::anonymous()
    }

    fn sessions() -> CreditorSessions {
        CreditorSessions::new(OURS, 4)
    }

    fn refused(admission: Admission) -> (RefuseCode, String) {
        let Admission::Refused(refusal) = admission else {
            panic!("not refused: {admission:?}");
        };
        (refusal.code, refusal.text)
    }

    #[test]
    fn a_later_session_of_the_same_run_ends_the_earlier() {
        let mut sessions = sessions();
        assert_eq!(
            sessions.admit(&hello(1, 1), &anyone(), PeerId(10)),
            Admission::New
        );
        let later = sessions.admit(&hello(1, 3), &anyone(), PeerId(11));
        assert_eq!(later, Admission::Succeeds { ends: PeerId(10) });
        assert_eq!(sessions.len(), 1);
    }

    #[test]
    fn the_same_or_an_earlier_session_is_gone() {
        let mut sessions = sessions();
        sessions.admit(&hello(1, 2), &anyone(), PeerId(10));
        for session in [1, 2] {
            let answer = sessions.admit(&hello(1, session), &anyone(), PeerId(11));
            assert!(matches!(answer, Admission::Gone { .. }), "{answer:?}");
        }
        let next = sessions.admit(&hello(1, 3), &anyone(), PeerId(12));
        assert_eq!(next, Admission::Succeeds { ends: PeerId(10) });
    }

    #[test]
    fn another_run_of_the_same_name_proves_nothing() {
        let mut sessions = sessions();
        sessions.admit(&hello(1, 1), &anyone(), PeerId(10));
        assert_eq!(
            sessions.admit(&hello(2, 9), &anyone(), PeerId(11)),
            Admission::New
        );
        assert_eq!(sessions.len(), 2);
    }

    #[test]
    fn a_session_that_is_over_makes_room_and_its_successor_stays() {
        let mut sessions = sessions();
        sessions.admit(&hello(1, 1), &anyone(), PeerId(10));
        sessions.admit(&hello(1, 2), &anyone(), PeerId(11));
        assert!(!sessions.is_newest(party(&hello(1, 1)), PeerId(10)));
        assert!(sessions.is_newest(party(&hello(1, 2)), PeerId(11)));
        sessions.remove(party(&hello(1, 1)), PeerId(10));
        assert_eq!(sessions.len(), 1);
        sessions.remove(party(&hello(1, 2)), PeerId(11));
        assert!(sessions.is_empty());
    }

    #[test]
    fn one_session_too_many_is_refused_but_not_one_that_replaces() {
        let mut sessions = sessions();
        for (boot, uid) in [(1, 1), (2, 1), (3, 2), (4, 2)] {
            sessions.admit(&hello(boot, 1), &Identity::unix(uid), PeerId(9 + boot));
        }
        let one_more = sessions.admit(&hello(5, 1), &Identity::unix(3), PeerId(20));
        let (code, text) = refused(one_more);
        assert_eq!(code, RefuseCode::Limit);
        assert!(text.contains("raise its limit"), "{text}");
        let later = sessions.admit(&hello(2, 2), &Identity::unix(1), PeerId(13));
        assert_eq!(later, Admission::Succeeds { ends: PeerId(11) });
    }

    #[test]
    fn no_identity_has_more_than_half_of_the_sessions() {
        let mut sessions = sessions();
        let (greedy, other) = (Identity::unix(1), Identity::unix(2));
        sessions.admit(&hello(1, 1), &greedy, PeerId(10));
        sessions.admit(&hello(2, 1), &greedy, PeerId(11));
        let (code, text) = refused(sessions.admit(&hello(3, 1), &greedy, PeerId(12)));
        assert_eq!(code, RefuseCode::Limit);
        assert!(text.starts_with("unix:uid=1 has 2"), "{text}");
        assert_eq!(
            sessions.admit(&hello(3, 1), &other, PeerId(12)),
            Admission::New
        );
        sessions.remove(party(&hello(1, 1)), PeerId(10));
        assert_eq!(
            sessions.admit(&hello(4, 1), &greedy, PeerId(13)),
            Admission::New
        );
    }

    #[test]
    fn nobody_else_resumes_or_supersedes_the_session_of_an_identity() {
        let mut sessions = sessions();
        sessions.admit(&hello(1, 3), &Identity::unix(1), PeerId(10));
        let mut resumed = hello(1, 3);
        (resumed.reg, resumed.next_expected) = (OURS, 5);
        let before = sessions.clone();
        for hostile in [resumed, hello(1, 4)] {
            let answer = sessions.admit(&hostile, &Identity::unix(2), PeerId(11));
            assert_eq!(refused(answer).0, RefuseCode::Denied);
            assert_eq!(sessions.resumes(&hostile, &Identity::unix(2)), None);
        }
        assert_eq!(sessions, before);
    }

    #[test]
    fn another_version_is_refused_before_anything_else_is_read() {
        let mut strange = hello(1, 0);
        strange.version = WIRE_VERSION + 1;
        strange.name.clear();
        let (code, text) = refused(sessions().admit(&strange, &anyone(), PeerId(10)));
        assert_eq!(code, RefuseCode::Version);
        assert!(
            text.contains("version 2") && text.contains("upgrade"),
            "{text}"
        );
    }

    #[test]
    fn a_name_of_0_or_256_bytes_and_the_number_0_are_refused() {
        let (mut empty, mut long) = (hello(1, 1), hello(1, 1));
        empty.name.clear();
        long.name = vec![b'x'; 256];
        let mut zero = hello(1, 1);
        zero.next_expected = 0;
        for bad in [empty, long, hello(1, 0), zero] {
            let (code, _) = refused(sessions().admit(&bad, &anyone(), PeerId(10)));
            assert_eq!(code, RefuseCode::Protocol, "{bad:?}");
        }
    }

    #[test]
    fn a_hello_of_an_open_session_goes_on_with_it_and_changes_nothing() {
        let mut sessions = sessions();
        sessions.admit(&hello(1, 3), &anyone(), PeerId(10));
        let mut again = hello(1, 3);
        (again.reg, again.next_expected) = (OURS, 5);
        let before = sessions.clone();
        let admission = sessions.admit(&again, &anyone(), PeerId(11));
        assert_eq!(admission, Admission::Resumes { peer: PeerId(10) });
        assert_eq!(sessions, before);
    }

    #[test]
    fn nobody_goes_on_with_an_older_session_that_of_another_run_or_one_that_is_over() {
        let mut sessions = sessions();
        sessions.admit(&hello(1, 3), &anyone(), PeerId(10));
        for (boot, session) in [(1, 2), (2, 3), (1, 4)] {
            let mut other = hello(boot, session);
            (other.reg, other.next_expected) = (OURS, 5);
            let answer = sessions.admit(&other, &anyone(), PeerId(11));
            assert!(matches!(answer, Admission::Gone { .. }), "{answer:?}");
        }
        let mut own = hello(1, 3);
        sessions.remove(party(&own), PeerId(10));
        (own.reg, own.next_expected) = (OURS, 5);
        let answer = sessions.admit(&own, &anyone(), PeerId(12));
        assert!(matches!(answer, Admission::Gone { .. }), "{answer:?}");
        assert!(sessions.is_empty());
    }

    #[test]
    fn a_session_with_another_registration_or_with_a_past_is_gone() {
        let (mut other, mut resumed, mut ours) = (hello(1, 1), hello(1, 1), hello(1, 1));
        other.reg = OURS + 1;
        resumed.next_expected = 5;
        ours.reg = OURS;
        for hello in [other, resumed] {
            let answer = sessions().admit(&hello, &anyone(), PeerId(10));
            assert!(matches!(answer, Admission::Gone { .. }), "{answer:?}");
        }
        assert_eq!(
            sessions().admit(&ours, &anyone(), PeerId(10)),
            Admission::New
        );
    }

    #[test]
    fn a_stamp_too_far_ahead_is_refused_with_advice() {
        let clock = HybridClock::default();
        let day = STAMP_AHEAD_MAX.as_nanos() as u64;
        let check = |stamp| check_stamp(&clock, Time::ZERO, Stamp(stamp), STAMP_AHEAD_MAX);
        assert_eq!(check(day), Ok(()));
        let refusal = check(day + 1).unwrap_err();
        assert_eq!(refusal.code, RefuseCode::Stamp);
        assert!(refusal.text.contains("clocks"), "{}", refusal.text);
    }
}
