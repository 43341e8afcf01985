//! Projects: what a user owns. The smallest complete capability, here to be copied.
//!
//! Owns `projects`.
//!
//! A project has one owner for life, and nobody else finds it: not yours and not there are the same answer. Deleting is
//! soft; a deleted project is found by nothing. Every change has its audit entry in the same transaction. There is no
//! query here across owners but the counts of the console.
//!
//! Reached under `/api/v1/app/projects`.

mod api;
mod store;
#[cfg(test)]
mod tests;

use poem_openapi::Object;
use serde::{Deserialize, Serialize};

pub(crate) use api::ProjectsApi;

use crate::app::App;
use crate::audit::{self, Act};
use crate::base::clock::Time;
use crate::base::error::{Error, Faults, Result};
use crate::base::id::Id;
use crate::base::input::{self, Change};
use crate::base::page::{Page, PageRequest, Place, SortKey};
use crate::base::principal::Principal;
use crate::base::web::ETag;
use crate::idempotency::{self, Key};

/// A project.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Object)]
pub struct Project {
    /// Its id.
    pub id: Id,
    /// Its name.
    pub name: String,
    /// What it is about.
    pub description: Option<String>,
    /// Whose it is.
    pub owner_id: Id,
    /// When it was created.
    pub created_at: Time,
    /// When it was last changed.
    pub updated_at: Time,
    #[oai(skip)]
    #[serde(skip)]
    version: i64,
}

/// A project to create.
#[derive(Clone, Debug, Serialize, Object)]
#[oai(deny_unknown_fields)]
pub struct NewProject {
    /// Its name.
    #[oai(validator(min_length = 1, max_length = 255))]
    pub name: String,
    /// What it is about.
    #[oai(validator(max_length = 2000))]
    pub description: Option<String>,
}

/// Changes to a project: what is not sent stays.
#[derive(Clone, Debug, Default, Object)]
#[oai(deny_unknown_fields)]
pub struct ProjectPatch {
    /// A new name.
    #[oai(validator(min_length = 1, max_length = 255))]
    pub name: Change<String>,
    /// A new description; null clears it.
    #[oai(validator(max_length = 2000))]
    pub description: Change<Option<String>>,
}

impl NewProject {
    fn check(&self) -> Result<()> {
        check(Some(&self.name), self.description.as_ref())
    }
}

impl ProjectPatch {
    fn check(&self) -> Result<()> {
        check(self.name.as_set(), self.description.as_set().and_then(Option::as_ref))
    }
}

fn check(name: Option<&String>, description: Option<&String>) -> Result<()> {
    let mut faults = Faults::default();
    if let Some(name) = name {
        input::line(&mut faults, "name", name);
    }
    if let Some(description) = description {
        input::lines(&mut faults, "description", description);
    }
    faults.check()
}

impl Project {
    /// Its version, as an entity tag.
    pub fn etag(&self) -> ETag {
        ETag(self.version)
    }
}

/// A project just created, or created before under the same idempotency key.
pub struct Creation {
    /// The project.
    pub project: Project,
    /// Whether it was there before.
    pub replayed: bool,
}

/// Creates a project of the caller. `key` makes it safe to repeat.
///
/// # Errors
/// 422 for bad input or a reused key.
pub async fn create(app: &App, me: &Principal, new: NewProject, key: Option<String>) -> Result<Creation> {
    new.check()?;
    let key = Key::read(key, me.id(), "project.create", &new)?;
    let (me, now, id) = (me.clone(), app.now(), Id::new());
    let write = app.db.write(move |tx| {
        let (project, replayed) = idempotency::once(tx, key.as_ref(), now, |tx| {
            let project = store::insert(tx, me.id(), id, &new, now)?;
            audit::record(tx, now, &Act::new(&me, "project.created", "project", id).after(&project))?;
            Ok(project)
        })?;
        // What was written down is the answer, not the row's version of that day: a replay shows the row as it was.
        Ok(Creation { project: Project { version: 1, ..project }, replayed })
    });
    write.await
}

/// One of the caller's projects.
///
/// # Errors
/// 404.
pub async fn get(app: &App, me: &Principal, id: Id) -> Result<Project> {
    let owner = me.id();
    app.db.read(move |c| store::find(c, owner, id)?.ok_or_else(|| Error::not_found("project"))).await
}

/// The caller's projects: newest first, or by name if `search` is given and then only those whose name contains it.
///
/// # Errors
/// 422 for a cursor of another list.
pub async fn list(app: &App, me: &Principal, search: Option<String>, page: PageRequest) -> Result<Page<Project>> {
    let owner = me.id();
    let search = search.filter(|text| !text.is_empty());
    let mut faults = Faults::default();
    input::lines(&mut faults, "search", search.as_deref().unwrap_or_default());
    faults.check()?;
    let pattern = search.as_deref().map(input::like_pattern);
    let list = format!("projects {owner} {}", pattern.as_deref().unwrap_or_default());
    let walk = app.cursors(list).go(page)?;
    let (slice, by_name) = (walk.slice.clone(), pattern.is_some());
    let found = app.db.read(move |c| Ok(store::list(c, owner, pattern.as_deref(), &slice)?)).await?;
    Ok(walk.page(found, |project| {
        let key = match by_name {
            true => SortKey::Text(project.name.to_lowercase()),
            false => SortKey::Int(project.created_at.micros()),
        };
        Place::of(key, project.id)
    }))
}

/// Changes one of the caller's projects.
///
/// # Errors
/// 404; 412 if `if_match` names another version; 422 for bad input.
pub async fn update(
    app: &App,
    me: &Principal,
    id: Id,
    patch: ProjectPatch,
    if_match: Option<String>,
) -> Result<Project> {
    patch.check()?;
    let (me, now) = (me.clone(), app.now());
    let write = app.db.write(move |tx| {
        let before = store::find(tx, me.id(), id)?.ok_or_else(|| Error::not_found("project"))?;
        before.etag().check(if_match.as_deref())?;
        let mut wanted = before.clone();
        patch.name.apply(&mut wanted.name);
        patch.description.apply(&mut wanted.description);
        if wanted == before {
            return Ok(before);
        }
        let after = store::update(tx, &wanted, now)?;
        audit::record(tx, now, &Act::new(&me, "project.updated", "project", id).before(&before).after(&after))?;
        Ok(after)
    });
    write.await
}

/// Deletes one of the caller's projects.
///
/// # Errors
/// 404; 412 if `if_match` names another version.
pub async fn delete(app: &App, me: &Principal, id: Id, if_match: Option<String>) -> Result<()> {
    let (me, now) = (me.clone(), app.now());
    let write = app.db.write(move |tx| {
        let before = store::find(tx, me.id(), id)?.ok_or_else(|| Error::not_found("project"))?;
        before.etag().check(if_match.as_deref())?;
        store::delete(tx, me.id(), id, now)?;
        audit::record(tx, now, &Act::new(&me, "project.deleted", "project", id).before(&before))
    });
    write.await
}

/// How many projects there are, and how many were created each day since `since`, as (days since the epoch, count).
///
/// # Errors
/// The store's.
pub async fn counts_any_owner(app: &App, since: Time) -> Result<(i64, Vec<(i64, i64)>)> {
    app.db.read(move |c| Ok((store::count_any_owner(c)?, store::daily_any_owner(c, since)?))).await
}
