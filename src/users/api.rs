//! The JSON face of accounts.

use poem_openapi::OpenApi;
use poem_openapi::param::{Header, Path, Query};

use super::{Filter, Profile, ProfilePatch, Sort, User, UserPatch};
use crate::app::App;
use crate::base::error::Result;
use crate::base::id::Id;
use crate::base::json::{Fresh, Json, Tagged};
use crate::base::page::{Page, PageRequest};
use crate::base::principal::{Admin, Role, SignedIn, Support};
use crate::base::web::Tag;

pub(crate) struct UsersApi;

#[OpenApi(prefix_path = "/api/v1", tag = "Tag::Users")]
impl UsersApi {
    /// Get my account
    #[oai(path = "/app/users/me", method = "get", operation_id = "get_me")]
    async fn get_me(
        &self,
        app: App,
        me: SignedIn,
        /// Answers 304 if the account still has this entity tag.
        #[oai(name = "If-None-Match")]
        if_none_match: Header<Option<String>>,
    ) -> Result<Fresh<Profile>> {
        let user = super::get_own(&app, &me).await?;
        Ok(Fresh::of(user.etag(), user.profile(), if_none_match.0.as_deref()))
    }

    /// Change my account
    #[oai(path = "/app/users/me", method = "patch", operation_id = "update_me")]
    async fn update_me(
        &self,
        app: App,
        me: SignedIn,
        body: Json<ProfilePatch>,
        /// Refuses the change unless the account still has this entity tag.
        #[oai(name = "If-Match")]
        if_match: Header<Option<String>>,
    ) -> Result<Tagged<Profile>> {
        let user = super::update_own(&app, &me, body.0, if_match.0).await?;
        Ok(Tagged(user.etag(), user.profile()))
    }

    /// List accounts
    ///
    /// For support and above.
    #[oai(path = "/admin/users", method = "get", operation_id = "list_users")]
    #[expect(clippy::too_many_arguments, reason = "one argument a query parameter is how the document is written")]
    async fn list(
        &self,
        app: App,
        _me: Support,
        /// How many to skip.
        #[oai(default, validator(minimum(value = "0"), maximum(value = "100000")))]
        skip: Query<u32>,
        /// How many to answer.
        #[oai(default = "crate::base::page::default_limit", validator(minimum(value = "1"), maximum(value = "100")))]
        limit: Query<u32>,
        /// The `next_cursor` of the page before.
        #[oai(validator(max_length = 2000))]
        cursor: Query<Option<String>>,
        /// Only active, or only inactive ones.
        is_active: Query<Option<bool>>,
        /// Only those with this role.
        role: Query<Option<Role>>,
        /// Only those whose address or name contains this, whatever its case.
        #[oai(validator(max_length = 255))]
        search: Query<Option<String>>,
        /// The order; a minus sign reverses it.
        #[oai(default)]
        sort: Query<Sort>,
    ) -> Result<Json<Page<User>>> {
        let filter = Filter { is_active: is_active.0, role: role.0, search: search.0 };
        let page = PageRequest { skip: skip.0, limit: limit.0, cursor: cursor.0 };
        Ok(Json(super::list_any_owner(&app, filter, sort.0, page).await?))
    }

    /// Get an account
    ///
    /// For support and above.
    #[oai(path = "/admin/users/:user_id", method = "get", operation_id = "get_user")]
    async fn get(
        &self,
        app: App,
        _me: Support,
        user_id: Path<Id>,
        /// Answers 304 if the account still has this entity tag.
        #[oai(name = "If-None-Match")]
        if_none_match: Header<Option<String>>,
    ) -> Result<Fresh<User>> {
        let user = super::get_any_owner(&app, user_id.0).await?;
        Ok(Fresh::of(user.etag(), user, if_none_match.0.as_deref()))
    }

    /// Change an account
    ///
    /// For administrators; nobody changes an account, or gives a role, above their own.
    #[oai(path = "/admin/users/:user_id", method = "patch", operation_id = "update_user")]
    async fn update(
        &self,
        app: App,
        me: Admin,
        user_id: Path<Id>,
        body: Json<UserPatch>,
        /// Refuses the change unless the account still has this entity tag.
        #[oai(name = "If-Match")]
        if_match: Header<Option<String>>,
    ) -> Result<Tagged<User>> {
        let user = super::update_any_owner(&app, &me, user_id.0, body.0, if_match.0).await?;
        Ok(Tagged(user.etag(), user))
    }

    /// Activate an account
    ///
    /// For administrators. Sessions that a deactivation ended stay ended.
    #[oai(path = "/admin/users/:user_id/activate", method = "post", operation_id = "activate_user")]
    async fn activate(&self, app: App, me: Admin, user_id: Path<Id>) -> Result<Json<User>> {
        Ok(Json(super::set_active_any_owner(&app, &me, user_id.0, true).await?))
    }

    /// Deactivate an account
    ///
    /// For administrators. It is refused by the next request, and its sessions are over for good.
    #[oai(path = "/admin/users/:user_id/deactivate", method = "post", operation_id = "deactivate_user")]
    async fn deactivate(&self, app: App, me: Admin, user_id: Path<Id>) -> Result<Json<User>> {
        Ok(Json(super::set_active_any_owner(&app, &me, user_id.0, false).await?))
    }
}
