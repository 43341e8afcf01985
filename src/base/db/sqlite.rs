//! The bundled engine: one writer thread that commits in groups, a few reader threads that never wait for it.
//!
//! r2d2 makes, checks and bounds the connections; each thread takes one for its life, so that no request waits for a
//! check-out. The writer drains what is queued, runs each closure in a savepoint of its own inside one
//! `begin immediate`, commits once with `synchronous=FULL` and only then answers them all: one fsync serves many.

use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context;
use crossbeam_channel::{Receiver, RecvTimeoutError};
use rusqlite::{Connection, ErrorCode, OpenFlags, params_from_iter};

use super::queue::{Queue, Threads};
use super::{Attempt, Conn, DbError, DbResult, Read, Row, Tx, Value, Write};
use crate::base::config::DatabaseSection;
use crate::base::error::Result;

/// The oldest library without the WAL-reset corruption (fixed in 3.51.3).
const OLDEST: i32 = 3_051_003;
/// The most closures in one commit.
const GROUP: usize = 256;
/// How often the writer looks for writes of other processes.
const OUTSIDE: Duration = Duration::from_millis(500);
/// Prepared statements kept on each connection.
const STATEMENTS: usize = 256;

/// The queues, and the threads behind them.
pub(super) struct Engine {
    reads: Queue<Read>,
    writes: Queue<Box<dyn Write>>,
    readers: usize,
    threads: Threads,
}

impl Engine {
    pub(super) fn open(path: &Path, section: &DatabaseSection, on_outside_write: Box<dyn Fn() + Send>) -> Result<Self> {
        if rusqlite::version_number() < OLDEST {
            let found = rusqlite::version();
            return Err(anyhow::anyhow!("SQLite {found} can corrupt its log; 3.51.3 is needed").into());
        }
        let readers = match section.readers {
            0 => std::thread::available_parallelism().map_or(2, usize::from).clamp(2, 8),
            n => n as usize,
        };
        // Made for the owner alone; the log and its index take the file's mode.
        std::fs::OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o600)
            .open(path)
            .with_context(|| format!("opening {}", path.display()))?;
        let writer = pool(path, Access::Write, 1)?.get().context("opening the database for writing")?;
        let read_pool = pool(path, Access::Read, readers)?;
        let (reads, read_end) = Queue::<Read>::bounded(section.read_queue as usize);
        let (writes, write_end) = Queue::bounded(section.write_queue as usize);
        let threads = Threads::default();
        threads.spawn("db-writer", move || Writer::new(&writer, on_outside_write).run(&write_end))?;
        for _ in 0..readers {
            let conn = read_pool.get().context("opening the database for reading")?;
            let read_end = read_end.clone();
            threads.spawn("db-reader", move || {
                while let Ok(Some(read)) = read_end.recv() {
                    read(&mut Conn::Sqlite(&conn));
                }
            })?;
        }
        Ok(Self { reads, writes, readers, threads })
    }

    pub(super) fn send_read(&self, read: Read) -> DbResult<()> {
        self.reads.send(read)
    }

    pub(super) fn send_write(&self, write: Box<dyn Write>) -> DbResult<()> {
        self.writes.send(write)
    }

    pub(super) fn close(&self) {
        self.writes.end(1);
        self.reads.end(self.readers);
        self.threads.join();
    }
}

struct Writer<'a> {
    conn: &'a Connection,
    on_outside_write: Box<dyn Fn() + Send>,
    data_version: i64,
    looked: Instant,
}

impl<'a> Writer<'a> {
    fn new(conn: &'a Connection, on_outside_write: Box<dyn Fn() + Send>) -> Self {
        Self { conn, on_outside_write, data_version: data_version(conn), looked: Instant::now() }
    }

    fn run(mut self, queue: &Receiver<Option<Box<dyn Write>>>) {
        let mut closing = false;
        while !closing {
            let mut group = match queue.recv_timeout(OUTSIDE) {
                Ok(Some(write)) => vec![write],
                Ok(None) | Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => Vec::new(),
            };
            // Never waits to fill a group: takes what is there.
            while group.len() < GROUP {
                match queue.try_recv() {
                    Ok(Some(write)) => group.push(write),
                    Ok(None) => {
                        closing = true;
                        break;
                    }
                    Err(_) => break,
                }
            }
            self.look_outside();
            if !group.is_empty() {
                self.commit(group);
            }
        }
        // What the log holds moves into the file, so that a copy of the file alone is whole.
        let _ = self.conn.execute_batch("pragma wal_checkpoint(truncate); pragma optimize");
    }

    /// `data_version` changes on this connection only when another one has written, and every other connection of this
    /// process is read-only.
    fn look_outside(&mut self) {
        if self.looked.elapsed() < OUTSIDE {
            return;
        }
        self.looked = Instant::now();
        let now = data_version(self.conn);
        if now != self.data_version {
            self.data_version = now;
            (self.on_outside_write)();
        }
    }

    fn commit(&self, mut group: Vec<Box<dyn Write>>) {
        let mut hooks = Vec::new();
        let done = self.say("begin immediate").and_then(|()| {
            for write in &mut group {
                self.savepoint(write, &mut hooks)?;
            }
            self.say("commit")
        });
        let failed = done.err();
        if failed.is_some() && !self.conn.is_autocommit() {
            let _ = self.conn.execute_batch("rollback");
        }
        if failed.is_none() {
            super::run_hooks(hooks);
        }
        for write in group {
            write.answer(failed.as_ref().map(DbError::again));
        }
    }

