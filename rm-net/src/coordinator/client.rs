//! A connection to one endpoint of etcd: requests with a limit of time, and the watch.
//!
//! # Invariants
//!
//! * Every request ends within [`Client::patience`], with an answer or an error. A server is told the same limit, so what it
//!   has not begun by then it does not begin.
//! * A request is sent once; again only where the server refused the token and so did nothing.
//! * Whoever drops a future of this file stops waiting. Whether the request is done then is not known.

use std::error::Error;
use std::fs;
use std::path::Path;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::uri::PathAndQuery;
use prost::Message;
use rm_core::coordination::{Answer, Change, Compare, Key, Transaction};
use tokio::time::timeout;
use tokio_stream::StreamExt as _;
use tonic::client::Grpc;
use tonic::metadata::AsciiMetadataValue;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};
use tonic::{Code, Request, Status, Streaming};
use tonic_prost::ProstCodec;

use super::config::{CoordinatorError, EtcdConfig};
use super::generated as pb;
use super::keys::Keys;
use super::value;

const AUTHENTICATE: &str = "/etcdserverpb.Auth/Authenticate";
const LEASE_GRANT: &str = "/etcdserverpb.Lease/LeaseGrant";
const LEASE_KEEP_ALIVE: &str = "/etcdserverpb.Lease/LeaseKeepAlive";
const LEASE_REVOKE: &str = "/etcdserverpb.Lease/LeaseRevoke";
const RANGE: &str = "/etcdserverpb.KV/Range";
const STATUS: &str = "/etcdserverpb.Maintenance/Status";
const TXN: &str = "/etcdserverpb.KV/Txn";
const WATCH: &str = "/etcdserverpb.Watch/Watch";

/// More keys than that are not read: all of a cluster are far fewer.
const KEYS_MAX: i64 = 4_096;

/// A token of etcd's, and what it is got for.
#[derive(Debug)]
struct Login {
    user: (String, String),
    token: Mutex<Option<AsciiMetadataValue>>,
}

/// The endpoints, one after the other.
#[derive(Debug)]
pub(super) struct Client {
    config: EtcdConfig,
    /// How long anything may take.
    patience: Duration,
    next: usize,
}

impl Client {
    pub(super) const fn new(config: EtcdConfig, patience: Duration) -> Self {
        Self {
            config,
            patience,
            next: 0,
        }
    }

    /// How many endpoints there are.
    pub(super) const fn count(&self) -> u32 {
        // At most `ENDPOINTS_MAX`.
        self.config.endpoints.len() as u32
    }

    /// Connects to the next endpoint, and logs in.
    pub(super) async fn connect(&mut self) -> Result<Connection, CoordinatorError> {
        let endpoint = self.config.endpoints[self.next].clone();
        self.next = (self.next + 1) % self.config.endpoints.len();
        Connection::open(&self.config, &endpoint, self.patience).await
    }
}

/// One connection.
#[derive(Clone, Debug)]
pub(super) struct Connection {
    channel: Channel,
    endpoint: Arc<str>,
    keys: Keys,
    login: Option<Arc<Login>>,
    is_secure: bool,
    patience: Duration,
}

impl Connection {
    pub(super) async fn open(
        config: &EtcdConfig,
        endpoint: &str,
        patience: Duration,
    ) -> Result<Self, CoordinatorError> {
        let url = config.url(endpoint)?;
        let bad = |error: tonic::transport::Error| reach_error(endpoint, &url, &error);
        let mut way = Endpoint::from_shared(url.clone())
            .map_err(bad)?
            .connect_timeout(patience)
            .tcp_nodelay(true)
            .http2_keep_alive_interval(patience)
            .keep_alive_timeout(patience)
            .keep_alive_while_idle(true);
        if let Some(tls) = tls_config(config)? {
            way = way.tls_config(tls).map_err(bad)?;
        }
        let silent = || unreachable(endpoint, format!("no answer within {patience:?}"));
        let channel = timeout(patience, way.connect()).await;
        let channel = channel.map_err(|_| silent())?.map_err(bad)?;
        let login = config.user.clone().map(|user| {
            Arc::new(Login {
                user,
                token: Mutex::new(None),
            })
        });
        let connection = Self {
            channel,
            endpoint: endpoint.into(),
            keys: Keys::new(config.prefix.clone()),
            login,
            is_secure: config.tls.is_some(),
            patience,
        };
        connection.log_in().await?;
        Ok(connection)
    }

