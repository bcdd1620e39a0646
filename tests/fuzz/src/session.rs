//! Both sides of a session, each with a hostile other side, over connections that break.
//!
//! **Invariants.** Items are delivered in the order of their numbers, each once, and none after the session is void. A
//! debtor trusts no longer than the longest lease after it asked last, whatever it is told; a session that is void is
//! never trusted again. A creditor takes nothing back before the lease that it promised is over, unless the debtor says
//! goodbye.

use core::time::Duration;

use arbitrary::{Result, Unstructured};
use rm_core::access::Identity;
use rm_core::credit::Opaque;
use rm_core::id::{Boot, PeerId, ResourceKey, TypeId};
use rm_core::message::Message;
use rm_core::session::lease::LEASE_MAX;
use rm_core::session::packet::{Body, Hello, Item, RefuseCode, WIRE_VERSION, Welcome};
use rm_core::session::{
    Admission, CreditorConfig, CreditorSession, CreditorSessions, DebtorConfig, DebtorSession,
    LeaseTerms, Membership, SessionEffect, SessionEffects, TICKET_BYTES, Ticket, VoidReason,
    Window,
};
use rm_core::time::Time;

use crate::hostile;

/// More steps than this show nothing new.
const STEPS_MAX: usize = 300;

/// Little, so that it fills up.
const WINDOW: Window = Window {
    items: 8,
    bytes: 4_096,
};

/// Plays what `bytes` say.
///
/// # Panics
/// Where an invariant does not hold.
pub fn run(bytes: &[u8]) {
    let mut bytes = Unstructured::new(bytes);
    // What is left when the bytes are over is a play that ends there.
    let _ = if bytes.arbitrary().unwrap_or_default() {
        creditor(&mut bytes)
    } else {
        debtor(&mut bytes)
    };
}

/// The items that came out of a session.
#[derive(Default)]
struct Delivered {
    count: u64,
    is_void: bool,
}

impl Delivered {
    fn take(&mut self, fx: &mut SessionEffects) {
        for effect in fx.drain() {
            match effect {
                SessionEffect::Deliver(item) => {
                    assert!(!self.is_void, "nothing comes after the end");
                    self.count += 1;
                    // Each item bears its number.
                    assert_eq!(
                        item.key.as_bytes(),
                        self.count.to_be_bytes(),
                        "in order, and once"
                    );
                }
                SessionEffect::Void(_) => {
                    assert!(!self.is_void, "it ends once");
                    self.is_void = true;
                }
                _ => {}
            }
        }
    }
}

fn item(number: u64, message: Message<Opaque>) -> Item {
    Item {
        type_id: TypeId(1),
        key: ResourceKey::new(&number.to_be_bytes()).expect("eight bytes"),
        message,
        let_go: None,
    }
}

fn items(bytes: &mut Unstructured<'_>, first: u64, downward: bool) -> Result<Vec<Item>> {
    let count = bytes.int_in_range(0..=4)?;
    (0..count)
        .map(|index| {
            let message = if downward {
                hostile::downward(bytes)?
            } else {
                hostile::upward(bytes)?
            };
            let message = message.try_map(
                |credit| Ok::<_, arbitrary::Error>(Opaque::of(&credit)),
                |level| Ok(Opaque::of(&level)),
            )?;
            Ok(item(first.wrapping_add(index), message))
        })
        .collect()
}

/// What either side may say, right or wrong.
fn body(bytes: &mut Unstructured<'_>, next: u64, downward: bool) -> Result<Body> {
    Ok(match bytes.int_in_range(0..=10)? {
        0 => Body::Bye {
            reason: String::new(),
        },
        1 => Body::Gone {
            reason: String::new(),
        },
        2 => Body::Hello(hello(bytes)?),
        3 => Body::Refuse {
            code: RefuseCode::Limit,
            text: String::new(),
        },
        4 | 5 => Body::Renew {
            sent: hostile::number(bytes)?,
            heard: hostile::number(bytes)?,
        },
        6 => Body::RenewAck {
            sent: hostile::number(bytes)?,
            length: Duration::from_millis(hostile::number(bytes)?),
        },
        7 => Body::Welcome(welcome(bytes)?),
        _ => {
            let first = if bytes.ratio(1, 4)? {
                hostile::number(bytes)?
            } else {
                next
            };
            Body::Data {
                ack: hostile::number(bytes)?,
                first,
                items: items(bytes, first, downward)?,
            }
        }
    })
}

fn hello(bytes: &mut Unstructured<'_>) -> Result<Hello> {
    let ticket = Ticket([bytes.int_in_range(1..=2)?; TICKET_BYTES]);
    Ok(Hello {
        version: if bytes.ratio(1, 16)? { 0 } else { WIRE_VERSION },
        name: b"web".to_vec(),
        // Now and then a number that the ticket does not prove.
        boot: if bytes.ratio(1, 16)? {
            Boot(1)
        } else {
            ticket.boot()
        },
        ticket,
        session: bytes.int_in_range(0..=3)?,
        reg: bytes.int_in_range(0..=2)?,
        next_expected: hostile::number(bytes)?,
    })
}

fn welcome(bytes: &mut Unstructured<'_>) -> Result<Welcome> {
    Ok(Welcome {
        version: if bytes.ratio(1, 16)? { 0 } else { WIRE_VERSION },
        name: b"server".to_vec(),
        boot: Boot(bytes.int_in_range(8..=9)?),
        reg: bytes.int_in_range(0..=2)?,
        next_expected: if bytes.arbitrary()? {
            1
        } else {
            hostile::number(bytes)?
        },
        lease: if bytes.ratio(7, 8)? {
            Duration::from_secs(2)
        } else {
            Duration::from_millis(hostile::number(bytes)?)
        },
    })
}

