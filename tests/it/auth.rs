//! Sessions and accounts: no false logout, no accepted replay, revocation by the next request, no hint of who exists.

use crate::http::{Answer, together};
use crate::process::{Home, PATIENCE, eventually};
use crate::server::{PASSWORD, Server, Session};
use serde_json::{Value, json};

const SESSIONS: &str = "/api/v1/app/auth/sessions";

#[track_caller]
fn sessions(server: &Server, access: &str) -> Vec<Value> {
    let body = server.get(SESSIONS).bearer(access).send().expect(200).json();
    body["items"].as_array().unwrap_or_else(|| panic!("no items: {body}")).clone()
}

#[track_caller]
fn assert_dead(server: &Server, session: &Session) {
    server.me(&session.access).problem(401);
    server.refresh(&session.refresh).problem(401);
}

#[test]
fn fifty_refreshes_at_once_get_one_answer_and_one_session() {
    let server = Server::new();
    let session = server.register_and_sign_in("ada@example.com");
    let answers = together(50, |_| server.refresh(&session.refresh).expect(200));
    for answer in &answers {
        assert_eq!(answer.text(), answers[0].text());
    }
    let renewed = Session::of(&session.email, &answers[0]);
    assert_eq!(renewed.id, session.id);
    assert_eq!(sessions(&server, &renewed.access).len(), 1);
    server.refresh(&renewed.refresh).expect(200);
}

#[test]
fn a_lost_refresh_answer_can_be_asked_for_again() {
    let server = Server::new();
    let session = server.register_and_sign_in("ada@example.com");
    let first = server.refresh(&session.refresh).expect(200);
    let again = server.refresh(&session.refresh).expect(200);
    server.me(&again.str("/access_token")).expect(200);
    assert_eq!(first.str("/session_id"), again.str("/session_id"));
}

#[test]
fn a_replay_after_the_new_access_token_was_used_kills_the_session() {
    let server = Server::new();
    let old = server.register_and_sign_in("ada@example.com");
    let new = Session::of(&old.email, &server.refresh(&old.refresh).expect(200));
    server.me(&new.access).expect(200);
    server.refresh(&old.refresh).problem(401);
    assert_dead(&server, &new);
    server.me(&old.access).problem(401);
}

#[test]
fn a_replay_after_the_new_refresh_token_was_used_kills_the_session() {
    let server = Server::new();
    let old = server.register_and_sign_in("ada@example.com");
    let new = Session::of(&old.email, &server.refresh(&old.refresh).expect(200));
    let newest = Session::of(&old.email, &server.refresh(&new.refresh).expect(200));
    server.refresh(&old.refresh).problem(401);
    assert_dead(&server, &newest);
}

#[test]
fn logout_is_immediate_and_leaves_other_sessions_alone() {
    let server = Server::new();
    let here = server.register_and_sign_in("ada@example.com");
    let there = server.sign_in("ada@example.com");
    server.post("/api/v1/public/auth/logout").json(&json!({"refresh_token": here.refresh})).send().expect(204);
    assert_dead(&server, &here);
    server.me(&there.access).expect(200);
}

#[test]
fn a_session_is_revoked_by_id_and_only_by_its_owner() {
    let server = Server::new();
    let here = server.register_and_sign_in("ada@example.com");
    let there = server.sign_in("ada@example.com");
    let stranger = server.register_and_sign_in("eve@example.com");
    assert_eq!(sessions(&server, &here.access).len(), 2);

    let path = format!("{SESSIONS}/{}", there.id);
    server.delete(&path).bearer(&stranger.access).send().problem(404);
    server.me(&there.access).expect(200);
    server.delete(&path).bearer(&here.access).send().expect(204);
    assert_dead(&server, &there);
    server.me(&here.access).expect(200);
    assert_eq!(sessions(&server, &here.access).len(), 1);
}

