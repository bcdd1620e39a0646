//! The task that runs a session: it reads, ticks and hands over what comes, over one connection after the other.
//!
//! **Connections.** Whoever accepts or makes one hands it over at the door ([`Peer::offer`]), where one waits at a time.
//! The task takes it between two inputs, and lets go of the one before. So all that came over that one has been
//! handed over by then, and what lies unread in it comes again: it was not acknowledged.

use std::io;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use bytes::BytesMut;
use rm_core::front::Host as _;
use rm_core::session::packet::{Body, Packet, RefuseCode};
use rm_core::session::{EndReason, SessionEffects};

use super::{Arrived, Door, Peer};
use crate::connection::{Connection, Newcomer};
use crate::frame::PacketCodec;
use crate::hub::Hub;

/// So much is read at once: at first, where a peer says little, and at most.
const READ_BYTES_MIN: usize = 1 << 10;
const READ_BYTES_MAX: usize = 64 << 10;

/// The other side is given so long to hear a goodbye.
const GOODBYE: Duration = Duration::from_millis(500);

/// A timer is looked at this often, whatever it was set to.
const NAP: Duration = Duration::from_millis(250);

/// After so many reads in a row timers and other tasks have their turn, however much a peer sends.
const READS_IN_A_ROW: u32 = 16;

/// A connection as the session's task reads it.
pub(crate) struct Reading {
    connection: Arc<Connection>,
    codec: PacketCodec,
    input: BytesMut,
    /// How much is read at once.
    room: usize,
    /// It belongs to a view that is still to be adopted. Nothing more is read meanwhile.
    held: Option<Box<Packet>>,
}

/// How a conversation over one connection ended.
enum Close {
    /// The session has no use for the connection any more, or the connection broke.
    Over,
    /// The other side broke the rules.
    Offence(String),
    /// The session goes on over a later one.
    Replaced(Reading),
}

impl Peer {
    /// Hands over another connection for the session. One that was handed over before and not taken yet is closed. Where
    /// the session is over, the other side is told.
    pub(crate) fn offer(&self, hub: &Hub, newcomer: Newcomer) {
        let mut door = self.door.lock().unwrap_or_else(PoisonError::into_inner);
        let former = match &mut *door {
            Door::Open(place) => place.replace(Box::new(newcomer)),
            Door::Closed => {
                drop(door);
                return turn_away(hub, newcomer, "it is over");
            }
        };
        drop(door);
        drop(former);
        self.stirred.notify_one();
    }

    fn take_newcomer(&self) -> Option<Newcomer> {
        let mut door = self.door.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *door {
            Door::Open(place) => place.take().map(|newcomer| *newcomer),
            Door::Closed => None,
        }
    }

    /// Gives the connection up, where nothing is heard over it: the session's task finds it broken.
    pub(crate) fn hang_up(&self) {
        if let Some(connection) = self.connection() {
            connection.close();
        }
    }

    /// Reads, ticks and hands over what comes, over one connection after the other, until the session is over.
    ///
    /// `f` gets what arrives, and says whether the peer keeps to the rules.
    pub(crate) async fn run(
        self: &Arc<Self>,
        hub: &Arc<Hub>,
        first: Newcomer,
        mut f: impl FnMut(Arrived) -> Result<(), String>,
    ) {
        self.dialogue().connection += 1;
        let mut next = Some(self.install(first));
        while let Some(reading) = next.take() {
            next = match self.run_connection(hub, reading, &mut f).await {
                Some(later) => Some(later),
                None => self.wait_for_connection(hub, &mut f).await,
            };
        }
        let mut door = self.door.lock().unwrap_or_else(PoisonError::into_inner);
        let late = std::mem::replace(&mut *door, Door::Closed);
        drop(door);
        if let Door::Open(Some(newcomer)) = late {
            turn_away(hub, *newcomer, "it is over");
        }
    }

