//! The driver: it brings the pure machine what happens at etcd, and does there what the machine says.
//!
//! One task, and one *session* with one endpoint at a time: connect, read everything, watch from there on. Any
//! failure ends the session, and the next endpoint is tried. So there is one way to recover from whatever happened.
//!
//! # Invariants
//!
//! * Each command of the machine is answered: by etcd, or as unknown when its session ends.
//! * The machine is told of a session only when the watch stands, and of its end before the next one begins.
//! * Time is read from the [`BootClock`], after what is handed in has arrived, and before what is asked is sent.
//!
//! Its end: when the handle is dropped, or the node has left, or can be no member ([`State::problem`] says why).

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use rm_core::coordination::{
    Answer, Beat, Command, Coordination, Record, RecordState, Transaction,
};
use rm_core::session::lease::LeaseTerms;
use rm_core::time::Time;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tonic::Streaming;

use super::client::{Client, Connection};
use super::config::{CoordinatorError, EtcdConfig};
use super::generated::WatchResponse;
use super::mirror::Mirror;
use super::state::State;
use crate::clock::BootClock;
use crate::store::first_epoch;

/// Requests of the node's that wait for the driver.
const REQUESTS_MAX: usize = 16;
/// The longest that anything at etcd may take.
const PATIENCE_MAX: Duration = Duration::from_secs(5);
/// The longest pause between two rounds over the endpoints.
const PAUSE_MAX: Duration = Duration::from_secs(1);
/// The shortest lease of etcd's under which records are cleaned up.
const CLEAN_UP_MIN: Duration = Duration::from_secs(60);

/// What a node registers with.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_structs, reason = "made by the caller")]
pub struct NodeRecord {
    /// Its configured name.
    pub name: Vec<u8>,
    /// Where others reach it.
    pub address: String,
    /// Its share of the resources, beside the others'.
    pub weight: u32,
    /// The lease it is configured with.
    pub lease: LeaseTerms,
}

/// A node's membership by way of etcd.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct EtcdCoordinator;

impl EtcdCoordinator {
    /// Starts to register the node, and to keep it a member for as long as the handle lives. It does not wait for etcd: the
    /// state says how far it is.
    ///
    /// # Errors
    /// Where the node cannot be registered like that.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn start(
        config: EtcdConfig,
        node: NodeRecord,
    ) -> Result<(EtcdHandle, watch::Receiver<State>), CoordinatorError> {
        let length = node.lease.length();
        if !length.subsec_nanos().is_multiple_of(1_000_000) {
            return Err(CoordinatorError::LeaseGrain(length));
        }
        let record = Record {
            address: node.address,
            weight: node.weight,
            lease: node.lease,
            state: RecordState::Full,
        };
        let clock = BootClock::new();
        let run = getrandom::u64().map_err(|error| CoordinatorError::Unreachable {
            endpoint: "this machine".into(),
            what: format!("it gives no random numbers: {error}"),
        })?;
        let machine = Coordination::new(clock.now(), &node.name, run, record)?;
        let (state, states) = watch::channel(State::default());
        let (requests, inbox) = mpsc::channel(REQUESTS_MAX);
        let member = node.lease.member_length();
        let patience = (member / 2).min(PATIENCE_MAX);
        let driver = Driver {
            core: Core {
                clock,
                machine,
                state,
                connected: false,
                problem: None,
                patience,
            },
            client: Client::new(config, patience),
            inbox,
            pause_max: (member / 4).min(PAUSE_MAX),
            clean_up: CLEAN_UP_MIN.max(4 * member),
            lease: None,
        };
        tokio::spawn(driver.run());
        let handle = EtcdHandle {
            requests,
            states: states.clone(),
            member,
        };
        Ok((handle, states))
    }
}

/// What became of a departure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "there is no third")]
pub enum Departure {
    /// No view has this node any more.
    Told,
    /// Nobody could be told: the others find out by its silence.
    Untold,
}

/// A node's say in its membership. When the last clone is dropped, heartbeats end, and the others find out by the silence.
///
/// All its futures may be dropped at any time: what was asked is asked then, or not.
#[derive(Clone, Debug)]
pub struct EtcdHandle {
    requests: mpsc::Sender<Ask>,
    states: watch::Receiver<State>,
    member: Duration,
}

impl EtcdHandle {
    /// Go, in good order: stay a member, but be the root of nothing. The view says when.
    pub async fn drain(&self) {
        self.ask(Ask::Drain).await;
    }

