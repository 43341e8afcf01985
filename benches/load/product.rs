//! The products under load: how each is started, filled and asked, so that the same scenarios run against both.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use super::process::{Server, free_address};

const PASSWORD: &str = "correct horse battery staple";
const ADMIN: &str = "admin@example.com";

/// What is asked of a server.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Ask {
    Health,
    Get,
    List,
    Create,
    SignIn,
}

/// A product and where its binary is.
pub enum Product {
    /// `environment` is all the environment the server gets.
    OmniStack {
        binary: PathBuf,
        environment: Vec<(String, String)>,
    },
    PocketBase {
        binary: PathBuf,
    },
}

/// A signed-in account.
pub struct Account {
    email: String,
    id: String,
    token: String,
}

impl Product {
    /// The name in the report.
    pub fn name(&self) -> &'static str {
        self.pick("OmniStack", "PocketBase")
    }

    /// The file that is started.
    pub fn binary(&self) -> &Path {
        match self {
            Self::OmniStack { binary, .. } | Self::PocketBase { binary } => binary,
        }
    }

    fn pick<T>(&self, omnistack: T, pocketbase: T) -> T {
        match self {
            Self::OmniStack { .. } => omnistack,
            Self::PocketBase { .. } => pocketbase,
        }
    }

    fn health(&self) -> &'static str {
        self.pick("/api/v1/public/health", "/api/health")
    }

    fn projects(&self) -> &'static str {
        self.pick("/api/v1/app/projects", "/api/collections/projects/records")
    }

    fn sign_in_path(&self) -> &'static str {
        self.pick("/api/v1/public/auth/login", "/api/collections/users/auth-with-password")
    }

    /// The binary with an environment of nothing but what was asked for: an inherited database URL must not be filled
    /// with test rows, and PocketBase finds no browser to open.
    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(self.binary());
        command.args(args).env_clear();
        if let Self::OmniStack { environment, .. } = self {
            command.envs(environment.iter().map(|(name, value)| (name, value)));
        }
        command
    }

    /// Starts the server on `dir`.
    pub fn start(&self, dir: &Path) -> Result<Server> {
        let data = dir.join("data").display().to_string();
        match self {
            Self::OmniStack { .. } => {
                let args = ["serve", "--listen", "127.0.0.1:0", "--data-dir", &data];
                Server::start(&mut self.command(&args), dir, None, self.health())
            }
            Self::PocketBase { .. } => {
                let address = free_address()?;
                let args = ["serve", "--http", &address.to_string(), "--dir", &data];
                Server::start(&mut self.command(&args), dir, Some(address), self.health())
            }
        }
    }

    /// Creates the administrator, and in PocketBase the collection that OmniStack has built in.
    pub fn prepare(&self, dir: &Path, address: SocketAddr) -> Result<()> {
        let data = dir.join("data").display().to_string();
        let mut command = match self {
            Self::OmniStack { .. } => {
                self.command(&["user", "create", ADMIN, "--role", "admin", "--no-input", "--data-dir", &data])
            }
            Self::PocketBase { .. } => self.command(&["superuser", "upsert", ADMIN, PASSWORD, "--dir", &data]),
        };
        let done = command.current_dir(dir).stdin(Stdio::null()).output().context("creating the administrator")?;
        if !done.status.success() {
            bail!("creating the administrator ended with {}: {}", done.status, String::from_utf8_lossy(&done.stderr));
        }
        match self {
            Self::OmniStack { .. } => Ok(()),
            Self::PocketBase { .. } => create_collection(address),
        }
    }

    /// Registers an account over HTTP and signs it in.
    pub fn register(&self, address: SocketAddr, email: &str) -> Result<Account> {
        let (path, body) = self.pick(
            ("/api/v1/public/auth/register", json!({"email": email, "password": PASSWORD})),
            (
                "/api/collections/users/records",
                json!({"email": email, "password": PASSWORD, "passwordConfirm": PASSWORD}),
            ),
        );
        call(address, "POST", path, None, Some(&body))?;
        let mut account = Account { email: email.to_owned(), id: String::new(), token: String::new() };
        self.renew(address, &mut account)?;
        Ok(account)
    }

    /// Signs the account in again: access tokens are short-lived.
    pub fn renew(&self, address: SocketAddr, account: &mut Account) -> Result<()> {
        let answer = call(address, "POST", self.sign_in_path(), None, Some(&self.credentials(account)))?;
        account.token = text(&answer, self.pick("/access_token", "/token"))?;
        account.id = self.pick(Ok(String::new()), text(&answer, "/record/id"))?;
        Ok(())
    }

    /// Creates `count` projects one by one and hands out their ids.
    pub fn seed(&self, address: SocketAddr, owner: &Account, count: usize) -> Result<Vec<String>> {
        let create = |n| {
            let answer = call(address, "POST", self.projects(), Some(owner), Some(&self.project(owner, n)))?;
            text(&answer, "/id")
        };
        (0..count).map(create).collect()
    }

    /// Checks that the first page holds 30 projects: a fast answer of something else is no result.
    pub fn check_page(&self, address: SocketAddr, owner: &Account) -> Result<()> {
        let page = call(address, "GET", &self.page(), Some(owner), None)?;
        match page.pointer("/items").and_then(Value::as_array) {
            Some(items) if items.len() == 30 => Ok(()),
            _ => bail!("{}: GET {} is not a page of 30 items: {page}", self.name(), self.page()),
        }
    }

    /// The requests of which a scenario draws: any one of the thousand `ids`, a thousand new names, one sign-in.
    pub fn requests(&self, ask: Ask, address: SocketAddr, account: &Account, ids: &[String]) -> Vec<Vec<u8>> {
        let raw = |method, path: &str, owner, body: Option<Value>| raw(address, method, path, owner, body.as_ref());
        match ask {
            Ask::Health => vec![raw("GET", self.health(), None, None)],
            Ask::List => vec![raw("GET", &self.page(), Some(account), None)],
            Ask::SignIn => vec![raw("POST", self.sign_in_path(), None, Some(self.credentials(account)))],
            Ask::Get => {
                let one = |id| raw("GET", &format!("{}/{id}", self.projects()), Some(account), None);
                ids.iter().map(one).collect()
            }
            Ask::Create => {
                let one = |n| raw("POST", self.projects(), Some(account), Some(self.project(account, n)));
                (0..1000).map(one).collect()
            }
        }
    }

    fn page(&self) -> String {
        format!("{}{}", self.projects(), self.pick("?limit=30", "?perPage=30"))
    }

    fn project(&self, owner: &Account, n: usize) -> Value {
        let (name, description) = (format!("Project {n}"), "lorem ipsum ".repeat(10));
        self.pick(
            json!({"name": name, "description": description}),
            json!({"name": name, "description": description, "owner": owner.id}),
        )
    }

    fn credentials(&self, account: &Account) -> Value {
        json!({self.pick("email", "identity"): account.email, "password": PASSWORD})
    }
}