    /// The session uses this connection from now on. Its number is the session's.
    fn install(&self, newcomer: Newcomer) -> Reading {
        let Newcomer {
            stream,
            // The session's: no other is admitted to it.
            identity: _,
            mut codec,
            input,
            hello,
            room,
            call,
        } = newcomer;
        if hello.is_some() {
            codec.on_session();
        }
        let number = self.dialogue().connection;
        // Questions over the former one have been given up, or will be.
        self.aside().clear();
        let connection = Arc::new(Connection::new(number, stream, (room, call)));
        let place = self.connection.write();
        *place.unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&connection));
        Reading {
            connection,
            codec,
            input,
            room: READ_BYTES_MIN,
            held: None,
        }
    }

    /// Goes on over a connection that was handed over, if there is one and the session can.
    fn take_over(
        &self,
        hub: &Arc<Hub>,
        f: &mut impl FnMut(Arrived) -> Result<(), String>,
    ) -> Option<Reading> {
        let newcomer = self.take_newcomer()?;
        let mut fx = SessionEffects::new();
        let mut resumed = Ok(());
        self.input(hub, |dialogue| {
            let hello = newcomer.hello.as_ref();
            resumed = dialogue.session.resume(hub.now(), hello, &mut fx);
            if resumed.is_ok() {
                // At once: the former one must not get the answer.
                dialogue.connection += 1;
            }
        });
        let reading = match resumed {
            Ok(()) => Some(self.install(newcomer)),
            Err(why) => {
                turn_away(hub, newcomer, &format!("it {why}"));
                None
            }
        };
        fx.drain()
            .for_each(|effect| drop(f(Arrived::Effect(effect))));
        reading
    }

    /// One connection, until the session needs it no longer or it breaks. Returns a later one that replaced it.
    async fn run_connection(
        self: &Arc<Self>,
        hub: &Arc<Hub>,
        mut reading: Reading,
        f: &mut impl FnMut(Arrived) -> Result<(), String>,
    ) -> Option<Reading> {
        let connection = Arc::clone(&reading.connection);
        let writer = Arc::clone(self).run_writer(Arc::clone(hub), Arc::clone(&connection));
        let mut writer = AbortOnDrop(tokio::spawn(writer));
        let close = self.converse(hub, &mut reading, &mut writer, f).await;
        match close {
            Close::Replaced(later) => {
                connection.close();
                return Some(later);
            }
            Close::Offence(why) => {
                tracing::warn!(peer = %self.id, name = self.name, why, "closing the connection");
                let text = why.clone();
                drop(f(Arrived::Offence { why: text.clone() }));
                self.act(
                    hub,
                    |arrived| drop(f(arrived)),
                    |session, now, fx| {
                        session.abandon(now, EndReason::Wronged { why }, fx);
                    },
                );
                let code = RefuseCode::Protocol;
                self.say(Body::Refuse { code, text }, hub);
            }
            Close::Over => {
                if self.is_open() {
                    self.on_disconnect(hub, |arrived| drop(f(arrived)));
                }
            }
        }
        if !self.can_resume() {
            tokio::select! {
                () = self.part(&mut writer, &mut reading) => {}
                () = self.superseded.cancelled() => {}
            }
            self.on_disconnect(hub, |arrived| drop(f(arrived)));
        }
        drop(writer);
        connection.close();
        let place = self.connection.write();
        *place.unwrap_or_else(PoisonError::into_inner) = None;
        None
    }

    /// The part of [`run_connection`](Self::run_connection) with packets both ways.
    async fn converse(
        &self,
        hub: &Arc<Hub>,
        reading: &mut Reading,
        writer: &mut AbortOnDrop,
        f: &mut impl FnMut(Arrived) -> Result<(), String>,
    ) -> Close {
        let mut reads = 0;
        loop {
            if let Some(close) = self.look_around(hub, f) {
                return close;
            }
            let Reading {
                connection,
                codec,
                input,
                room,
                held,
            } = reading;
            let mut verdict = Ok(());
            let mut note = |arrived| {
                if let Err(why) = f(arrived) {
                    verdict = Err(why);
                }
            };
            if let Err(error) = self.on_input(hub, (codec, input, held), &mut note) {
                return Close::Offence(error.to_string());
            }
            if reads == READS_IN_A_ROW {
                reads = 0;
                self.on_tick(hub, &mut note);
                tokio::task::yield_now().await;
            }
            if let Err(why) = verdict {
                return Close::Offence(why);
            }
            if !self.is_open() {
                return Close::Over;
            }
            tokio::select! {
                biased;
                // First: where something has come, nothing else need be asked. What others want is looked at before
                // each input, and time after so many.
                ready = connection.stream.readable(), if held.is_none() => {
                    match ready.and_then(|()| read(connection, input, room)) {
                        Ok(0) => return Close::Over,
                        Ok(_) => reads += 1,
                        // Counted too: of TLS there may be work in which nothing is said, and more of it at once.
                        Err(error) if error.kind() == io::ErrorKind::WouldBlock => reads += 1,
                        Err(error) => {
                            drop(f(Arrived::Broken { error }));
                            return Close::Over;
                        }
                    }
                }
                () = self.superseded.cancelled() => {}
                () = self.let_go.cancelled() => {}
                () = self.is_overrun.cancelled() => {}
                () = self.stirred.notified() => {}
                () = adopted(hub, held.as_deref()), if held.is_some() => {}
                // It ends when the connection does.
                () = writer.ended() => return Close::Over,
                () = self.tick_due(hub) => self.on_tick(hub, |arrived| drop(f(arrived))),
            }
        }
    }

    /// What others want of the session, before anything else is handed over. Returns why the connection is to be
    /// closed, if it is.
    fn look_around(
        &self,
        hub: &Arc<Hub>,
        f: &mut impl FnMut(Arrived) -> Result<(), String>,
    ) -> Option<Close> {
        let note = |arrived| drop(f(arrived));
        // The debtor has dropped this session.
        if self.superseded.is_cancelled() {
            self.on_superseded(hub, note);
            return Some(Close::Over);
        }
        if self.let_go.is_cancelled() && self.can_resume() {
            let why = "this node lets its debtors go: connect again";
            self.act(hub, note, |session, now, fx| session.bye(now, why, fx));
            return Some(Close::Over);
        }
        if let Some(&full) = self.overrun.get()
            && self.can_resume()
        {
            tracing::warn!(peer = %self.id, name = self.name, "takes nothing: {full}");
            self.act(hub, note, |session, now, fx| {
                session.abandon(now, EndReason::Overrun(full), fx);
            });
            return Some(Close::Over);
        }
        self.take_over(hub, f).map(Close::Replaced)
    }

    /// The session without a connection, until it has another one; `None`: until it is void.
    async fn wait_for_connection(
        &self,
        hub: &Arc<Hub>,
        f: &mut impl FnMut(Arrived) -> Result<(), String>,
    ) -> Option<Reading> {
        while !self.is_void() {
            if let Some(Close::Replaced(reading)) = self.look_around(hub, f) {
                return Some(reading);
            }
            if self.is_void() {
                break;
            }
            let can_resume = self.can_resume();
            tokio::select! {
                () = self.superseded.cancelled() => {}
                () = self.let_go.cancelled(), if can_resume => {}
                () = self.is_overrun.cancelled(), if can_resume => {}
                () = self.stirred.notified() => {}
                () = self.tick_due(hub) => self.on_tick(hub, |arrived| drop(f(arrived))),
            }
        }
        None
    }

    /// Waits, not for long, until the last words are written, and until the other side has heard them.
    async fn part(&self, writer: &mut AbortOnDrop, reading: &mut Reading) {
        if tokio::time::timeout(GOODBYE, writer.ended()).await.is_ok() {
            hear_out(reading).await;
        }
    }

    /// Waits until the session has something to do for time, and no longer than a nap.
    ///
    /// A timer may stand still while the machine sleeps, so it is set to short pieces, and the session asks
    /// the clock.
    async fn tick_due(&self, hub: &Hub) {
        let now = hub.now();
        let left = self.next_tick().map_or(NAP, |at| at.since(now));
        tokio::time::sleep(left.min(NAP)).await;
    }
}

