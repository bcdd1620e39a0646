//! One session of this node, over one connection after the other: bytes in, bytes out.
//!
//! Two parties write to a connection: whoever has just queued something, at once and without a change of
//! task while the socket takes it; and a writer task for the rest, and for all where many items are under way and few
//! writes are worth more than an early one. One task reads. What a read brings is worked
//! off before the answers are written, all in one go.
//!
//! **Connections.** One task runs the session from its first connection to its end. Where the connection breaks it
//! waits for another, which whoever accepts or makes connections hands over ([`Peer::offer`]); the newest replaces the
//! one that there is. What was taken out of the session for a connection that broke is sent again over the next.
//!
//! **Locks.** A resource's lock may be held while `queue` takes the session's; the output's lock while the session's
//! is taken. Nobody takes a resource's lock while holding one of these, and none is held across `.await`.
//!
//! **Order.** What a session brings is handed over by the one task that runs it. So nothing of a session comes
//! after its end, nothing of a connection after something of the next, and whoever wants the session to end asks
//! that task ([`Peer::superseded`]).
//!
//! **Fairness.** A peer that sends without a pause is read for a while, then timers and other tasks have a turn.
//!
//! **Bounds.** The session's window bounds what waits for a peer that does not read, or is not there; what waits
//! merges. If that is not enough the session ends, and the lease settles the rest. Questions and answers outside the
//! sequence have a small queue of their own, which does not outlive its connection. Of connections that are handed
//! over, one waits at a time.

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock, TryLockError};

use bytes::{Buf, BytesMut};
use rm_core::access::Identity;
use rm_core::cluster::Report;
use rm_core::front::{Host, Quota, Trust};
use rm_core::id::{Party, PeerId};
use rm_core::session::packet::{Body, Item, Packet};
use rm_core::session::{SessionEffect, SessionEffects, Window, WindowFull};
use rm_core::time::Time;
use rm_core::view::View;
use tokio::sync::{Notify, Semaphore};
use tokio_util::codec::{Decoder as _, Encoder as _};
use tokio_util::sync::CancellationToken;

use crate::connection::{Connection, Newcomer, Output};
use crate::frame::{FrameError, PacketCodec};
use crate::hub::Hub;
use crate::session::Session;

mod conversation;

/// What may wait for a peer's acknowledgement, half of it under way. More means that it takes nothing, and that what
/// waits does not merge.
pub(crate) const WINDOW: Window = Window {
    items: 1 << 18,
    bytes: 64 << 20,
};

/// So many bytes are gathered before they are written.
const WRITE_BYTES: usize = 64 << 10;

/// Where so many items are under way, the other side is busy with them: then whoever has just queued one leaves it to the
/// writer task, which writes what others queue as well by its turn. Fewer than one batch of a peer that works
/// off what came before it answers.
const BUSY: usize = 8;

/// Questions and answers that wait to be written.
const ASIDE_MAX: usize = 64;

/// Questions of one peer that are being answered; more are dropped, and their asker gives up by itself.
const QUESTIONS_MAX: usize = 16;

/// Whether everything there was to say has been written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wrote {
    All,
    /// The socket takes no more at the moment.
    Blocked,
    /// The connection is over.
    Closed,
}

/// A session, and which of its connections it uses.
struct Dialogue {
    session: Session,
    /// The number of the present or last connection; 0 before the first.
    connection: u64,
}

/// Where connections are handed over.
enum Door {
    /// The newest that was, if it was not taken yet.
    Open(Option<Box<Newcomer>>),
    /// The session is over.
    Closed,
}

/// One session, and the connection that it has at the moment.
pub(crate) struct Peer {
    pub(crate) id: PeerId,
    /// The other side's run, as far as it said.
    pub(crate) party: Party,
    /// What the other side calls itself.
    pub(crate) name: String,
    /// Who the other side is, as far as that was proved. All connections of the session are those of one.
    pub(crate) identity: Identity,
    dialogue: Mutex<Dialogue>,
    connection: RwLock<Option<Arc<Connection>>>,
    door: Mutex<Door>,
    /// A connection was handed over, or somebody else ended the session.
    stirred: Notify,
    /// Said outside the sequence, and by the driver alone.
    aside: Mutex<VecDeque<Body>>,
    /// The reader is at work, and writes when it is done.
    is_reading: AtomicBool,
    trust: OnceLock<Arc<Trust>>,
    /// The window was full: something could not be said, so the session is of no more use.
    overrun: OnceLock<WindowFull>,
    is_overrun: CancellationToken,
    /// The same run of the debtor has a later session, so this one is to end. The session's own task ends it:
    /// what another task did could come before messages that this one has taken out and not yet handed over.
    pub(crate) superseded: CancellationToken,
    /// This node is to end it, as a creditor: its own task says goodbye, and waits for the debtor or its lease.
    pub(crate) let_go: CancellationToken,
    /// It has ended, and what was lent over it is back.
    pub(crate) over: CancellationToken,
    /// Its wants that wait, as its creditor counts them.
    pub(crate) wants: Mutex<Quota>,
    /// The permit for its one command that may be carried out at a time.
    pub(crate) commands: Arc<Semaphore>,
    /// One permit for each of its questions that may be answered at once.
    pub(crate) questions: Arc<Semaphore>,
}

