//! The future of one request, and what it ends in.

use core::fmt;
use core::future::Future;
use core::ops::Deref;
use core::pin::Pin;
use core::sync::atomic::{AtomicU32, Ordering};
use core::task::{Context, Poll};
use core::time::Duration;
use std::sync::Arc;

use thiserror::Error;

use super::ask::Ask;
use super::gate::Door;
use super::resource::{Claim, Decided, Resource, Started};
use super::trace::Watched;
use super::wanted::{Lost, Wanted};
use crate::error::{Denied, LostReason};
use crate::id::{BadName, Note, Token};
use crate::message::{Blocker, BlockerKind, Blockers};
use crate::resource::ResourceType;
use crate::time::Time;
use crate::trace::TraceContext;
use crate::value::{Value, WriteError};

/// Why a request failed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum AcquireError {
    /// Not a name a resource can have.
    #[error(transparent)]
    BadName(#[from] BadName),
    /// Nothing that this kind of resource can be asked for; nobody was asked.
    #[error("cannot be asked for: {why}")]
    BadRequest {
        /// What is wrong with it, and what to do.
        why: &'static str,
    },
    /// A `try`, and somebody has it or asked for it earlier.
    #[error("busy{}", list(holders))]
    Busy {
        /// Who is in the way, as far as that is known.
        holders: Vec<Holder>,
    },
    /// A rule of the server, or of one above it, forbids it. Asking again does not help before the rules change.
    #[error("not allowed: {why}")]
    NotAllowed {
        /// Which rule, whom it took this node for, and what it forbids.
        why: String,
    },
    /// The creditor refused: a limit is reached, or more was asked than there is.
    #[error("refused by the server: a limit is reached, or more was asked than there is")]
    Refused,
    /// The grant came, and was lost before the caller looked.
    #[error("lost again before it could be used: {0}")]
    SessionLost(LostReason),
    /// This node, or the server, is stopping or winding up.
    #[error("this node or its server is shutting down: ask again when it is back")]
    ShuttingDown,
    /// It waited as long as it was told to.
    #[error(
        "not granted within {waited:.1?}{}{}",
        older(*ahead),
        list(holders)
    )]
    Timeout {
        /// How long.
        waited: Duration,
        /// Who is in the way, as far as that is known.
        holders: Vec<Holder>,
        /// How many older requests waited at this node.
        ahead: u32,
    },
    /// There is no session with the server, and none came in the time that the request had.
    #[error("no connection to the server: is it running, and is the address right?")]
    Unavailable,
    /// Two holders that ask for more wait for each other, and this is the younger.
    #[error(
        "deadlock: another holder asks for more too, and each waits for the other{}",
        list(holders)
    )]
    WouldDeadlock {
        /// Who is in the way, as far as that is known.
        holders: Vec<Holder>,
    },
}

impl AcquireError {
    /// Who is in the way, as far as that is known and has anything to do with it.
    #[must_use]
    pub fn holders(&self) -> &[Holder] {
        match self {
            Self::Busy { holders }
            | Self::Timeout { holders, .. }
            | Self::WouldDeadlock { holders } => holders,
            Self::BadName(_)
            | Self::BadRequest { .. }
            | Self::NotAllowed { .. }
            | Self::Refused
            | Self::SessionLost(_)
            | Self::ShuttingDown
            | Self::Unavailable => &[],
        }
    }
}

/// Somebody in the way.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Holder {
    /// The name of its node; empty where it is not known.
    pub node: String,
    /// What it called its request; empty if nothing.
    pub label: String,
    /// Its mode, such as `read`; empty where it is not known.
    pub mode: String,
    /// Whether it holds, waits, has not answered, or is a rule.
    pub kind: BlockerKind,
    /// Where its request belongs in a distributed trace, if it said so.
    pub trace: Option<TraceContext>,
}