/// Waits until a packet that is held need not be.
async fn adopted(hub: &Hub, held: Option<&Packet>) {
    if let Some(packet) = held {
        hub.adopted(packet.epoch).await;
    }
}

/// Waits until the other side has closed too: then it has heard the last words.
async fn hear_out(reading: &mut Reading) {
    let Reading {
        connection,
        input,
        room,
        ..
    } = reading;
    connection.stream.finish();
    let heard = async {
        loop {
            input.clear();
            let ready = connection.stream.readable().await;
            match ready.and_then(|()| read(connection, input, room)) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Ok(0) | Err(_) => return,
                // A peer that talks on keeps the socket readable, so that nothing here ever waits: the timeout would
                // not be looked at, and this thread of the runtime would do nothing else.
                Ok(_) => tokio::task::yield_now().await,
            }
        }
    };
    let _ = tokio::time::timeout(GOODBYE, heard).await;
}

/// Reads what there is, without waiting; no more than `room`, which follows what comes.
fn read(connection: &Connection, input: &mut BytesMut, room: &mut usize) -> io::Result<usize> {
    let count = connection.stream.try_read_buf(input, *room)?;
    if count >= *room {
        *room = (2 * *room).min(READ_BYTES_MAX);
    } else if count < *room / 4 {
        *room = (*room / 2).max(READ_BYTES_MIN);
    }
    Ok(count)
}

/// A task that ends with its owner.
struct AbortOnDrop(tokio::task::JoinHandle<()>);

impl AbortOnDrop {
    /// Waits for its end. May be asked again. Cancel safe.
    async fn ended(&mut self) {
        if !self.0.is_finished() {
            let _ = (&mut self.0).await;
        }
    }
}

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Tells whoever connected that there is no session to go on with.
fn turn_away(hub: &Hub, newcomer: Newcomer, why: &str) {
    // Who called says no more than that: the other side has not answered yet.
    if newcomer.hello.is_some() {
        let packet = Packet {
            epoch: hub.epoch(),
            stamp: hub.highest_stamp(),
            body: Body::Gone {
                reason: format!("{why}: open a new one"),
            },
        };
        tokio::spawn(newcomer.turn_away(packet));
    }
}