impl Peer {
    pub(crate) fn new(
        id: PeerId,
        party: Party,
        (name, identity): (String, Identity),
        session: Session,
    ) -> Arc<Self> {
        Arc::new(Self {
            id,
            party,
            name,
            identity,
            dialogue: Mutex::new(Dialogue {
                session,
                connection: 0,
            }),
            connection: RwLock::default(),
            door: Mutex::new(Door::Open(None)),
            stirred: Notify::new(),
            aside: Mutex::default(),
            is_reading: AtomicBool::new(false),
            trust: OnceLock::new(),
            overrun: OnceLock::new(),
            is_overrun: CancellationToken::new(),
            superseded: CancellationToken::new(),
            let_go: CancellationToken::new(),
            over: CancellationToken::new(),
            wants: Mutex::default(),
            commands: Arc::new(Semaphore::new(1)),
            questions: Arc::new(Semaphore::new(QUESTIONS_MAX)),
        })
    }

    fn dialogue(&self) -> MutexGuard<'_, Dialogue> {
        self.dialogue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn connection(&self) -> Option<Arc<Connection>> {
        let connection = self.connection.read();
        connection.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Puts a credit message at the end of what is to be said.
    pub(crate) fn queue(&self, item: Item) {
        if let Err(full) = self.dialogue().session.push(item) {
            let _ = self.overrun.set(full);
            self.is_overrun.cancel();
        }
    }

    fn aside(&self) -> MutexGuard<'_, VecDeque<Body>> {
        self.aside.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says something outside the sequence. Returns whether there was a connection, and room.
    pub(crate) fn say(&self, body: Body, hub: &Hub) -> bool {
        if self.connection().is_none() {
            return false;
        }
        let mut aside = self.aside();
        let has_room = aside.len() < ASIDE_MAX;
        if has_room {
            aside.push_back(body);
        }
        drop(aside);
        self.flush(hub);
        has_room
    }

    /// Writes what is queued, as far as the socket takes it; the writer task does the rest.
    pub(crate) fn flush(&self, hub: &Hub) {
        // Relaxed: the session's lock orders this with the reader, which stores `false` before it takes that
        // lock to look for what is to be written. If we queued before it looked, it saw that; if after, we
        // see `false`.
        if self.is_reading.load(Ordering::Relaxed) {
            return;
        }
        let Some(connection) = self.connection() else {
            return;
        };
        if self.dialogue().session.under_way() >= BUSY {
            connection.work.notify_one();
        } else {
            self.write_or_wake(hub, &connection);
        }
    }

    /// Writes as far as the socket takes it; the writer task does the rest.
    fn write_or_wake(&self, hub: &Hub, connection: &Connection) {
        if self.write(hub, connection) != Wrote::All {
            connection.work.notify_one();
        }
    }

    fn write(&self, hub: &Hub, connection: &Connection) -> Wrote {
        let mut output = match connection.output.try_lock() {
            Ok(output) => output,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            // Whoever writes may have looked before we queued: let the task look again.
            Err(TryLockError::WouldBlock) => return Wrote::Blocked,
        };
        loop {
            if output.bytes.is_empty() && !self.fill(hub, connection.number, &mut output) {
                // What the stream took, and the socket did not.
                match connection.stream.try_flush() {
                    Ok(()) => {}
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        return Wrote::Blocked;
                    }
                    Err(_) => return Wrote::Closed,
                }
                let dialogue = self.dialogue();
                let is_used = dialogue.connection == connection.number;
                return if is_used && dialogue.session.is_connected() {
                    Wrote::All
                } else {
                    Wrote::Closed
                };
            }
            match connection.stream.try_write(&output.bytes) {
                Ok(count) => output.bytes.advance(count),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Wrote::Blocked,
                Err(_) => return Wrote::Closed,
            }
        }
    }

