//! Sessions: who is signed in where, and the end of it.
//!
//! Owns `sessions`; reads four columns of `users`, because a session is worth what its account is worth now.
//!
//! A session that is revoked, outlived, or belongs to a deactivated account is refused by the next request: what the
//! cache holds is dropped between the commit and the answer. API sessions rotate their refresh token. A lost answer costs
//! nobody their session: as long as neither new token was used, the old one gives the same answer again. Once one was
//! used, the old one is a replay, and ends the session. Nothing of a token is stored but the hash of a console cookie.
//!
//! Reached under `/api/v1/app/auth/sessions`, from `auth`, and by [`Identify`] on every request.

mod api;
mod identify;
mod rotate;
mod store;
#[cfg(test)]
mod tests;

use std::time::Duration;

use poem_openapi::{Enum, Object};
use serde::{Deserialize, Serialize};

pub(crate) use api::SessionsApi;
pub(crate) use identify::{Identify, clear_cookie, session_cookie};
pub(crate) use rotate::{TokenPair, pair, rotate};

use crate::app::App;
use crate::audit::{self, Act};
use crate::base::clock::Time;
use crate::base::config::AuthSection;
use crate::base::db::Tx;
use crate::base::error::{Error, Result};
use crate::base::id::Id;
use crate::base::principal::{Credential, Origin, Principal};

/// What a session is used with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Enum)]
#[oai(rename_all = "lowercase")]
#[serde(rename_all = "lowercase")]
pub enum SessionKind {
    /// Access and refresh tokens.
    Api,
    /// The console's cookie.
    Console,
}

impl SessionKind {
    /// As stored and sent.
    pub const fn as_str(self) -> &'static str {
        match self {
            SessionKind::Api => "api",
            SessionKind::Console => "console",
        }
    }

    /// What a session of this kind proves.
    pub fn credential(self, session: Id) -> Credential {
        match self {
            SessionKind::Api => Credential::AccessToken(session),
            SessionKind::Console => Credential::Console(session),
        }
    }

    /// How long it lives unused, and how long at most.
    fn limits(self, section: &AuthSection) -> (Duration, Duration) {
        match self {
            SessionKind::Api => (section.session_idle, section.session_max),
            SessionKind::Console => (section.console_idle, section.console_max),
        }
    }
}

/// A session, as its owner sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Object)]
pub struct Session {
    /// Its id.
    pub id: Id,
    /// What it is used with.
    pub kind: SessionKind,
    /// Whether it is the one this request came with.
    pub current: bool,
    /// The address it was last used from.
    pub ip: String,
    /// The program it was begun with.
    pub user_agent: String,
    /// When it began.
    pub created_at: Time,
    /// When it was last seen, to about a quarter of an hour.
    pub last_seen_at: Time,
    /// When it ends if it is not used before.
    pub idle_until: Time,
    /// When it ends in any case.
    pub expires_at: Time,
}

/// The caller's own sessions.
#[derive(Serialize, Object)]
pub struct SessionList {
    /// Those that can still be used, newest first; at most 100.
    pub items: Vec<Session>,
}

/// Begins a session, inside the sign-in that earned it. `cookie_hash` is set for a console session.
///
/// # Errors
/// The store's.
pub fn begin(
    app: &App,
    tx: &mut Tx<'_>,
    (user, kind): (Id, SessionKind),
    (cookie_hash, origin): (Option<&str>, &Origin),
    now: Time,
) -> Result<Id> {
    let (id, (idle, max)) = (Id::new(), kind.limits(&app.config.auth));
    let new =
        store::NewSession { id, user, kind, cookie_hash, origin, now, idle_until: now + idle, expires_at: now + max };
    store::insert(tx, &new)?;
    Ok(id)
}

/// The caller's sessions that can still be used.
///
/// # Errors
/// The store's.
pub async fn list(app: &App, me: &Principal) -> Result<Vec<Session>> {
    list_any_owner(app, me, me.id()).await
}

/// Another account's sessions, for the console.
///
/// # Errors
/// The store's.
pub async fn list_any_owner(app: &App, me: &Principal, user: Id) -> Result<Vec<Session>> {
    let (current, now) = (me.session(), app.now());
    let mut sessions = app.db.read(move |c| Ok(store::list(c, user, now)?)).await?;
    for session in &mut sessions {
        session.current = Some(session.id) == current;
    }
    Ok(sessions)
}

/// Ends one of the caller's sessions.
///
/// # Errors
/// 404 if the caller has no such live session.
pub async fn revoke(app: &App, me: &Principal, id: Id) -> Result<()> {
    let (app_in, me, now) = (app.clone(), me.clone(), app.now());
    app.db.write(move |tx| revoke_of(&app_in, tx, &me, (me.id(), id), "revoked by its owner", now)).await
}

/// Ends one session of an account, inside the act that decided it.
///
/// # Errors
/// 404 if the account has no such live session.
pub fn revoke_of(
    app: &App,
    tx: &mut Tx<'_>,
    me: &Principal,
    (user, id): (Id, Id),
    because: &str,
    now: Time,
) -> Result<()> {
    if store::revoke(tx, user, id, because, now)? == 0 {
        return Err(Error::not_found("session"));
    }
    forget(app, tx, id);
    audit::record(tx, now, &Act::new(me, "session.revoked", "session", id).after(&because))
}

/// Ends all sessions of an account but `except`, inside the change that makes it necessary.
///
/// # Errors
/// The store's.
pub fn revoke_all(app: &App, tx: &mut Tx<'_>, user: Id, except: Option<Id>, because: &str, now: Time) -> Result<u64> {
    let ended = store::revoke_all(tx, user, except, because, now)?;
    forget_user(app, tx, user);
    Ok(ended)
}

/// Drops what is cached of an account once the change is committed.
pub fn forget_user(app: &App, tx: &mut Tx<'_>, user: Id) {
    let live = app.live.clone();
    tx.after_commit(move || live.invalidate_if(move |session| session.account.id == user));
}

fn forget(app: &App, tx: &mut Tx<'_>, session: Id) {
    let live = app.live.clone();
    tx.after_commit(move || live.invalidate(&session));
}

/// Ends the session a refresh token belongs to. An unknown token is no error: it is over either way.
///
/// # Errors
/// The store's.
pub async fn end_by_refresh_token(app: &App, token: &str, origin: &Origin) -> Result<()> {
    let Some((id, _)) = app.tokens.read_refresh_token(token) else { return Ok(()) };
    end(app, id, origin).await
}

/// Signs a session out.
///
/// # Errors
/// The store's.
pub async fn end(app: &App, id: Id, origin: &Origin) -> Result<()> {
    let (app_in, origin, now) = (app.clone(), origin.clone(), app.now());
    let write = app.db.write(move |tx| {
        let Some(user) = store::revoke_any_owner(tx, id, "signed out", now)? else { return Ok(()) };
        forget(&app_in, tx, id);
        let account = store::account(tx, user)?;
        let me = Principal::new(account.into(), Credential::AccessToken(id), origin.clone().into());
        audit::record(tx, now, &Act::new(&me, "session.ended", "session", id))
    });
    write.await
}

/// How many sessions can be used now.
///
/// # Errors
/// The store's.
pub async fn count_any_owner(app: &App) -> Result<i64> {
    let now = app.now();
    app.db.read(move |c| Ok(store::count_any_owner(c, now)?)).await
}
