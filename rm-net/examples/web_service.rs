//! A web service in several instances that change the same volumes. Run it with
//! `cargo run -p rm-net --example web_service`.
//!
//! To copy from here are [`Service`], [`grow`] and [`Failure`]:
//!
//! - The lock is taken with a limit of time. Who does not get it answers 503 with `Retry-After`, and says who has it.
//! - The token goes to the store with each access, which refuses who comes late.
//! - A lock that is lost while the handler works ends the work. The answer says that nobody knows how far it came.
//! - A client that hangs up drops the handler's future, and with it the request for the lock, or the lock.
//!
//! The rest plays it through: two instances on loopback, twenty requests at once to both, one request that meets a lock which
//! is held for too long, and one that loses its lock to an operator.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use rm_core::command::{Action, Command, Force};
use rm_core::id::ResourceKey;
use rm_core::resource::ResourceType as _;
use rm_net::{Client, Node, Operator};
use rm_rwlock::fencing::{Mark, Refused};
use rm_rwlock::{AcquireError, LostReason, RwLockType};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

type Outcome = Result<(), Box<dyn Error + Send + Sync>>;

/// A request waits so long for the lock. It should be well below the patience of those who call.
const WAIT: Duration = Duration::from_millis(500);
/// Who waited for too long is told in whose way it was, where that is known within so long.
const NAMING: Duration = Duration::from_millis(250);
/// Who got no lock should ask again after so many seconds.
const RETRY_AFTER: &str = "1";

/// What an instance of the service has: its client, and the store that all instances share.
#[derive(Clone)]
struct Service {
    locks: Client,
    store: Arc<Store>,
}

impl Service {
    fn router(self) -> Router {
        Router::new()
            .route("/volumes/{name}", get(size))
            .route("/volumes/{name}/grow", post(grow))
            .with_state(self)
    }
}

/// Tells the size. Readers do not keep each other out.
async fn size(State(service): State<Service>, Path(name): Path<String>) -> Result<String, Failure> {
    let lock = service.locks.rw_lock(format!("volumes/{name}"));
    let mut reader = lock.read().timeout(WAIT).label("GET size").await;
    if is_timeout(&reader) {
        reader = named(reader, lock.try_read().label("GET size")).await;
    }
    let reader = reader?;
    let size = service.store.size(&name, reader.fence())?;
    Ok(format!("{size}\n"))
}

/// Makes the volume larger by one. It reads, and acts on what it read; so the store hears of the token first.
async fn grow(State(service): State<Service>, Path(name): Path<String>) -> Result<String, Failure> {
    let lock = service.locks.rw_lock(format!("volumes/{name}"));
    let mut writer = lock.write().timeout(WAIT).label("POST grow").await;
    if is_timeout(&writer) {
        writer = named(writer, lock.try_write().label("POST grow")).await;
    }
    let writer = writer?;
    let work = async {
        let size = service.store.open(&name, writer.fence())?;
        service.store.work(&name).await;
        service.store.resize(&name, writer.fence(), size + 1)?;
        Ok(format!("{}\n", size + 1))
    };
    tokio::select! {
        done = work => done,
        why = writer.lost() => Err(Failure::Lost(why)),
    }
}

/// Whoever waited for too long tries once more without waiting. That costs a round trip, and the answer names those in the
/// way; one that waits is not told who they are while they are at another node.
const fn is_timeout<G>(outcome: &Result<G, AcquireError>) -> bool {
    matches!(outcome, Err(AcquireError::Timeout { .. }))
}

/// What the second try comes to; where that takes too long, the first.
async fn named<G>(
    late: Result<G, AcquireError>,
    again: impl IntoFuture<Output = Result<G, AcquireError>>,
) -> Result<G, AcquireError> {
    let again = tokio::time::timeout(NAMING, again.into_future()).await;
    again.unwrap_or(late)
}

/// Why a request was not served.
#[derive(Debug)]
enum Failure {
    /// There was no lock: nothing was done.
    NoLock(AcquireError),
    /// It was lost on the way: something may have been done.
    Lost(LostReason),
    /// The store knows of a later holder.
    Late(Refused),
}

impl From<AcquireError> for Failure {
    fn from(error: AcquireError) -> Self {
        Self::NoLock(error)
    }
}

impl From<Refused> for Failure {
    fn from(error: Refused) -> Self {
        Self::Late(error)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // It names those in the way.
            Self::NoLock(error) => write!(f, "nothing was changed: {error}"),
            Self::Lost(why) => write!(f, "look at the volume before you ask again: {why}"),
            Self::Late(refused) => write!(f, "look at the volume before you ask again: {refused}"),
        }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let status = match &self {
            // A name that is none, or more than the server allows: to ask again is of no use.
            Self::NoLock(AcquireError::BadName(_)) => StatusCode::BAD_REQUEST,
            Self::NoLock(_) | Self::Lost(_) | Self::Late(_) => StatusCode::SERVICE_UNAVAILABLE,
        };
        let retry: [(HeaderName, &str); 1] = [(header::RETRY_AFTER, RETRY_AFTER)];
        (status, retry, format!("{self}\n")).into_response()
    }
}

/// Stands for a database: the size of each volume, and the mark of its lock, changed together.
struct Store {
    volumes: Mutex<BTreeMap<String, (Mark, u64)>>,
    /// Work on the volume called `slow` takes until somebody adds a permit here.
    go_on: Semaphore,
}

impl Store {
    fn size(&self, name: &str, token: u64) -> Result<u64, Refused> {
        self.with(name, |mark, size| {
            mark.admit_read(token)?;
            Ok(*size)
        })
    }

