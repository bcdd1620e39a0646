//! Fencing in a SQL database: a table of marks, and one statement that compares and raises.
//!
//! The database keeps one row per lock in `rm_fence`. A transaction that writes under the lock starts with
//! [`Statements::admit_write`]. If that changes no row, a later hold has written: roll back. If it changes one, the row
//! stays locked until the transaction ends, so nobody can raise the mark between the comparison and the other
//! statements, and the mark rises if and only if they take effect.
//!
//! It is the *first* statement of the transaction (after [`Statements::register`], where that is not done beforehand).
//! What was read before it may be older than the lock. It is right in every isolation level from READ COMMITTED upward:
//! the comparison is made on the newest row, or the database reports a conflict, and the transaction is run again.
//!
//! ```
//! use rm_rwlock::fencing::sql::{SQLITE, bind};
//! use rusqlite::{Connection, TransactionBehavior, params};
//!
//! /// Resizes a volume under the lock `volumes/42`. False: a later holder was here.
//! fn resize(db: &mut Connection, fence: u64, size: u32) -> Result<bool, Box<dyn std::error::Error>> {
//!     let token = bind(fence)?;
//!     let name = b"volumes/42".as_slice();
//!     // Immediate: it waits for other writers here, and not in the middle.
//!     let transaction = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
//!     transaction.execute(SQLITE.register, params![name])?;
//!     if transaction.execute(SQLITE.admit_write, params![name, token])? == 0 {
//!         return Ok(false); // dropped, and thereby rolled back
//!     }
//!     transaction.execute("UPDATE volumes SET size = ? WHERE id = 42", params![size])?;
//!     transaction.commit()?;
//!     Ok(true)
//! }
//!
//! let mut db = Connection::open_in_memory()?;
//! db.execute(SQLITE.create_table, [])?;
//! db.execute_batch("CREATE TABLE volumes (id INTEGER, size INTEGER); INSERT INTO volumes VALUES (42, 0);")?;
//! assert!(resize(&mut db, 105, 20)?);
//! assert!(!resize(&mut db, 101, 10)?, "it has slept past its lease");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! **Reading.** A read under a lock asks for the mark ([`Statements::mark`]) in the same transaction and snapshot as
//! its data, and compares it with [`Mark::admit_read`]. No row means that nobody has written ([`Mark::NONE`]). It
//! changes nothing.
//!
//! **One row only.** If the lock guards a single row, the mark can live in it, as a column `fence BIGINT NOT NULL
//! DEFAULT 0`. Then one statement does it all, and again no changed row means refused (or that there is no such row):
//!
//! ```sql
//! UPDATE volumes SET size = :size, fence = :token WHERE id = :id AND fence <= :token
//! ```
//!
//! On MySQL that statement changes no row, either, where the same hold writes the same again, unless the connection
//! counts rows that were found (`CLIENT_FOUND_ROWS`).
//!
//! **Never delete** a row of `rm_fence`, or a guarded row that carries its mark: with the mark goes the memory of who
//! wrote last. Keep the row and mark it as deleted.
//!
//! [`Mark::admit_read`]: super::Mark::admit_read
//! [`Mark::NONE`]: super::Mark::NONE

use thiserror::Error;

use super::{Refused, is_exclusive};

/// The statements in one database's words. Parameters are bound in the order given with each; names of locks are bytes,
/// tokens are what [`bind`] gives.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Statements {
    /// Makes the table `rm_fence`, unless it is there. No parameters.
    ///
    /// The table itself refuses a mark that is not odd: a reader's token in [`admit_write`](Self::admit_write) violates
    /// the constraint.
    pub create_table: &'static str,
    /// Makes the row of a lock, unless it is there. Parameter: the name of the lock.
    ///
    /// Once for each lock is enough; doing it first in each transaction is as right.
    pub register: &'static str,
    /// Compares and raises. One changed row: admitted. None: refused, or the lock is not registered. Then roll back.
    ///
    /// Parameters for SQLite and PostgreSQL: the name of the lock, the token. For MySQL: the token, the name of the
    /// lock, the token.
    pub admit_write: &'static str,
    /// The mark of a lock, as [`Mark::stored`](super::Mark::stored) takes it; no row if the lock is not registered.
    /// Parameter: the name of the lock.
    pub mark: &'static str,
}

// A new row starts with 1: it is odd, and no writer has a smaller token. So the table needs no exception for "nobody".

/// SQLite, from 3.37 (tables that are `STRICT`).
pub const SQLITE: Statements = Statements {
    create_table: "CREATE TABLE IF NOT EXISTS rm_fence (
        resource BLOB NOT NULL PRIMARY KEY,
        mark INTEGER NOT NULL CHECK (mark % 2 = 1)
    ) STRICT, WITHOUT ROWID",
    register: "INSERT INTO rm_fence (resource, mark) VALUES (?1, 1) ON CONFLICT DO NOTHING",
    admit_write: "UPDATE rm_fence SET mark = ?2 WHERE resource = ?1 AND mark <= ?2",
    mark: "SELECT mark FROM rm_fence WHERE resource = ?1",
};

/// PostgreSQL, and databases that speak its dialect.
pub const POSTGRES: Statements = Statements {
    create_table: "CREATE TABLE IF NOT EXISTS rm_fence (
        resource BYTEA NOT NULL PRIMARY KEY,
        mark BIGINT NOT NULL CHECK (mark % 2 = 1)
    )",
    register: "INSERT INTO rm_fence (resource, mark) VALUES ($1, 1) ON CONFLICT DO NOTHING",
    admit_write: "UPDATE rm_fence SET mark = $2 WHERE resource = $1 AND mark <= $2",
    mark: "SELECT mark FROM rm_fence WHERE resource = $1",
};

/// MySQL from 8.0.16 (which enforces constraints), with InnoDB.
///
/// By default MySQL counts the rows that changed and not those that were found. `writes` changes always, so that the
/// same hold is not refused when it writes again.
pub const MYSQL: Statements = Statements {
    create_table: "CREATE TABLE IF NOT EXISTS rm_fence (
        resource VARBINARY(255) NOT NULL PRIMARY KEY,
        mark BIGINT NOT NULL CHECK (mark % 2 = 1),
        writes BIGINT NOT NULL DEFAULT 0
    ) ENGINE = InnoDB",
    register: "INSERT INTO rm_fence (resource, mark) VALUES (?, 1) ON DUPLICATE KEY UPDATE mark = mark",
    admit_write: "UPDATE rm_fence SET mark = ?, writes = writes + 1 WHERE resource = ? AND mark <= ?",
    mark: "SELECT mark FROM rm_fence WHERE resource = ?",
};

/// A writer's token as the signed number that databases have.
///
/// # Errors
/// [`BindError::Refused`] if the token is that of a shared hold; [`BindError::TooLarge`] if it has no signed form, which
/// takes 2^31 epochs.
pub const fn bind(token: u64) -> Result<i64, BindError> {
    if !is_exclusive(token) {
        return Err(BindError::Refused(Refused::NotExclusive { token }));
    }
    let signed = token.cast_signed();
    if signed < 0 {
        return Err(BindError::TooLarge { token });
    }
    Ok(signed)
}

/// Why a token cannot be bound in [`Statements::admit_write`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum BindError {
    /// It may not write.
    #[error(transparent)]
    Refused(Refused),
    /// It would be negative, and smaller than all others.
    #[error(
        "token {token} does not fit into a signed column: keep the mark in an unsigned or decimal one"
    )]
    TooLarge {
        /// The token.
        token: u64,
    },
}
