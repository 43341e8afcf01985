//! The edge: what every request passes on its way in and every answer on its way out, in one middleware.
//!
//! In: a request id, the client's address, the operation of the document that answers, limits on body and time. Out: one
//! error envelope whatever failed (a route, a method, a body, a panic), security headers of the surface, one log line.

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use poem::http::{HeaderMap, HeaderName, HeaderValue, header};
use poem::{Endpoint, IntoResponse, Middleware, PathPattern, Request, Response};

use super::compress;
use super::contract::{Contract, Operation};
use super::error::{Code, Error, Result, allow};
use super::html;
use super::id::Id;
use super::principal::Origin;

/// The largest body a request may have, in bytes.
#[derive(Clone, Copy)]
pub struct BodyLimit(pub u64);

/// The chapters of the API reference, in its order.
#[derive(poem_openapi::Tags)]
pub enum Tag {
    /// Signing up, in and out; sessions.
    Auth,
    /// My account, and for administrators everybody's.
    Users,
    /// What a user owns.
    Projects,
    /// Whether the service is well.
    Health,
}

/// A cookie of the request.
pub fn cookie<'a>(request: &'a Request, name: &str) -> Option<&'a str> {
    let pairs = request.header(header::COOKIE)?.split(';');
    pairs.filter_map(|pair| pair.trim().split_once('=')).find(|(key, _)| *key == name).map(|(_, value)| value)
}

/// The theme that the reader has chosen.
pub fn theme(request: &Request) -> &'static str {
    match cookie(request, "theme") {
        Some("light") => "light",
        Some("dark") => "dark",
        _ => "auto",
    }
}

/// The version of a row as a strong entity tag (RFC 9110, section 8.8.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ETag(pub i64);

impl ETag {
    /// As a header value.
    pub fn header(self) -> HeaderValue {
        HeaderValue::from_str(&self.to_string()).unwrap_or(HeaderValue::from_static("\"0\""))
    }

    /// Whether a list of tags, or `*`, names this one.
    pub fn is_in(self, list: &str) -> bool {
        let tag = self.to_string();
        list.split(',').map(str::trim).any(|candidate| candidate == "*" || candidate == tag)
    }

    /// Holds `If-Match` against the current version.
    ///
    /// # Errors
    /// 412 if it names another one.
    pub fn check(self, if_match: Option<&str>) -> Result<()> {
        if if_match.is_none_or(|list| self.is_in(list)) { Ok(()) } else { Err(Error::precondition_failed()) }
    }
}

impl std::fmt::Display for ETag {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "\"{}\"", self.0)
    }
}

/// Who talks to the server through which face: decides headers and the form of errors.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Surface {
    Api,
    Pages,
}

impl Surface {
    fn of(path: &str) -> Self {
        let under =
            |prefix: &str| path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        if under("/admin") || under("/docs") { Surface::Pages } else { Surface::Api }
    }
}

/// The settings of the edge.
#[derive(Clone)]
pub struct Edge {
    /// The name of the product, for error pages.
    pub app_name: String,
    /// What requests are held against.
    pub contract: Arc<Contract>,
    /// How long a handler may take.
    pub timeout: Duration,
    /// The largest body.
    pub body_limit: BodyLimit,
    /// Whether browsers may be told to stay on https.
    pub https: bool,
    /// Whether each request is logged.
    pub log: bool,
}

impl<E: Endpoint> Middleware<E> for Edge {
    type Output = EdgeEndpoint<E>;

    fn transform(&self, inner: E) -> Self::Output {
        EdgeEndpoint { edge: self.clone(), headers: SurfaceHeaders::new(self.https), inner }
    }
}

/// The endpoint behind the edge.
pub struct EdgeEndpoint<E> {
    edge: Edge,
    headers: SurfaceHeaders,
    inner: E,
}

impl<E: Endpoint> Endpoint for EdgeEndpoint<E> {
    type Output = Response;

