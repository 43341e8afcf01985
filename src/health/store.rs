//! The SQL of the health check: one row, written and read back.

use crate::base::clock::Time;
use crate::base::db::{Conn, DbResult, Tx, params};

pub(super) fn beat(tx: &mut Tx<'_>, now: Time) -> DbResult<()> {
    tx.execute(
        "insert into health_checks (id, at) values (1, ?1) on conflict (id) do update set at = excluded.at",
        params![now],
    )?;
    Ok(())
}

pub(super) fn last_beat(c: &mut Conn<'_>) -> DbResult<Option<Time>> {
    c.opt("select at from health_checks where id = 1", &[], |row| row.get("at"))
}
