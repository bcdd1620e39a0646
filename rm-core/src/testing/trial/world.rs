//! The world of one run: a server and its debtors, their mail, their leases and their tasks.
//!
//! Nothing in it happens by itself: [`World::choices`] says what could happen next, and [`World::act`] lets one of them
//! happen. Tasks are the exception, since user code runs while nothing here is borrowed: [`World::lift`] and
//! [`World::put_back`]. Time passes only where nothing else can happen, or a node fails.
//!
//! **Leases.** All have one clock. A session that is whole is renewed whenever time passes. One that a fault has cut has lost
//! its mail in both directions. Time then passes to the end of its lease. From there on the server takes its credit back at
//! some step ([`Choice::TakeBack`]), and the node finds out at some step ([`Choice::Notice`]), in either order. A guard
//! compares the clock with the lease, so it tells the truth before either.

use core::fmt;
use core::future::Future;
use core::pin::Pin;
use core::task::Waker;
use core::time::Duration;
use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Wake;

use super::{Fault, Register};
use crate::error::LostReason;
use crate::front::{Domain, DomainSettings, Host, Role, Trust};
use crate::id::{Boot, NodeId, Party, PeerId};
use crate::owner::Settings;
use crate::session::packet::Item;
use crate::testing::words;
use crate::time::Time;

/// How long a lease is.
const LEASE: Duration = Duration::from_secs(15);

/// What the server calls itself among nodes, in traces.
const SERVER: &str = "the server";

pub(super) type Task = Pin<Box<dyn Future<Output = ()>>>;

/// Clock and mail, as the domains reach them.
#[derive(Debug, Default)]
struct Post {
    nanos: AtomicU64,
    boxes: Mutex<Boxes>,
}

#[derive(Debug, Default)]
struct Boxes {
    /// To whom a name of a peer leads (`None`: the server), and what that one calls the sender.
    addresses: BTreeMap<PeerId, (Option<usize>, PeerId)>,
    under_way: BTreeMap<PeerId, VecDeque<Item>>,
}

impl Post {
    fn boxes(&self) -> MutexGuard<'_, Boxes> {
        self.boxes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn time(&self) -> Time {
        // Relaxed: one thread.
        Time::from_nanos(self.nanos.load(Ordering::Relaxed))
    }
}

#[derive(Debug)]
struct Desk(Arc<Post>);

impl Host for Desk {
    fn now(&self) -> Time {
        self.0.time()
    }

    fn stamp_now(&self) -> Time {
        self.0.time()
    }

    fn queue(&self, to: PeerId, item: Item) {
        let mut boxes = self.0.boxes();
        // What is for a session that is over is lost with it.
        if boxes.addresses.contains_key(&to) {
            boxes.under_way.entry(to).or_default().push_back(item);
        }
    }

    fn flush(&self, _: PeerId) {}

    fn rearm(&self) {}
}

/// Whether a task is to be polled.
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        // Relaxed: one thread.
        self.0.store(true, Ordering::Relaxed);
    }
}

struct Process {
    name: String,
    domain: Domain,
    state: State,
    session: Session,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Runs,
    Stands,
    Dead,
}

struct Session {
    /// The server, as the node calls it.
    up: PeerId,
    /// The node, as the server calls it.
    down: PeerId,
    trust: Arc<Trust>,
    /// A fault has cut it.
    is_cut: bool,
    /// The server has taken back what was lent over it.
    is_taken_back: bool,
}

struct Running {
    node: usize,
    woken: Arc<Woken>,
    /// `None` when it has ended, and while it is polled.
    task: Option<Task>,
}

/// Something that can happen next.
#[derive(Clone, Copy, Debug)]
pub(super) enum Choice {
    /// A task goes on to its next point.
    Poll(usize),
    /// The oldest message to a peer arrives.
    Deliver(PeerId),
    /// The server takes back what it lent over a session whose lease is over.
    TakeBack(usize),
    /// A node finds that its session is over, and opens the next one.
    Notice(usize),
}

pub(super) struct World {
    post: Arc<Post>,
    server: Domain,
    types: Vec<Register>,
    nodes: Vec<Process>,
    tasks: Vec<Running>,
    timers: BTreeMap<(Time, u64), Waker>,
    timers_made: u64,
    sessions_made: u64,
    pub(super) checks: Vec<Box<dyn FnOnce()>>,
    pub(super) trace: String,
}

impl World {
    pub(super) fn new(types: &[Register]) -> Self {
        let post = Arc::new(Post::default());
        let role = Role::Root {
            epoch: 1,
            grace: false,
        };
        Self {
            server: domain(&post, "server", role, types),
            post,
            types: types.to_vec(),
            nodes: Vec::new(),
            tasks: Vec::new(),
            timers: BTreeMap::new(),
            timers_made: 0,
            sessions_made: 0,
            checks: Vec::new(),
            trace: String::new(),
        }
    }

    pub(super) fn now(&self) -> Time {
        self.post.time()
    }

    pub(super) fn nodes(&self) -> usize {
        self.nodes.len()
    }

