//! What a policy costs: clients that use RW locks by a plan, on owners as they are in production, in simulated time.
//!
//! A message takes exactly one *delay*, which is [`DELAY`] ticks; nothing else takes time but what the plan says.
//! The tree has two levels. Each client does one thing after the other: it waits until its next job is due, asks,
//! holds for a while, releases. So a run is a function of its workload and its policy, and runs of different
//! policies differ in nothing but them. Every owner checks its invariants after every input where debug
//! assertions are on.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use rm_core::effect::{Effect, Effects};
use rm_core::id::{Boot, Class, LoanId, NodeId, Order, Party, PeerId, ResourceKey, Stamp, Token};
use rm_core::message::Message;
use rm_core::owner::{Owner, Request, Settings};
use rm_core::policy::{Decision, Decisions, Policy};
use rm_core::resource::ResourceType;
use rm_core::time::Time;
use rm_rwlock::credit::{RwCredit, RwLockType};

/// How many ticks a message takes.
pub const DELAY: u64 = 1_000;

/// The node that has the capital of every lock. Clients are at others.
const ROOT: usize = 0;

/// One use of one lock.
#[derive(Clone, Copy, Debug)]
struct Job {
    /// Not before this tick, and not before the client's last job is done.
    due: u64,
    lock: usize,
    ask: RwCredit,
    /// For so many ticks.
    hold: u64,
}

/// Who uses what, and when.
#[derive(Clone, Debug)]
pub struct Workload {
    /// Its name, for people.
    pub name: &'static str,
    locks: usize,
    /// The jobs of the client at node 1, 2, and so on.
    clients: Vec<VecDeque<Job>>,
}

/// What a run came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Cost {
    /// Requests, all of which were granted.
    pub acquires: u64,
    /// Messages between owners.
    pub messages: u64,
    /// Ticks from request to grant, in sum.
    pub waited: u64,
    /// Requests that were granted at once, out of the cache.
    pub cached: u64,
    /// What the policies decided.
    pub decisions: Decisions,
}

impl Cost {
    /// Messages for each acquire.
    #[must_use]
    pub fn messages_each(&self) -> f64 {
        self.messages as f64 / self.acquires as f64
    }

    /// How long an acquire waited, in one-way delays, in the mean.
    #[must_use]
    pub fn mean_wait(&self) -> f64 {
        self.waited as f64 / (self.acquires * DELAY) as f64
    }

    /// The part of the acquires that the cache served.
    #[must_use]
    pub fn cached_part(&self) -> f64 {
        self.cached as f64 / self.acquires as f64
    }
}

