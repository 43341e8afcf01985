//! The middleware that turns a credential into a [`Principal`].
//!
//! API routes take an access token, console pages take the cookie; neither takes the other's, so that the API needs no
//! defence against forged forms. A credential that is not accepted is not an error here: the route decides whether it
//! needs one.

use std::sync::Arc;
use std::time::Duration;

use poem::http::{HeaderValue, header};
use poem::{Endpoint, Middleware, Request};

use super::{SessionKind, rotate, store};
use crate::app::App;
use crate::base::error::Result;
use crate::base::id::Id;
use crate::base::principal::{Credential, Live, Principal, Refused, origin};
use crate::base::secret::{sha256, token_hash};

/// A console session is marked as seen this often.
const SEEN: Duration = Duration::from_secs(60);

/// Puts a [`Principal`], or why there is none, on every request.
pub(crate) struct Identify(pub App);

impl<E: Endpoint> Middleware<E> for Identify {
    type Output = IdentifyEndpoint<E>;

    fn transform(&self, inner: E) -> Self::Output {
        IdentifyEndpoint { app: self.0.clone(), inner }
    }
}

/// The endpoint behind [`Identify`].
pub(crate) struct IdentifyEndpoint<E> {
    app: App,
    inner: E,
}

impl<E: Endpoint> Endpoint for IdentifyEndpoint<E> {
    type Output = E::Output;

    async fn call(&self, mut request: Request) -> poem::Result<Self::Output> {
        let console = request.uri().path().starts_with("/admin");
        let found = if console {
            match cookie(&request, &self.app) {
                Some(cookie) => by_cookie(&self.app, cookie).await?,
                None => Ok(None),
            }
        } else {
            match bearer(&request) {
                Some(token) => by_access_token(&self.app, token).await?,
                None => Ok(None),
            }
        };
        match found {
            Ok(Some((live, credential))) => {
                let origin = origin(&request);
                let _ = origin.user.set(live.account.id);
                let principal = Principal::new(live.account.clone(), credential, origin);
                request.extensions_mut().insert(principal);
            }
            Ok(None) => {}
            Err(refused) => drop(request.extensions_mut().insert(refused)),
        }
        self.inner.call(request).await
    }
}

type Found = std::result::Result<Option<(Arc<Live>, Credential)>, Refused>;

const INVALID: Refused = Refused("The access token is not valid.");
const OVER: Refused = Refused("The session is over: sign in again.");

/// `Authorization: Bearer …` (RFC 6750, section 2.1). Never from the address, which ends up in logs.
fn bearer(request: &Request) -> Option<&str> {
    let (scheme, token) = request.header(header::AUTHORIZATION)?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

async fn by_access_token(app: &App, token: &str) -> Result<Found> {
    let now = app.now();
    let hash = sha256(token.as_bytes());
    let claims = app.verified.get_or_load(&hash, async {
        let Some(claims) = app.tokens.verify(token, now) else { return Ok(None) };
        // Cached only once its first use is on disk: from then on an older refresh token is a replay.
        if let Some(live) = live(app, claims.sid).await?
            && live.generation == claims.generation
            && !live.successor_used
        {
            rotate::note_use(app, claims.sid, claims.generation, app.config.auth.session_idle).await?;
        }
        Ok::<_, crate::base::error::Error>(Some(Arc::new(claims)))
    });
    let Some(claims) = claims.await? else { return Ok(Err(INVALID)) };
    if claims.exp <= now.seconds() {
        return Ok(Err(Refused("The access token has expired: refresh it.")));
    }
    Ok(match live(app, claims.sid).await? {
        Some(live) if live.account.id == claims.sub => Ok(Some((live, Credential::AccessToken(claims.sid)))),
        _ => Err(OVER),
    })
}

async fn by_cookie(app: &App, cookie: &str) -> Result<Found> {
    let hash = token_hash(cookie);
    // Which session a cookie names is looked up each time: the console is not where speed is needed.
    let Some(id) = app.db.read(move |c| Ok(store::find_by_cookie(c, &hash)?)).await? else { return Ok(Err(OVER)) };
    let Some(live) = live(app, id).await? else { return Ok(Err(OVER)) };
    if app.now().since(live.last_seen_at) > SEEN {
        rotate::note_use(app, id, live.generation, SessionKind::Console.limits(&app.config.auth).0).await?;
    }
    Ok(Ok(Some((live, Credential::Console(id)))))
}

/// The session with its account, if both may be used now.
async fn live(app: &App, id: Id) -> Result<Option<Arc<Live>>> {
    let now = app.now();
    let load = async { app.db.read(move |c| Ok(store::find_live(c, id, now)?.map(Arc::new))).await };
    let live = app.live.get_or_load(&id, load).await?;
    Ok(live.filter(|live| live.expires_at > now))
}

/// `__Host-` binds the cookie to this host and to https, where there is https.
fn cookie_name(app: &App) -> &'static str {
    if app.is_https() { "__Host-omnistack" } else { "omnistack" }
}

fn cookie<'a>(request: &'a Request, app: &App) -> Option<&'a str> {
    crate::base::web::cookie(request, cookie_name(app))
}

/// The `Set-Cookie` that keeps a console session.
pub(crate) fn session_cookie(app: &App, token: &str) -> HeaderValue {
    let secure = if app.is_https() { "; Secure" } else { "" };
    let age = app.config.auth.console_max.as_secs();
    let text = format!("{}={token}; Path=/; HttpOnly; SameSite=Lax; Max-Age={age}{secure}", cookie_name(app));
    HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static(""))
}

/// The `Set-Cookie` that forgets it.
pub(crate) fn clear_cookie(app: &App) -> HeaderValue {
    let secure = if app.is_https() { "; Secure" } else { "" };
    let text = format!("{}=; Path=/; HttpOnly; SameSite=Lax; Max-Age=0{secure}", cookie_name(app));
    HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static(""))
}
