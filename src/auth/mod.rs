//! Local accounts: registering, signing in and out, changing the password, and the first administrator.
//!
//! Owns `passwords` and `setup_links`.
//!
//! Known and unknown addresses get the same answer for the same work. Nothing that proves who somebody is leaves this
//! folder: hashes are in a table of their own, and no type that holds one can be serialised. A new password ends every
//! other session. There is no default account: the first superadmin comes from a one-time setup link, which only a POST
//! consumes, or from the command line.
//!
//! Reached under `/api/v1/public/auth`, `/api/v1/app/auth/password`, the console's sign-in and `omnistack user`.

mod api;
mod setup;
mod store;
#[cfg(test)]
mod tests;

use poem_openapi::Object;
use serde::Serialize;
use serde_json::json;

pub(crate) use api::{AuthApi, jwks};
pub use setup::{consume as set_up, is_open as is_setup_link_open, offer as offer_setup_link};

use crate::app::App;
use crate::audit::{self, Act, By};
use crate::base::clock::Time;
use crate::base::db::{OnUnique, Tx};
use crate::base::error::{Error, Faults, Result};
use crate::base::id::Id;
use crate::base::input;
use crate::base::password::Verdict;
use crate::base::principal::{Account, Origin, Principal, Role};
use crate::base::secret::{Secret, random_token, token_hash};
use crate::sessions::{self, SessionKind, TokenPair};
use crate::users::{self, NewUser, User};

/// A registration.
#[derive(Object)]
#[oai(deny_unknown_fields)]
pub struct Registration {
    /// The address; it becomes the name to sign in with.
    #[oai(validator(min_length = 3, max_length = 254))]
    pub email: String,
    /// At least 10 characters, and not one of the common ones.
    #[oai(validator(max_length = 1024))]
    pub password: String,
    /// The name of the person.
    #[oai(validator(min_length = 1, max_length = 255))]
    pub full_name: Option<String>,
}

/// Name and password.
#[derive(Object)]
#[oai(deny_unknown_fields)]
pub struct Credentials {
    /// The address.
    #[oai(validator(max_length = 254))]
    pub email: String,
    /// The password.
    #[oai(validator(max_length = 1024))]
    pub password: String,
}

/// A refresh token.
#[derive(Object)]
#[oai(deny_unknown_fields)]
pub struct RefreshRequest {
    /// As answered by a sign-in or a refresh.
    #[oai(validator(max_length = 200))]
    pub refresh_token: String,
}

/// A change of password.
#[derive(Object)]
#[oai(deny_unknown_fields)]
pub struct PasswordChange {
    /// The one that is in use.
    #[oai(validator(max_length = 1024))]
    pub current_password: String,
    /// The one to use from now on.
    #[oai(validator(max_length = 1024))]
    pub new_password: String,
}

/// What a registration answers, whatever became of it.
#[derive(Serialize, Object)]
pub struct Registered {
    /// What to do next.
    pub message: String,
}

/// Checks what becomes an account, and hashes the password.
async fn prepare(app: &App, email: &str, full_name: Option<&String>, password: &Secret) -> Result<String> {
    let mut faults = Faults::default();
    input::email(&mut faults, "email", email);
    if let Some(name) = full_name {
        input::line(&mut faults, "full_name", name);
    }
    if let Some((code, message)) = app.passwords.fault(password, email) {
        faults.add("password", code, message);
    }
    faults.check()?;
    app.passwords.hash(password.clone()).await
}

