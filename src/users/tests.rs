//! Accounts, through the JSON face.

use std::time::Duration;

use futures_util::future::join_all;
use poem::http::Method;
use serde_json::{Value, json};

use super::{Sort, UserPatch, update_any_owner};
use crate::base::db::params;
use crate::base::error::Code;
use crate::base::input::Change;
use crate::base::principal::{Principal, Role};
use crate::testing::{PASSWORD, Persona, TestApp};

const ME: &str = "/api/v1/app/users/me";
const USERS: &str = "/api/v1/admin/users";

fn path(who: &Persona) -> String {
    format!("{USERS}/{}", who.id)
}

fn column(page: &Value, name: &str) -> Vec<Value> {
    page["items"].as_array().unwrap().iter().map(|item| item[name].clone()).collect()
}

/// The part of each address before the `@`.
fn names(page: &Value) -> Vec<String> {
    column(page, "email").iter().map(|email| email.as_str().unwrap().split('@').next().unwrap().to_owned()).collect()
}

async fn login(test: &TestApp, who: &Persona) -> u16 {
    let body = json!({ "email": who.email, "password": PASSWORD });
    test.guest().post("/api/v1/public/auth/login", body).await.status
}

/// Who did it to whom, and how that looked before and after, oldest first.
async fn trail(test: &TestApp, action: &'static str) -> Vec<Value> {
    let sql = "select actor_id, actor_email, actor_role, subject_id, resource_id, before, after from audit_entries \
               where action = ?1 order by at, id";
    let read = test.app.db.read(move |c| {
        Ok(c.all(sql, params![action], |row| {
            let parse = |text: String| serde_json::from_str::<Value>(&text).unwrap();
            let columns = ["actor_id", "actor_email", "actor_role", "subject_id", "resource_id"];
            let who: Vec<String> = columns.iter().map(|name| row.get(name)).collect::<Result<_, _>>()?;
            Ok(json!({ "who": who, "before": parse(row.get("before")?), "after": parse(row.get("after")?) }))
        })?)
    });
    read.await.unwrap()
}

#[tokio::test]
async fn my_account_is_mine_to_change() {
    let test = TestApp::new().await;
    let ada = test.user("ada").await;
    let first = ada.get(ME).await.expect(200);
    let fields: Vec<String> = first.json().as_object().unwrap().keys().cloned().collect();
    let all = "id email full_name avatar_url role is_active subscription_plan subscription_status created_at";
    assert_eq!(fields.join(" "), all);
    assert_eq!((first.header("etag"), &first.json()["email"]), ("\"1\"", &json!("ada@example.com")));
    let fresh = |tag: &str| ada.ask(Method::GET, ME).header("if-none-match", tag).send();
    let unchanged = fresh("\"1\"").await.expect(304);
    assert_eq!((unchanged.text.as_str(), unchanged.header("etag")), ("", "\"1\""));

    let change = json!({ "full_name": "Ada Lovelace", "avatar_url": "https://example.com/a.png?s=80" });
    let changed = ada.patch(ME, change.clone()).await.expect(200);
    let row = changed.json();
    assert_eq!((&row["full_name"], &row["avatar_url"]), (&change["full_name"], &change["avatar_url"]));
    assert_eq!(changed.header("etag"), "\"2\"");
    // What is not sent stays, and nothing new is no new version.
    for nothing in [json!({}), change] {
        let same = ada.patch(ME, nothing).await.expect(200);
        assert_eq!((&same.json(), same.header("etag")), (&row, "\"2\""));
    }
    fresh("\"1\"").await.expect(200);

    let clear = json!({ "full_name": null });
    let patch = |tag: &str| ada.ask(Method::PATCH, ME).header("if-match", tag).json(clear.clone()).send();
    assert_eq!(patch("\"1\"").await.expect(412).code(), "PRECONDITION_FAILED");
    assert_eq!(ada.get(ME).await.json(), row);
    let cleared = patch("\"2\"").await.expect(200).json();
    assert_eq!((&cleared["full_name"], &cleared["avatar_url"]), (&Value::Null, &row["avatar_url"]));
    assert_eq!(ada.patch(ME, json!({ "avatar_url": null })).await.expect(200).json()["avatar_url"], Value::Null);
    for method in [Method::GET, Method::PATCH] {
        test.guest().ask(method, ME).json(json!({ "full_name": "x" })).send().await.expect(401);
    }
}

