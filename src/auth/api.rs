//! The JSON face of local accounts.

use poem::handler;
use poem_openapi::OpenApi;

use super::{Credentials, PasswordChange, RefreshRequest, Registered, Registration};
use crate::app::App;
use crate::base::error::Result;
use crate::base::json::{Accepted, Json, NoContent};
use crate::base::principal::{From, SignedIn};
use crate::base::web::Tag;
use crate::sessions::{self, TokenPair};

pub(crate) struct AuthApi;

#[OpenApi(prefix_path = "/api/v1", tag = "Tag::Auth")]
impl AuthApi {
    /// Register
    ///
    /// The answer is the same whether or not the address had an account.
    #[oai(path = "/public/auth/register", method = "post", operation_id = "register")]
    async fn register(&self, app: App, from: From, body: Json<Registration>) -> Result<Accepted<Registered>> {
        Ok(Accepted(super::register(&app, &from.0, body.0).await?))
    }

    /// Sign in
    #[oai(path = "/public/auth/login", method = "post", operation_id = "login")]
    async fn login(&self, app: App, from: From, body: Json<Credentials>) -> Result<Json<TokenPair>> {
        Ok(Json(super::login(&app, &from.0, body.0).await?))
    }

    /// Renew the tokens
    ///
    /// The old refresh token gives the same answer again until one of the new tokens is used; after that, showing it ends
    /// the session.
    #[oai(path = "/public/auth/refresh", method = "post", operation_id = "refresh")]
    async fn refresh(&self, app: App, from: From, body: Json<RefreshRequest>) -> Result<Json<TokenPair>> {
        Ok(Json(sessions::rotate(&app, &body.refresh_token, &from.0).await?))
    }

    /// Sign out
    ///
    /// Ends the session. An unknown token gets the same answer: there is nothing left to end.
    #[oai(path = "/public/auth/logout", method = "post", operation_id = "logout")]
    async fn logout(&self, app: App, from: From, body: Json<RefreshRequest>) -> Result<NoContent> {
        sessions::end_by_refresh_token(&app, &body.refresh_token, &from.0).await?;
        Ok(NoContent)
    }

    /// Change my password
    ///
    /// Ends every other session.
    #[oai(path = "/app/auth/password", method = "post", operation_id = "change_password")]
    async fn change_password(&self, app: App, me: SignedIn, body: Json<PasswordChange>) -> Result<NoContent> {
        super::change_password(&app, &me, body.0).await?;
        Ok(NoContent)
    }
}

/// The public keys of access tokens, for whoever verifies them (RFC 7517).
#[handler]
pub(crate) fn jwks(app: App) -> poem::Response {
    let body = app.tokens.jwks().to_string();
    poem::Response::builder()
        .content_type("application/jwk-set+json")
        .header("cache-control", "public, max-age=600")
        .body(body)
}
