//! What every page of the reference must hold, and how single parts of a document are read.

use std::collections::{HashMap, HashSet};

use poem::Route;
use poem::test::TestClient;
use serde_json::{Value, json};

use super::prose::{self, Block, Span};
use super::reference::Reference;
use super::schema::Schemas;
use super::{errors, pages};

/// A small document with everything that is easy to get wrong.
fn document() -> Value {
    let thing = json!({ "$ref": "#/components/schemas/Thing" });
    let content = json!({ "application/json; charset=utf-8": { "schema": thing } });
    let problem = json!({ "description": "Conflict", "content": { "application/problem+json": { "schema": { "$ref": "#/components/schemas/Problem" } } } });
    json!({
        "openapi": "3.0.0",
        "info": { "title": "Test", "version": "1.2.3", "description": "<script>alert(1)</script>\n\nUse `<b>`." },
        "servers": [{ "url": "https://api.example.com/v1/" }],
        "tags": [{ "name": "Things & more", "description": "All of them.\n- one\n  goes on\n- two" }, { "name": "Unused" }],
        "paths": {
            "/things/{id}": {
                "post": {
                    "tags": ["Things & more"], "summary": "Make a thing.", "security": [{ "SignedIn": [] }],
                    "parameters": [
                        { "name": "id", "in": "path", "required": true, "schema": { "type": "string" } },
                        { "name": "at", "in": "query", "required": true, "schema": { "type": "string" } },
                        { "name": "If-Match", "in": "header", "required": false, "schema": { "type": "string" } }
                    ],
                    "requestBody": { "required": true, "content": content },
                    "responses": { "201": { "description": "Made.", "content": content }, "409": problem, "418": { "description": "A teapot." } }
                },
                "get": { "summary": "", "responses": { "204": { "description": "" } } }
            }
        },
        "components": {
            "schemas": {
                "Thing": {
                    "type": "object", "required": ["name", "inner"],
                    "properties": {
                        "name": { "type": "string", "minLength": 1, "maxLength": 9, "pattern": "^<i>$", "description": "It's a `name`." },
                        "secret": { "type": "string", "writeOnly": true },
                        "inner": { "allOf": [{ "$ref": "#/components/schemas/Inner" }, { "description": "Inside." }] },
                        "made_at": { "type": "string", "format": "date-time", "readOnly": true }
                    }
                },
                "Inner": {
                    "type": "object", "required": ["share"],
                    "properties": {
                        "share": { "type": "number", "minimum": 0.0, "exclusiveMinimum": true, "maximum": 1.0 },
                        "kinds": { "type": "array", "maxItems": 3, "items": { "type": "string", "enum": ["a", "b"] } },
                        "again": { "type": "array", "items": { "$ref": "#/components/schemas/Inner" } }
                    }
                },
                "Problem": { "type": "object", "properties": { "status": { "type": "integer" } } }
            },
            "securitySchemes": { "SignedIn": { "type": "http", "scheme": "bearer", "description": "Whoever signed in." } }
        }
    })
}

fn client() -> TestClient<Route> {
    let pages = pages("Test", &document(), &|name| format!("/assets/{name}")).unwrap();
    TestClient::new(Route::new().nest("/docs", pages))
}

const PAGES: [&str; 6] =
    ["/docs/api", "/docs/api/things-more", "/docs/api/other", "/docs/api/errors", "/docs/api/schemas", "/docs/try"];

async fn html(path: &str) -> String {
    let response = client().get(path).send().await;
    response.assert_status_is_ok();
    response.0.into_body().into_string().await.unwrap()
}

/// The values of an attribute, wherever it stands.
fn values<'a>(html: &'a str, attribute: &str) -> Vec<&'a str> {
    let start = format!(" {attribute}=\"");
    html.split(start.as_str()).skip(1).filter_map(|rest| rest.split('"').next()).collect()
}

