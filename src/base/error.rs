//! What can go wrong, and the only mapping of it to HTTP.
//!
//! A client error is made by name at the line that decides it. Whatever `?` has to *convert* is a 5xx: logged once with
//! its whole chain, shown as a code and a request id. Foreign errors convert only through `.context("doing what")`.
//! There is no way to turn a failure of ours into a 4xx, nor to show its text to a caller.

use std::fmt;
use std::time::Duration;

use poem::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use poem::{IntoResponse, Response};
use poem_openapi::error::ParseParamError;
use poem_openapi::registry::{MetaMediaType, MetaResponse, MetaResponses, Registry};
use poem_openapi::types::Type;
use poem_openapi::{ApiResponse, Object};
use serde::Serialize;

use super::db::DbError;
pub use super::fault::{Fault, Faults};

/// The result of an operation.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why an operation did not do what was asked.
#[derive(Debug)]
pub enum Error {
    /// The caller's fault, or a limit: shown to the caller in full.
    Client(Box<Refusal>),
    /// The store failed. Kept apart because some of its failures pass by being tried again.
    Database(DbError),
    /// Any other failure of ours: its text goes to the log alone.
    Internal(anyhow::Error),
}

/// A refusal, as the caller sees it.
#[derive(Debug)]
pub struct Refusal {
    /// The machine-readable reason, which decides the status.
    pub code: Code,
    /// One sentence for a person: what is wrong and what to do.
    pub message: String,
    /// What exactly is wrong with which field; only for [`Code::Validation`].
    pub faults: Faults,
    /// When to come back.
    pub retry_after: Option<Duration>,
}

macro_rules! codes {
    ($($variant:ident $text:literal $status:literal $title:literal)+) => {
        /// The closed list of error codes.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Code { $(#[doc = $title] $variant),+ }

        impl Code {
            /// Every code, in order of status.
            pub const ALL: &[Code] = &[$(Code::$variant),+];

            /// As it appears in `error.code`.
            pub const fn as_str(self) -> &'static str {
                match self { $(Code::$variant => $text),+ }
            }

            /// The HTTP status it answers with.
            pub fn status(self) -> StatusCode {
                let status: u16 = match self { $(Code::$variant => $status),+ };
                StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
            }

            /// The short title of the status.
            pub const fn title(self) -> &'static str {
                match self { $(Code::$variant => $title),+ }
            }
        }
    };
}

codes! {
    BadRequest "BAD_REQUEST" 400 "Bad request"
    Authentication "AUTHENTICATION_ERROR" 401 "Not signed in"
    PaymentRequired "PAYMENT_REQUIRED" 402 "Plan limit reached"
    Authorization "AUTHORIZATION_ERROR" 403 "Not allowed"
    NotFound "NOT_FOUND" 404 "Not found"
    MethodNotAllowed "METHOD_NOT_ALLOWED" 405 "Method not allowed"
    Conflict "CONFLICT" 409 "Conflict"
    PreconditionFailed "PRECONDITION_FAILED" 412 "Precondition failed"
    PayloadTooLarge "PAYLOAD_TOO_LARGE" 413 "Payload too large"
    UnsupportedMediaType "UNSUPPORTED_MEDIA_TYPE" 415 "Unsupported media type"
    Validation "VALIDATION_ERROR" 422 "Invalid input"
    PreconditionRequired "PRECONDITION_REQUIRED" 428 "Precondition required"
    RateLimitExceeded "RATE_LIMIT_EXCEEDED" 429 "Too many requests"
    Internal "INTERNAL_ERROR" 500 "Internal error"
    ExternalService "EXTERNAL_SERVICE_ERROR" 502 "External service failed"
    ServiceUnavailable "SERVICE_UNAVAILABLE" 503 "Service unavailable"
    GatewayTimeout "GATEWAY_TIMEOUT" 504 "Timed out"
}

impl Error {
    fn refuse(code: Code, message: impl Into<String>) -> Self {
        let (message, faults) = (message.into(), Faults::default());
        Error::Client(Box::new(Refusal { code, message, faults, retry_after: None }))
    }