#[tokio::test]
async fn every_fault_of_a_change_is_named_and_none_is_applied() {
    let test = TestApp::new().await;
    let (ada, root) = (test.user("ada").await, test.superadmin().await);
    let (before, long) = (ada.get(ME).await.json(), |n: usize| "x".repeat(n));
    let too_long = json!({ "full_name": long(256), "avatar_url": format!("https://e.com/{}", long(2048)) });
    let plan = json!({ "full_name": "Eve", "subscription_plan": "pro", "login_count": 9 });
    let mut both = vec![
        (too_long, "full_name: length, avatar_url: length"),
        (json!({ "full_name": "", "avatar_url": "" }), "full_name: length, avatar_url: length"),
        (json!({ "full_name": " \u{2003}" }), "full_name: length"),
        (json!({ "full_name": "a\u{0}b", "avatar_url": "x" }), "full_name: format, avatar_url: format"),
        (json!({ "full_name": 7, "email": "eve@example.com" }), "full_name: type, email: unknown"),
        (plan, "subscription_plan: unknown, login_count: unknown"),
        (json!([]), ": type"),
    ];
    let scripts =
        "javascript:alert(1) JAVASCRIPT:alert(1) data:text/html,x ftp://example.com //example.com/a https:// /a.png";
    for bad in scripts.split(' ').chain(["https://e.com/\u{0}", "https://e.com/a b"]) {
        both.push((json!({ "avatar_url": bad }), "avatar_url: format"));
    }
    for (body, faults) in both {
        for answer in [ada.patch(ME, body.clone()).await, root.patch(&path(&ada), body.clone()).await] {
            assert_eq!(answer.expect(422).faults().join(", "), faults, "{body}");
        }
    }
    // The owner has no role to give, not even together with a good change.
    let mine = json!({ "full_name": "Eve", "role": "superadmin", "is_active": true, "id": root.id });
    assert_eq!(ada.patch(ME, mine).await.expect(422).faults(), ["role: unknown", "is_active: unknown", "id: unknown"]);
    for (body, faults) in [
        (json!({ "role": "boss", "is_active": "yes" }), vec!["role: choice", "is_active: type"]),
        (json!({ "role": null, "is_active": null }), vec!["role: type", "is_active: type"]),
        (json!({ "role": "Admin" }), vec!["role: choice"]),
    ] {
        assert_eq!(root.patch(&path(&ada), body.clone()).await.expect(422).faults(), faults, "{body}");
    }
    assert_eq!(ada.get(ME).await.json(), before);
}

#[tokio::test]
async fn support_reads_and_administrators_change() {
    let test = TestApp::new().await;
    let (ada, bob) = (test.user("ada").await, test.user("bob").await);
    let staff = (test.support().await, test.admin().await, test.superadmin().await);
    let (guest, (support, admin, root)) = (test.guest(), &staff);
    let table = [(&guest, 401, 401), (&bob, 403, 403), (support, 200, 403), (admin, 200, 200), (root, 200, 200)];
    for (who, reads, changes) in table {
        for address in [USERS.to_owned(), path(&ada), path(root)] {
            let answer = who.get(&address).await.expect(reads);
            assert!(reads == 200 || !answer.text.contains("@example.com"));
        }
        who.patch(&path(&ada), json!({ "full_name": format!("by {}", who.email) })).await.expect(changes);
        for act in ["deactivate", "activate"] {
            let answer = who.post(&format!("{}/{act}", path(&ada)), Value::Null).await.expect(changes);
            assert!(changes != 200 || answer.json()["is_active"] == json!(act == "activate"));
        }
    }
    for junk in ["x", "00000000-0000-0000-0000-000000000000", "%00", "0193aaaa-0000-7000-8000-000000000000"] {
        root.get(&format!("{USERS}/{junk}")).await.expect(404);
        root.patch(&format!("{USERS}/{junk}"), json!({ "full_name": "x" })).await.expect(404);
        root.post(&format!("{USERS}/{junk}/deactivate"), Value::Null).await.expect(404);
    }
    let tag = admin.get(&path(&ada)).await.header("etag").to_owned();
    let read = |tag: &str| support.ask(Method::GET, &path(&ada)).header("if-none-match", tag).send();
    read(&tag).await.expect(304);
    let change = || json!({ "role": "support" });
    let patch = |tag: &str| admin.ask(Method::PATCH, &path(&ada)).header("if-match", tag).json(change()).send();
    patch("\"1\"").await.expect(412);
    patch(&tag).await.expect(200);
    read(&tag).await.expect(200);
}

