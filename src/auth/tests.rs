//! Local accounts, through the JSON face.

use std::time::Duration;

use futures_util::future::join_all;
use futures_util::poll;
use serde_json::{Value, json};

use super::{create_account, is_setup_link_open, offer_setup_link, open_console, reset_password, set_up, store};
use crate::base::config::{AuthSection, Config};
use crate::base::db::{Dialect, params};
use crate::base::error::Code;
use crate::base::password::Passwords;
use crate::base::principal::{Account, Origin, Principal, Role};
use crate::base::secret::Secret;
use crate::testing::{Answer, PASSWORD, Persona, TestApp};
use crate::users::{self, NewUser};

const REGISTER: &str = "/api/v1/public/auth/register";
const LOGIN: &str = "/api/v1/public/auth/login";
const REFRESH: &str = "/api/v1/public/auth/refresh";
const CHANGE: &str = "/api/v1/app/auth/password";
const ME: &str = "/api/v1/app/users/me";
const USERS: &str = "/api/v1/admin/users";
/// Another good password.
const OTHER: &str = "brisk-lamp-otter";

async fn register(test: &TestApp, email: &str, password: &str) -> Answer {
    test.guest().post(REGISTER, json!({ "email": email, "password": password })).await
}

async fn login(test: &TestApp, email: &str, password: &str) -> Answer {
    test.guest().post(LOGIN, json!({ "email": email, "password": password })).await
}

async fn accounts(test: &TestApp) -> i64 {
    test.app.db.read(|c| Ok(c.one("select count(*) as n from users", &[], |row| row.get("n"))?)).await.unwrap()
}

/// All that a caller can tell answers apart by, without what differs between any two requests.
fn face(answer: &Answer) -> (u16, Value, Vec<(String, String)>) {
    let mut body = answer.json();
    if let Some(body) = body.as_object_mut() {
        body.remove("request_id");
    }
    let headers = answer.headers.iter().filter(|(name, _)| *name != "x-request-id");
    let mut headers: Vec<_> =
        headers.map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned())).collect();
    headers.sort();
    (answer.status, body, headers)
}

fn new_user(name: &str, role: Role) -> NewUser {
    NewUser { email: format!("{name}@example.com"), full_name: None, role }
}

#[tokio::test]
async fn a_taken_address_cannot_be_told_from_a_new_one() {
    let test = TestApp::new().await;
    let new = register(&test, "Ada@Example.com", PASSWORD).await.expect(202);
    for taken in ["Ada@Example.com", "ada@example.com", "ADA@EXAMPLE.COM"] {
        assert_eq!(face(&register(&test, taken, OTHER).await), face(&new));
    }
    login(&test, "ada@example.com", OTHER).await.expect(401);
    let tokens = login(&test, "aDa@eXample.com", PASSWORD).await.expect(200).json();
    let mut ada = test.guest();
    ada.tokens = tokens;
    let me = ada.get(ME).await.expect(200).json();
    assert_eq!(
        (&me["email"], &me["role"], &me["full_name"]),
        (&json!("Ada@Example.com"), &json!("user"), &Value::Null)
    );
    let again = ["user.registered_again"; 3];
    assert_eq!(test.trail().await[..4], [&["user.registered"], &again[..]].concat());

    let answers = join_all((0..10).map(|_| register(&test, "bob@example.com", PASSWORD))).await;
    assert!(answers.iter().all(|answer| face(answer) == face(&new)));
    assert_eq!(accounts(&test).await, 2);
}