    /// Gathers what is to be said over the connection of that number. Returns whether there was anything.
    fn fill(&self, hub: &Hub, connection: u64, output: &mut Output) -> bool {
        while output.bytes.len() < WRITE_BYTES {
            // Before the session's lock is taken: it may be the last to use the domain, which then ends.
            let membership = hub.membership();
            let mut dialogue = self.dialogue();
            if dialogue.connection != connection {
                break;
            }
            let next = dialogue.session.transmit(hub.now(), membership);
            let tells = matches!(dialogue.session, Session::Creditor(_));
            drop(dialogue);
            let next = next.or_else(|| self.aside().pop_front());
            // After what is to be said was taken out: an answer to what came after a view was adopted goes after that view.
            let is_first = matches!(next, Some(Body::Welcome(_)));
            if tells
                && !is_first
                && let Some(view) = hub.view_after(output.told)
            {
                output.told = view.epoch();
                self.encode(hub, Body::View(view), tells, output);
            }
            let Some(body) = next else {
                break;
            };
            self.encode(hub, body, tells, output);
        }
        !output.bytes.is_empty()
    }

    fn encode(&self, hub: &Hub, body: Body, tells: bool, output: &mut Output) {
        let packet = Packet {
            // A creditor speaks under the view that it has told.
            epoch: match &body {
                // Whoever has not adopted that view yet keeps it until then.
                Body::Report(report) => output.told.max(report.epoch),
                _ if tells => output.told,
                _ => hub.epoch(),
            },
            stamp: hub.highest_stamp(),
            body,
        };
        if let Err(error) = output.codec.encode(&packet, &mut output.bytes) {
            // Only an answer to a question can be too large; whoever asked hears nothing, and asks for less.
            tracing::warn!(peer = %self.id, %error, "a packet could not be encoded");
        }
    }

    /// Writes until the connection is over.
    async fn run_writer(self: Arc<Self>, hub: Arc<Hub>, connection: Arc<Connection>) {
        loop {
            match self.write(&hub, &connection) {
                Wrote::All => connection.work.notified().await,
                Wrote::Closed => return,
                Wrote::Blocked => {
                    tokio::select! {
                        ready = connection.stream.writable() => if ready.is_err() { return },
                        () = connection.work.notified() => {}
                    }
                    tokio::task::yield_now().await;
                }
            }
        }
    }