#[tokio::test]
async fn a_list_shows_what_its_filters_say() {
    let test = TestApp::new().await;
    let root = test.superadmin().await;
    for (name, role, full_name) in [
        ("ada", Role::User, "Ada Zürich"),
        ("a_b", Role::Support, "50% off"),
        ("axb", Role::User, "wow! GRÖßE"),
        ("ünal", Role::Admin, "zÜRICH two"),
    ] {
        let who = test.account(name, role).await;
        root.patch(&path(&who), json!({ "full_name": full_name, "is_active": name != "axb" })).await.expect(200);
    }
    for (query, found) in [
        ("", "a_b ada axb root ünal"),
        ("is_active=true", "a_b ada root ünal"),
        ("is_active=false", "axb"),
        ("role=user", "ada axb"),
        ("role=user&is_active=true", "ada"),
        ("role=superadmin&is_active=false", ""),
        ("search=EXAMPLE.com", "a_b ada axb root ünal"),
        ("search=ada%40", "ada"),
        ("search=%C3%9CNAL", "ünal"),
        ("search=Z%C3%BCrich", "ada ünal"),
        ("search=Z%C3%9CRICH&role=admin", "ünal"),
        ("search=gr%C3%B6%C3%9Fe", "axb"),
        ("search=%25", "a_b"),
        ("search=_", "a_b"),
        ("search=!", "axb"),
        ("search=%27%20or%201%3D1%20--", ""),
        ("search=", "a_b ada axb root ünal"),
        ("search=a&skip=1", "ada axb root ünal"),
    ] {
        let page = root.get(&format!("{USERS}?sort=email&{query}")).await.expect(200).json();
        assert_eq!(names(&page).join(" "), found, "{query}");
        let skipped = page["skip"].as_u64().unwrap();
        assert_eq!(page["total"].as_u64().unwrap(), skipped + found.split_whitespace().count() as u64, "{query}");
    }
    let long = format!("search={}", "x".repeat(256));
    for (query, fault) in [
        ("role=boss", "role: choice"),
        ("is_active=maybe", "is_active: type"),
        ("is_active=1", "is_active: type"),
        ("sort=full_name", "sort: choice"),
        ("sort=-email&sort=email", "sort: repeated"),
        ("search=%00", "search: format"),
        (long.as_str(), "search: length"),
        ("limit=0", "limit: range"),
        ("q=ada", "q: unknown"),
    ] {
        assert_eq!(root.get(&format!("{USERS}?{query}")).await.expect(422).faults(), [fault], "{query}");
    }
}