    /// Go now. Membership is given up before anybody is told. It waits until no view has this node, for up to `M`.
    pub async fn leave(&self) -> Departure {
        self.ask(Ask::Leave).await;
        let mut states = self.states.clone();
        let left = timeout(self.member, states.wait_for(|state| state.has_left)).await;
        match left {
            Ok(Ok(_)) => Departure::Told,
            Ok(Err(_)) | Err(_) => Departure::Untold,
        }
    }

    /// Have a new epoch with the same members: for numbers that run out.
    pub async fn new_epoch(&self) {
        self.ask(Ask::NewEpoch).await;
    }

    /// The process behind that registration is dead, by proof such as the exclusive lock of its data directory.
    pub async fn proof_of_death(&self, reg: u64) {
        self.ask(Ask::Dead(reg)).await;
    }

    /// Bid for resources with that weight from now on.
    ///
    /// # Errors
    /// Where it is out of bounds.
    pub async fn set_weight(&self, weight: u32) -> Result<(), CoordinatorError> {
        if !(1..=rm_core::view::WEIGHT_MAX).contains(&weight) {
            return Err(rm_core::coordination::BadRecord::Weight(weight).into());
        }
        self.ask(Ask::Weight(weight)).await;
        Ok(())
    }

    async fn ask(&self, ask: Ask) {
        // A driver that has ended has nothing to do any more.
        let _ = self.requests.send(ask).await;
    }
}

#[derive(Debug)]
enum Ask {
    Dead(u64),
    Drain,
    Leave,
    NewEpoch,
    Weight(u32),
}

/// Whose answer it is.
#[derive(Clone, Copy, Debug)]
enum Ticket {
    Register,
    Heartbeat(Beat),
    Propose,
}

/// What a task of a session ends with.
enum Outcome {
    Answer(u64, Result<Answer, CoordinatorError>),
    KeptAlive(Result<bool, CoordinatorError>),
}

/// The machine, and who is told of it.
struct Core {
    clock: BootClock,
    machine: Coordination,
    state: watch::Sender<State>,
    connected: bool,
    problem: Option<Arc<CoordinatorError>>,
    patience: Duration,
}

impl Core {
    fn on_ask(&mut self, ask: Ask) {
        let now = self.clock.now();
        match ask {
            Ask::Dead(reg) => self.machine.on_proof_of_death(now, reg),
            Ask::Drain => self.machine.drain(now),
            Ask::Leave => self.machine.leave(now),
            Ask::NewEpoch => self.machine.request_epoch(now),
            // It was checked.
            Ask::Weight(weight) => drop(self.machine.set_weight(now, weight)),
        }
        self.publish();
    }

    fn on_answer(&mut self, ticket: Ticket, answer: Answer) {
        let now = self.clock.now();
        match ticket {
            Ticket::Register => self.machine.on_registered(now, answer),
            Ticket::Heartbeat(beat) => self.machine.on_heartbeat(now, beat, answer),
            Ticket::Propose => self.machine.on_proposed(now, answer),
        }
    }

    fn on_problem(&mut self, error: CoordinatorError) {
        let text = error.to_string();
        if self.problem.as_ref().map(|known| known.to_string()) != Some(text) {
            tracing::warn!(%error, "no session with etcd");
        }
        self.problem = Some(Arc::new(error));
        self.publish();
    }

    fn is_over(&self) -> bool {
        self.machine.has_left() || self.machine.refusal().is_some()
    }

    fn publish(&mut self) {
        let refusal = self.machine.refusal().cloned();
        let problem = match refusal {
            Some(refusal) => Some(Arc::new(CoordinatorError::Refused(refusal))),
            None => self.problem.clone(),
        };
        let machine = &self.machine;
        let connected = self.connected;
        self.state.send_if_modified(|state| {
            let epoch = state.view.as_ref().map(|view| view.epoch());
            let has_new_view = machine.view().map(rm_core::view::View::epoch) != epoch;
            let text = |problem: &Option<Arc<CoordinatorError>>| {
                problem.as_ref().map(|problem| problem.to_string())
            };
            let is_same = !has_new_view
                && state.good_until == machine.good_until()
                && state.connected == connected
                && state.reg == machine.reg()
                && state.has_left == machine.has_left()
                && state.waits_for == machine.waits_for()
                && text(&state.problem) == text(&problem);
            if is_same {
                return false;
            }
            if has_new_view {
                state.view = machine.view().cloned().map(Arc::new);
            }
            state.good_until = machine.good_until();
            state.connected = connected;
            state.reg = machine.reg();
            state.has_left = machine.has_left();
            state.waits_for = machine.waits_for();
            state.problem = problem;
            true
        });
    }
}

