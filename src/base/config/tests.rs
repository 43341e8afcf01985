//! The example against the structs, each layer, each alias, all faults at once, and no secret in sight.

use super::settings::ALIASES;
use super::value::masked;
use super::*;

const SECRET: &str = "correct-horse-battery-staple-and-more";

impl Config {
    /// The settings of an empty configuration.
    pub fn defaults() -> Self {
        Self::load(&Sources::default()).unwrap().config
    }
}

fn with_variables(variables: &[(&str, &str)]) -> Sources {
    let environment = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Sources { environment, ..Sources::default() }
}

/// Sources with a configuration file; the directory lives as long as the test needs the file.
fn with_file(toml: &str) -> (tempfile::TempDir, Sources) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("omnistack.toml");
    std::fs::write(&file, toml).unwrap();
    (dir, Sources { file: Some(file), required: true, ..Sources::default() })
}

fn load_variables(variables: &[(&str, &str)]) -> Config {
    Config::load(&with_variables(variables)).unwrap().config
}

/// The faults as `(place, key)`, where the place is a line, a variable or "flag".
fn places(faults: &Faults) -> Vec<(String, &str)> {
    let place = |source: &Source| match source {
        Source::File(_, line) => line.map_or("file".to_owned(), |line| line.to_string()),
        Source::Environment(variable) => variable.clone(),
        other => other.to_string(),
    };
    faults.0.iter().map(|fault| (place(&fault.source), fault.key.as_str())).collect()
}

fn fault_of(sources: &Sources) -> Fault {
    let mut faults = Config::load(sources).unwrap_err().0;
    assert_eq!(faults.len(), 1, "{faults:?}");
    faults.remove(0)
}

#[test]
fn the_example_is_the_defaults() {
    let config = Config::defaults();
    assert_eq!(config.app.name, "OmniStack");
    assert_eq!(config.app.environment, Environment::Local);
    assert_eq!(config.app.public_url, "");
    assert_eq!(config.server.listen.to_string(), "127.0.0.1:8080");
    assert_eq!(config.server.data_dir, PathBuf::from("data"));
    assert_eq!(config.server.request_timeout, Duration::from_secs(30));
    assert_eq!(config.server.body_limit, 1_048_576);
    assert!(config.server.secret_key.is_empty());
    assert_eq!(config.database.url, DatabaseUrl::Sqlite("omnistack.db".into()));
    assert_eq!((config.database.readers, config.database.pool_size), (0, 8));
    assert!(config.auth.registration);
    assert_eq!(config.auth.session_max, Duration::from_hours(90 * 24));
    assert_eq!(config.auth.argon2_memory, 19 * 1024 * 1024);
    assert_eq!(config.health.min_free_disk, 100 * 1024 * 1024);
    assert_eq!((config.log.level.as_str(), config.log.format), ("info", LogFormat::Auto));

    let (_dir, sources) = with_file(EXAMPLE);
    let loaded = Config::load(&sources).unwrap();
    assert_eq!(format!("{:?}", loaded.config), format!("{config:?}"));
    assert!(loaded.warnings.is_empty());
    assert!(loaded.settings.iter().all(|setting| matches!(setting.source, Source::File(_, Some(_)))));
}

#[test]
fn every_key_of_the_example_is_read() {
    let example = Config::load(&Sources::default()).unwrap().settings;
    let dates: Vec<_> = example.iter().map(|setting| format!("{} = 2000-01-01", setting.key)).collect();
    let (_dir, sources) = with_file(&dates.join("\n"));
    let faults = Config::load(&sources).unwrap_err();
    let read: Vec<_> = faults.0.iter().map(|fault| &fault.key).collect();
    assert_eq!(read, example.iter().map(|setting| &setting.key).collect::<Vec<_>>());
}

/// That each field has a key needs no test of its own: a missing one fails every load.
#[test]
fn the_fields_stand_in_the_order_of_the_example() {
    let debug = format!("{:?}", Config::defaults());
    let mut rest = debug.as_str();
    for setting in Config::load(&Sources::default()).unwrap().settings {
        let name = setting.key.split('.').next_back().unwrap().to_owned() + ": ";
        rest = &rest[rest.find(&name).unwrap_or_else(|| panic!("{} is out of order", setting.key))..];
    }
}