#[tokio::test]
async fn every_order_is_walked_forward_and_back() {
    let test = TestApp::new().await;
    let root = test.superadmin().await;
    for n in 0..6 {
        // Some at one moment, some never signed in: ties are broken by the id.
        test.advance(Duration::from_secs(n % 2));
        let body = json!({ "email": format!("u{}@example.com", (n * 5) % 6), "password": PASSWORD });
        let email = body["email"].as_str().unwrap().to_owned();
        test.guest().post("/api/v1/public/auth/register", body).await.expect(202);
        if n > 2 {
            test.sign_in(&email).await;
        }
    }
    let mut orders = Vec::new();
    for sort in Sort::ALL.map(Sort::as_str) {
        let list = async |query: String| root.get(&format!("{USERS}?sort={sort}&{query}")).await.expect(200).json();
        let whole = list("limit=100".into()).await;
        let (mut pages, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = list(format!("limit=2{cursor}")).await;
            assert_eq!(page["total"], 7, "{sort}");
            let next = page["next_cursor"].as_str().map(|next| format!("&cursor={next}"));
            pages.push(page);
            let Some(next) = next else { break };
            cursor = next;
        }
        assert_eq!(pages.iter().flat_map(names).collect::<Vec<_>>(), names(&whole), "{sort}");
        assert_eq!(pages[0]["prev_cursor"], Value::Null);
        let mut page = pages.pop().unwrap();
        while let Some(cursor) = page["prev_cursor"].as_str() {
            page = list(format!("limit=2&cursor={cursor}")).await;
            assert_eq!(names(&page), names(&pages.pop().unwrap()), "{sort} back");
        }
        assert!(pages.is_empty(), "{sort} back");
        let keys = column(&whole, sort.trim_start_matches('-'));
        let mut keys: Vec<&str> = keys.iter().map(|key| key.as_str().unwrap_or_default()).collect();
        if sort.starts_with('-') {
            keys.reverse();
        }
        assert!(keys.is_sorted(), "{sort}: {keys:?}");
        // A cursor belongs to its order.
        let cursor = list("limit=2".into()).await["next_cursor"].as_str().unwrap().to_owned();
        let other = if sort == "email" { "-email" } else { "email" };
        let refused = root.get(&format!("{USERS}?sort={other}&limit=2&cursor={cursor}")).await.expect(422);
        assert_eq!(refused.faults(), ["cursor: format"]);
        orders.push((sort.trim_start_matches('-'), names(&whole)));
    }
    for (sort, order) in &orders {
        let reversed: Vec<String> = order.iter().rev().cloned().collect();
        assert!(orders.contains(&(sort, reversed)), "{sort}");
    }
}

#[tokio::test]
async fn nobody_acts_above_themselves() {
    let test = TestApp::new().await;
    let (root, admin, support) = (test.superadmin().await, test.admin().await, test.support().await);
    let (other, ada) = (test.account("admin2", Role::Admin).await, test.user("ada").await);
    for (who, whom, body, status) in [
        (&support, &ada, json!({ "full_name": "x" }), 403),
        (&support, &support, json!({ "role": "admin" }), 403),
        (&admin, &ada, json!({ "role": "superadmin" }), 403),
        (&admin, &ada, json!({ "role": "superadmin", "full_name": "Eve", "is_active": false }), 403),
        (&admin, &admin, json!({ "role": "superadmin" }), 403),
        (&admin, &root, json!({ "role": "user" }), 403),
        (&admin, &root, json!({ "full_name": "Fool" }), 403),
        (&admin, &root, json!({ "is_active": false }), 403),
        (&admin, &ada, json!({ "role": "admin" }), 200),
        (&admin, &other, json!({ "role": "support" }), 200),
        (&admin, &other, json!({ "role": "admin" }), 200),
        (&root, &other, json!({ "role": "superadmin" }), 200),
        (&root, &other, json!({ "role": "user" }), 200),
        (&admin, &admin, json!({ "role": "user" }), 200),
        (&admin, &ada, json!({ "full_name": "x" }), 403),
    ] {
        let before = root.get(&path(whom)).await.text;
        let answer = who.patch(&path(whom), body.clone()).await.expect(status);
        if status == 200 {
            assert_eq!(answer.json()["role"], body["role"]);
        } else {
            let after = root.get(&path(whom)).await.text;
            assert_eq!((answer.code(), after), ("AUTHORIZATION_ERROR".into(), before));
        }
    }
    ada.post(&format!("{}/deactivate", path(&root)), Value::Null).await.expect(403);
}

#[tokio::test]
async fn somebody_can_always_operate() {
    let test = TestApp::new().await;
    let (root, admin) = (test.superadmin().await, test.admin().await);
    for who in [&root, &admin] {
        for answer in [
            who.post(&format!("{}/deactivate", path(who)), Value::Null).await,
            who.patch(&path(who), json!({ "is_active": false })).await,
        ] {
            assert_eq!(answer.expect(400).json()["error"]["message"], "Cannot deactivate your own account");
        }
    }
    // A deactivated superadmin does not count.
    let second = test.account("second", Role::Superadmin).await;
    root.post(&format!("{}/deactivate", path(&second)), Value::Null).await.expect(200);
    assert_eq!(root.patch(&path(&root), json!({ "role": "admin" })).await.expect(409).code(), "CONFLICT");
    let patch = UserPatch { is_active: Change::Set(false), ..UserPatch::default() };
    let refused = update_any_owner(&test.app, &Principal::command_line(), root.id, patch, None).await.unwrap_err();
    assert_eq!(refused.code(), Code::Conflict);
    root.get(ME).await.expect(200);
    root.post(&format!("{}/activate", path(&second)), Value::Null).await.expect(200);
    root.patch(&path(&root), json!({ "role": "admin" })).await.expect(200);
}