/// The policies that are compared, the fixed ones first, and their names.
#[must_use]
pub const fn policies() -> [(&'static str, Policy); 4] {
    [
        ("Exact", Policy::Exact),
        ("Slice(16)", Policy::slice(16)),
        ("Max", Policy::Max),
        ("Adaptive(16)", Policy::adaptive(16)),
    ]
}

/// The workloads, from a seed.
#[must_use]
pub fn workloads(seed: u64) -> Vec<Workload> {
    let mut random = Random(seed);
    vec![
        private(&mut random),
        read_mostly(&mut random),
        ping_pong(),
        busy_ping_pong(&mut random),
        migrating(&mut random),
        phases(&mut random),
        mixed(&mut random),
    ]
}

const LOCK: RwLockType = RwLockType::with_shares(rm_rwlock::credit::SHARES);
const NODES: usize = 8;
const JOBS: usize = 400;

/// Each of 8 nodes has 4 locks of its own; 3 of 10 uses are writes.
fn private(random: &mut Random) -> Workload {
    let clients = by_node(NODES, |node| {
        every(2, JOBS, |_, due| Job {
            lock: node * 4 + random.below(4),
            ask: random.ask(30),
            due: due + random.jitter(),
            hold: DELAY / 2,
        })
    });
    Workload {
        name: "private",
        locks: NODES * 4,
        clients,
    }
}

/// One lock, 8 nodes, 1 of 100 uses is a write.
fn read_mostly(random: &mut Random) -> Workload {
    let clients = by_node(NODES, |_| {
        every(8, JOBS, |_, due| Job {
            lock: 0,
            ask: random.ask(1),
            due: due + random.jitter(),
            hold: DELAY / 2,
        })
    });
    Workload {
        name: "read-mostly shared",
        locks: 1,
        clients,
    }
}

/// Two nodes write in turn, and each has released long before the other asks.
fn ping_pong() -> Workload {
    let clients = by_node(2, |node| {
        every(40, JOBS, |_, due| Job {
            lock: 0,
            ask: LOCK.write(),
            due: due + node as u64 * 20 * DELAY,
            hold: DELAY,
        })
    });
    Workload {
        name: "ping-pong",
        locks: 1,
        clients,
    }
}

/// Two nodes write as often as they can, with a short pause between.
fn busy_ping_pong(random: &mut Random) -> Workload {
    let clients = by_node(2, |_| {
        every(3, JOBS, |_, due| Job {
            lock: 0,
            ask: LOCK.write(),
            due: due + random.jitter(),
            hold: DELAY,
        })
    });
    Workload {
        name: "ping-pong, busy",
        locks: 1,
        clients,
    }
}

/// One of 4 nodes uses the lock 40 times, 3 of 10 to write; then the next one does.
fn migrating(random: &mut Random) -> Workload {
    const STAY: u64 = 40;
    let clients = by_node(4, |node| {
        every(3, JOBS, |index, _| {
            let (round, within) = (index / STAY, index % STAY);
            Job {
                lock: 0,
                ask: random.ask(30),
                due: ((round * 4 + node as u64) * STAY + within) * 3 * DELAY + random.jitter(),
                hold: DELAY / 2,
            }
        })
    });
    Workload {
        name: "migrating",
        locks: 1,
        clients,
    }
}

/// Two nodes write in turn 20 times each; then one of them writes alone 60 times; and so on.
fn phases(random: &mut Random) -> Workload {
    const TURNS: u64 = 20;
    const ALONE: u64 = 60;
    /// So long is a turn; alone, a node goes on at a tenth of it.
    const TURN: u64 = 40 * DELAY;
    let phase = TURNS * TURN + ALONE * TURN / 10;
    let jobs = |node: u64, random: &mut Random| -> VecDeque<Job> {
        let alone = |round: u64| if round % 2 == node { ALONE } else { 0 };
        let rounds = 0..10;
        let dues = rounds.flat_map(|round| {
            let start = round * phase;
            let in_turn = (0..TURNS).map(move |turn| start + turn * TURN + node * TURN / 2);
            let alone = (0..alone(round)).map(move |n| start + TURNS * TURN + n * TURN / 10);
            in_turn.chain(alone)
        });
        dues.map(|due| Job {
            lock: 0,
            ask: LOCK.write(),
            due: due + random.jitter(),
            hold: DELAY,
        })
        .collect()
    };
    Workload {
        name: "contention that ends",
        locks: 1,
        clients: (0..2).map(|node| jobs(node, random)).collect(),
    }
}

/// Of what 8 nodes do, 6 of 10 uses go to locks of their own, 3 to four that all read, and 1 to one that all write.
fn mixed(random: &mut Random) -> Workload {
    let shared = NODES * 4;
    let clients = by_node(NODES, |node| {
        every(10, JOBS, |_, due| {
            let (lock, ask) = match random.below(10) {
                0..6 => (node * 4 + random.below(4), random.ask(30)),
                6..9 => (shared + random.below(4), random.ask(1)),
                _ => (shared + 4, LOCK.write()),
            };
            Job {
                lock,
                ask,
                due: due + random.jitter(),
                hold: DELAY / 2,
            }
        })
    });
    Workload {
        name: "mixed",
        locks: shared + 5,
        clients,
    }
}

fn by_node(nodes: usize, jobs: impl FnMut(usize) -> VecDeque<Job>) -> Vec<VecDeque<Job>> {
    (0..nodes).map(jobs).collect()
}

/// A job in every so many delays.
fn every(delays: u64, jobs: usize, mut job: impl FnMut(u64, u64) -> Job) -> VecDeque<Job> {
    (0..jobs as u64)
        .map(|index| job(index, index * delays * DELAY))
        .collect()
}

/// `SplitMix64`: the same numbers from the same seed.
#[derive(Debug)]
struct Random(u64);

impl Random {
    const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    const fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }

    /// Up to one delay.
    const fn jitter(&mut self) -> u64 {
        self.next() % DELAY
    }

    /// A write, so many times in a hundred; else a read.
    const fn ask(&mut self, writes: usize) -> RwCredit {
        if self.below(100) < writes {
            LOCK.write()
        } else {
            RwCredit::READ
        }
    }
}

/// What happens at some tick.
#[derive(Debug)]
enum Happening {
    /// The next job of a client.
    Ask { node: usize },
    /// The end of the job that a client is at.
    Release { node: usize },
    /// A message that arrives.
    Arrive {
        lock: usize,
        from: usize,
        to: usize,
        message: Message<RwCredit>,
    },
}

#[derive(Debug)]
struct Run {
    /// By lock, then by node.
    owners: Vec<Vec<Owner<RwLockType>>>,
    /// The jobs of the client at each node; of the root, none.
    clients: Vec<VecDeque<Job>>,
    /// What each client does, and since when it asked.
    present: Vec<Option<(Job, u64)>>,
    /// By tick, and then as they came: so those from one node to another stay in order.
    agenda: BTreeMap<(u64, u64), Happening>,
    next: u64,
    now: u64,
    cost: Cost,
}

