//! Writes that may be repeated, writes that must not be blind, and lists that move while they are read.

use crate::http::{Answer, together};
use crate::server::Server;
use serde_json::json;
use std::collections::HashMap;

const PROJECTS: &str = "/api/v1/app/projects";

fn create(server: &Server, access: &str, key: &str, name: &str) -> Answer {
    server.post(PROJECTS).bearer(access).header("idempotency-key", key).json(&json!({"name": name})).send()
}

fn replayed(answer: &Answer) -> bool {
    answer.header("idempotency-replayed") == Some("true")
}

#[test]
fn fifty_equal_posts_with_one_key_create_one_project() {
    let server = Server::new();
    let user = server.register_and_sign_in("ada@example.com");
    let answers = together(50, |_| create(&server, &user.access, "one-key", "Lighthouse").expect(201));
    for answer in &answers {
        assert_eq!(answer.text(), answers[0].text());
    }
    assert_eq!(answers.iter().filter(|answer| !replayed(answer)).count(), 1, "one creates, the others repeat");
    assert_eq!(server.walk_projects(&user.access, 100, || ()).len(), 1);
}

#[test]
fn a_key_is_bound_to_its_body_and_its_user() {
    let server = Server::new();
    let ada = server.register_and_sign_in("ada@example.com");
    let eve = server.register_and_sign_in("eve@example.com");
    let first = create(&server, &ada.access, "k", "Lighthouse").expect(201);
    assert!(!replayed(&first));

    let again = create(&server, &ada.access, "k", "Lighthouse").expect(201);
    assert!(replayed(&again));
    assert_eq!(again.text(), first.text());
    create(&server, &ada.access, "k", "Harbour").problem(422);

    let hers = create(&server, &eve.access, "k", "Lighthouse").expect(201);
    assert!(!replayed(&hers));
    assert_ne!(hers.str("/id"), first.str("/id"));
    assert_eq!(server.walk_projects(&ada.access, 100, || ()).len(), 1);
}

#[test]
fn a_refused_request_does_not_use_up_its_key() {
    let server = Server::new();
    let user = server.register_and_sign_in("ada@example.com");
    create(&server, &user.access, "k", "").problem(422);
    create(&server, &user.access, "k", "Lighthouse").expect(201);
}

#[test]
fn a_stale_version_is_refused_and_an_unchanged_one_not_resent() {
    let server = Server::new();
    let token = server.register_and_sign_in("ada@example.com").access;
    let path = format!("{PROJECTS}/{}", server.create_project(&token, "Lighthouse").str("/id"));
    let get = || server.get(&path).bearer(&token);
    let rename = |name: &str, etag: &str| {
        server.patch(&path).bearer(&token).header("if-match", etag).json(&json!({"name": name})).send()
    };
    let etag = |answer: &Answer| answer.header("etag").expect("an ETag").to_string();

    let old = etag(&get().send().expect(200));
    assert!(old.starts_with('"'), "strong: {old}");
    let unchanged = get().header("if-none-match", &old).send().expect(304);
    assert!(unchanged.body.is_empty());

    let new = etag(&rename("Harbour", &old).expect(200));
    assert_ne!(new, old);
    rename("Quay", &old).problem(412);
    let now = get().header("if-none-match", &old).send().expect(200);
    assert_eq!((now.str("/name").as_str(), etag(&now)), ("Harbour", new.clone()));

    server.delete(&path).bearer(&token).header("if-match", &old).send().problem(412);
    server.delete(&path).bearer(&token).header("if-match", &new).send().expect(204);
    get().send().problem(404);
}

#[test]
fn of_many_writers_with_one_version_one_wins() {
    let server = Server::new();
    let token = server.register_and_sign_in("ada@example.com").access;
    let path = format!("{PROJECTS}/{}", server.create_project(&token, "Lighthouse").str("/id"));
    let etag = server.get(&path).bearer(&token).send().header("etag").unwrap().to_string();
    let answers = together(20, |i| {
        let body = json!({"name": format!("Harbour {i}")});
        server.patch(&path).bearer(&token).header("if-match", &etag).json(&body).send()
    });
    assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 1);
    for lost in answers.iter().filter(|answer| answer.status != 200) {
        lost.problem(412);
    }
}

#[test]
fn a_cursor_is_taken_only_as_it_was_given() {
    let server = Server::new();
    let ada = server.register_and_sign_in("ada@example.com");
    let eve = server.register_and_sign_in("eve@example.com");
    for i in 0..3 {
        server.create_project(&ada.access, &format!("p{i}"));
        server.create_project(&eve.access, &format!("q{i}"));
    }
    let page =
        |token: &str, cursor: &str| server.get(&format!("{PROJECTS}?limit=1&cursor={cursor}")).bearer(token).send();
    let first = server.get(&format!("{PROJECTS}?limit=1")).bearer(&ada.access).send().expect(200);
    let cursor = first.str("/next_cursor");
    page(&ada.access, &cursor).expect(200);

    for at in [0, cursor.len() / 2] {
        let mut bytes = cursor.clone().into_bytes();
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        page(&ada.access, &String::from_utf8(bytes).unwrap()).problem(422);
    }
    page(&ada.access, &cursor[1..]).problem(422);
    page(&ada.access, "garbage").problem(422);

    let hers = page(&eve.access, &cursor);
    assert!(!hers.text().contains("\"p"), "a cursor never shows another's rows: {}", hers.text());
}

#[test]
fn a_walk_during_inserts_meets_every_older_row_once() {
    let server = Server::new();
    let token = server.register_and_sign_in("ada@example.com").access;
    let before: Vec<_> = (0..60).map(|i| server.create_project(&token, &format!("p{i}")).str("/id")).collect();
    let mut inserted = 0;
    let walked = server.walk_projects(&token, 7, || {
        inserted += 1;
        server.create_project(&token, &format!("late {inserted}"));
    });
    assert!(inserted >= 8, "it inserted while it walked");
    let mut seen = HashMap::new();
    for project in &walked {
        *seen.entry(project["id"].as_str().unwrap()).or_insert(0) += 1;
    }
    for id in &before {
        assert_eq!(seen.get(id.as_str()), Some(&1), "{id}");
    }
    assert!(seen.values().all(|n| *n == 1), "no row comes twice: {seen:?}");
}