    /// Works off all packets in `input`; `f` gets what they bring. Then writes the answers.
    ///
    /// A packet of a view that is still to be adopted is left in `held`, and all after it in `input`.
    fn on_input(
        &self,
        hub: &Hub,
        (codec, input, held): (&mut PacketCodec, &mut BytesMut, &mut Option<Box<Packet>>),
        mut f: impl FnMut(Arrived),
    ) -> Result<(), FrameError> {
        // Relaxed: see `flush`.
        self.is_reading.store(true, Ordering::Relaxed);
        let mut fx = SessionEffects::new();
        let result = loop {
            let next = match held.take() {
                Some(packet) => Ok(Some(*packet)),
                None => codec.decode(input),
            };
            match next {
                Ok(Some(packet))
                    if hub.has_to_adopt(packet.epoch)
                        && !is_before_views(&packet, self.is_creditor()) =>
                {
                    *held = Some(Box::new(packet));
                    break Ok(());
                }
                Ok(Some(packet)) => {
                    let Packet { epoch, stamp, body } = packet;
                    f(Arrived::Head { epoch, stamp });
                    match body {
                        Body::Command { id, command } => f(Arrived::Command { id, command }),
                        Body::Inspect { id, query } => f(Arrived::Question { id, query }),
                        Body::Inspected { id, answer } => f(Arrived::Answer { id, answer }),
                        Body::Report(report) => f(Arrived::Report(report)),
                        Body::ReportAck {
                            epoch,
                            part,
                            is_active,
                            ..
                        } => f(Arrived::ReportAck {
                            epoch,
                            part,
                            is_active,
                        }),
                        Body::View(view) => f(Arrived::View(view)),
                        body => {
                            self.input(hub, |dialogue| {
                                dialogue.session.on_packet(hub.now(), body, &mut fx);
                            });
                        }
                    }
                    hub.gather(|| {
                        for effect in fx.drain() {
                            if matches!(
                                effect,
                                SessionEffect::Established(_) | SessionEffect::Resumed
                            ) {
                                codec.on_session();
                            }
                            f(Arrived::Effect(effect));
                        }
                    });
                }
                Ok(None) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        self.is_reading.store(false, Ordering::Relaxed);
        if let Some(connection) = self.connection() {
            self.write_or_wake(hub, &connection);
        }
        result
    }

    fn on_tick(&self, hub: &Hub, f: impl FnMut(Arrived)) {
        self.act(hub, f, |session, now, fx| session.on_tick(now, fx));
    }

    fn on_disconnect(&self, hub: &Hub, f: impl FnMut(Arrived)) {
        self.act(hub, f, |session, now, fx| session.on_disconnect(now, fx));
    }

    pub(crate) fn bye(&self, hub: &Hub, reason: &str, f: impl FnMut(Arrived)) {
        self.act(hub, f, |session, now, fx| session.bye(now, reason, fx));
        // The session's own task may be waiting for a connection that is not needed any more.
        self.stirred.notify_one();
    }

    fn on_superseded(&self, hub: &Hub, f: impl FnMut(Arrived)) {
        self.act(hub, f, |session, _, fx| {
            if let Session::Creditor(session) = session {
                session.on_superseded(fx);
            }
        });
    }

    /// An input of the driver's own, its effects, and what there is to say then.
    fn act(
        &self,
        hub: &Hub,
        mut f: impl FnMut(Arrived),
        input: impl FnOnce(&mut Session, Time, &mut SessionEffects),
    ) {
        let mut fx = SessionEffects::new();
        self.input(hub, |dialogue| {
            input(&mut dialogue.session, hub.now(), &mut fx);
        });
        fx.drain().for_each(|effect| f(Arrived::Effect(effect)));
        self.flush(hub);
        if let Some(connection) = self.connection() {
            connection.work.notify_one();
        }
    }

    fn input(&self, hub: &Hub, f: impl FnOnce(&mut Dialogue)) {
        let mut dialogue = self.dialogue();
        f(&mut dialogue);
        // Before anybody can write the last words, upon which the creditor lends again.
        if dialogue.session.is_void()
            && let Some(trust) = self.trust.get()
            // Asked first, so that a lease that ran out is remembered as that.
            && trust.is_good(hub.now())
        {
            trust.end();
        }
    }

    /// The creditor's answer pushes on until when what is borrowed over this session may be used.
    pub(crate) fn extend_trust(&self, deadline: Time) -> Extended {
        if let Some(trust) = self.trust.get() {
            return if trust.extend(deadline) {
                Extended::Further
            } else {
                Extended::TooLate
            };
        }
        let trust = self.trust.get_or_init(|| Arc::new(Trust::until(deadline)));
        Extended::First(Arc::clone(trust))
    }

    #[cfg(test)]
    pub(crate) fn trust(&self) -> Option<&Arc<Trust>> {
        self.trust.get()
    }

    /// The lease is over: a user of what was borrowed found the deadline past before an answer came.
    pub(crate) fn lapse(&self, hub: &Hub, f: impl FnMut(Arrived)) {
        self.act(hub, f, |session, _, fx| session.lapse(fx));
    }

    /// As a creditor: when what was lent is taken back, if the debtor does not renew.
    pub(crate) fn take_back_at(&self) -> Option<Time> {
        self.dialogue().session.take_back_at()
    }

    fn next_tick(&self) -> Option<Time> {
        self.dialogue().session.next_tick()
    }

    fn is_void(&self) -> bool {
        self.dialogue().session.is_void()
    }

    fn can_resume(&self) -> bool {
        self.dialogue().session.can_resume()
    }

    pub(crate) fn is_connected(&self) -> bool {
        self.dialogue().session.is_connected()
    }

    fn is_open(&self) -> bool {
        self.dialogue().session.is_open()
    }

    /// Whether this node lends over it.
    pub(crate) fn is_creditor(&self) -> bool {
        matches!(self.dialogue().session, Session::Creditor(_))
    }
}

impl std::fmt::Debug for Peer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Peer")
            .field("id", &self.id)
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// What became of an extension.
#[derive(Debug)]
pub(crate) enum Extended {
    /// It is the first: from now on, borrowed credit may be used.
    First(Arc<Trust>),
    /// The deadline moved on.
    Further,
    /// The former deadline had been found past: what is lost stays lost.
    TooLate,
}

/// What a packet or a tick brought.
#[derive(Debug)]
pub(crate) enum Arrived {
    Answer {
        id: u64,
        answer: rm_core::inspect::Answer,
    },
    Command {
        id: u64,
        command: rm_core::command::Command,
    },
    Effect(SessionEffect),
    /// The connection broke, and not by an end in order.
    Broken {
        error: io::Error,
    },
    /// The peer broke the rules: what follows is the end of the connection.
    Offence {
        why: String,
    },
    Head {
        epoch: u32,
        stamp: rm_core::id::Stamp,
    },
    Question {
        id: u64,
        query: rm_core::inspect::Query,
    },
    /// Another member tells of a view.
    Report(Report),
    /// Another member has heard what this one told.
    ReportAck {
        epoch: u32,
        part: u32,
        is_active: bool,
    },
    View(Arc<View>),
}

/// Whether a packet is for whoever has not adopted its view yet: the view itself, or what comes before any. A debtor's
/// goodbye is not: it says nothing of what the view has moved from here.
const fn is_before_views(packet: &Packet, is_creditor: bool) -> bool {
    match packet.body {
        Body::View(_) | Body::Welcome(_) | Body::Gone { .. } | Body::Refuse { .. } => true,
        Body::Bye { .. } => !is_creditor,
        _ => false,
    }
}
