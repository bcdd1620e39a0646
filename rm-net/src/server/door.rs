//! The door of a server: how many may be there at once.
//!
//! Whoever called and has no session has one of [`CALLERS_MAX`] places at the door. A connection of a session has one of
//! [`CONNECTIONS_MAX`] inside, and none at the door. How many sessions there may be, and how many of one identity, is for
//! the registry of sessions to say; so however many sessions somebody has, the door is free for others.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use super::{SESSIONS_MAX, Server};
use crate::transport::Listeners;

/// Connections without a session at once. Later ones wait to be accepted.
const CALLERS_MAX: usize = 16_384;
/// Connections of sessions at once: one for each, and some that are closing, or about to replace another.
const CONNECTIONS_MAX: usize = 2 * SESSIONS_MAX + SESSIONS_MAX / 4;
/// Where a process has no more descriptors, it tries again after so long.
const ACCEPT_AGAIN: Duration = Duration::from_millis(50);

/// All places.
#[derive(Debug)]
struct Door {
    outside: Arc<Semaphore>,
    inside: Arc<Semaphore>,
}

/// The place of one connection. It is free when this is dropped.
#[derive(Debug)]
pub(crate) struct Spot {
    inside: Arc<Semaphore>,
    /// One at the door; of a connection that has entered, one inside.
    permit: OwnedSemaphorePermit,
}

impl Door {
    fn new(outside: usize, inside: usize) -> Self {
        let places = |count| Arc::new(Semaphore::new(count));
        Self {
            outside: places(outside),
            inside: places(inside),
        }
    }

    /// Waits for a place at the door. Cancel safe.
    async fn place(&self) -> Spot {
        let permit = Arc::clone(&self.outside).acquire_owned().await;
        Spot {
            inside: Arc::clone(&self.inside),
            permit: permit.expect("it is never closed"),
        }
    }
}

impl Spot {
    /// It has a session. Where no place inside is free, since many connections are closing, it keeps the one at the door.
    pub(crate) fn enter(mut self) -> Self {
        if let Ok(permit) = Arc::clone(&self.inside).try_acquire_owned() {
            self.permit = permit;
        }
        self
    }
}

/// Accepts connections until told to stop. Each is the business of whoever is the server at that moment.
pub(crate) async fn accept(
    listeners: Listeners,
    stopping: &CancellationToken,
    present: impl Fn() -> Option<Arc<Server>>,
) {
    let door = Door::new(CALLERS_MAX, CONNECTIONS_MAX);
    let mut is_failing = false;
    loop {
        let place = tokio::select! {
            place = door.place() => place,
            () = stopping.cancelled() => return,
        };
        let accepted = tokio::select! {
            accepted = listeners.accept() => accepted,
            () = stopping.cancelled() => return,
        };
        match accepted {
            Ok(caller) => {
                is_failing = false;
                // Without a server whoever called finds the connection closed, and calls again.
                let Some(server) = present() else {
                    continue;
                };
                tokio::spawn(async move {
                    let ended = server.hub.ended.clone();
                    tokio::select! {
                        () = server.serve(caller, place) => {}
                        () = ended.cancelled() => {}
                    }
                });
            }
            Err(error) => {
                // Once for each time that it begins: it is tried many times a second.
                if !std::mem::replace(&mut is_failing, true) {
                    tracing::warn!(%error, "cannot accept connections: is the limit of open files too low?");
                }
                tokio::time::sleep(ACCEPT_AGAIN).await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn sessions_leave_the_door_to_others_and_where_there_is_no_room_inside_none_is_made_up() {
        let door = Door::new(1, 1);
        let first = door.place().await.enter();
        let second = door.place().await.enter();
        let full = tokio::time::timeout(Duration::ZERO, door.place()).await;
        assert!(full.is_err(), "one is inside, one at the door");
        drop(first);
        drop(second);
        door.place().await;
    }
}
