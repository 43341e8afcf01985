//! The SQL of accounts.

use super::{Filter, NewUser, Sort, User};
use crate::base::clock::Time;
use crate::base::db::{Conn, DbResult, Row, Tx, Value, keyset, params};
use crate::base::id::Id;
use crate::base::input::{email_key, like_pattern};
use crate::base::page::{Slice, TOTAL_CAP};
use crate::base::principal::Role;

const COLUMNS: &str = "id, email, full_name, avatar_url, role, is_active, subscription_plan, subscription_status, \
     created_at, stripe_customer_id, apple_original_transaction_id, google_purchase_token, last_login_at, login_count, \
     updated_at, version";

fn from_row(row: &Row<'_>) -> DbResult<User> {
    Ok(User {
        id: row.get("id")?,
        email: row.get("email")?,
        full_name: row.get("full_name")?,
        avatar_url: row.get("avatar_url")?,
        role: row.get("role")?,
        is_active: row.get("is_active")?,
        subscription_plan: row.get("subscription_plan")?,
        subscription_status: row.get("subscription_status")?,
        created_at: row.get("created_at")?,
        stripe_customer_id: row.get("stripe_customer_id")?,
        apple_original_transaction_id: row.get("apple_original_transaction_id")?,
        google_purchase_token: row.get("google_purchase_token")?,
        // Zero is "never": the column is sorted, and null sorts differently on the two engines.
        last_login_at: Some(row.get::<Time>("last_login_at")?).filter(|at| at.micros() > 0),
        login_count: row.get("login_count")?,
        updated_at: row.get("updated_at")?,
        version: row.get("version")?,
    })
}

/// What a name search looks at: the name in lower case, made here because SQLite's `lower` knows ASCII alone.
fn name_key(full_name: &Option<String>) -> String {
    full_name.as_deref().unwrap_or_default().to_lowercase()
}

pub(super) fn insert(tx: &mut Tx<'_>, id: Id, new: &NewUser, now: Time) -> DbResult<User> {
    let sql = format!(
        "insert into users (id, email, email_key, full_name, name_key, role, is_active, last_login_at, login_count, \
         version, created_at, updated_at) values (?1, ?2, ?3, ?4, ?5, ?6, true, 0, 0, 1, ?7, ?7) returning {COLUMNS}"
    );
    let keys = (email_key(&new.email), name_key(&new.full_name));
    tx.one(&sql, params![id, new.email.trim(), keys.0, &new.full_name, keys.1, new.role.as_str(), now], from_row)
}

pub(super) fn find(c: &mut Conn<'_>, id: Id) -> DbResult<Option<User>> {
    c.opt(&format!("select {COLUMNS} from users where id = ?1"), params![id], from_row)
}

pub(super) fn find_by_email(c: &mut Conn<'_>, key: &str) -> DbResult<Option<User>> {
    c.opt(&format!("select {COLUMNS} from users where email_key = ?1"), params![key], from_row)
}

/// A page of rows, and how many there are in all (counted to the cap).
pub(super) fn list<'p>(
    c: &mut Conn<'_>,
    filter: &'p Filter,
    sort: Sort,
    slice: &'p Slice,
) -> DbResult<(Vec<User>, i64)> {
    let (mut rows, mut params) = ("from users where 1 = 1".to_owned(), Vec::new());
    let mut only = |value: Value<'p>, condition: &str| {
        params.push(value);
        rows += &condition.replace("?n", &format!("?{}", params.len()));
    };
    if let Some(is_active) = filter.is_active {
        only(is_active.into(), " and is_active = ?n");
    }
    if let Some(role) = filter.role {
        only(role.as_str().into(), " and role = ?n");
    }
    if let Some(search) = &filter.search {
        only(like_pattern(search).into(), " and (email_key like ?n escape '!' or name_key like ?n escape '!')");
    }
    let count = format!("select count(*) as n from (select 1 as one {rows} limit {TOTAL_CAP}) found");
    let total = c.one(&count, &params, |row| row.get("n"))?;
    let (column, descending) = match sort {
        Sort::CreatedDesc => ("created_at", true),
        Sort::Created => ("created_at", false),
        Sort::Email => ("email_key", false),
        Sort::EmailDesc => ("email_key", true),
        Sort::LastLoginDesc => ("last_login_at", true),
        Sort::LastLogin => ("last_login_at", false),
    };
    let (begin, order) = keyset(slice, column, descending, &mut params);
    Ok((c.all(&format!("select {COLUMNS} {rows}{begin}{order}"), &params, from_row)?, total))
}

pub(super) fn update(tx: &mut Tx<'_>, wanted: &User, now: Time) -> DbResult<User> {
    let sql = format!(
        "update users set full_name = ?2, name_key = ?3, avatar_url = ?4, role = ?5, is_active = ?6, updated_at = ?7, \
         version = version + 1 where id = ?1 returning {COLUMNS}"
    );
    let params = params![
        wanted.id,
        &wanted.full_name,
        name_key(&wanted.full_name),
        &wanted.avatar_url,
        wanted.role.as_str(),
        wanted.is_active,
        now,
    ];
    tx.one(&sql, params, from_row)
}

pub(super) fn count_login(tx: &mut Tx<'_>, id: Id, now: Time) -> DbResult<()> {
    tx.execute("update users set last_login_at = ?2, login_count = login_count + 1 where id = ?1", params![id, now])?;
    Ok(())
}

pub(super) fn count_active(c: &mut Conn<'_>, role: Role) -> DbResult<i64> {
    let sql = "select count(*) as n from users where role = ?1 and is_active";
    c.one(sql, params![role.as_str()], |row| row.get("n"))
}

pub(super) fn count(c: &mut Conn<'_>) -> DbResult<i64> {
    c.one("select count(*) as n from users", &[], |row| row.get("n"))
}

pub(super) fn daily(c: &mut Conn<'_>, since: Time) -> DbResult<Vec<(i64, i64)>> {
    c.all(
        "select created_at / 86400000000 as day, count(*) as n from users where created_at >= ?1 \
         group by created_at / 86400000000 order by day",
        params![since],
        |row| Ok((row.get("day")?, row.get("n")?)),
    )
}
