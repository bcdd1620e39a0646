//! The statements of [`rm_rwlock::fencing::sql`] in a real SQLite, with a connection for each holder.

use std::time::Duration;

use rm_rwlock::RwLock;
use rm_rwlock::doc::{block_on, domain};
use rm_rwlock::fencing::sql::{BindError, MYSQL, POSTGRES, SQLITE, bind};
use rm_rwlock::fencing::{Mark, Refused};
use rusqlite::{Connection, ErrorCode, TransactionBehavior, params};
use tempfile::TempDir;

const LOCK: &[u8] = b"volumes/42";

/// How SQLite keeps what is not committed: it decides who waits for whom.
#[derive(Clone, Copy, Debug)]
enum Journal {
    Rollback,
    WriteAhead,
}

/// A database in a file, opened once for each holder.
struct Database {
    dir: TempDir,
    first: Connection,
}

impl Database {
    fn new() -> Self {
        Self::with(Journal::Rollback)
    }

    fn with(journal: Journal) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let first = connect(&dir);
        let mode = match journal {
            Journal::Rollback => "DELETE",
            Journal::WriteAhead => "WAL",
        };
        first
            .pragma_update(None, "journal_mode", mode)
            .expect("set");
        let tables = "CREATE TABLE volumes (id INTEGER PRIMARY KEY, size INTEGER NOT NULL);
                      INSERT INTO volumes VALUES (42, 0)";
        first.execute_batch(tables).expect("made");
        first.execute(SQLITE.create_table, []).expect("made");
        first.execute(SQLITE.register, params![LOCK]).expect("made");
        Self { dir, first }
    }

    fn holder(&self, fence: u64) -> Holder {
        Holder {
            db: connect(&self.dir),
            fence,
        }
    }

    fn size(&self) -> u64 {
        let query = "SELECT size FROM volumes WHERE id = 42";
        self.first
            .query_row(query, [], |row| row.get(0))
            .expect("there")
    }

    fn mark(&self) -> Mark {
        mark(&self.first)
    }
}

fn connect(dir: &TempDir) -> Connection {
    let db = Connection::open(dir.path().join("db")).expect("opened");
    // Whoever is in the way is another holder of the same test, on the same thread.
    db.busy_timeout(Duration::ZERO).expect("set");
    // Nobody pulls the plug here.
    db.pragma_update(None, "synchronous", "OFF").expect("set");
    db
}

fn mark(db: &Connection) -> Mark {
    let found = db.query_row(SQLITE.mark, params![LOCK], |row| row.get(0));
    Mark::stored(found.expect("registered")).expect("odd")
}

/// A process that believes it holds the lock. Each writes its token as the size.
struct Holder {
    db: Connection,
    fence: u64,
}

/// The statements of a transaction, one by one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Statement {
    Begin,
    Admit,
    Write,
    Commit,
}

const TRANSACTION: [Statement; 4] = [
    Statement::Begin,
    Statement::Admit,
    Statement::Write,
    Statement::Commit,
];

/// What became of a statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ran {
    Done,
    /// No row changed: the transaction is rolled back.
    Refused,
    /// Another's transaction is open: try later.
    Busy,
}

impl Holder {
    fn run(&self, statement: Statement) -> Ran {
        let token = bind(self.fence).expect("a writer's");
        let ran = match statement {
            Statement::Begin => self.db.execute("BEGIN", []),
            Statement::Admit => self.db.execute(SQLITE.admit_write, params![LOCK, token]),
            Statement::Write => {
                let write = "UPDATE volumes SET size = ? WHERE id = 42";
                self.db.execute(write, params![token])
            }
            Statement::Commit => self.db.execute("COMMIT", []),
        };
        match ran {
            Ok(0) if statement == Statement::Admit => {
                self.db.execute("ROLLBACK", []).expect("rolled back");
                Ran::Refused
            }
            Ok(_) => Ran::Done,
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) => Ran::Busy,
            Err(error) => panic!("{statement:?} under {token}: {error}"),
        }
    }

    /// Runs a whole transaction.
    fn write(&self) -> Ran {
        for statement in TRANSACTION {
            match self.run(statement) {
                Ran::Done => {}
                ended @ (Ran::Refused | Ran::Busy) => return ended,
            }
        }
        Ran::Done
    }
}

#[test]
fn a_writer_that_wakes_late_is_refused() {
    let database = Database::new();
    let domain = domain();
    let lock = RwLock::new(&domain, LOCK);
    // Two holds after each other; the first process sleeps over its end, as a lost lease would have it.
    let sleeper = block_on(lock.write().into_future()).expect("free").fence();
    let next = block_on(lock.write().into_future()).expect("free").fence();
    assert_eq!(database.holder(next).write(), Ran::Done);
    assert_eq!(database.holder(sleeper).write(), Ran::Refused);
    assert_eq!(database.size(), next);
}

/// Two transactions in one order of their statements; `order` has a bit for each: who is next. Who is busy tries again.
fn interleave(database: &Database, holders: &[Holder; 2], order: u32) -> [Ran; 2] {
    let mut at = [0; 2];
    let mut ended = [None; 2];
    // Bits first, then both to their ends: one that is busy waits for the other.
    let turns = (0..8).map(|turn| (order >> turn & 1) as usize);
    for who in turns.chain([0, 1].into_iter().cycle().take(16)) {
        if ended[who].is_some() {
            continue;
        }
        match holders[who].run(TRANSACTION[at[who]]) {
            Ran::Done => at[who] += 1,
            Ran::Refused => ended[who] = Some(Ran::Refused),
            Ran::Busy => {}
        }
        if at[who] == TRANSACTION.len() {
            ended[who] = Some(Ran::Done);
            assert_eq!(database.mark().highest(), holders[who].fence);
        }
    }
    ended.map(|ended| ended.expect("both end"))
}

