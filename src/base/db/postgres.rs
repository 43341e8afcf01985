//! The drop-in engine: the synchronous `postgres` client on threads of its own.
//!
//! That client panics when it is made, used or dropped on an async thread, so its pool is made on a plain thread, each
//! connection lives and dies on the thread that uses it, and only closures travel. Writes run `serializable` and are
//! repeated when Postgres could not serialise them, so that a write closure sees the same isolation on both engines.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use anyhow::Context;
use crossbeam_channel::Receiver;
use postgres::error::SqlState;
use postgres::types::ToSql;
use postgres::{Config, Statement};
use r2d2_postgres::PostgresConnectionManager;
use tokio_postgres_rustls::MakeRustlsConnect;

use super::queue::{Queue, Threads};
use super::{Attempt, Conn, DbError, DbResult, Read, Row, Tx, Value, Write};
use crate::base::config::DatabaseSection;
use crate::base::error::Result;
use crate::base::secret::{Secret, random_bytes};

/// How often a transaction that lost a race is run again before the caller is told to come back.
const ATTEMPTS: u32 = 20;

/// A connection unused for longer is asked before it is used.
const IDLE: Duration = Duration::from_millis(50);
/// How long a caller waits for a new connection.
const RECONNECT: Duration = Duration::from_secs(1);

type Manager = PostgresConnectionManager<MakeRustlsConnect>;
type Pool = r2d2::Pool<Manager>;

enum Call {
    Read(Read),
    Write(Box<dyn Write>),
}

/// The queue, and the threads behind it.
pub(super) struct Engine {
    calls: Queue<Call>,
    connections: usize,
    threads: Threads,
}

impl Engine {
    pub(super) fn open(url: &Secret, section: &DatabaseSection) -> Result<Self> {
        let config: Config = url.expose().parse().context("database.url is not a Postgres address")?;
        let connections = section.pool_size.max(1) as usize;
        // On a plain thread, see the module's doc.
        let made = std::thread::spawn(move || make_pool(config, connections)).join();
        let pool = made.map_err(|_| anyhow::anyhow!("connecting to Postgres panicked"))??;
        let (calls, call_end) = Queue::bounded(section.read_queue as usize);
        let threads = Threads::default();
        for _ in 0..connections {
            let (pool, call_end) = (pool.clone(), call_end.clone());
            threads.spawn("db-postgres", move || serve(pool, &call_end))?;
        }
        // The last handle of a pool must not be dropped here; the threads hold theirs.
        std::thread::spawn(move || drop(pool)).join().map_err(|_| anyhow::anyhow!("closing the pool panicked"))?;
        Ok(Self { calls, connections, threads })
    }

    pub(super) fn send_read(&self, read: Read) -> DbResult<()> {
        self.calls.send(Call::Read(read))
    }

    pub(super) fn send_write(&self, write: Box<dyn Write>) -> DbResult<()> {
        self.calls.send(Call::Write(write))
    }

    pub(super) fn close(&self) {
        self.calls.end(self.connections);
        self.threads.join();
    }
}

fn make_pool(config: Config, connections: usize) -> Result<Pool> {
    let roots = rustls::RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    let provider = rustls::crypto::ring::default_provider();
    let tls = rustls::ClientConfig::builder_with_provider(provider.into())
        .with_safe_default_protocol_versions()
        .context("setting up TLS")?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let tls = MakeRustlsConnect::new(tls);
    // Tried once by hand: the pool would wait, and then tell nothing of the reason.
    let hosts = format!("{:?} {:?}", config.get_hosts(), config.get_ports());
    config.connect(tls.clone()).with_context(|| format!("connecting to Postgres at {hosts}"))?;
    let manager = Manager::new(config, tls);
    let builder = r2d2::Pool::builder().max_size(connections as u32).min_idle(Some(1));
    let pool = builder.max_lifetime(None).idle_timeout(None).connection_timeout(Duration::from_secs(5));
    Ok(pool.build(manager).context("connecting to Postgres")?)
}

/// One thread: takes a connection for as long as it works, and another one when it breaks.
fn serve(pool: Pool, calls: &Receiver<Option<Call>>) {
    let mut held: Option<Session> = None;
    while let Ok(Some(call)) = calls.recv() {
        if held.as_mut().is_none_or(|session| !session.is_alive()) {
            // Given back first: the pool counts it.
            drop(held.take());
            let client = pool.get_timeout(RECONNECT).ok();
            held = client.map(|client| Session { client, statements: HashMap::new(), used: Instant::now() });
        }
        match (&mut held, call) {
            (Some(session), Call::Read(read)) => read(&mut Conn::Postgres(session)),
            (Some(session), Call::Write(write)) => run_write(session, write),
            (None, Call::Read(_)) => tracing::warn!("Postgres cannot be reached: a read was refused"),
            (None, Call::Write(write)) => write.answer(Some(DbError::Busy("Postgres cannot be reached".into()))),
        }
    }
}