impl From<Blocker> for Holder {
    fn from(blocker: Blocker) -> Self {
        let note = blocker.note.as_deref().cloned().unwrap_or_default();
        Self {
            trace: note.trace(),
            node: note.node,
            label: note.label,
            mode: note.mode,
            kind: blocker.kind,
        }
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let does = match self.kind {
            BlockerKind::Holder => "held",
            BlockerKind::Older => "asked for earlier",
            BlockerKind::Silent => "perhaps held",
            BlockerKind::Rule => return f.write_str(&in_words(self)),
        };
        let node = if self.node.is_empty() {
            "a node"
        } else {
            &self.node
        };
        write!(f, "{does} by {node}")?;
        if !self.mode.is_empty() {
            write!(f, " ({})", self.mode)?;
        }
        if !self.label.is_empty() {
            write!(f, " \"{}\"", self.label)?;
        }
        Ok(())
    }
}

/// A rule that forbids something.
fn in_words(rule: &Holder) -> String {
    let Holder {
        node, label, mode, ..
    } = rule;
    if label.starts_with("no ") {
        format!("{label} of the server lets {node} {mode} it")
    } else {
        format!("{label} of the server forbids {node} to {mode} it")
    }
}

/// How many older requests wait, where any do.
fn older(ahead: u32) -> String {
    match ahead {
        0 => String::new(),
        1 => "; an older request waits here too".into(),
        _ => format!("; {ahead} older requests wait here too"),
    }
}

/// The holders as the end of a sentence.
fn list(holders: &[Holder]) -> String {
    let mut text = String::new();
    for (index, holder) in holders.iter().enumerate() {
        text.push_str(if index == 0 { ": " } else { ", " });
        text.push_str(&holder.to_string());
    }
    text
}

/// The future of one request.
///
/// **Cancel safety.** Dropping it withdraws the request; if the grant came meanwhile, it is released and stays
/// cached. A caller that drops it and asks again has lost its place, nothing else.
#[must_use = "futures do nothing unless polled"]
pub struct Acquire<T: ResourceType, R: Deref<Target = Resource<T>>> {
    resource: Option<R>,
    ask: Ask<T::Level>,
    /// Apart, so that the future of a request that is served at once is small.
    waiting: Option<Box<Waiting>>,
}

/// A request that has been made and not been decided.
struct Waiting {
    token: Token,
    since: Time,
    /// Who listens or counts, where anybody does.
    watched: Option<Watched>,
}

impl<T: ResourceType, R: Deref<Target = Resource<T>>> Acquire<T, R> {
    /// Asks `resource` for something. Nothing happens before the first poll.
    pub const fn new(resource: R, ask: Ask<T::Level>) -> Self {
        Self {
            resource: Some(resource),
            ask,
            waiting: None,
        }
    }

    /// The resource, until the outcome is there.
    #[must_use]
    pub const fn resource(&self) -> Option<&R> {
        self.resource.as_ref()
    }
}

// Nothing in it is pinned.
impl<T: ResourceType, R: Deref<Target = Resource<T>>> Unpin for Acquire<T, R> {}

impl<T: ResourceType, R: Deref<Target = Resource<T>>> Future for Acquire<T, R> {
    type Output = Result<Held<T, R>, AcquireError>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let resource = this
            .resource
            .as_ref()
            .expect("a finished future is not polled again");
        if this.waiting.is_none()
            && let Some(door) = this.ask.door
            && this.ask.options.is_none()
            && let Some((pass, fence)) = resource.pass(door)
        {
            let resource = this.resource.take().expect("it was there above");
            return Poll::Ready(Ok(Held::new(resource, Claim::Gate(pass), fence)));
        }
        this.poll_at_lock(cx)
    }
}

