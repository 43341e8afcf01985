//! The test harness: the real `App` on a temporary data directory, a clock that stands still, and personas.
//!
//! With `OMNISTACK_TEST_DATABASE=postgres` every test runs on a schema of its own in the Postgres that
//! `OMNISTACK_TEST_POSTGRES` names (`./test.sh` brings one up); else on SQLite.

use std::sync::Arc;
use std::sync::atomic::AtomicI64;
use std::time::Duration;

use poem::endpoint::BoxEndpoint;
use poem::http::{HeaderMap, Method, Uri};
use poem::{Endpoint, EndpointExt, Request, Response};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::app::{App, Claim};
use crate::auth;
use crate::base::clock::Clock;
use crate::base::config::{Config, DatabaseUrl};
use crate::base::db::migrate;
use crate::base::id::Id;
use crate::base::principal::{Principal, Role};
use crate::base::secret::Secret;
use crate::users::NewUser;

/// Long enough, and on no list.
pub(crate) const PASSWORD: &str = "plum-orbit-sled";
/// 21 November 2026, 00:00 UTC.
const START: i64 = 1_795_219_200_000_000;

/// A whole program, ready to be asked.
pub(crate) struct TestApp {
    pub app: App,
    endpoint: Arc<BoxEndpoint<'static, Response>>,
    _dir: TempDir,
}

impl TestApp {
    pub async fn new() -> Self {
        Self::with(|_| {}).await
    }

    /// With other settings than the defaults.
    pub async fn with(change: impl FnOnce(&mut Config)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut config = Config::defaults();
        config.server.data_dir = dir.path().join("data");
        // As cheap as argon2 can be: what is tested is not its cost.
        (config.auth.argon2_memory, config.auth.argon2_iterations) = (8 << 10, 1);
        (config.database.pool_size, config.log.requests) = (4, false);
        if let Some(url) = postgres_schema() {
            config.database.url = DatabaseUrl::Postgres(Secret::new(url));
        }
        change(&mut config);
        let clock = Clock::Fixed(Arc::new(AtomicI64::new(START)));
        let app = App::open(config, clock, Claim::Serve).unwrap();
        migrate::run(&app.db, &app.clock).await.unwrap();
        let endpoint = Arc::new(crate::server::endpoint(&app).unwrap().boxed());
        Self { app, endpoint, _dir: dir }
    }

    /// Lets time pass.
    pub fn advance(&self, by: Duration) {
        self.app.clock.advance(by);
    }

    /// Somebody who is not signed in.
    pub fn guest(&self) -> Persona {
        Persona { endpoint: self.endpoint.clone(), id: Id::NONE, email: String::new(), tokens: Value::Null }
    }

    /// Somebody with an account, signed in.
    pub async fn user(&self, name: &str) -> Persona {
        self.account(name, Role::User).await
    }

    pub async fn support(&self) -> Persona {
        self.account("support", Role::Support).await
    }

    pub async fn admin(&self) -> Persona {
        self.account("admin", Role::Admin).await
    }

    pub async fn superadmin(&self) -> Persona {
        self.account("root", Role::Superadmin).await
    }

    /// Creates an account as the command line does, and signs in over HTTP.
    pub async fn account(&self, name: &str, role: Role) -> Persona {
        let email = format!("{name}@example.com");
        let new = NewUser { email: email.clone(), full_name: Some(name.into()), role };
        let me = Principal::command_line();
        let user = auth::create_account(&self.app, &me, new, Secret::new(PASSWORD.into())).await.unwrap();
        Persona { id: user.id, ..self.sign_in(&email).await }
    }

    /// A further session of an account.
    pub async fn sign_in(&self, email: &str) -> Persona {
        let body = json!({ "email": email, "password": PASSWORD });
        let tokens = self.guest().post("/api/v1/public/auth/login", body).await.expect(200).json();
        Persona { email: email.into(), tokens, ..self.guest() }
    }