fn run_write(session: &mut Session, mut write: Box<dyn Write>) {
    for attempt in 1..=ATTEMPTS {
        match try_write(session, &mut write) {
            Err(DbError::Retry(_)) if attempt < ATTEMPTS => back_off(attempt),
            Err(error) => return write.answer(Some(error)),
            Ok(()) => return write.answer(None),
        }
    }
}

fn try_write(session: &mut Session, write: &mut Box<dyn Write>) -> DbResult<()> {
    session.batch("begin isolation level serializable")?;
    let mut tx = Tx::new(Conn::Postgres(session));
    let (attempt, hooks) = (write.attempt(&mut tx), tx.hooks);
    match attempt {
        Attempt::Keep => {
            // A bare `commit` of a transaction that a failed statement has ended rolls back, and calls that a success.
            if let Err(error) = session.batch("select 1; commit") {
                session.rollback();
                return Err(error);
            }
        }
        Attempt::Discard => {
            session.rollback();
            return Ok(());
        }
        Attempt::Again => {
            session.rollback();
            return Err(DbError::Retry("the transaction lost a race".into()));
        }
    }
    super::run_hooks(hooks);
    Ok(())
}

/// Waits up to 2, 4, 8 ... 64 ms, so that those who collided do not meet again.
fn back_off(attempt: u32) {
    let random = random_bytes::<2>().map_or(0, u16::from_le_bytes);
    let ceiling = 2_000_u64 << attempt.min(5);
    std::thread::sleep(Duration::from_micros(u64::from(random) * ceiling / u64::from(u16::MAX)));
}

/// A connection with its prepared statements.
pub struct Session {
    client: r2d2::PooledConnection<Manager>,
    statements: HashMap<String, Statement>,
    used: Instant,
}

impl Session {
    /// Asks one that has been idle: the server may have been restarted, which the client learns only by asking.
    fn is_alive(&mut self) -> bool {
        let idle = self.used.elapsed() > IDLE;
        self.used = Instant::now();
        !self.client.is_closed() && (!idle || self.client.batch_execute("").is_ok())
    }

    fn prepare(&mut self, sql: &str) -> DbResult<Statement> {
        if let Some(statement) = self.statements.get(sql) {
            return Ok(statement.clone());
        }
        let statement = self.client.prepare(&numbered(sql)).map_err(|e| fail(e, sql))?;
        self.statements.insert(sql.into(), statement.clone());
        Ok(statement)
    }

    pub(super) fn all<T>(
        &mut self,
        sql: &str,
        params: &[Value<'_>],
        decode: impl Fn(&Row<'_>) -> DbResult<T>,
    ) -> DbResult<Vec<T>> {
        let statement = self.prepare(sql)?;
        let rows = self.client.query(&statement, &as_sql(params)).map_err(|e| fail(e, sql))?;
        rows.iter().map(|row| decode(&Row::Postgres(row))).collect()
    }

    pub(super) fn execute(&mut self, sql: &str, params: &[Value<'_>]) -> DbResult<u64> {
        let statement = self.prepare(sql)?;
        self.client.execute(&statement, &as_sql(params)).map_err(|e| fail(e, sql))
    }

    pub(super) fn batch(&mut self, sql: &str) -> DbResult<()> {
        self.client.batch_execute(sql).map_err(|e| fail(e, sql))
    }

    fn rollback(&mut self) {
        let _ = self.client.batch_execute("rollback");
    }
}

fn as_sql<'a>(params: &'a [Value<'a>]) -> Vec<&'a (dyn ToSql + Sync)> {
    params.iter().map(|param| param as &(dyn ToSql + Sync)).collect()
}

/// `?1` becomes `$1`. Written as `?1` because `$1` is a *name* to SQLite, numbered by first appearance.
fn numbered(sql: &str) -> String {
    sql.replace('?', "$")
}

fn fail(error: postgres::Error, sql: &str) -> DbError {
    let text = error.as_db_error().map_or_else(|| error.to_string(), |db| db.message().to_owned());
    match error.code() {
        Some(&SqlState::UNIQUE_VIOLATION) => DbError::Unique(text),
        Some(&(SqlState::T_R_SERIALIZATION_FAILURE | SqlState::T_R_DEADLOCK_DETECTED)) => DbError::Retry(text),
        Some(code) if code.code().starts_with("08") || code.code().starts_with("57P") => DbError::Busy(text),
        None if error.is_closed() => DbError::Busy(text),
        _ => DbError::Other(anyhow::Error::new(error).context(sql.to_owned())),
    }
}
