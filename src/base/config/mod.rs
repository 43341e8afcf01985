//! Every setting of the product, one struct a section, in the order of `config.example.toml`.
//!
//! That file is compiled in and is the list of keys, their kinds and their defaults. Over it lie the configuration
//! file, the environment (`OMNISTACK_SECTION__KEY`, the aliases, `_FILE` variants of both) and the flags. A new setting
//! is a commented line in the example, a field with its doc, and a line in `read`.
//!
//! A `Config` that exists holds only values of the right type, within their ranges, that go together: whoever gets one
//! checks nothing again. All faults are found in one run, each with its place and its remedy, and no message, `Debug`
//! output or [`Setting`] shows a secret. There is no reloading, and a section is never nested.
//!
//! [`Sources::from_process`] is the only reader of the environment in the program.

mod choice;
mod fault;
mod settings;
#[cfg(test)]
mod tests;
mod value;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use self::choice::{ENVIRONMENTS, LOG_FORMATS, database_url, one_of};
use self::settings::Settings;
use self::value::{GIB, KIB, MIB, TIB, address, boolean, count, duration, log_level, origin, path, size, text};
use crate::base::secret::Secret;

pub use self::choice::{DatabaseUrl, Environment, LogFormat};
pub use self::fault::{Fault, Faults, Source};
pub use self::settings::{Setting, Sources, no_color};

/// The example file: what `config example` prints, and the defaults.
pub const EXAMPLE: &str = include_str!("../../../config.example.toml");

/// All settings.
#[derive(Clone, Debug)]
pub struct Config {
    /// What the product is and where it is reached.
    pub app: AppSection,
    /// Where it listens, what it keeps, how long it waits.
    pub server: ServerSection,
    /// Where rows live and how many may wait for them.
    pub database: DatabaseSection,
    /// Accounts, sessions, passwords.
    pub auth: AuthSection,
    /// When the server calls itself ready.
    pub health: HealthSection,
    /// What is logged and how.
    pub log: LogSection,
}

/// A configuration and how it came about.
#[derive(Debug)]
pub struct Loaded {
    /// The settings, checked.
    pub config: Config,
    /// Each setting with its source, in the order of the example.
    pub settings: Vec<Setting>,
    /// What the operator should know though nothing is wrong.
    pub warnings: Vec<String>,
}

impl Config {
    /// Reads all layers and checks the outcome.
    ///
    /// # Errors
    /// All faults of all layers at once.
    pub fn load(sources: &Sources) -> Result<Loaded, Faults> {
        let mut settings = Settings::layered(sources);
        let config = Self::read(&mut settings);
        if let Some(config) = &config {
            config.check(&mut settings);
        }
        settings.finish(config)
    }

    fn read(s: &mut Settings) -> Option<Self> {
        Some(Self {
            app: AppSection::read(s)?,
            server: ServerSection::read(s)?,
            database: DatabaseSection::read(s)?,
            auth: AuthSection::read(s)?,
            health: HealthSection::read(s)?,
            log: LogSection::read(s)?,
        })
    }

    /// The rules between settings.
    fn check(&self, s: &mut Settings) {
        self.app.check(s, self.server.listen);
        self.auth.check(s);
    }
}

/// `[app]`: what the product is and where it is reached.
#[derive(Clone, Debug)]
pub struct AppSection {
    /// The name of the product.
    pub name: String,
    /// Where the installation runs.
    pub environment: Environment,
    /// Scheme, host and port under which users reach the server, without a trailing `/`; empty: `http://` and
    /// `server.listen`.
    pub public_url: String,
}

impl AppSection {
    fn read(s: &mut Settings) -> Option<Self> {
        Some(Self {
            name: s.get("app.name", text)?,
            environment: s.get("app.environment", one_of(ENVIRONMENTS))?,
            public_url: s.get("app.public_url", origin)?,
        })
    }

    fn check(&self, s: &mut Settings, listen: SocketAddr) {
        if self.environment != Environment::Production {
            return;
        }
        let keys = ["app.public_url", "app.environment"];
        s.require(&keys, !self.public_url.starts_with("http:"), "Use https in app.public_url, or leave it empty.");
        if self.public_url.is_empty() {
            s.warn(format!("app.public_url is empty, so links in mail point to http://{listen}."));
        }
    }
}

/// `[server]`: where it listens, what it keeps, how long it waits.
#[derive(Clone, Debug)]
pub struct ServerSection {
    /// Address and port to listen on; port 0 picks a free one.
    pub listen: SocketAddr,
    /// Directory of the database, the keys and the files.
    pub data_dir: PathBuf,
    /// Longest time a request may take.
    pub request_timeout: Duration,
    /// How long running requests may go on once the server has been told to stop.
    pub shutdown_timeout: Duration,
    /// Largest body of a request, in bytes.
    pub body_limit: u64,
    /// Key from which all others are derived; empty: the one in `<data_dir>/secrets.toml`.
    pub secret_key: Secret,
}

impl ServerSection {
    fn read(s: &mut Settings) -> Option<Self> {
        Some(Self {
            listen: s.get("server.listen", address)?,
            data_dir: s.get("server.data_dir", path)?,
            request_timeout: s.get("server.request_timeout", duration)?,
            shutdown_timeout: s.get("server.shutdown_timeout", duration)?,
            body_limit: s.get("server.body_limit", size(KIB..=GIB))?,
            secret_key: s.get_secret("server.secret_key", 32)?,
        })
    }
}

