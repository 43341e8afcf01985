//! The JSON face of sessions.

use poem_openapi::OpenApi;
use poem_openapi::param::Path;

use super::SessionList;
use crate::app::App;
use crate::base::error::Result;
use crate::base::id::Id;
use crate::base::json::{Json, NoContent};
use crate::base::principal::SignedIn;
use crate::base::web::Tag;

pub(crate) struct SessionsApi;

#[OpenApi(prefix_path = "/api/v1/app/auth/sessions", tag = "Tag::Auth")]
impl SessionsApi {
    /// List my sessions
    ///
    /// Those that can still be used, newest first.
    #[oai(path = "/", method = "get", operation_id = "list_sessions")]
    async fn list(&self, app: App, me: SignedIn) -> Result<Json<SessionList>> {
        Ok(Json(SessionList { items: super::list(&app, &me).await? }))
    }

    /// End one of my sessions
    ///
    /// Its tokens are refused by the next request.
    #[oai(path = "/:session_id", method = "delete", operation_id = "revoke_session")]
    async fn revoke(&self, app: App, me: SignedIn, session_id: Path<Id>) -> Result<NoContent> {
        super::revoke(&app, &me, session_id.0).await?;
        Ok(NoContent)
    }
}
