//! The documentation that the binary serves: the API reference at `/docs/api` and Swagger UI at `/docs/try`.
//!
//! It owns no table. The reference is written from the OpenAPI document at start-up, one page a tag, and kept in memory.
//!
//! Always true: it works without a network and without JavaScript, and no text of the document is written unescaped.
//! Deliberately absent: anything that depends on who is reading, so that everyone sees the same page, in their own colours.
//!
//! Reached by [`pages`], which `server.rs` nests at `/docs`.

mod credential;
mod document;
mod errors;
mod example;
mod operation;
mod prose;
mod reference;
mod sample;
mod schema;
mod swagger;
#[cfg(test)]
mod tests;

use std::hash::{DefaultHasher, Hash, Hasher};

use anyhow::Context;
use askama::Template;
use poem::http::{StatusCode, header};
use poem::web::Redirect;
use poem::web::headers::{ETag, HeaderMapExt, IfNoneMatch};
use poem::{Endpoint, Request, Response, Route, get, handler};
use serde_json::Value;

use crate::base::web;
use reference::{Group, Reference};

/// What is cut out of a page to put the reader's theme in its place.
const THEME: &str = "data-theme=\"auto\"";

/// The reference pages, rendered once from `document` and to be nested at `/docs`. `asset` gives the address of a
/// shared asset: `app.css`, `docs.css`, `docs.js`, `icons.svg` and `favicon.svg` are asked for.
///
/// # Errors
/// If `document` is not an OpenAPI document with paths, or two of its tags would need the same page.
pub(crate) fn pages(app_name: &str, document: &Value, asset: &dyn Fn(&str) -> String) -> anyhow::Result<Route> {
    let reference = Reference::read(document)?;
    let shell = |here| Shell { app_name, reference: &reference, here, asset };
    let mut route = Route::new()
        .at("/", get(to_reference))
        .at("/api", get(Page::of(&OverviewPage { shell: shell("") })?))
        .at(
            "/api/errors",
            get(Page::of(&ErrorsPage { shell: shell("errors"), codes: errors::table(), example: errors::example() })?),
        )
        .at("/api/schemas", get(Page::of(&SchemasPage { shell: shell("schemas") })?))
        .at("/try", get(Page::of(&TryPage { shell: shell("try") })?));
    for group in &reference.groups {
        route =
            route.at(format!("/api/{}", group.slug), get(Page::of(&GroupPage { shell: shell(&group.slug), group })?));
    }
    Ok(swagger::route(route))
}

#[handler]
fn to_reference() -> Redirect {
    Redirect::see_other("/docs/api")
}

/// What every page shows around its own part.
struct Shell<'a> {
    app_name: &'a str,
    reference: &'a Reference,
    /// The slug of this page.
    here: &'a str,
    asset: &'a dyn Fn(&str) -> String,
}

impl Shell<'_> {
    fn asset(&self, name: &str) -> String {
        (self.asset)(name)
    }
}

#[derive(Template)]
#[template(path = "docs/overview.html", whitespace = "minimize")]
struct OverviewPage<'a> {
    shell: Shell<'a>,
}

#[derive(Template)]
#[template(path = "docs/group.html", whitespace = "minimize")]
struct GroupPage<'a> {
    shell: Shell<'a>,
    group: &'a Group,
}

#[derive(Template)]
#[template(path = "docs/schemas.html", whitespace = "minimize")]
struct SchemasPage<'a> {
    shell: Shell<'a>,
}

#[derive(Template)]
#[template(path = "docs/errors.html", whitespace = "minimize")]
struct ErrorsPage<'a> {
    shell: Shell<'a>,
    codes: Vec<errors::Explained>,
    example: Vec<sample::Token>,
}

#[derive(Template)]
#[template(path = "docs/try.html", whitespace = "minimize")]
struct TryPage<'a> {
    shell: Shell<'a>,
}

/// A page in memory, in two halves between which the reader's theme is written.
struct Page {
    head: String,
    tail: String,
    hash: u64,
}

impl Page {
    fn of(template: &impl Template) -> anyhow::Result<Self> {
        let page = template.render().context("writing a page of the API reference")?;
        let (head, tail) = page.split_once(THEME).context("ui/docs/layout.html has lost its data-theme attribute")?;
        let mut hasher = DefaultHasher::new();
        page.hash(&mut hasher);
        Ok(Self { head: head.to_owned(), tail: tail.to_owned(), hash: hasher.finish() })
    }
}

impl Endpoint for Page {
    type Output = Response;

    async fn call(&self, request: Request) -> poem::Result<Response> {
        let theme = web::theme(&request);
        let etag = format!("\"{:016x}-{theme}\"", self.hash);
        let parsed = etag.parse::<ETag>().ok();
        let known = request.headers().typed_get::<IfNoneMatch>().zip(parsed);
        let response = Response::builder()
            .header(header::ETAG, &etag)
            .header(header::CACHE_CONTROL, "no-cache")
            .header(header::VARY, "Cookie");
        if known.is_some_and(|(known, etag)| !known.precondition_passes(&etag)) {
            return Ok(response.status(StatusCode::NOT_MODIFIED).finish());
        }
        let page = format!("{}data-theme=\"{theme}\"{}", self.head, self.tail);
        Ok(response.content_type("text/html; charset=utf-8").body(page))
    }
}