impl<T: ResourceType, R: Deref<Target = Resource<T>>> Acquire<T, R> {
    #[inline(never)]
    fn poll_at_lock(&mut self, cx: &Context<'_>) -> Poll<Result<Held<T, R>, AcquireError>> {
        let resource = self
            .resource
            .as_deref()
            .expect("a finished future is not polled again");
        let decided = match &self.waiting {
            None => match resource.take_at_once(&self.ask) {
                Some((claim, fence)) => return Poll::Ready(Ok(self.hold(claim, fence))),
                None => self.start(cx),
            },
            Some(waiting) => match resource.poll(waiting.token, cx.waker()) {
                Poll::Pending => None,
                Poll::Ready(Decided { outcome, let_go }) => Some(Answer {
                    outcome: outcome.map(|fence| (Claim::Slot(waiting.token), fence)),
                    waited: resource.shared().host.now().since(waiting.since),
                    let_go,
                    watched: self.waiting.take().and_then(|waiting| waiting.watched),
                }),
            },
        };
        let Some(answer) = decided else {
            return Poll::Pending;
        };
        Poll::Ready(self.end(answer))
    }

    /// Asks the owner. `None`: it waits.
    fn start(&mut self, cx: &Context<'_>) -> Option<Answer> {
        let resource = self.resource.as_deref().expect("it is asked for");
        let (mut watched, trace) = Watched::acquire(resource, &self.ask);
        let outcome = match resource.start(&self.ask, trace, cx.waker()) {
            Started::Cached(claim, fence) => {
                if let Some(watched) = watched.take() {
                    watched.on_cached(fence);
                }
                Ok((claim, fence))
            }
            Started::Granted(claim, fence) => Ok((claim, fence)),
            Started::Denied(why) => Err(why),
            Started::Waiting(token, ahead) => {
                if let Some(watched) = &watched {
                    watched.on_waiting(ahead);
                }
                let since = resource.shared().host.now();
                self.waiting = Some(Box::new(Waiting {
                    token,
                    since,
                    watched,
                }));
                return None;
            }
        };
        Some(Answer {
            outcome,
            waited: Duration::ZERO,
            let_go: None,
            watched,
        })
    }

    fn end(&mut self, answer: Answer) -> Result<Held<T, R>, AcquireError> {
        let Answer {
            outcome,
            waited,
            let_go,
            watched,
        } = answer;
        match outcome {
            Ok((claim, fence)) => {
                let held = self.hold(claim, fence);
                if let Some(watched) = watched {
                    watched.on_granted(&held.resource, waited, fence, let_go.as_deref());
                }
                Ok(held)
            }
            Err(why) => {
                let resource = self.resource.take().expect("a request ends once");
                let error = explain(&resource, why, waited);
                if let Some(watched) = watched {
                    watched.on_failed(&resource, waited, &error);
                }
                Err(error)
            }
        }
    }

    /// Nobody looks for the outcome any more.
    #[cold]
    fn abandon(&mut self) {
        if let (Some(resource), Some(waiting)) = (&self.resource, self.waiting.take()) {
            resource.abandon(waiting.token);
            if let Some(watched) = waiting.watched {
                let waited = resource.shared().host.now().since(waiting.since);
                watched.on_cancelled(resource, waited);
            }
        }
    }

    fn hold(&mut self, claim: Claim, fence: u64) -> Held<T, R> {
        let resource = self.resource.take().expect("a request ends once");
        Held::new(resource, claim, fence)
    }
}

/// What became of a request.
struct Answer {
    outcome: Result<(Claim, u64), Denied>,
    waited: Duration,
    /// Who let go last, where that is in a distributed trace.
    let_go: Option<Arc<Note>>,
    watched: Option<Watched>,
}

