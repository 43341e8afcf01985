//! `omnistack migrate`.

use clap::{Args, Subcommand};
use serde_json::json;

use super::output::table;
use super::{Context, Failure, block_on};
use crate::app::{App, Claim};
use crate::base::clock::Clock;
use crate::base::db::migrate;

/// Bring the database to the schema of this binary; `serve` does it too
#[derive(Args)]
pub(super) struct Migrate {
    #[command(subcommand)]
    command: Option<MigrateCommand>,
}

#[derive(Subcommand)]
enum MigrateCommand {
    /// Show which migrations have run
    Status,
}

impl Migrate {
    pub(super) fn run(self, context: &Context) -> Result<(), Failure> {
        let config = context.config()?;
        block_on(async {
            match self.command {
                Some(MigrateCommand::Status) => {
                    let app = App::open(config, Clock::System, Claim::Beside)?;
                    status(context, &app).await
                }
                None => {
                    // Not beside a running server: it has read the schema it expects.
                    let app = App::open(config, Clock::System, Claim::Serve)?;
                    let ran = migrate::run(&app.db, &app.clock).await?;
                    app.close().await?;
                    context.out.value(&json!({ "ran": ran }), |_| match ran.len() {
                        0 => "The schema is up to date.\n".into(),
                        n => format!("Ran {n} migrations: {}.\n", ran.join(", ")),
                    })
                }
            }
        })
    }
}

async fn status(context: &Context, app: &App) -> Result<(), Failure> {
    let status = migrate::status(&app.db).await?;
    let known = status.known.iter().map(|(name, applied)| json!({ "name": name, "applied": applied }));
    let value = json!({ "pending": status.pending(), "migrations": known.collect::<Vec<_>>() });
    let word = |applied: bool| if applied { "applied" } else { "pending" };
    let rows: Vec<_> =
        status.known.iter().map(|(name, applied)| vec![name.to_string(), word(*applied).into()]).collect();
    context.out.value(&value, |_| table(&["migration", "state"], &rows))
}