    async fn call(&self, mut request: Request) -> poem::Result<Response> {
        let started = Instant::now();
        let origin = Arc::new(origin(&request));
        let asked = Asked::of(&request);
        let operation = self.edge.contract.find(request.method(), request.uri().path());
        request.extensions_mut().insert(origin.clone());
        request.extensions_mut().insert(self.edge.body_limit);
        let admitted = self.admit(&request, operation.as_deref());
        if let Some(operation) = &operation {
            request.extensions_mut().insert(operation.clone());
        }
        let outcome = match admitted {
            Ok(()) => self.run(request).await,
            Err(error) => Err(error),
        };
        let mut response = outcome.unwrap_or_else(|error| self.explain(&error, &asked, &origin));
        if asked.surface == Surface::Pages && asked.takes_gzip {
            response = compress::page(response).await;
        }
        self.headers.add(asked.surface, response.headers_mut());
        if let Ok(id) = HeaderValue::from_str(&origin.request_id) {
            response.headers_mut().insert(HeaderName::from_static("x-request-id"), id);
        }
        if self.edge.log {
            log(&asked, operation.as_deref(), &response, &origin, started.elapsed());
        }
        Ok(response)
    }
}

impl<E: Endpoint> EdgeEndpoint<E> {
    /// What can be refused before anything is done.
    fn admit(&self, request: &Request, operation: Option<&Operation>) -> Result<()> {
        let length = request.header(header::CONTENT_LENGTH).and_then(|length| length.parse::<u64>().ok());
        if length.is_some_and(|length| length > self.edge.body_limit.0) {
            return Err(Error::payload_too_large(self.edge.body_limit.0));
        }
        match (operation, request.uri().query()) {
            (Some(operation), query) => operation.check_query(query.unwrap_or_default()),
            (None, _) => Ok(()),
        }
    }

    async fn run(&self, request: Request) -> Result<Response> {
        let call = AssertUnwindSafe(self.inner.call(request)).catch_unwind();
        match tokio::time::timeout(self.edge.timeout, call).await {
            Ok(Ok(Ok(answer))) => Ok(answer.into_response()),
            Ok(Ok(Err(error))) => Err(Error::from_poem(error)),
            Ok(Err(_)) => Err(Error::Internal(anyhow::anyhow!("a handler panicked; its message is on stderr"))),
            Err(_) => Err(Error::timed_out()),
        }
    }