#[test]
fn every_key_has_a_comment_that_names_its_aliases() {
    let (mut section, mut comment) = (String::new(), String::new());
    for line in EXAMPLE.lines() {
        if let Some(words) = line.strip_prefix('#') {
            comment.push_str(words);
        } else if let Some(name) = line.strip_prefix('[') {
            section = name.trim_end_matches(']').to_owned();
            comment.clear();
        } else if let Some((name, _)) = line.split_once(" = ") {
            let key = format!("{section}.{name}");
            assert!(comment.len() > 10, "{key} has no comment");
            let alias = ALIASES.iter().find(|(_, of)| *of == key).map(|(alias, _)| *alias);
            let named = comment.split_once("Alias: ").map(|(_, rest)| rest.split(' ').next().unwrap());
            assert_eq!(named, alias, "{key}");
            comment.clear();
        }
    }
}

#[test]
fn later_layers_win_and_each_value_knows_its_source() {
    let (_dir, mut sources) = with_file("[app]\nname = 'file'\n\n[auth]\nregistration = false\nargon2_queue = 0x10\n");
    sources.environment = with_variables(&[
        ("OMNISTACK_APP__NAME", "variable"),
        ("PROJECT_NAME", "alias"),
        ("OMNISTACK_DATABASE__READERS", "3"),
        ("OMNISTACK_LOG__REQUESTS", "Off"),
        ("OMNISTACK_SERVER__LISTEN", "0.0.0.0:1"),
        ("OMNISTACK_AUTH__CONSOLE_MAX", ""),
        ("PATH", "/bin"),
    ])
    .environment;
    sources.flags = vec![("server.listen", "127.0.0.1:0".to_owned())];
    let Loaded { config, settings, .. } = Config::load(&sources).unwrap();
    assert_eq!(config.app.name, "variable");
    assert_eq!((config.auth.registration, config.auth.argon2_queue), (false, 16));
    assert_eq!((config.database.readers, config.log.requests), (3, false));
    assert_eq!(config.server.listen.port(), 0);
    let of = |key: &str| settings.iter().find(|setting| setting.key == key).unwrap();
    assert_eq!(of("app.name").source, Source::Environment("OMNISTACK_APP__NAME".to_owned()));
    assert_eq!(of("app.name").variable, "OMNISTACK_APP__NAME");
    assert!(of("auth.argon2_queue").source.to_string().ends_with("omnistack.toml:6"));
    assert_eq!(of("server.listen").source, Source::Flag);
    assert_eq!((&of("auth.console_max").source, of("auth.console_max").value.as_str()), (&Source::Default, "7d"));
}

#[test]
fn each_alias_sets_its_key() {
    let values = [
        ("PROJECT_NAME", "Acme"),
        ("ENVIRONMENT", "staging"),
        ("PORT", "9000"),
        ("SECRET_KEY", SECRET),
        ("DATABASE_URL", "sqlite+aiosqlite:///./dev.db"),
        ("DB_POOL_SIZE", "10"),
        ("LOG_LEVEL", "WARNING"),
    ];
    assert_eq!(values.map(|(alias, _)| alias), ALIASES.iter().map(|(alias, _)| *alias).collect::<Vec<_>>()[..]);
    let config = load_variables(&values);
    assert_eq!((config.app.name.as_str(), config.app.environment), ("Acme", Environment::Staging));
    assert_eq!(config.server.listen.to_string(), "127.0.0.1:9000");
    assert_eq!(config.server.secret_key.expose(), SECRET);
    assert_eq!(config.database.url, DatabaseUrl::Sqlite("dev.db".into()));
    assert_eq!((config.database.pool_size, config.log.level.as_str()), (10, "warn"));
}

#[test]
fn port_keeps_the_address_of_the_file() {
    let (_dir, mut sources) = with_file("server.listen = '[::]:80'");
    sources.environment = vec![("PORT".to_owned(), "9000".to_owned())];
    assert_eq!(Config::load(&sources).unwrap().config.server.listen.to_string(), "[::]:9000");
}

#[test]
fn every_variable_and_alias_can_name_a_file() {
    let (dir, _) = with_file("");
    let path = dir.path().join("value");
    let path = path.to_str().unwrap();
    for setting in Config::load(&Sources::default()).unwrap().settings {
        let aliases = ALIASES.iter().filter(|(_, key)| *key == setting.key).map(|(alias, _)| (*alias).to_owned());
        for name in aliases.chain([setting.variable]) {
            let value = match (name.as_str(), setting.key.as_str()) {
                ("PORT", _) => "8080",
                (_, "server.secret_key") => SECRET,
                (_, "app.public_url") => "https://a.b",
                _ => &setting.value,
            };
            std::fs::write(path, format!("{value}\r\n")).unwrap();
            let loaded = Config::load(&with_variables(&[(&format!("{name}_FILE"), path)])).unwrap();
            let read = loaded.settings.into_iter().find(|read| read.key == setting.key).unwrap();
            assert_eq!(read.source, Source::Environment(format!("{name}_FILE")));
            let shown = if setting.key == "server.secret_key" { "***" } else { value };
            assert_eq!(read.value, if name == "PORT" { "127.0.0.1:8080" } else { shown });
        }
    }
}