/// Runs a workload under a policy, to its end.
///
/// # Panics
/// If a request is not granted in the end, or an owner breaks a rule.
#[must_use]
pub fn run(policy: Policy, workload: &Workload) -> Cost {
    let nodes = workload.clients.len() + 1;
    let settings = Arc::new(Settings::default().with_policy(policy));
    let key = ResourceKey::new(b"x").expect("a good name");
    let owners = |_| {
        let (capital, loan) = (LOCK.capital(&key), LoanId::default());
        let root = Owner::root(Arc::clone(&settings), capital, 1, 0, loan);
        let debtors = (1..nodes).map(|_| {
            let mut owner = Owner::debtor(Arc::clone(&settings), capital, 0, loan);
            owner.on_creditor_up(Time::ZERO, PeerId(ROOT as u64), 0, &mut Effects::new());
            owner
        });
        core::iter::once(root).chain(debtors).collect()
    };
    let idle = core::iter::once(VecDeque::new());
    let mut run = Run {
        owners: (0..workload.locks).map(owners).collect(),
        clients: idle.chain(workload.clients.iter().cloned()).collect(),
        present: vec![None; nodes],
        agenda: BTreeMap::new(),
        next: 0,
        now: 0,
        cost: Cost::default(),
    };
    (1..nodes).for_each(|node| run.next_job(node));
    while let Some(((now, _), happening)) = run.agenda.pop_first() {
        run.now = now;
        run.step(happening);
    }
    assert!(
        run.clients.iter().all(VecDeque::is_empty) && run.present.iter().all(Option::is_none),
        "every job of {} is done",
        workload.name
    );
    run.cost
}

impl Run {
    fn at(&mut self, tick: u64, happening: Happening) {
        self.agenda.insert((tick, self.next), happening);
        self.next += 1;
    }

    fn next_job(&mut self, node: usize) {
        if let Some(job) = self.clients[node].front() {
            self.at(job.due.max(self.now), Happening::Ask { node });
        }
    }

    fn step(&mut self, happening: Happening) {
        match happening {
            Happening::Ask { node } => {
                let job = self.clients[node].pop_front().expect("a job is due");
                self.present[node] = Some((job, self.now));
                self.cost.acquires += 1;
                self.ask(node, job);
            }
            Happening::Release { node } => {
                let (job, _) = self.present[node].take().expect("it holds");
                self.input(job.lock, node, |owner, now, fx| {
                    owner.release(now, TOKEN, fx);
                });
                self.next_job(node);
            }
            Happening::Arrive {
                lock,
                from,
                to,
                message,
            } => {
                self.input(lock, to, |owner, now, fx| {
                    let done = owner.on_message(now, PeerId(from as u64), message, fx);
                    done.expect("owners keep the rules");
                });
            }
        }
    }

    fn ask(&mut self, node: usize, job: Job) {
        let party = Party {
            node: NodeId(node as u64),
            boot: Boot(0),
        };
        let order = Order {
            class: Class::New,
            stamp: Stamp(self.now),
            party,
            seq: self.cost.acquires,
        };
        let request = Request::new(TOKEN, order, job.ask);
        self.input(job.lock, node, |owner, now, fx| {
            owner.acquire(now, request, fx);
        });
    }

    fn input(
        &mut self,
        lock: usize,
        node: usize,
        input: impl FnOnce(&mut Owner<RwLockType>, Time, &mut Effects<RwLockType>),
    ) {
        let mut fx = Effects::new();
        let now = Time::from_nanos(self.now);
        input(&mut self.owners[lock][node], now, &mut fx);
        for (decision, count) in fx.take_decisions() {
            self.cost.decisions.add(decision, count);
        }
        for effect in fx.drain() {
            match effect {
                Effect::Grant { .. } => {
                    let (job, since) = self.present[node].expect("it asked");
                    self.cost.waited += self.now - since;
                    self.cost.cached += u64::from(self.now == since);
                    self.at(self.now + job.hold, Happening::Release { node });
                }
                Effect::Send { to, message } => {
                    self.cost.messages += 1;
                    let arrives = Happening::Arrive {
                        lock,
                        from: node,
                        to: to.0 as usize,
                        message,
                    };
                    self.at(self.now + DELAY, arrives);
                }
                Effect::Leaving | Effect::Wanted { .. } => {}
                other => panic!("nobody gives up, and nothing is lost: {other:?}"),
            }
        }
    }
}

/// Each client has one request at a time.
const TOKEN: Token = Token {
    index: 0,
    generation: 0,
};

/// The head of the table.
#[must_use]
pub fn table_head() -> String {
    format!(
        "| {:<20} | {:<12} | {:>9} | {:>9} | {:>6} | {} |\n|---|---|--:|--:|--:|{}",
        "workload",
        "policy",
        "messages",
        "mean wait",
        "cached",
        Decision::ALL.map(Decision::name).join(" | "),
        "--:|".repeat(Decision::ALL.len())
    )
}

/// A row of the table.
#[must_use]
pub fn table_row(workload: &str, policy: &str, cost: &Cost) -> String {
    let counts = Decision::ALL.map(|decision| cost.decisions.count(decision).to_string());
    format!(
        "| {workload:<20} | {policy:<12} | {:>9.4} | {:>9.4} | {:>5.1}% | {} |",
        cost.messages_each(),
        cost.mean_wait(),
        100.0 * cost.cached_part(),
        counts.join(" | ")
    )
}
