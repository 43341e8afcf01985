//! Whether the service is well: alive, ready, and why not.
//!
//! Owns no table; writes one row of `health_checks` to prove that the store takes writes.
//!
//! Readiness really tries: a write and a read of the store, its schema, the free space on its disk. It answers 503 while
//! anything is wrong or the server is on its way down, so that a load balancer stops sending. What exactly failed is told
//! as a word and a remedy; the engine's own text goes to the log.
//!
//! Reached under `/api/v1/public/health`, `/livez` and `/readyz`.

mod api;
mod store;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use anyhow::Context;
use poem_openapi::{Enum, Object};
use serde::Serialize;

pub(crate) use api::{HealthApi, livez, readyz};

use crate::app::App;
use crate::base::clock::Time;
use crate::base::db::migrate;
use crate::base::error::Result;

/// How something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Enum)]
#[oai(rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// As it should be.
    Healthy,
    /// Not as it should be.
    Unhealthy,
    /// Not in use here.
    NotConfigured,
}

/// That the process answers.
#[derive(Serialize, Object)]
pub struct Health {
    /// Always `healthy`.
    pub status: Status,
    /// The time of the server.
    pub timestamp: Time,
}

/// Whether requests should be sent here.
#[derive(Serialize, Object)]
pub struct Readiness {
    /// `healthy` only if every part is.
    pub status: Status,
    /// The time of the server.
    pub timestamp: Time,
    /// Each part, and what to do about it.
    pub components: BTreeMap<String, Component>,
}

/// One part.
#[derive(Serialize, Object)]
pub struct Component {
    /// How it is.
    pub status: Status,
    /// What to do; empty when it is well.
    pub remedy: String,
}

impl Component {
    fn well() -> Self {
        Self { status: Status::Healthy, remedy: String::new() }
    }

    fn ill(remedy: impl Into<String>) -> Self {
        Self { status: Status::Unhealthy, remedy: remedy.into() }
    }
}

/// Looks at every part.
pub async fn readiness(app: &App) -> Readiness {
    let mut components = BTreeMap::new();
    components.insert("server".into(), server(app));
    components.insert("database".into(), judge("database", database(app).await));
    components.insert("migrations".into(), judge("migrations", migrations(app).await));
    components.insert("disk".into(), judge("disk", disk(app)));
    components.insert("redis".into(), Component { status: Status::NotConfigured, remedy: String::new() });
    let ill = components.values().any(|component| component.status == Status::Unhealthy);
    let status = if ill { Status::Unhealthy } else { Status::Healthy };
    Readiness { status, timestamp: app.now(), components }
}

fn judge(name: &str, outcome: Result<Component>) -> Component {
    outcome.unwrap_or_else(|error| {
        tracing::error!(component = name, error = format!("{error:#}"), "a part of the service is not well");
        Component::ill(format!("The check of the {name} failed: the log of the server says why."))
    })
}

fn server(app: &App) -> Component {
    if app.is_draining() {
        return Component::ill("The server is shutting down: send requests elsewhere.");
    }
    Component::well()
}

async fn database(app: &App) -> Result<Component> {
    let now = app.now();
    app.db.write(move |tx| Ok(store::beat(tx, now)?)).await?;
    let found = app.db.read(move |c| Ok(store::last_beat(c)?)).await?;
    Ok(match found {
        Some(at) if at >= now => Component::well(),
        _ => Component::ill("What was written could not be read back: check the disk and the database."),
    })
}

async fn migrations(app: &App) -> Result<Component> {
    Ok(match migrate::status(&app.db).await?.pending() {
        0 => Component::well(),
        n => Component::ill(format!("Migrations that have not run: {n}. Run `omnistack migrate`.")),
    })
}

fn disk(app: &App) -> Result<Component> {
    let dir = &app.config.server.data_dir;
    let stat = rustix::fs::statvfs(dir).with_context(|| format!("asking for the free space of {}", dir.display()))?;
    let (free, least) = (stat.f_bavail * stat.f_frsize, app.config.health.min_free_disk);
    if free < least {
        return Ok(Component::ill(format!("{free} bytes are free where {least} should be: make room on the disk.")));
    }
    Ok(Component::well())
}
