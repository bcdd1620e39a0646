//! Questions to peers outside the sequence, and their answers.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rm_core::id::PeerId;
use rm_core::inspect::{Answer, Query};
use rm_core::session::packet::Body;
use tokio::sync::oneshot;

use crate::error::InspectError;
use crate::hub::Hub;
use crate::peer::Peer;

/// The questions that this node has asked and that have not been answered.
#[derive(Debug, Default)]
pub(crate) struct Inquiries {
    next: AtomicU64,
    /// By who was asked, and what the question is called: nobody answers for somebody else.
    open: Mutex<Open>,
}

type Open = HashMap<(PeerId, u64), oneshot::Sender<Answer>>;

impl Inquiries {
    /// Asks a peer, and waits for its answer.
    pub(crate) async fn ask(
        &self,
        hub: &Hub,
        peer: &Peer,
        query: Query,
        patience: Duration,
    ) -> Result<Answer, InspectError> {
        // Relaxed: only uniqueness counts.
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let (sender, receiver) = oneshot::channel();
        let asked = (peer.id, id);
        self.lock().insert(asked, sender);
        let _forget = Forget {
            inquiries: self,
            asked,
        };
        if !peer.say(Body::Inspect { id, query }, hub) {
            return Err(InspectError::Unavailable);
        }
        match tokio::time::timeout(patience, receiver).await {
            Ok(Ok(Answer::NotAllowed { text })) => Err(InspectError::NotAllowed { text }),
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(_)) => Err(InspectError::Unavailable),
            Err(_) => Err(InspectError::Timeout(patience)),
        }
    }

    /// An answer came. One that nobody waits for is dropped.
    pub(crate) fn on_answer(&self, from: PeerId, id: u64, answer: Answer) {
        if let Some(sender) = self.lock().remove(&(from, id)) {
            // Whoever asked may have gone.
            let _ = sender.send(answer);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Forgets a question when its asker is gone.
struct Forget<'a> {
    inquiries: &'a Inquiries,
    asked: (PeerId, u64),
}

impl Drop for Forget<'_> {
    fn drop(&mut self) {
        self.inquiries.lock().remove(&self.asked);
    }
}
