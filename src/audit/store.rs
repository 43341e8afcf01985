//! The SQL of the audit trail.

use super::{Act, By, Entry};
use crate::base::clock::Time;
use crate::base::db::{Conn, DbResult, Row, Tx, params};
use crate::base::id::Id;

const COLUMNS: &str = "at, action, actor_email, resource_type, resource_id, before, after";

fn from_row(row: &Row<'_>) -> DbResult<Entry> {
    Ok(Entry {
        at: row.get("at")?,
        action: row.get("action")?,
        actor_email: row.get("actor_email")?,
        resource_type: row.get("resource_type")?,
        resource_id: row.get("resource_id")?,
        resource_name: name(row.get("after")?).or(name(row.get("before")?)),
    })
}

/// What people call the thing: its address or its name.
fn name(state: Option<String>) -> Option<String> {
    let state: serde_json::Value = serde_json::from_str(&state?).ok()?;
    let name = state.get("email").or(state.get("name"))?;
    name.as_str().map(ToOwned::to_owned)
}

pub(super) fn insert(tx: &mut Tx<'_>, now: Time, act: &Act<'_>) -> DbResult<()> {
    let (actor, subject, origin) = match &act.by {
        By::Principal(principal) => (Some(&*principal.actor), Some(principal.subject.id), &*principal.origin),
        By::Guest(origin, subject) => (None, *subject, *origin),
    };
    tx.execute(
        "insert into audit_entries (id, at, action, actor_id, actor_email, actor_role, subject_id, resource_type, \
         resource_id, before, after, ip, user_agent, request_id) \
         values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)",
        params![
            Id::new(),
            now,
            act.action,
            actor.map(|actor| actor.id),
            actor.map(|actor| actor.email.as_str()),
            actor.map(|actor| actor.role.as_str()),
            subject,
            act.resource_type,
            act.resource_id,
            &act.before,
            &act.after,
            &origin.ip,
            &origin.user_agent,
            &origin.request_id,
        ],
    )?;
    Ok(())
}

pub(super) fn recent(c: &mut Conn<'_>, limit: u32) -> DbResult<Vec<Entry>> {
    let sql = format!("select {COLUMNS} from audit_entries order by at desc, id desc limit ?1");
    c.all(&sql, params![limit], from_row)
}

pub(super) fn recent_of_user(c: &mut Conn<'_>, user: Id, limit: u32) -> DbResult<Vec<Entry>> {
    // Two indexed halves rather than one `or`, which neither engine answers from an index.
    let half = |filter: &str| {
        let inner =
            format!("select id, {COLUMNS} from audit_entries where {filter} order by at desc, id desc limit ?2");
        format!("select id, {COLUMNS} from ({inner}) half")
    };
    let (about, of) = (half("subject_id = ?1"), half("resource_type = 'user' and resource_id = ?1"));
    let sql = format!("select {COLUMNS} from ({about} union {of}) both_halves order by at desc, id desc limit ?2");
    c.all(&sql, params![user, limit], from_row)
}

pub(super) fn daily(c: &mut Conn<'_>, action: &str, since: Time) -> DbResult<Vec<(i64, i64)>> {
    c.all(
        "select at / 86400000000 as day, count(*) as n from audit_entries where action = ?1 and at >= ?2 \
         group by at / 86400000000 order by day",
        params![action, since],
        |row| Ok((row.get("day")?, row.get("n")?)),
    )
}
