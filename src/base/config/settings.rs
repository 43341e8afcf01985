//! The layers: which value each key has, where it was found, and all that was wrong on the way.
//!
//! The example file is the first layer and says which keys there are. A later layer replaces values; what it says about
//! a key that does not exist is a fault. A value is parsed when its section asks for it, and a refused one is replaced
//! by the default, so that the reading goes on and finds the other faults.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::Serialize;
use toml::de::{DeTable, DeValue};

use super::fault::{Fault, Faults, Source};
use super::value::{self, Scalar, Wrong, masked};
use super::{Config, EXAMPLE, Loaded};
use crate::base::secret::Secret;

const PREFIX: &str = "OMNISTACK_";

/// Variables of this name belong to the tests, whose servers inherit them.
const TEST_PREFIX: &str = "OMNISTACK_TEST_";

/// Names by which hosts and the predecessor call a setting. Its own variable wins over them.
pub(super) const ALIASES: &[(&str, &str)] = &[
    ("PROJECT_NAME", "app.name"),
    ("ENVIRONMENT", "app.environment"),
    (PORT, "server.listen"),
    ("SECRET_KEY", "server.secret_key"),
    ("DATABASE_URL", "database.url"),
    ("DB_POOL_SIZE", "database.pool_size"),
    ("LOG_LEVEL", "log.level"),
];

/// The one alias that says a part of its setting.
const PORT: &str = "PORT";

/// What a configuration is read from, besides the compiled-in defaults. It may hold secrets, so it has no `Debug`.
#[derive(Clone, Default)]
pub struct Sources {
    /// The configuration file.
    pub file: Option<PathBuf>,
    /// Whether the file was asked for by name, so that it must exist.
    pub required: bool,
    /// Names and values of variables.
    pub environment: Vec<(String, String)>,
    /// Values from the command line, by key.
    pub flags: Vec<(&'static str, String)>,
}

impl Sources {
    /// The environment of this process, and the file that was named, or else `config.toml` of the data directory.
    /// Nothing else in the program reads the environment.
    #[expect(clippy::disallowed_methods, reason = "this is the one door to the environment")]
    pub fn from_process(file: Option<PathBuf>, flags: Vec<(&'static str, String)>) -> Self {
        let lossy = |text: std::ffi::OsString| text.to_string_lossy().into_owned();
        let environment = std::env::vars_os().map(|(name, value)| (lossy(name), lossy(value))).collect();
        let required = file.is_some();
        let mut sources = Self { file, required, environment, flags };
        if !required {
            let data_dir = Settings::layered(&sources).get("server.data_dir", value::path);
            sources.file = data_dir.map(|dir| dir.join("config.toml"));
        }
        sources
    }
}

/// Whether the reader wants no colour (https://no-color.org).
#[expect(clippy::disallowed_methods, reason = "this is the one door to the environment")]
pub fn no_color() -> bool {
    std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
}

/// A setting as `config show` prints it.
#[derive(Clone, Debug, Serialize)]
pub struct Setting {
    /// `section.key`.
    pub key: String,
    /// The value as its source wrote it; `***` for a secret.
    pub value: String,
    /// Where it was found.
    pub source: Source,
    /// The variable that sets it.
    pub variable: String,
}

/// All keys with their values, while a configuration is being read.
pub(super) struct Settings {
    entries: Vec<Entry>,
    faults: Vec<Fault>,
    warnings: Vec<String>,
}

struct Entry {
    key: String,
    default: Scalar,
    value: Scalar,
    source: Source,
    secret: bool,
}

impl Entry {
    /// The value without secrets.
    fn shown(&self) -> String {
        let text = self.value.text();
        if self.secret && !text.is_empty() { "***".to_owned() } else { masked(&text) }
    }
}

impl Settings {
    pub(super) fn layered(sources: &Sources) -> Self {
        let mut settings = Self::from_example();
        if let Some(path) = &sources.file {
            settings.add_file(path, sources.required);
        }
        settings.add_environment(&sources.environment);
        for (key, text) in &sources.flags {
            settings.give_text(key, text, Source::Flag);
        }
        settings
    }