pub(super) fn explain<T: ResourceType>(
    resource: &Resource<T>,
    why: Denied,
    waited: Duration,
) -> AcquireError {
    let named = |blockers: Blockers| blockers.into_iter().map(Holder::from).collect::<Vec<_>>();
    match why {
        Denied::Busy { blockers } if blockers.is_empty() && resource.is_cut_off() => {
            AcquireError::Unavailable
        }
        Denied::Busy { blockers } => AcquireError::Busy {
            holders: named(blockers),
        },
        Denied::Timeout { blockers, .. } if blockers.is_empty() && resource.is_cut_off() => {
            AcquireError::Unavailable
        }
        Denied::Timeout { blockers, ahead } => AcquireError::Timeout {
            waited,
            holders: named(blockers),
            ahead,
        },
        Denied::WouldDeadlock { blockers } => AcquireError::WouldDeadlock {
            holders: named(blockers),
        },
        Denied::NotAllowed { blockers } => {
            let mut named = named(blockers).into_iter();
            let rule = named.find(|blocker| blocker.kind == BlockerKind::Rule);
            AcquireError::NotAllowed {
                why: rule.map_or_else(
                    || "a rule of the server forbids it".into(),
                    |rule| rule.to_string(),
                ),
            }
        }
        Denied::Refused => AcquireError::Refused,
        Denied::Lost(why) => AcquireError::SessionLost(why),
        Denied::ShuttingDown => AcquireError::ShuttingDown,
    }
}

impl<T: ResourceType, R: Deref<Target = Resource<T>>> Drop for Acquire<T, R> {
    #[inline]
    fn drop(&mut self) {
        if self.waiting.is_some() {
            self.abandon();
        }
    }
}

impl<T: ResourceType, R: Deref<Target = Resource<T>>> fmt::Debug for Acquire<T, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Acquire")
            .field("ask", &self.ask)
            .finish_non_exhaustive()
    }
}

/// A granted request: the right to use what was asked for, until it is dropped or lost.
///
/// Dropping it is synchronous, cannot fail, and needs no runtime: the credit stays cached here.
#[must_use = "dropping it gives the right back"]
pub struct Held<T: ResourceType, R: Deref<Target = Resource<T>>> {
    pub(super) resource: R,
    pub(super) fence: u64,
    pub(super) claim: Claim,
    /// The number of the last notice that it was told of. Not one of the shim's: only guards of one hold share it, and
    /// nothing depends on who of them is told first.
    pub(super) told: AtomicU32,
    /// The hold goes on without this: kept by the node, or part of another.
    pub(super) is_handed_on: bool,
}

impl<T: ResourceType, R: Deref<Target = Resource<T>>> Held<T, R> {
    #[inline]
    pub(super) const fn new(resource: R, claim: Claim, fence: u64) -> Self {
        Self {
            resource,
            fence,
            claim,
            told: AtomicU32::new(0),
            is_handed_on: false,
        }
    }

    /// Passes the gate by that door, if it is open: without a lock, a message or a wait. Else `resource` comes back.
    ///
    /// [`Acquire`] begins with it, too.
    ///
    /// # Errors
    /// The handle, to ask by.
    #[inline(always)]
    pub fn pass(resource: R, door: Door) -> Result<Self, R> {
        match resource.pass(door) {
            Some((pass, fence)) => Ok(Self::new(resource, Claim::Gate(pass), fence)),
            None => Err(resource),
        }
    }

    /// Takes `ask` if it is cached here and nobody waits for it; by that door, if it may. Sends nothing, never waits.
    #[inline]
    pub fn try_cached(
        resource: R,
        ask: &T::Level,
        door: Option<Door>,
        label: Option<&str>,
    ) -> Option<Self> {
        let (claim, fence) = resource.take(ask, door, label)?;
        Some(Self::new(resource, claim, fence))
    }

    /// Another guard of the same hold, which is given back when the last of them is dropped. No credit moves, so nothing
    /// is in its way. They have the same fencing token, and are lost together.
    ///
    /// As long as several share it, it does not convert, and is not split, merged or kept.
    ///
    /// # Panics
    /// If it passed by [`Door::Sole`]: what is to be shared is asked for by another door, or none.
    pub fn share(&self) -> Self
    where
        R: Clone,
    {
        let other = Self::new(
            self.resource.clone(),
            self.resource.share(self.claim),
            self.fence,
        );
        // Relaxed: see the field.
        let told = self.told.load(Ordering::Relaxed);
        other.told.store(told, Ordering::Relaxed);
        other
    }

