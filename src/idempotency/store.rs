//! The SQL of idempotency keys.

use super::Key;
use crate::base::clock::Time;
use crate::base::db::{DbError, DbResult, Tx, params};

pub(super) fn find(tx: &mut Tx<'_>, key: &Key) -> DbResult<Option<(String, String)>> {
    tx.opt(
        "select fingerprint, answer from idempotency_keys where owner_id = ?1 and operation = ?2 and idempotency_key = ?3",
        params![key.owner, key.operation, &key.key],
        |row| Ok((row.get("fingerprint")?, row.get("answer")?)),
    )
}

pub(super) fn insert(tx: &mut Tx<'_>, key: &Key, answer: &str, now: Time) -> DbResult<()> {
    let inserted = tx.execute(
        "insert into idempotency_keys (owner_id, operation, idempotency_key, fingerprint, answer, created_at) \
         values (?1, ?2, ?3, ?4, ?5, ?6)",
        params![key.owner, key.operation, &key.key, &key.fingerprint, answer, now],
    );
    // Another transaction was first: run again and find its answer.
    inserted.map(drop).map_err(DbError::lost)
}

/// A few at a time, so that no request pays for many.
pub(super) fn delete_before(tx: &mut Tx<'_>, time: Time) -> DbResult<u64> {
    tx.execute(
        "delete from idempotency_keys where (owner_id, operation, idempotency_key) in \
         (select owner_id, operation, idempotency_key from idempotency_keys where created_at < ?1 limit 20)",
        params![time],
    )
}