/// Registers an account. A taken address gets the same answer for the same work, and changes nothing.
///
/// # Errors
/// 403 if registration is closed; 422 for bad input.
pub async fn register(app: &App, origin: &Origin, new: Registration) -> Result<Registered> {
    if !app.config.auth.registration {
        return Err(Error::forbidden("Registration is closed here: ask an administrator for an account."));
    }
    let hash = prepare(app, &new.email, new.full_name.as_ref(), &Secret::new(new.password)).await?;
    let user = NewUser { email: new.email, full_name: new.full_name, role: Role::User };
    let (origin, now, id) = (origin.clone(), app.now(), Id::new());
    let taken = app.db.write(move |tx| {
        // Looked up rather than tried: a refused insert would end a Postgres transaction.
        if let Some(owner) = store::find_by_email(tx, &input::email_key(&user.email))? {
            let by = By::Guest(&origin, Some(owner.user));
            return audit::record(tx, now, &Act::new(by, "user.registered_again", "user", owner.user));
        }
        let user = users::insert(tx, id, &user, now).map_err(crate::base::db::DbError::lost)?;
        store::set_password(tx, id, &hash, now)?;
        audit::record(tx, now, &Act::new(By::Guest(&origin, Some(id)), "user.registered", "user", id).after(&user))
    });
    taken.await?;
    Ok(Registered { message: "You can sign in now, unless this address had an account before.".into() })
}

/// Creates an account with any role up to the creator's own.
///
/// # Errors
/// 403 for a role above one's own; 409 if the address is taken; 422 for bad input.
pub async fn create_account(app: &App, me: &Principal, new: NewUser, password: Secret) -> Result<User> {
    if new.role > me.role() {
        return Err(Error::forbidden(format!("You cannot give the role {}: it is above your own.", new.role)));
    }
    let hash = prepare(app, &new.email, new.full_name.as_ref(), &password).await?;
    let (me, now, id) = (me.clone(), app.now(), Id::new());
    app.db.write(move |tx| create(tx, &me, id, (&new, &hash), now)).await
}

fn create(tx: &mut Tx<'_>, me: &Principal, id: Id, (new, hash): (&NewUser, &str), now: Time) -> Result<User> {
    let user = users::insert(tx, id, new, now)
        .on_unique(|| Error::conflict(format!("There is an account with the address {} already.", new.email)))?;
    store::set_password(tx, id, hash, now)?;
    audit::record(tx, now, &Act::new(me, "user.created", "user", id).after(&user))?;
    Ok(user)
}

/// Gives an account a new password without knowing the old one: for the command line. Ends all its sessions.
///
/// # Errors
/// 404; 422 for a bad password.
pub async fn reset_password(app: &App, me: &Principal, user: &User, password: Secret) -> Result<()> {
    let hash = prepare(app, &user.email, None, &password).await?;
    let (app_in, me, now, id) = (app.clone(), me.clone(), app.now(), user.id);
    let write = app.db.write(move |tx| {
        store::set_password(tx, id, &hash, now)?;
        sessions::revoke_all(&app_in, tx, id, None, "password reset", now)?;
        audit::record(tx, now, &Act::new(&me, "user.password_reset", "user", id))
    });
    write.await
}

/// Signs in to the API.
///
/// # Errors
/// 401 for a wrong name, a wrong password or a deactivated account, all alike; 429 when too many sign in at once.
pub async fn login(app: &App, origin: &Origin, credentials: Credentials) -> Result<TokenPair> {
    let signed_in = sign_in(app, origin, credentials, SessionKind::Api, None).await?;
    sessions::pair(app, signed_in.session, (signed_in.user, signed_in.role), 1, signed_in.at)
}

/// Signs in to the console; answers the token for its cookie.
///
/// # Errors
/// See [`login`].
pub async fn open_console(app: &App, origin: &Origin, credentials: Credentials) -> Result<String> {
    let token = random_token()?;
    sign_in(app, origin, credentials, SessionKind::Console, Some(token_hash(&token))).await?;
    Ok(token)
}

struct SignedIn {
    session: Id,
    user: Id,
    role: Role,
    at: Time,
}

