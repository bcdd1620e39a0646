//! A coordinator in simulated time: a linearizable store, and the way to it.
//!
//! [`Store`] does transactions at once. [`Coordinator`] puts a network in front of it: requests, answers and news each
//! take their time, are lost, or arrive long after their sender gave up. News come in order, and may stop until
//! the client connects again. During an outage nothing is done.
//!
//! Times are true times, of the simulator. What a client is told comes as [`Delivery`]; it is up to the simulator to hold it
//! back while the client is paused.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::coordination::{Answer, Change, Compare, Key, RecordKey, Snapshot, Stored, Transaction};
use crate::time::Time;

use super::random::Random;

/// Keys with revisions, and transactions with comparisons.
#[derive(Clone, Debug, Default)]
pub struct Store {
    now: Snapshot,
}

impl Store {
    /// An empty one.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// All that stands there.
    #[must_use]
    pub const fn snapshot(&self) -> &Snapshot {
        &self.now
    }

    /// Does all of it, or nothing.
    pub fn commit(&mut self, transaction: &Transaction) -> Answer {
        if !transaction.compares.iter().all(|it| self.holds(it)) {
            return Answer::Refused;
        }
        let revision = self.now.revision + 1;
        self.now.revision = revision;
        for change in &transaction.changes {
            self.change(revision, change);
        }
        Answer::Done { revision }
    }

    /// Deletes a record, as the coordinator's own cleaning up does.
    pub fn clean_up(&mut self, key: &RecordKey) {
        if self.now.records.remove(key).is_some() {
            self.now.revision += 1;
        }
    }

    /// Loses all it had. Revisions begin anew.
    pub fn lose_all(&mut self) {
        self.now = Snapshot::default();
    }

    fn holds(&self, compare: &Compare) -> bool {
        match compare {
            Compare::Absent(key) => self.revisions(key).is_none(),
            Compare::Created(key, revision) => {
                self.revisions(key).map(|(created, _)| created) == Some(*revision)
            }
            Compare::Modified(key, revision) => {
                self.revisions(key).map(|(_, modified)| modified) == Some(*revision)
            }
        }
    }

    /// Which made the key, and which wrote it last.
    fn revisions(&self, key: &Key) -> Option<(u64, u64)> {
        match key {
            Key::View => self.now.view.as_ref().map(|it| (it.created, it.modified)),
            Key::Record(key) => {
                let stored = self.now.records.get(key);
                stored.map(|it| (it.created, it.modified))
            }
        }
    }

    fn change(&mut self, revision: u64, change: &Change) {
        match change {
            Change::Delete(key) => {
                self.now.records.remove(key);
            }
            Change::PutRecord(key, record) => {
                let known = self.now.records.get(key).map(|stored| stored.created);
                let stored = Stored {
                    created: known.unwrap_or(revision),
                    modified: revision,
                    value: record.clone(),
                };
                self.now.records.insert(key.clone(), stored);
            }
            Change::PutView(view) => {
                let known = self.now.view.as_ref().map(|stored| stored.created);
                self.now.view = Some(Stored {
                    created: known.unwrap_or(revision),
                    modified: revision,
                    value: view.clone(),
                });
            }
        }
    }
}

/// How bad the network is.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::exhaustive_structs, reason = "made by the test")]
pub struct Network {
    /// The longest that a message is under way, as a rule.
    pub delay: Duration,
    /// The longest that one in a few is.
    pub delay_rare: Duration,
    /// So many messages in a hundred are such.
    pub rare_percent: u32,
    /// So many in a hundred are lost.
    pub lost_percent: u32,
    /// After this, a client takes its request for lost.
    pub patience: Duration,
}

/// What a client is told.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_enums, reason = "a simulator must handle each")]
pub enum Delivery<T> {
    /// What became of the request with that ticket. Once for each.
    Answer(T, Answer),
    /// The connection stands.
    Connected,
    /// The connection broke.
    Disconnected,
    /// What stands at the coordinator.
    Store(Snapshot),
}

#[derive(Clone, Debug)]
enum Transit<T> {
    Request(u64, usize, Transaction),
    Answer(u64, usize, Answer),
    Tell(usize, u32, Delivery<T>),
    Connect(usize),
}

/// How a client stands to the coordinator.
#[derive(Clone, Debug, Default)]
struct Client {
    is_connected: bool,
    /// Which connection: news of an earlier one do not arrive.
    connection: u32,
    /// When the latest news arrive: later ones do not overtake them.
    news_until: Time,
}

/// A store at the end of a network. `T` is what tells the requests of a client apart.
#[derive(Debug)]
pub struct Coordinator<T> {
    store: Store,
    network: Network,
    random: Random,
    is_out: bool,
    clients: Vec<Client>,
    transits: BTreeMap<(Time, u64), Transit<T>>,
    tickets: BTreeMap<u64, T>,
    counter: u64,
    cut: BTreeSet<usize>,
}

impl<T: Clone> Coordinator<T> {
    /// A coordinator for so many clients, none of which is connected.
    #[must_use]
    pub fn new(clients: usize, network: Network, random: Random) -> Self {
        Self {
            store: Store::new(),
            network,
            random,
            is_out: false,
            clients: vec![Client::default(); clients],
            transits: BTreeMap::new(),
            tickets: BTreeMap::new(),
            counter: 0,
            cut: BTreeSet::new(),
        }
    }

    /// What is at the end of it.
    #[must_use]
    pub const fn store(&self) -> &Store {
        &self.store
    }