#[test]
fn a_file_variant_that_cannot_be_used_is_a_fault_that_does_not_quote_it() {
    let fault = fault_of(&with_variables(&[("SECRET_KEY_FILE", SECRET)]));
    assert_eq!((fault.key.as_str(), fault.reason.contains(SECRET)), ("server.secret_key", false));
    let both = fault_of(&with_variables(&[("SECRET_KEY_FILE", "/x"), ("SECRET_KEY", SECRET)]));
    assert_eq!(both.reason, "SECRET_KEY is set as well");
    let (dir, _) = with_file("");
    let empty = fault_of(&with_variables(&[("SECRET_KEY_FILE", dir.path().join("omnistack.toml").to_str().unwrap())]));
    assert_eq!(empty.reason, "the file is empty");
}

#[test]
fn faults_of_all_kinds_come_out_together() {
    let (dir, mut sources) = with_file(
        r#"listen = "0.0.0.0:80"

[app]
name = 5
environment = "prod"
public_url = unquoted
[server]
listn = "127.0.0.1:1"
listen = "localhost"
body_limit = "1 GB"
request_timeout = 30
[sever]
a = 1
b = 2
[auth]
registration = "yes"
session_idle = "91d"
argon2_parallelism = 64
argon2_memory = "64 KiB"
argon2_iterations = -1
console_idle = "8d"
console_max = "a week"
"#,
    );
    sources.environment = with_variables(&[
        ("OMNISTACK_AUTH__PASSWORD_MIN_LENGTH", "seven"),
        ("OMNISTACK_LOG_FORMAT", "json"),
        ("SECRET_KEY", "short-secret"),
        ("OMNISTACK_FROBNICATE", "1"),
    ])
    .environment;
    sources.flags = vec![("log.level", "loud".to_owned())];
    let faults = Config::load(&sources).unwrap_err();
    let expected = [
        ("1", "listen"),
        ("4", "app.name"),
        ("5", "app.environment"),
        ("6", ""),
        ("8", "server.listn"),
        ("9", "server.listen"),
        ("10", "server.body_limit"),
        ("11", "server.request_timeout"),
        ("12", "sever"),
        ("16", "auth.registration"),
        ("17", "auth.session_idle"),
        ("19", "auth.argon2_memory"),
        ("20", "auth.argon2_iterations"),
        ("22", "auth.console_max"),
        ("OMNISTACK_AUTH__PASSWORD_MIN_LENGTH", "auth.password_min_length"),
        ("OMNISTACK_FROBNICATE", "frobnicate"),
        ("OMNISTACK_LOG_FORMAT", "log_format"),
        ("SECRET_KEY", "server.secret_key"),
        ("flag", "log.level"),
    ];
    assert_eq!(places(&faults), expected.map(|(place, key)| (place.to_owned(), key)));
    let text = faults.to_string().replace(dir.path().to_str().unwrap(), "");
    for sentence in [
        "/omnistack.toml:1: listen: there is no such setting.\n  Did you mean listen in [server]?\n\n",
        "/omnistack.toml:5: app.environment: takes one of local, staging, production, not \"prod\".",
        "/omnistack.toml:8: server.listn: there is no such setting.\n  Did you mean listen in [server]?",
        "/omnistack.toml:11: server.request_timeout: takes a duration from 1ms to 3650d, not 30.\n  Write a number and",
        "/omnistack.toml:12: sever: there is no such setting.\n  Did you mean [server]?",
        "/omnistack.toml:17: auth.session_idle: \"91d\" does not go with auth.session_max = \"90d\".\n  Make",
        "OMNISTACK_LOG_FORMAT: log_format: there is no such setting.\n  Did you mean OMNISTACK_LOG__FORMAT?",
        "environment OMNISTACK_FROBNICATE: frobnicate: there is no such setting.\n  Remove it;",
        "flag: log.level: takes a log level, not \"loud\".",
    ] {
        assert!(text.contains(sentence), "{sentence}\n--- is not in ---\n{text}");
    }
}

