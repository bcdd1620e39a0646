//! A layer for services of `tower` (feature `tower`): each request is served under a lock that it names.
//!
//! A function says which lock a request needs, and in which mode. The layer takes it before the service is called, waits
//! a bounded time, and puts a [`RequestLock`] into the request's extensions: with the fencing token for the store, and
//! with what tells a loss.
//!
//! **How long it is held.** Until the service's future is done, thus until there is a response, and for as long as anybody has a
//! clone of the [`RequestLock`]. A handler that goes on reading or writing while its body streams moves a clone into the
//! body.
//!
//! **Errors.** A request that gets no lock fails with [`AcquireError`] in a box, as the layers of `tower` do that give up; it
//! names those in the way. With `axum`, a `HandleErrorLayer` makes an answer of it, such as 503 with `Retry-After`.
//!
//! **Loss.** The layer does not interrupt the service. A handler that must stop asks [`RequestLock::lost`].
//!
//! **Cancellation.** Dropping the future withdraws the request for the lock, or gives the lock back.
//!
//! **Readiness.** The layer is ready when the service is. What the service reserves to be ready, such as a slot of a
//! limit, is kept while the request waits for its lock: so limits go outside of this layer, where they also bound how many
//! requests wait.
//!
//! ```
//! # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
//! use axum::error_handling::HandleErrorLayer;
//! use axum::http::{StatusCode, header};
//! use axum::{BoxError, Extension, Router, routing::get};
//! use rm_net::tower::{LockLayer, RequestLock, by_method};
//! use tower::ServiceBuilder;
//!
//! # let client = rm_net::Node::standalone();
//! let locks = LockLayer::new(client.domain(), |request| {
//!     Some(by_method(&request.method, request.uri.path()))
//! });
//! let resize = |Extension(lock): Extension<RequestLock>| async move {
//!     format!("written with token {}", lock.fence())
//! };
//! let router: Router = Router::new().route("/volumes/{name}", get("10").post(resize)).layer(
//!     ServiceBuilder::new()
//!         .layer(HandleErrorLayer::new(|error: BoxError| async move {
//!             (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, "1")], error.to_string())
//!         }))
//!         .layer(locks),
//! );
//! # let _ = router;
//! # });
//! ```

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::request::Parts;
use http::{Method, Request};
use rm_core::front::Domain;
use rm_rwlock::all::{AnyGuard, Named};
use rm_rwlock::{AcquireError, LockMode, LostReason, RwLock};
use tower_layer::Layer;
use tower_service::Service;

/// How long a request waits for its lock, unless set otherwise.
const TIMEOUT: Duration = Duration::from_secs(1);
/// Who waited for too long is told in whose way it was, where that is known within so long.
const NAMING: Duration = Duration::from_millis(250);

/// An error of any type, as the layers of `tower` have it.
pub type BoxError = Box<dyn Error + Send + Sync>;

type Which = dyn Fn(&Parts) -> Option<Named> + Send + Sync;
type Label = dyn Fn(&Parts) -> Option<String> + Send + Sync;

/// Serves each request under the lock that it names. Cheap to clone.
#[derive(Clone)]
pub struct LockLayer {
    locks: Domain,
    which: Arc<Which>,
    timeout: Duration,
    label: Arc<Label>,
}

impl LockLayer {
    /// Takes locks of `locks`, such as [`Client::domain`](crate::Client::domain). `which` names the lock of a request; `None`: it
    /// needs none. It says the mode too, by [`Named::read`] or [`Named::write`], or as [`by_method`] has it.
    ///
    /// A name comes from a request, and so from whoever sends it: make it of what is checked, such as a route's parts. One that is
    /// no name, because it is empty or has more than 255 bytes, fails the request.
    pub fn new(
        locks: &Domain,
        which: impl Fn(&Parts) -> Option<Named> + Send + Sync + 'static,
    ) -> Self {
        Self {
            locks: locks.clone(),
            which: Arc::new(which),
            timeout: TIMEOUT,
            label: Arc::new(|request| Some(request.method.to_string())),
        }
    }

    /// What those who wait behind a request, traces and logs are told of it: its method by default. `None`: nothing.
    ///
    /// All who may ask for the lock can see it, also those who may not inspect anything: so no path, which often has
    /// secrets in it.
    #[must_use]
    pub fn label(
        mut self,
        label: impl Fn(&Parts) -> Option<String> + Send + Sync + 'static,
    ) -> Self {
        self.label = Arc::new(label);
        self
    }