#[tokio::test]
async fn every_fault_of_a_registration_is_named() {
    let test = TestApp::new().await;
    let (long, many) = (format!("{}@example.com", "a".repeat(65)), |n: usize| "é".repeat(n));
    let bad =
        "ada,ada@,@example.com,ada@example,a b@example.com,ada@example.com ,a@b@c.com,<ada@example.com>,ada@e..com";
    for bad in bad.split(',').chain(["a\u{0}@example.com", &long]) {
        assert_eq!(register(&test, bad, PASSWORD).await.expect(422).faults(), ["email: format"], "{bad:?}");
    }
    for (bad, fault) in [
        ("", "password: length"),
        (&many(9), "password: length"),
        (&many(257), "password: length"),
        (&many(1025), "password: length"),
        ("qwertyuiop", "password: common"),
        ("QwertyUIOP", "password: common"),
        ("ADA.LOVELACE@example.com", "password: common"),
        ("Ada.Lovelace", "password: common"),
    ] {
        assert_eq!(register(&test, "ada.lovelace@example.com", bad).await.expect(422).faults(), [fault], "{bad:?}");
    }
    let all = json!({ "email": "xyz", "password": "short", "full_name": "a\u{0}b" });
    for (body, faults) in [
        (json!({}), "email: required, password: required"),
        (json!({ "email": null, "password": 7 }), "email: type, password: type"),
        (json!({ "email": "x@example.com", "password": PASSWORD, "role": "superadmin" }), "role: unknown"),
        (json!({ "email": "x@example.com", "password": PASSWORD, "full_name": "" }), "full_name: length"),
        (all, "email: format, full_name: format, password: length"),
    ] {
        assert_eq!(test.guest().post(REGISTER, body.clone()).await.expect(422).faults().join(", "), faults, "{body}");
    }
    assert_eq!(accounts(&test).await, 0);
    // Characters are counted, not bytes, and null is no name.
    let body = json!({ "email": "ada@example.com", "password": many(10), "full_name": null });
    test.guest().post(REGISTER, body).await.expect(202);
    login(&test, "ada@example.com", &many(10)).await.expect(200);
}

#[tokio::test]
async fn closed_registration_leaves_accounts_to_administrators() {
    let test = TestApp::with(|config| config.auth.registration = false).await;
    test.user("ada").await;
    for email in ["ada@example.com", "bob@example.com"] {
        assert_eq!(register(&test, email, PASSWORD).await.expect(403).code(), "AUTHORIZATION_ERROR");
    }
    assert_eq!(accounts(&test).await, 1);
}

#[tokio::test]
async fn accounts_are_made_up_to_the_role_of_their_maker() {
    let test = TestApp::new().await;
    let mut me = Principal::command_line();
    let make = async |me: &Principal, new| create_account(&test.app, me, new, Secret::new(PASSWORD.into())).await;
    make(&me, new_user("ada", Role::Superadmin)).await.unwrap();
    let taken = NewUser { email: "ADA@example.com".into(), ..new_user("", Role::User) };
    assert_eq!(make(&me, taken).await.unwrap_err().code(), Code::Conflict);
    me.subject = Account { role: Role::Admin, ..(*me.subject).clone() }.into();
    assert_eq!(make(&me, new_user("eve", Role::Superadmin)).await.unwrap_err().code(), Code::Authorization);
    make(&me, new_user("bob", Role::Admin)).await.unwrap();
    assert_eq!(accounts(&test).await, 2);
}

#[tokio::test]
async fn a_refused_sign_in_says_nothing() {
    let test = TestApp::new().await;
    let (ada, admin) = (test.user("ada").await, test.admin().await);
    let wrong = login(&test, "ada@example.com", OTHER).await.expect(401);
    assert_eq!((wrong.code(), wrong.header("www-authenticate")), ("AUTHENTICATION_ERROR".into(), "Bearer"));
    let long = "x".repeat(1024);
    let others = [("", ""), ("ada@example.com", &*long), ("ada@example.com'--", PASSWORD), ("a\u{0}", "b")];
    for (email, password) in others.into_iter().chain([("nobody@example.com", PASSWORD)]) {
        assert_eq!(face(&login(&test, email, password).await), face(&wrong), "{email:?}");
    }
    for body in [json!({ "email": "ada@example.com" }), json!({ "email": 1, "password": PASSWORD }), json!(null)] {
        assert_eq!(test.guest().post(LOGIN, body).await.expect(422).code(), "VALIDATION_ERROR");
    }
    admin.post(&format!("{USERS}/{}/deactivate", ada.id), Value::Null).await.expect(200);
    for password in [PASSWORD, OTHER] {
        assert_eq!(face(&login(&test, "ada@example.com", password).await), face(&wrong));
    }
    let failed = test.trail().await.into_iter().filter(|action| action == "user.sign_in_failed").count();
    assert_eq!(failed, 8);
}

