//! The embedded files of `assets/`, under addresses that change when they do.

use poem::http::{HeaderValue, StatusCode, header};
use poem::web::Path;
use poem::{IntoResponse, Response, handler};
use rust_embed::{EmbeddedFile, RustEmbed};

use super::secret::base64url;

#[derive(RustEmbed)]
#[folder = "assets/"]
#[include = "*.css"]
#[include = "*.js"]
#[include = "*.svg"]
struct Assets;

/// The address of an asset, with the hash of its content: it may be kept for ever.
pub fn url(name: &str) -> String {
    match Assets::get(name) {
        Some(file) => format!("/assets/{name}?v={}", hash(&file)),
        None => format!("/assets/{name}"),
    }
}

fn hash(file: &EmbeddedFile) -> String {
    base64url(&file.metadata.sha256_hash()[..8])
}

/// Serves `/assets/<name>`.
#[handler]
pub fn serve(Path(name): Path<String>, request: &poem::Request) -> Response {
    let Some(file) = Assets::get(&name) else { return StatusCode::NOT_FOUND.into_response() };
    let etag = format!("\"{}\"", hash(&file));
    if request.header(header::IF_NONE_MATCH) == Some(&etag) {
        return StatusCode::NOT_MODIFIED.into_response();
    }
    let kind = match name.rsplit('.').next() {
        Some("css") => "text/css; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        _ => "image/svg+xml",
    };
    let mut response = Response::builder().content_type(kind).body(file.data.into_owned());
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=31536000, immutable"));
    if let Ok(etag) = HeaderValue::from_str(&etag) {
        headers.insert(header::ETAG, etag);
    }
    response
}