#[tokio::test]
async fn every_page_keeps_the_policy_and_its_outline() {
    for path in PAGES {
        let html = html(path).await;
        assert_eq!(html.matches("<h1").count(), 1, "{path}");
        assert!(!html.contains("<script>") && !html.contains("<style") && !html.contains(" style="), "{path}");
        assert!(!html.contains(" onclick") && !html.contains("javascript:") && !html.contains("<i>$"), "{path}");
        let ids = values(&html, "id");
        assert_eq!(ids.iter().collect::<HashSet<_>>().len(), ids.len(), "{path} has an id twice");
    }
}

#[tokio::test]
async fn every_link_within_the_reference_leads_somewhere() {
    let mut found = HashMap::new();
    for path in PAGES {
        found.insert(path, html(path).await);
    }
    for (path, html) in &found {
        for link in
            values(html, "href").into_iter().filter(|link| link.starts_with("/docs/api") || link.starts_with('#'))
        {
            let (page, anchor) = link.split_once('#').unwrap_or((link, ""));
            let page = if page.is_empty() { path } else { page };
            let target = found.get(page).unwrap_or_else(|| panic!("{path} links to {link}, a page that is not there"));
            assert!(anchor.is_empty() || values(target, "id").contains(&anchor), "{path} links to {link}");
        }
        for asset in
            [values(html, "src"), values(html, "href")].concat().iter().filter(|link| link.starts_with("/docs/try/"))
        {
            client().get(*asset).send().await.assert_status_is_ok();
        }
    }
}

#[tokio::test]
async fn pages_are_asked_for_again_but_sent_once() {
    let first = client().get("/docs/api").send().await;
    first.assert_header("cache-control", "no-cache");
    first.assert_header("vary", "Cookie");
    let etag = first.0.headers()["etag"].to_str().unwrap().to_owned();
    let again = client().get("/docs/api").header("if-none-match", &etag).send().await;
    again.assert_status(poem::http::StatusCode::NOT_MODIFIED);
    again.assert_header("etag", &etag);
    again.assert_text("").await;

    let dark =
        client().get("/docs/api").header("cookie", "a=b; theme=dark").header("if-none-match", &etag).send().await;
    dark.assert_status_is_ok();
    assert!(dark.0.into_body().into_string().await.unwrap().contains("data-theme=\"dark\""));
    let odd = client().get("/docs/api").header("cookie", "theme=\"><b>").send().await;
    assert!(odd.0.into_body().into_string().await.unwrap().contains("data-theme=\"auto\""));
}

