//! The store's narrow waist: two verbs, one SQL text, two engines.
//!
//! `read` and `write` take closures that are plain synchronous Rust; async stops at that line. A write closure may run
//! more than once (Postgres retries what it could not serialise), so it does nothing outside its [`Tx`]. It never gets the
//! bare connection: a closure that could end the transaction would end its neighbours' too.
//!
//! SQL is written once, lower case, with `?1 ?2` parameters, in the subset both engines share (see the design's section 3).
//! Each statement of a *read* sees its own snapshot: what must agree is asked in one statement, or in a write.

mod keyset;
pub(crate) mod migrate;
mod postgres;
mod queue;
mod sqlite;
#[cfg(test)]
mod tests;
mod value;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use tokio::sync::oneshot;

pub use keyset::keyset;
pub use value::{Cell, Column, Row, Value};

use super::config::{DatabaseSection, DatabaseUrl};
use super::error::{Error, Result};

/// Parameters of a statement, in the order of `?1 ?2`.
#[macro_export]
macro_rules! params {
    ($($value:expr),* $(,)?) => { &[$($crate::base::db::Value::from($value)),*] };
}
pub(crate) use params;

/// What the store reports.
#[derive(Debug)]
pub enum DbError {
    /// A unique index refused the row.
    Unique(String),
    /// The transaction lost against another and may be run again.
    Retry(String),
    /// Too much is waiting already, or the engine cannot be reached just now.
    Busy(String),
    /// Anything else, with the statement it happened in.
    Other(anyhow::Error),
}

impl DbError {
    /// The same failure, for one more caller of the group that it ended.
    fn again(&self) -> Self {
        match self {
            DbError::Retry(text) => DbError::Retry(text.clone()),
            DbError::Busy(text) | DbError::Unique(text) => DbError::Busy(text.clone()),
            DbError::Other(error) => DbError::Other(anyhow::anyhow!("{error:#}")),
        }
    }

    /// A row that another transaction has just inserted: look again rather than fail.
    pub fn lost(self) -> Self {
        match self {
            DbError::Unique(text) => DbError::Retry(text),
            other => other,
        }
    }

    /// Whether the same request may succeed a little later.
    pub fn passes(&self) -> bool {
        matches!(self, DbError::Retry(_) | DbError::Busy(_))
    }
}

impl std::fmt::Display for DbError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            DbError::Unique(text) => write!(f, "not unique: {text}"),
            DbError::Retry(text) => write!(f, "lost a race: {text}"),
            DbError::Busy(text) => write!(f, "busy: {text}"),
            DbError::Other(error) => write!(f, "{error:#}"),
        }
    }
}

impl std::error::Error for DbError {}

/// The result of a statement.
pub type DbResult<T> = std::result::Result<T, DbError>;

/// Turns a refused row into the client error that the caller names.
pub trait OnUnique<T> {
    /// `Err(error())` if a unique index refused the row.
    ///
    /// # Errors
    /// The named error, or the store's own.
    fn on_unique(self, error: impl FnOnce() -> Error) -> Result<T>;
}

impl<T> OnUnique<T> for DbResult<T> {
    fn on_unique(self, error: impl FnOnce() -> Error) -> Result<T> {
        self.map_err(|e| if matches!(e, DbError::Unique(_)) { error() } else { e.into() })
    }
}

/// Which engine answers: only for the rare statement that cannot be said in one text, with its reason beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// SQLite.
    Sqlite,
    /// PostgreSQL.
    Postgres,
}