    /// The same, to do something to it that no client asked for. Tell the clients by [`news`](Self::news).
    pub const fn store_mut(&mut self) -> &mut Store {
        &mut self.store
    }

    /// From now on the network is like that.
    pub const fn set_network(&mut self, network: Network) {
        self.network = network;
    }

    /// When the next thing happens.
    #[must_use]
    pub fn next_at(&self) -> Option<Time> {
        self.transits.first_key_value().map(|(&(at, _), _)| at)
    }

    /// A client starts to connect: it is told when it stands.
    pub fn connect(&mut self, now: Time, client: usize) {
        let at = now.after(self.delay());
        self.send(at, Transit::Connect(client));
    }

    /// The connection of a client breaks: it is told so, and nothing else until it connects again.
    pub fn disconnect(&mut self, now: Time, client: usize) {
        let Some(known) = self.clients.get_mut(client) else {
            return;
        };
        if known.is_connected {
            known.is_connected = false;
            known.connection += 1;
            let connection = known.connection;
            let at = now.after(self.delay());
            self.send(
                at,
                Transit::Tell(client, connection, Delivery::Disconnected),
            );
        }
    }

    /// The client is gone: nothing reaches it, nor comes of it, but what is under way already.
    pub fn forget(&mut self, client: usize) {
        if let Some(known) = self.clients.get_mut(client) {
            known.is_connected = false;
            known.connection += 1;
        }
        let of_client = |transit: &Transit<T>| matches!(transit, Transit::Answer(_, it, _) | Transit::Connect(it) if *it == client);
        self.transits.retain(|_, transit| !of_client(transit));
    }

    /// Nothing gets through between that client and the coordinator, and nobody says so.
    pub fn cut(&mut self, client: usize) {
        self.cut.insert(client);
    }

    /// What was cut is whole again; what was lost meanwhile is lost, and connections that lost news break.
    pub fn mend(&mut self, now: Time, client: usize) {
        if self.cut.remove(&client) {
            self.disconnect(now, client);
        }
    }

    /// Nothing is done from now on.
    pub const fn begin_outage(&mut self) {
        self.is_out = true;
    }

    /// All is done again.
    pub const fn end_outage(&mut self) {
        self.is_out = false;
    }

    /// A client sends a request. It is told what became of it, at the latest when its patience is over.
    pub fn submit(&mut self, now: Time, client: usize, ticket: T, transaction: Transaction) {
        self.counter += 1;
        let id = self.counter;
        self.tickets.insert(id, ticket);
        let given_up = now.after(self.network.patience);
        self.send(given_up, Transit::Answer(id, client, Answer::Unknown));
        if !self.is_lost() {
            let at = now.after(self.delay());
            self.send(at, Transit::Request(id, client, transaction));
        }
    }

    /// The next thing happens: returns whom it concerns, and what it is told.
    pub fn step(&mut self) -> Option<(usize, Delivery<T>)> {
        let ((now, _), transit) = self.transits.pop_first()?;
        match transit {
            Transit::Request(id, client, transaction) => {
                if !self.is_out && !self.cut.contains(&client) {
                    let answer = self.store.commit(&transaction);
                    if matches!(answer, Answer::Done { .. }) {
                        self.news(now);
                    }
                    if !self.is_lost() {
                        let at = now.after(self.delay());
                        self.send(at, Transit::Answer(id, client, answer));
                    }
                }
                None
            }
            Transit::Answer(id, client, answer) => {
                if self.cut.contains(&client) && answer != Answer::Unknown {
                    return None;
                }
                let ticket = self.tickets.remove(&id)?;
                Some((client, Delivery::Answer(ticket, answer)))
            }
            Transit::Tell(client, connection, delivery) => {
                let is_news = matches!(delivery, Delivery::Store(_));
                let is_late = self.clients[client].connection != connection;
                let is_cut = is_news && self.cut.contains(&client);
                (!is_late && !is_cut).then_some((client, delivery))
            }
            Transit::Connect(client) => {
                if self.is_out || self.cut.contains(&client) {
                    // It tries until it succeeds.
                    self.connect(now.after(self.network.patience), client);
                    return None;
                }
                if self.clients[client].is_connected {
                    return None;
                }
                self.clients[client].is_connected = true;
                self.clients[client].connection += 1;
                self.clients[client].news_until = now;
                self.tell_news(now, client);
                Some((client, Delivery::Connected))
            }
        }
    }

    /// All connected clients hear what stands there now.
    pub fn news(&mut self, now: Time) {
        for client in 0..self.clients.len() {
            if self.clients[client].is_connected {
                self.tell_news(now, client);
            }
        }
    }

    fn tell_news(&mut self, now: Time, client: usize) {
        let at = now.after(self.delay());
        let known = &mut self.clients[client];
        known.news_until = known.news_until.max(at);
        let (at, connection) = (known.news_until, known.connection);
        let snapshot = self.store.snapshot().clone();
        self.send(
            at,
            Transit::Tell(client, connection, Delivery::Store(snapshot)),
        );
    }

    fn send(&mut self, at: Time, transit: Transit<T>) {
        self.counter += 1;
        self.transits.insert((at, self.counter), transit);
    }

    fn delay(&mut self) -> Duration {
        let is_rare = self.random.percent(self.network.rare_percent);
        let most = if is_rare {
            self.network.delay_rare
        } else {
            self.network.delay
        };
        let nanos = u64::try_from(most.as_nanos()).unwrap_or(u64::MAX);
        Duration::from_nanos(self.random.below(nanos.saturating_add(1)))
    }

    const fn is_lost(&mut self) -> bool {
        self.random.percent(self.network.lost_percent)
    }
}