fn every_order(journal: Journal) {
    let database = Database::with(journal);
    let (mut refused, mut admitted) = (0, 0);
    for order in 0..1_u32 << 8 {
        let older = 1_001 + 10 * u64::from(order);
        let newer = older + 2;
        let holders = [database.holder(older), database.holder(newer)];
        let [first, second] = interleave(&database, &holders, order);
        let what = format!("{journal:?}, order {order:08b}");
        assert_eq!(second, Ran::Done, "{what}");
        assert_eq!(database.size(), newer, "{what}");
        assert_eq!(database.mark().highest(), newer, "{what}");
        refused += u32::from(first == Ran::Refused);
        admitted += u32::from(first == Ran::Done);
    }
    assert!(refused > 0 && admitted > 0, "both happen");
}

#[test]
fn in_every_order_of_the_statements_of_two_writers_the_later_hold_wins() {
    every_order(Journal::Rollback);
}

#[test]
fn in_every_order_the_later_hold_wins_with_a_write_ahead_log_too() {
    every_order(Journal::WriteAhead);
}

#[test]
fn the_same_hold_writes_twice() {
    let database = Database::new();
    let holder = database.holder(105);
    assert_eq!(holder.write(), Ran::Done);
    assert_eq!(holder.write(), Ran::Done);
}

#[test]
fn the_mark_rises_only_with_the_transaction() {
    let database = Database::new();
    let holder = database.holder(105);
    for statement in &TRANSACTION[..3] {
        assert_eq!(holder.run(*statement), Ran::Done);
    }
    drop(holder); // the process dies
    assert_eq!((database.mark().highest(), database.size()), (1, 0));
    assert_eq!(database.holder(103).write(), Ran::Done);
}

#[test]
fn readers_do_not_raise_the_mark() {
    let mut database = Database::new();
    assert_eq!(database.holder(103).write(), Ran::Done);
    // Side by side: an epoch began between the two, and both are valid.
    for reader in [(2 << 32) + 8, 104] {
        let behavior = TransactionBehavior::Deferred;
        let snapshot = database
            .first
            .transaction_with_behavior(behavior)
            .expect("begun");
        assert_eq!(mark(&snapshot).admit_read(reader), Ok(()));
    }
    assert_eq!(database.mark().highest(), 103);
}

#[test]
fn a_late_reader_is_refused() {
    let database = Database::new();
    assert_eq!(database.holder(105).write(), Ran::Done);
    let refused = database.mark().admit_read(104);
    assert_eq!(
        refused,
        Err(Refused::Late {
            token: 104,
            mark: 105
        })
    );
}

#[test]
fn the_table_refuses_the_token_of_a_reader() {
    let database = Database::new();
    let raised = database
        .first
        .execute(SQLITE.admit_write, params![LOCK, 104]);
    let error = raised.expect_err("even").to_string();
    assert!(error.contains("CHECK"), "{error}");
    assert_eq!(database.mark().highest(), 1);
}

#[test]
fn a_lock_that_is_not_registered_is_refused() {
    let database = Database::new();
    let name = b"volumes/43".as_slice();
    let changed = database
        .first
        .execute(SQLITE.admit_write, params![name, 105]);
    assert_eq!(changed, Ok(0));
}

#[test]
fn registering_again_keeps_the_mark() {
    let database = Database::new();
    assert_eq!(database.holder(105).write(), Ran::Done);
    database
        .first
        .execute(SQLITE.register, params![LOCK])
        .expect("there");
    assert_eq!(database.mark().highest(), 105);
}

#[test]
fn a_mark_within_the_row_refuses_a_late_writer() {
    let db = Connection::open_in_memory().expect("opened");
    let table = "CREATE TABLE volumes (id INTEGER PRIMARY KEY, size INTEGER, fence BIGINT NOT NULL DEFAULT 0);
                 INSERT INTO volumes (id, size) VALUES (42, 0)";
    db.execute_batch(table).expect("made");
    let write = |size: i64, token: u64| {
        let update = "UPDATE volumes SET size = ?1, fence = ?2 WHERE id = 42 AND fence <= ?2";
        db.execute(update, params![size, bind(token).expect("a writer's")])
    };
    assert_eq!(write(10, 105), Ok(1));
    assert_eq!(write(20, 105), Ok(1));
    assert_eq!(write(30, 101), Ok(0));
}

#[test]
fn what_no_writer_has_is_not_bound() {
    assert_eq!(bind(105), Ok(105));
    let shared = Refused::NotExclusive { token: 104 };
    assert_eq!(bind(104), Err(BindError::Refused(shared)));
    let token = u64::MAX;
    assert_eq!(bind(token), Err(BindError::TooLarge { token }));
}

/// No server of these runs here. What can be told from the text alone: as many parameters as the documentation says.
#[test]
fn the_other_dialects_take_the_same_parameters() {
    for statement in [POSTGRES.register, POSTGRES.mark] {
        assert!(statement.contains("$1") && !statement.contains("$2"));
    }
    assert!(
        POSTGRES
            .admit_write
            .contains("resource = $1 AND mark <= $2")
    );
    let questions = |statement: &str| statement.matches('?').count();
    assert_eq!(questions(MYSQL.register), 1);
    assert_eq!(questions(MYSQL.admit_write), 3);
    assert_eq!(questions(MYSQL.mark), 1);
}
