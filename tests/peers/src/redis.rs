//! Redis: a read-write lock by scripts as Redisson has it, and the lock of Redis's own documentation, `SET NX PX`.
//!
//! **Read-write.** A lock is a hash: the mode, and a field for each holder. The server runs a script as one step. Who cannot have
//! the lock subscribes to its channel and tries again when somebody publishes there that it is free, or when its time ran out.
//! Nobody is in a queue, so it is not fair. Leaner than Redisson's: its readers each have a key of their own besides, for a
//! time of their own. A lock's time is longer than any run, so nothing is renewed either; both are in favour of Redis.
//!
//! **Exclusive.** A key that must not be there yet. Who finds it there sleeps and tries again: `redis-py` sleeps 0.1 s.
//!
//! Commands of a client share one connection, and its subscriptions another.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::Duration;

use futures_util::StreamExt as _;
use redis::aio::{MultiplexedConnection, PubSubSink, PubSubStream};
use redis::io::tcp::TcpSettings;
use redis::{AsyncConnectionConfig, Client, IntoConnectionInfo as _, Script};
use tokio::sync::Notify;
use tokio::time::timeout;

use crate::peer::{Mode, Peer, failed};

/// How long a lock lasts unless it is given back, in milliseconds.
const TIME_TO_LIVE: u64 = 600_000;
/// What `redis-py` sleeps between two attempts.
const SLEEP: Duration = Duration::from_millis(100);

/// Takes it to read. Says nothing, or how long it may be taken by others.
static READ: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "if redis.call('hget', KEYS[1], 'mode') == 'write' then
            return redis.call('pttl', KEYS[1])
        end
        redis.call('hset', KEYS[1], 'mode', 'read', ARGV[1], '1')
        redis.call('pexpire', KEYS[1], ARGV[2])
        return nil",
    )
});

/// Takes it to write. Says the same.
static WRITE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "if redis.call('exists', KEYS[1]) == 1 then
            return redis.call('pttl', KEYS[1])
        end
        redis.call('hset', KEYS[1], 'mode', 'write', ARGV[1], '1')
        redis.call('pexpire', KEYS[1], ARGV[2])
        return nil",
    )
});

/// Gives it back, and says so to all who wait if nobody has it now. Says whether it was held.
static RELEASE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "if redis.call('hdel', KEYS[1], ARGV[1]) == 0 then
            return 0
        end
        if redis.call('hlen', KEYS[1]) == 1 then
            redis.call('del', KEYS[1])
            redis.call('publish', KEYS[1], '')
        end
        return 1",
    )
});

/// Deletes a key if it is still the holder's. Says whether it was.
static DELETE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "if redis.call('get', KEYS[1]) == ARGV[1] then
            return redis.call('del', KEYS[1])
        end
        return 0",
    )
});

/// A client's commands, and the names of its holds.
#[derive(Debug)]
struct Session {
    connection: MultiplexedConnection,
    id: u64,
    holds: AtomicU64,
}

/// A hold: the lock, and the name under which the client has it.
#[derive(Debug)]
pub(crate) struct Guard {
    lock: String,
    holder: String,
}

impl Session {
    async fn connect(client: &Client) -> Result<Self, String> {
        // The library would give up an answer after half a second. A server that is loaded with 100,000 locks may take longer.
        let config = AsyncConnectionConfig::new().set_response_timeout(None);
        let connection = client.get_multiplexed_async_connection_with_config(&config);
        let mut connection = connection.await.map_err(failed("redis"))?;
        let mut id = redis::cmd("CLIENT");
        let id = id.arg("ID").query_async(&mut connection).await;
        Ok(Self {
            connection,
            id: id.map_err(failed("redis"))?,
            holds: AtomicU64::new(0),
        })
    }

    fn hold(&self, lock: &str) -> Guard {
        // Only different numbers are asked of it.
        let number = self.holds.fetch_add(1, Ordering::Relaxed);
        Guard {
            lock: lock.to_owned(),
            holder: format!("{}:{number}", self.id),
        }
    }

    /// Runs a script on a hold.
    async fn run<T: redis::FromRedisValue>(
        &self,
        script: &Script,
        hold: &Guard,
    ) -> Result<T, String> {
        let mut invocation = script.key(&hold.lock);
        invocation.arg(&hold.holder).arg(TIME_TO_LIVE);
        let answer = invocation.invoke_async(&mut self.connection.clone()).await;
        answer.map_err(failed("redis"))
    }

    async fn give_back(&self, script: &Script, hold: &Guard) -> Result<(), String> {
        let had: bool = self.run(script, hold).await?;
        had.then_some(())
            .ok_or_else(|| "redis: a lock was not held any more".into())
    }
}

/// Without Nagle's delay; this library leaves it on where nothing is said.
fn open(port: u16) -> Result<Client, String> {
    let info = ("127.0.0.1", port).into_connection_info();
    let info = info.map_err(failed("redis"))?;
    let settings = TcpSettings::default().set_nodelay(true);
    Client::open(info.set_tcp_settings(settings)).map_err(failed("redis"))
}

