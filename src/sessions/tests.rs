//! Sessions, through the JSON face and by the clock.

use std::time::Duration;

use futures_util::future::join_all;
use poem::http::Method;
use serde_json::{Value, json};

use super::count_any_owner;
use crate::auth::{self, Credentials};
use crate::base::id::Id;
use crate::base::principal::{Origin, Role};
use crate::base::secret::{Keys, Secret};
use crate::base::token::Tokens;
use crate::testing::{Answer, PASSWORD, Persona, TestApp};

const ME: &str = "/api/v1/app/users/me";
const SESSIONS: &str = "/api/v1/app/auth/sessions";
const LOGIN: &str = "/api/v1/public/auth/login";
const REFRESH: &str = "/api/v1/public/auth/refresh";
const LOGOUT: &str = "/api/v1/public/auth/logout";
const DAY: Duration = Duration::from_hours(24);

fn token(who: &Persona) -> &str {
    who.tokens["refresh_token"].as_str().unwrap()
}

async fn send(test: &TestApp, path: &str, token: &str) -> Answer {
    test.guest().post(path, json!({ "refresh_token": token })).await
}

/// The same person with other tokens.
fn with(who: &Persona, tokens: Value) -> Persona {
    let mut who = who.clone();
    who.tokens = tokens;
    who
}

async fn refreshed(test: &TestApp, who: &Persona) -> Persona {
    with(who, send(test, REFRESH, token(who)).await.expect(200).json())
}

/// Neither token works any more.
async fn assert_dead(test: &TestApp, who: &Persona) {
    who.get(ME).await.expect(401);
    send(test, REFRESH, token(who)).await.expect(401);
}

async fn ids(who: &Persona) -> Vec<Value> {
    let list = who.get(SESSIONS).await.expect(200).json();
    list["items"].as_array().unwrap().iter().map(|session| session["id"].clone()).collect()
}

fn path(who: &Persona) -> String {
    format!("{SESSIONS}/{}", who.tokens["session_id"].as_str().unwrap())
}

async fn console(test: &TestApp, who: &Persona) -> String {
    let credentials = Credentials { email: who.email.clone(), password: PASSWORD.into() };
    auth::open_console(&test.app, &Origin::default(), credentials).await.unwrap()
}

async fn with_cookie(test: &TestApp, path: &str, cookie: &str) -> Answer {
    test.guest().ask(Method::GET, path).header("cookie", &format!("theme=dark; omnistack={cookie}")).send().await
}

#[tokio::test]
async fn my_sessions_are_listed_and_marked() {
    let test = TestApp::new().await;
    let (ada, bob) = (test.account("ada", Role::Support).await, test.user("bob").await);
    test.advance(Duration::from_secs(60));
    let login = test.guest().ask(Method::POST, LOGIN).header("user-agent", "Phone/1.0");
    let tokens = login.json(json!({ "email": ada.email, "password": PASSWORD })).send().await.expect(200).json();
    let phone = with(&ada, tokens);
    console(&test, &ada).await;
    let list = ada.get(SESSIONS).await.expect(200).json();
    let seen = |name: &str| list["items"].as_array().unwrap().iter().map(|item| item[name].clone()).collect::<Vec<_>>();
    assert_eq!(seen("kind"), ["console", "api", "api"]);
    assert_eq!(seen("current"), [false, false, true]);
    assert_eq!(seen("user_agent"), ["", "Phone/1.0", ""]);
    assert_eq!(seen("id")[1..], [phone.tokens["session_id"].clone(), ada.tokens["session_id"].clone()]);
    let session = &list["items"][1];
    for (name, time) in [
        ("created_at", "2026-11-21T00:01:00.000000Z"),
        ("last_seen_at", "2026-11-21T00:01:00.000000Z"),
        ("idle_until", "2026-12-21T00:01:00.000000Z"),
        ("expires_at", "2027-02-19T00:01:00.000000Z"),
    ] {
        assert_eq!(session[name], time, "{name}");
    }
    assert_eq!(phone.get(SESSIONS).await.json()["items"][1]["current"], true);
    assert_eq!(ids(&bob).await, [bob.tokens["session_id"].clone()]);
    // What is over is not listed: the console's lives twelve hours, the phone's is ended.
    test.advance(Duration::from_hours(12));
    let ada = refreshed(&test, &ada).await;
    assert_eq!(ids(&ada).await.len(), 2);
    ada.delete(&path(&phone)).await.expect(204);
    assert_eq!(ids(&ada).await, [ada.tokens["session_id"].clone()]);
    assert_eq!(count_any_owner(&test.app).await.unwrap(), 2);
    test.guest().get(SESSIONS).await.expect(401);
}

