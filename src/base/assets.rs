//! The embedded files of `assets/`, under addresses that change when they do, compressed once at start.

use std::collections::HashMap;

use anyhow::Context;
use poem::http::{HeaderName, HeaderValue, StatusCode, header};
use poem::{Endpoint, IntoResponse, Request, Response};
use rust_embed::{EmbeddedFile, RustEmbed};

use super::compress::{gzip, takes_gzip};
use super::error::{Error, Result};
use super::secret::base64url;

#[derive(RustEmbed)]
#[folder = "assets/"]
#[include = "*.css"]
#[include = "*.js"]
#[include = "*.svg"]
#[exclude = "*/*"]
struct Files;

/// The address of an asset, with the hash of its content: it may be kept for ever.
pub fn url(name: &str) -> String {
    match Files::get(name) {
        Some(file) => format!("/assets/{name}?v={}", hash(&file)),
        None => format!("/assets/{name}"),
    }
}

fn hash(file: &EmbeddedFile) -> String {
    base64url(&file.metadata.sha256_hash()[..8])
}

struct Asset {
    kind: &'static str,
    etag: String,
    plain: Vec<u8>,
    gzip: Vec<u8>,
}

/// Serves `/assets/:name`.
pub struct Assets(HashMap<String, Asset>);

impl Assets {
    /// Compresses every file: some milliseconds, once.
    ///
    /// # Errors
    /// If compressing fails.
    pub fn load() -> anyhow::Result<Self> {
        let mut assets = HashMap::new();
        for (name, file) in Files::iter().filter_map(|name| Files::get(&name).map(|file| (name, file))) {
            let kind = match name.rsplit('.').next() {
                Some("css") => "text/css; charset=utf-8",
                Some("js") => "text/javascript; charset=utf-8",
                _ => "image/svg+xml",
            };
            let gzip = gzip(&file.data, true)?;
            let etag = format!("\"{}\"", hash(&file));
            assets.insert(name.into_owned(), Asset { kind, etag, plain: file.data.into_owned(), gzip });
        }
        Ok(Self(assets))
    }
}

impl Endpoint for Assets {
    type Output = Response;

    async fn call(&self, request: Request) -> poem::Result<Response> {
        let name = request.path_params::<String>().unwrap_or_default();
        let asset = self.0.get(&name).ok_or_else(|| Error::not_found("asset"))?;
        Ok(asset.answer(&request)?)
    }
}

impl Asset {
    fn answer(&self, request: &Request) -> Result<Response> {
        if request.header(header::IF_NONE_MATCH) == Some(&self.etag) {
            return Ok(StatusCode::NOT_MODIFIED.into_response());
        }
        let takes_gzip = takes_gzip(request);
        let body = if takes_gzip { self.gzip.clone() } else { self.plain.clone() };
        let mut response = Response::builder().content_type(self.kind).body(body);
        let mut set = |name: HeaderName, value: &str| -> Result<()> {
            response.headers_mut().insert(name, HeaderValue::from_str(value).context("a header of an asset")?);
            Ok(())
        };
        set(header::CACHE_CONTROL, "public, max-age=31536000, immutable")?;
        set(header::VARY, "Accept-Encoding")?;
        set(header::ETAG, &self.etag)?;
        if takes_gzip {
            set(header::CONTENT_ENCODING, "gzip")?;
        }
        Ok(response)
    }
}
