//! The SQL of passwords and setup links.

use crate::base::clock::Time;
use crate::base::db::{Conn, DbResult, Tx, params};
use crate::base::id::Id;
use crate::base::principal::Role;

/// What a sign-in needs to know. Holds a secret: neither serialised nor printed.
pub(super) struct Login {
    pub user: Id,
    pub email: String,
    pub role: Role,
    pub is_active: bool,
    pub hash: Option<String>,
    /// When the password was chosen.
    pub changed_at: Option<Time>,
}

pub(super) fn find_by_email(c: &mut Conn<'_>, key: &str) -> DbResult<Option<Login>> {
    c.opt(
        "select u.id, u.email, u.role, u.is_active, p.hash, p.changed_at from users u left join passwords p on p.user_id = u.id \
         where u.email_key = ?1",
        params![key],
        |row| {
            Ok(Login {
                user: row.get("id")?,
                email: row.get("email")?,
                role: row.get("role")?,
                is_active: row.get("is_active")?,
                hash: row.get("hash")?,
                changed_at: row.get("changed_at")?,
            })
        },
    )
}

/// The hash, and when the password was chosen.
pub(super) fn find_password(c: &mut Conn<'_>, user: Id) -> DbResult<Option<(String, Time)>> {
    let sql = "select hash, changed_at from passwords where user_id = ?1";
    c.opt(sql, params![user], |row| Ok((row.get("hash")?, row.get("changed_at")?)))
}

/// The same password, hashed anew.
pub(super) fn rehash(tx: &mut Tx<'_>, user: Id, hash: &str) -> DbResult<u64> {
    tx.execute("update passwords set hash = ?2 where user_id = ?1", params![user, hash])
}

pub(super) fn set_password(tx: &mut Tx<'_>, user: Id, hash: &str, now: Time) -> DbResult<()> {
    tx.execute(
        "insert into passwords (user_id, hash, changed_at) values (?1, ?2, ?3) \
         on conflict (user_id) do update set hash = excluded.hash, changed_at = excluded.changed_at",
        params![user, hash, now],
    )?;
    Ok(())
}

pub(super) fn replace_setup_links(tx: &mut Tx<'_>, hash: &str, expires_at: Time) -> DbResult<()> {
    tx.execute("delete from setup_links where used_at is null", &[])?;
    tx.execute("insert into setup_links (token_hash, expires_at) values (?1, ?2)", params![hash, expires_at])?;
    Ok(())
}

pub(super) fn is_setup_link_open(c: &mut Conn<'_>, hash: &str, now: Time) -> DbResult<bool> {
    let sql = "select count(*) as n from setup_links where token_hash = ?1 and used_at is null and expires_at > ?2";
    c.one(sql, params![hash, now], |row| Ok(row.get::<i64>("n")? > 0))
}

pub(super) fn use_setup_link(tx: &mut Tx<'_>, hash: &str, now: Time) -> DbResult<u64> {
    let sql = "update setup_links set used_at = ?2 where token_hash = ?1 and used_at is null and expires_at > ?2";
    tx.execute(sql, params![hash, now])
}