#[tokio::test]
async fn a_session_is_ended_by_its_owner_alone() {
    let test = TestApp::new().await;
    let (ada, bob, root) = (test.user("ada").await, test.user("bob").await, test.superadmin().await);
    let other = test.sign_in(&ada.email).await;
    other.get(ME).await.expect(200);
    for (who, status) in [(&test.guest(), 401), (&bob, 404), (&root, 404)] {
        who.delete(&path(&other)).await.expect(status);
    }
    for junk in ["x", "00000000-0000-0000-0000-000000000000", "%00"] {
        ada.delete(&format!("{SESSIONS}/{junk}")).await.expect(404);
    }
    other.get(ME).await.expect(200);
    ada.delete(&path(&other)).await.expect(204);
    assert_dead(&test, &other).await;
    ada.delete(&path(&other)).await.expect(404);
    ada.delete(&path(&ada)).await.expect(204);
    assert_dead(&test, &ada).await;
    bob.get(ME).await.expect(200);
    assert!(test.trail().await.ends_with(&["session.revoked".into(), "session.revoked".into()]));
}

#[tokio::test]
async fn fifty_refreshes_at_once_get_one_answer() {
    let test = TestApp::new().await;
    let ada = test.user("ada").await;
    let answers = join_all((0..50).map(|_| send(&test, REFRESH, token(&ada)))).await;
    for answer in &answers {
        assert_eq!((answer.status, &answer.text), (200, &answers[0].text));
    }
    let ada = with(&ada, answers[0].json());
    assert_eq!(ids(&ada).await, [ada.tokens["session_id"].clone()]);
    refreshed(&test, &ada).await.get(ME).await.expect(200);
}

#[tokio::test]
async fn a_lost_answer_is_given_again() {
    let test = TestApp::new().await;
    let ada = test.user("ada").await;
    ada.get(ME).await.expect(200);
    let first = send(&test, REFRESH, token(&ada)).await.expect(200).text;
    // The old access token is no proof that the answer arrived.
    ada.get(ME).await.expect(200);
    test.advance(Duration::from_secs(7 * 60));
    assert_eq!(send(&test, REFRESH, token(&ada)).await.expect(200).text, first);
    // Later there is a fresh access token, so that it has a life before it, and the same refresh token.
    test.advance(DAY);
    let late = refreshed(&test, &ada).await;
    let first: Value = serde_json::from_str(&first).unwrap();
    assert_eq!(late.tokens["refresh_token"], first["refresh_token"]);
    assert_ne!(late.tokens["access_token"], first["access_token"]);
    late.get(ME).await.expect(200);
    assert!(!test.trail().await.contains(&"session.replayed".into()));
}

#[tokio::test]
async fn a_replay_ends_the_session_at_once() {
    for case in ["access token used", "refresh token used", "two behind", "twice"] {
        let test = TestApp::new().await;
        let ada = test.user("ada").await;
        let other = test.sign_in(&ada.email).await;
        let mut new = refreshed(&test, &ada).await;
        match case {
            "access token used" => drop(new.get(ME).await.expect(200)),
            "refresh token used" => {
                new = refreshed(&test, &new).await;
                new.get(ME).await.expect(200);
            }
            "two behind" => new = refreshed(&test, &new).await,
            _ => {
                new.get(ME).await.expect(200);
                send(&test, REFRESH, token(&ada)).await.expect(401);
            }
        }
        assert_eq!(send(&test, REFRESH, token(&ada)).await.expect(401).code(), "AUTHENTICATION_ERROR", "{case}");
        assert_dead(&test, &new).await;
        assert_dead(&test, &ada).await;
        other.get(ME).await.expect(200);
        let replays = test.trail().await.into_iter().filter(|action| action == "session.replayed").count();
        assert_eq!(replays, 1, "{case}");
    }
}