#[tokio::test]
async fn a_sign_in_is_counted_and_answers_tokens() {
    let test = TestApp::new().await;
    let (ada, admin) = (test.user("ada").await, test.admin().await);
    test.advance(Duration::from_secs(60));
    let answer = login(&test, " ADA@EXAMPLE.COM ", PASSWORD).await.expect(200);
    assert_eq!(answer.header("cache-control"), "no-store");
    let tokens = answer.json();
    assert_eq!((&tokens["token_type"], &tokens["expires_in"]), (&json!("bearer"), &json!(900)));
    assert_eq!(tokens["expires_at"], "2026-11-21T00:16:00.000000Z");
    let user = admin.get(&format!("{USERS}/{}", ada.id)).await.json();
    assert_eq!((&user["login_count"], &user["last_login_at"]), (&json!(2), &json!("2026-11-21T00:01:00.000000Z")));
    let keys = test.guest().get("/.well-known/jwks.json").await.expect(200);
    assert_eq!(keys.header("content-type"), "application/jwk-set+json");
    let members: Vec<_> = keys.json()["keys"][0].as_object().unwrap().keys().cloned().collect();
    assert_eq!(members, ["kty", "crv", "alg", "use", "kid", "x"]);
}

#[tokio::test]
async fn too_many_sign_ins_at_once_are_told_to_come_back() {
    let slow = |config: &mut Config| {
        (config.auth.argon2_threads, config.auth.argon2_queue) = (1, 1);
        (config.auth.argon2_memory, config.auth.argon2_iterations) = (16 << 20, 2);
    };
    let test = TestApp::with(slow).await;
    let answers = join_all((0..30).map(|_| login(&test, "nobody@example.com", PASSWORD))).await;
    let refused: Vec<_> = answers.iter().filter(|answer| answer.status != 401).collect();
    assert!(!refused.is_empty());
    for answer in refused {
        assert_eq!((answer.status, &*answer.code()), (429, "RATE_LIMIT_EXCEEDED"));
        assert_eq!(answer.header("retry-after"), "2");
    }
    login(&test, "nobody@example.com", PASSWORD).await.expect(401);
}

#[tokio::test]
async fn a_new_password_ends_every_other_session() {
    let test = TestApp::new().await;
    let (ada, bob) = (test.user("ada").await, test.user("bob").await);
    let other = test.sign_in(&ada.email).await;
    let change = |who: &Persona, current: &str, new: &str| {
        let (who, body) = (who.clone(), json!({ "current_password": current, "new_password": new }));
        async move { who.post(CHANGE, body).await }
    };
    change(&test.guest(), PASSWORD, OTHER).await.expect(401);
    for (current, new, fault) in [
        (OTHER, OTHER, "current_password: wrong"),
        (PASSWORD, "short", "new_password: length"),
        (PASSWORD, "qwertyuiop", "new_password: common"),
        (PASSWORD, "ADA@example.com", "new_password: common"),
    ] {
        assert_eq!(change(&ada, current, new).await.expect(422).faults(), [fault], "{new}");
    }
    other.get(ME).await.expect(200);
    change(&ada, PASSWORD, OTHER).await.expect(204);
    for (who, status) in [(&other, 401), (&ada, 200), (&bob, 200)] {
        who.get(ME).await.expect(status);
        test.guest().post(REFRESH, json!({ "refresh_token": who.tokens["refresh_token"] })).await.expect(status);
    }
    login(&test, &ada.email, PASSWORD).await.expect(401);
    login(&test, &ada.email, OTHER).await.expect(200);
    assert!(test.trail().await.contains(&"user.password_changed".into()));

    let user = users::find_by_email_any_owner(&test.app, "ADA@example.com").await.unwrap().unwrap();
    let me = Principal::command_line();
    let bad = reset_password(&test.app, &me, &user, Secret::new("short".into())).await.unwrap_err();
    assert_eq!(bad.code(), Code::Validation);
    ada.get(ME).await.expect(200);
    reset_password(&test.app, &me, &user, Secret::new(PASSWORD.into())).await.unwrap();
    ada.get(ME).await.expect(401);
    login(&test, &ada.email, OTHER).await.expect(401);
    login(&test, &ada.email, PASSWORD).await.expect(200);
}

