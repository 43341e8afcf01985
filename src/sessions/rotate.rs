//! Rotation of refresh tokens: no false logout, no accepted replay.
//!
//! The session row counts generations. A token of the current generation begins the next one. A token of the generation
//! before gets the *same* answer as long as neither token of the current one was used: fifty requests at once, or one
//! whose answer was lost, end with one live session. Once one was used, the older token can only be a copy: the session
//! and all its tokens die with it. A token ahead of the row is refused without harm (a restored backup).

use std::time::Duration;

use poem_openapi::Object;
use serde::Serialize;

use super::store::{self, Rotation};
use crate::app::App;
use crate::audit::{self, Act, By};
use crate::base::clock::Time;
use crate::base::db::Tx;
use crate::base::error::{Error, Result};
use crate::base::id::Id;
use crate::base::principal::{Origin, Role};
use crate::base::token::Claims;

/// What a sign-in or a refresh answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Object)]
pub struct TokenPair {
    /// Show it as `Authorization: Bearer …`.
    pub access_token: String,
    /// Always `bearer`.
    pub token_type: String,
    /// How long the access token lives from its issue, in seconds.
    pub expires_in: i64,
    /// When the access token dies.
    pub expires_at: Time,
    /// Renews both; works once, and for as long as its answer has not been used.
    pub refresh_token: String,
    /// The session, as listed under `/api/v1/app/auth/sessions`.
    pub session_id: Id,
}

/// The tokens of one generation: a pure function of the session's row, so that equal requests get equal bytes.
///
/// # Errors
/// If signing fails.
pub fn pair(app: &App, session: Id, (user, role): (Id, Role), generation: i64, issued: Time) -> Result<TokenPair> {
    let ttl = app.config.auth.access_token_ttl;
    let expires_at = (issued + ttl).floor_second();
    let claims = Claims {
        iss: app.tokens.issuer().into(),
        sub: user,
        sid: session,
        generation,
        role: role.as_str().into(),
        iat: issued.seconds(),
        exp: expires_at.seconds(),
        jti: format!("{session}.{generation}.{}", issued.micros()),
    };
    Ok(TokenPair {
        access_token: app.tokens.sign(&claims)?,
        token_type: "bearer".into(),
        expires_in: i64::try_from(ttl.as_secs()).unwrap_or(i64::MAX),
        expires_at,
        refresh_token: app.tokens.refresh_token(session, generation),
        session_id: session,
    })
}

enum Outcome {
    Tokens(Rotation),
    Refused,
}

/// Renews the tokens of a session.
///
/// # Errors
/// 401 if the token was never ours, is over, or is a replay.
pub async fn rotate(app: &App, token: &str, origin: &Origin) -> Result<TokenPair> {
    let refused = || Error::unauthenticated("This refresh token is not valid any more: sign in again.");
    let (id, generation) = app.tokens.read_refresh_token(token).ok_or_else(refused)?;
    let (app_in, origin, now) = (app.clone(), origin.clone(), app.now());
    let outcome = app.db.write(move |tx| decide(&app_in, tx, (id, generation), &origin, now)).await?;
    match outcome {
        Outcome::Tokens(row) => pair(app, id, (row.user, row.role), row.generation, row.rotated_at),
        Outcome::Refused => Err(refused()),
    }
}

/// A refusal is an `Ok` here: ending a replayed session must be committed.
fn decide(app: &App, tx: &mut Tx<'_>, (id, generation): (Id, i64), origin: &Origin, now: Time) -> Result<Outcome> {
    let Some(mut row) = store::find_rotation(tx, id, now)? else { return Ok(Outcome::Refused) };
    let idle = app.config.auth.session_idle;
    match row.generation - generation {
        0 => {
            (row.generation, row.rotated_at, row.successor_used) = (generation + 1, now, false);
            store::rotate(tx, id, &row, now + idle, &origin.ip)?;
            super::forget(app, tx, id);
            Ok(Outcome::Tokens(row))
        }
        1 if !row.successor_used => {
            // Somebody who waited long gets an access token with a life before it; the refresh token stays.
            if now.since(row.rotated_at) > app.config.auth.access_token_ttl / 2 {
                row.rotated_at = now;
                store::rotate(tx, id, &row, now + idle, &origin.ip)?;
            }
            Ok(Outcome::Tokens(row))
        }
        behind if behind > 0 => {
            store::revoke_any_owner(tx, id, "refresh token replayed", now)?;
            super::forget(app, tx, id);
            let by = By::Guest(origin, Some(row.user));
            audit::record(tx, now, &Act::new(by, "session.replayed", "session", id))?;
            Ok(Outcome::Refused)
        }
        _ => Ok(Outcome::Refused),
    }
}

/// Notes the first use of a generation's tokens, which makes every older token a replay; and that the session lives.
///
/// # Errors
/// The store's.
pub(super) async fn note_use(app: &App, id: Id, generation: i64, idle: Duration) -> Result<()> {
    let (app_in, now) = (app.clone(), app.now());
    let write = app.db.write(move |tx| {
        store::note_use(tx, id, generation, now, now + idle)?;
        super::forget(&app_in, tx, id);
        Ok(())
    });
    write.await
}
