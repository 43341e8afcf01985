//! JSON bodies, in and out.
//!
//! Out: serde writes straight to bytes; poem-openapi's own payload would build a `serde_json::Value` first, which costs a
//! third more on lists. In: poem-openapi's types decide whether a body is right, and the document they produced
//! says what exactly is wrong, all faults at once.

use std::sync::Arc;

use poem::http::{HeaderValue, StatusCode, header};
use poem::{IntoResponse, Request, RequestBody, Response};
use poem_openapi::ApiResponse;
use poem_openapi::payload::{ParsePayload, Payload};
use poem_openapi::registry::{MetaHeader, MetaMediaType, MetaResponse, MetaResponses, MetaSchemaRef, Registry};
use poem_openapi::types::{ParseFromJSON, Type};
use serde::Serialize;

use super::contract::Operation;
use super::error::{Error, Faults};
use super::web::{BodyLimit, ETag};

/// A JSON body; as an answer, 200.
pub struct Json<T>(pub T);

impl<T> std::ops::Deref for Json<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: Type> Payload for Json<T> {
    const CONTENT_TYPE: &'static str = "application/json";

    fn check_content_type(content_type: &str) -> bool {
        let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json"))
    }

    fn schema_ref() -> MetaSchemaRef {
        T::schema_ref()
    }

    fn register(registry: &mut Registry) {
        T::register(registry);
    }
}

impl<T: ParseFromJSON> ParsePayload for Json<T> {
    const IS_REQUIRED: bool = true;

    async fn from_request(request: &Request, body: &mut RequestBody) -> poem::Result<Self> {
        let limit = request.data::<BodyLimit>().map_or(1 << 20, |limit| limit.0);
        let bytes = body.take()?.into_bytes_limit(limit as usize).await.map_err(|error| match error {
            poem::error::ReadBodyError::PayloadTooLarge => Error::payload_too_large(limit),
            other => Error::bad_request(format!("The body cannot be read: {other}.")),
        })?;
        let value: serde_json::Value = serde_json::from_slice(&bytes)
            .map_err(|error| Error::bad_request(format!("The body is not valid JSON: {error}.")))?;
        let operation = request.data::<Arc<Operation>>();
        // Asked first: poem-openapi stops at the first fault, and takes a null for a field that is not there.
        let faults = operation.map(|operation| operation.body_faults(&value)).unwrap_or_default();
        faults.check()?;
        let parsed = T::parse_from_json(Some(value));
        Ok(Self(parsed.map_err(|error| Faults::only("", "type", error.into_message()))?))
    }
}

poem_openapi::impl_apirequest_for_payload!(Json<T>, T: ParseFromJSON);

fn respond<T: Serialize>(status: StatusCode, value: &T) -> Response {
    match serde_json::to_vec(value) {
        Ok(bytes) => Response::builder().status(status).content_type("application/json").body(bytes),
        Err(error) => Error::Internal(anyhow::Error::new(error).context("writing JSON")).json_response("", ""),
    }
}

fn meta<T: Type>(status: u16, description: &'static str, headers: Vec<MetaHeader>) -> MetaResponses {
    let content = vec![MetaMediaType { content_type: Json::<T>::CONTENT_TYPE, schema: T::schema_ref() }];
    MetaResponses {
        responses: vec![MetaResponse { description, status: Some(status), status_range: None, content, headers }],
    }
}

impl<T: Serialize + Send> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        respond(StatusCode::OK, &self.0)
    }
}

impl<T: Type> ApiResponse for Json<T> {
    fn meta() -> MetaResponses {
        meta::<T>(200, "Done", Vec::new())
    }

    fn register(registry: &mut Registry) {
        T::register(registry);
    }
}

/// 200 with the version of the row as its entity tag.
pub struct Tagged<T>(pub ETag, pub T);

impl<T: Serialize + Send> IntoResponse for Tagged<T> {
    fn into_response(self) -> Response {
        let mut response = respond(StatusCode::OK, &self.1);
        response.headers_mut().insert(header::ETAG, self.0.header());
        response
    }
}

