//! The SQL of sessions.

use std::sync::Arc;

use super::{Session, SessionKind};
use crate::base::clock::Time;
use crate::base::db::{Cell, Column, Conn, DbResult, Row, Tx, params};
use crate::base::id::Id;
use crate::base::principal::{Account, Live, Origin, Role};

const COLUMNS: &str = "id, kind, ip, user_agent, created_at, last_seen_at, idle_until, expires_at";
const LIVE: &str = "revoked_at is null and expires_at > ?2 and idle_until > ?2";

fn from_row(row: &Row<'_>) -> DbResult<Session> {
    Ok(Session {
        id: row.get("id")?,
        kind: row.get("kind")?,
        current: false,
        ip: row.get("ip")?,
        user_agent: row.get("user_agent")?,
        created_at: row.get("created_at")?,
        last_seen_at: row.get("last_seen_at")?,
        idle_until: row.get("idle_until")?,
        expires_at: row.get("expires_at")?,
    })
}

impl Column for SessionKind {
    fn decode(cell: Cell<'_>) -> Option<Self> {
        match cell {
            Cell::Text("api") => Some(SessionKind::Api),
            Cell::Text("console") => Some(SessionKind::Console),
            _ => None,
        }
    }
}

pub(super) struct NewSession<'a> {
    pub id: Id,
    pub user: Id,
    pub kind: SessionKind,
    pub cookie_hash: Option<&'a str>,
    pub origin: &'a Origin,
    pub now: Time,
    pub idle_until: Time,
    pub expires_at: Time,
}

pub(super) fn insert(tx: &mut Tx<'_>, new: &NewSession<'_>) -> DbResult<()> {
    tx.execute(
        "insert into sessions (id, user_id, kind, generation, successor_used, cookie_hash, ip, user_agent, created_at, \
         rotated_at, last_seen_at, idle_until, expires_at) \
         values (?1, ?2, ?3, 1, false, ?4, ?5, ?6, ?7, ?7, ?7, ?8, ?9)",
        params![
            new.id,
            new.user,
            new.kind.as_str(),
            new.cookie_hash,
            &new.origin.ip,
            &new.origin.user_agent,
            new.now,
            new.idle_until,
            new.expires_at,
        ],
    )?;
    Ok(())
}

pub(super) fn list(c: &mut Conn<'_>, user: Id, now: Time) -> DbResult<Vec<Session>> {
    let sql = format!(
        "select {COLUMNS} from sessions where user_id = ?1 and {LIVE} order by created_at desc, id desc limit 100"
    );
    c.all(&sql, params![user, now], from_row)
}

pub(super) fn find_live(c: &mut Conn<'_>, id: Id, now: Time) -> DbResult<Option<Live>> {
    let sql = format!(
        "select s.user_id, s.generation, s.successor_used, s.last_seen_at, s.expires_at, s.idle_until, u.email, u.role \
         from sessions s join users u on u.id = s.user_id where s.id = ?1 and {LIVE} and u.is_active"
    );
    c.opt(&sql, params![id, now], |row| {
        Ok(Live {
            account: Arc::new(Account { id: row.get("user_id")?, email: row.get("email")?, role: row.get("role")? }),
            generation: row.get("generation")?,
            successor_used: row.get("successor_used")?,
            last_seen_at: row.get("last_seen_at")?,
            expires_at: row.get::<Time>("expires_at")?.min(row.get("idle_until")?),
        })
    })
}

pub(super) fn find_by_cookie(c: &mut Conn<'_>, hash: &str) -> DbResult<Option<Id>> {
    c.opt("select id from sessions where cookie_hash = ?1", params![hash], |row| row.get("id"))
}

pub(super) fn account(tx: &mut Tx<'_>, user: Id) -> DbResult<Account> {
    tx.one("select id, email, role from users where id = ?1", params![user], |row| {
        Ok(Account { id: row.get("id")?, email: row.get("email")?, role: row.get("role")? })
    })
}

/// What decides a refresh.
pub(super) struct Rotation {
    pub user: Id,
    pub role: Role,
    pub generation: i64,
    pub successor_used: bool,
    pub rotated_at: Time,
}

pub(super) fn find_rotation(tx: &mut Tx<'_>, id: Id, now: Time) -> DbResult<Option<Rotation>> {
    let sql = format!(
        "select s.user_id, s.generation, s.successor_used, s.rotated_at, u.role from sessions s \
         join users u on u.id = s.user_id where s.id = ?1 and {LIVE} and s.kind = 'api' and u.is_active"
    );
    tx.opt(&sql, params![id, now], |row| {
        Ok(Rotation {
            user: row.get("user_id")?,
            role: row.get("role")?,
            generation: row.get("generation")?,
            successor_used: row.get("successor_used")?,
            rotated_at: row.get("rotated_at")?,
        })
    })
}

pub(super) fn rotate(tx: &mut Tx<'_>, id: Id, to: &Rotation, idle_until: Time, ip: &str) -> DbResult<()> {
    tx.execute(
        "update sessions set generation = ?2, successor_used = ?3, rotated_at = ?4, last_seen_at = ?4, idle_until = ?5, \
         ip = ?6 where id = ?1",
        params![id, to.generation, to.successor_used, to.rotated_at, idle_until, ip],
    )?;
    Ok(())
}

pub(super) fn note_use(tx: &mut Tx<'_>, id: Id, generation: i64, now: Time, idle_until: Time) -> DbResult<()> {
    tx.execute(
        "update sessions set successor_used = true, last_seen_at = ?3, idle_until = ?4 \
         where id = ?1 and generation = ?2 and revoked_at is null",
        params![id, generation, now, idle_until],
    )?;
    Ok(())
}

pub(super) fn revoke(tx: &mut Tx<'_>, user: Id, id: Id, because: &str, now: Time) -> DbResult<u64> {
    let sql = "update sessions set revoked_at = ?3, revoked_because = ?4 where id = ?1 and user_id = ?2 and \
               revoked_at is null and expires_at > ?3 and idle_until > ?3";
    tx.execute(sql, params![id, user, now, because])
}

pub(super) fn revoke_any_owner(tx: &mut Tx<'_>, id: Id, because: &str, now: Time) -> DbResult<Option<Id>> {
    let sql = "update sessions set revoked_at = ?2, revoked_because = ?3 where id = ?1 and revoked_at is null \
               returning user_id";
    tx.opt(sql, params![id, now, because], |row| row.get("user_id"))
}

pub(super) fn revoke_all(tx: &mut Tx<'_>, user: Id, except: Option<Id>, because: &str, now: Time) -> DbResult<u64> {
    let sql = "update sessions set revoked_at = ?2, revoked_because = ?3 where user_id = ?1 and revoked_at is null \
               and id <> ?4";
    tx.execute(sql, params![user, now, because, except.unwrap_or(Id::NONE)])
}

pub(super) fn count_any_owner(c: &mut Conn<'_>, now: Time) -> DbResult<i64> {
    let sql = "select count(*) as n from sessions where revoked_at is null and expires_at > ?1 and idle_until > ?1";
    c.one(sql, params![now], |row| row.get("n"))
}
