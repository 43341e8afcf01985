//! What is wrong with an input: every fault, gathered before anything is refused.

use poem_openapi::Object;
use serde::Serialize;

use super::error::{Error, Result};

/// What is wrong with one field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Object)]
pub struct Fault {
    /// The field: a JSON pointer without its first slash for bodies, the name for parameters.
    pub field: String,
    /// `required`, `unknown`, `type`, `length`, `range`, `format`, `choice` or a word of the capability.
    pub code: String,
    /// What is wrong and what would be right.
    pub message: String,
}

/// All faults of an input, gathered before anything is refused.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Faults(Vec<Fault>);

impl Faults {
    /// Notes a fault. The first fifty are told: a body of nothing but faults must not become a larger answer.
    pub fn add(&mut self, field: &str, code: &str, message: impl Into<String>) {
        if self.0.len() >= 50 {
            return;
        }
        // As sent, the name may be as long as a body.
        let field = field.chars().take(100).collect();
        self.0.push(Fault { field, code: code.into(), message: message.into() });
    }

    /// One fault, as an error.
    pub fn only(field: &str, code: &str, message: impl Into<String>) -> Error {
        let mut faults = Faults::default();
        faults.add(field, code, message);
        Error::invalid(faults)
    }

    /// Refuses if anything was noted.
    ///
    /// # Errors
    /// 422 with every fault.
    pub fn check(self) -> Result<()> {
        if self.0.is_empty() { Ok(()) } else { Err(Error::invalid(self)) }
    }

    /// Whether there is any.
    pub fn any(&self) -> bool {
        !self.0.is_empty()
    }

    /// The message on one field, for a form.
    pub fn of(&self, field: &str) -> Option<&str> {
        self.0.iter().find(|fault| fault.field == field).map(|fault| fault.message.as_str())
    }

    /// All of them, in the order they were noted.
    pub fn list(&self) -> &[Fault] {
        &self.0
    }
}
