//! Where a value comes from, and what is said when it cannot be used.

use std::fmt;
use std::path::PathBuf;

use serde::{Serialize, Serializer};

/// Where the value of a setting was found. Later layers are greater.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// `config.example.toml`, compiled in.
    Default,
    /// A line of the configuration file; no line, where the file as a whole is meant.
    File(PathBuf, Option<usize>),
    /// The variable of this name.
    Environment(String),
    /// A flag of the command line.
    Flag,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path, Some(line)) => write!(f, "{}:{line}", path.display()),
            Self::File(path, None) => write!(f, "{}", path.display()),
            Self::Environment(variable) => write!(f, "environment {variable}"),
            Self::Flag => f.write_str("flag"),
        }
    }
}

impl Serialize for Source {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// One thing that is wrong.
#[derive(Clone, Debug, Serialize)]
pub struct Fault {
    /// Where it stands.
    pub source: Source,
    /// The setting, as `section.key`; empty where a file cannot be read.
    pub key: String,
    /// What is wrong: a clause that follows the key.
    pub reason: String,
    /// What to do about it: a sentence.
    pub remedy: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let colon = if self.key.is_empty() { "" } else { ": " };
        write!(f, "{}{colon}{}: {}.\n  {}", self.source, self.key, self.reason, self.remedy)
    }
}

/// All that is wrong with a configuration, in the order of the layers and of their lines.
#[derive(Debug)]
pub struct Faults(pub Vec<Fault>);

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, fault) in self.0.iter().enumerate() {
            let gap = if index == 0 { "" } else { "\n\n" };
            write!(f, "{gap}{fault}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Faults {}
