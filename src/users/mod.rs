//! Accounts: who there is, what they may do, and whether they may do anything.
//!
//! Owns `users`. Passwords and sessions belong to `auth` and `sessions`.
//!
//! An address belongs to one account, whatever its case. Nobody changes somebody above themselves, nor gives a role above
//! their own, nor deactivates themselves, and the last active superadmin stays one. A deactivated account is refused by
//! the next request, and its sessions are over for good. Every change has its audit entry. Accounts are never deleted
//! here.
//!
//! Reached under `/api/v1/app/users/me`, `/api/v1/admin/users`, `/admin/users` and `omnistack user`.

mod admin;
mod api;
mod listing;
mod store;
#[cfg(test)]
mod tests;

use poem_openapi::Object;
use serde::Serialize;

pub(crate) use admin::pages;
pub(crate) use api::UsersApi;
pub use listing::{Filter, Sort};

use crate::app::App;
use crate::audit::{self, Act};
use crate::base::clock::Time;
use crate::base::db::{Conn, Tx};
use crate::base::error::{Error, Faults, Result};
use crate::base::id::Id;
use crate::base::input::{self, Change};
use crate::base::page::{Page, PageRequest, Place};
use crate::base::principal::{Principal, Role};
use crate::base::web::ETag;
use crate::sessions;

/// An account, as its owner sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Object)]
pub struct Profile {
    /// Its id.
    pub id: Id,
    /// Its address.
    pub email: String,
    /// The name of the person.
    pub full_name: Option<String>,
    /// Where their picture is.
    pub avatar_url: Option<String>,
    /// What they may do.
    pub role: Role,
    /// Whether it can be used.
    pub is_active: bool,
    /// What they pay for; null for the free plan.
    pub subscription_plan: Option<String>,
    /// How that stands.
    pub subscription_status: Option<String>,
    /// When it was created.
    pub created_at: Time,
}

/// An account, as administrators see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Object)]
pub struct User {
    /// Its id.
    pub id: Id,
    /// Its address.
    pub email: String,
    /// The name of the person.
    pub full_name: Option<String>,
    /// Where their picture is.
    pub avatar_url: Option<String>,
    /// What they may do.
    pub role: Role,
    /// Whether it can be used.
    pub is_active: bool,
    /// What they pay for; null for the free plan.
    pub subscription_plan: Option<String>,
    /// How that stands.
    pub subscription_status: Option<String>,
    /// When it was created.
    pub created_at: Time,
    /// The customer at Stripe.
    pub stripe_customer_id: Option<String>,
    /// The purchase at Apple.
    pub apple_original_transaction_id: Option<String>,
    /// The purchase at Google.
    pub google_purchase_token: Option<String>,
    /// When they last signed in.
    pub last_login_at: Option<Time>,
    /// How often they have signed in.
    pub login_count: i64,
    /// When it was last changed.
    pub updated_at: Time,
    #[oai(skip)]
    #[serde(skip)]
    version: i64,
}

impl User {
    /// Its version, as an entity tag.
    pub fn etag(&self) -> ETag {
        ETag(self.version)
    }

    /// What its owner may see of it.
    pub fn profile(self) -> Profile {
        Profile {
            id: self.id,
            email: self.email,
            full_name: self.full_name,
            avatar_url: self.avatar_url,
            role: self.role,
            is_active: self.is_active,
            subscription_plan: self.subscription_plan,
            subscription_status: self.subscription_status,
            created_at: self.created_at,
        }
    }
}

/// Changes to one's own account: what is not sent stays.
#[derive(Clone, Debug, Default, Object)]
#[oai(deny_unknown_fields)]
pub struct ProfilePatch {
    /// A new name; null clears it.
    #[oai(validator(min_length = 1, max_length = 255))]
    pub full_name: Change<Option<String>>,
    /// A new picture; null clears it.
    #[oai(validator(min_length = 1, max_length = 2048))]
    pub avatar_url: Change<Option<String>>,
}

/// Changes to an account: what is not sent stays.
#[derive(Clone, Debug, Default, Object)]
#[oai(deny_unknown_fields)]
pub struct UserPatch {
    /// A new name; null clears it.
    #[oai(validator(min_length = 1, max_length = 255))]
    pub full_name: Change<Option<String>>,
    /// A new picture; null clears it.
    #[oai(validator(min_length = 1, max_length = 2048))]
    pub avatar_url: Change<Option<String>>,
    /// A new role, at most one's own.
    pub role: Change<Role>,
    /// Whether it can be used.
    pub is_active: Change<bool>,
}