    fn savepoint(&self, write: &mut Box<dyn Write>, hooks: &mut Vec<super::Hook>) -> DbResult<()> {
        self.say("savepoint write")?;
        let mut tx = Tx::new(Conn::Sqlite(self.conn));
        match write.attempt(&mut tx) {
            Attempt::Keep => hooks.append(&mut tx.hooks),
            Attempt::Discard | Attempt::Again => self.say("rollback to write")?,
        }
        self.say("release write")
    }

    fn say(&self, sql: &str) -> DbResult<()> {
        execute(self.conn, sql, &[]).map(drop)
    }
}

fn data_version(conn: &Connection) -> i64 {
    conn.prepare_cached("pragma data_version")
        .and_then(|mut statement| statement.query_row([], |row| row.get(0)))
        .unwrap_or_default()
}

#[derive(Clone, Copy)]
enum Access {
    Read,
    Write,
}

struct Manager {
    path: PathBuf,
    access: Access,
}

impl r2d2::ManageConnection for Manager {
    type Connection = Connection;
    type Error = rusqlite::Error;

    fn connect(&self) -> Result<Connection, rusqlite::Error> {
        let conn = Connection::open_with_flags(&self.path, OpenFlags::default() & !OpenFlags::SQLITE_OPEN_URI)?;
        conn.set_prepared_statement_cache_capacity(STATEMENTS);
        conn.busy_timeout(Duration::from_secs(5))?;
        conn.execute_batch("pragma foreign_keys = on; pragma temp_store = memory; pragma cache_size = -8192")?;
        conn.set_db_config(rusqlite::config::DbConfig::SQLITE_DBCONFIG_DQS_DML, false)?;
        conn.set_db_config(rusqlite::config::DbConfig::SQLITE_DBCONFIG_DQS_DDL, false)?;
        match self.access {
            Access::Write => conn.execute_batch("pragma journal_mode = wal; pragma synchronous = full")?,
            Access::Read => conn.execute_batch("pragma query_only = on; pragma mmap_size = 268435456")?,
        }
        Ok(conn)
    }

    fn is_valid(&self, conn: &mut Connection) -> Result<(), rusqlite::Error> {
        conn.query_row("select 1", [], |_| Ok(()))
    }

    fn has_broken(&self, _: &mut Connection) -> bool {
        false
    }
}

fn pool(path: &Path, access: Access, size: usize) -> Result<r2d2::Pool<Manager>> {
    let manager = Manager { path: path.into(), access };
    let builder = r2d2::Pool::builder().max_size(size as u32).connection_timeout(Duration::from_secs(10));
    let opened = builder.max_lifetime(None).idle_timeout(None).build(manager);
    Ok(opened.with_context(|| format!("opening {}", path.display()))?)
}

pub(super) fn all<T>(
    conn: &Connection,
    sql: &str,
    params: &[Value<'_>],
    decode: impl Fn(&Row<'_>) -> DbResult<T>,
) -> DbResult<Vec<T>> {
    let mut statement = conn.prepare_cached(sql).map_err(|e| fail(e, sql))?;
    expect_params(&statement, params, sql)?;
    let mut rows = statement.query(params_from_iter(params)).map_err(|e| fail(e, sql))?;
    let mut out = Vec::new();
    while let Some(row) = rows.next().map_err(|e| fail(e, sql))? {
        out.push(decode(&Row::Sqlite(row))?);
    }
    Ok(out)
}

pub(super) fn opt<T>(
    conn: &Connection,
    sql: &str,
    params: &[Value<'_>],
    decode: impl Fn(&Row<'_>) -> DbResult<T>,
) -> DbResult<Option<T>> {
    let mut statement = conn.prepare_cached(sql).map_err(|e| fail(e, sql))?;
    expect_params(&statement, params, sql)?;
    let mut rows = statement.query(params_from_iter(params)).map_err(|e| fail(e, sql))?;
    let row = rows.next().map_err(|e| fail(e, sql))?;
    let first = row.map(|row| decode(&Row::Sqlite(row))).transpose()?;
    // `returning` changes its rows only when it is stepped to the end.
    while rows.next().map_err(|e| fail(e, sql))?.is_some() {}
    Ok(first)
}

pub(super) fn execute(conn: &Connection, sql: &str, params: &[Value<'_>]) -> DbResult<u64> {
    let mut statement = conn.prepare_cached(sql).map_err(|e| fail(e, sql))?;
    expect_params(&statement, params, sql)?;
    statement.execute(params_from_iter(params)).map(|n| n as u64).map_err(|e| fail(e, sql))
}

pub(super) fn batch(conn: &Connection, sql: &str) -> DbResult<()> {
    conn.execute_batch(sql).map_err(|e| fail(e, sql))
}

/// SQLite binds null for what is missing; a statement and its parameters must agree as on Postgres.
fn expect_params(statement: &rusqlite::Statement<'_>, params: &[Value<'_>], sql: &str) -> DbResult<()> {
    let wanted = statement.parameter_count();
    if wanted == params.len() {
        return Ok(());
    }
    Err(DbError::Other(anyhow::anyhow!("{} parameters for {wanted}: {sql}", params.len())))
}

fn fail(error: rusqlite::Error, sql: &str) -> DbError {
    let text = error.to_string();
    match error.sqlite_error().map(|e| (e.code, e.extended_code)) {
        Some((_, rusqlite::ffi::SQLITE_CONSTRAINT_UNIQUE | rusqlite::ffi::SQLITE_CONSTRAINT_PRIMARYKEY)) => {
            DbError::Unique(text)
        }
        Some((ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked | ErrorCode::DiskFull, _)) => DbError::Busy(text),
        _ => DbError::Other(anyhow::Error::new(error).context(sql.to_owned())),
    }
}
