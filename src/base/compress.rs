//! gzip, for the assets once at start and for pages as they leave.
//!
//! Pages that hold a secret beside reflected input can leak it through their size (BREACH). Here the only secret of a page
//! is the hidden field of its forms, which is masked anew in every answer, and the session cookie is `SameSite=Lax`.

use std::io::Write;

use anyhow::Context;
use flate2::{Compression, write::GzEncoder};
use poem::http::{HeaderValue, header};
use poem::{Body, Request, Response};

/// Smaller ones are not worth it.
const LEAST: usize = 1_000;

/// `bytes`, compressed: `best` for what is kept, fast for what is made per request.
///
/// # Errors
/// Never in memory; kept as an error rather than a panic.
pub fn gzip(bytes: &[u8], best: bool) -> anyhow::Result<Vec<u8>> {
    let level = if best { Compression::best() } else { Compression::new(4) };
    let mut encoder = GzEncoder::new(Vec::with_capacity(bytes.len() / 4), level);
    encoder.write_all(bytes).context("compressing")?;
    encoder.finish().context("compressing")
}

/// Whether the client takes gzip.
pub fn takes_gzip(request: &Request) -> bool {
    request.header(header::ACCEPT_ENCODING).is_some_and(|encodings| encodings.contains("gzip"))
}

/// Compresses a page. One with an entity tag stays as it is: the tag names these bytes.
pub async fn page(mut response: Response) -> Response {
    let is_html = response.content_type().is_some_and(|kind| kind.starts_with("text/html"));
    if !is_html || response.headers().contains_key(header::ETAG) {
        return response;
    }
    let Ok(plain) = response.take_body().into_bytes().await else { return response };
    match gzip(&plain, false) {
        Ok(smaller) if plain.len() >= LEAST => {
            response.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            response.headers_mut().append(header::VARY, HeaderValue::from_static("Accept-Encoding"));
            response.set_body(smaller);
        }
        _ => response.set_body(Body::from_bytes(plain)),
    }
    response
}