    /// How long a request waits for its lock: 1 s by default. To learn who was in its way may take a quarter of a second more.
    #[must_use]
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }
}

/// The lock called `name`, to be read where the method is safe (GET, HEAD, OPTIONS, TRACE), and else to be written.
pub fn by_method(method: &Method, name: impl AsRef<[u8]>) -> Named {
    if method.is_safe() {
        Named::read(name)
    } else {
        Named::write(name)
    }
}

impl fmt::Debug for LockLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LockLayer")
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

impl<S> Layer<S> for LockLayer {
    type Service = Locked<S>;

    fn layer(&self, service: S) -> Locked<S> {
        Locked {
            service,
            layer: self.clone(),
        }
    }
}

/// The service that a [`LockLayer`] makes of another.
#[derive(Clone, Debug)]
pub struct Locked<S> {
    service: S,
    layer: LockLayer,
}

impl<S, B> Service<Request<B>> for Locked<S>
where
    S: Service<Request<B>, Error: Into<BoxError>, Future: Send> + Clone + Send + 'static,
    B: Send + 'static,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.service.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        // The one that is ready is called, and not the clone.
        let clone = self.service.clone();
        let mut service = std::mem::replace(&mut self.service, clone);
        let layer = self.layer.clone();
        let (mut parts, body) = request.into_parts();
        Box::pin(async move {
            let lock = match (layer.which)(&parts) {
                Some(named) => Some(RequestLock(Arc::new(take(&layer, &named, &parts).await?))),
                None => None,
            };
            if let Some(lock) = &lock {
                parts.extensions.insert(lock.clone());
            }
            let response = service.call(Request::from_parts(parts, body)).await;
            drop(lock);
            response.map_err(Into::into)
        })
    }
}

/// Takes the lock. Who waited for too long asks once more without waiting, but no longer than [`NAMING`]: the answer names
/// those in the way.
async fn take(layer: &LockLayer, named: &Named, parts: &Parts) -> Result<AnyGuard, AcquireError> {
    let lock = RwLock::new(&layer.locks, named.name());
    let label = (layer.label)(parts);
    let timeout = layer.timeout;
    // What each mode asks is of a type of its own.
    macro_rules! take {
        ($variant:ident, $ask:ident, $try_ask:ident) => {{
            let mut ask = lock.$ask().timeout(timeout);
            let mut again = lock.$try_ask();
            if let Some(label) = label {
                ask = ask.label(label.as_str());
                again = again.label(label);
            }
            let outcome = match ask.await {
                Err(late @ AcquireError::Timeout { .. }) => {
                    let named = tokio::time::timeout(NAMING, again.into_future()).await;
                    named.unwrap_or(Err(late))
                }
                other => other,
            };
            outcome.map(AnyGuard::$variant)
        }};
    }
    match named.mode() {
        LockMode::Read => take!(Read, read_owned, try_read_owned),
        LockMode::Upgradable => take!(Upgradable, upgradable_read_owned, try_upgradable_read_owned),
        LockMode::Write => take!(Write, write_owned, try_write_owned),
    }
}

/// The lock of a request: an extension of it. Clones are of one lock, which is given back with the last of them.
#[derive(Clone, Debug)]
#[must_use = "the lock is held for as long as a clone of this lives"]
pub struct RequestLock(Arc<AnyGuard>);

impl RequestLock {
    /// The fencing token, for the store that the lock guards: see [`Guard::fence`](rm_rwlock::Guard::fence).
    #[must_use]
    pub fn fence(&self) -> u64 {
        self.0.fence()
    }

    /// In which mode it is held.
    #[must_use]
    pub fn mode(&self) -> LockMode {
        self.0.mode()
    }

    /// Whether it may still be used, by this node's clock at this moment.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        self.0.is_valid()
    }

    /// How long it may still be used if its lease is not extended; `None` where no lease bounds it.
    #[must_use]
    pub fn valid_for(&self) -> Option<Duration> {
        self.0.valid_for()
    }

    /// Waits until it is lost, and says why. Never ends while it is valid. Cancel safe.
    pub async fn lost(&self) -> LostReason {
        match &*self.0 {
            AnyGuard::Read(guard) => guard.lost().await,
            AnyGuard::Upgradable(guard) => guard.lost().await,
            AnyGuard::Write(guard) => guard.lost().await,
        }
    }
}
