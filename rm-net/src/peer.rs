//! One session of this node and the connection it has: bytes in, bytes out.
//!
//! Two parties write to a connection: whoever has just queued something, at once and without a change of
//! task while the socket takes it; and a writer task for the rest. One task reads. What a read brings is worked
//! off before the answers are written, all in one go.
//!
//! **Locks.** A resource's lock may be held while `queue` takes the session's; the output's lock while the session's
//! is taken. Nobody takes a resource's lock while holding one of these, and none is held across `.await`.
//!
//! **Order.** What a session brings is handed over by the one task that runs it. So nothing of a session comes
//! after its end, and whoever wants it to end asks that task ([`Peer::superseded`]).
//!
//! **Fairness.** A peer that sends without a pause is read for a while, then timers and other tasks have a turn.
//!
//! **Bounds.** The session's window bounds what waits for a peer that does not read; beyond it the connection
//! is closed, and the lease settles the rest. Questions and answers outside the sequence have a small queue of
//! their own.

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, TryLockError};
use std::time::Duration;

use bytes::{Buf, BytesMut};
use rm_core::front::{Host, Trust};
use rm_core::id::{Party, PeerId};
use rm_core::session::packet::{Body, Item, Packet, RefuseCode};
use rm_core::session::{SessionEffect, SessionEffects, Window};
use rm_core::time::Time;
use tokio::net::TcpStream;
use tokio::sync::{Notify, Semaphore};
use tokio_util::codec::{Decoder as _, Encoder as _};
use tokio_util::sync::CancellationToken;

use crate::frame::{FrameError, PacketCodec};
use crate::hub::Hub;
use crate::session::Session;

/// What may wait for a peer's acknowledgement: more means that it does not read.
pub(crate) const WINDOW: Window = Window {
    items: 1 << 18,
    bytes: 64 << 20,
};

/// So many bytes are gathered before they are written.
const WRITE_BYTES: usize = 64 << 10;

/// So much is read at once.
const READ_BYTES: usize = 64 << 10;

/// The other side is given so long to hear a goodbye.
const GOODBYE: Duration = Duration::from_millis(500);

/// A timer is looked at this often, whatever it was set to.
const NAP: Duration = Duration::from_millis(250);

/// Questions and answers that wait to be written.
const ASIDE_MAX: usize = 64;

/// After so many reads in a row timers and other tasks have their turn, however much a peer sends.
const READS_IN_A_ROW: u32 = 16;

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

struct Output {
    codec: PacketCodec,
    bytes: BytesMut,
}

/// One session and its connection.
pub(crate) struct Peer {
    pub(crate) id: PeerId,
    /// The other side's run, as far as it said.
    pub(crate) party: Party,
    /// What the other side calls itself.
    pub(crate) name: String,
    pub(crate) stream: TcpStream,
    session: Mutex<Session>,
    /// Said outside the sequence, and by the driver alone.
    aside: Mutex<VecDeque<Body>>,
    output: Mutex<Output>,
    /// There is something to write.
    work: Notify,
    /// The reader is at work, and writes when it is done.
    is_reading: AtomicBool,
    trust: OnceLock<Arc<Trust>>,
    /// The window was full: something could not be said, so the session is of no more use.
    is_overrun: AtomicBool,
    /// The same run of the debtor has a later session, so this one is to end. The session's own task ends it:
    /// what another task did could come before messages that this one has taken out and not yet handed over.
    pub(crate) superseded: CancellationToken,
    /// This node is to end it, as a creditor: its own task says goodbye, and waits for the debtor or its lease.
    pub(crate) let_go: CancellationToken,
    /// It has ended, and what was lent over it is back.
    pub(crate) over: CancellationToken,
    /// One permit for each of its questions that may be answered at once.
    pub(crate) questions: Arc<Semaphore>,
}

impl Peer {
    pub(crate) fn new(
        id: PeerId,
        party: Party,
        name: String,
        stream: TcpStream,
        session: Session,
    ) -> Arc<Self> {
        let mut codec = PacketCodec::new();
        codec.on_session();
        Arc::new(Self {
            id,
            party,
            name,
            stream,
            session: Mutex::new(session),
            aside: Mutex::default(),
            output: Mutex::new(Output {
                codec,
                bytes: BytesMut::new(),
            }),
            work: Notify::new(),
            is_reading: AtomicBool::new(false),
            trust: OnceLock::new(),
            is_overrun: AtomicBool::new(false),
            superseded: CancellationToken::new(),
            let_go: CancellationToken::new(),
            over: CancellationToken::new(),
            questions: Arc::new(Semaphore::new(QUESTIONS_MAX)),
        })
    }

    fn session(&self) -> MutexGuard<'_, Session> {
        self.session.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a credit message at the end of what is to be said.
    pub(crate) fn queue(&self, item: Item) {
        if self.session().push(item).is_err() {
            self.is_overrun.store(true, Ordering::Release);
            self.work.notify_one();
        }
    }

