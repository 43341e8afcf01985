//! How a command fails: a sentence, what to run next, and one of the fixed exit codes.

use crate::app::Taken;
use crate::base::config::Faults;
use crate::base::db::DbError;
use crate::base::db::migrate::Incompatible;
use crate::base::error::{Code, Error};

/// A failed command.
#[derive(Debug)]
pub(super) struct Failure {
    /// The exit code.
    pub code: u8,
    /// A stable name of the kind of failure.
    pub name: &'static str,
    /// What went wrong.
    pub message: String,
    /// What to do about it; empty if there is nothing to add.
    pub remedy: String,
}

impl Failure {
    fn new(code: u8, name: &'static str, message: impl Into<String>) -> Self {
        Self { code, name, message: message.into(), remedy: String::new() }
    }

    pub(super) fn with(self, remedy: impl Into<String>) -> Self {
        Self { remedy: remedy.into(), ..self }
    }

    pub(super) fn other(message: impl Into<String>) -> Self {
        Self::new(1, "failure", message)
    }

    pub(super) fn usage(message: impl Into<String>) -> Self {
        Self::new(2, "usage", message)
    }

    pub(super) fn not_found(message: impl Into<String>) -> Self {
        Self::new(4, "not_found", message)
    }

    pub(super) fn database(message: impl Into<String>) -> Self {
        Self::new(7, "database", message)
    }

    pub(super) fn check(message: impl Into<String>) -> Self {
        Self::new(8, "check_failed", message)
    }

    pub(super) fn interrupted() -> Self {
        Self::new(130, "interrupted", "interrupted")
    }
}

impl From<Faults> for Failure {
    fn from(faults: Faults) -> Self {
        Self::new(3, "bad_configuration", faults.to_string())
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::other(format!("{error:#}"))
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            Error::Client(refusal) => {
                let faults: Vec<String> =
                    refusal.faults.list().iter().map(|f| format!("{}: {}", f.field, f.message)).collect();
                let message = if faults.is_empty() { refusal.message.clone() } else { faults.join("\n") };
                match refusal.code {
                    Code::NotFound => Self::not_found(message),
                    Code::Conflict => Self::new(5, "conflict", message),
                    Code::Authorization => Self::new(6, "not_allowed", message),
                    Code::Validation => Self::usage(message),
                    _ => Self::other(message),
                }
            }
            Error::Database(DbError::Busy(text) | DbError::Retry(text)) => {
                Self::database(format!("the database cannot be used: {text}"))
            }
            Error::Database(error) => Self::database(error.to_string()),
            Error::Internal(error) if error.is::<Taken>() => Self::new(5, "in_use", error.to_string())
                .with("Stop the other one, or use another directory with --data-dir."),
            Error::Internal(error) if error.is::<Incompatible>() => Self::database(error.to_string()),
            Error::Internal(error) if error.is::<r2d2::Error>() || error.is::<postgres::Error>() => {
                Self::database(format!("{error:#}")).with("Check database.url, and that the database is running.")
            }
            Error::Internal(error) => error.into(),
        }
    }
}
