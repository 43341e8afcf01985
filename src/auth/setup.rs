//! The setup link: how the first administrator of an empty installation comes to be.
//!
//! Printed once by `serve`, stored hashed, dead after `auth.setup_link_ttl` or as soon as there is a superadmin. Looking at
//! the page consumes nothing, so that a link preview cannot burn it; the POST does.

use super::{create, prepare, store};
use crate::app::App;
use crate::base::error::{Error, Result};
use crate::base::id::Id;
use crate::base::principal::{Origin, Principal, Role};
use crate::base::secret::{Secret, random_token, token_hash};
use crate::users::{self, NewUser, User};

/// A fresh link's token, unless somebody can operate the installation already. Earlier links die.
///
/// # Errors
/// The store's.
pub async fn offer(app: &App) -> Result<Option<String>> {
    let (token, expires_at) = (random_token()?, app.now() + app.config.auth.setup_link_ttl);
    let hash = token_hash(&token);
    let write = app.db.write(move |tx| {
        if users::has_superadmin(tx)? {
            return Ok(false);
        }
        store::replace_setup_links(tx, &hash, expires_at)?;
        Ok(true)
    });
    Ok(write.await?.then_some(token))
}

/// Whether a link can still be used.
///
/// # Errors
/// The store's.
pub async fn is_open(app: &App, token: &str) -> Result<bool> {
    let (hash, now) = (token_hash(token), app.now());
    app.db.read(move |c| Ok(store::is_setup_link_open(c, &hash, now)? && !users::has_superadmin(c)?)).await
}

/// Creates the first superadmin and consumes the link, both or neither.
///
/// # Errors
/// 404 if the link is used, outlived or unknown; 409 if the address is taken; 422 for bad input.
pub async fn consume(app: &App, origin: &Origin, token: &str, new: NewUser, password: Secret) -> Result<User> {
    if !is_open(app, token).await? {
        return Err(Error::not_found("setup link"));
    }
    let password_hash = prepare(app, &new.email, new.full_name.as_ref(), &password).await?;
    let me = Principal { origin: origin.clone().into(), ..Principal::command_line() };
    let new = NewUser { role: Role::Superadmin, ..new };
    let (hash, now, id) = (token_hash(token), app.now(), Id::new());
    let write = app.db.write(move |tx| {
        if store::use_setup_link(tx, &hash, now)? == 0 || users::has_superadmin(tx)? {
            return Err(Error::not_found("setup link"));
        }
        create(tx, &me, id, (&new, &password_hash), now)
    });
    write.await
}
