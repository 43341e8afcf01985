//! `serve` on an empty directory needs nothing else, and gives nothing away.

use crate::http::Answer;
use crate::process::{Home, PATIENCE, Process, eventually};
use crate::server::{Client, PASSWORD, READY, Server};
use rusqlite::Connection;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

const EMAIL: &str = "root@example.com";

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap_or_else(|e| panic!("{path:?}: {e}")).permissions().mode() & 0o777
}

/// The path of the one-time setup link that the server prints.
#[track_caller]
fn setup_link(server: &mut Server) -> String {
    let link = server.line("setup");
    let path = link.strip_prefix(&server.url).unwrap_or_else(|| panic!("a link to elsewhere: {link}"));
    assert!(path.starts_with("/admin/setup/") && path.len() > 30, "{link}");
    path.to_string()
}

/// Fills in the form on the setup page, as a browser at `origin` would.
#[track_caller]
fn submit(client: &Client, page: &Answer, path: &str, origin: &str) -> Answer {
    let html = page.text();
    let csrf = html.split("name=\"_csrf\"").nth(1).and_then(|rest| rest.split("value=\"").nth(1)?.split('"').next());
    let csrf = csrf.unwrap_or_else(|| panic!("no _csrf field in {html}"));
    let cookies: Vec<_> = page.headers.iter().filter(|(name, _)| name == "set-cookie").collect();
    let cookies: Vec<_> = cookies.iter().map(|(_, value)| value.split(';').next().unwrap()).collect();
    let fields = [("_csrf", csrf), ("email", EMAIL), ("full_name", "Root Person"), ("password", PASSWORD)];
    client.post(path).header("origin", origin).header("cookie", &cookies.join("; ")).form(&fields).send()
}

#[test]
fn an_empty_directory_becomes_a_private_one_with_generated_secrets() {
    let server = Server::new();
    let data = server.home.data();
    assert_eq!(mode(&data), 0o700);
    assert_eq!(mode(&data.join("secrets.toml")), 0o600);
    assert_eq!(mode(&server.home.database()) & 0o077, 0, "the database is private");
    let other = Server::new();
    let secrets = |server: &Server| std::fs::read_to_string(server.home.data().join("secrets.toml")).unwrap();
    assert_ne!(secrets(&server), secrets(&other));
}

#[test]
fn the_setup_link_makes_one_superadmin_and_is_dead_afterwards() {
    let mut server = Server::new();
    let link = setup_link(&mut server);
    let page = server.get(&link).send().expect(200);
    assert_eq!(page.header("referrer-policy"), Some("no-referrer"));
    let page_again = server.get(&link).send().expect(200);

    let foreign = submit(&server, &page, &link, "https://evil.example");
    assert_eq!(foreign.status, 403, "{foreign:?}");
    let origin = server.url.clone();
    let done = submit(&server, &page_again, &link, &origin);
    assert!(matches!(done.status, 200 | 302 | 303), "{done:?}");

    let admin = server.sign_in(EMAIL);
    assert_eq!(server.me(&admin.access).expect(200).str("/role"), "superadmin");
    assert!(server.get(&link).send().status >= 400, "the link is dead");
    assert!(submit(&server, &page_again, &link, &origin).status >= 400, "the form is dead");

    let (home, first) = server.terminate();
    let token = link.rsplit('/').next().unwrap();
    assert!(!first.stderr.contains(token), "the link is in the log: {}", first.stderr);
    let (_, second) = Server::start(home, &[]).terminate();
    assert!(!second.stdout.contains("setup"), "{second}");
}

#[test]
fn the_setup_link_ends_when_an_administrator_is_made_otherwise() {
    let mut server = Server::new();
    let link = setup_link(&mut server);
    let page = server.get(&link).send().expect(200);
    server.admin("other@example.com");
    let origin = server.url.clone();
    assert!(submit(&server, &page, &link, &origin).status >= 400);
    server.login(EMAIL, PASSWORD).problem(401);
}

#[test]
fn the_setup_link_dies_of_age() {
    let mut server = Server::start(Home::new(), &[("OMNISTACK_AUTH__SETUP_LINK_TTL", "1s")]);
    let link = setup_link(&mut server);
    eventually("the end of the link", PATIENCE, || (server.get(&link).send().status == 404).then_some(()));
}

#[test]
fn a_wrong_setup_link_is_refused() {
    let mut server = Server::new();
    let link = setup_link(&mut server);
    let wrong = format!("{}A", &link[..link.len() - 1]);
    let wrong = if wrong == link { format!("{}B", &link[..link.len() - 1]) } else { wrong };
    server.get(&wrong).send().expect(404);
    server.get(&link).send().expect(200);
}

#[test]
fn there_is_no_default_account() {
    let server = Server::new();
    let db = Connection::open(server.home.database()).unwrap();
    let users: i64 = db.query_row("select count(*) from users", [], |row| row.get(0)).unwrap();
    assert_eq!(users, 0);
    for (email, password) in [("admin@example.com", "admin"), ("root@localhost.local", "changethis")] {
        assert!((400..500).contains(&server.login(email, password).status));
    }
}

#[test]
fn a_second_server_on_the_directory_is_refused_and_the_first_works_on() {
    let server = Server::new();
    let user = server.register_and_sign_in("ada@example.com");
    let second = server.home.run(&["serve", "--listen", "127.0.0.1:0"]);
    let second = second.expect(5);
    assert_eq!(second.stdout, "");
    second.says(&[server.home.data().to_str().unwrap()]);
    server.get(READY).send().expect(200);
    server.create_project(&user.access, "still at work");
}

#[test]
fn a_database_of_a_newer_version_is_refused() {
    let (home, _) = Server::new().terminate();
    let db = Connection::open(home.database()).unwrap();
    let newer = "insert into migrations (position, name, checksum, applied_at)
                 select max(position) + 1, '9999_from_the_future', 'x', max(applied_at) from migrations";
    assert_eq!(db.execute(newer, []).unwrap(), 1);
    drop(db);
    for args in [&["serve", "--listen", "127.0.0.1:0"][..], &["migrate"], &["user", "list"]] {
        let output = home.run(args).expect(7);
        output.says(&["newer", "9999_from_the_future"]);
        assert_eq!(output.stdout, "");
    }
}

#[test]
fn sessions_and_rows_outlive_a_restart() {
    let mut server = Server::new();
    let user = server.register_and_sign_in("ada@example.com");
    let id = server.create_project(&user.access, "Lighthouse").str("/id");
    server.restart();
    let renewed = server.refresh(&user.refresh).expect(200);
    server.project(&renewed.str("/access_token"), &id).expect(200);
}

#[test]
fn a_taken_port_is_named_with_a_way_out() {
    let home = Home::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let output = Process::spawn(&mut home.command(&["serve", "--listen", &address]), b"").finish(PATIENCE);
    let output = output.expect(1);
    output.says(&[&address, "--listen"]);
    assert_eq!(output.stdout, "");
}