struct Driver {
    core: Core,
    client: Client,
    inbox: mpsc::Receiver<Ask>,
    pause_max: Duration,
    /// After this etcd deletes the record of a node that is gone.
    clean_up: Duration,
    /// etcd's lease on the record.
    lease: Option<i64>,
}

impl Driver {
    async fn run(mut self) {
        let mut failures = 0;
        loop {
            let connecting = open(&mut self.client, self.lease, self.clean_up);
            let Some(opened) = attend(&mut self.core, &mut self.inbox, connecting).await else {
                break;
            };
            let error = match opened {
                Ok(opened) => {
                    self.lease = Some(opened.lease);
                    let connection = opened.connection.clone();
                    let began = Instant::now();
                    let Err(error) = self.serve(opened).await else {
                        self.end(&connection).await;
                        break;
                    };
                    // One that ends at once is no better than none.
                    if began.elapsed() > 2 * self.pause_max {
                        failures = 0;
                    }
                    error
                }
                Err(error) => error,
            };
            self.core.on_problem(error);
            failures += 1;
            let pause = sleep(self.pause(failures));
            if attend(&mut self.core, &mut self.inbox, pause)
                .await
                .is_none()
            {
                break;
            }
        }
        self.core.connected = false;
        self.core.publish();
    }

    /// How long to wait after so many failures: not at all in the first round over the endpoints, then longer and longer.
    fn pause(&self, failures: u32) -> Duration {
        let rounds = failures / self.client.count();
        if rounds == 0 {
            return Duration::ZERO;
        }
        let pause = Duration::from_millis(10) * 2_u32.saturating_pow(rounds.min(16));
        pause.min(self.pause_max)
    }

    /// One session. It ends well when there is nothing more to do, else with what failed.
    async fn serve(&mut self, opened: Opened) -> Result<(), CoordinatorError> {
        let now = self.core.clock.now();
        self.core.machine.on_connected(now);
        self.core.machine.on_store(now, opened.mirror.snapshot());
        self.core.connected = true;
        let mut session = Session {
            connection: opened.connection,
            lease: opened.lease,
            mirror: opened.mirror,
            tasks: JoinSet::new(),
            tickets: BTreeMap::new(),
            counter: 0,
            echo: None,
        };
        let outcome = session
            .go_on(
                &mut self.core,
                &mut self.inbox,
                opened.watch,
                self.clean_up / 3,
            )
            .await;
        // What is under way may be done or not.
        for ticket in session.tickets.into_values() {
            self.core.on_answer(ticket, Answer::Unknown);
        }
        self.core.machine.on_disconnected(self.core.clock.now());
        self.core.connected = false;
        self.core.publish();
        outcome
    }

    /// The node is no member any more, or never will be: nothing of it stays at etcd.
    async fn end(&mut self, connection: &Connection) {
        if let Some(lease) = self.lease.take()
            && let Err(error) = connection.revoke(lease).await
        {
            tracing::info!(%error, "etcd will delete the record of this node by itself");
        }
    }
}

/// Does what the node asks for while something else is under way. `None`: the handle is gone.
async fn attend<T>(
    core: &mut Core,
    inbox: &mut mpsc::Receiver<Ask>,
    work: impl Future<Output = T>,
) -> Option<T> {
    let mut work = pin!(work);
    loop {
        tokio::select! {
            done = &mut work => return Some(done),
            ask = inbox.recv() => core.on_ask(ask?),
        }
    }
}

/// A session that can begin.
struct Opened {
    connection: Connection,
    lease: i64,
    mirror: Mirror,
    watch: Streaming<WatchResponse>,
}

async fn open(
    client: &mut Client,
    lease: Option<i64>,
    clean_up: Duration,
) -> Result<Opened, CoordinatorError> {
    let connection = client.connect().await?;
    let lease = match lease {
        Some(lease) if connection.keep_alive(lease).await? => lease,
        Some(_) | None => connection.grant(clean_up).await?,
    };
    let read = connection.read().await?;
    let mirror = Mirror::read(connection.keys(), &read)?;
    let watch = connection.watch(mirror.snapshot().revision + 1).await?;
    Ok(Opened {
        connection,
        lease,
        mirror,
        watch,
    })
}

