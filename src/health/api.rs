//! The JSON face of health, and the two bare addresses that orchestrators ask.

use poem::http::StatusCode;
use poem::{IntoResponse, Response, handler};
use poem_openapi::registry::{MetaMediaType, MetaResponse, MetaResponses, Registry};
use poem_openapi::types::Type;
use poem_openapi::{ApiResponse, OpenApi};

use super::{Health, Readiness, Status};
use crate::app::App;
use crate::base::error::Result;
use crate::base::json::Json;
use crate::base::web::Tag;

pub(crate) struct HealthApi;

#[OpenApi(prefix_path = "/api/v1/public/health", tag = "Tag::Health")]
impl HealthApi {
    /// Is the process alive
    ///
    /// Asks nothing but the process itself.
    #[oai(path = "/", method = "get", operation_id = "health")]
    async fn health(&self, app: App) -> Result<Json<Health>> {
        Ok(Json(Health { status: Status::Healthy, timestamp: app.now() }))
    }

    /// Can it serve
    ///
    /// Writes and reads the store, looks at its schema and at the disk. 503 if anything is wrong.
    #[oai(path = "/ready", method = "get", operation_id = "health_ready")]
    async fn ready(&self, app: App) -> Result<Ready> {
        Ok(Ready(super::readiness(&app).await))
    }
}

/// 200 or 503, with the same body.
struct Ready(Readiness);

impl IntoResponse for Ready {
    fn into_response(self) -> Response {
        let healthy = self.0.status == Status::Healthy;
        let mut response = Json(self.0).into_response();
        if !healthy {
            response.set_status(StatusCode::SERVICE_UNAVAILABLE);
        }
        response
    }
}

impl ApiResponse for Ready {
    fn meta() -> MetaResponses {
        let response = |status, description| MetaResponse {
            description,
            status: Some(status),
            status_range: None,
            content: vec![MetaMediaType { content_type: "application/json", schema: Readiness::schema_ref() }],
            headers: Vec::new(),
        };
        MetaResponses { responses: vec![response(200, "Ready"), response(503, "Not ready")] }
    }

    fn register(registry: &mut Registry) {
        Readiness::register(registry);
    }
}

/// `/livez`: the process answers.
#[handler]
pub(crate) fn livez() -> &'static str {
    "ok\n"
}

/// `/readyz`: requests should be sent here.
#[handler]
pub(crate) async fn readyz(app: App) -> Response {
    match super::readiness(&app).await.status {
        Status::Healthy => "ok\n".into_response(),
        _ => (StatusCode::SERVICE_UNAVAILABLE, "not ready\n").into_response(),
    }
}
