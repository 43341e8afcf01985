//! Projects, through the JSON face.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use poem::http::Method;
use serde_json::{Value, json};

use crate::testing::{Persona, TestApp};

const PROJECTS: &str = "/api/v1/app/projects";

async fn create(who: &Persona, name: &str) -> String {
    let answer = who.post(PROJECTS, json!({ "name": name })).await.expect(201);
    answer.json()["id"].as_str().unwrap().to_owned()
}

fn path(id: &str) -> String {
    format!("{PROJECTS}/{id}")
}

fn names(page: &Value) -> Vec<&str> {
    page["items"].as_array().unwrap().iter().map(|item| item["name"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_project_lives_and_is_traced() {
    let test = TestApp::new().await;
    let ada = test.user("ada").await;
    let created = ada.post(PROJECTS, json!({ "name": "One", "description": "First" })).await.expect(201);
    let project = created.json();
    assert_eq!((project["owner_id"].as_str(), created.header("etag")), (Some(&*ada.id.to_string()), "\"1\""));
    let id = path(project["id"].as_str().unwrap());
    assert_eq!(ada.get(&id).await.expect(200).json(), project);

    test.advance(std::time::Duration::from_secs(1));
    let changed = ada.patch(&id, json!({ "name": "Uno", "description": null })).await.expect(200);
    assert_eq!((changed.json()["name"].clone(), changed.json()["description"].clone()), (json!("Uno"), Value::Null));
    assert_ne!(changed.json()["updated_at"], project["updated_at"]);
    assert_eq!(
        (changed.json()["created_at"].clone(), changed.header("etag")),
        (project["created_at"].clone(), "\"2\"")
    );
    // What is not sent stays, and nothing sent changes nothing.
    assert_eq!(ada.patch(&id, json!({})).await.expect(200).json(), changed.json());

    ada.delete(&id).await.expect(204);
    ada.get(&id).await.expect(404);
    ada.delete(&id).await.expect(404);
    ada.patch(&id, json!({ "name": "Back" })).await.expect(404);
    assert_eq!(ada.get(PROJECTS).await.json()["total"], 0);
    let trail = test.trail().await;
    assert!(
        trail.ends_with(&["project.created".into(), "project.updated".into(), "project.deleted".into()]),
        "{trail:?}"
    );
}

#[tokio::test]
async fn only_its_owner_reaches_a_project() {
    let test = TestApp::new().await;
    let (ada, bob, root) = (test.user("ada").await, test.user("bob").await, test.superadmin().await);
    let id = path(&create(&ada, "Secret").await);
    for (who, status) in [(&test.guest(), 401), (&bob, 404), (&root, 404)] {
        for method in [Method::GET, Method::PATCH, Method::DELETE] {
            let body = if method == Method::PATCH { json!({ "name": "Mine" }) } else { Value::Null };
            let answer = who.ask(method, &id).json(body).send().await.expect(status);
            assert!(!answer.text.contains("Secret"));
        }
    }
    test.guest().get(PROJECTS).await.expect(401);
    test.guest().post(PROJECTS, json!({ "name": "x" })).await.expect(401);
    assert_eq!(bob.get(PROJECTS).await.expect(200).json()["items"], json!([]));
    for junk in ["x", "00000000-0000-0000-0000-000000000000", "%00"] {
        ada.get(&path(junk)).await.expect(404);
    }
}

#[tokio::test]
async fn every_fault_of_an_input_is_named() {
    let test = TestApp::new().await;
    let ada = test.user("ada").await;
    let long = |n: usize| "x".repeat(n);
    let table = [
        (json!({}), vec!["name: required"]),
        (json!({ "name": null }), vec!["name: type"]),
        (
            json!({ "name": 5, "description": [], "owner_id": "me" }),
            vec!["name: type", "description: type", "owner_id: unknown"],
        ),
        (json!({ "name": "" }), vec!["name: length"]),
        (json!({ "name": "  " }), vec!["name: length"]),
        (json!({ "name": long(256), "description": long(2001) }), vec!["name: length", "description: length"]),
        (json!({ "name": "a\u{0}b" }), vec!["name: format"]),
        (json!({ "name": "a\nb", "description": "a\u{0}" }), vec!["name: format", "description: format"]),
    ];
    for (body, faults) in table {
        assert_eq!(ada.post(PROJECTS, body.clone()).await.expect(422).faults(), faults, "{body}");
    }
    let many: serde_json::Map<String, Value> = (0..1_000).map(|n| (format!("f{n}"), Value::Null)).collect();
    assert_eq!(ada.post(PROJECTS, many.into()).await.expect(422).faults().len(), 50);
    let answer = ada.post(PROJECTS, json!({ "name": "x", long(100_000): 1 })).await.expect(422);
    assert!(answer.text.len() < 2_000, "{}", answer.text.len());
    let id = path(&create(&ada, &long(255)).await);
    for (body, fault) in [(json!({ "name": null }), "name: type"), (json!({ "name": "" }), "name: length")] {
        assert_eq!(ada.patch(&id, body).await.expect(422).faults(), [fault]);
    }
    assert_eq!(ada.post(PROJECTS, json!([])).await.expect(422).faults(), [": type"]);
    let broken = ada.ask(Method::POST, PROJECTS).header("content-type", "application/json").body("{\"name\":");
    assert_eq!(broken.send().await.expect(400).code(), "BAD_REQUEST");
    let other = ada.ask(Method::POST, PROJECTS).header("content-type", "text/plain").body("name=x");
    assert_eq!(other.send().await.expect(415).code(), "UNSUPPORTED_MEDIA_TYPE");
    assert_eq!(ada.get(PROJECTS).await.json()["total"], 1);
}

#[tokio::test]
async fn queries_are_held_against_the_document() {
    let test = TestApp::new().await;
    let ada = test.user("ada").await;
    for (query, fault) in [
        ("limit=0", "limit: range"),
        ("limit=101", "limit: range"),
        ("limit=x", "limit: type"),
        ("skip=-1", "skip: range"),
        ("skip=99999999999999999999", "skip: type"),
        ("skip=100001", "skip: range"),
        ("limit=1&limit=2", "limit: repeated"),
        ("sort=name", "sort: unknown"),
        ("search=%00", "search: format"),
        ("cursor=junk", "cursor: format"),
    ] {
        assert_eq!(ada.get(&format!("{PROJECTS}?{query}")).await.expect(422).faults(), [fault], "{query}");
    }
    assert_eq!(ada.get(&format!("{PROJECTS}?search=%ff")).await.expect(400).code(), "BAD_REQUEST");
}

#[tokio::test]
async fn a_search_finds_what_was_typed() {
    let test = TestApp::new().await;
    let ada = test.user("ada").await;
    for name in ["Zürich", "50% off", "5000", "a_b", "aXb", "ZÜRICH again"] {
        create(&ada, name).await;
    }
    for (search, found) in
        [("%25", vec!["50% off"]), ("a_b", vec!["a_b"]), ("z%C3%BCri", vec!["Zürich", "ZÜRICH again"]), ("!", vec![])]
    {
        let page = ada.get(&format!("{PROJECTS}?search={search}")).await.expect(200).json();
        assert_eq!((names(&page), page["total"].as_u64().unwrap()), (found.clone(), found.len() as u64), "{search}");
    }
}

#[tokio::test]
async fn a_walk_meets_every_row_once_while_others_come() {
    let test = TestApp::new().await;
    let ada = test.user("ada").await;
    let mut wanted = BTreeSet::new();
    for n in 0..7 {
        test.advance(std::time::Duration::from_micros(n % 2));
        wanted.insert(create(&ada, &format!("p{n}")).await);
    }
    for query in ["", "&search=p"] {
        let (mut seen, mut pages, mut cursor) = (Vec::new(), Vec::new(), String::new());
        loop {
            let page = ada.get(&format!("{PROJECTS}?limit=3{query}{cursor}")).await.expect(200).json();
            seen.extend(page["items"].as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap().to_owned()));
            pages.push(page.clone());
            let Some(next) = page["next_cursor"].as_str() else { break };
            cursor = format!("&cursor={next}");
            create(&ada, "late arrival").await;
        }
        let once: BTreeSet<_> = seen.iter().cloned().collect();
        assert!(once.len() == seen.len() && wanted.is_subset(&once), "{query}: {seen:?}");
        // And back again.
        let back = pages[1]["prev_cursor"].as_str().unwrap();
        let first = ada.get(&format!("{PROJECTS}?limit=3{query}&cursor={back}")).await.expect(200).json();
        assert_eq!(names(&first), names(&pages[0]), "{query}");
        let other = ada.get(&format!("{PROJECTS}?search=other&cursor={back}")).await.expect(422);
        assert_eq!(other.faults(), ["cursor: format"]);
    }
}

#[tokio::test]
async fn versions_guard_changes() {
    let test = TestApp::new().await;
    let ada = test.user("ada").await;
    let id = path(&create(&ada, "One").await);
    let patch =
        |tag: &str| ada.ask(Method::PATCH, &id).header("if-match", tag).json(json!({ "name": format!("from {tag}") }));
    patch("\"1\"").send().await.expect(200);
    for stale in ["\"1\"", "W/\"2\"", "2", ""] {
        assert_eq!(patch(stale).send().await.expect(412).code(), "PRECONDITION_FAILED");
    }
    patch("*").send().await.expect(200);
    let read = |tag: &str| ada.ask(Method::GET, &id).header("if-none-match", tag);
    let unchanged = read("\"3\"").send().await.expect(304);
    assert_eq!((unchanged.text.as_str(), unchanged.header("etag")), ("", "\"3\""));
    read("\"2\"").send().await.expect(200);
    ada.ask(Method::DELETE, &id).header("if-match", "\"2\"").send().await.expect(412);
    ada.ask(Method::DELETE, &id).header("if-match", "\"3\"").send().await.expect(204);
}

#[tokio::test]
async fn one_key_creates_one_project() {
    let test = TestApp::new().await;
    let (ada, bob) = (test.user("ada").await, test.user("bob").await);
    let post = |who: &Persona, key: &str, name: &str| {
        who.ask(Method::POST, PROJECTS).header("idempotency-key", key).json(json!({ "name": name })).send()
    };
    let answers = join_all((0..50).map(|_| post(&ada, "k1", "One"))).await;
    let bodies: BTreeSet<_> = answers.iter().map(|answer| (answer.status, answer.text.clone())).collect();
    assert_eq!(bodies.len(), 1, "{bodies:?}");
    let fresh = answers.iter().filter(|answer| answer.header("idempotency-replayed").is_empty()).count();
    assert_eq!((fresh, ada.get(PROJECTS).await.json()["total"].as_u64()), (1, Some(1)));

    assert_eq!(post(&ada, "k1", "Two").await.expect(422).faults(), ["Idempotency-Key: reused"]);
    assert_eq!(post(&bob, "k1", "One").await.expect(201).header("idempotency-replayed"), "");
    for bad in ["", "a b", &"x".repeat(256)] {
        assert_eq!(post(&ada, bad, "One").await.expect(422).faults(), ["Idempotency-Key: format"]);
    }
    // A refused request leaves its key free.
    post(&ada, "k2", "").await.expect(422);
    post(&ada, "k2", "Good").await.expect(201);
    // After a day the key is forgotten.
    test.advance(std::time::Duration::from_hours(25));
    let ada = test.sign_in(&ada.email).await;
    assert_eq!(post(&ada, "k1", "Two").await.expect(201).header("idempotency-replayed"), "");
}
