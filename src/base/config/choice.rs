//! Closed choices, and the URLs that stand for one: an impossible pair of settings cannot be written.

use std::path::PathBuf;

use super::value::{Parsed, Scalar, Wrong};
use crate::base::secret::Secret;

/// Where the installation runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Environment {
    /// On the machine of a developer.
    Local,
    /// For trying out what will be in production.
    Staging,
    /// For users: stricter rules apply.
    Production,
}

/// The shape of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// Pretty on a terminal, JSON elsewhere.
    Auto,
    /// For people.
    Pretty,
    /// One JSON object a line.
    Json,
}

/// Which engine holds the rows, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DatabaseUrl {
    /// A file, relative to the data directory unless absolute.
    Sqlite(PathBuf),
    /// A server: `postgres://...`, hidden because it holds a password.
    Postgres(Secret),
}

pub(super) const ENVIRONMENTS: &[(&str, Environment)] =
    &[("local", Environment::Local), ("staging", Environment::Staging), ("production", Environment::Production)];

pub(super) const LOG_FORMATS: &[(&str, LogFormat)] =
    &[("auto", LogFormat::Auto), ("pretty", LogFormat::Pretty), ("json", LogFormat::Json)];

/// One of the `names`, in any case.
pub(super) fn one_of<T: Copy>(names: &'static [(&'static str, T)]) -> impl Fn(&Scalar) -> Parsed<T> {
    move |value| {
        let found = match value {
            Scalar::Text(text) => names.iter().find(|(name, _)| name.eq_ignore_ascii_case(text.trim())),
            _ => None,
        };
        found.map(|(_, choice)| *choice).ok_or_else(|| {
            let names: Vec<_> = names.iter().map(|(name, _)| *name).collect();
            Wrong::found(value, &format!("one of {}", names.join(", ")), "Write one of these words, in double quotes.")
        })
    }
}

/// `sqlite:FILE` or `postgres://...`, also as SQLAlchemy writes them: with a driver behind a `+`, and `sqlite:///FILE`
/// for a relative path. The value is never quoted: a mistyped scheme must not print the password behind it.
pub(super) fn database_url(value: &Scalar) -> Parsed<DatabaseUrl> {
    let wrong = || {
        let remedy = "Write \"sqlite:omnistack.db\" or \"postgres://USER:PASSWORD@HOST:5432/NAME\".";
        Wrong::new("takes the URL of a SQLite file or of a Postgres server", remedy)
    };
    let Scalar::Text(text) = value else { return Err(wrong()) };
    let (scheme, rest) = text.trim().split_once(':').ok_or_else(wrong)?;
    let url = match scheme.split('+').next() {
        Some("sqlite") => {
            let file = rest.strip_prefix("///").or_else(|| rest.strip_prefix("//")).unwrap_or(rest);
            let file = file.strip_prefix("./").unwrap_or(file);
            let on_disk = !file.is_empty() && !file.starts_with(':') && !file.contains('?');
            on_disk.then(|| DatabaseUrl::Sqlite(PathBuf::from(file)))
        }
        Some("postgres" | "postgresql") => rest
            .strip_prefix("//")
            .filter(|server| !server.is_empty())
            .map(|server| DatabaseUrl::Postgres(Secret::new(format!("postgres://{server}")))),
        _ => None,
    };
    url.ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn database_urls() {
        let read = |text: &str| database_url(&Scalar::Text(text.to_owned())).ok();
        for (text, file) in [
            ("sqlite:omnistack.db", "omnistack.db"),
            ("sqlite:/srv/a.db", "/srv/a.db"),
            ("sqlite://a.db", "a.db"),
            ("sqlite:///./dev.db", "dev.db"),
            ("sqlite+aiosqlite:///./dev.db", "dev.db"),
            ("sqlite+aiosqlite:////srv/dev.db", "/srv/dev.db"),
        ] {
            assert_eq!(read(text), Some(DatabaseUrl::Sqlite(file.into())), "{text}");
        }
        for text in ["postgres://u:p@h/d", "postgresql://u:p@h/d", "postgresql+asyncpg://u:p@h/d"] {
            assert_eq!(read(text), Some(DatabaseUrl::Postgres(Secret::new("postgres://u:p@h/d".to_owned()))), "{text}");
        }
        for text in
            ["", "omnistack.db", "sqlite:", "sqlite::memory:", "sqlite:a.db?mode=ro", "postgres:x", "mysql://h/d"]
        {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