    pub(super) fn keys(&self) -> Keys {
        self.keys.clone()
    }

    /// An error at this endpoint.
    pub(super) fn broken(&self, what: impl Into<String>) -> CoordinatorError {
        unreachable(&self.endpoint, what.into())
    }

    /// Everything below the prefix.
    pub(super) async fn read(&self) -> Result<pb::RangeResponse, CoordinatorError> {
        let request = pb::RangeRequest {
            key: self.keys.begin().into(),
            range_end: self.keys.end().into(),
            limit: KEYS_MAX,
        };
        let read: pb::RangeResponse = self.call(RANGE, request).await?;
        if read.more {
            return Err(CoordinatorError::Damaged {
                key: String::from_utf8_lossy(&self.keys.begin()).into_owned(),
                what: format!("there are more than {KEYS_MAX} keys"),
            });
        }
        Ok(read)
    }

    /// Does a transaction. New records hang on that lease of etcd's.
    pub(super) async fn transact(
        &self,
        transaction: &Transaction,
        lease: i64,
    ) -> Result<Answer, CoordinatorError> {
        let request = pb::TxnRequest {
            compare: transaction
                .compares
                .iter()
                .map(|it| self.compare(it))
                .collect(),
            success: transaction
                .changes
                .iter()
                .map(|it| self.change(it, lease))
                .collect(),
        };
        let answer: pb::TxnResponse = self.call(TXN, request).await?;
        let revision = answer.header.map_or(0, |header| header.revision);
        Ok(if answer.succeeded {
            Answer::Done {
                revision: u64::try_from(revision).unwrap_or(0),
            }
        } else {
            Answer::Refused
        })
    }

    /// Makes a lease of etcd's.
    pub(super) async fn grant(&self, ttl: Duration) -> Result<i64, CoordinatorError> {
        let ttl = i64::try_from(ttl.as_secs()).unwrap_or(i64::MAX);
        let request = pb::LeaseGrantRequest { ttl };
        let answer: pb::LeaseGrantResponse = self.call(LEASE_GRANT, request).await?;
        Ok(answer.id)
    }

    /// Keeps a lease of etcd's alive. Returns whether there is one.
    pub(super) async fn keep_alive(&self, id: i64) -> Result<bool, CoordinatorError> {
        let request = pb::LeaseKeepAliveRequest { id };
        let ask = async {
            let stream = tokio_stream::once(request);
            let mut answers = self.stream(LEASE_KEEP_ALIVE, stream).await?;
            let answer: Option<pb::LeaseKeepAliveResponse> = answers.message().await?;
            Ok(answer.is_some_and(|answer| answer.ttl > 0))
        };
        self.within(ask).await
    }

    /// Ends a lease of etcd's, and deletes what hangs on it.
    pub(super) async fn revoke(&self, id: i64) -> Result<(), CoordinatorError> {
        let request = pb::LeaseRevokeRequest { id };
        let _: pb::LeaseRevokeResponse = self.call(LEASE_REVOKE, request).await?;
        Ok(())
    }

    /// What happens below the prefix from that revision on.
    pub(super) async fn watch(
        &self,
        from: u64,
    ) -> Result<Streaming<pb::WatchResponse>, CoordinatorError> {
        let create = pb::WatchCreateRequest {
            key: self.keys.begin().into(),
            range_end: self.keys.end().into(),
            start_revision: i64::try_from(from).unwrap_or(i64::MAX),
        };
        let create = pb::watch_request::RequestUnion::CreateRequest(create);
        let request = pb::WatchRequest {
            request_union: Some(create),
        };
        // A watch lasts as long as nobody ends its requests.
        let requests = tokio_stream::once(request).chain(tokio_stream::pending());
        self.within(self.stream(WATCH, requests)).await
    }

    pub(super) async fn status(&self) -> Result<pb::StatusResponse, CoordinatorError> {
        self.call(STATUS, pb::StatusRequest {}).await
    }

