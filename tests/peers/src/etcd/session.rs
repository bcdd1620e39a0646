//! A session with etcd as its client library for Go has it: one connection, and a lease that is kept alive beside.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use http::uri::PathAndQuery;
use prost::Message;
use tokio::task::JoinHandle;
use tokio_stream::StreamExt as _;
use tonic::Status;
use tonic::client::Grpc;
use tonic::transport::{Channel, Endpoint};
use tonic_prost::ProstCodec;

use super::wire::{
    DELETED, DeleteRequest, DeleteResponse, KeepAliveRequest, KeepAliveResponse, LeaseGrantRequest,
    LeaseGrantResponse, RangeRequest, RangeResponse, Transaction, TransactionResponse, WatchCreate,
    WatchRequest, WatchResponse,
};
use crate::peer::failed;

/// What the library for Go asks for where nothing is said, in seconds.
const TTL: i64 = 60;
/// It keeps a lease alive three times in its length.
const KEEP_ALIVE: Duration = Duration::from_secs(20);

const DELETE: &str = "/etcdserverpb.KV/DeleteRange";
const GRANT: &str = "/etcdserverpb.Lease/LeaseGrant";
const KEEP: &str = "/etcdserverpb.Lease/LeaseKeepAlive";
const RANGE: &str = "/etcdserverpb.KV/Range";
const TXN: &str = "/etcdserverpb.KV/Txn";
const WATCH: &str = "/etcdserverpb.Watch/Watch";

#[derive(Debug)]
pub(super) struct Session {
    channel: Channel,
    pub(super) lease: i64,
    keeper: JoinHandle<()>,
    /// Why the lease is not kept any more.
    broken: std::sync::Arc<Mutex<Option<String>>>,
}

impl Session {
    pub(super) async fn connect(address: &str) -> Result<Self, String> {
        let endpoint = Endpoint::from_shared(format!("http://{address}"));
        let endpoint = endpoint.map_err(failed("etcd"))?.tcp_nodelay(true);
        let channel = endpoint.connect().await.map_err(failed("etcd"))?;
        let request = LeaseGrantRequest { ttl: TTL };
        let granted: LeaseGrantResponse = call(&channel, GRANT, request).await?;
        let broken = std::sync::Arc::<Mutex<Option<String>>>::default();
        let told = std::sync::Arc::clone(&broken);
        let kept = keep(channel.clone(), granted.id);
        let keeper = tokio::spawn(async move {
            let Err(why) = kept.await;
            *told.lock().unwrap_or_else(PoisonError::into_inner) = Some(why);
        });
        Ok(Self {
            channel,
            lease: granted.id,
            keeper,
            broken,
        })
    }

    pub(super) async fn transact(
        &self,
        transaction: Transaction,
    ) -> Result<TransactionResponse, String> {
        call(&self.channel, TXN, transaction).await
    }

    pub(super) async fn range(&self, request: RangeRequest) -> Result<RangeResponse, String> {
        call(&self.channel, RANGE, request).await
    }

    /// Deletes a key that must be there.
    pub(super) async fn delete(&self, key: bytes::Bytes) -> Result<(), String> {
        let answer: DeleteResponse = call(&self.channel, DELETE, DeleteRequest { key }).await?;
        if answer.deleted == 1 {
            return Ok(());
        }
        let broken = self.broken.lock();
        let why = broken.unwrap_or_else(PoisonError::into_inner).clone();
        let why = why.unwrap_or_else(|| "its key is gone".into());
        Err(format!("etcd: a lock was not held any more: {why}"))
    }

    /// Waits until that key is deleted, at that revision or after it.
    pub(super) async fn deleted(&self, key: bytes::Bytes, revision: i64) -> Result<(), String> {
        let create = WatchCreate {
            key,
            start_revision: revision,
        };
        let request = WatchRequest {
            create: Some(create),
        };
        // A watch lasts as long as nobody ends its requests.
        let requests = tokio_stream::once(request).chain(tokio_stream::pending());
        let answers = stream::<_, WatchResponse>(&self.channel, WATCH, requests).await;
        let mut answers = answers.map_err(failed("etcd"))?;
        while let Some(answer) = answers.message().await.map_err(failed("etcd"))? {
            if answer.events.iter().any(|event| event.kind == DELETED) {
                return Ok(());
            }
            if answer.canceled {
                break;
            }
        }
        Err("etcd: a watch ended".into())
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.keeper.abort();
    }
}

/// Keeps the lease alive, until that fails.
async fn keep(channel: Channel, id: i64) -> Result<std::convert::Infallible, String> {
    loop {
        tokio::time::sleep(KEEP_ALIVE).await;
        let request = tokio_stream::once(KeepAliveRequest { id });
        let answers = stream::<_, KeepAliveResponse>(&channel, KEEP, request).await;
        let answer = answers.map_err(failed("etcd"))?.message().await;
        let answer = answer.map_err(failed("etcd"))?;
        if answer.is_none_or(|answer| answer.ttl <= 0) {
            return Err("its lease ran out".into());
        }
    }
}

async fn call<A, B>(channel: &Channel, path: &'static str, message: A) -> Result<B, String>
where
    A: Message + Send + Sync + 'static,
    B: Message + Default + Send + Sync + 'static,
{
    let mut grpc = Grpc::new(channel.clone());
    grpc.ready().await.map_err(failed("etcd"))?;
    let path = PathAndQuery::from_static(path);
    let codec = ProstCodec::<A, B>::default();
    let answer = grpc.unary(tonic::Request::new(message), path, codec).await;
    Ok(answer.map_err(failed("etcd"))?.into_inner())
}

async fn stream<A, B>(
    channel: &Channel,
    path: &'static str,
    messages: impl tokio_stream::Stream<Item = A> + Send + 'static,
) -> Result<tonic::Streaming<B>, Status>
where
    A: Message + Send + Sync + 'static,
    B: Message + Default + Send + Sync + 'static,
{
    let mut grpc = Grpc::new(channel.clone());
    let ready = grpc.ready().await;
    ready.map_err(|error| Status::unavailable(error.to_string()))?;
    let path = PathAndQuery::from_static(path);
    let codec = ProstCodec::<A, B>::default();
    let answer = grpc.streaming(tonic::Request::new(messages), path, codec);
    Ok(answer.await?.into_inner())
}