impl From<ProfilePatch> for UserPatch {
    fn from(patch: ProfilePatch) -> Self {
        Self { full_name: patch.full_name, avatar_url: patch.avatar_url, ..Self::default() }
    }
}

impl UserPatch {
    /// What is wrong with it, beyond what the document says of its fields.
    fn faults(&self) -> Faults {
        let mut faults = Faults::default();
        if let Change::Set(Some(name)) = &self.full_name {
            input::line(&mut faults, "full_name", name);
        }
        if let Change::Set(Some(url)) = &self.avatar_url {
            input::web_address(&mut faults, "avatar_url", url);
        }
        faults
    }
}

/// An account to create. Who may create it, and how they prove who they are, is for `auth`.
#[derive(Clone, Debug)]
pub struct NewUser {
    /// The address.
    pub email: String,
    /// The name of the person.
    pub full_name: Option<String>,
    /// What they may do.
    pub role: Role,
}

/// Adds an account, inside the registration that made it.
///
/// # Errors
/// [`crate::base::db::DbError::Unique`] if the address is taken: what that means is for the caller to say.
pub fn insert(tx: &mut Tx<'_>, id: Id, new: &NewUser, now: Time) -> crate::base::db::DbResult<User> {
    store::insert(tx, id, new, now)
}

/// Finds an account by its address.
///
/// # Errors
/// The store's.
pub async fn find_by_email_any_owner(app: &App, email: &str) -> Result<Option<User>> {
    let key = input::email_key(email);
    app.db.read(move |c| Ok(store::find_by_email(c, &key)?)).await
}

/// Counts a sign-in, inside it.
///
/// # Errors
/// The store's.
pub fn count_login(tx: &mut Tx<'_>, id: Id, now: Time) -> Result<()> {
    Ok(store::count_login(tx, id, now)?)
}

/// The caller's own account.
///
/// # Errors
/// 404 if it is gone.
pub async fn get_own(app: &App, me: &Principal) -> Result<User> {
    get_any_owner(app, me.id()).await
}

/// Changes the caller's own account.
///
/// # Errors
/// 412 if `if_match` names another version; 422 for bad input.
pub async fn update_own(app: &App, me: &Principal, patch: ProfilePatch, if_match: Option<String>) -> Result<User> {
    update_any_owner(app, me, me.id(), patch.into(), if_match).await
}

/// Any account.
///
/// # Errors
/// 404.
pub async fn get_any_owner(app: &App, id: Id) -> Result<User> {
    app.db.read(move |c| store::find(c, id)?.ok_or_else(|| Error::not_found("user"))).await
}

/// Accounts, by the given order.
///
/// # Errors
/// 422 for a cursor of another list.
pub async fn list_any_owner(app: &App, filter: Filter, sort: Sort, page: PageRequest) -> Result<Page<User>> {
    let mut faults = Faults::default();
    input::lines(&mut faults, "search", filter.search.as_deref().unwrap_or_default());
    faults.check()?;
    let filter = Filter { search: filter.search.filter(|text| !text.is_empty()), ..filter };
    let walk = app.cursors(format!("users {filter:?} {sort:?}")).go(page)?;
    let slice = walk.slice.clone();
    let found = app.db.read(move |c| Ok(store::list(c, &filter, sort, &slice)?)).await?;
    Ok(walk.page(found, |user| Place::of(sort.key(user), user.id)))
}

/// Changes any account that the caller may act on.
///
/// # Errors
/// 400 for deactivating oneself, 403 for acting above oneself, 404, 409 for the last superadmin, 412, 422.
pub async fn update_any_owner(
    app: &App,
    me: &Principal,
    id: Id,
    patch: UserPatch,
    if_match: Option<String>,
) -> Result<User> {
    patch.faults().check()?;
    let (app_in, me, now) = (app.clone(), me.clone(), app.now());
    let write = app.db.write(move |tx| {
        let before = store::find(tx, id)?.ok_or_else(|| Error::not_found("user"))?;
        before.etag().check(if_match.as_deref())?;
        let mut wanted = before.clone();
        patch.full_name.apply(&mut wanted.full_name);
        patch.avatar_url.apply(&mut wanted.avatar_url);
        patch.role.apply(&mut wanted.role);
        patch.is_active.apply(&mut wanted.is_active);
        if wanted == before {
            return Ok(before);
        }
        may_change(tx, &me, &before, &wanted)?;
        let after = store::update(tx, &wanted, now)?;
        if before.is_active && !after.is_active {
            sessions::revoke_all(&app_in, tx, id, None, "account deactivated", now)?;
        } else {
            sessions::forget_user(&app_in, tx, id);
        }
        for action in actions(&before, &after) {
            audit::record(tx, now, &Act::new(&me, action, "user", id).before(&before).after(&after))?;
        }
        Ok(after)
    });
    write.await
}