#[tokio::test]
async fn of_superadmins_who_all_go_at_once_one_stays() {
    let test = TestApp::new().await;
    let mut all = Vec::new();
    for n in 0..6 {
        all.push(test.account(&format!("root{n}"), Role::Superadmin).await);
    }
    let me = Principal::command_line();
    let goings = all.iter().enumerate().map(|(n, who)| {
        let demotion = UserPatch { role: Change::Set(Role::User), ..UserPatch::default() };
        let end = UserPatch { is_active: Change::Set(false), ..UserPatch::default() };
        update_any_owner(&test.app, &me, who.id, if n % 2 == 0 { demotion } else { end }, None)
    });
    let codes: Vec<_> = join_all(goings).await.into_iter().filter_map(|gone| gone.err().map(|e| e.code())).collect();
    assert_eq!(codes, [Code::Conflict]);
    let left = test.app.db.read(|c| Ok(super::store::count_active(c, Role::Superadmin)?)).await.unwrap();
    assert_eq!(left, 1);
}

#[tokio::test]
async fn the_next_request_sees_a_change() {
    let test = TestApp::new().await;
    let (admin, ada) = (test.admin().await, test.user("ada").await);
    let second = test.sign_in(&ada.email).await;
    for (role, status) in [("support", 200), ("user", 403), ("admin", 200), ("user", 403)] {
        admin.patch(&path(&ada), json!({ "role": role })).await.expect(200);
        ada.get(USERS).await.expect(status);
        assert_eq!(ada.get(ME).await.json()["role"], role);
    }
    for _ in 0..2 {
        admin.post(&format!("{}/deactivate", path(&ada)), Value::Null).await.expect(200);
    }
    assert_eq!(login(&test, &ada).await, 401);
    for active in [false, true] {
        if active {
            admin.post(&format!("{}/activate", path(&ada)), Value::Null).await.expect(200);
        }
        // What was over stays over.
        for session in [&ada, &second] {
            session.get(ME).await.expect(401);
            let token = json!({ "refresh_token": session.tokens["refresh_token"] });
            test.guest().post("/api/v1/public/auth/refresh", token).await.expect(401);
        }
    }
    assert_eq!((login(&test, &ada).await, trail(&test, "user.deactivated").await.len()), (200, 1));
    test.sign_in(&ada.email).await.get(ME).await.expect(200);
}

#[tokio::test]
async fn every_change_is_traced_with_both_sides() {
    let test = TestApp::new().await;
    let (admin, ada) = (test.admin().await, test.user("ada").await);
    let before = admin.get(&path(&ada)).await.json();
    test.advance(Duration::from_secs(1));
    let all = json!({ "role": "support", "is_active": false, "full_name": "Ada L." });
    let after = admin.patch(&path(&ada), all).await.expect(200).json();
    let who = [&admin.id.to_string(), "admin@example.com", "admin", &admin.id.to_string(), &ada.id.to_string()];
    for action in ["user.role_changed", "user.deactivated", "user.updated"] {
        assert_eq!(trail(&test, action).await, [json!({ "who": who, "before": before, "after": after })], "{action}");
    }
    assert_ne!(before["updated_at"], after["updated_at"]);
    assert_eq!(trail(&test, "user.activated").await, [] as [Value; 0]);
    admin.post(&format!("{}/activate", path(&ada)), Value::Null).await.expect(200);
    let activated = &trail(&test, "user.activated").await[0];
    assert_eq!((&activated["before"]["is_active"], &activated["after"]["is_active"]), (&json!(false), &json!(true)));
    // Neither what was refused nor what changed nothing is an act.
    let length = test.trail().await.len();
    admin.patch(&path(&ada), json!({ "role": "superadmin" })).await.expect(403);
    admin.patch(&path(&ada), json!({ "role": "support" })).await.expect(200);
    assert_eq!(test.trail().await.len(), length);
}