#[test]
fn a_new_password_ends_the_other_sessions() {
    let server = Server::new();
    let here = server.register_and_sign_in("ada@example.com");
    let there = server.sign_in("ada@example.com");
    let change = |current: &str| {
        let body = json!({"current_password": current, "new_password": "eleven silent harbours at noon"});
        server.post("/api/v1/app/auth/password").bearer(&here.access).json(&body).send()
    };
    let refused = change("not the current one");
    assert!((400..500).contains(&refused.status), "{refused:?}");
    server.me(&there.access).expect(200);

    change(PASSWORD).expect(204);
    assert_dead(&server, &there);
    server.me(&here.access).expect(200);
    server.login(&here.email, PASSWORD).problem(401);
    server.sign_in_with(&here.email, "eleven silent harbours at noon");
}

/// Equal in everything a client can see but the request id and the clock.
#[track_caller]
fn assert_alike(one: &Answer, other: &Answer) {
    let names = |a: &Answer| {
        let mut names: Vec<_> = a.headers.iter().map(|(name, _)| name.clone()).collect();
        names.sort();
        names
    };
    assert_eq!(one.status, other.status);
    assert_eq!(one.without_request_id(), other.without_request_id());
    assert_eq!(one.body.len(), other.body.len());
    assert_eq!(names(one), names(other));
}

#[test]
fn registering_does_not_tell_who_has_an_account() {
    let server = Server::new();
    let new = server.register("ada@example.com").expect(202);
    let known = server.register("ada@example.com").expect(202);
    assert_alike(&new, &known);
}

#[test]
fn a_second_registration_changes_nothing() {
    let server = Server::new();
    server.register("ada@example.com").expect(202);
    let body = json!({"email": "Ada@Example.com", "password": "a thief's own choice of words"});
    server.post("/api/v1/public/auth/register").json(&body).send().expect(202);
    server.login("ada@example.com", "a thief's own choice of words").problem(401);
    server.sign_in("ada@example.com");
}

#[test]
fn signing_in_does_not_tell_who_has_an_account() {
    let server = Server::new();
    server.register("ada@example.com").expect(202);
    let wrong = server.login("ada@example.com", "not her password at all");
    let unknown = server.login("eve@example.com", "not her password at all");
    wrong.problem(401);
    assert_alike(&wrong, &unknown);
}

#[test]
fn a_deactivated_account_is_refused_by_the_next_request() {
    let server = Server::new();
    let admin = server.admin("root@example.com");
    let user = server.register_and_sign_in("ada@example.com");
    let path = format!("/api/v1/admin/users/{}", server.me(&user.access).str("/id"));
    let order = |verb: &str| {
        let answer = server.post(&format!("{path}/{verb}")).bearer(&admin.access).send();
        assert!(matches!(answer.status, 200 | 204), "{answer:?}");
    };

    order("deactivate");
    for answer in [server.me(&user.access), server.refresh(&user.refresh), server.login(&user.email, PASSWORD)] {
        answer.problem(if answer.status == 403 { 403 } else { 401 });
    }
    assert_eq!(server.get(&path).bearer(&admin.access).send().expect(200).json()["is_active"], false);

    order("activate");
    server.sign_in(&user.email);
}

#[test]
fn only_tokens_of_this_server_are_taken() {
    let server = Server::new();
    let ada = server.register_and_sign_in("ada@example.com").access;
    let eve = server.register_and_sign_in("eve@example.com").access;
    let parts = |token: &str| token.split('.').map(String::from).collect::<Vec<_>>();
    let (mine, hers) = (parts(&ada), parts(&eve));
    assert_eq!(mine.len(), 3, "an access token is a JWT");

    let none = "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0";
    let hs256 = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9";
    // {"sub":"1","exp":1} under another key: expired in 1970, and never ours.
    let expired = format!("{hs256}.eyJzdWIiOiIxIiwiZXhwIjoxfQ.7Rr4m0kq3hXv0H0fWJ5xQ5m0o2t1u3w4y5z6A7B8C9D");
    let flipped = format!("{}{}", if mine[2].starts_with('A') { 'B' } else { 'A' }, &mine[2][1..]);
    let forged = [
        format!("{}.{}.{}", mine[0], hers[1], mine[2]),
        format!("{}.{}.{flipped}", mine[0], mine[1]),
        format!("{}.{}.", mine[0], mine[1]),
        format!("{none}.{}.", mine[1]),
        format!("{none}.{}.{}", mine[1], mine[2]),
        format!("{hs256}.{}.{}", mine[1], mine[2]),
        format!("{ada}x"),
        expired,
        "a.b.c".into(),
        "garbage".into(),
        "%".repeat(5000),
    ];
    for token in &forged {
        server.me(token).problem(401);
    }
    for header in ["Bearer", "Bearer ", &ada, "Basic YWRhOmFkYQ==", "Bearer a b"] {
        server.get("/api/v1/app/users/me").header("authorization", header).send().problem(401);
    }
    server.me(&ada).expect(200);
}