    /// The fencing token: larger than that of every conflicting hold that ended before this one began.
    #[must_use]
    #[inline]
    pub const fn fence(&self) -> u64 {
        self.fence
    }

    /// The resource.
    #[must_use]
    pub const fn resource(&self) -> &R {
        &self.resource
    }

    /// Whether it may still be used, by this node's clock at this moment. Once it may not, it never may again.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        self.resource.lost(self.claim).is_none()
    }

    /// How long it may still be used if its lease is not extended; zero once it was lost; `None` where no lease
    /// bounds it.
    #[must_use]
    pub fn valid_for(&self) -> Option<Duration> {
        self.resource.valid_for(self.claim)
    }

    /// Whether somebody waits for what is held, as far as this node knows.
    #[must_use]
    pub fn is_wanted(&self) -> bool {
        self.resource.is_wanted(self.claim)
    }

    /// Waits until somebody waits for what is held, and says who. Each begins to wait once, and is told once: the next
    /// call waits for the next. Where several began since the last call, it tells of the last; where none of them waits
    /// any more, of none. Fails when the hold is lost.
    ///
    /// A holder that lets go when it is told lets the others in early, and can ask again behind them. Several guards of
    /// one hold are each told; several who wait on one guard share its notices.
    ///
    /// **Cancel safety.** Dropping the future loses no notice.
    pub const fn wanted(&self) -> Wanted<'_, T, R> {
        Wanted::new(self)
    }

    /// The value of the resource, as the last writer left it; `None`: none was written. Sends nothing: it came with
    /// the credit.
    ///
    /// It is *doubtful* ([`Value::is_doubtful`]) where one who may have written later was lost.
    ///
    /// # Errors
    /// Why the hold was lost, if it was: others may have written since.
    pub fn value(&self) -> Result<Option<Arc<Value>>, LostReason> {
        self.resource.value(self.claim)
    }

    /// Writes the value of the resource: every hold that begins after this one has ended reads it. Sends nothing: it
    /// goes where the credit goes. Where this hold or its node is lost before that, what others read is doubtful.
    ///
    /// Empty bytes take no memory where nobody uses the resource; others are kept at the root for good.
    ///
    /// # Errors
    /// [`WriteError`]: nothing was written.
    pub fn set_value(&self, bytes: impl AsRef<[u8]>) -> Result<(), WriteError> {
        self.resource.set_value(self.claim, bytes.as_ref())
    }

    /// What the operator said who last took this resource away from this node by force: see
    /// [`Domain::release_reason`](super::Domain::release_reason).
    #[must_use]
    pub fn release_reason(&self) -> Option<Arc<str>> {
        let resource: &Resource<T> = &self.resource;
        let reasons = &resource.shared().reasons;
        reasons.of(T::ID, resource.key())
    }

    /// Waits until it is lost, and says why. Never ends while it is valid.
    ///
    /// **Cancel safety.** Dropping the future changes nothing; it can be asked for again.
    pub const fn lost(&self) -> Lost<'_, T, R> {
        Lost::new(self)
    }
}

impl<T: ResourceType, R: Deref<Target = Resource<T>>> Drop for Held<T, R> {
    #[inline]
    fn drop(&mut self) {
        if self.is_handed_on {
            return;
        }
        match self.claim {
            Claim::Gate(pass) => self.resource.leave_gate(pass),
            Claim::Slot(token) => self.resource.release(token),
        }
    }
}

impl<T: ResourceType, R: Deref<Target = Resource<T>>> fmt::Debug for Held<T, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Held")
            .field("resource", &*self.resource)
            .field("fence", &self.fence)
            .finish()
    }
}
