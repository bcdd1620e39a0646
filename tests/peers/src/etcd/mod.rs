//! etcd: the recipes of its client library for Go, `recipes.RWMutex` and `concurrency.Mutex`, over its gRPC interface.
//!
//! Both make a key for each request, under the session's lease, and order requests by the revisions that made the keys.
//!
//! **Read-write.** A writer waits until the last key before its own is gone, a reader until the last writer's key before its own
//! is; then each looks again. So an acquire is a transaction that makes the key, and a range that looks.
//!
//! **Exclusive.** The transaction that makes the key looks at the same time who was first. So an acquire that nobody is in the
//! way of is one request. The key is the session's: a session takes each lock once at a time.

mod session;
mod wire;

use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;

use self::session::Session;
use self::wire::{
    ASCENDING, BY_CHANGE, BY_CREATION, CREATION, Compare, DESCENDING, Operation, PutRequest,
    RangeRequest, Request, Transaction, TransactionResponse,
};
use crate::peer::{Mode, Peer};

/// A client of the read-write lock.
#[derive(Debug)]
pub(crate) struct Etcd {
    session: Session,
    requests: AtomicU64,
}

impl Etcd {
    pub(crate) async fn connect(address: &str) -> Result<Self, String> {
        Ok(Self {
            session: Session::connect(address).await?,
            requests: AtomicU64::new(0),
        })
    }

    /// Makes a key below the prefix; returns it and the revision that made it.
    async fn make(&self, prefix: &str) -> Result<(Bytes, i64), String> {
        // Only different numbers are asked of it.
        let number = self.requests.fetch_add(1, Ordering::Relaxed);
        let key = Bytes::from(format!("{prefix}/{:x}-{number}", self.session.lease));
        let transaction = Transaction {
            compare: vec![is_absent(key.clone())],
            success: vec![self.session.put(key.clone())],
            failure: Vec::new(),
        };
        let made = self.session.transact(transaction).await?;
        if !made.succeeded {
            return Err("etcd: a request's key was there before".into());
        }
        Ok((key, revision(&made)))
    }
}

impl Peer for Etcd {
    type Lock = String;
    type Guard<'l> = Bytes;

    fn lock(&self, name: &str) -> String {
        format!("rw/{name}")
    }

    async fn acquire(&self, lock: &String, mode: Mode) -> Result<Bytes, String> {
        let writers = format!("{lock}/write");
        let (own, in_the_way) = match mode {
            Mode::Read => (format!("{lock}/read"), writers),
            Mode::Write => (writers, format!("{lock}/")),
        };
        let (key, revision) = self.make(&own).await?;
        loop {
            let last = RangeRequest {
                sort_order: DESCENDING,
                sort_target: BY_CHANGE,
                max_mod_revision: revision - 1,
                ..first_below(&in_the_way)
            };
            match self.session.range(last).await?.kvs.pop() {
                None => return Ok(key),
                Some(other) => self.session.deleted(other.key, revision).await?,
            }
        }
    }

    async fn release(&self, guard: Self::Guard<'_>) -> Result<(), String> {
        self.session.delete(guard).await
    }
}

/// A client of the exclusive lock.
#[derive(Debug)]
pub(crate) struct EtcdExclusive {
    session: Session,
}

impl EtcdExclusive {
    pub(crate) async fn connect(address: &str) -> Result<Self, String> {
        let session = Session::connect(address).await?;
        Ok(Self { session })
    }

    /// Waits until no key below the prefix is older than that revision.
    async fn wait(&self, prefix: &str, revision: i64) -> Result<(), String> {
        loop {
            let last = RangeRequest {
                sort_order: DESCENDING,
                sort_target: BY_CREATION,
                max_create_revision: revision - 1,
                ..first_below(prefix)
            };
            let answer = self.session.range(last).await?;
            let seen = answer.header.map_or(0, |header| header.revision);
            match answer.kvs.into_iter().next() {
                None => return Ok(()),
                Some(other) => self.session.deleted(other.key, seen).await?,
            }
        }
    }
}

impl Peer for EtcdExclusive {
    type Lock = String;
    type Guard<'l> = Bytes;

    fn lock(&self, name: &str) -> String {
        format!("mutex/{name}/")
    }

    async fn acquire(&self, lock: &String, _: Mode) -> Result<Bytes, String> {
        let key = Bytes::from(format!("{lock}{:x}", self.session.lease));
        let first = RangeRequest {
            sort_order: ASCENDING,
            sort_target: BY_CREATION,
            ..first_below(lock)
        };
        let transaction = Transaction {
            compare: vec![is_absent(key.clone())],
            success: vec![self.session.put(key.clone()), range(first)],
            failure: Vec::new(),
        };
        let made = self.session.transact(transaction).await?;
        if !made.succeeded {
            return Err("etcd: a session took a lock twice".into());
        }
        let own = revision(&made);
        let owner = made.answers.into_iter().find_map(|answer| answer.range);
        let owner = owner.and_then(|range| range.kvs.into_iter().next());
        if owner.is_some_and(|owner| owner.create_revision != own) {
            self.wait(lock, own).await?;
            // The recipe asks whether its key outlived the wait.
            let own = RangeRequest {
                key: key.clone(),
                ..RangeRequest::default()
            };
            if self.session.range(own).await?.kvs.is_empty() {
                return Err("etcd: the session ended while it waited".into());
            }
        }
        Ok(key)
    }

    async fn release(&self, guard: Self::Guard<'_>) -> Result<(), String> {
        self.session.delete(guard).await
    }
}

impl Session {
    fn put(&self, key: Bytes) -> Operation {
        let put = PutRequest {
            key,
            lease: self.lease,
        };
        Operation {
            request: Some(Request::Put(put)),
        }
    }
}

fn range(range: RangeRequest) -> Operation {
    Operation {
        request: Some(Request::Range(range)),
    }
}

fn is_absent(key: Bytes) -> Compare {
    Compare {
        target: CREATION,
        key,
        create_revision: Some(0),
    }
}

/// One key of those that begin like that.
fn first_below(prefix: &str) -> RangeRequest {
    let mut end = prefix.as_bytes().to_vec();
    // The prefixes are text, so the last byte is not the largest.
    *end.last_mut().expect("a prefix") += 1;
    RangeRequest {
        key: Bytes::copy_from_slice(prefix.as_bytes()),
        range_end: end.into(),
        limit: 1,
        ..RangeRequest::default()
    }
}

fn revision(made: &TransactionResponse) -> i64 {
    made.header.as_ref().map_or(0, |header| header.revision)
}
