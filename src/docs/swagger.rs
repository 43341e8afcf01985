//! Swagger UI as separate files, so that it runs under a policy without inline scripts and is fetched once, not with
//! every page view. What is in the folder, and from where, stands in its `VENDORED.md`.

use std::borrow::Cow;

use poem::http::header;
use poem::{Body, Response, Route, get, handler, web::Path};
use rust_embed::{EmbeddedFile, RustEmbed};

use crate::base::secret::base64url;

#[derive(RustEmbed)]
#[folder = "assets/swagger-ui"]
struct Files;

/// The address of a file, with its hash so that it may be kept for ever.
pub(super) fn address(name: &str) -> String {
    let hash = find(name).map(|(file, _)| file.metadata.sha256_hash()).unwrap_or_default();
    format!("/docs/try/{name}?v={}", base64url(&hash[..8]))
}

/// Adds the files below `/try`.
pub(super) fn route(route: Route) -> Route {
    route.at("/try/:name", get(serve))
}

#[handler]
fn serve(Path(name): Path<String>) -> poem::Result<Response> {
    let (found, gzipped) = find(&name).ok_or(poem::error::NotFoundError)?;
    let kind = match name.rsplit('.').next() {
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        _ => "text/plain; charset=utf-8",
    };
    let mut response =
        Response::builder().content_type(kind).header(header::CACHE_CONTROL, "public, max-age=31536000, immutable");
    if gzipped {
        response = response.header(header::CONTENT_ENCODING, "gzip");
    }
    Ok(response.body(match found.data {
        Cow::Borrowed(embedded) => Body::from(embedded),
        Cow::Owned(read) => Body::from(read),
    }))
}

/// The file called `name`, and whether it is stored compressed.
fn find(name: &str) -> Option<(EmbeddedFile, bool)> {
    Files::get(&format!("{name}.gz")).map(|file| (file, true)).or_else(|| Files::get(name).map(|file| (file, false)))
}