/// What one session has.
struct Session {
    connection: Connection,
    lease: i64,
    mirror: Mirror,
    tasks: JoinSet<Outcome>,
    tickets: BTreeMap<u64, Ticket>,
    counter: u64,
    /// A revision that the watch must bring by then.
    echo: Option<(u64, Time)>,
}

impl Session {
    async fn go_on(
        &mut self,
        core: &mut Core,
        inbox: &mut mpsc::Receiver<Ask>,
        mut watch: Streaming<WatchResponse>,
        keep_alive_every: Duration,
    ) -> Result<(), CoordinatorError> {
        let mut keep_alive_at = Instant::now() + keep_alive_every;
        loop {
            self.work(core);
            core.publish();
            if core.is_over() {
                return Ok(());
            }
            let now = core.clock.now();
            let echo_by = self.echo.map_or(Time::MAX, |(_, by)| by);
            if now >= echo_by {
                let what = "its watch brings no news though writes succeed";
                return Err(self.connection.broken(what));
            }
            // The clock of timers may stand still in suspend: they only wake, the clock decides.
            let tick = core.machine.next_tick().min(echo_by).since(now);
            tokio::select! {
                ask = inbox.recv() => match ask {
                    Some(ask) => core.on_ask(ask),
                    None => return Ok(()),
                },
                Some(task) = self.tasks.join_next() => {
                    let outcome = task.map_err(|error| self.connection.broken(error.to_string()))?;
                    self.on_outcome(core, outcome)?;
                }
                news = watch.message() => self.on_news(core, news)?,
                () = sleep(tick.min(keep_alive_every)) => {}
                () = sleep_until(keep_alive_at) => {
                    keep_alive_at = Instant::now() + keep_alive_every;
                    let (connection, lease) = (self.connection.clone(), self.lease);
                    self.tasks
                        .spawn(async move { Outcome::KeptAlive(connection.keep_alive(lease).await) });
                }
            }
        }
    }

    /// Does all that the machine wants done now.
    fn work(&mut self, core: &mut Core) {
        while let Some(command) = core.machine.poll(core.clock.now(), first_epoch()) {
            let (ticket, transaction) = match command {
                Command::Register(it) => (Ticket::Register, it),
                Command::Heartbeat(beat, it) => (Ticket::Heartbeat(beat), it),
                Command::Propose(it) => (Ticket::Propose, it),
            };
            self.send(ticket, transaction);
        }
    }

    fn send(&mut self, ticket: Ticket, transaction: Transaction) {
        self.counter += 1;
        let id = self.counter;
        self.tickets.insert(id, ticket);
        let (connection, lease) = (self.connection.clone(), self.lease);
        self.tasks.spawn(async move {
            Outcome::Answer(id, connection.transact(&transaction, lease).await)
        });
    }

    fn on_outcome(&mut self, core: &mut Core, outcome: Outcome) -> Result<(), CoordinatorError> {
        match outcome {
            Outcome::Answer(id, answer) => {
                let answer = answer?;
                let Some(ticket) = self.tickets.remove(&id) else {
                    return Ok(());
                };
                core.on_answer(ticket, answer);
                // It may write here: all is well.
                core.problem = None;
                if let Answer::Done { revision } = answer
                    && self.mirror.snapshot().revision < revision
                {
                    let by = core.clock.now().after(core.patience);
                    self.echo.get_or_insert((revision, by));
                }
                Ok(())
            }
            Outcome::KeptAlive(Ok(true)) => Ok(()),
            // The next session makes another.
            Outcome::KeptAlive(Ok(false)) => Err(self.connection.broken("its lease is gone")),
            Outcome::KeptAlive(Err(error)) => Err(error),
        }
    }

    fn on_news(
        &mut self,
        core: &mut Core,
        news: Result<Option<WatchResponse>, tonic::Status>,
    ) -> Result<(), CoordinatorError> {
        let news = news.map_err(|status| self.connection.fail(&status))?;
        let Some(news) = news else {
            return Err(self.connection.broken("it ended the watch"));
        };
        if news.canceled {
            // Compacted, or no leader, or no permission: all is read again.
            return Err(self.connection.broken(format!(
                "it cancelled the watch: {} (compacted at {})",
                news.cancel_reason, news.compact_revision
            )));
        }
        if self.mirror.apply(&news)? {
            let now = core.clock.now();
            core.machine.on_store(now, self.mirror.snapshot());
        }
        let revision = self.mirror.snapshot().revision;
        if self.echo.is_some_and(|(awaited, _)| awaited <= revision) {
            self.echo = None;
        }
        Ok(())
    }
}