/// The client of everything that is not measured: no proxy, and errors as answers.
pub fn agent() -> ureq::Agent {
    let config = ureq::Agent::config_builder().proxy(None).http_status_as_error(false);
    config.timeout_global(Some(Duration::from_secs(30))).build().into()
}

fn create_collection(address: SocketAddr) -> Result<()> {
    let credentials = json!({"identity": ADMIN, "password": PASSWORD});
    let answer = call(address, "POST", "/api/collections/_superusers/auth-with-password", None, Some(&credentials))?;
    let root = Account { email: ADMIN.into(), id: String::new(), token: text(&answer, "/token")? };
    let users = text(&call(address, "GET", "/api/collections/users", Some(&root), None)?, "/id")?;
    let own = "owner = @request.auth.id";
    let collection = json!({
        "name": "projects", "type": "base",
        "listRule": own, "viewRule": own, "createRule": "@request.body.owner = @request.auth.id",
        "fields": [
            {"name": "name", "type": "text", "required": true},
            {"name": "description", "type": "text"},
            {"name": "owner", "type": "relation", "collectionId": users, "maxSelect": 1, "required": true},
        ],
        "indexes": ["CREATE INDEX idx_projects_owner ON projects (owner)"],
    });
    call(address, "POST", "/api/collections", Some(&root), Some(&collection)).map(drop)
}

fn call(
    address: SocketAddr,
    method: &str,
    path: &str,
    account: Option<&Account>,
    body: Option<&Value>,
) -> Result<Value> {
    let mut request = ureq::http::Request::builder().method(method).uri(format!("http://{address}{path}"));
    if let Some(account) = account {
        request = request.header("Authorization", format!("Bearer {}", account.token));
    }
    let answer = match body {
        Some(body) => agent().run(request.header("Content-Type", "application/json").body(body.to_string())?),
        None => agent().run(request.body(())?),
    };
    let mut answer = answer.with_context(|| format!("{method} {path}"))?;
    let text = answer.body_mut().read_to_string()?;
    if !answer.status().is_success() {
        bail!("{method} {path} answered {}: {text}", answer.status());
    }
    serde_json::from_str(&text).with_context(|| format!("{method} {path} answered no JSON: {text}"))
}

fn raw(address: SocketAddr, method: &str, path: &str, account: Option<&Account>, body: Option<&Value>) -> Vec<u8> {
    let mut head = format!("{method} {path} HTTP/1.1\r\nHost: {address}\r\n");
    if let Some(account) = account {
        head += &format!("Authorization: Bearer {}\r\n", account.token);
    }
    let body = body.map(Value::to_string).unwrap_or_default();
    if !body.is_empty() {
        head += &format!("Content-Type: application/json\r\nContent-Length: {}\r\n", body.len());
    }
    format!("{head}\r\n{body}").into_bytes()
}

fn text(answer: &Value, pointer: &str) -> Result<String> {
    let found = answer.pointer(pointer).and_then(Value::as_str);
    found.map(str::to_owned).with_context(|| format!("no {pointer} in the answer {answer}"))
}