/// A client of the read-write lock.
#[derive(Debug)]
pub(crate) struct Redis {
    session: Session,
    channels: Channels,
}

impl Redis {
    pub(crate) async fn connect(port: u16) -> Result<Self, String> {
        let client = open(port)?;
        Ok(Self {
            session: Session::connect(&client).await?,
            channels: Channels::connect(&client).await?,
        })
    }

    /// Tries until it has it. The channel is listened to between attempts, so that no word is missed.
    async fn wait(&self, script: &Script, hold: &Guard) -> Result<(), String> {
        let freed = self.channels.subscribe(&hold.lock).await?;
        let had = loop {
            match self.session.run::<Option<u64>>(script, hold).await {
                Ok(Some(left)) => {
                    // Either is a reason to try again.
                    let _ = timeout(Duration::from_millis(left), freed.notified()).await;
                }
                Ok(None) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        self.channels.unsubscribe(&hold.lock).await?;
        had
    }
}

impl Peer for Redis {
    type Lock = String;
    type Guard<'l> = Guard;

    fn lock(&self, name: &str) -> String {
        name.to_owned()
    }

    async fn acquire(&self, lock: &String, mode: Mode) -> Result<Guard, String> {
        let script = match mode {
            Mode::Read => &READ,
            Mode::Write => &WRITE,
        };
        let hold = self.session.hold(lock);
        if self
            .session
            .run::<Option<u64>>(script, &hold)
            .await?
            .is_some()
        {
            self.wait(script, &hold).await?;
        }
        Ok(hold)
    }

    async fn release(&self, guard: Self::Guard<'_>) -> Result<(), String> {
        self.session.give_back(&RELEASE, &guard).await
    }
}

/// A client's subscriptions. One task of a client at a time waits for the same lock.
#[derive(Debug)]
struct Channels {
    sink: PubSubSink,
    waiting: Arc<Waiting>,
}

type Waiting = Mutex<HashMap<String, Arc<Notify>>>;

impl Channels {
    async fn connect(client: &Client) -> Result<Self, String> {
        let pubsub = client.get_async_pubsub().await.map_err(failed("redis"))?;
        let (sink, messages) = pubsub.split();
        let waiting = Arc::default();
        tokio::spawn(tell(messages, Arc::clone(&waiting)));
        Ok(Self { sink, waiting })
    }

    async fn subscribe(&self, channel: &str) -> Result<Arc<Notify>, String> {
        let freed = Arc::new(Notify::new());
        let earlier = lock(&self.waiting).insert(channel.to_owned(), Arc::clone(&freed));
        assert!(
            earlier.is_none(),
            "two tasks of a client wait for {channel}"
        );
        let subscribed = self.sink.clone().subscribe(channel).await;
        subscribed.map(|()| freed).map_err(failed("redis"))
    }

    async fn unsubscribe(&self, channel: &str) -> Result<(), String> {
        lock(&self.waiting).remove(channel);
        let unsubscribed = self.sink.clone().unsubscribe(channel).await;
        unsubscribed.map_err(failed("redis"))
    }
}

/// Tells who waits for a lock that it is free.
async fn tell(mut messages: PubSubStream, waiting: Arc<Waiting>) {
    while let Some(message) = messages.next().await {
        let freed = lock(&waiting).get(message.get_channel_name()).cloned();
        if let Some(freed) = freed {
            // Kept for who has just tried and will wait in a moment.
            freed.notify_one();
        }
    }
}

fn lock(waiting: &Waiting) -> std::sync::MutexGuard<'_, HashMap<String, Arc<Notify>>> {
    waiting.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A client of the exclusive lock.
#[derive(Debug)]
pub(crate) struct RedisExclusive {
    session: Session,
}

impl RedisExclusive {
    pub(crate) async fn connect(port: u16) -> Result<Self, String> {
        let session = Session::connect(&open(port)?).await?;
        Ok(Self { session })
    }
}

impl Peer for RedisExclusive {
    type Lock = String;
    type Guard<'l> = Guard;

    fn lock(&self, name: &str) -> String {
        name.to_owned()
    }

    async fn acquire(&self, lock: &String, _: Mode) -> Result<Guard, String> {
        let hold = self.session.hold(lock);
        let mut set = redis::cmd("SET");
        set.arg(&hold.lock).arg(&hold.holder).arg("NX");
        set.arg("PX").arg(TIME_TO_LIVE);
        loop {
            let done = set.query_async(&mut self.session.connection.clone()).await;
            let done: Option<String> = done.map_err(failed("redis"))?;
            if done.is_some() {
                return Ok(hold);
            }
            tokio::time::sleep(SLEEP).await;
        }
    }

    async fn release(&self, guard: Self::Guard<'_>) -> Result<(), String> {
        self.session.give_back(&DELETE, &guard).await
    }
}
