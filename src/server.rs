//! The product on one page: its APIs, its pages, what every request passes, and how it ends.

use std::future::Future;
use std::sync::Arc;

use anyhow::Context;
use poem::listener::TcpAcceptor;
use poem::middleware::AddData;
use poem::{Endpoint, EndpointExt, Response, Route, Server, get, handler};
use poem_openapi::OpenApiService;
use serde_json::{Value, json};

use crate::app::App;
use crate::auth::{self, AuthApi};
use crate::base::assets::{self, Assets};
use crate::base::contract::Contract;
use crate::base::error::Result;
use crate::base::web::{BodyLimit, Edge};
use crate::health::{self, HealthApi};
use crate::projects::ProjectsApi;
use crate::sessions::{Identify, SessionsApi};
use crate::shell::Navigation;
use crate::users::{self, UsersApi};
use crate::{console, docs};

/// Every JSON API, in the order of the reference.
type Apis = (AuthApi, SessionsApi, UsersApi, ProjectsApi, HealthApi);

/// The console's sidebar.
const NAVIGATION: Navigation = Navigation(&[
    ("Operate", &[("Overview", "/admin", "layout-dashboard", "o")]),
    ("Customers", &[("Users", "/admin/users", "users", "u")]),
    ("System", &[("API reference", "/docs/api", "book-open", "d")]),
]);

fn apis() -> OpenApiService<Apis, ()> {
    let apis = (AuthApi, SessionsApi, UsersApi, ProjectsApi, HealthApi);
    OpenApiService::new(apis, "OmniStack", env!("CARGO_PKG_VERSION"))
        .description("The backend of a SaaS product in one binary.")
}

/// Everything the program answers to.
///
/// # Errors
/// If the document or its reference cannot be made, which no running program has yet seen.
pub fn endpoint(app: &App) -> Result<impl Endpoint<Output = Response> + use<>> {
    let document = document();
    let edge = Edge {
        app_name: app.config.app.name.clone(),
        contract: Arc::new(Contract::new(&document)?),
        timeout: app.config.server.request_timeout,
        body_limit: BodyLimit(app.config.server.body_limit),
        https: app.is_https(),
        log: app.config.log.requests,
    };
    let routes = Route::new()
        .nest_no_strip("/api", apis())
        .at("/openapi.json", get(openapi))
        .at("/.well-known/jwks.json", get(auth::jwks))
        .at("/livez", get(health::livez))
        .at("/readyz", get(health::readyz))
        .at("/assets/:name", get(Assets::load()?))
        .nest("/docs", docs::pages(&app.config.app.name, &document, &assets::url)?)
        .nest("/admin", console::pages(NAVIGATION, users::pages(Route::new())))
        .at("/", get(console::front_door));
    Ok(routes.with(Identify(app.clone())).with(edge).with(AddData::new(app.clone())))
}

#[handler]
fn openapi() -> Response {
    Response::builder().content_type("application/json").body(include_str!("../assets/openapi.json"))
}

/// The OpenAPI document, as `assets/openapi.json` holds it.
///
/// poem-openapi leaves out two things that clients rely on, and both follow from the types: an answer carries all
/// its fields, those that may be missing as null; and a body takes no field that is not declared.
pub fn document() -> Value {
    let mut document: Value = serde_json::from_str(&apis().spec()).unwrap_or_default();
    document["servers"] = json!([{ "url": "/" }]);
    let inputs = inputs(&document);
    for (name, schema) in document["components"]["schemas"].as_object_mut().into_iter().flatten() {
        let Some(schema) = schema.as_object_mut().filter(|schema| schema.contains_key("properties")) else { continue };
        let required: Vec<Value> = schema.get("required").and_then(Value::as_array).cloned().unwrap_or_default();
        let (is_input, mut all) = (inputs.contains(name), Vec::new());
        for (field, property) in schema["properties"].as_object_mut().into_iter().flatten() {
            all.push(Value::from(field.as_str()));
            // A patch says itself which of its fields may be cleared; any other optional field may be null.
            if !required.contains(&all[all.len() - 1]) && !name.ends_with("Patch") {
                property["nullable"] = true.into();
            }
        }
        if is_input {
            schema.insert("additionalProperties".into(), false.into());
        } else {
            schema.insert("required".into(), all.into());
        }
    }
    document
}

/// The names of the schemas that are request bodies.
fn inputs(document: &Value) -> Vec<String> {
    let operations =
        document["paths"].as_object().into_iter().flatten().flat_map(|(_, path)| path.as_object()).flatten();
    let bodies = operations.map(|(_, operation)| &operation["requestBody"]["content"]["application/json"]["schema"]);
    bodies.filter_map(|schema| schema["$ref"].as_str()?.rsplit('/').next()).map(ToOwned::to_owned).collect()
}

/// Serves until `shutdown` resolves; then is not ready any more, finishes what is under way within
/// `server.shutdown_timeout`, writes what is queued and closes the store.
///
/// # Errors
/// If serving fails.
pub async fn run(app: App, listener: std::net::TcpListener, shutdown: impl Future<Output = ()>) -> Result<()> {
    listener.set_nonblocking(true).context("preparing the listening socket")?;
    let acceptor = TcpAcceptor::from_std(listener).context("preparing the listening socket")?;
    let draining = app.clone();
    let signal = async move {
        shutdown.await;
        draining.drain();
    };
    let server = Server::new_with_acceptor(acceptor);
    let timeout = Some(app.config.server.shutdown_timeout);
    let endpoint = endpoint(&app)?;
    server.run_with_graceful_shutdown(endpoint, signal, timeout).await.context("serving")?;
    app.close().await
}

#[cfg(test)]
mod tests;