#[test]
fn only_a_file_that_was_named_must_exist() {
    let file = Some(PathBuf::from("/nowhere/config.toml"));
    assert!(Config::load(&Sources { file: file.clone(), ..Sources::default() }).is_ok());
    let fault = fault_of(&Sources { file, required: true, ..Sources::default() });
    assert!(fault.to_string().starts_with("/nowhere/config.toml: cannot be read: No such file"), "{fault}");
}

#[test]
fn without_a_named_file_the_one_in_the_data_directory_counts() {
    let flags = vec![("server.data_dir", "/srv/omnistack".to_owned())];
    let sources = Sources::from_process(None, flags);
    assert_eq!((sources.file, sources.required), (Some("/srv/omnistack/config.toml".into()), false));
    let sources = Sources::from_process(Some("my.toml".into()), Vec::new());
    assert_eq!((sources.file, sources.required), (Some("my.toml".into()), true));
}

#[test]
fn variables_of_kubernetes_and_of_the_tests_are_left_alone() {
    load_variables(&[
        ("OMNISTACK_SERVICE_HOST", "10.0.0.1"),
        ("OMNISTACK_WEB_SERVICE_PORT_HTTP", "80"),
        ("OMNISTACK_PORT", "tcp://10.0.0.1:8080"),
        ("OMNISTACK_PORT_8080_TCP_ADDR", "10.0.0.1"),
        ("OMNISTACK_TEST_POSTGRES", "postgres://localhost/test"),
    ]);
    assert_eq!(fault_of(&with_variables(&[("OMNISTACK_SERVER_PORT", "80")])).key, "server_port");
}

#[test]
fn production_asks_for_https_and_warns_of_links_that_lead_nowhere() {
    let (_dir, sources) = with_file("[app]\nenvironment = 'production'\npublic_url = 'http://app.example.com'");
    assert_eq!(fault_of(&sources).key, "app.public_url");
    let warnings = Config::load(&with_variables(&[("ENVIRONMENT", "Production")])).unwrap().warnings;
    assert_eq!(warnings, ["app.public_url is empty, so links in mail point to http://127.0.0.1:8080."]);
    let url = ("OMNISTACK_APP__PUBLIC_URL", "https://app.example.com/");
    let loaded = Config::load(&with_variables(&[("ENVIRONMENT", "production"), url])).unwrap();
    assert_eq!((loaded.config.app.public_url.as_str(), loaded.warnings.len()), ("https://app.example.com", 0));
}

#[test]
fn weak_hashing_is_a_warning() {
    for (memory, passes, warnings) in [("19 MiB", "1", 1), ("6 MiB", "10", 1), ("7 MiB", "5", 0), ("46 MiB", "1", 0)] {
        let variables = [("OMNISTACK_AUTH__ARGON2_MEMORY", memory), ("OMNISTACK_AUTH__ARGON2_ITERATIONS", passes)];
        let loaded = Config::load(&with_variables(&variables)).unwrap();
        assert_eq!(loaded.warnings.len(), warnings, "{memory} {passes}");
    }
}

#[test]
fn no_secret_is_shown() {
    let url = format!("postgresql+asyncpg://ada:{SECRET}@db:5432/app?sslmode=require");
    let variables = [("SECRET_KEY", SECRET), ("DATABASE_URL", url.as_str())];
    let loaded = Config::load(&with_variables(&variables)).unwrap();
    let DatabaseUrl::Postgres(server) = &loaded.config.database.url else { panic!("not Postgres") };
    assert_eq!(server.expose(), format!("postgres://ada:{SECRET}@db:5432/app?sslmode=require"));
    let json = serde_json::to_string(&loaded.settings).unwrap();
    assert!(!format!("{loaded:?}{json}").contains(SECRET));
    assert!(json.contains(r#"{"key":"server.secret_key","value":"***","source":"environment SECRET_KEY","#), "{json}");
    assert!(json.contains(r#""value":"postgresql+asyncpg://***@db:5432/app?sslmode=require""#), "{json}");
    assert_eq!(masked(&format!("postgres://db/app?user=ada&password={SECRET}")), "postgres://db/app?***");

    let (_dir, mut sources) = with_file(&format!("[server]\nlisten = 'smtp://ada:{SECRET}@x'\nsecret_key = {SECRET}"));
    sources.environment = with_variables(&[("DATABASE_URL", &format!("postgre://ada:{SECRET}@db/app"))]).environment;
    let faults = Config::load(&sources).unwrap_err();
    assert_eq!(faults.0.len(), 3);
    assert!(!format!("{faults}{faults:?}").contains(SECRET), "{faults}");
}