    pub(super) fn add_node(&mut self, name: &str) -> (usize, Domain) {
        let domain = domain(&self.post, name, Role::Debtor, &self.types);
        let index = self.nodes.len();
        let session = self.open_session(index, &domain);
        self.nodes.push(Process {
            name: name.into(),
            domain: domain.clone(),
            state: State::Runs,
            session,
        });
        (index, domain)
    }

    pub(super) fn add_task(&mut self, node: usize, task: Task) {
        self.tasks.push(Running {
            node,
            woken: Arc::new(Woken(AtomicBool::new(true))),
            task: Some(task),
        });
    }

    pub(super) fn wake_at(&mut self, time: Time, waker: Waker) {
        self.timers_made += 1;
        self.timers.insert((time, self.timers_made), waker);
    }

    /// All that can happen next, in an order that only depends on what happened before.
    pub(super) fn choices(&self) -> Vec<Choice> {
        let mut choices = Vec::new();
        for (index, running) in self.tasks.iter().enumerate() {
            let is_woken = running.woken.0.load(Ordering::Relaxed);
            let can_run = self.nodes[running.node].state == State::Runs;
            if is_woken && can_run && running.task.is_some() {
                choices.push(Choice::Poll(index));
            }
        }
        // The mail of a node that does not run went with its session.
        let boxes = self.post.boxes();
        choices.extend(boxes.under_way.keys().map(|&peer| Choice::Deliver(peer)));
        drop(boxes);
        for (index, process) in self.nodes.iter().enumerate() {
            let session = &process.session;
            if session.is_cut && !session.is_taken_back {
                choices.push(Choice::TakeBack(index));
            }
            if session.is_cut && process.state == State::Runs {
                choices.push(Choice::Notice(index));
            }
        }
        choices
    }

    /// Lets it happen, unless it is for a task to do.
    pub(super) fn act(&mut self, choice: Choice) {
        match choice {
            Choice::Poll(_) => {}
            Choice::Deliver(peer) => self.deliver(peer),
            Choice::TakeBack(node) => self.take_back(node),
            Choice::Notice(node) => self.notice(node),
        }
    }

    /// The task, to be polled, and its waker.
    pub(super) fn lift(&mut self, index: usize) -> Option<(Task, Waker)> {
        let running = &mut self.tasks[index];
        running.woken.0.store(false, Ordering::Relaxed);
        let (node, waker) = (running.node, Waker::from(Arc::clone(&running.woken)));
        let task = running.task.take()?;
        let line = format!(
            "{} goes on with {}",
            self.nodes[node].name,
            self.task_name(index)
        );
        self.note(&line);
        Some((task, waker))
    }

    pub(super) fn put_back(&mut self, index: usize, task: Task) {
        self.tasks[index].task = Some(task);
    }

    pub(super) fn on_task_done(&mut self, index: usize) {
        let line = format!("  {} ends", self.task_name(index));
        self.note(&line);
    }

    /// Whether the node holds anything at this moment.
    pub(super) fn holds(&self, node: usize) -> bool {
        self.nodes[node].domain.totals().holds > 0
    }

    /// A node fails, if it is whole. All other nodes live through the time that it takes until its lease is over.
    pub(super) fn fail(&mut self, fault: Fault, node: usize) {
        let process = &mut self.nodes[node];
        if process.session.is_cut {
            return;
        }
        let line = format!("{} {fault}", process.name);
        process.session.is_cut = true;
        process.state = match fault {
            Fault::Pause => State::Stands,
            Fault::Loss => State::Runs,
            Fault::Crash => State::Dead,
        };
        let Session { up, down, .. } = process.session;
        for peer in [up, down] {
            let mut boxes = self.post.boxes();
            boxes.addresses.remove(&peer);
            boxes.under_way.remove(&peer);
        }
        self.note(&line);
        self.pass_until(self.now().after(LEASE));
    }

    /// Where nothing can happen at this time: the next time at which something does.
    pub(super) fn next_time(&self) -> Option<Time> {
        let domains = self.nodes.iter().filter(|it| it.state == State::Runs);
        let domains = domains.map(|process| &process.domain).chain([&self.server]);
        let deadlines = domains.filter_map(Domain::next_deadline);
        let timers = self.timers.keys().next().map(|(time, _)| *time);
        let next = deadlines.chain(timers).min()?;
        // An entry may be early; time moves on nevertheless.
        Some(next.max(self.now().after(Duration::from_nanos(1))))
    }

    /// Time passes, and with it the deadlines of requests. Sessions that are whole are renewed.
    pub(super) fn pass_until(&mut self, time: Time) {
        for process in &self.nodes {
            if !process.session.is_cut {
                let is_good = process.session.trust.extend(time.after(LEASE));
                assert!(is_good, "a session that is whole was renewed in time");
            }
        }
        // Relaxed: one thread.
        self.post.nanos.store(time.as_nanos(), Ordering::Relaxed);
        self.note(&format!("it is {time}"));
        self.server.on_deadline(time);
        for process in self.nodes.iter().filter(|it| it.state == State::Runs) {
            process.domain.on_deadline(time);
        }
        while let Some(entry) = self.timers.first_entry().filter(|it| it.key().0 <= time) {
            entry.remove().wake();
        }
    }

