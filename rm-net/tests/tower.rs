//! The layer for services of `tower`: who gets which lock, for how long, and what happens where there is none.

use std::convert::Infallible;
use std::future::{Future, Ready, ready};
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use http::{Method, Request, Response};
use rm_net::Node;
use rm_net::tower::{BoxError, LockLayer, RequestLock, by_method};
use rm_rwlock::{AcquireError, LockMode};
use tower::{Layer, Service, ServiceExt, service_fn};

/// What a handler answers: the lock that it found with its request.
type Answer = Response<Option<RequestLock>>;

fn request(method: Method, path: &str) -> Request<()> {
    let request = Request::builder().method(method).uri(path).body(());
    request.expect("a request")
}

fn by_path(node: &Node) -> LockLayer {
    LockLayer::new(node.domain(), |request| {
        let name = request.uri.path().strip_prefix("/volumes/")?;
        Some(by_method(&request.method, name))
    })
}

/// Hands the lock on in its answer.
async fn hand_on(request: Request<()>) -> Result<Answer, Infallible> {
    Ok(Response::new(request.extensions().get().cloned()))
}

/// Never answers.
async fn hang(_: Request<()>) -> Result<Answer, Infallible> {
    std::future::pending().await
}

async fn answer(layer: &LockLayer, request: Request<()>) -> Option<RequestLock> {
    let answer = layer.layer(service_fn(hand_on)).oneshot(request).await;
    answer.expect("an answer").into_body()
}

#[tokio::test]
async fn a_request_that_changes_something_is_alone_and_has_the_token_of_a_writer() {
    let node = Node::standalone();
    let lock = answer(&by_path(&node), request(Method::POST, "/volumes/a")).await;
    let lock = lock.expect("it named one");
    assert_eq!((lock.mode(), lock.fence() % 2), (LockMode::Write, 1));
    assert!(lock.is_valid() && lock.valid_for().is_none());
    assert!(node.rw_lock("a").try_read().await.is_err());
    assert!(node.rw_lock("b").try_write().await.is_ok());
}

#[tokio::test]
async fn requests_that_only_read_share() {
    let node = Node::standalone();
    let layer = by_path(&node);
    let one = answer(&layer, request(Method::GET, "/volumes/a")).await;
    let other = answer(&layer, request(Method::HEAD, "/volumes/a")).await;
    let modes = [one, other].map(|lock| lock.map(|lock| lock.mode()));
    assert_eq!(modes, [Some(LockMode::Read); 2]);
}

#[tokio::test]
async fn a_request_that_names_no_lock_takes_none() {
    let node = Node::standalone();
    let lock = answer(&by_path(&node), request(Method::POST, "/health")).await;
    assert!(lock.is_none());
}

#[tokio::test]
async fn the_lock_lasts_as_long_as_the_last_clone() {
    let node = Node::standalone();
    let lock = answer(&by_path(&node), request(Method::POST, "/volumes/a")).await;
    let clone = lock.clone();
    drop(lock);
    assert!(node.rw_lock("a").try_write().await.is_err());
    drop(clone);
    assert!(node.rw_lock("a").try_write().await.is_ok());
}

#[tokio::test]
async fn who_waits_for_too_long_fails_and_hears_who_is_in_the_way() {
    let node = Node::standalone();
    let _held = answer(&by_path(&node), request(Method::PUT, "/volumes/a")).await;
    let layer = by_path(&node).timeout(Duration::from_millis(10));
    let service = layer.layer(service_fn(hand_on));
    let failed = service.oneshot(request(Method::GET, "/volumes/a")).await;
    let error: BoxError = failed.expect_err("it is held");
    let text = error.to_string();
    assert!(text.contains("\"PUT\""), "{text}");
    assert!(
        !text.contains("volumes"),
        "the path is nobody's business: {text}"
    );
    let error = error.downcast::<AcquireError>().expect("an error of ours");
    assert!(matches!(*error, AcquireError::Busy { .. }), "{error}");
}

#[tokio::test]
async fn a_name_that_is_none_fails_the_request() {
    let node = Node::standalone();
    let service = by_path(&node).layer(service_fn(hand_on));
    let failed = service.oneshot(request(Method::GET, "/volumes/")).await;
    let error = failed
        .expect_err("an empty name")
        .downcast::<AcquireError>();
    assert!(matches!(error.as_deref(), Ok(AcquireError::BadName(_))));
}

#[tokio::test]
async fn a_caller_that_hangs_up_gives_the_lock_back_and_withdraws_its_request() {
    let node = Node::standalone();
    let layer = by_path(&node);
    let mut cx = Context::from_waker(Waker::noop());
    {
        let write = || request(Method::POST, "/volumes/a");
        let mut served = pin!(layer.layer(service_fn(hang)).oneshot(write()));
        assert!(served.as_mut().poll(&mut cx).is_pending());
        let mut waits = pin!(layer.layer(service_fn(hand_on)).oneshot(write()));
        assert!(waits.as_mut().poll(&mut cx).is_pending());
        assert_eq!(node.totals().waiting, 1);
        assert!(node.rw_lock("a").try_read().await.is_err());
    }
    assert_eq!(node.totals().waiting, 0);
    assert!(node.rw_lock("a").try_write().await.is_ok());
}

/// Answers only where it was ready: a clone of it is not.
#[derive(Default)]
struct Strict {
    is_ready: bool,
}

impl Clone for Strict {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl Service<Request<()>> for Strict {
    type Response = ();
    type Error = Infallible;
    type Future = Ready<Result<(), Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.is_ready = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<()>) -> Self::Future {
        assert!(self.is_ready, "called before it was ready");
        ready(Ok(()))
    }
}

#[tokio::test]
async fn the_service_that_is_called_is_the_one_that_was_ready() {
    let node = Node::standalone();
    let mut service = by_path(&node).layer(Strict::default());
    for _ in 0..2 {
        let ready = ServiceExt::<Request<()>>::ready(&mut service).await;
        let call = ready
            .expect("ready")
            .call(request(Method::POST, "/volumes/a"));
        assert!(call.await.is_ok());
    }
}
