//! The audit trail: who did what to what, when, from where, and how it looked before and after.
//!
//! Owns `audit_entries`.
//!
//! An entry is written in the transaction of the change it describes: neither exists without the other. It names both the
//! subject and the one who really acted. It cannot hold a secret, because what holds one cannot be serialised. There
//! is no way to change or delete an entry here.
//!
//! Reached through [`record`] from every operation that changes something; shown on the console's overview.

mod store;

use serde::Serialize;

use crate::app::App;
use crate::base::clock::Time;
use crate::base::db::Tx;
use crate::base::error::Result;
use crate::base::id::Id;
use crate::base::principal::{Origin, Principal};

/// One act, as it is shown.
pub struct Entry {
    /// When.
    pub at: Time,
    /// What, such as `project.created`.
    pub action: String,
    /// Who really did it; none for somebody who was not signed in.
    pub actor_email: Option<String>,
    /// The kind of thing it was done to.
    pub resource_type: String,
    /// Which one.
    pub resource_id: String,
    /// What it is called, if what was written down of it has a name.
    pub resource_name: Option<String>,
}

impl Entry {
    /// Who, for people.
    pub fn actor(&self) -> &str {
        self.actor_email.as_deref().unwrap_or("a visitor")
    }

    /// Which thing, for people: its name, or else its kind and the end of its id, which tells two apart.
    pub fn resource(&self) -> String {
        if let Some(name) = &self.resource_name {
            return name.clone();
        }
        let end = self.resource_id.len().saturating_sub(6);
        format!("{} …{}", self.resource_type, self.resource_id.get(end..).unwrap_or_default())
    }

    /// Where the thing can be looked at.
    pub fn href(&self) -> Option<String> {
        (self.resource_type == "user").then(|| format!("/admin/users/{}", self.resource_id))
    }
}

/// Who an act is written down to.
pub enum By<'a> {
    /// Somebody signed in.
    Principal(&'a Principal),
    /// Nobody signed in, about the account with this id if there is one.
    Guest(&'a Origin, Option<Id>),
}

impl<'a> From<&'a Principal> for By<'a> {
    fn from(principal: &'a Principal) -> Self {
        By::Principal(principal)
    }
}

/// One act, as it is written.
pub struct Act<'a> {
    action: &'static str,
    resource_type: &'static str,
    resource_id: Id,
    by: By<'a>,
    before: Option<String>,
    after: Option<String>,
}

impl<'a> Act<'a> {
    /// `action` was done by `by` to the thing named.
    pub fn new(by: impl Into<By<'a>>, action: &'static str, resource_type: &'static str, resource_id: Id) -> Self {
        Self { action, resource_type, resource_id, by: by.into(), before: None, after: None }
    }

    /// How it looked before.
    pub fn before(mut self, value: &impl Serialize) -> Self {
        self.before = serde_json::to_string(value).ok();
        self
    }

    /// How it looks now.
    pub fn after(mut self, value: &impl Serialize) -> Self {
        self.after = serde_json::to_string(value).ok();
        self
    }
}

/// Writes an act down, as part of the change it describes.
///
/// # Errors
/// The store's.
pub fn record(tx: &mut Tx<'_>, now: Time, act: &Act<'_>) -> Result<()> {
    Ok(store::insert(tx, now, act)?)
}

/// The newest entries, at most `limit`.
///
/// # Errors
/// The store's.
pub async fn recent(app: &App, limit: u32) -> Result<Vec<Entry>> {
    app.db.read(move |c| Ok(store::recent(c, limit)?)).await
}

/// The newest entries about one account: done by it, to it, or in its name.
///
/// # Errors
/// The store's.
pub async fn recent_of_user(app: &App, user: Id, limit: u32) -> Result<Vec<Entry>> {
    app.db.read(move |c| Ok(store::recent_of_user(c, user, limit)?)).await
}

/// How often `action` was done each day since `since`, as (days since the epoch, count) in order.
///
/// # Errors
/// The store's.
pub async fn daily(app: &App, action: &'static str, since: Time) -> Result<Vec<(i64, i64)>> {
    app.db.read(move |c| Ok(store::daily(c, action, since)?)).await
}