    fn explain(&self, error: &Error, asked: &Asked, origin: &Origin) -> Response {
        if error.code().status().is_server_error() {
            tracing::error!(request_id = origin.request_id, error = format!("{error:#}"), "a request failed");
        }
        let mut response = match asked.surface {
            Surface::Api => error.json_response(&asked.path, &origin.request_id),
            Surface::Pages => {
                let (app_name, path) = (self.edge.app_name.clone(), asked.back.clone().unwrap_or_default());
                let (theme, version) = (asked.theme, env!("CARGO_PKG_VERSION"));
                let shell = html::Shell { app_name, theme, version, path, ..html::Shell::default() };
                html::explain(error, shell, asked.partial, &origin.request_id)
            }
        };
        // Refused before the body was read: what is left of it would be taken for the next request.
        if asked.has_body && matches!(response.status().as_u16(), 401 | 403 | 404 | 405 | 413 | 415) {
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        if error.code() == Code::MethodNotAllowed {
            allow(&mut response, &self.edge.contract.methods(&asked.path));
        }
        response
    }
}

/// What is still needed of a request when it is gone.
struct Asked {
    surface: Surface,
    method: poem::http::Method,
    path: String,
    /// Where a page can send its reader back to: only for a GET.
    back: Option<String>,
    theme: &'static str,
    /// Whether htmx asked for a fragment.
    partial: bool,
    has_body: bool,
    takes_gzip: bool,
}

impl Asked {
    fn of(request: &Request) -> Self {
        let uri = request.uri();
        let back = uri.path_and_query().filter(|_| request.method() == poem::http::Method::GET);
        Self {
            surface: Surface::of(uri.path()),
            method: request.method().clone(),
            path: uri.path().to_owned(),
            back: back.map(ToString::to_string),
            theme: theme(request),
            partial: request.header("hx-request").is_some(),
            takes_gzip: compress::takes_gzip(request),
            has_body: request.header(header::CONTENT_LENGTH).is_some_and(|length| length != "0")
                || request.header(header::TRANSFER_ENCODING).is_some(),
        }
    }
}

fn origin(request: &Request) -> Origin {
    let ip = request.remote_addr().as_socket_addr().map(|addr| addr.ip().to_canonical());
    let agent = request.header(header::USER_AGENT).unwrap_or_default();
    let given = request.header("x-request-id").filter(|id| well_formed(id));
    Origin {
        ip: ip.map(|ip| ip.to_string()).unwrap_or_default(),
        user_agent: agent.chars().filter(|c| !c.is_control()).take(300).collect(),
        request_id: given.map_or_else(|| Id::new().to_string(), ToOwned::to_owned),
        user: OnceLock::new(),
    }
}

/// Short and harmless: it is copied into logs and answers.
fn well_formed(id: &str) -> bool {
    (8..=64).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
}

/// One line a request. Never the raw path, which may hold a token: the template it matched.
fn log(asked: &Asked, operation: Option<&Operation>, response: &Response, origin: &Origin, took: Duration) {
    let pattern = response.data::<PathPattern>().map(|pattern| pattern.0.clone());
    let route = operation.map(|operation| operation.template.as_str()).or(pattern.as_deref()).unwrap_or("-");
    tracing::info!(
        target: "access",
        method = asked.method.as_str(),
        route,
        status = response.status().as_u16(),
        duration_us = took.as_micros() as u64,
        ip = origin.ip,
        user_id = origin.user.get().map(tracing::field::display),
        request_id = origin.request_id,
        "request"
    );
}

/// The security headers of each surface, made once.
struct SurfaceHeaders {
    api: HeaderMap,
    pages: HeaderMap,
}

const PAGES_CSP: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
     connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";
const API_CSP: &str = "default-src 'none'; frame-ancestors 'none'";
const PERMISSIONS: &str = "accelerometer=(), camera=(), geolocation=(), gyroscope=(), magnetometer=(), microphone=(), \
     payment=(), usb=()";

impl SurfaceHeaders {
    fn new(https: bool) -> Self {
        let with = |csp: &'static str, referrer: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
            headers.insert(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
            headers.insert(header::REFERRER_POLICY, HeaderValue::from_static(referrer));
            headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(csp));
            headers.insert(HeaderName::from_static("permissions-policy"), HeaderValue::from_static(PERMISSIONS));
            if https {
                let hsts = HeaderValue::from_static("max-age=31536000; includeSubDomains");
                headers.insert(header::STRICT_TRANSPORT_SECURITY, hsts);
            }
            headers
        };
        // Pages may hold a token in their address (the setup link), so they tell nobody where one came from.
        Self { api: with(API_CSP, "strict-origin-when-cross-origin"), pages: with(PAGES_CSP, "no-referrer") }
    }

    fn add(&self, surface: Surface, headers: &mut HeaderMap) {
        let own = match surface {
            Surface::Api => &self.api,
            Surface::Pages => &self.pages,
        };
        for (name, value) in own {
            headers.insert(name.clone(), value.clone());
        }
        if !headers.contains_key(header::CACHE_CONTROL) {
            headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entity_tags() {
        let tag = ETag(7);
        assert_eq!(tag.to_string(), "\"7\"");
        for list in ["*", "\"7\"", "\"6\", \"7\""] {
            assert!(tag.check(Some(list)).is_ok());
        }
        assert!(tag.check(None).is_ok());
        for list in ["", "7", "W/\"7\"", "\"77\""] {
            assert!(tag.check(Some(list)).is_err(), "{list}");
        }
    }

    #[test]
    fn request_ids_are_taken_only_when_harmless() {
        assert!(well_formed("0193-abc_DEF.9"));
        for bad in ["", "short", "has space", "new\nline", "<script>", &"a".repeat(65)] {
            assert!(!well_formed(bad), "{bad:?}");
        }
    }

    #[test]
    fn pages_are_told_from_the_api() {
        assert!(Surface::of("/admin") == Surface::Pages && Surface::of("/docs/api") == Surface::Pages);
        assert!(Surface::of("/administrator") == Surface::Api && Surface::of("/api/v1/admin/users") == Surface::Api);
    }
}