/// A connection inside a closure.
pub enum Conn<'a> {
    /// The bundled engine.
    Sqlite(&'a rusqlite::Connection),
    /// The drop-in.
    Postgres(&'a mut postgres::Session),
}

impl Conn<'_> {
    /// The engine that answers.
    pub fn dialect(&self) -> Dialect {
        match self {
            Conn::Sqlite(_) => Dialect::Sqlite,
            Conn::Postgres(_) => Dialect::Postgres,
        }
    }

    /// All rows.
    ///
    /// # Errors
    /// What the engine reports, or a column that does not decode.
    pub fn all<T>(
        &mut self,
        sql: &str,
        params: &[Value<'_>],
        row: impl Fn(&Row<'_>) -> DbResult<T>,
    ) -> DbResult<Vec<T>> {
        match self {
            Conn::Sqlite(conn) => sqlite::all(conn, sql, params, row),
            Conn::Postgres(session) => session.all(sql, params, row),
        }
    }

    /// The first row, if there is any.
    ///
    /// # Errors
    /// See [`Conn::all`].
    pub fn opt<T>(
        &mut self,
        sql: &str,
        params: &[Value<'_>],
        row: impl Fn(&Row<'_>) -> DbResult<T>,
    ) -> DbResult<Option<T>> {
        match self {
            Conn::Sqlite(conn) => sqlite::opt(conn, sql, params, row),
            Conn::Postgres(session) => Ok(session.all(sql, params, row)?.into_iter().next()),
        }
    }

    /// The one row that must be there.
    ///
    /// # Errors
    /// See [`Conn::all`]; also if there is no row.
    pub fn one<T>(&mut self, sql: &str, params: &[Value<'_>], row: impl Fn(&Row<'_>) -> DbResult<T>) -> DbResult<T> {
        self.opt(sql, params, row)?.ok_or_else(|| DbError::Other(anyhow::anyhow!("no row from: {sql}")))
    }

    /// Changes rows and says how many.
    ///
    /// # Errors
    /// See [`Conn::all`].
    pub fn execute(&mut self, sql: &str, params: &[Value<'_>]) -> DbResult<u64> {
        match self {
            Conn::Sqlite(conn) => sqlite::execute(conn, sql, params),
            Conn::Postgres(session) => session.execute(sql, params),
        }
    }

    /// Several statements without parameters: migrations and settings only.
    ///
    /// # Errors
    /// What the engine reports.
    pub fn batch(&mut self, sql: &str) -> DbResult<()> {
        match self {
            Conn::Sqlite(conn) => sqlite::batch(conn, sql),
            Conn::Postgres(session) => session.batch(sql),
        }
    }
}

/// The version of the engine, and how many bytes the database takes.
///
/// # Errors
/// The engine's.
pub fn facts(conn: &mut Conn<'_>) -> DbResult<(String, i64)> {
    // Nothing of this can be said in one text.
    let (version, size) = match conn.dialect() {
        Dialect::Sqlite => (
            "select sqlite_version() as version",
            "select page_count * page_size as size from pragma_page_count(), pragma_page_size()",
        ),
        Dialect::Postgres => (
            "select current_setting('server_version') as version",
            "select pg_database_size(current_database()) as size",
        ),
    };
    let version = conn.one(version, &[], |row| row.get("version"))?;
    Ok((version, conn.one(size, &[], |row| row.get("size"))?))
}

type Hook = Box<dyn FnOnce() + Send>;

/// A transaction inside a write closure: a connection, and what to do once it is committed.
pub struct Tx<'a> {
    conn: Conn<'a>,
    hooks: Vec<Hook>,
}

impl<'a> Tx<'a> {
    fn new(conn: Conn<'a>) -> Self {
        Self { conn, hooks: Vec::new() }
    }

    /// Runs `hook` after the commit and before the caller is answered: wakes what waits, drops what is stale.
    /// It may be lost in a crash, so it never holds the only copy of anything.
    pub fn after_commit(&mut self, hook: impl FnOnce() + Send + 'static) {
        self.hooks.push(Box::new(hook));
    }
}

impl<'a> std::ops::Deref for Tx<'a> {
    type Target = Conn<'a>;
    fn deref(&self) -> &Conn<'a> {
        &self.conn
    }
}

impl<'a> std::ops::DerefMut for Tx<'a> {
    fn deref_mut(&mut self) -> &mut Conn<'a> {
        &mut self.conn
    }
}

/// A read on its way to a reader thread. It answers its caller itself.
type Read = Box<dyn FnOnce(&mut Conn<'_>) + Send>;

/// How one attempt of a write ended.
enum Attempt {
    Keep,
    Discard,
    Again,
}

/// A write on its way to the thread that owns a transaction.
trait Write: Send {
    fn attempt(&mut self, tx: &mut Tx<'_>) -> Attempt;
    fn answer(self: Box<Self>, committed: Option<DbError>);
}

struct WriteCall<F, T> {
    closure: F,
    result: Option<Result<T>>,
    reply: oneshot::Sender<Result<T>>,
}

impl<F, T> Write for WriteCall<F, T>
where
    F: Fn(&mut Tx<'_>) -> Result<T> + Send,
    T: Send,
{
    fn attempt(&mut self, tx: &mut Tx<'_>) -> Attempt {
        let result = contain(|| (self.closure)(tx));
        let attempt = match &result {
            Ok(_) => Attempt::Keep,
            Err(Error::Database(DbError::Retry(_))) => Attempt::Again,
            Err(_) => Attempt::Discard,
        };
        self.result = Some(result);
        attempt
    }

    fn answer(self: Box<Self>, failed: Option<DbError>) {
        let result = match (self.result, failed) {
            (Some(Err(error)), _) => Err(error),
            (_, Some(error)) => Err(error.into()),
            (Some(result), None) => result,
            (None, None) => Err(DbError::Busy("the write was never tried".into()).into()),
        };
        // A caller that has gone away does not undo what is committed.
        let _ = self.reply.send(result);
    }
}

/// A panic in a closure fails that closure alone.
fn contain<T>(run: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<&str>().map(ToString::to_string);
        let text = text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
        Err(Error::Internal(anyhow::anyhow!("a store closure panicked: {text}")))
    })
}

/// The change is on disk: a hook that panics is logged, and neither the others nor the thread die of it.
fn run_hooks(hooks: Vec<Hook>) {
    for hook in hooks {
        let ran = contain(|| {
            hook();
            Ok(())
        });
        if let Err(error) = ran {
            tracing::error!(error = format!("{error:#}"), "a hook after a commit failed");
        }
    }
}

enum Engine {
    Sqlite(sqlite::Engine),
    Postgres(postgres::Engine),
}

/// The open store.
pub struct Db {
    engine: Engine,
}

impl Db {
    /// Opens the store that `section` names and starts its threads. `on_outside_write` runs when another process has
    /// written to the same SQLite file (the command line, beside a running server), so that caches can let go.
    ///
    /// # Errors
    /// If the engine cannot be reached or is too old.
    pub fn open(
        section: &DatabaseSection,
        data_dir: &Path,
        on_outside_write: impl Fn() + Send + 'static,
    ) -> Result<Self> {
        let engine = match &section.url {
            DatabaseUrl::Sqlite(path) => {
                Engine::Sqlite(sqlite::Engine::open(&data_dir.join(path), section, Box::new(on_outside_write))?)
            }
            DatabaseUrl::Postgres(url) => Engine::Postgres(postgres::Engine::open(url, section)?),
        };
        Ok(Self { engine })
    }

    /// Runs `closure` on a reading connection.
    ///
    /// # Errors
    /// The closure's own, or 503 when too many reads are waiting.
    pub async fn read<T: Send + 'static>(
        &self,
        closure: impl FnOnce(&mut Conn<'_>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (reply, answer) = oneshot::channel();
        let read: Read = Box::new(move |conn| {
            let _ = reply.send(contain(|| closure(conn)));
        });
        match &self.engine {
            Engine::Sqlite(engine) => engine.send_read(read)?,
            Engine::Postgres(engine) => engine.send_read(read)?,
        }
        answer.await.map_err(|_| DbError::Busy("the store is closing".into()))?
    }

    /// Runs `closure` in a transaction of its own and answers once it is on disk. The closure may run more than once.
    ///
    /// # Errors
    /// The closure's own, in which case nothing of it is kept; or 503 when too many writes are waiting.
    pub async fn write<T: Send + 'static>(
        &self,
        closure: impl Fn(&mut Tx<'_>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (reply, answer) = oneshot::channel();
        let write: Box<dyn Write> = Box::new(WriteCall { closure, result: None, reply });
        match &self.engine {
            Engine::Sqlite(engine) => engine.send_write(write)?,
            Engine::Postgres(engine) => engine.send_write(write)?,
        }
        answer.await.map_err(|_| DbError::Busy("the store is closing".into()))?
    }

    /// The engine in use.
    pub fn dialect(&self) -> Dialect {
        match &self.engine {
            Engine::Sqlite(_) => Dialect::Sqlite,
            Engine::Postgres(_) => Dialect::Postgres,
        }
    }

    /// Finishes what is queued, checkpoints and closes. Blocks: call it from a blocking thread.
    pub fn close(&self) {
        match &self.engine {
            Engine::Sqlite(engine) => engine.close(),
            Engine::Postgres(engine) => engine.close(),
        }
    }
}