#[tokio::test]
async fn a_setup_link_makes_one_superadmin() {
    let test = TestApp::new().await;
    let origin = Origin::default();
    let consume = async |token: &str, name: &str, password: &str| {
        // Whatever is asked for, the first one operates the installation.
        let made = set_up(&test.app, &origin, token, new_user(name, Role::User), Secret::new(password.into())).await;
        made.map(|user| user.role).map_err(|error| error.code())
    };
    let open = async |token: &str| is_setup_link_open(&test.app, token).await.unwrap();
    let offer = async || offer_setup_link(&test.app).await.unwrap();
    test.user("ada").await;
    let (first, second) = (offer().await.unwrap(), offer().await.unwrap());
    assert_eq!(
        (open(&first).await, open(&second).await, open("junk").await, open("").await),
        (false, true, false, false)
    );
    assert_eq!(consume(&first, "root", PASSWORD).await, Err(Code::NotFound));
    // What is refused consumes nothing.
    assert_eq!(consume(&second, "root", "short").await, Err(Code::Validation));
    assert_eq!(consume(&second, "ada", PASSWORD).await, Err(Code::Conflict));
    assert!(open(&second).await);
    test.advance(Duration::from_secs(30 * 60));
    assert!(!open(&second).await);
    assert_eq!(consume(&second, "root", PASSWORD).await, Err(Code::NotFound));

    let third = offer().await.unwrap();
    let names = ["root0", "root1", "root2", "root3", "root4"];
    let made = join_all(names.iter().map(|name| consume(&third, name, PASSWORD))).await;
    let (good, bad): (Vec<_>, Vec<_>) = made.into_iter().partition(Result::is_ok);
    assert_eq!((good, bad), (vec![Ok(Role::Superadmin)], vec![Err(Code::NotFound); 4]));
    assert_eq!((accounts(&test).await, offer().await), (2, None));
    assert!(!open(&third).await);
}

#[tokio::test]
async fn a_setup_link_dies_with_the_first_superadmin_however_they_came() {
    let test = TestApp::new().await;
    let token = offer_setup_link(&test.app).await.unwrap().unwrap();
    test.superadmin().await;
    assert!(!is_setup_link_open(&test.app, &token).await.unwrap());
    let new = new_user("eve", Role::Superadmin);
    let late = set_up(&test.app, &Origin::default(), &token, new, Secret::new(PASSWORD.into())).await;
    assert_eq!(late.unwrap_err().code(), Code::NotFound);
}

#[tokio::test]
async fn a_sign_in_renews_a_hash_with_old_parameters() {
    let test = TestApp::new().await;
    let ada = test.user("ada").await;
    let hash = async || {
        let read = test.app.db.read(move |c| Ok(store::find_password(c, ada.id)?)).await;
        read.unwrap().unwrap().0
    };
    let section = AuthSection { argon2_memory: 16 << 10, argon2_iterations: 2, ..test.app.config.auth.clone() };
    let old = Passwords::start(&section).unwrap().hash(Secret::new(PASSWORD.into())).await.unwrap();
    let (stored, now) = (old.clone(), test.app.now());
    test.app.db.write(move |tx| Ok(store::set_password(tx, ada.id, &stored, now)?)).await.unwrap();
    login(&test, &ada.email, OTHER).await.expect(401);
    assert_eq!(hash().await, old);
    login(&test, &ada.email, PASSWORD).await.expect(200);
    let new = hash().await;
    assert!(old.contains("$m=16,t=2,p=1$") && new.contains("$m=8,t=1,p=1$"), "{old} {new}");
    login(&test, &ada.email, PASSWORD).await.expect(200);
    assert_eq!(hash().await, new);
}

#[tokio::test]
async fn a_sign_in_that_a_change_overtook_is_refused() {
    // With one thread that reads, what is read later comes after what was asked before.
    let test = TestApp::with(|config| (config.database.readers, config.database.pool_size) = (1, 1)).await;
    let admin = test.admin().await;
    let section = AuthSection { argon2_memory: 16 << 10, ..test.app.config.auth.clone() };
    let old = Passwords::start(&section).unwrap().hash(Secret::new(PASSWORD.into())).await.unwrap();
    for case in ["deactivated", "password changed", "password changed from an outdated hash"] {
        let ada = test.user(&case.replace(' ', "-")).await;
        if case.ends_with("hash") {
            let (hash, now) = (old.clone(), test.app.now());
            test.app.db.write(move |tx| Ok(store::set_password(tx, ada.id, &hash, now)?)).await.unwrap();
        }
        test.advance(Duration::from_secs(1));
        let mut slow = Box::pin(login(&test, &ada.email, PASSWORD));
        assert!(poll!(&mut slow).is_pending());
        test.app.db.read(|_| Ok(())).await.unwrap();
        // It has read the account by now, and knows nothing of what comes.
        if case == "deactivated" {
            admin.post(&format!("{USERS}/{}/deactivate", ada.id), Value::Null).await.expect(200);
        } else {
            let body = json!({ "current_password": PASSWORD, "new_password": OTHER });
            ada.post(CHANGE, body).await.expect(204);
        }
        assert_eq!(slow.await.expect(401).code(), "AUTHENTICATION_ERROR", "{case}");
        if case != "deactivated" {
            login(&test, &ada.email, PASSWORD).await.expect(401);
            login(&test, &ada.email, OTHER).await.expect(200);
        }
    }
    // So is a change of password that another one overtook.
    let user = users::find_by_email_any_owner(&test.app, &admin.email).await.unwrap().unwrap();
    let mut slow =
        Box::pin(admin.post(CHANGE, json!({ "current_password": PASSWORD, "new_password": "taken-over-now" })));
    assert!(poll!(&mut slow).is_pending());
    test.app.db.read(|_| Ok(())).await.unwrap();
    test.advance(Duration::from_secs(1));
    reset_password(&test.app, &Principal::command_line(), &user, Secret::new(OTHER.into())).await.unwrap();
    assert_eq!(slow.await.expect(422).faults(), ["current_password: wrong"]);
    login(&test, &admin.email, OTHER).await.expect(200);
}