    /// Says something outside the sequence. Returns whether there was room.
    pub(crate) fn say(&self, body: Body, hub: &Hub) -> bool {
        let mut aside = self.aside.lock().unwrap_or_else(PoisonError::into_inner);
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
        if self.write(hub) != Wrote::All {
            self.work.notify_one();
        }
    }

    fn write(&self, hub: &Hub) -> Wrote {
        let mut output = match self.output.try_lock() {
            Ok(output) => output,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            // Whoever writes may have looked before we queued: let the task look again.
            Err(TryLockError::WouldBlock) => return Wrote::Blocked,
        };
        loop {
            if output.bytes.is_empty() && !self.fill(hub, &mut output) {
                return if self.session().is_connected() {
                    Wrote::All
                } else {
                    Wrote::Closed
                };
            }
            match self.stream.try_write(&output.bytes) {
                Ok(count) => output.bytes.advance(count),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Wrote::Blocked,
                Err(_) => return Wrote::Closed,
            }
        }
    }

    /// Gathers what is to be said. Returns whether there was anything.
    fn fill(&self, hub: &Hub, output: &mut Output) -> bool {
        while output.bytes.len() < WRITE_BYTES {
            // Before the session's lock is taken: it may be the last to use the domain, which then ends.
            let membership = hub.membership();
            let next = self.session().transmit(hub.now(), membership);
            let next = next.or_else(|| {
                self.aside
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .pop_front()
            });
            let Some(body) = next else {
                break;
            };
            let packet = Packet {
                epoch: hub.epoch(),
                stamp: hub.highest_stamp(),
                body,
            };
            if let Err(error) = output.codec.encode(&packet, &mut output.bytes) {
                // Only an answer to a question can be too large; whoever asked hears nothing, and asks for less.
                tracing::warn!(peer = %self.id, %error, "a packet could not be encoded");
            }
        }
        !output.bytes.is_empty()
    }

    /// Writes until the connection is over.
    pub(crate) async fn run_writer(self: Arc<Self>, hub: Arc<Hub>) {
        loop {
            if self.is_overrun.load(Ordering::Acquire) {
                tracing::warn!(peer = %self.id, name = self.name, "does not read: closing the connection");
                return;
            }
            match self.write(&hub) {
                Wrote::All => self.work.notified().await,
                Wrote::Closed => return,
                Wrote::Blocked => {
                    tokio::select! {
                        ready = self.stream.writable() => if ready.is_err() { return },
                        // The socket is full and the window as well: nothing more can be said.
                        () = self.work.notified() => {}
                    }
                    tokio::task::yield_now().await;
                }
            }
        }
    }

    /// Reads what there is into `input`, without waiting.
    pub(crate) fn read(&self, input: &mut BytesMut) -> io::Result<usize> {
        input.reserve(READ_BYTES);
        self.stream.try_read_buf(input)
    }

