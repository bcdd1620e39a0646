//! PostgreSQL: advisory locks of a session, `pg_advisory_lock` and `pg_advisory_lock_shared`, by prepared statements.
//!
//! A session that waits does nothing else, so every client has a connection of its own; that is how they are used. Names are
//! hashed to the 64 bits that the server knows.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use tokio_postgres::{Config, NoTls, Statement};

use crate::peer::{Mode, Peer, failed};

/// One session.
#[derive(Debug)]
pub(crate) struct Postgres {
    client: tokio_postgres::Client,
    read: Statement,
    write: Statement,
    unread: Statement,
    unwrite: Statement,
}

const READ: &str = "SELECT pg_advisory_lock_shared($1)";
const WRITE: &str = "SELECT pg_advisory_lock($1)";
const UNREAD: &str = "SELECT pg_advisory_unlock_shared($1)";
const UNWRITE: &str = "SELECT pg_advisory_unlock($1)";

impl Postgres {
    /// Connects as the user and to the database `postgres`, which a new cluster has.
    pub(crate) async fn connect(port: u16) -> Result<Self, String> {
        let mut config = Config::new();
        config.host("127.0.0.1").port(port);
        config.user("postgres").dbname("postgres");
        let (client, connection) = config.connect(NoTls).await.map_err(failed("postgres"))?;
        tokio::spawn(async move {
            // How it ended is told by whatever is asked next.
            let _ = connection.await;
        });
        let prepare = async |words| client.prepare(words).await.map_err(failed("postgres"));
        let [read, write, unread, unwrite] = [
            prepare(READ).await?,
            prepare(WRITE).await?,
            prepare(UNREAD).await?,
            prepare(UNWRITE).await?,
        ];
        Ok(Self {
            client,
            read,
            write,
            unread,
            unwrite,
        })
    }
}

impl Peer for Postgres {
    type Lock = i64;
    type Guard<'l> = (i64, Mode);

    fn lock(&self, name: &str) -> i64 {
        let mut hasher = DefaultHasher::new();
        name.hash(&mut hasher);
        hasher.finish().cast_signed()
    }

    async fn acquire(&self, &lock: &i64, mode: Mode) -> Result<(i64, Mode), String> {
        let statement = match mode {
            Mode::Read => &self.read,
            Mode::Write => &self.write,
        };
        let done = self.client.query_one(statement, &[&lock]).await;
        done.map(|_| (lock, mode)).map_err(failed("postgres"))
    }

    async fn release(&self, (lock, mode): Self::Guard<'_>) -> Result<(), String> {
        let statement = match mode {
            Mode::Read => &self.unread,
            Mode::Write => &self.unwrite,
        };
        let row = self.client.query_one(statement, &[&lock]).await;
        let had: bool = row
            .and_then(|row| row.try_get(0))
            .map_err(failed("postgres"))?;
        had.then_some(())
            .ok_or_else(|| "postgres: a lock was not held any more".into())
    }
}