/// A server's side, and its list of sessions.
fn creditor(bytes: &mut Unstructured<'_>) -> Result<()> {
    let terms = LeaseTerms::new(Duration::from_secs(2)).expect("a lease");
    let config = CreditorConfig {
        name: b"server".to_vec(),
        boot: Boot(8),
        reg: 1,
        terms,
        claimed: terms.length(),
        window: WINDOW,
    };
    let mut sessions = CreditorSessions::new(1, 4);
    let mut now = Time::from_nanos(1_000_000_000);
    let mut fx = SessionEffects::new();
    // The one that is watched; what comes of others is not its business.
    let mut watched: Option<(PeerId, CreditorSession, Delivered)> = None;
    // A debtor counts from when it asked, which is before that came here.
    let mut asked = now;
    let mut promised = now;
    for peer in 0..STEPS_MAX as u64 {
        if bytes.is_empty() {
            break;
        }
        let Some((its_peer, session, delivered)) = &mut watched else {
            let hello = hello(bytes)?;
            if sessions.admit(&hello, &Identity::anonymous(), PeerId(peer)) == Admission::New {
                let session = CreditorSession::accept(now, &config, &hello);
                watched = Some((PeerId(peer), session, Delivered::default()));
            }
            continue;
        };
        match bytes.int_in_range(0..=9)? {
            0 => {
                now = now.after(Duration::from_millis(hostile::number(bytes)? % 3_000));
                session.on_tick(now, &mut fx);
                if matches!(session.void_reason(), Some(VoidReason::TakenBack)) {
                    assert!(now >= promised, "taken back before the promise was over");
                }
            }
            1 => session.on_disconnect(&mut fx),
            2 => {
                let hello = hello(bytes)?;
                match sessions.admit(&hello, &Identity::anonymous(), PeerId(peer)) {
                    Admission::Resumes { peer } if peer == *its_peer => {
                        let _ = session.resume(now, &hello, &mut fx);
                    }
                    Admission::Succeeds { ends } if ends == *its_peer => {
                        session.on_superseded(&mut fx);
                    }
                    _ => {}
                }
            }
            3 => {
                let number = hostile::number(bytes)?;
                let limit = Message::Limit {
                    loan: Default::default(),
                    limit: number,
                };
                let _ = session.push(item(number, limit));
            }
            4 | 5 => {
                while let Some(said) = session.transmit(Membership::Good, WINDOW) {
                    if let Body::RenewAck { length, .. } = said {
                        promised = promised.max(asked.after(length));
                    }
                }
            }
            _ => {
                let body = body(bytes, delivered.count + 1, false)?;
                if matches!(body, Body::Renew { .. }) {
                    asked = now;
                }
                session.on_packet(now, body, &mut fx);
            }
        }
        delivered.take(&mut fx);
        assert!(!(delivered.is_void && session.may_lend(now)));
        let _ = session.next_tick();
    }
    Ok(())
}

/// A client's side.
fn debtor(bytes: &mut Unstructured<'_>) -> Result<()> {
    let mut now = Time::from_nanos(1_000_000_000);
    let mut fx = SessionEffects::new();
    let mut delivered = Delivered::default();
    let mut session = DebtorSession::connect(
        now,
        DebtorConfig {
            name: b"web".to_vec(),
            boot: Ticket([1; TICKET_BYTES]).boot(),
            ticket: Ticket([1; TICKET_BYTES]),
            session: 1,
            reg: 0,
            window: WINDOW,
            patience: Duration::from_secs(1),
        },
    );
    let mut last_sent = 0;
    for step in 0..STEPS_MAX as u64 {
        if bytes.is_empty() {
            break;
        }
        match bytes.int_in_range(0..=11)? {
            0 => {
                now = now.after(Duration::from_millis(hostile::number(bytes)? % 3_000));
                session.on_tick(now, &mut fx);
            }
            1 => session.on_disconnect(now, &mut fx),
            2 => session.reconnect(now, &mut fx),
            3 => {
                let message = Message::Unwant {
                    order: hostile::order(bytes)?,
                };
                let _ = session.push(item(step, message));
            }
            4 | 5 => {
                while let Some(said) = session.transmit(now, WINDOW) {
                    if let Body::Renew { sent, .. } = said {
                        last_sent = sent;
                    }
                }
            }
            // An answer that fits.
            6 | 7 => {
                let length = Duration::from_millis(hostile::number(bytes)?);
                let sent = last_sent;
                session.on_packet(now, Body::RenewAck { sent, length }, &mut fx);
            }
            8 => {
                let welcome = welcome(bytes)?;
                session.on_packet(now, Body::Welcome(welcome), &mut fx);
            }
            _ => {
                let body = body(bytes, delivered.count + 1, true)?;
                session.on_packet(now, body, &mut fx);
            }
        }
        delivered.take(&mut fx);
        let is_void = session.void_reason().is_some();
        assert!(!(is_void && session.is_trusted(now)), "void and trusted");
        if let Some(deadline) = session.deadline() {
            let longest = Time::from_nanos(last_sent).after(LEASE_MAX);
            assert!(deadline <= longest, "trust beyond any lease");
        }
        let _ = session.next_tick();
    }
    Ok(())
}