/// `[database]`: where rows live and how many may wait for them.
#[derive(Clone, Debug)]
pub struct DatabaseSection {
    /// A SQLite file or a Postgres server.
    pub url: DatabaseUrl,
    /// Threads that read from SQLite; 0: one a core, at least 2 and at most 8.
    pub readers: u32,
    /// Connections to Postgres.
    pub pool_size: u32,
    /// Writes that may wait.
    pub write_queue: u32,
    /// Reads that may wait.
    pub read_queue: u32,
}

impl DatabaseSection {
    fn read(s: &mut Settings) -> Option<Self> {
        Some(Self {
            url: s.get("database.url", database_url)?,
            readers: s.get("database.readers", count(0..=64))?,
            pool_size: s.get("database.pool_size", count(1..=1000))?,
            write_queue: s.get("database.write_queue", count(1..=1_000_000))?,
            read_queue: s.get("database.read_queue", count(1..=1_000_000))?,
        })
    }
}

/// `[auth]`: accounts, sessions, passwords.
#[derive(Clone, Debug)]
pub struct AuthSection {
    /// Whether anyone may create an account.
    pub registration: bool,
    /// Life of an access token.
    pub access_token_ttl: Duration,
    /// Time without use after which a session of the API ends.
    pub session_idle: Duration,
    /// Time after which a session of the API ends in any case.
    pub session_max: Duration,
    /// Time without use after which a session of the console ends.
    pub console_idle: Duration,
    /// Time after which a session of the console ends in any case.
    pub console_max: Duration,
    /// Fewest characters of a password.
    pub password_min_length: u32,
    /// Memory of one argon2id hash, in bytes.
    pub argon2_memory: u64,
    /// Passes over that memory.
    pub argon2_iterations: u32,
    /// Lanes of one hash.
    pub argon2_parallelism: u32,
    /// Threads that hash; 0: half the cores, at least 1.
    pub argon2_threads: u32,
    /// Sign-ins that may wait for such a thread.
    pub argon2_queue: u32,
    /// Life of the link that the first start prints.
    pub setup_link_ttl: Duration,
}

impl AuthSection {
    /// Least passes for a memory of so many MiB: settings of equal strength after OWASP's Password Storage Cheat Sheet.
    const OWASP: [(u64, u32); 5] = [(46, 1), (19, 2), (12, 3), (9, 4), (7, 5)];

    fn read(s: &mut Settings) -> Option<Self> {
        Some(Self {
            registration: s.get("auth.registration", boolean)?,
            access_token_ttl: s.get("auth.access_token_ttl", duration)?,
            session_idle: s.get("auth.session_idle", duration)?,
            session_max: s.get("auth.session_max", duration)?,
            console_idle: s.get("auth.console_idle", duration)?,
            console_max: s.get("auth.console_max", duration)?,
            password_min_length: s.get("auth.password_min_length", count(8..=64))?,
            argon2_memory: s.get("auth.argon2_memory", size(8 * KIB..=GIB))?,
            argon2_iterations: s.get("auth.argon2_iterations", count(1..=100))?,
            argon2_parallelism: s.get("auth.argon2_parallelism", count(1..=64))?,
            argon2_threads: s.get("auth.argon2_threads", count(0..=256))?,
            argon2_queue: s.get("auth.argon2_queue", count(1..=100_000))?,
            setup_link_ttl: s.get("auth.setup_link_ttl", duration)?,
        })
    }

    fn check(&self, s: &mut Settings) {
        let not_longer = [
            ("auth.access_token_ttl", self.access_token_ttl, "auth.session_idle", self.session_idle),
            ("auth.session_idle", self.session_idle, "auth.session_max", self.session_max),
            ("auth.console_idle", self.console_idle, "auth.console_max", self.console_max),
        ];
        for (short, time, long, limit) in not_longer {
            s.require(&[short, long], time <= limit, &format!("Make {short} no longer than {long}."));
        }
        // RFC 9106, section 3.1: at least 8 KiB a lane.
        let enough = self.argon2_memory >= 8 * KIB * u64::from(self.argon2_parallelism);
        s.require(&["auth.argon2_memory", "auth.argon2_parallelism"], enough, "Give each lane 8 KiB or more.");
        let is_strong = |(mib, passes)| self.argon2_memory >= mib * MIB && self.argon2_iterations >= passes;
        if !Self::OWASP.into_iter().any(is_strong) {
            s.warn("auth.argon2_memory and auth.argon2_iterations are below what OWASP advises, 19 MiB and 2.");
        }
    }
}

/// `[health]`: when the server calls itself ready.
#[derive(Clone, Debug)]
pub struct HealthSection {
    /// Least free space in the data directory, in bytes.
    pub min_free_disk: u64,
}

impl HealthSection {
    fn read(s: &mut Settings) -> Option<Self> {
        Some(Self { min_free_disk: s.get("health.min_free_disk", size(0..=TIB))? })
    }
}

/// `[log]`: what is logged and how.
#[derive(Clone, Debug)]
pub struct LogSection {
    /// Directives for `tracing`'s `EnvFilter`, valid and in lower case.
    pub level: String,
    /// The shape of a line.
    pub format: LogFormat,
    /// Whether each request is logged.
    pub requests: bool,
}

impl LogSection {
    fn read(s: &mut Settings) -> Option<Self> {
        Some(Self {
            level: s.get("log.level", log_level)?,
            format: s.get("log.format", one_of(LOG_FORMATS))?,
            requests: s.get("log.requests", boolean)?,
        })
    }
}