#[test]
fn an_expired_access_token_is_refused_and_renewed() {
    let server = Server::start(Home::new(), &[("OMNISTACK_AUTH__ACCESS_TOKEN_TTL", "1s")]);
    let session = server.register_and_sign_in("ada@example.com");
    eventually("expiry", PATIENCE, || (server.me(&session.access).status == 401).then_some(()));
    let renewed = server.refresh(&session.refresh).expect(200);
    assert_eq!(renewed.json()["expires_in"], 1);
}

#[test]
fn the_published_keys_name_the_key_of_the_token() {
    let server = Server::new();
    let token = server.register_and_sign_in("ada@example.com").access;
    let header: Value = serde_json::from_slice(&base64url(token.split('.').next().unwrap())).unwrap();
    let keys = server.get("/.well-known/jwks.json").send().expect(200).json();
    let keys = keys["keys"].as_array().unwrap();
    let key = keys.iter().find(|key| key["kid"] == header["kid"]).unwrap_or_else(|| panic!("{header} not in {keys:?}"));
    assert_eq!(key["alg"], header["alg"]);
    for private in ["d", "p", "q", "k"] {
        assert!(key.get(private).is_none(), "a private part is published");
    }
}

fn base64url(text: &str) -> Vec<u8> {
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let value = |b: u8| alphabet.iter().position(|a| *a == b).unwrap() as u32;
    let (mut bytes, mut bits, mut held) = (Vec::new(), 0u32, 0);
    for b in text.bytes() {
        bits = bits << 6 | value(b);
        held += 6;
        if held >= 8 {
            held -= 8;
            bytes.push((bits >> held) as u8);
        }
    }
    bytes
}

/// Every operation of the document, with a well-formed id in place of each path parameter.
fn operations(server: &Server) -> Vec<(&'static str, String)> {
    let document = server.get("/openapi.json").send().expect(200).json();
    let paths = document["paths"].as_object().unwrap().clone();
    let base = document["servers"][0]["url"].as_str().unwrap_or("").trim_end_matches('/').replace(&server.url, "");
    let fill = |path: &str| {
        let parts =
            path.split('/').map(|p| if p.starts_with('{') { "01890000-0000-7000-8000-000000000000" } else { p });
        format!("{base}{}", parts.collect::<Vec<_>>().join("/"))
    };
    let methods = ["GET", "POST", "PUT", "PATCH", "DELETE"];
    let of_path = |(path, item): (&String, &Value)| {
        let known = methods.into_iter().filter(|m| item.get(m.to_lowercase()).is_some());
        known.map(|m| (m, fill(path))).collect::<Vec<_>>()
    };
    paths.iter().flat_map(of_path).collect()
}

#[test]
fn every_closed_route_refuses_guests_and_every_admin_route_users() {
    let server = Server::new();
    let user = server.register_and_sign_in("ada@example.com");
    let inner = |path: &str| path.starts_with("/api/v1/app/") || path.starts_with("/api/v1/admin/");
    let closed: Vec<_> = operations(&server).into_iter().filter(|(_, path)| inner(path)).collect();
    assert!(closed.len() > 10, "{closed:?}");
    for (method, path) in &closed {
        let send = |token: Option<&str>| {
            // A refusal does not wait for the body, so the connection may not outlive it.
            let call = server.call(method, path).header("connection", "close");
            let call = if matches!(*method, "GET" | "DELETE") { call } else { call.json(&json!({})) };
            token.into_iter().fold(call, |call, token| call.bearer(token)).send()
        };
        send(None).problem(401);
        send(Some("not.a.token")).problem(401);
        if path.starts_with("/api/v1/admin/") {
            send(Some(&user.access)).problem(403);
        }
    }
}
