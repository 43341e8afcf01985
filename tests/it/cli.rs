//! The command line: exit codes, messages that name a way out, JSON for programs, no secret where `ps` could show it.

use crate::process::{Home, Output, PATIENCE, Process, eventually};
use crate::server::{PASSWORD, Server};
use serde_json::{Value, json};
use std::fs;
use std::process::Command;
use std::time::Duration;

/// A home with a migrated database and one user.
fn home_with_user(email: &str) -> Home {
    let home = Home::new();
    home.run(&["migrate"]).expect(0);
    home.run_with(&["user", "create", email, "--password-file", "-"], PASSWORD).expect(0);
    home
}

#[test]
fn exit_codes() {
    let home = home_with_user("ada@example.com");
    let table: &[(i32, &[&str])] = &[
        (0, &["version"]),
        (0, &["--help"]),
        (0, &["config", "check"]),
        (0, &["user", "list"]),
        (2, &[]),
        (2, &["frobnicate"]),
        (2, &["serve", "--frobnicate"]),
        (2, &["user", "create"]),
        (2, &["user", "create", "eve@example.com", "--role", "emperor"]),
        (2, &["user", "create", "not-an-address"]),
        (2, &["completions", "cobol"]),
        (3, &["config", "check", "--config", "nowhere.toml"]),
        (4, &["user", "disable", "nobody@example.com", "--yes"]),
        (4, &["user", "reset-password", "nobody@example.com", "--yes"]),
        (4, &["user", "promote", "nobody@example.com", "--role", "admin", "--yes"]),
        (5, &["user", "create", "ada@example.com"]),
        (5, &["user", "create", "Ada@Example.COM"]),
    ];
    for (code, args) in table {
        let output = home.run(args).expect(*code);
        assert_eq!(output.stdout.is_empty(), *code != 0, "results on stdout, and nothing else: {output}");
        assert!(*code == 0 || !output.stderr.is_empty(), "a failure says why: {output}");
    }
}

#[test]
fn an_unreachable_database_is_told_from_other_failures() {
    let home = Home::new();
    let url = format!("postgres://u:hunter2secret@{}/x", free_address());
    let mut command = home.command(&["migrate"]);
    let output = Process::spawn(command.env("OMNISTACK_DATABASE__URL", url), b"").finish(PATIENCE).expect(7);
    output.says(&["database.url"]);
    assert!(!output.stderr.contains("hunter2secret"), "{output}");
}

