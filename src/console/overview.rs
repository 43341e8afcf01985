//! The first page: what needs attention, four figures with their last two weeks, what happened last, and the system.

use std::time::Duration;

use askama::Template;
use poem::handler;
use poem::http::StatusCode;

use crate::app::App;
use crate::audit;
use crate::base::clock::Time;
use crate::base::db::Dialect;
use crate::base::error::Result;
use crate::base::html::{Html, Shell, Spark, grouped};
use crate::health::{self, Status};
use crate::shell::Console;
use crate::{projects, sessions, users};

const DAYS: i64 = 14;

#[derive(Template)]
#[template(path = "admin/console/overview.html")]
pub(super) struct OverviewPage {
    shell: Shell,
    attention: Vec<Attention>,
    stats: Vec<Stat>,
    activity: Vec<audit::Entry>,
    system: System,
}

struct Attention {
    kind: &'static str,
    title: String,
    detail: String,
    href: &'static str,
}

struct Stat {
    label: &'static str,
    value: String,
    change: String,
    finding: String,
    href: Option<&'static str>,
    spark: Spark,
    days: Vec<(String, String)>,
}

struct System {
    version: &'static str,
    engine: String,
    database_size: String,
    uptime: String,
    data_dir: String,
}

#[handler]
pub(super) async fn show(app: App, console: Console) -> Result<Html<OverviewPage>> {
    let today = app.now().micros().div_euclid(86_400_000_000);
    let since = Time::from_micros((today - DAYS + 1) * 86_400_000_000);
    let (users, new_users) = users::counts_any_owner(&app, since).await?;
    let (projects, new_projects) = projects::counts_any_owner(&app, since).await?;
    let sign_ins = audit::daily(&app, "user.signed_in", since).await?;
    let refused = audit::daily(&app, "user.sign_in_failed", since).await?;
    let sessions = sessions::count_any_owner(&app).await?;
    let series = |daily: &[(i64, i64)]| -> Vec<(i64, i64)> {
        let of = |day| daily.iter().find(|(d, _)| *d == day).map_or(0, |(_, n)| *n);
        (today - DAYS + 1..=today).map(|day| (day, of(day))).collect()
    };
    let page = OverviewPage {
        attention: attention(&app).await,
        stats: vec![
            stat("Users", users, "new", &series(&new_users), Some("/admin/users")),
            stat("Open sessions", sessions, "sign-ins", &series(&sign_ins), None),
            stat("Projects", projects, "new", &series(&new_projects), None),
            stat("Refused sign-ins today", series(&refused)[DAYS as usize - 1].1, "refusals", &series(&refused), None),
        ],
        activity: audit::recent(&app, 12).await?,
        system: system(&app).await?,
        shell: console.shell,
    };
    Ok(Html(StatusCode::OK, page))
}

/// Each part of the service that is not well.
async fn attention(app: &App) -> Vec<Attention> {
    let components = health::readiness(app).await.components;
    let ill = components.into_iter().filter(|(_, component)| component.status == Status::Unhealthy);
    let item = |(name, component): (String, health::Component)| Attention {
        kind: "bad",
        title: format!("The {name} is not well"),
        detail: component.remedy,
        href: "/admin",
    };
    ill.map(item).collect()
}

/// A figure, and what happened to it each day: `what` names the daily numbers.
fn stat(label: &'static str, value: i64, what: &str, daily: &[(i64, i64)], href: Option<&'static str>) -> Stat {
    let numbers: Vec<i64> = daily.iter().map(|(_, n)| *n).collect();
    let day = |day: i64| Time::from_micros(day * 86_400_000_000).date();
    let (change, peak) = match daily.iter().max_by_key(|(day, n)| (*n, *day)) {
        Some((peak, n)) if *n > 0 => {
            let sum = grouped(numbers.iter().sum());
            (format!("{sum} {what} in {DAYS} days"), format!(", most on {}", day(*peak)))
        }
        _ => (format!("no {what} in {DAYS} days"), String::new()),
    };
    Stat {
        label,
        value: grouped(value),
        finding: format!("{label}: {}; {change}{peak}", grouped(value)),
        change,
        href,
        spark: Spark::new(&numbers),
        days: daily.iter().map(|(d, n)| (day(*d), grouped(*n))).collect(),
    }
}

async fn system(app: &App) -> Result<System> {
    let (version, bytes) = app.db.read(|c| Ok(crate::base::db::facts(c)?)).await?;
    let engine = match app.db.dialect() {
        Dialect::Sqlite => format!("SQLite {version}"),
        Dialect::Postgres => format!("PostgreSQL {version}"),
    };
    Ok(System {
        version: env!("CARGO_PKG_VERSION"),
        engine,
        database_size: size(bytes),
        uptime: uptime(app.now().since(app.started_at)),
        data_dir: std::fs::canonicalize(&app.config.server.data_dir)
            .unwrap_or_else(|_| app.config.server.data_dir.clone())
            .display()
            .to_string(),
    })
}

fn size(bytes: i64) -> String {
    match bytes {
        0..1_000_000 => format!("{} kB", bytes / 1_000),
        1_000_000..1_000_000_000 => format!("{:.1} MB", bytes as f64 / 1e6),
        _ => format!("{:.1} GB", bytes as f64 / 1e9),
    }
}

fn uptime(duration: Duration) -> String {
    let minutes = duration.as_secs() / 60;
    match minutes {
        0 => "less than a minute".into(),
        1..60 => format!("{minutes} min"),
        60..1440 => format!("{} h {} min", minutes / 60, minutes % 60),
        _ => format!("{} d {} h", minutes / 1440, minutes / 60 % 24),
    }
}
