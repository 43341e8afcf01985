//! `App`: the base parts behind one `Arc`, first argument of every operation and an extractor of every handler.

use std::fs::File;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context;
use poem::{FromRequest, Request, RequestBody};

use crate::base::cache::Cache;
use crate::base::clock::{Clock, Time};
use crate::base::config::{Config, DatabaseUrl};
use crate::base::db::Db;
use crate::base::error::{Error, Result};
use crate::base::id::Id;
use crate::base::page::Cursors;
use crate::base::password::Passwords;
use crate::base::principal::Live;
use crate::base::secret::{self, Keys};
use crate::base::token::{Claims, Tokens};

/// The program. Cheap to clone.
#[derive(Clone)]
pub struct App(Arc<Inner>);

/// What the program is made of.
pub struct Inner {
    /// The settings.
    pub config: Config,
    /// The time.
    pub clock: Clock,
    /// The store.
    pub db: Db,
    /// The keys, derived from the one master secret.
    pub keys: Keys,
    /// Access and refresh tokens.
    pub tokens: Tokens,
    /// Password hashing.
    pub passwords: Passwords,
    /// Sessions that may be used, by id. Invalidated exactly; see `sessions`.
    pub live: Arc<Cache<Id, Arc<Live>>>,
    /// Access tokens whose signature was checked, by SHA-256.
    pub verified: Cache<[u8; 32], Arc<Claims>>,
    /// When the program started.
    pub started_at: Time,
    draining: AtomicBool,
    // Held as long as the program lives: two servers on one directory would each believe their caches.
    _lock: Option<File>,
}

impl std::ops::Deref for App {
    type Target = Inner;
    fn deref(&self) -> &Inner {
        &self.0
    }
}

/// Whether this process is the one that serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// Takes the lock of the data directory, or fails.
    Serve,
    /// Works beside a server that may be running: the command line.
    Beside,
}

/// Another process serves this data directory.
#[derive(Debug)]
pub struct Taken(pub PathBuf);

impl std::fmt::Display for Taken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the data directory {} is in use by another omnistack", self.0.display())
    }
}

impl std::error::Error for Taken {}

impl App {
    /// Opens the data directory, the store and everything else that `config` names. Runs no migration.
    ///
    /// # Errors
    /// [`Taken`] if another process serves the directory; else whatever cannot be opened, by name.
    pub fn open(config: Config, clock: Clock, claim: Claim) -> Result<Self> {
        let data_dir = config.server.data_dir.clone();
        secret::create_private_dir(&data_dir)?;
        let lock = match claim {
            Claim::Serve => Some(lock(data_dir.clone())?),
            Claim::Beside => None,
        };
        let master = match &config.server.secret_key {
            key if key.is_empty() => secret::load_or_create_master(&data_dir)?,
            key => key.clone(),
        };
        let keys = Keys::derive(&master)?;
        let tokens = Tokens::new(&keys, issuer(&config))?;
        let passwords = Passwords::start(&config.auth)?;
        let live: Arc<Cache<Id, Arc<Live>>> = Arc::new(Cache::new(100_000, trust(&config)));
        let stale = live.clone();
        let db = Db::open(&config.database, &data_dir, move || stale.clear())?;
        let verified = Cache::new(100_000, config.auth.access_token_ttl);
        let (started_at, draining) = (clock.now(), AtomicBool::new(false));
        let inner =
            Inner { config, clock, db, keys, tokens, passwords, live, verified, started_at, draining, _lock: lock };
        Ok(Self(Arc::new(inner)))
    }

    /// The time now.
    pub fn now(&self) -> Time {
        self.clock.now()
    }

    /// The address people reach the program at, without a slash at the end.
    pub fn public_url(&self) -> String {
        public_url(&self.config)
    }

    /// Whether people reach it over https: decides cookies and headers.
    pub fn is_https(&self) -> bool {
        self.public_url().starts_with("https://")
    }

    /// Whether the server is on its way down: not ready, though it still answers.
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::SeqCst)
    }

    /// Announces the end.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::SeqCst);
    }

    /// The cursors of a list, see [`Cursors::new`].
    pub fn cursors(&self, list: String) -> Cursors<'_> {
        Cursors::new(&self.keys.cursor, list)
    }

    /// Finishes what is queued and closes the store.
    ///
    /// # Errors
    /// If the closing thread panicked.
    pub async fn close(&self) -> Result<()> {
        let app = self.clone();
        tokio::task::spawn_blocking(move || app.db.close()).await.context("closing the store")?;
        Ok(())
    }
}

fn public_url(config: &Config) -> String {
    match config.app.public_url.as_str() {
        "" => format!("http://{}", config.server.listen),
        url => url.to_owned(),
    }
}

/// Who signs tokens. Not the listening address: tokens outlive a restart on another port.
fn issuer(config: &Config) -> String {
    match config.app.public_url.as_str() {
        "" => "omnistack".into(),
        url => url.to_owned(),
    }
}

/// How long a cached session may be trusted: beside a Postgres there may be another instance that changes it.
fn trust(config: &Config) -> Duration {
    match config.database.url {
        DatabaseUrl::Sqlite(_) => Duration::from_secs(60),
        DatabaseUrl::Postgres(_) => Duration::from_secs(1),
    }
}

fn lock(data_dir: PathBuf) -> Result<File> {
    let path = data_dir.join("omnistack.lock");
    let file = File::options().create(true).truncate(false).write(true).mode(0o600).open(&path);
    let file = file.with_context(|| format!("opening {}", path.display()))?;
    // A lock of the kernel, not a pid in a file: it cannot outlive its process.
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => Err(anyhow::Error::new(Taken(data_dir)).into()),
        Err(std::fs::TryLockError::Error(error)) => {
            Err(Error::Internal(anyhow::Error::new(error).context(format!("locking {}", path.display()))))
        }
    }
}

impl<'a> FromRequest<'a> for App {
    async fn from_request(request: &'a Request, _: &mut RequestBody) -> poem::Result<Self> {
        let app = request.data::<App>().cloned();
        Ok(app.ok_or_else(|| Error::Internal(anyhow::anyhow!("the App is not on the request")))?)
    }
}