    /// A node that stands still.
    pub(super) fn standing(&self) -> Option<usize> {
        self.nodes.iter().position(|it| it.state == State::Stands)
    }

    /// It goes on where it stood, and has noticed nothing.
    pub(super) fn wake_up(&mut self, node: usize) {
        self.nodes[node].state = State::Runs;
        let line = format!("{} wakes up", self.nodes[node].name);
        self.note(&line);
    }

    /// The names of the tasks that have not ended, but for those of the dead.
    pub(super) fn unfinished(&self) -> Vec<String> {
        let tasks = self.tasks.iter().enumerate();
        let waiting = tasks.filter(|(_, running)| {
            running.task.is_some() && self.nodes[running.node].state != State::Dead
        });
        let name = |(index, running): (usize, &Running)| {
            format!(
                "{} of {}",
                self.task_name(index),
                self.nodes[running.node].name
            )
        };
        waiting.map(name).collect()
    }

    /// All tasks, to be dropped where nothing is borrowed: they refer to this world.
    pub(super) fn take_tasks(&mut self) -> Vec<Task> {
        let tasks = self.tasks.iter_mut();
        tasks.filter_map(|running| running.task.take()).collect()
    }

    /// Who fails how, in words.
    pub(super) fn describe(&self, incident: Option<(Fault, usize, usize)>) -> String {
        match incident {
            Some((fault, node, point)) => {
                let name = self.nodes.get(node).map_or("a node", |it| &it.name);
                format!("where {name} {fault} at point {point}")
            }
            None => "without a fault".into(),
        }
    }

    fn task_name(&self, index: usize) -> String {
        let node = self.tasks[index].node;
        let before = &self.tasks[..index];
        let number = before.iter().filter(|it| it.node == node).count();
        format!("task {}", number + 1)
    }

    fn deliver(&mut self, peer: PeerId) {
        let (to, from, item) = {
            let mut boxes = self.post.boxes();
            let Some(queue) = boxes.under_way.get_mut(&peer) else {
                return;
            };
            let item = queue.pop_front().expect("no queue is empty");
            if queue.is_empty() {
                boxes.under_way.remove(&peer);
            }
            let (to, from) = boxes.addresses[&peer];
            (to, from, item)
        };
        let (name, domain) = match to {
            Some(node) => (self.nodes[node].name.as_str(), &self.nodes[node].domain),
            None => (SERVER, &self.server),
        };
        let said = words::of_message(&item.message, &|_| "a request".into());
        let line = format!("{name} hears of {}: {said}", item.key);
        let done = domain.deliver(from, item);
        self.note(&line);
        done.expect("nodes of one version keep the rules");
    }

    fn take_back(&mut self, node: usize) {
        let session = &mut self.nodes[node].session;
        session.is_taken_back = true;
        self.server.on_debtor_down(session.down);
        let line = format!("{SERVER} takes back what {} had", self.nodes[node].name);
        self.note(&line);
    }

    fn notice(&mut self, node: usize) {
        if !self.nodes[node].session.is_taken_back {
            // The next session of the same run ends the former.
            self.take_back(node);
        }
        let now = self.now();
        let Process {
            domain, session, ..
        } = &self.nodes[node];
        let domain = domain.clone();
        domain.on_creditor_down(session.up, LostReason::LeaseExpired);
        domain.on_deadline(now);
        let line = format!(
            "{} finds that its session is over, and opens the next",
            self.nodes[node].name
        );
        self.note(&line);
        self.nodes[node].session = self.open_session(node, &domain);
    }

    fn open_session(&mut self, node: usize, domain: &Domain) -> Session {
        self.sessions_made += 1;
        let session = Session {
            up: PeerId(2 * self.sessions_made),
            down: PeerId(2 * self.sessions_made + 1),
            trust: Arc::new(Trust::until(self.now().after(LEASE))),
            is_cut: false,
            is_taken_back: false,
        };
        {
            let addresses = &mut self.post.boxes().addresses;
            addresses.insert(session.up, (None, session.down));
            addresses.insert(session.down, (Some(node), session.up));
        }
        domain.on_creditor_up(session.up, Arc::clone(&session.trust));
        session
    }

    fn note(&mut self, line: &str) {
        self.trace.push_str("  ");
        self.trace.push_str(line);
        self.trace.push('\n');
    }
}

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("World")
            .field("nodes", &self.nodes.len())
            .finish_non_exhaustive()
    }
}

fn domain(post: &Arc<Post>, name: &str, role: Role, types: &[Register]) -> Domain {
    let party = Party {
        node: NodeId::of_name(name.as_bytes()),
        boot: Boot(1),
    };
    let owner = Settings::default().with_party(party, name);
    let host: Arc<dyn Host> = Arc::new(Desk(Arc::clone(post)));
    let domain = Domain::new(DomainSettings::new(name, owner), role, host);
    types
        .iter()
        .fold(domain, |domain, register| register(domain))
}
