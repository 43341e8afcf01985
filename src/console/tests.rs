//! The console through its pages: signing in and out, the first administrator, and who gets in at all.

use poem::http::Method;

use crate::auth;
use crate::base::principal::Role;
use crate::testing::{Answer, Ask, PASSWORD, Persona, TestApp};

/// A browser that keeps its cookies.
struct Browser {
    guest: Persona,
    cookies: String,
}

impl Browser {
    fn new(test: &TestApp) -> Self {
        Self { guest: test.guest(), cookies: String::new() }
    }

    async fn signed_in(test: &TestApp, email: &str) -> Self {
        let mut browser = Self::new(test);
        let answer = browser.sign_in(email, PASSWORD).await.expect(303);
        assert_eq!(answer.header("location"), "/admin");
        browser
    }

    fn ask(&self, method: Method, path: &str) -> Ask {
        self.guest.ask(method, path).header("cookie", &self.cookies)
    }

    async fn get(&self, path: &str) -> Answer {
        self.ask(Method::GET, path).send().await
    }

    /// Sends a form with the hidden field of the page it stands on.
    async fn submit(&mut self, page: &str, path: &str, fields: &[(&str, &str)]) -> Answer {
        let html = self.get(page).await.text;
        let token =
            html.split("name=\"_csrf\" value=\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap_or("none");
        let fields = [fields, &[("_csrf", token)]].concat();
        let answer = self.ask(Method::POST, path).form(&fields).send().await;
        for cookie in answer.headers.get_all("set-cookie") {
            let pair = cookie.to_str().unwrap().split(';').next().unwrap();
            self.cookies = format!("{}; {pair}", self.cookies);
        }
        answer
    }

    async fn sign_in(&mut self, email: &str, password: &str) -> Answer {
        self.submit("/admin/sign-in", "/admin/sign-in", &[("email", email), ("password", password)]).await
    }
}

#[tokio::test]
async fn the_first_administrator_comes_from_the_link_and_only_once() {
    let test = TestApp::new().await;
    let path = format!("/admin/setup/{}", auth::offer_setup_link(&test.app).await.unwrap().unwrap());
    let mut browser = Browser::new(&test);
    // Looking consumes nothing; a bad password keeps what was typed.
    browser.get(&path).await.expect(200);
    let bad = browser.submit(&path, &path, &[("email", "ada@example.com"), ("password", "short")]).await.expect(422);
    assert!(bad.text.contains("value=\"ada@example.com\"") && bad.text.contains("aria-invalid"), "{}", bad.text);
    assert!(!bad.text.contains("short\""));
    let good = [("email", "ada@example.com"), ("full_name", "Ada"), ("password", PASSWORD)];
    browser.submit(&path, &path, &good).await.expect(303);
    let overview = browser.get("/admin").await.expect(200);
    assert!(overview.text.contains("Welcome") && overview.text.contains("superadmin"), "{}", overview.text);
    Browser::new(&test).get(&path).await.expect(404);
    assert!(auth::offer_setup_link(&test.app).await.unwrap().is_none());
}

#[tokio::test]
async fn only_staff_gets_in_and_comes_back_to_where_it_was() {
    let test = TestApp::new().await;
    let (user, support) = (test.user("ada").await, test.support().await);
    let mut browser = Browser::new(&test);
    let away = browser.get("/admin/users?search=a").await.expect(303);
    assert_eq!(away.header("location"), "/admin/sign-in?next=%2Fadmin%2Fusers%3Fsearch%3Da");
    for (email, password) in [(&*user.email, PASSWORD), (&*support.email, "wrong"), ("nobody@example.com", PASSWORD)] {
        let refused = browser.sign_in(email, password).await.expect(401);
        assert!(refused.text.contains("E-mail address or password is wrong.") && refused.text.contains(email));
    }
    let fields = [("email", &*support.email), ("password", PASSWORD), ("next", "/admin/users?search=a")];
    let back = browser.submit("/admin/sign-in", "/admin/sign-in", &fields).await.expect(303);
    assert_eq!(back.header("location"), "/admin/users?search=a");
    let cookie = back.header("set-cookie");
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Lax"), "{cookie}");
    assert!(browser.get("/admin/users?search=ada").await.expect(200).text.contains("ada@example.com"));
    // A fragment must not paint the sign-in page into a table.
    let fragment =
        Browser::new(&test).ask(Method::GET, "/admin/users").header("hx-request", "true").send().await.expect(401);
    assert_eq!(fragment.header("hx-redirect"), "/admin/sign-in?next=%2Fadmin%2Fusers");

    browser.submit("/admin", "/admin/sign-out", &[]).await.expect(303);
    browser.get("/admin").await.expect(303);
}

#[tokio::test]
async fn a_cookie_opens_the_console_and_a_token_the_api_and_neither_the_other() {
    let test = TestApp::new().await;
    let admin = test.admin().await;
    let browser = Browser::signed_in(&test, &admin.email).await;
    browser.get("/api/v1/app/users/me").await.expect(401);
    admin.get("/admin").await.expect(303);
}

#[tokio::test]
async fn forged_forms_change_nothing() {
    let test = TestApp::new().await;
    let (root, ada) = (test.superadmin().await, test.user("ada").await);
    let (mut browser, other) =
        (Browser::signed_in(&test, &root.email).await, Browser::signed_in(&test, &root.email).await);
    let user = format!("/admin/users/{}", ada.id);
    let html = other.get(&user).await.text;
    let foreign = html.split("name=\"_csrf\" value=\"").nth(1).unwrap().split('"').next().unwrap();
    let paths =
        ["/deactivate", "/activate", "", "/sessions/revoke", "/sessions/x/revoke"].map(|end| format!("{user}{end}"));
    for path in paths.iter().map(String::as_str).chain(["/admin/theme", "/admin/sign-out"]) {
        for token in ["", "none", foreign] {
            browser.ask(Method::POST, path).form(&[("_csrf", token)]).send().await.expect(403);
        }
        for (name, value) in [("sec-fetch-site", "cross-site"), ("sec-fetch-site", "same-site")] {
            browser.ask(Method::POST, path).form(&[("_csrf", foreign)]).header(name, value).send().await.expect(403);
        }
    }
    assert_eq!(ada.get("/api/v1/app/users/me").await.expect(200).json()["is_active"], true);
    let done = browser.submit(&user, &format!("{user}/deactivate"), &[]).await.expect(303);
    assert_eq!(done.header("location"), user);
    ada.get("/api/v1/app/users/me").await.expect(401);
}

#[tokio::test]
async fn support_looks_and_does_not_touch() {
    let test = TestApp::new().await;
    let (support, ada) = (test.support().await, test.user("ada").await);
    let mut browser = Browser::signed_in(&test, &support.email).await;
    let user = format!("/admin/users/{}", ada.id);
    let page = browser.get(&user).await.expect(200);
    assert!(!page.text.contains("/deactivate"));
    for end in ["/deactivate", "/activate", "", "/sessions/revoke"] {
        browser.submit(&user, &format!("{user}{end}"), &[("role", "user")]).await.expect(403);
    }
}

#[tokio::test]
async fn nobody_ends_the_sessions_of_somebody_above() {
    let test = TestApp::new().await;
    let (admin, root, ada) = (test.admin().await, test.superadmin().await, test.user("ada").await);
    let mut browser = Browser::signed_in(&test, &admin.email).await;
    let mut end = async |who: &Persona, which: &str| {
        let path = format!("/admin/users/{}/sessions/{which}revoke", who.id);
        browser.submit("/admin", &path, &[]).await.status
    };
    let session = format!("{}/", root.tokens["session_id"].as_str().unwrap());
    assert_eq!((end(&root, "").await, end(&root, &session).await), (403, 403));
    // Nor with a session of one account under the address of another.
    assert_eq!(end(&ada, &session).await, 404);
    root.get("/api/v1/app/users/me").await.expect(200);
    assert_eq!(end(&ada, "").await, 303);
    ada.get("/api/v1/app/users/me").await.expect(401);
}

#[tokio::test]
async fn an_edit_is_checked_kept_and_never_overwrites() {
    let test = TestApp::new().await;
    let (admin, ada) = (test.admin().await, test.user("ada").await);
    let mut browser = Browser::signed_in(&test, &admin.email).await;
    let user = format!("/admin/users/{}", ada.id);
    let fields =
        |version, name, url| [("version", version), ("full_name", name), ("avatar_url", url), ("role", "user")];
    let bad = browser.submit(&user, &user, &fields("\"1\"", "Kept", "javascript:x")).await.expect(422);
    assert!(bad.text.contains("value=\"Kept\"") && bad.text.contains("avatar_url-fault"), "{}", bad.text);
    browser.submit(&user, &user, &fields("\"1\"", "Augusta", "")).await.expect(303);
    let stale = browser.submit(&user, &user, &fields("\"1\"", "Late", "")).await.expect(412);
    assert!(stale.text.contains("<del>Augusta</del>") && stale.text.contains("<ins>Late</ins>"), "{}", stale.text);
    let above = [("version", "\"2\""), ("full_name", "Augusta"), ("role", "superadmin")];
    let above = browser.submit(&user, &user, &above).await.expect(403);
    assert!(above.text.contains("above your own"), "{}", above.text);
    assert_eq!(ada.get("/api/v1/app/users/me").await.json()["role"], Role::User.as_str());
}

#[tokio::test]
async fn pages_say_what_is_wrong() {
    let test = TestApp::new().await;
    let root = test.superadmin().await;
    let browser = Browser::signed_in(&test, &root.email).await;
    for path in ["/admin/nowhere", "/admin/users/x", "/admin/users/00000000-0000-0000-0000-000000000000"] {
        let page = browser.get(path).await.expect(404);
        assert!(page.text.contains("<h1") && page.text.contains(page.header("x-request-id")), "{path}: {}", page.text);
    }
    assert!(browser.get("/admin/users?search=nobody").await.text.contains("No user matches"));
    for query in ["sort=junk", "role=junk", "status=junk", "search=%00"] {
        let answer = browser.get(&format!("/admin/users?{query}")).await;
        assert!(matches!(answer.status, 200 | 422), "{query}: {}", answer.status);
    }
    browser.get("/admin/users?cursor=junk").await.expect(422);
    let found = browser.get(&format!("/admin/search?q={}", root.id)).await.expect(303);
    assert_eq!(found.header("location"), format!("/admin/users/{}", root.id));
    assert!(browser.get("/admin/search?q=root").await.expect(200).text.contains(&root.email));
}