    fn compare(&self, compare: &Compare) -> pb::Compare {
        use pb::compare::{CompareTarget, TargetUnion};
        let (key, target, union) = match compare {
            Compare::Absent(key) => (key, CompareTarget::Create, TargetUnion::CreateRevision(0)),
            Compare::Created(key, revision) => {
                let revision = TargetUnion::CreateRevision(signed(*revision));
                (key, CompareTarget::Create, revision)
            }
            Compare::Modified(key, revision) => {
                let revision = TargetUnion::ModRevision(signed(*revision));
                (key, CompareTarget::Mod, revision)
            }
        };
        pb::Compare {
            result: pb::compare::CompareResult::Equal.into(),
            target: target.into(),
            key: self.keys.text(key).into(),
            target_union: Some(union),
        }
    }

    fn change(&self, change: &Change, lease: i64) -> pb::RequestOp {
        use pb::request_op::Request;
        let put = |key: &Key, value: Vec<u8>, lease| {
            Request::RequestPut(pb::PutRequest {
                key: self.keys.text(key).into(),
                value: value.into(),
                lease,
            })
        };
        let request = match change {
            Change::PutRecord(key, record) => {
                put(&Key::Record(key.clone()), value::of_record(record), lease)
            }
            Change::PutView(view) => put(&Key::View, value::of_view(view), 0),
            Change::Delete(key) => Request::RequestDeleteRange(pb::DeleteRangeRequest {
                key: self.keys.text(&Key::Record(key.clone())).into(),
            }),
        };
        pb::RequestOp {
            request: Some(request),
        }
    }

