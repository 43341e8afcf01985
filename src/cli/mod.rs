//! The command line: every arm opens what it needs, calls an operation, and prints.
//!
//! Results go to stdout, everything else to stderr. No secret is ever an argument: passwords come from a prompt, a file or
//! stdin, or are generated. Exit codes are fixed (see [`Failure`]) and the same in `--json`.

mod config;
mod failure;
mod health;
mod migrate;
mod output;
mod serve;
mod user;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::base::config::{Config, Sources};
use crate::base::telemetry;
use failure::Failure;
use output::{Color, Output};

const AFTER_HELP: &str = "\
Examples:
  omnistack serve                                   start on http://127.0.0.1:8080
  omnistack user create ada@example.com --role admin
  omnistack config check --config /etc/omnistack/config.toml

Exit codes: 0 ok, 1 failure, 2 usage, 3 bad configuration, 4 not found, 5 conflict, 6 not allowed,
            7 database unreachable or to be migrated, 8 a check failed, 130 interrupted";

#[derive(Parser)]
#[command(name = "omnistack", version, about = "The backend of a SaaS product in one binary.", after_help = AFTER_HELP)]
struct Arguments {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    command: Command,
}

/// What every command takes, wherever it stands.
#[derive(Args)]
struct Common {
    /// Read this configuration file instead of <data-dir>/config.toml
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Keep everything in this directory
    #[arg(long, global = true, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Print one JSON value on stdout
    #[arg(long, global = true)]
    json: bool,
    /// Colour the output
    #[arg(long, global = true, value_enum, default_value_t = Color::Auto)]
    color: Color,
    /// Print results alone
    #[arg(long, short, global = true)]
    quiet: bool,
    /// Log more
    #[arg(long, short, global = true)]
    verbose: bool,
    /// Never ask: fail and name the missing flag
    #[arg(long, global = true)]
    no_input: bool,
    /// Answer every question with yes
    #[arg(long, short, global = true)]
    yes: bool,
}

#[derive(Subcommand)]
enum Command {
    /// Start the server
    Serve(serve::Serve),
    /// Bring the database to the schema of this binary
    Migrate(migrate::Migrate),
    /// Create, list and change accounts
    User(user::User),
    /// Check, show or print the configuration
    Config(config::ConfigCommand),
    /// Print the OpenAPI document
    Openapi,
    /// Ask a running server whether it is ready
    Health(health::Health),
    /// Print the version
    Version,
    /// Print a completion script for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

/// What a command runs with.
struct Context {
    common: Common,
    out: Output,
    listen: Option<String>,
}

impl Context {
    /// Reads the configuration, with the flags of the command line on top.
    fn load(&self) -> Result<crate::base::config::Loaded, Failure> {
        let mut flags = Vec::new();
        if let Some(dir) = &self.common.data_dir {
            flags.push(("server.data_dir", dir.display().to_string()));
        }
        if let Some(listen) = &self.listen {
            flags.push(("server.listen", listen.clone()));
        }
        let loaded = Config::load(&Sources::from_process(self.common.config.clone(), flags))?;
        for warning in &loaded.warnings {
            self.out.note(&format!("warning: {warning}"));
        }
        Ok(loaded)
    }

    /// The configuration, with logging started as it says.
    fn config(&self) -> Result<Config, Failure> {
        let mut config = self.load()?.config;
        if self.common.verbose {
            config.log.level = "debug".into();
        } else if self.common.quiet {
            config.log.level = "error".into();
        }
        telemetry::start(&config.log)?;
        Ok(config)
    }
}

/// Runs the command that the arguments name.
pub fn main() -> ExitCode {
    let arguments = match parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // clap prints help and version on stdout, faults on stderr.
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { 2 } else { 0 });
        }
    };
    let out = Output::new(&arguments.common);
    let listen = match &arguments.command {
        Command::Serve(serve) => serve.listen.clone(),
        _ => None,
    };
    let context = Context { common: arguments.common, out, listen };
    match run(&context, arguments.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            context.out.failure(&failure);
            ExitCode::from(failure.code)
        }
    }
}

fn parse() -> Result<Arguments, clap::Error> {
    Arguments::from_arg_matches(&Arguments::command().try_get_matches()?)
}

fn run(context: &Context, command: Command) -> Result<(), Failure> {
    match command {
        Command::Serve(serve) => serve.run(context),
        Command::Migrate(migrate) => migrate.run(context),
        Command::User(user) => user.run(context),
        Command::Config(config) => config.run(context),
        Command::Openapi => context.out.raw(&openapi()),
        Command::Health(health) => health.run(context),
        Command::Version => context
            .out
            .value(&serde_json::json!({ "version": env!("CARGO_PKG_VERSION"), "sqlite": rusqlite::version() }), |_| {
                format!("omnistack {}\n", env!("CARGO_PKG_VERSION"))
            }),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Arguments::command(), "omnistack", &mut script);
            context.out.raw(&String::from_utf8_lossy(&script))
        }
    }
}

/// The document, as it is served and as `assets/openapi.json` holds it.
pub(crate) fn openapi() -> String {
    serde_json::to_string_pretty(&crate::server::document()).unwrap_or_default() + "\n"
}

/// Runs one asynchronous command to its end.
fn block_on<T>(future: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .max_blocking_threads(4)
        .enable_all()
        .build()
        .map_err(|error| Failure::other(format!("starting the runtime: {error}")))?;
    let result = runtime.block_on(future);
    runtime.shutdown_background();
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_commands_are_well_formed_and_take_no_secret() {
        let command = Arguments::command();
        command.clone().debug_assert();
        fn walk(command: &clap::Command) {
            for argument in command.get_arguments() {
                let id = argument.get_id().as_str();
                assert!(
                    !id.contains("password") || id == "password_file",
                    "{id} would put a secret on the command line"
                );
            }
            command.get_subcommands().for_each(walk);
        }
        walk(&command);
    }
}