/// Activates or deactivates an account.
///
/// # Errors
/// See [`update_any_owner`].
pub async fn set_active_any_owner(app: &App, me: &Principal, id: Id, is_active: bool) -> Result<User> {
    let patch = UserPatch { is_active: Change::Set(is_active), ..UserPatch::default() };
    update_any_owner(app, me, id, patch, None).await
}

/// Ends one session of an account that the caller may act on.
///
/// # Errors
/// 403 for acting above oneself; 404.
pub async fn end_session_any_owner(app: &App, me: &Principal, id: Id, session: Id) -> Result<()> {
    let (app_in, me, now) = (app.clone(), me.clone(), app.now());
    let write = app.db.write(move |tx| {
        may_act_on(tx, &me, id)?;
        sessions::revoke_of(&app_in, tx, &me, (id, session), "revoked in the console", now)
    });
    write.await
}

/// Ends all sessions of an account that the caller may act on, but the caller's own; says how many.
///
/// # Errors
/// 403 for acting above oneself; 404.
pub async fn end_sessions_any_owner(app: &App, me: &Principal, id: Id) -> Result<u64> {
    let (app_in, me, now) = (app.clone(), me.clone(), app.now());
    let write = app.db.write(move |tx| {
        let user = may_act_on(tx, &me, id)?;
        let ended = sessions::revoke_all(&app_in, tx, id, me.session(), "revoked in the console", now)?;
        let state = serde_json::json!({ "email": user.email, "ended": ended });
        audit::record(tx, now, &Act::new(&me, "session.all_revoked", "user", id).after(&state))?;
        Ok(ended)
    });
    write.await
}

fn may_act_on(tx: &mut Tx<'_>, me: &Principal, id: Id) -> Result<User> {
    let user = store::find(tx, id)?.ok_or_else(|| Error::not_found("user"))?;
    if user.role > me.role() {
        return Err(Error::forbidden(format!("You cannot act on an account of the role {}.", user.role)));
    }
    Ok(user)
}

fn may_change(tx: &mut Tx<'_>, me: &Principal, before: &User, wanted: &User) -> Result<()> {
    let oneself = me.id() == before.id;
    if !oneself && before.role > me.role() {
        return Err(Error::forbidden(format!("You cannot change an account of the role {}.", before.role)));
    }
    if wanted.role > before.role && wanted.role > me.role() {
        return Err(Error::forbidden(format!("You cannot give the role {}: it is above your own.", wanted.role)));
    }
    if oneself && before.is_active && !wanted.is_active {
        return Err(Error::bad_request("Cannot deactivate your own account"));
    }
    let was_superadmin = before.role == Role::Superadmin && before.is_active;
    let is_superadmin = wanted.role == Role::Superadmin && wanted.is_active;
    if was_superadmin && !is_superadmin && store::count_active(tx, Role::Superadmin)? <= 1 {
        return Err(Error::conflict("This is the last active superadmin: appoint another one first."));
    }
    Ok(())
}

/// What a change is called in the trail: a role or an end is never hidden in a mere update.
fn actions(before: &User, after: &User) -> Vec<&'static str> {
    let mut actions = Vec::new();
    if before.role != after.role {
        actions.push("user.role_changed");
    }
    match (before.is_active, after.is_active) {
        (true, false) => actions.push("user.deactivated"),
        (false, true) => actions.push("user.activated"),
        _ => {}
    }
    if (&before.full_name, &before.avatar_url) != (&after.full_name, &after.avatar_url) {
        actions.push("user.updated");
    }
    actions
}

/// Whether anybody can operate this installation.
///
/// # Errors
/// The store's.
pub fn has_superadmin(c: &mut Conn<'_>) -> Result<bool> {
    Ok(store::count_active(c, Role::Superadmin)? > 0)
}

/// How many accounts there are, and how many were created each day since `since`, as (days since the epoch, count).
///
/// # Errors
/// The store's.
pub async fn counts_any_owner(app: &App, since: Time) -> Result<(i64, Vec<(i64, i64)>)> {
    app.db.read(move |c| Ok((store::count(c)?, store::daily(c, since)?))).await
}