#[tokio::test]
async fn what_was_never_ours_is_refused_without_harm() {
    let test = TestApp::new().await;
    let ada = test.user("ada").await;
    let session = Id::parse(ada.tokens["session_id"].as_str().unwrap()).unwrap();
    let keys = Keys::derive(&Secret::new("another installation, another key".into())).unwrap();
    let foreign = Tokens::new(&keys, test.app.tokens.issuer().into()).unwrap();
    let mut garbled = token(&ada).to_owned();
    garbled.replace_range(30..31, if &garbled[30..31] == "A" { "B" } else { "A" });
    let ahead = [2, 9, i64::MAX].map(|generation| test.app.tokens.refresh_token(session, generation));
    let unknown = test.app.tokens.refresh_token(Id::new(), 1);
    let forged = foreign.refresh_token(session, 1);
    let access = ada.tokens["access_token"].as_str().unwrap();
    let padded = format!("{}=", token(&ada));
    for bad in ["", "x", "a\u{0}", &garbled, &padded, &ahead[0], &ahead[1], &ahead[2], &unknown, &forged] {
        assert_eq!(send(&test, REFRESH, bad).await.expect(401).code(), "AUTHENTICATION_ERROR", "{bad}");
        if bad != ahead[0] && bad != ahead[1] && bad != ahead[2] {
            send(&test, LOGOUT, bad).await.expect(204);
        }
    }
    assert_eq!(send(&test, REFRESH, access).await.expect(422).faults(), ["refresh_token: length"]);
    assert_eq!(test.guest().post(REFRESH, json!({})).await.expect(422).faults(), ["refresh_token: required"]);

    let claims = test.app.tokens.verify(access, test.app.now()).unwrap();
    let forged = foreign.sign(&claims).unwrap();
    let flipped = access.replace('.', ".A");
    for bad in ["", "x", "a.b.c", token(&ada), &forged, &flipped] {
        let answer = test.guest().ask(Method::GET, ME).header("authorization", &format!("Bearer {bad}")).send().await;
        assert_eq!(answer.expect(401).header("www-authenticate"), "Bearer", "{bad}");
    }
    for (scheme, status) in [("bearer", 200), ("BEARER", 200), ("Basic", 401), ("Token", 401)] {
        test.guest()
            .ask(Method::GET, ME)
            .header("authorization", &format!("{scheme} {access}"))
            .send()
            .await
            .expect(status);
    }
    test.guest().get(&format!("{ME}?access_token={access}")).await.expect(422);
    refreshed(&test, &ada).await.get(ME).await.expect(200);
}

#[tokio::test]
async fn an_access_token_lives_a_quarter_of_an_hour() {
    let test = TestApp::new().await;
    let ada = test.user("ada").await;
    test.advance(Duration::from_secs(899));
    ada.get(ME).await.expect(200);
    test.advance(Duration::from_secs(1));
    let expired = ada.get(ME).await.expect(401).json();
    assert_eq!(expired["error"]["message"], "The access token has expired: refresh it.");
    refreshed(&test, &ada).await.get(ME).await.expect(200);
}

#[tokio::test]
async fn an_unused_session_ends_and_a_used_one_too() {
    let test = TestApp::with(|config| config.auth.access_token_ttl = DAY * 60).await;
    let (mut ada, bob) = (test.user("ada").await, test.user("bob").await);
    test.advance(DAY * 20);
    // A first use counts, so that bob has thirty days from here; and each refresh does.
    bob.get(ME).await.expect(200);
    ada = refreshed(&test, &ada).await;
    test.advance(DAY * 29);
    bob.get(ME).await.expect(200);
    ada = refreshed(&test, &ada).await;
    test.advance(DAY);
    let over = bob.get(ME).await.expect(401).json();
    assert_eq!(over["error"]["message"], "The session is over: sign in again.");
    assert_dead(&test, &bob).await;
    ada.get(ME).await.expect(200);
    // On day 75 it is still there, on day 90 it ends however busy it was.
    test.advance(DAY * 25);
    ada = refreshed(&test, &ada).await;
    test.advance(DAY * 15 - Duration::from_micros(1));
    ada = refreshed(&test, &ada).await;
    ada.get(ME).await.expect(200);
    test.advance(Duration::from_micros(1));
    assert_dead(&test, &ada).await;
}

