//! The JSON face of projects.

use poem_openapi::OpenApi;
use poem_openapi::param::{Header, Path, Query};

use super::{NewProject, Project, ProjectPatch};
use crate::app::App;
use crate::base::error::Result;
use crate::base::id::Id;
use crate::base::json::{Created, Fresh, Json, NoContent, Tagged};
use crate::base::page::{Page, PageRequest};
use crate::base::principal::SignedIn;
use crate::base::web::Tag;

pub(crate) struct ProjectsApi;

#[OpenApi(prefix_path = "/api/v1/app/projects", tag = "Tag::Projects")]
impl ProjectsApi {
    /// Create a project
    #[oai(path = "/", method = "post", operation_id = "create_project")]
    async fn create(
        &self,
        app: App,
        me: SignedIn,
        body: Json<NewProject>,
        /// Makes the request safe to repeat for 24 hours: 1 to 255 printable characters.
        #[oai(name = "Idempotency-Key")]
        key: Header<Option<String>>,
    ) -> Result<Created<Project>> {
        let created = super::create(&app, &me, body.0, key.0).await?;
        Ok(Created { etag: created.project.etag(), value: created.project, replayed: created.replayed })
    }

    /// List my projects
    ///
    /// Newest first; with `search`, those whose name contains it, by name.
    #[oai(path = "/", method = "get", operation_id = "list_projects")]
    async fn list(
        &self,
        app: App,
        me: SignedIn,
        /// How many to skip.
        #[oai(default, validator(minimum(value = "0"), maximum(value = "100000")))]
        skip: Query<u32>,
        /// How many to answer.
        #[oai(default = "crate::base::page::default_limit", validator(minimum(value = "1"), maximum(value = "100")))]
        limit: Query<u32>,
        /// The `next_cursor` of the page before.
        #[oai(validator(max_length = 2000))]
        cursor: Query<Option<String>>,
        /// Only those whose name contains this, whatever its case.
        #[oai(validator(max_length = 255))]
        search: Query<Option<String>>,
    ) -> Result<Json<Page<Project>>> {
        let page = PageRequest { skip: skip.0, limit: limit.0, cursor: cursor.0 };
        Ok(Json(super::list(&app, &me, search.0, page).await?))
    }

    /// Get one of my projects
    #[oai(path = "/:project_id", method = "get", operation_id = "get_project")]
    async fn get(
        &self,
        app: App,
        me: SignedIn,
        project_id: Path<Id>,
        /// Answers 304 if the project still has this entity tag.
        #[oai(name = "If-None-Match")]
        if_none_match: Header<Option<String>>,
    ) -> Result<Fresh<Project>> {
        let project = super::get(&app, &me, project_id.0).await?;
        Ok(Fresh::of(project.etag(), project, if_none_match.0.as_deref()))
    }

    /// Change one of my projects
    #[oai(path = "/:project_id", method = "patch", operation_id = "update_project")]
    async fn update(
        &self,
        app: App,
        me: SignedIn,
        project_id: Path<Id>,
        body: Json<ProjectPatch>,
        /// Refuses the change unless the project still has this entity tag.
        #[oai(name = "If-Match")]
        if_match: Header<Option<String>>,
    ) -> Result<Tagged<Project>> {
        let project = super::update(&app, &me, project_id.0, body.0, if_match.0).await?;
        Ok(Tagged(project.etag(), project))
    }

    /// Delete one of my projects
    #[oai(path = "/:project_id", method = "delete", operation_id = "delete_project")]
    async fn delete(
        &self,
        app: App,
        me: SignedIn,
        project_id: Path<Id>,
        /// Refuses the deletion unless the project still has this entity tag.
        #[oai(name = "If-Match")]
        if_match: Header<Option<String>>,
    ) -> Result<NoContent> {
        super::delete(&app, &me, project_id.0, if_match.0).await?;
        Ok(NoContent)
    }
}