    /// The size, for who will write. From here on nobody with a smaller token gets in.
    fn open(&self, name: &str, token: u64) -> Result<u64, Refused> {
        self.with(name, |mark, size| {
            *mark = mark.admit_write(token)?;
            Ok(*size)
        })
    }

    fn resize(&self, name: &str, token: u64, new: u64) -> Result<(), Refused> {
        self.with(name, |mark, size| {
            *mark = mark.admit_write(token)?;
            *size = new;
            Ok(())
        })
    }

    async fn work(&self, name: &str) {
        if name == "slow"
            && let Ok(permit) = self.go_on.acquire().await
        {
            permit.forget(); // each lets one go on
        }
        tokio::task::yield_now().await;
    }

    fn with<R>(&self, name: &str, act: impl FnOnce(&mut Mark, &mut u64) -> R) -> R {
        let mut volumes = self.volumes.lock().unwrap_or_else(PoisonError::into_inner);
        let (mark, size) = volumes.entry(name.to_owned()).or_default();
        act(mark, size)
    }
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
pub(crate) async fn main() -> Outcome {
    let dir = tempfile::tempdir()?;
    let server = Node::builder().listen("127.0.0.1:0").data_dir(dir.path());
    let server = server.start().await?;
    let endpoint = server.local_addr().ok_or("it listens")?.to_string();
    let store = Arc::new(Store {
        volumes: Mutex::default(),
        go_on: Semaphore::new(0),
    });
    let mut instances = Vec::new();
    for name in ["web-1", "web-2"] {
        let locks = Client::builder().name(name).endpoint(&endpoint);
        let locks = locks.connect().await?;
        let store = Arc::clone(&store);
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        instances.push(listener.local_addr()?.to_string());
        let service = Service { locks, store };
        tokio::spawn(async move { axum::serve(listener, service.router()).await });
    }
    let [one, other] = &instances[..] else {
        return Err("there are two".into());
    };

    many_at_once(&instances).await?;
    held_for_too_long(one, other, &store).await?;
    taken_away(one, &endpoint).await?;
    server.stop().await;
    Ok(())
}

/// Whoever reads and writes under the lock loses no update.
async fn many_at_once(instances: &[String]) -> Outcome {
    let mut requests = JoinSet::new();
    for turn in 0..20 {
        let instance = instances[turn % instances.len()].clone();
        requests.spawn(async move { http(&instance, "POST /volumes/v1/grow").await });
    }
    let mut grown = 0;
    while let Some(answer) = requests.join_next().await {
        grown += usize::from(answer??.starts_with("HTTP/1.0 200"));
    }
    let size = http(&instances[0], "GET /volumes/v1").await?;
    println!(
        "{grown} of 20 requests were served, and the size is {}",
        body(&size)
    );
    expect(body(&size) == grown.to_string(), "no update was lost")
}

/// Whoever waits for too long is told who is in the way.
async fn held_for_too_long(one: &str, other: &str, store: &Store) -> Outcome {
    let slow = start(one, "POST /volumes/slow/grow");
    let answer = poll_until(other, "GET /volumes/slow", |it| it.contains(" 503 ")).await?;
    println!("503: {}", body(&answer));
    expect(
        answer.contains("retry-after: 1"),
        "it says when to come again",
    )?;
    expect(
        answer.contains("web-1") && answer.contains("POST grow"),
        "it says who",
    )?;
    store.go_on.add_permits(1);
    let answer = slow.await??;
    println!("then the first one ends, and the size is {}", body(&answer));
    expect(body(&answer) == "1", "it was served")
}

/// Whoever loses the lock stops.
async fn taken_away(one: &str, endpoint: &str) -> Outcome {
    let slow = start(one, "POST /volumes/slow/grow");
    poll_until(one, "GET /volumes/slow", |it| it.contains(" 503 ")).await?;
    let mut operator = Operator::connect(endpoint, Duration::from_secs(5)).await?;
    let action = Action::Release {
        type_id: RwLockType::ID,
        key: ResourceKey::new(b"volumes/slow")?,
        force: Force::Polite,
    };
    let (reason, by) = ("it hangs".into(), "the operator".into());
    operator.order(Command { action, reason, by }).await?;
    let answer = slow.await??;
    println!("503: {}", body(&answer));
    expect(answer.contains("released by force"), "it was told")?;
    operator.close().await;
    Ok(())
}

/// Sends a request in a task of its own.
fn start(
    address: &str,
    line: &'static str,
) -> tokio::task::JoinHandle<Result<String, std::io::Error>> {
    let address = address.to_owned();
    tokio::spawn(async move { http(&address, line).await })
}

/// Asks until the answer is like that.
async fn poll_until(
    address: &str,
    line: &str,
    is_right: impl Fn(&str) -> bool,
) -> Result<String, Box<dyn Error + Send + Sync>> {
    for _ in 0..1_000 {
        let answer = http(address, line).await?;
        if is_right(&answer) {
            return Ok(answer);
        }
    }
    Err(format!("{line} is not answered as it should be").into())
}

/// As small as a client of HTTP can be.
async fn http(address: &str, line: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!("{line} HTTP/1.0\r\nHost: {address}\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}

fn body(answer: &str) -> &str {
    answer.split("\r\n\r\n").nth(1).unwrap_or_default().trim()
}

fn expect(is_so: bool, what: &str) -> Outcome {
    if is_so { Ok(()) } else { Err(what.into()) }
}