impl<T: Type> ApiResponse for Tagged<T> {
    fn meta() -> MetaResponses {
        meta::<T>(200, "Done", vec![etag_header()])
    }

    fn register(registry: &mut Registry) {
        T::register(registry);
    }
}

/// 201 with the new row.
pub struct Created<T> {
    /// The row.
    pub value: T,
    /// Its version.
    pub etag: ETag,
    /// Whether it is the answer of an earlier request with the same idempotency key.
    pub replayed: bool,
}

impl<T: Serialize + Send> IntoResponse for Created<T> {
    fn into_response(self) -> Response {
        let mut response = respond(StatusCode::CREATED, &self.value);
        response.headers_mut().insert(header::ETAG, self.etag.header());
        if self.replayed {
            response.headers_mut().insert("idempotency-replayed", HeaderValue::from_static("true"));
        }
        response
    }
}

impl<T: Type> ApiResponse for Created<T> {
    fn meta() -> MetaResponses {
        meta::<T>(201, "Created", vec![etag_header()])
    }

    fn register(registry: &mut Registry) {
        T::register(registry);
    }
}

/// 200 with an entity tag, or 304 if the caller has that version already (RFC 9110, section 13.1.2).
pub enum Fresh<T> {
    /// The row and its version.
    Changed(T, ETag),
    /// The caller has it.
    Unchanged(ETag),
}

impl<T> Fresh<T> {
    /// Holds `If-None-Match` against the version.
    pub fn of(etag: ETag, value: T, if_none_match: Option<&str>) -> Self {
        if if_none_match.is_some_and(|list| etag.is_in(list)) {
            Fresh::Unchanged(etag)
        } else {
            Fresh::Changed(value, etag)
        }
    }
}

impl<T: Serialize + Send> IntoResponse for Fresh<T> {
    fn into_response(self) -> Response {
        match self {
            Fresh::Changed(value, etag) => Tagged(etag, value).into_response(),
            Fresh::Unchanged(etag) => {
                let mut response = StatusCode::NOT_MODIFIED.into_response();
                response.headers_mut().insert(header::ETAG, etag.header());
                response
            }
        }
    }
}

impl<T: Type> ApiResponse for Fresh<T> {
    fn meta() -> MetaResponses {
        let mut meta = meta::<T>(200, "Done", vec![etag_header()]);
        let (description, content, headers) = ("You have this version", Vec::new(), vec![etag_header()]);
        let unchanged = MetaResponse { description, status: Some(304), status_range: None, content, headers };
        meta.responses.push(unchanged);
        meta
    }

    fn register(registry: &mut Registry) {
        T::register(registry);
    }
}

/// 202: accepted, and nothing more to tell.
pub struct Accepted<T>(pub T);

impl<T: Serialize + Send> IntoResponse for Accepted<T> {
    fn into_response(self) -> Response {
        respond(StatusCode::ACCEPTED, &self.0)
    }
}

impl<T: Type> ApiResponse for Accepted<T> {
    fn meta() -> MetaResponses {
        meta::<T>(202, "Accepted", Vec::new())
    }

    fn register(registry: &mut Registry) {
        T::register(registry);
    }
}

/// 204: done, and nothing to tell.
pub struct NoContent;

impl IntoResponse for NoContent {
    fn into_response(self) -> Response {
        StatusCode::NO_CONTENT.into_response()
    }
}

impl ApiResponse for NoContent {
    fn meta() -> MetaResponses {
        let (description, content, headers) = ("Done", Vec::new(), Vec::new());
        MetaResponses {
            responses: vec![MetaResponse { description, status: Some(204), status_range: None, content, headers }],
        }
    }

    fn register(_: &mut Registry) {}
}

fn etag_header() -> MetaHeader {
    MetaHeader {
        name: "ETag".into(),
        description: Some("The version of the row, for `If-Match` and `If-None-Match`.".into()),
        required: true,
        deprecated: false,
        schema: String::schema_ref(),
    }
}
