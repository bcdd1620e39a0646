//! The driver: what carries bytes, clock and timers between the production's machines, and decides nothing.
//!
//! It reads like the specification of one. A process has a *borrower*, and a member beside it a *lender*; each has a
//! domain, and speaks over the connections of its sessions. Rules of both:
//!
//! * **Heads.** Every packet says in which view its sender is. Before the first packet of a view goes over a connection, the
//!   view itself does ([`Line::say`]), so that a reader never meets a view that it has not adopted.
//! * **Order.** What a domain wants said goes into the sessions before anything else happens; what the sessions want said
//!   goes out when their effects are worked off.
//! * **Views.** A process adopts each view that it hears of, from whomever, in both parts.
//! * **Connections.** They come and go, and sessions go on over the next one.

mod borrower;
mod lender;

use std::sync::Arc;

pub(super) use self::borrower::Borrower;
pub(super) use self::lender::Lending;
use super::network::ConnectionId;
use crate::id::{ResourceKey, Stamp};
use crate::message::Message;
use crate::session::Window;
use crate::session::packet::{Body, Item, Packet};
use crate::view::{RootId, View};

/// What must not happen and did, in words.
#[derive(Debug)]
pub(super) struct Fault(pub(super) String);

/// What a process does to the network.
#[derive(Debug)]
pub(super) enum Out {
    Connect(ConnectionId, RootId),
    Close(super::network::Side, ConnectionId),
    Packet(super::network::Side, ConnectionId, Box<Packet>),
}

/// Where all processes put what they do, and what is noted of it.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    pub(super) list: Vec<Out>,
    pub(super) connections: u64,
    /// What happened, in words, if anybody wants to know.
    pub(super) trace: Option<Vec<String>>,
    pub(super) counts: super::report::Counts,
    /// Of which resources a process has credit from another root now, since it began to work.
    pub(super) carried: Vec<ResourceKey>,
}

impl Outbox {
    pub(super) fn note(&mut self, words: impl FnOnce() -> String) {
        if let Some(trace) = &mut self.trace {
            trace.push(words());
        }
    }

    /// A root answers.
    fn on_answer(&mut self, item: &Item) {
        self.counts.on_answer(&item.message);
        if let Message::Claimed(claimed) = &item.message
            && claimed.limit > 0
        {
            self.carried.push(item.key.clone());
        }
    }

    fn connect(&mut self, root: RootId) -> ConnectionId {
        self.connections += 1;
        let id = ConnectionId(self.connections);
        self.list.push(Out::Connect(id, root));
        id
    }
}

/// How sessions are set up in a schedule.
#[derive(Clone, Copy, Debug)]
pub(super) struct Windows {
    pub(super) window: Window,
    pub(super) batch: Window,
}

/// One end of a connection, and which view was told over it.
#[derive(Clone, Copy, Debug)]
struct Line {
    side: super::network::Side,
    id: ConnectionId,
    told: u32,
}

/// In whose name something is said.
#[derive(Clone, Copy, Debug)]
struct Voice<'a> {
    view: Option<&'a Arc<View>>,
    stamp: Stamp,
}

impl Line {
    const fn new(side: super::network::Side, id: ConnectionId) -> Self {
        Self { side, id, told: 0 }
    }

    /// Tells the view, if it was not told yet.
    fn tell(&mut self, voice: Voice<'_>, out: &mut Outbox) {
        if let Some(view) = voice.view
            && view.epoch() > self.told
        {
            self.told = view.epoch();
            self.put(voice, Body::View(Arc::clone(view)), out);
        }
    }

    fn say(&mut self, voice: Voice<'_>, body: Body, out: &mut Outbox) {
        self.tell(voice, out);
        self.put(voice, body, out);
    }

    fn put(self, voice: Voice<'_>, body: Body, out: &mut Outbox) {
        let packet = Packet {
            epoch: voice.view.map_or(0, |view| view.epoch()),
            stamp: voice.stamp,
            body,
        };
        out.list
            .push(Out::Packet(self.side, self.id, Box::new(packet)));
    }

    fn close(self, out: &mut Outbox) {
        out.list.push(Out::Close(self.side, self.id));
    }
}
