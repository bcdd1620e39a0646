//! This project: a client of `rmd` by TCP. Giving back is local, as the credit stays cached.

use rm_net::Client;
use rm_rwlock::{ReadGuard, RwLock, WriteGuard};

use crate::peer::{Mode, Peer, failed};

/// A client with a session of its own, and so with a cache of its own.
#[derive(Debug)]
pub(crate) struct Ours {
    client: Client,
}

/// A guard of either mode.
#[derive(Debug)]
pub(crate) enum Guard<'l> {
    Read(ReadGuard<'l>),
    Write(WriteGuard<'l>),
}

impl Ours {
    pub(crate) async fn connect(address: &str) -> Result<Self, String> {
        let client = Client::connect(address).await.map_err(failed("rmd"))?;
        Ok(Self { client })
    }
}

impl Peer for Ours {
    type Lock = RwLock;
    type Guard<'l> = Guard<'l>;

    fn lock(&self, name: &str) -> RwLock {
        self.client.rw_lock(name)
    }

    async fn acquire<'l>(&self, lock: &'l RwLock, mode: Mode) -> Result<Guard<'l>, String> {
        match mode {
            Mode::Read => lock.read().await.map(Guard::Read),
            Mode::Write => lock.write().await.map(Guard::Write),
        }
        .map_err(failed("rmd"))
    }

    async fn release(&self, guard: Self::Guard<'_>) -> Result<(), String> {
        // Dropping it gives it back.
        match guard {
            Guard::Read(guard) => drop(guard),
            Guard::Write(guard) => drop(guard),
        }
        Ok(())
    }
}