#[tokio::test]
async fn the_root_leads_to_the_reference_and_strangers_nowhere() {
    for root in ["/docs", "/docs/"] {
        let response = client().get(root).send().await;
        response.assert_status(poem::http::StatusCode::SEE_OTHER);
        response.assert_header("location", "/docs/api");
    }
    client().get("/docs/api/unused").send().await.assert_status(poem::http::StatusCode::NOT_FOUND);
    client().get("/docs/try/..%2f..%2fCargo.toml").send().await.assert_status(poem::http::StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn swagger_ui_is_sent_as_it_is_stored() {
    let response = client().get("/docs/try/swagger-ui-bundle.js").send().await;
    response.assert_header("content-encoding", "gzip");
    response.assert_header("content-type", "text/javascript; charset=utf-8");
    response.assert_header("cache-control", "public, max-age=31536000, immutable");
    assert!(response.0.into_body().into_bytes().await.unwrap().starts_with(&[0x1f, 0x8b]));
    assert!(html("/docs/try").await.contains("/docs/try/init.js?v="));
}

#[test]
fn tags_that_need_the_same_page_are_refused_by_name() {
    let mut document = document();
    document["paths"]["/things/{id}"]["get"]["tags"] = json!(["Errors"]);
    let refused = pages("Test", &document, &|name| name.to_owned()).err().unwrap().to_string();
    assert!(refused.contains("`Errors`") && refused.contains("/docs/api/errors"), "{refused}");
    assert!(pages("Test", &json!({}), &|name| name.to_owned()).is_err());
}

#[test]
fn an_operation_is_read_in_full() {
    let reference = Reference::read(&document()).unwrap();
    assert_eq!(reference.base_url, "https://api.example.com");
    let names: Vec<_> = reference.groups.iter().map(|group| group.name.as_str()).collect();
    assert_eq!(names, ["Things & more", "Other"]);
    let operation = &reference.groups[0].operations[0];
    assert_eq!((operation.method.as_str(), operation.path.as_str()), ("POST", "/v1/things/{id}"));
    assert_eq!(operation.tryout, "/docs/try#/Things%20&%20more/post_things__id_");
    assert_eq!(operation.access[0].name, "Signed in");
    let failures: Vec<_> = operation.failures.iter().map(|failure| (failure.code, failure.about.len())).collect();
    assert_eq!(failures, [(Some("CONFLICT"), 0), (None, 1)]);
    assert_eq!(reference.groups[1].operations[0].summary, "/v1/things/{id}");

    let samples: Vec<String> = operation
        .samples
        .iter()
        .map(|sample| sample.tokens.iter().map(|token| token.text.as_str()).collect())
        .collect();
    assert_eq!(
        samples[0],
        r#"curl "$BASE_URL/v1/things/$id?at=$at" \
  -H "Authorization: Bearer $TOKEN" \
  -H "Content-Type: application/json" \
  -d '{
    "name": "Apollo",
    "inner": {
      "share": 1
    }
  }'"#
    );
    assert_eq!(
        samples[1],
        r#"const response = await fetch(`${baseUrl}/v1/things/${id}?at=${at}`, {
  method: "POST",
  headers: {
    Authorization: `Bearer ${token}`,
    "Content-Type": "application/json",
  },
  body: JSON.stringify({
    name: "Apollo",
    inner: {
      share: 1
    }
  }),
});
if (!response.ok) throw new Error(await response.text());
const answer = await response.json();"#
    );
    let (status, example) = operation.example.as_ref().unwrap();
    let example: String = example.iter().map(|token| token.text.as_str()).collect();
    assert_eq!(status, "201 Created");
    let example: Value = serde_json::from_str(&example).unwrap();
    assert_eq!(example["made_at"], "2026-03-14T09:26:53Z");
    assert!(example.get("secret").is_none(), "what is only ever written is not answered");
}

#[test]
fn fields_are_told_with_their_place_and_limits() {
    let document = document();
    let schemas = Schemas(document["components"]["schemas"].as_object());
    let fields = schemas.fields(&json!({ "$ref": "#/components/schemas/Thing" }), 3);
    let field = |path: &str| fields.iter().find(|field| format!("{}{}", field.parent, field.name) == path).unwrap();
    assert_eq!(field("name").limits, ["1 to 9 characters"]);
    assert_eq!(field("name").pattern.as_deref(), Some("^<i>$"));
    assert!(field("name").required && !field("secret").required);
    assert_eq!(field("inner.share").limits, ["above 0, at most 1"]);
    assert_eq!(field("inner.kinds").values, ["a", "b"]);
    assert_eq!(field("inner").about, prose::parse("Inside."));
    let kind: String = field("inner.again").kind.iter().map(|word| word.text.as_str()).collect();
    assert_eq!(kind, "array of Inner");
    assert!(!fields.iter().any(|field| field.parent == "inner.again[]."), "a schema within itself is a link");
}

#[test]
fn prose_keeps_its_structure_and_nothing_else() {
    let text = |text: &str| Span { text: text.to_owned(), code: false };
    let code = |text: &str| Span { text: text.to_owned(), code: true };
    assert_eq!(
        prose::parse("One\ntwo `three`.\n\n- a\n  b\n- `c`\n\n```\nx\n```\nAn odd ` one **here**"),
        [
            Block::Paragraph(vec![text("One two "), code("three"), text(".")]),
            Block::List(vec![vec![text("a b")], vec![code("c")]]),
            Block::Listing("x".to_owned()),
            Block::Paragraph(vec![text("An odd ` one **here**")]),
        ]
    );
}

#[test]
fn the_example_of_an_error_is_one_that_is_sent() {
    let example: String = errors::example().iter().map(|token| token.text.as_str()).collect();
    let example: Value = serde_json::from_str(&example).unwrap();
    assert_eq!(example["error"]["code"], "VALIDATION_ERROR");
    assert_eq!(example["status"], 422);
}