    fn retry_after(mut self, after: Duration) -> Self {
        if let Error::Client(refusal) = &mut self {
            refusal.retry_after = Some(after);
        }
        self
    }

    /// 400: the request cannot be read, or makes no sense in this state.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::refuse(Code::BadRequest, message)
    }

    /// 401: nobody is signed in, or not any more.
    pub fn unauthenticated(message: impl Into<String>) -> Self {
        Self::refuse(Code::Authentication, message)
    }

    /// 403: signed in, but not allowed.
    pub fn forbidden(message: impl Into<String>) -> Self {
        Self::refuse(Code::Authorization, message)
    }

    /// 404: not there, or not the caller's.
    pub fn not_found(what: &str) -> Self {
        Self::refuse(Code::NotFound, format!("There is no such {what}."))
    }

    /// 405.
    pub fn method_not_allowed() -> Self {
        Self::refuse(Code::MethodNotAllowed, "This address does not answer to that method.")
    }

    /// 409: what is asked collides with what is there.
    pub fn conflict(message: impl Into<String>) -> Self {
        Self::refuse(Code::Conflict, message)
    }

    /// 412: the row has changed since the caller read it.
    pub fn precondition_failed() -> Self {
        Self::refuse(
            Code::PreconditionFailed,
            "It has changed since you read it: read it again, then repeat the change.",
        )
    }

    /// 413.
    pub fn payload_too_large(limit: u64) -> Self {
        Self::refuse(Code::PayloadTooLarge, format!("The body is larger than the {limit} bytes allowed here."))
    }

    /// 415.
    pub fn unsupported_media_type() -> Self {
        Self::refuse(Code::UnsupportedMediaType, "Send the body as JSON, with Content-Type: application/json.")
    }

    /// 422: some fields are wrong; all of them are named.
    pub fn invalid(faults: Faults) -> Self {
        let names: Vec<&str> = faults.list().iter().map(|fault| fault.field.as_str()).take(5).collect();
        let message = format!("Invalid input: {}.", names.join(", "));
        Error::Client(Box::new(Refusal { code: Code::Validation, message, faults, retry_after: None }))
    }

    /// 429: too much asked; come back after the given time.
    pub fn too_many(message: impl Into<String>, after: Duration) -> Self {
        Self::refuse(Code::RateLimitExceeded, message).retry_after(after)
    }

    /// 504: it took longer than a request may.
    pub fn timed_out() -> Self {
        Self::refuse(Code::GatewayTimeout, "The request took too long and was given up; it may still take effect.")
    }

    /// The code shown to the caller.
    pub fn code(&self) -> Code {
        match self {
            Error::Client(refusal) => refusal.code,
            Error::Database(error) if error.passes() => Code::ServiceUnavailable,
            Error::Database(_) | Error::Internal(_) => Code::Internal,
        }
    }

    /// What is wrong with which field; empty for everything but a 422.
    pub fn faults(self) -> Result<Faults> {
        match self {
            Error::Client(refusal) if refusal.code == Code::Validation => Ok(refusal.faults),
            other => Err(other),
        }
    }

    /// The sentence shown to the caller.
    pub fn message(&self) -> String {
        match self {
            Error::Client(refusal) => refusal.message.clone(),
            _ if self.code() == Code::ServiceUnavailable => "The service is busy: try again in a moment.".into(),
            _ => "Something went wrong on our side. The request id helps to find out what.".into(),
        }
    }

    /// Finds what a framework error means; errors of ours pass through it unchanged.
    pub fn from_poem(error: poem::Error) -> Self {
        if error.is::<Error>() {
            return error.downcast::<Error>().unwrap_or_else(|other| Error::Internal(anyhow::anyhow!("{other}")));
        }
        if let Some(parameter) = error.downcast_ref::<ParseParamError>() {
            return Faults::only(parameter.name, "format", format!("{}.", parameter.reason));
        }
        match error.status() {
            StatusCode::NOT_FOUND => Self::not_found("address"),
            StatusCode::METHOD_NOT_ALLOWED => Self::method_not_allowed(),
            StatusCode::UNSUPPORTED_MEDIA_TYPE => Self::unsupported_media_type(),
            status if status.is_client_error() => Self::bad_request(format!("{error}.")),
            _ => Error::Internal(anyhow::anyhow!("{error}")),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Client(refusal) => f.write_str(&refusal.message),
            Error::Database(error) => write!(f, "database: {error}"),
            Error::Internal(error) => write!(f, "{error:#}"),
        }
    }
}