    /// Works off all packets in `input`; `f` gets what they bring. Then writes the answers.
    pub(crate) fn on_input(
        &self,
        hub: &Hub,
        codec: &mut PacketCodec,
        input: &mut BytesMut,
        mut f: impl FnMut(Arrived),
    ) -> Result<(), FrameError> {
        // Relaxed: see `flush`.
        self.is_reading.store(true, Ordering::Relaxed);
        let mut fx = SessionEffects::new();
        let result = loop {
            match codec.decode(input) {
                Ok(Some(packet)) => {
                    let Packet { epoch, stamp, body } = packet;
                    f(Arrived::Head { epoch, stamp });
                    match body {
                        Body::Inspect { id, query } => f(Arrived::Question { id, query }),
                        Body::Inspected { id, answer } => f(Arrived::Answer { id, answer }),
                        body => {
                            self.input(hub, |session| session.on_packet(hub.now(), body, &mut fx))
                        }
                    }
                    for effect in fx.drain() {
                        if matches!(effect, SessionEffect::Established(_)) {
                            codec.on_session();
                        }
                        f(Arrived::Effect(effect));
                    }
                }
                Ok(None) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        self.is_reading.store(false, Ordering::Relaxed);
        self.flush(hub);
        result
    }

    pub(crate) fn on_tick(&self, hub: &Hub, f: impl FnMut(Arrived)) {
        self.act(hub, f, |session, now, fx| session.on_tick(now, fx));
    }

    pub(crate) fn on_disconnect(&self, hub: &Hub, f: impl FnMut(Arrived)) {
        self.act(hub, f, |session, now, fx| session.on_disconnect(now, fx));
    }

    pub(crate) fn bye(&self, hub: &Hub, reason: &str, f: impl FnMut(Arrived)) {
        self.act(hub, f, |session, now, fx| session.bye(now, reason, fx));
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
        self.input(hub, |session| input(session, hub.now(), &mut fx));
        fx.drain().for_each(|effect| f(Arrived::Effect(effect)));
        self.flush(hub);
        self.work.notify_one();
    }

    fn input(&self, hub: &Hub, f: impl FnOnce(&mut Session)) {
        let mut session = self.session();
        f(&mut session);
        // Before anybody can write the last words, upon which the creditor lends again.
        if session.is_void()
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

    /// Reads, ticks and hands over what comes, until the connection is over and then until the session is.
    ///
    /// `f` gets what arrives, and says whether the peer keeps to the rules.
    pub(crate) async fn run(
        self: &Arc<Self>,
        hub: &Arc<Hub>,
        codec: PacketCodec,
        mut input: BytesMut,
        mut f: impl FnMut(Arrived) -> Result<(), String>,
    ) {
        let writer = tokio::spawn(Arc::clone(self).run_writer(Arc::clone(hub)));
        let mut writer = AbortOnDrop(writer);
        let verdict = self
            .converse(hub, codec, &mut input, &mut writer, &mut f)
            .await;
        if let Err(text) = verdict {
            tracing::warn!(peer = %self.id, name = self.name, "closing the connection: {text}");
            let why = text.clone();
            drop(f(Arrived::Offence { why }));
            let code = RefuseCode::Protocol;
            self.say(Body::Refuse { code, text }, hub);
        }
        if self.is_open() {
            self.on_disconnect(hub, |arrived| drop(f(arrived)));
        }
        tokio::select! {
            () = self.part(&mut writer, &mut input) => {}
            () = self.superseded.cancelled() => {}
        }
        drop(writer);
        self.on_disconnect(hub, |arrived| drop(f(arrived)));
        self.close();
        while !self.is_void() {
            tokio::select! {
                () = self.tick_due(hub) => self.on_tick(hub, |arrived| drop(f(arrived))),
                () = self.superseded.cancelled() => {
                    self.on_superseded(hub, |arrived| drop(f(arrived)));
                }
            }
        }
    }

    /// The part of [`run`](Self::run) with packets both ways.
    async fn converse(
        &self,
        hub: &Hub,
        mut codec: PacketCodec,
        input: &mut BytesMut,
        writer: &mut AbortOnDrop,
        f: &mut impl FnMut(Arrived) -> Result<(), String>,
    ) -> Result<(), String> {
        let mut verdict = Ok(());
        let mut reads = 0;
        loop {
            let mut note = |arrived| {
                if let Err(why) = f(arrived) {
                    verdict = Err(why);
                }
            };
            // Before anything else is handed over: the debtor has dropped this session.
            if self.superseded.is_cancelled() {
                self.on_superseded(hub, note);
                return verdict;
            }
            if self.let_go.is_cancelled() {
                self.bye(hub, "this node lets its debtors go: connect again", note);
                return verdict;
            }
            self.on_input(hub, &mut codec, input, &mut note)
                .map_err(|error| error.to_string())?;
            if reads == READS_IN_A_ROW {
                reads = 0;
                self.on_tick(hub, &mut note);
                tokio::task::yield_now().await;
            }
            if verdict.is_err() || !self.is_open() {
                return verdict;
            }
            let note = |arrived| {
                if let Err(why) = f(arrived) {
                    verdict = Err(why);
                }
            };
            tokio::select! {
                biased;
                () = self.superseded.cancelled() => {}
                () = self.let_go.cancelled() => {}
                ready = self.stream.readable() => match ready.and_then(|()| self.read(input)) {
                    Ok(0) => return verdict,
                    Ok(_) => reads += 1,
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => reads = 0,
                    Err(_) => return verdict,
                },
                // It ends when the connection does, or where the peer does not read.
                () = writer.ended() => return verdict,
                () = self.tick_due(hub) => self.on_tick(hub, note),
            }
        }
    }

    /// Waits, not for long, until the last words are written, and until the other side has heard them.
    async fn part(&self, writer: &mut AbortOnDrop, input: &mut BytesMut) {
        if tokio::time::timeout(GOODBYE, writer.ended()).await.is_ok() {
            self.hear_out(input).await;
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

    /// Waits until the other side has closed too: then it has heard the last words.
    async fn hear_out(&self, input: &mut BytesMut) {
        let _ = rustix::net::shutdown(&self.stream, rustix::net::Shutdown::Write);
        let heard = async {
            loop {
                input.clear();
                match self.stream.readable().await.and_then(|()| self.read(input)) {
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

    /// Nothing more is read or written.
    fn close(&self) {
        let _ = rustix::net::shutdown(&self.stream, rustix::net::Shutdown::Both);
    }

    pub(crate) fn next_tick(&self) -> Option<Time> {
        self.session().next_tick()
    }

    pub(crate) fn is_void(&self) -> bool {
        self.session().is_void()
    }

    pub(crate) fn is_connected(&self) -> bool {
        self.session().is_connected()
    }

    fn is_open(&self) -> bool {
        self.session().is_open()
    }

    /// Whether this node lends over it.
    pub(crate) fn is_creditor(&self) -> bool {
        matches!(*self.session(), Session::Creditor(_))
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
    Effect(SessionEffect),
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
}