    /// The value of `key`, or its default if the parser refuses the value. `None` only if the example is broken.
    pub(super) fn get<T>(&mut self, key: &str, parse: impl Fn(&Scalar) -> Result<T, Wrong>) -> Option<T> {
        let Some(entry) = self.entries.iter().find(|entry| entry.key == key) else {
            self.fault(Source::Default, key, Wrong::new("is missing", "Add it to config.example.toml."));
            return None;
        };
        match parse(&entry.value) {
            Ok(value) => Some(value),
            Err(wrong) => {
                let default = parse(&entry.default).ok();
                self.fault(entry.source.clone(), key, wrong);
                default
            }
        }
    }

    /// Like [`Self::get`] for a secret, empty or of at least `shortest` characters, which is never shown.
    pub(super) fn get_secret(&mut self, key: &str, shortest: usize) -> Option<Secret> {
        for entry in self.entries.iter_mut().filter(|entry| entry.key == key) {
            entry.secret = true;
        }
        self.get(key, value::secret(shortest))
    }

    /// A rule that holds between the settings `keys`. If it does not, the one from the latest layer is at fault. A rule
    /// over a setting that is already at fault says nothing.
    pub(super) fn require(&mut self, keys: &[&str], holds: bool, remedy: &str) {
        let known = self.faults.iter().any(|fault| keys.contains(&fault.key.as_str()));
        let mut entries: Vec<_> = self.entries.iter().filter(|entry| keys.contains(&entry.key.as_str())).collect();
        entries.sort_by_key(|entry| &entry.source);
        let Some(blamed) = entries.pop().filter(|_| !holds && !known) else { return };
        let others: Vec<_> = entries.iter().map(|entry| format!("{} = {:?}", entry.key, entry.shown())).collect();
        let reason = format!("{:?} does not go with {}", blamed.shown(), others.join(", "));
        let (source, key) = (blamed.source.clone(), blamed.key.clone());
        self.fault(source, &key, Wrong::new(reason, remedy));
    }

    /// Something the operator should know that stops nothing.
    pub(super) fn warn(&mut self, warning: impl Into<String>) {
        self.warnings.push(warning.into());
    }

    pub(super) fn finish(mut self, config: Option<Config>) -> Result<Loaded, Faults> {
        match config {
            Some(config) if self.faults.is_empty() => {
                let settings = self.entries.iter().map(|entry| Setting {
                    key: entry.key.clone(),
                    value: entry.shown(),
                    source: entry.source.clone(),
                    variable: variable(&entry.key),
                });
                Ok(Loaded { config, settings: settings.collect(), warnings: self.warnings })
            }
            _ => {
                self.faults.sort_by(|a, b| a.source.cmp(&b.source));
                Err(Faults(self.faults))
            }
        }
    }

    fn from_example() -> Self {
        let mut settings = Self { entries: Vec::new(), faults: Vec::new(), warnings: Vec::new() };
        let path = Path::new("config.example.toml");
        let root = settings.parse(path, EXAMPLE);
        for (section, _, table) in in_order(&root, EXAMPLE) {
            let DeValue::Table(table) = table else { continue };
            for (key, _, value) in in_order(table, EXAMPLE) {
                settings.entries.push(Entry {
                    key: format!("{section}.{key}"),
                    default: Scalar::from_toml(value),
                    value: Scalar::from_toml(value),
                    source: Source::Default,
                    secret: false,
                });
            }
        }
        settings
    }