impl std::error::Error for Error {}

impl From<anyhow::Error> for Error {
    fn from(error: anyhow::Error) -> Self {
        Error::Internal(error)
    }
}

impl From<DbError> for Error {
    fn from(error: DbError) -> Self {
        Error::Database(error)
    }
}

/// The body of every answer that is not a success: the boilerplate's envelope, and the members of RFC 9457 beside it.
#[derive(Serialize, Object)]
pub struct Problem {
    /// The error, for programs.
    pub error: ProblemError,
    /// A URI reference that names the kind of error (RFC 9457, section 3.1.1).
    pub r#type: String,
    /// The kind of error, for people.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// This error, for people.
    pub detail: String,
    /// The path that was asked for.
    pub instance: String,
    /// Name it when you ask for help: it is on every log line of the request.
    pub request_id: String,
}

/// The error, for programs.
#[derive(Serialize, Object)]
pub struct ProblemError {
    /// One of a closed list, see `/docs/api`.
    pub code: String,
    /// This error, for people.
    pub message: String,
    /// What is wrong with which field; empty unless the code is `VALIDATION_ERROR`.
    pub details: Vec<Fault>,
}

impl Error {
    /// The body that describes this error.
    pub fn problem(&self, path: &str, request_id: &str) -> Problem {
        let (code, message) = (self.code(), self.message());
        let details = match self {
            Error::Client(refusal) => refusal.faults.list().to_vec(),
            _ => Vec::new(),
        };
        Problem {
            error: ProblemError { code: code.as_str().into(), message: message.clone(), details },
            r#type: format!("/docs/api/errors#{}", code.as_str()),
            title: code.title().into(),
            status: code.status().as_u16(),
            detail: message,
            instance: path.into(),
            request_id: request_id.into(),
        }
    }

    /// The headers that go with this error, whatever the body.
    pub fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        let after = match self {
            Error::Client(refusal) => refusal.retry_after,
            _ if self.code() == Code::ServiceUnavailable => Some(Duration::from_secs(1)),
            _ => None,
        };
        if let Some(after) = after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(after.as_secs().max(1)));
        }
        if self.code() == Code::Authentication {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        headers
    }

    /// The answer of the JSON faces.
    pub fn json_response(&self, path: &str, request_id: &str) -> Response {
        let body = serde_json::to_vec(&self.problem(path, request_id)).unwrap_or_default();
        let mut response =
            Response::builder().status(self.code().status()).content_type("application/problem+json").body(body);
        response.headers_mut().extend(self.headers());
        response
    }
}

/// The status an unmatched method answers with needs `Allow` (RFC 9110, section 15.5.6).
pub fn allow(response: &mut Response, methods: &[Method]) {
    let names: Vec<&str> = methods.iter().map(Method::as_str).collect();
    if let Ok(value) = HeaderValue::from_str(&names.join(", ")) {
        response.headers_mut().insert(header::ALLOW, value);
    }
}

impl poem::error::ResponseError for Error {
    fn status(&self) -> StatusCode {
        self.code().status()
    }

    fn as_response(&self) -> Response {
        self.json_response("", "").into_response()
    }
}

/// Every operation documents every failure without a line of its own.
impl ApiResponse for Error {
    fn meta() -> MetaResponses {
        let response = |code: &Code| MetaResponse {
            description: code.title(),
            status: Some(code.status().as_u16()),
            status_range: None,
            content: vec![MetaMediaType { content_type: "application/problem+json", schema: Problem::schema_ref() }],
            headers: Vec::new(),
        };
        MetaResponses { responses: Code::ALL.iter().map(response).collect() }
    }

    fn register(registry: &mut Registry) {
        Problem::register(registry);
    }
}