/// An address on which nobody listens.
fn free_address() -> String {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

#[test]
fn a_bad_config_is_reported_whole_with_file_and_line() {
    let home = Home::new();
    let file = home.path().join("omnistack.toml");
    fs::write(&file, "[server]\nlisten = \"nowhere at all\"\nlisen = \"127.0.0.1:0\"\n\n[serverr]\nx = 1\n").unwrap();
    let path = file.to_str().unwrap();
    for command in [&["config", "check"][..], &["serve"], &["migrate"]] {
        let output = home.run(&[command, &["--config", path]].concat()).expect(3);
        let at = |line: u32| format!("omnistack.toml:{line}");
        output.says(&[
            &at(2),
            "nowhere at all",
            &at(3),
            "Did you mean listen in [server]?",
            &at(5),
            "Did you mean [server]?",
        ]);
        assert_eq!(output.stdout, "");
    }
    assert!(!home.data().exists(), "nothing is made before the config is right");
}

#[test]
fn a_broken_config_file_is_reported_with_its_line() {
    let home = Home::new();
    fs::write(home.path().join("omnistack.toml"), "[server]\nlisten = \n").unwrap();
    home.run(&["config", "check", "--config", "omnistack.toml"]).expect(3).says(&["omnistack.toml:2"]);
    home.run_env(&["config", "check"], &[("OMNISTACK_SERVER__LISEN", "x")])
        .expect(3)
        .says(&["OMNISTACK_SERVER__LISEN"]);
}

#[test]
fn slips_of_the_finger_get_a_suggestion() {
    let home = Home::new();
    home.run(&["serve", "--lisen", "127.0.0.1:0"]).expect(2).says(&["--listen"]);
    home.run(&["user", "creat", "ada@example.com"]).expect(2).says(&["create"]);
    home.run(&["migrat"]).expect(2).says(&["migrate"]);
}

/// Runs with `--json`: all of standard output is one JSON value, whatever the outcome.
#[track_caller]
fn as_json(home: &Home, args: &[&str], code: i32) -> Value {
    home.run(&[&["--json"], args].concat()).expect(code).json()
}

#[test]
fn json_is_all_that_stdout_holds() {
    let server = Server::new();
    let home = &server.home;
    assert_eq!(as_json(home, &["version"], 0)["version"], env!("CARGO_PKG_VERSION"));
    let made = as_json(home, &["user", "create", "ada@example.com", "--role", "support"], 0);
    assert_eq!((&made["email"], &made["role"]), (&"ada@example.com".into(), &"support".into()));
    assert!(made["id"].is_string() && made["password"].as_str().is_some_and(|p| p.len() >= 12), "{made}");
    for args in [
        &["user", "list"][..],
        &["user", "promote", "ada@example.com", "--role", "admin", "--yes"],
        &["user", "reset-password", "ada@example.com", "--yes"],
        &["user", "disable", "ada@example.com", "--yes"],
        &["migrate", "status"],
        &["config", "check"],
        &["config", "show"],
        &["openapi"],
    ] {
        as_json(home, args, 0);
    }
    let health = home.run_env(&["--json", "health"], &[("OMNISTACK_SERVER__LISTEN", server.address())]);
    health.expect(0).json();
    as_json(&Home::new(), &["migrate"], 0);
}

#[test]
fn json_failures_carry_a_code() {
    let home = home_with_user("ada@example.com");
    for (code, args) in [
        (4, &["user", "disable", "nobody@example.com", "--yes"][..]),
        (5, &["user", "create", "ada@example.com"]),
        (3, &["config", "check", "--config", "nowhere.toml"]),
    ] {
        let output = home.run(&[&["--json"], args].concat()).expect(code);
        assert!(output.json()["error"]["code"].is_string(), "{output}");
    }
}

/// Every command of the program, as its help lists them.
fn commands(home: &Home, path: &[String], found: &mut Vec<(Vec<String>, Output)>) {
    let args: Vec<&str> = path.iter().map(String::as_str).chain(["--help"]).collect();
    let help = home.run(&args).expect(0);
    let listed =
        help.stdout.split("Commands:\n").nth(1).unwrap_or("").lines().take_while(|line| line.starts_with("  "));
    let names: Vec<_> = listed
        .filter(|line| !line.starts_with("   "))
        .map(|line| line.split_whitespace().next().unwrap().to_string())
        .collect();
    found.push((path.to_vec(), help));
    for name in names.into_iter().filter(|name| name != "help") {
        commands(home, &[path, &[name]].concat(), found);
    }
}

#[test]
fn no_command_takes_a_secret_as_an_argument() {
    let home = Home::new();
    let mut found = Vec::new();
    commands(&home, &[], &mut found);
    let names: Vec<_> = found.iter().map(|(path, _)| path.join(" ")).collect();
    for name in ["serve", "migrate status", "user create", "user reset-password", "config show", "health"] {
        assert!(names.iter().any(|n| n == name), "no `{name}` in {names:?}");
    }
    for (_, help) in &found {
        for option in help.stdout.split_whitespace().filter(|word| word.starts_with("--")) {
            let option = option.trim_end_matches(|c: char| !c.is_alphanumeric());
            let secret = ["password", "secret", "token", "key"].iter().any(|word| option.contains(word));
            assert!(!secret || option.ends_with("-file"), "{option} in {help}");
        }
    }
    home.run(&["user", "create", "ada@example.com", "--password", PASSWORD]).expect(2);
}

#[test]
fn help_is_complete_on_both_flags_and_names_the_exit_codes() {
    let home = Home::new();
    let long = home.run(&["--help"]).expect(0).stdout;
    assert_eq!(long, home.run(&["-h"]).expect(0).stdout);
    for word in ["Examples", "serve", "--config", "--data-dir", "--json", "--no-input", "130"] {
        assert!(long.contains(word), "{word} is not in\n{long}");
    }
}

#[test]
fn the_example_config_is_the_file_in_the_repository() {
    let file = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/config.example.toml")).unwrap();
    let home = Home::new();
    let printed = home.run(&["config", "example"]).expect(0).stdout;
    assert_eq!(printed, file);
    fs::write(home.path().join("copy.toml"), file).unwrap();
    home.run(&["config", "check", "--config", "copy.toml"]).expect(0);
}

#[test]
fn config_show_hides_every_secret() {
    let home = Home::new();
    home.run(&["migrate"]).expect(0);
    let file = fs::read_to_string(home.data().join("secrets.toml")).unwrap();
    let secrets: Vec<_> = file.split('"').skip(1).step_by(2).filter(|text| text.len() >= 16).collect();
    assert!(!secrets.is_empty(), "secrets.toml holds quoted secrets");
    let env = [("OMNISTACK_DATABASE__URL", "postgres://u:hunter2secret@127.0.0.1/x")];
    for args in [&["config", "show"][..], &["--json", "config", "show"]] {
        let output = home.run_env(args, &env).expect(0);
        assert!(output.stdout.contains("***"), "{output}");
        for secret in secrets.iter().chain(&["hunter2secret"]) {
            assert!(!output.stdout.contains(secret) && !output.stderr.contains(secret), "{secret} in {output}");
        }
    }
}

#[test]
fn the_environment_outranks_the_file_and_the_flag_outranks_both() {
    let home = Home::new();
    fs::write(home.path().join("omnistack.toml"), "[server]\nlisten = \"127.0.0.1:1\"\n").unwrap();
    let show = |args: &[&str], env: &[(&str, &str)], key: &str| {
        let all = home.run_env(&[&["--json", "config", "show"], args].concat(), env).expect(0).json();
        let setting = all.as_array().unwrap().iter().find(|setting| setting["key"] == key).unwrap().clone();
        json!([setting["value"], setting["source"]])
    };
    let (file, listen) = (["--config", "omnistack.toml"], "OMNISTACK_SERVER__LISTEN");
    assert_eq!(show(&[], &[], "server.listen"), json!(["127.0.0.1:8080", "default"]));
    assert_eq!(show(&file, &[], "server.listen"), json!(["127.0.0.1:1", "omnistack.toml:2"]));
    let env = show(&file, &[(listen, "127.0.0.1:2")], "server.listen");
    assert_eq!(env, json!(["127.0.0.1:2", format!("environment {listen}")]));
    let flag = show(&file, &[("OMNISTACK_SERVER__DATA_DIR", "/nowhere")], "server.data_dir");
    assert_eq!(flag, json!([home.data(), "flag"]));
}

#[test]
fn completions_parse() {
    let home = Home::new();
    for shell in ["bash", "zsh", "fish"] {
        let script = home.run(&["completions", shell]).expect(0).stdout;
        assert!(script.contains("omnistack") && script.contains("data-dir"), "{shell}: {script}");
        let file = home.path().join(shell);
        fs::write(&file, script).unwrap();
        // Only the shells that are there can check.
        if let Ok(status) = Command::new(shell).arg("-n").arg(&file).status() {
            assert!(status.success(), "{shell} does not parse its completions");
        }
    }
}

#[test]
fn user_create_generates_a_password_that_signs_in() {
    let server = Server::new();
    let output = server.home.run(&["user", "create", "ada@example.com", "--name", "Ada Example"]).expect(0);
    let words: Vec<_> = output.stdout.split_whitespace().collect();
    let signed_in = words.iter().any(|word| server.login("ada@example.com", word).status == 200);
    assert!(signed_in, "no word of it is the password: {output}");

    let reset = server.home.run(&["--json", "user", "reset-password", "ada@example.com", "--yes"]).expect(0).json();
    server.sign_in_with("ada@example.com", reset["password"].as_str().unwrap());
}

#[test]
fn passwords_come_from_stdin_or_a_file() {
    let server = Server::new();
    let create = |email: &str, from: &str, stdin: &str| {
        server.home.run_with(&["user", "create", email, "--password-file", from], stdin)
    };
    let piped = create("ada@example.com", "-", &format!("{PASSWORD}\n")).expect(0);
    assert!(!piped.stdout.contains(PASSWORD), "a given password is not printed: {piped}");
    server.sign_in("ada@example.com");

    let file = server.home.path().join("password");
    fs::write(&file, PASSWORD).unwrap();
    create("eve@example.com", file.to_str().unwrap(), "").expect(0);
    server.sign_in("eve@example.com");

    assert_ne!(create("bob@example.com", "-", "short").code, 0);
    assert_ne!(create("bob@example.com", "-", "").code, 0);
    assert_ne!(create("bob@example.com", "nowhere", "").code, 0);
    create("bob@example.com", "-", PASSWORD).expect(0);
}

#[test]
fn user_disable_reaches_a_running_server() {
    let server = Server::new();
    let user = server.register_and_sign_in("ada@example.com");
    server.me(&user.access).expect(200);
    server.home.run(&["user", "disable", "ada@example.com", "--yes"]).expect(0);
    let refusal = eventually("the refusal of a disabled account", Duration::from_secs(2), || {
        let answer = server.me(&user.access);
        (answer.status != 200).then_some(answer)
    });
    refusal.problem(if refusal.status == 403 { 403 } else { 401 });
    assert_ne!(server.refresh(&user.refresh).status, 200);
}

#[test]
fn user_promote_reaches_a_running_server() {
    let server = Server::new();
    let user = server.register_and_sign_in("ada@example.com");
    let list = || server.get("/api/v1/admin/users").bearer(&user.access).send();
    list().problem(403);
    server.home.run(&["user", "promote", "ada@example.com", "--role", "admin", "--yes"]).expect(0);
    eventually("the rights of an administrator", Duration::from_secs(2), || (list().status == 200).then_some(()));
}

#[test]
fn health_tells_a_running_server_from_none() {
    let server = Server::new();
    let health = |address: &str| server.home.run_env(&["health"], &[("OMNISTACK_SERVER__LISTEN", address)]);
    health(server.address()).expect(0);
    let nobody = free_address();
    health(&nobody).expect(8).says(&[&nobody]);
}

#[test]
fn migrating_twice_is_migrating_once() {
    let home = Home::new();
    let first = home.run(&["migrate"]).expect(0);
    let second = home.run(&["migrate"]).expect(0);
    assert_ne!(first.stdout, second.stdout);
    let status = home.run(&["migrate", "status"]).expect(0).stdout;
    assert!(status.contains("0001_") && !status.contains("pending"), "{status}");
}

#[test]
fn a_missing_value_is_named_and_never_waited_for() {
    let home = home_with_user("ada@example.com");
    home.run(&["user", "create"]).expect(2).says(&["EMAIL"]);
    home.run(&["user", "promote", "ada@example.com"]).expect(2).says(&["--role"]);
    for args in
        [&["user", "create", "eve@example.com", "--ask"][..], &["user", "reset-password", "ada@example.com", "--ask"]]
    {
        home.run(args).expect(2).says(&["--password-file"]);
        home.run(&[args, &["--no-input"]].concat()).expect(2).says(&["--password-file"]);
    }
}

#[test]
fn global_flags_stand_anywhere_and_colour_stays_off_in_a_pipe() {
    let home = home_with_user("ada@example.com");
    let after = home.run(&["user", "list", "--json"]).expect(0).json();
    assert_eq!(after, home.run(&["--json", "user", "list"]).expect(0).json());
    for args in [&["user", "list"][..], &["--help"], &["frobnicate"]] {
        let output = home.run(args);
        assert!(!output.stdout.contains('\x1b') && !output.stderr.contains('\x1b'), "{output}");
    }
}

#[test]
fn the_document_is_the_same_offline_and_from_the_server() {
    let server = Server::new();
    let offline = server.home.run(&["openapi"]).expect(0).json();
    let file = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/assets/openapi.json")).unwrap();
    let committed: Value = serde_json::from_str(&file).unwrap();
    assert!(offline == committed, "stale; run: omnistack openapi > assets/openapi.json");
    assert!(offline == server.get("/openapi.json").send().expect(200).json(), "the server serves another document");
}