    fn add_file(&mut self, path: &Path, required: bool) {
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound && !required => return,
            Err(error) => {
                let wrong = Wrong::new(format!("cannot be read: {error}"), "Name a readable file with --config.");
                return self.fault(Source::File(path.to_owned(), None), "", wrong);
            }
        };
        let root = self.parse(path, &text);
        let source = |line| Source::File(path.to_owned(), Some(line));
        for (section, line, value) in in_order(&root, &text) {
            match value {
                DeValue::Table(table) if self.sections().any(|known| known == section) => {
                    for (key, line, value) in in_order(table, &text) {
                        self.give(&format!("{section}.{key}"), |_| Scalar::from_toml(value), source(line));
                    }
                }
                _ => self.unknown(section, source(line)),
            }
        }
    }

    fn add_environment(&mut self, environment: &[(String, String)]) {
        let set: Variables<'_> = environment
            .iter()
            .filter(|(_, value)| !value.is_empty())
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        let keys: Vec<String> = self.entries.iter().map(|entry| entry.key.clone()).collect();
        for key in &keys {
            let aliases = ALIASES.iter().filter(|(_, of)| of == key).map(|(alias, _)| (*alias).to_owned());
            let found =
                std::iter::once(variable(key)).chain(aliases).find_map(|name| Some((look_up(&set, &name)?, name)));
            match found {
                Some(((from, Ok(text)), name)) if name == PORT => {
                    let listen = self.with_port(key, &text);
                    self.give_text(key, &listen, Source::Environment(from));
                }
                Some(((from, Ok(text)), _)) => self.give_text(key, &text, Source::Environment(from)),
                Some(((from, Err(wrong)), _)) => self.fault(Source::Environment(from), key, wrong),
                None => {}
            }
        }
        let own: Vec<String> = keys.iter().map(|key| variable(key)).collect();
        for (&name, value) in set.iter().filter(|(name, _)| !name.starts_with(TEST_PREFIX)) {
            let Some(rest) = name.strip_prefix(PREFIX) else { continue };
            let is_known = own.iter().any(|own| own == name || name.strip_suffix("_FILE") == Some(own));
            if !is_known && !is_injected(name, value) {
                let key = rest.to_lowercase().replace("__", ".");
                self.unknown(&key, Source::Environment(name.to_owned()));
            }
        }
    }

    /// The address that `key` has so far, with another port.
    fn with_port(&self, key: &str, port: &str) -> String {
        let address = self.entries.iter().find(|entry| entry.key == key).map(|entry| entry.value.text());
        let address = address.unwrap_or_default();
        format!("{}:{port}", address.rsplit_once(':').map_or(address.as_str(), |(host, _)| host))
    }

    fn parse<'a>(&mut self, path: &Path, text: &'a str) -> DeTable<'a> {
        let (root, errors) = DeTable::parse_recoverable(text);
        for error in errors {
            let line = error.span().map(|span| line_of(text, span.start));
            let wrong = Wrong::new(error.message(), "Correct the TOML; text stands in double quotes.");
            self.fault(Source::File(path.to_owned(), line), "", wrong);
        }
        root.into_inner()
    }

    fn give_text(&mut self, key: &str, text: &str, source: Source) {
        self.give(key, |default| Scalar::like(default, text), source);
    }

    fn give(&mut self, key: &str, value: impl Fn(&Scalar) -> Scalar, source: Source) {
        match self.entries.iter_mut().find(|entry| entry.key == key) {
            Some(entry) => (entry.value, entry.source) = (value(&entry.default), source),
            None => self.unknown(key, source),
        }
    }

    fn unknown(&mut self, key: &str, source: Source) {
        let remedy = match (self.nearest(key), &source) {
            (Some(near), Source::Environment(_)) => format!("Did you mean {}?", variable(&near)),
            (Some(near), Source::File(..)) => match near.split_once('.') {
                Some((section, key)) => format!("Did you mean {key} in [{section}]?"),
                None => format!("Did you mean [{near}]?"),
            },
            (Some(near), _) => format!("Did you mean {near}?"),
            (None, _) => "Remove it; `omnistack config example` lists every setting.".to_owned(),
        };
        self.fault(source, key, Wrong::new("there is no such setting", remedy));
    }

    /// The setting that `wanted` may mean: the same name in another section, or one spelt much like it.
    fn nearest(&self, wanted: &str) -> Option<String> {
        let name = |key: &str| key.rsplit('.').next().unwrap_or_default().to_owned();
        let likeness = |key: &str| {
            let moved = key.contains('.') && name(key) == name(wanted);
            if moved { 0.9 } else { strsim::normalized_damerau_levenshtein(key, wanted) }
        };
        let sections = self.sections().filter(|_| !wanted.contains('.'));
        let known = self.entries.iter().map(|entry| entry.key.as_str()).chain(sections);
        let scored = known.map(|key| (likeness(key), key)).filter(|(likeness, _)| *likeness > 0.75);
        scored.max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, key)| key.to_owned())
    }

    fn sections(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().filter_map(|entry| entry.key.split('.').next())
    }

    /// Notes a fault, unless its line is not even TOML: what the parser made of that line means nothing.
    fn fault(&mut self, source: Source, key: &str, wrong: Wrong) {
        let is_file = matches!(source, Source::File(..));
        if !(is_file && self.faults.iter().any(|fault| fault.key.is_empty() && fault.source == source)) {
            self.faults.push(Fault { source, key: key.to_owned(), reason: wrong.reason, remedy: wrong.remedy });
        }
    }
}