/// Where `secret` stands in the store, as `table.column`.
async fn whereabouts(test: &TestApp, secret: &str) -> Vec<String> {
    let secret = secret.to_owned();
    let read = test.app.db.read(move |c| {
        let columns = match c.dialect() {
            Dialect::Sqlite => {
                "select t.name as t, c.name as c from sqlite_master t, pragma_table_info(t.name) c \
                 where t.type = 'table' and lower(c.type) = 'text'"
            }
            Dialect::Postgres => {
                "select cast(table_name as text) as t, cast(column_name as text) as c from information_schema.columns \
                 where table_schema = current_schema() and data_type = 'text'"
            }
        };
        let columns = c.all(columns, &[], |row| Ok((row.get::<String>("t")?, row.get::<String>("c")?)))?;
        assert!(columns.len() > 20, "{columns:?}");
        let mut found = Vec::new();
        for (table, column) in columns {
            let sql = format!("select count(*) as n from {table} where replace({column}, ?1, '') <> {column}");
            if c.one(&sql, params![&secret], |row| row.get::<i64>("n"))? > 0 {
                found.push(format!("{table}.{column}"));
            }
        }
        Ok(found)
    });
    read.await.unwrap()
}

#[tokio::test]
async fn what_proves_who_somebody_is_stands_nowhere() {
    let test = TestApp::new().await;
    let setup = offer_setup_link(&test.app).await.unwrap().unwrap();
    let (root, ada) = (test.superadmin().await, test.user("ada").await);
    let credentials = super::Credentials { email: root.email.clone(), password: PASSWORD.into() };
    let cookie = open_console(&test.app, &Origin::default(), credentials).await.unwrap();
    let refresh = json!({ "refresh_token": ada.tokens["refresh_token"] });
    let wrong = json!({ "email": ada.email, "password": OTHER });
    let change = json!({ "current_password": PASSWORD, "new_password": OTHER });
    let account = format!("{USERS}/{}", ada.id);
    let answers = [
        register(&test, "bob@example.com", PASSWORD).await.expect(202),
        register(&test, "bob@example.com", OTHER).await.expect(202),
        test.guest().post(LOGIN, wrong).await.expect(401),
        test.guest().post(LOGIN, json!({ "email": OTHER, "password": PASSWORD })).await.expect(401),
        test.guest().post(REFRESH, refresh.clone()).await.expect(200),
        ada.post(CHANGE, json!({ "current_password": OTHER, "new_password": PASSWORD })).await.expect(422),
        ada.post(CHANGE, change).await.expect(204),
        ada.get("/api/v1/app/auth/sessions").await.expect(200),
        ada.patch(ME, json!({ "full_name": "Ada" })).await.expect(200),
        root.patch(&account, json!({ "role": "admin", "is_active": false })).await.expect(200),
        root.get(&account).await.expect(200),
        root.get(USERS).await.expect(200),
        test.guest().post("/api/v1/public/auth/logout", refresh).await.expect(204),
    ];
    assert_eq!(whereabouts(&test, "$argon2").await, ["passwords.hash"]);
    assert_eq!(whereabouts(&test, "user.password_changed").await, ["audit_entries.action"]);
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let tokens = ["access_token", "refresh_token"].map(|name| text(&ada.tokens[name]));
    for secret in [PASSWORD, OTHER, &setup, &cookie, &tokens[0], &tokens[1]] {
        assert_eq!(whereabouts(&test, secret).await, [] as [String; 0], "{secret}");
        assert!(answers.iter().all(|answer| !answer.text.contains(secret)), "{secret}");
    }
    assert!(answers.iter().all(|answer| !answer.text.contains("$argon2")));
}
