//! `omnistack serve`.

use std::net::TcpListener;

use clap::Args;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::{Context, Failure, block_on};
use crate::app::{App, Claim};
use crate::auth;
use crate::base::clock::Clock;
use crate::base::config::Config;
use crate::base::db::migrate;
use crate::server;

/// Start the server: opens the data directory, brings the schema up to date and listens
#[derive(Args)]
pub(super) struct Serve {
    /// Listen here instead, such as 127.0.0.1:8081; port 0 picks a free one
    #[arg(long, value_name = "ADDRESS")]
    pub listen: Option<String>,
}

impl Serve {
    pub(super) fn run(self, context: &Context) -> Result<(), Failure> {
        let mut config = context.config()?;
        let listener = TcpListener::bind(config.server.listen).map_err(|error| cannot_listen(&config, &error))?;
        // Port 0 became a real one: links name it.
        config.server.listen = listener.local_addr().map_err(|error| cannot_listen(&config, &error))?;
        block_on(serve(context, config, listener))
    }
}

fn cannot_listen(config: &Config, error: &std::io::Error) -> Failure {
    let listen = config.server.listen;
    match error.kind() {
        std::io::ErrorKind::AddrInUse => Failure::other(format!("port_in_use: {listen} is taken by another process"))
            .with("Try: omnistack serve --listen 127.0.0.1:0"),
        _ => Failure::other(format!("cannot listen on {listen}: {error}")),
    }
}

async fn serve(context: &Context, config: Config, listener: TcpListener) -> Result<(), Failure> {
    let app = App::open(config, Clock::System, Claim::Serve)?;
    for name in migrate::run(&app.db, &app.clock).await? {
        tracing::info!(migration = name, "migrated");
    }
    let setup = auth::offer_setup_link(&app).await?;
    let (interrupt, terminate) = (listen_for(SignalKind::interrupt())?, listen_for(SignalKind::terminate())?);
    context.out.raw(&banner(&app, setup.as_deref()))?;
    server::run(app, listener, ended(interrupt, terminate)).await?;
    Ok(())
}

fn listen_for(kind: SignalKind) -> Result<Signal, Failure> {
    signal(kind).map_err(|error| Failure::other(format!("listening for signals: {error}")))
}

/// Resolves with the first signal. The second one ends the process at once.
async fn ended(mut interrupt: Signal, mut terminate: Signal) {
    let name = tokio::select! { _ = interrupt.recv() => "SIGINT", _ = terminate.recv() => "SIGTERM" };
    tracing::info!(signal = name, "shutting down; a second signal ends at once");
    tokio::spawn(async move {
        tokio::select! { _ = interrupt.recv() => {}, _ = terminate.recv() => {} }
        std::process::exit(i32::from(Failure::interrupted().code));
    });
}

fn banner(app: &App, setup: Option<&str>) -> String {
    let (url, dir) = (app.public_url(), &app.config.server.data_dir);
    let dir = std::fs::canonicalize(dir).unwrap_or_else(|_| dir.clone());
    let mut text = format!(
        "OmniStack {}\n  data      {}\n  console   {url}/admin\n  API docs  {url}/docs/api\n",
        env!("CARGO_PKG_VERSION"),
        dir.display()
    );
    if let Some(token) = setup {
        let minutes = app.config.auth.setup_link_ttl.as_secs() / 60;
        text += &format!(
            "  setup     {url}/admin/setup/{token}\n            \
             once, within {minutes} minutes; or: omnistack user create you@example.com --role superadmin\n"
        );
    }
    text
}