#[tokio::test]
async fn signing_out_ends_everything_of_the_session_at_once() {
    let test = TestApp::new().await;
    let ada = test.user("ada").await;
    let (other, old) = (test.sign_in(&ada.email).await, test.sign_in(&ada.email).await);
    ada.get(ME).await.expect(200);
    for _ in 0..2 {
        send(&test, LOGOUT, token(&ada)).await.expect(204);
    }
    assert_dead(&test, &ada).await;
    // An older token of the session ends it too.
    let new = refreshed(&test, &old).await;
    send(&test, LOGOUT, token(&old)).await.expect(204);
    assert_dead(&test, &new).await;
    other.get(ME).await.expect(200);
    let ended = test.trail().await.into_iter().filter(|action| action == "session.ended").count();
    assert_eq!(ended, 2);
}

#[tokio::test]
async fn no_refresh_survives_an_end_that_it_met() {
    let test = TestApp::new().await;
    let ada = test.user("ada").await;
    for _ in 0..10 {
        let old = test.sign_in(&ada.email).await;
        let refreshes = join_all((0..5).map(|_| send(&test, REFRESH, token(&old))));
        let used = join_all((0..5).map(|_| old.get(ME)));
        let (answers, _, ended) = tokio::join!(refreshes, used, send(&test, LOGOUT, token(&old)));
        ended.expect(204);
        for tokens in answers.iter().filter(|answer| answer.status == 200).map(Answer::json) {
            assert_dead(&test, &with(&old, tokens)).await;
        }
        assert_dead(&test, &old).await;
    }
    assert_eq!(ids(&ada).await.len(), 1);
}

#[tokio::test]
async fn a_cookie_opens_the_console_and_a_token_the_api() {
    let test = TestApp::new().await;
    let (support, ada, root) = (test.support().await, test.user("ada").await, test.superadmin().await);
    let cookie = console(&test, &support).await;
    with_cookie(&test, "/admin", &cookie).await.expect(200);
    with_cookie(&test, ME, &cookie).await.expect(401);
    with_cookie(&test, SESSIONS, &cookie).await.expect(401);
    for address in ["/admin", "/admin/users"] {
        for page in [support.get(address).await, with_cookie(&test, address, "junk").await] {
            assert!(page.expect(303).header("location").starts_with("/admin/sign-in"));
        }
    }
    // An access token in the cookie, and the cookie's as an access token: neither is the other.
    with_cookie(&test, "/admin", support.tokens["access_token"].as_str().unwrap()).await.expect(303);
    let bearer = test.guest().ask(Method::GET, ME).header("authorization", &format!("Bearer {cookie}"));
    bearer.send().await.expect(401);
    // Nor does the console's session give tokens, not even to who could make its refresh token.
    let list = support.get(SESSIONS).await.json();
    let console_session = list["items"].as_array().unwrap().iter().find(|item| item["kind"] == "console").unwrap();
    let id = Id::parse(console_session["id"].as_str().unwrap()).unwrap();
    send(&test, REFRESH, &test.app.tokens.refresh_token(id, 1)).await.expect(401);

    let credentials = Credentials { email: ada.email.clone(), password: PASSWORD.into() };
    assert!(auth::open_console(&test.app, &Origin::default(), credentials).await.is_err());
    // The next request of the console sees a change, too.
    let demote = json!({ "role": "user" });
    root.patch(&format!("/api/v1/admin/users/{}", support.id), demote).await.expect(200);
    with_cookie(&test, "/admin", &cookie).await.expect(403);
    root.post(&format!("/api/v1/admin/users/{}/deactivate", support.id), Value::Null).await.expect(200);
    with_cookie(&test, "/admin", &cookie).await.expect(303);
}

#[tokio::test]
async fn a_console_session_lives_twelve_hours_unused_and_a_week_at_most() {
    let test = TestApp::new().await;
    let support = test.support().await;
    let (idle, busy) = (console(&test, &support).await, console(&test, &support).await);
    for quarter in 1..28 {
        test.advance(DAY / 4);
        with_cookie(&test, "/admin", &busy).await.expect(200);
        if quarter == 2 {
            with_cookie(&test, "/admin", &idle).await.expect(303);
        }
    }
    test.advance(DAY / 4);
    with_cookie(&test, "/admin", &busy).await.expect(303);
}