    /// The actions in the audit trail, oldest first.
    pub async fn trail(&self) -> Vec<String> {
        let mut entries = crate::audit::recent(&self.app, 1_000).await.unwrap();
        entries.reverse();
        entries.into_iter().map(|entry| entry.action).collect()
    }
}

/// Somebody who sends requests.
#[derive(Clone)]
pub(crate) struct Persona {
    endpoint: Arc<BoxEndpoint<'static, Response>>,
    pub id: Id,
    pub email: String,
    /// What the sign-in answered.
    pub tokens: Value,
}

impl Persona {
    pub async fn get(&self, path: &str) -> Answer {
        self.ask(Method::GET, path).send().await
    }

    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.ask(Method::POST, path).json(body).send().await
    }

    pub async fn patch(&self, path: &str, body: Value) -> Answer {
        self.ask(Method::PATCH, path).json(body).send().await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        self.ask(Method::DELETE, path).send().await
    }

    /// A request to be completed.
    pub fn ask(&self, method: Method, path: &str) -> Ask {
        let mut request = Request::builder().method(method).uri(path.parse::<Uri>().unwrap());
        if let Some(token) = self.tokens["access_token"].as_str() {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        Ask { endpoint: self.endpoint.clone(), request: request.finish() }
    }
}

/// A request on its way.
pub(crate) struct Ask {
    endpoint: Arc<BoxEndpoint<'static, Response>>,
    request: Request,
}

impl Ask {
    pub fn header(mut self, name: &'static str, value: &str) -> Self {
        self.request.headers_mut().insert(name, value.parse().unwrap());
        self
    }

    pub fn json(self, body: Value) -> Self {
        self.header("content-type", "application/json").body(body.to_string())
    }

    /// The fields of a form, as one of our own pages would send them.
    pub fn form(self, fields: &[(&str, &str)]) -> Self {
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        self.header("content-type", "application/x-www-form-urlencoded")
            .header("sec-fetch-site", "same-origin")
            .body(body)
    }

    pub fn body(mut self, body: impl Into<poem::Body>) -> Self {
        self.request.set_body(body);
        self
    }

    pub async fn send(self) -> Answer {
        let response = self.endpoint.call(self.request).await.expect("the edge answers everything");
        let (parts, body) = response.into_parts();
        let text = body.into_string().await.unwrap();
        Answer { status: parts.status.as_u16(), headers: parts.headers, text }
    }
}

/// What came back.
pub(crate) struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub text: String,
}

impl Answer {
    /// Fails the test unless the status is this one.
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.text);
        self
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_default()
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// `error.code`, from the envelope.
    pub fn code(&self) -> String {
        self.json()["error"]["code"].as_str().unwrap_or_default().to_owned()
    }

    /// `field: code` of every fault, from the envelope.
    pub fn faults(&self) -> Vec<String> {
        let details = self.json()["error"]["details"].clone();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let faults = details.as_array().into_iter().flatten();
        faults.map(|fault| format!("{}: {}", text(&fault["field"]), text(&fault["code"]))).collect()
    }
}

#[expect(clippy::disallowed_methods, reason = "the tests are told by the environment which engine to run on")]
fn postgres_schema() -> Option<String> {
    if std::env::var("OMNISTACK_TEST_DATABASE").ok()? != "postgres" {
        return None;
    }
    let url = std::env::var("OMNISTACK_TEST_POSTGRES").expect("OMNISTACK_TEST_POSTGRES names the server");
    let schema = format!("t_{}", Id::new().to_string().replace('-', ""));
    let (address, sql) = (url.clone(), format!("create schema {schema}"));
    // On a plain thread: the client panics on an async one.
    let made = std::thread::spawn(move || {
        postgres::Client::connect(&address, postgres::NoTls).unwrap().batch_execute(&sql).unwrap();
    });
    made.join().unwrap();
    let separator = if url.contains('?') { '&' } else { '?' };
    Some(format!("{url}{separator}options=-csearch_path%3D{schema}"))
}