type Variables<'a> = BTreeMap<&'a str, &'a str>;

/// The variable `name`, or the file that `name` with `_FILE` names: which of them is set, and its text.
fn look_up(set: &Variables<'_>, name: &str) -> Option<(String, Result<String, Wrong>)> {
    let in_file = format!("{name}_FILE");
    let text = match (set.get(name), set.get(in_file.as_str())) {
        (None, None) => return None,
        (Some(text), None) => return Some((name.to_owned(), Ok((*text).to_owned()))),
        (Some(_), Some(_)) => Err(Wrong::new(format!("{name} is set as well"), "Unset one of the two.")),
        // The path is not quoted: who mistakes one variable for the other has put the secret there.
        (None, Some(path)) => match fs::read_to_string(path) {
            Ok(text) if !text.trim().is_empty() => Ok(text.trim_end_matches(['\r', '\n']).to_owned()),
            Ok(_) => Err(Wrong::new("the file is empty", format!("Write the value into it, or unset {in_file}."))),
            Err(error) => {
                let remedy = format!("{in_file} holds the path of a file; {name} would hold the value.");
                Err(Wrong::new(format!("the file cannot be read: {error}"), remedy))
            }
        },
    };
    Some((in_file, text))
}

/// Whether Kubernetes made the variable for a service whose name starts with "omnistack", as it does in every pod:
/// `OMNISTACK_SERVICE_HOST`, `OMNISTACK_PORT=tcp://10.0.0.1:8080`, `OMNISTACK_PORT_8080_TCP_ADDR`.
fn is_injected(name: &str, value: &str) -> bool {
    let is_made = ["_SERVICE_HOST", "_SERVICE_PORT", "_TCP", "_UDP"].iter().any(|part| name.contains(part));
    !name.contains("__") && (is_made || name.ends_with("_PORT") && value.contains("://"))
}

/// The variable of a key: `server.listen` is `OMNISTACK_SERVER__LISTEN`.
fn variable(key: &str) -> String {
    format!("{PREFIX}{}", key.to_uppercase().replace('.', "__"))
}

/// Name, line and value of each item of `table`, in the order of `text`.
fn in_order<'a>(table: &'a DeTable<'_>, text: &str) -> Vec<(&'a str, usize, &'a DeValue<'a>)> {
    let mut items: Vec<_> = table.iter().collect();
    items.sort_by_key(|(name, _)| name.span().start);
    items
        .iter()
        .map(|(name, value)| (name.get_ref().as_ref(), line_of(text, name.span().start), value.get_ref()))
        .collect()
}

fn line_of(text: &str, offset: usize) -> usize {
    text.bytes().take(offset).filter(|byte| *byte == b'\n').count() + 1
}
