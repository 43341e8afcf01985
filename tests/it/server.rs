//! A running server on a data directory of its own, and the people who use it.

use crate::http::{Answer, Call, connections};
use crate::process::{Home, Output, PATIENCE, Process, eventually};
use serde_json::{Value, json};
use std::ops::Deref;
use ureq::Agent;

pub const READY: &str = "/api/v1/public/health/ready";

/// Long enough for any policy, on no list of breached passwords.
pub const PASSWORD: &str = "nine quiet orchards at dusk";

/// Somebody signed in.
#[derive(Clone)]
pub struct Session {
    pub email: String,
    pub access: String,
    pub refresh: String,
    pub id: String,
}

/// The address of a server, and what its users do there.
#[derive(Clone)]
pub struct Client {
    pub url: String,
    connections: Agent,
}

/// A server that is ready; also its own [`Client`].
pub struct Server {
    // Before the home, so that it is dead when its directory goes.
    process: Process,
    pub home: Home,
    env: Vec<(String, String)>,
    client: Client,
}

impl Deref for Server {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

impl Server {
    /// In a new home, with default settings.
    #[track_caller]
    pub fn new() -> Self {
        Self::start(Home::new(), &[])
    }

    /// On what `home` holds already, with these environment variables.
    #[track_caller]
    pub fn start(home: Home, env: &[(&str, &str)]) -> Self {
        let env: Vec<_> = env.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect();
        let (process, client) = launch(&home, &env);
        Server { home, env, process, client }
    }

    /// Starts again on the same data directory, killing what still runs.
    #[track_caller]
    pub fn restart(&mut self) {
        self.process.kill();
        (self.process, self.client) = launch(&self.home, &self.env);
    }

    /// What the server prints on standard output behind this label; waits for it.
    #[track_caller]
    pub fn line(&mut self, label: &str) -> String {
        await_line(&mut self.process, label)
    }

    /// SIGKILL: nothing is flushed, nothing is said.
    pub fn kill9(&mut self) {
        self.process.kill();
    }

    pub fn signal(&self, name: &str) {
        self.process.signal(name);
    }

    /// `None` while it runs.
    pub fn exit_code(&mut self) -> Option<i32> {
        self.process.exit_code()
    }

    /// SIGTERM, then the end of the process with all it ever wrote.
    #[track_caller]
    pub fn terminate(self) -> (Home, Output) {
        self.signal("TERM");
        self.wait()
    }

    /// The end of a process that was told to end.
    #[track_caller]
    pub fn wait(self) -> (Home, Output) {
        (self.home, self.process.finish(PATIENCE))
    }

    /// A new superadmin, made by the command line beside the running server.
    #[track_caller]
    pub fn admin(&self, email: &str) -> Session {
        let args = ["user", "create", email, "--role", "superadmin", "--password-file", "-"];
        self.home.run_with(&args, PASSWORD).expect(0);
        self.sign_in(email)
    }
}

#[track_caller]
fn launch(home: &Home, env: &[(String, String)]) -> (Process, Client) {
    let mut command = home.command(&["serve", "--listen", "127.0.0.1:0"]);
    let mut process = Process::spawn(command.envs(env.iter().cloned()), b"");
    let console = await_line(&mut process, "console");
    await_line(&mut process, "API docs");
    let url = console.trim_end_matches("/admin").to_string();
    assert!(url.starts_with("http://127.0.0.1:"), "console line: {console:?}");
    let client = Client { url, connections: connections() };
    client.get(READY).send().expect(200);
    (process, client)
}

#[track_caller]
fn await_line(process: &mut Process, label: &str) -> String {
    eventually(&format!("the line {label:?} of the server"), PATIENCE, || {
        let text = process.stdout();
        let whole = &text[..text.rfind('\n').map_or(0, |end| end + 1)];
        let found = whole.lines().find_map(|line| line.trim_start().strip_prefix(label));
        if found.is_none()
            && let Some(code) = process.exit_code()
        {
            panic!("the server ended with {code} before it said {label:?}");
        }
        found.map(|rest| rest.trim().to_string())
    })
}

/// Any call.
impl Client {
    pub fn get(&self, path: &str) -> Call {
        self.call("GET", path)
    }

    pub fn post(&self, path: &str) -> Call {
        self.call("POST", path)
    }

    pub fn patch(&self, path: &str) -> Call {
        self.call("PATCH", path)
    }

    pub fn delete(&self, path: &str) -> Call {
        self.call("DELETE", path)
    }

    pub fn call(&self, method: &'static str, path: &str) -> Call {
        Call::new(&self.connections, method, format!("{}{path}", self.url))
    }

    /// Host and port.
    pub fn address(&self) -> &str {
        self.url.trim_start_matches("http://")
    }
}

/// What people do.
impl Client {
    #[track_caller]
    pub fn register(&self, email: &str) -> Answer {
        let body = json!({"email": email, "password": PASSWORD, "full_name": "Test Person"});
        self.post("/api/v1/public/auth/register").json(&body).send()
    }

    #[track_caller]
    pub fn login(&self, email: &str, password: &str) -> Answer {
        self.post("/api/v1/public/auth/login").json(&json!({"email": email, "password": password})).send()
    }

    #[track_caller]
    pub fn refresh(&self, token: &str) -> Answer {
        self.post("/api/v1/public/auth/refresh").json(&json!({"refresh_token": token})).send()
    }

    /// Signs in with [`PASSWORD`].
    #[track_caller]
    pub fn sign_in(&self, email: &str) -> Session {
        self.sign_in_with(email, PASSWORD)
    }

    #[track_caller]
    pub fn sign_in_with(&self, email: &str, password: &str) -> Session {
        Session::of(email, &self.login(email, password).expect(200))
    }

    #[track_caller]
    pub fn register_and_sign_in(&self, email: &str) -> Session {
        self.register(email).expect(202);
        self.sign_in(email)
    }

    /// The caller's own account.
    pub fn me(&self, access: &str) -> Answer {
        self.get("/api/v1/app/users/me").bearer(access).send()
    }

    #[track_caller]
    pub fn create_project(&self, access: &str, name: &str) -> Answer {
        self.post("/api/v1/app/projects").bearer(access).json(&json!({"name": name})).send().expect(201)
    }

    pub fn project(&self, access: &str, id: &str) -> Answer {
        self.get(&format!("/api/v1/app/projects/{id}")).bearer(access).send()
    }

    /// All projects of the caller, by walking the cursor; `between` runs after each page but the last.
    #[track_caller]
    pub fn walk_projects(&self, access: &str, limit: usize, mut between: impl FnMut()) -> Vec<Value> {
        let (mut all, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = self.get(&format!("/api/v1/app/projects?limit={limit}{cursor}")).bearer(access).send();
            let page = page.expect(200).json();
            all.extend(page["items"].as_array().unwrap().iter().cloned());
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return all,
            }
            between();
        }
    }
}

impl Session {
    #[track_caller]
    pub fn of(email: &str, answer: &Answer) -> Self {
        Session {
            email: email.to_string(),
            access: answer.str("/access_token"),
            refresh: answer.str("/refresh_token"),
            id: answer.str("/session_id"),
        }
    }
}
