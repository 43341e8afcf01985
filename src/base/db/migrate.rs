//! Brings a database to the schema this binary knows: forward only, one list for both engines.
//!
//! Each file under `migrations/` runs once, in order, in a transaction of its own together with the row that remembers
//! it. A file that has changed since it ran, and a database that is ahead of this binary, are refused: both mean that
//! what follows would be a guess.

use super::{Conn, Db, DbError, DbResult, Dialect};
use crate::base::clock::Clock;
use crate::base::error::Result;
use crate::base::secret::{base64url, sha256};

macro_rules! migrations {
    ($($name:literal)+) => { &[$(($name, include_str!(concat!("../../../migrations/", $name, ".sql")))),+] };
}

/// Every migration, oldest first. Append only.
const MIGRATIONS: &[(&str, &str)] =
    migrations!["0001_audit" "0002_users" "0003_sessions" "0004_idempotency" "0005_projects" "0006_health"];

/// Where a database stands.
pub struct Status {
    /// The migrations of this binary, and whether each has run.
    pub known: Vec<(&'static str, bool)>,
}

impl Status {
    /// How many have not run yet.
    pub fn pending(&self) -> usize {
        self.known.iter().filter(|(_, applied)| !applied).count()
    }
}

/// Why a database cannot be used with this binary.
#[derive(Debug)]
pub struct Incompatible(String);

impl std::fmt::Display for Incompatible {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Incompatible {}

/// Which migrations have run.
///
/// # Errors
/// [`Incompatible`] inside the error if the database is ahead of this binary or a migration has changed.
pub async fn status(db: &Db) -> Result<Status> {
    let applied = db.write(|tx| Ok(applied(tx)?)).await?;
    compare(&applied)
}

fn compare(applied: &[(String, String)]) -> Result<Status> {
    if let Some((name, _)) = applied.get(MIGRATIONS.len()) {
        let text =
            format!("the database is newer than this binary: it has run {name}. Install the newer version again");
        return Err(anyhow::Error::new(Incompatible(text)).into());
    }
    for ((name, sql), (applied, sum)) in MIGRATIONS.iter().zip(applied) {
        if name != applied || &checksum(sql) != sum {
            let text = format!("migration {applied} has changed since it ran: use the binary that ran it, or a backup");
            return Err(anyhow::Error::new(Incompatible(text)).into());
        }
    }
    let known = MIGRATIONS.iter().enumerate().map(|(i, (name, _))| (*name, i < applied.len())).collect();
    Ok(Status { known })
}

/// Runs what has not run yet and returns the names.
///
/// # Errors
/// See [`status`]; or the failing migration's own, in which case nothing of it is kept.
pub async fn run(db: &Db, clock: &Clock) -> Result<Vec<&'static str>> {
    let mut ran = Vec::new();
    loop {
        let now = clock.now();
        // One transaction each; looked up inside it, so that two instances starting at once do not run one twice.
        let next = db.write(move |tx| {
            let applied = applied(tx)?;
            compare(&applied)?;
            let Some((name, sql)) = MIGRATIONS.get(applied.len()) else { return Ok(None) };
            let sql_insert = "insert into migrations (position, name, checksum, applied_at) values (?1, ?2, ?3, ?4)";
            let params = super::params![applied.len() as i64 + 1, *name, checksum(sql), now];
            // Before the migration itself: Postgres may have waited for the lock with an older snapshot in its hands.
            tx.execute(sql_insert, params).map_err(DbError::lost)?;
            tx.batch(sql)?;
            Ok(Some(*name))
        });
        match next.await? {
            Some(name) => ran.push(name),
            None => return Ok(ran),
        }
    }
}

fn checksum(sql: &str) -> String {
    base64url(&sha256(sql.as_bytes()))
}

fn applied(conn: &mut Conn<'_>) -> DbResult<Vec<(String, String)>> {
    if conn.dialect() == Dialect::Postgres {
        // `if not exists` is not safe against itself on Postgres.
        conn.execute("select pg_advisory_xact_lock(7229304119)", &[])?;
    }
    conn.execute(
        "create table if not exists migrations (position bigint primary key, name text not null, checksum text not null, \
         applied_at bigint not null)",
        &[],
    )?;
    let sql = "select name, checksum from migrations order by position";
    conn.all(sql, &[], |row| Ok((row.get("name")?, row.get("checksum")?)))
}