async fn sign_in(
    app: &App,
    origin: &Origin,
    credentials: Credentials,
    kind: SessionKind,
    cookie_hash: Option<String>,
) -> Result<SignedIn> {
    let (key, password) = (input::email_key(&credentials.email), Secret::new(credentials.password));
    let name = key.clone();
    let found = app.db.read(move |c| Ok(store::find_by_email(c, &name)?)).await?;
    let hash = found.as_ref().and_then(|login| login.hash.clone());
    let verdict = app.passwords.verify(password.clone(), hash).await?;
    let Some(verified) = found.filter(|login| verdict != Verdict::Wrong && may_sign_in(login, kind)) else {
        return Err(refuse(app, origin).await?);
    };
    let rehashed = match verdict {
        Verdict::RightButOutdated => Some(app.passwords.hash(password).await?),
        _ => None,
    };
    let (app_in, from, now) = (app.clone(), origin.clone(), app.now());
    let write = app.db.write(move |tx| {
        // Verifying takes a while, in which the password may have been changed or the account deactivated.
        let still = store::find_by_email(tx, &key)?
            .filter(|login| login.changed_at == verified.changed_at && may_sign_in(login, kind));
        let Some(login) = still else { return Ok(None) };
        if let Some(hash) = &rehashed {
            store::rehash(tx, login.user, hash)?;
        }
        users::count_login(tx, login.user, now)?;
        let session = sessions::begin(&app_in, tx, (login.user, kind), (cookie_hash.as_deref(), &from), now)?;
        let account = Account { id: login.user, email: login.email, role: login.role };
        let me = Principal::new(account.into(), kind.credential(session), from.clone().into());
        let state = json!({ "email": me.subject.email, "kind": kind, "session_id": session });
        audit::record(tx, now, &Act::new(&me, "user.signed_in", "user", login.user).after(&state))?;
        Ok(Some(SignedIn { session, user: login.user, role: login.role, at: now }))
    });
    match write.await? {
        Some(signed_in) => Ok(signed_in),
        None => Err(refuse(app, origin).await?),
    }
}

/// The console is for those who operate the product.
fn may_sign_in(login: &store::Login, kind: SessionKind) -> bool {
    login.is_active && (kind == SessionKind::Api || login.role >= Role::Support)
}

/// The one answer to every failed sign-in, written down without what was typed: a password lands in the wrong field often
/// enough.
async fn refuse(app: &App, origin: &Origin) -> Result<Error> {
    let (origin, now) = (origin.clone(), app.now());
    let write = app.db.write(move |tx| {
        audit::record(tx, now, &Act::new(By::Guest(&origin, None), "user.sign_in_failed", "user", Id::NONE))
    });
    write.await?;
    Ok(Error::unauthenticated("E-mail address or password is wrong."))
}

/// Changes the caller's own password and ends every other session.
///
/// # Errors
/// 422 if the current password is wrong or the new one bad.
pub async fn change_password(app: &App, me: &Principal, change: PasswordChange) -> Result<()> {
    let id = me.id();
    let wrong = || Faults::only("current_password", "wrong", "This is not your current password.");
    let (hash, chosen_at) = app.db.read(move |c| Ok(store::find_password(c, id)?)).await?.unzip();
    let current = Secret::new(change.current_password);
    if app.passwords.verify(current, hash).await? == Verdict::Wrong {
        return Err(wrong());
    }
    let new = Secret::new(change.new_password);
    if let Some((code, message)) = app.passwords.fault(&new, &me.subject.email) {
        return Err(Faults::only("new_password", code, message));
    }
    let hash = app.passwords.hash(new).await?;
    let (app_in, me, now) = (app.clone(), me.clone(), app.now());
    let write = app.db.write(move |tx| {
        // Somebody else may have set another one while this one was verified.
        if store::find_password(tx, id)?.map(|(_, at)| at) != chosen_at {
            return Err(wrong());
        }
        store::set_password(tx, id, &hash, now)?;
        sessions::revoke_all(&app_in, tx, id, me.session(), "password changed", now)?;
        audit::record(tx, now, &Act::new(&me, "user.password_changed", "user", id))
    });
    write.await
}
