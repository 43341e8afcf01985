//! The SQL of projects.

use super::{NewProject, Project};
use crate::base::clock::Time;
use crate::base::db::{Conn, DbResult, Row, Tx, Value, keyset, params};
use crate::base::id::Id;
use crate::base::page::{Slice, TOTAL_CAP};

const COLUMNS: &str = "id, name, description, owner_id, created_at, updated_at, version";

fn from_row(row: &Row<'_>) -> DbResult<Project> {
    Ok(Project {
        id: row.get("id")?,
        name: row.get("name")?,
        description: row.get("description")?,
        owner_id: row.get("owner_id")?,
        created_at: row.get("created_at")?,
        updated_at: row.get("updated_at")?,
        version: row.get("version")?,
    })
}

pub(super) fn insert(tx: &mut Tx<'_>, owner: Id, id: Id, new: &NewProject, now: Time) -> DbResult<Project> {
    let sql = format!(
        "insert into projects (id, owner_id, name, name_key, description, version, created_at, updated_at) \
         values (?1, ?2, ?3, ?4, ?5, 1, ?6, ?6) returning {COLUMNS}"
    );
    tx.one(&sql, params![id, owner, &new.name, new.name.to_lowercase(), &new.description, now], from_row)
}

pub(super) fn find(c: &mut Conn<'_>, owner: Id, id: Id) -> DbResult<Option<Project>> {
    let sql = format!("select {COLUMNS} from projects where id = ?1 and owner_id = ?2 and deleted_at is null");
    c.opt(&sql, params![id, owner], from_row)
}

/// A page of rows, and how many there are in all (counted to the cap).
pub(super) fn list(c: &mut Conn<'_>, owner: Id, pattern: Option<&str>, slice: &Slice) -> DbResult<(Vec<Project>, i64)> {
    let (filter, column, descending) = match pattern {
        None => ("", "created_at", true),
        Some(_) => (" and name_key like ?2 escape '!'", "name_key", false),
    };
    let mut params = vec![Value::from(owner)];
    params.extend(pattern.map(Value::from));
    let rows = format!("from projects where owner_id = ?1 and deleted_at is null{filter}");
    let count = format!("select count(*) as n from (select 1 as one {rows} limit {TOTAL_CAP}) found");
    let total = c.one(&count, &params, |row| row.get("n"))?;
    let (begin, order) = keyset(slice, column, descending, &mut params);
    Ok((c.all(&format!("select {COLUMNS} {rows}{begin}{order}"), &params, from_row)?, total))
}

pub(super) fn update(tx: &mut Tx<'_>, wanted: &Project, now: Time) -> DbResult<Project> {
    let sql = format!(
        "update projects set name = ?3, name_key = ?4, description = ?5, updated_at = ?6, version = version + 1 \
         where id = ?1 and owner_id = ?2 and deleted_at is null returning {COLUMNS}"
    );
    let key = wanted.name.to_lowercase();
    tx.one(&sql, params![wanted.id, wanted.owner_id, &wanted.name, key, &wanted.description, now], from_row)
}

pub(super) fn delete(tx: &mut Tx<'_>, owner: Id, id: Id, now: Time) -> DbResult<u64> {
    let sql = "update projects set deleted_at = ?3 where id = ?1 and owner_id = ?2 and deleted_at is null";
    tx.execute(sql, params![id, owner, now])
}

pub(super) fn count_any_owner(c: &mut Conn<'_>) -> DbResult<i64> {
    c.one("select count(*) as n from projects where deleted_at is null", &[], |row| row.get("n"))
}

pub(super) fn daily_any_owner(c: &mut Conn<'_>, since: Time) -> DbResult<Vec<(i64, i64)>> {
    c.all(
        "select created_at / 86400000000 as day, count(*) as n from projects where created_at >= ?1 \
         group by created_at / 86400000000 order by day",
        params![since],
        |row| Ok((row.get("day")?, row.get("n")?)),
    )
}