    /// One request and its answer. Where the token is refused, a new one is got, and the request sent again.
    async fn call<A, B>(&self, path: &'static str, message: A) -> Result<B, CoordinatorError>
    where
        A: Message + Clone + Send + Sync + 'static,
        B: Message + Default + Send + Sync + 'static,
    {
        let ask = async {
            match self.send(path, message.clone()).await {
                Err(status) if self.login.is_some() && is_about_token(&status) => {
                    self.log_in().await.map_err(|error| {
                        Status::unauthenticated(format!("{}: {error}", status.message()))
                    })?;
                    self.send(path, message).await
                }
                answer => answer,
            }
        };
        self.within(ask).await
    }

    async fn send<A, B>(&self, path: &'static str, message: A) -> Result<B, Status>
    where
        A: Message + Send + Sync + 'static,
        B: Message + Default + Send + Sync + 'static,
    {
        let mut grpc = Grpc::new(self.channel.clone());
        ready(&mut grpc).await?;
        let mut request = self.request(message);
        request.set_timeout(self.patience);
        let path = PathAndQuery::from_static(path);
        let codec = ProstCodec::<A, B>::default();
        grpc.unary(request, path, codec)
            .await
            .map(tonic::Response::into_inner)
    }

    async fn stream<A, B>(
        &self,
        path: &'static str,
        messages: impl tokio_stream::Stream<Item = A> + Send + 'static,
    ) -> Result<Streaming<B>, Status>
    where
        A: Message + Send + Sync + 'static,
        B: Message + Default + Send + Sync + 'static,
    {
        let mut grpc = Grpc::new(self.channel.clone());
        ready(&mut grpc).await?;
        let mut request = self.request(messages);
        // A server that has lost its cluster ends the stream instead of staying silent.
        let has_leader = AsciiMetadataValue::from_static("true");
        request.metadata_mut().insert("hasleader", has_leader);
        let path = PathAndQuery::from_static(path);
        let codec = ProstCodec::<A, B>::default();
        grpc.streaming(request, path, codec)
            .await
            .map(tonic::Response::into_inner)
    }

    fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        let token = self.login.as_ref().and_then(|login| {
            let token = login.token.lock();
            token.unwrap_or_else(PoisonError::into_inner).clone()
        });
        if let Some(token) = token {
            request.metadata_mut().insert("token", token);
        }
        request
    }

    /// Gets a token, where there is a user.
    async fn log_in(&self) -> Result<(), CoordinatorError> {
        let Some(login) = &self.login else {
            return Ok(());
        };
        let (name, password) = login.user.clone();
        // An old token would have the request refused.
        *login.token.lock().unwrap_or_else(PoisonError::into_inner) = None;
        let request = pb::AuthenticateRequest { name, password };
        let answer = timeout(self.patience, self.send(AUTHENTICATE, request)).await;
        let answer: Result<pb::AuthenticateResponse, Status> =
            answer.map_err(|_| self.broken(format!("no answer within {:?}", self.patience)))?;
        let refused = |what: &str| CoordinatorError::Authentication {
            endpoint: self.endpoint.to_string(),
            what: what.into(),
        };
        let token = match answer {
            Ok(answer) => answer.token,
            // Nobody needs to log in there.
            Err(status) if status.message().contains("not enabled") => return Ok(()),
            Err(status) if status.message().contains("authentication failed") => {
                return Err(refused(status.message()));
            }
            Err(status) => return Err(self.fail(&status)),
        };
        let token = token.parse().map_err(|_| refused("its token is no text"))?;
        *login.token.lock().unwrap_or_else(PoisonError::into_inner) = Some(token);
        Ok(())
    }

    async fn within<T>(
        &self,
        ask: impl Future<Output = Result<T, Status>>,
    ) -> Result<T, CoordinatorError> {
        let ask = pin!(ask);
        match timeout(self.patience, ask).await {
            Ok(answer) => answer.map_err(|status| self.fail(&status)),
            Err(_) => Err(self.broken(format!("no answer within {:?}", self.patience))),
        }
    }

    /// What a status means, and what to do about it.
    pub(super) fn fail(&self, status: &Status) -> CoordinatorError {
        let endpoint = self.endpoint.to_string();
        let what = status.message().to_owned();
        match status.code() {
            Code::PermissionDenied => CoordinatorError::Permission {
                endpoint,
                what,
                prefix: String::from_utf8_lossy(&self.keys.begin()).into_owned(),
            },
            _ if is_about_token(status) => CoordinatorError::Authentication { endpoint, what },
            _ => {
                let text = chain(status.message(), status.source());
                if is_about_tls(&text) {
                    CoordinatorError::Tls {
                        endpoint,
                        what: text,
                    }
                } else if self.is_secure && text.contains("closed") {
                    // A server refuses a certificate after the handshake, without a word.
                    let hint = "if it goes on, etcd may not accept this node's certificate";
                    unreachable(&endpoint, format!("{text} ({hint})"))
                } else {
                    unreachable(&endpoint, text)
                }
            }
        }
    }
}

async fn ready(grpc: &mut Grpc<Channel>) -> Result<(), Status> {
    let ready = grpc.ready().await;
    ready.map_err(|error| Status::unavailable(chain(&error.to_string(), error.source())))
}

fn signed(revision: u64) -> i64 {
    i64::try_from(revision).unwrap_or(i64::MAX)
}

/// Whether a new token may help.
fn is_about_token(status: &Status) -> bool {
    let about = [
        "invalid auth token",
        "user name is empty",
        "auth store is old",
    ];
    status.code() == Code::Unauthenticated || about.iter().any(|it| status.message().contains(it))
}

fn unreachable(endpoint: &str, what: String) -> CoordinatorError {
    CoordinatorError::Unreachable {
        endpoint: endpoint.into(),
        what,
    }
}

fn reach_error(endpoint: &str, url: &str, error: &dyn Error) -> CoordinatorError {
    let what = chain(&error.to_string(), error.source());
    if url.starts_with("https://") && is_about_tls(&what) {
        let endpoint = endpoint.into();
        CoordinatorError::Tls { endpoint, what }
    } else {
        unreachable(endpoint, what)
    }
}

/// `rustls` and `tonic` hide what failed in texts.
fn is_about_tls(what: &str) -> bool {
    let what = what.to_ascii_lowercase();
    ["certificate", "tls", "handshake", "corrupt message"]
        .iter()
        .any(|it| what.contains(it))
}

/// What failed, and why, and why that.
fn chain(what: &str, mut cause: Option<&(dyn Error + 'static)>) -> String {
    let mut text = what.to_owned();
    while let Some(error) = cause {
        let next = error.to_string();
        if !text.contains(&next) {
            text = format!("{text}: {next}");
        }
        cause = error.source();
    }
    text
}

fn tls_config(config: &EtcdConfig) -> Result<Option<ClientTlsConfig>, CoordinatorError> {
    let Some(files) = &config.tls else {
        return Ok(None);
    };
    let mut tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(read(&files.ca)?));
    if let Some((certificate, key)) = &files.identity {
        tls = tls.identity(Identity::from_pem(read(certificate)?, read(key)?));
    }
    if let Some(name) = &files.server_name {
        tls = tls.domain_name(name);
    }
    Ok(Some(tls))
}

fn read(path: &Path) -> Result<Vec<u8>, CoordinatorError> {
    fs::read(path).map_err(|error| CoordinatorError::File {
        path: path.into(),
        what: error.to_string(),
    })
}
