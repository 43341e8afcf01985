//! `omnistack config`.

use clap::{Args, Subcommand};

use super::output::table;
use super::{Context, Failure};
use crate::base::config::EXAMPLE;

/// Check, show or print the configuration
#[derive(Args)]
pub(super) struct ConfigCommand {
    #[command(subcommand)]
    command: Subcommands,
}

#[derive(Subcommand)]
enum Subcommands {
    /// Read everything and report every fault at once
    Check,
    /// Show each setting, its value and where it comes from; secrets as ***
    Show,
    /// Print the commented example, which is also the defaults
    Example,
}

impl ConfigCommand {
    pub(super) fn run(self, context: &Context) -> Result<(), Failure> {
        match self.command {
            Subcommands::Example => context.out.raw(EXAMPLE),
            Subcommands::Check => {
                let loaded = context.load()?;
                let value = serde_json::json!({ "ok": true, "warnings": loaded.warnings });
                context.out.value(&value, |_| "The configuration is good.\n".into())
            }
            Subcommands::Show => {
                let settings = context.load()?.settings;
                let rows: Vec<_> = settings
                    .iter()
                    .map(|s| vec![s.key.clone(), s.value.clone(), s.source.to_string(), s.variable.clone()])
                    .collect();
                context.out.value(&settings, |_| table(&["setting", "value", "from", "variable"], &rows))
            }
        }
    }
}
