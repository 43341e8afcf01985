//! The frame of the console's pages: who is looking, what they may come from, and what the last act came to.
//!
//! A page handler takes [`Console`]: it cannot run for anybody below support; one that changes something takes
//! [`Operator`]. A form handler takes [`Form`], which has
//! already been held against forgery: same origin by `Sec-Fetch-Site` or `Origin`, and a hidden field bound to the
//! session. Both checks work without JavaScript.

use std::collections::HashMap;

use poem::http::{HeaderValue, header};
use poem::{FromRequest, Request, RequestBody, Response};

use crate::app::App;
use crate::base::error::{Error, Result};
use crate::base::html::{self, Flash, Me, NavGroup, NavItem, Shell, Undo};
use crate::base::principal::{Principal, Role, require};
use crate::base::secret::{base64url, from_base64url, mac, random_bytes, same};
use crate::base::web::{self, BodyLimit, cookie};

/// The pages of the sidebar, by group, as `server.rs` lists them.
#[derive(Clone, Copy)]
pub struct Navigation(pub &'static [(&'static str, &'static [Entry])]);

/// A page of the sidebar: label, address, icon, shortcut.
pub type Entry = (&'static str, &'static str, &'static str, &'static str);

impl Navigation {
    fn groups(self, path: &str) -> Vec<NavGroup> {
        let is_here = |href: &str| if href == "/admin" { path == href } else { path.starts_with(href) };
        let item = |&(label, href, icon, key): &Entry| NavItem { label, href, icon, key, current: is_here(href) };
        self.0.iter().map(|(label, items)| NavGroup { label, items: items.iter().map(item).collect() }).collect()
    }
}

/// Somebody looking at the console: support and above.
pub struct Console {
    /// Who.
    pub me: Principal,
    /// The frame around the page.
    pub shell: Shell,
    /// Whether htmx asked for a fragment of the page.
    pub partial: bool,
}

impl<'a> FromRequest<'a> for Console {
    async fn from_request(request: &'a Request, _: &mut RequestBody) -> poem::Result<Self> {
        let me = require(request, Role::Support)?;
        let partial = request.header("hx-request-type") == Some("partial");
        Ok(Self { shell: shell(request, Some(&me))?, me, partial })
    }
}

/// Somebody who may change things in the console: administrators and above.
pub struct Operator(pub Console);

impl<'a> FromRequest<'a> for Operator {
    async fn from_request(request: &'a Request, body: &mut RequestBody) -> poem::Result<Self> {
        require(request, Role::Admin)?;
        Ok(Self(Console::from_request(request, body).await?))
    }
}

/// Somebody who has not signed in yet.
pub struct Visitor(pub Shell);

impl<'a> FromRequest<'a> for Visitor {
    async fn from_request(request: &'a Request, _: &mut RequestBody) -> poem::Result<Self> {
        Ok(Self(shell(request, None)?))
    }
}

fn shell(request: &Request, me: Option<&Principal>) -> Result<Shell> {
    let app = request.data::<App>().ok_or_else(|| anyhow::anyhow!("the App is not on the request"))?;
    let path = request.original_uri().path();
    let nav = request.data::<Navigation>().filter(|_| me.is_some()).map(|nav| nav.groups(path));
    Ok(Shell {
        app_name: app.config.app.name.clone(),
        nav: nav.unwrap_or_default(),
        me: me.map(|me| Me {
            name: me.actor.email.split('@').next().unwrap_or_default().to_owned(),
            email: me.actor.email.clone(),
            role: me.actor.role.to_string(),
            id: me.actor.id.to_string(),
        }),
        csrf: masked(csrf(app, me))?,
        theme: web::theme(request),
        flash: cookie(request, "flash").and_then(read_flash),
        version: env!("CARGO_PKG_VERSION"),
        path: request.original_uri().path_and_query().map(ToString::to_string).unwrap_or_default(),
    })
}

/// What the hidden field proves: bound to the session, so that a page of another session cannot carry it.
fn csrf(app: &App, me: Option<&Principal>) -> [u8; 16] {
    let session = me.and_then(Principal::session).map(|id| id.to_string()).unwrap_or_default();
    mac(&app.keys.csrf, &[session.as_bytes()])
}

/// The field itself: a mask and the masked token, different in every page, so that the size of a compressed page tells
/// nothing of the token.
fn masked(token: [u8; 16]) -> Result<String> {
    let mask = random_bytes::<16>()?;
    Ok(base64url(&[mask, std::array::from_fn(|i| token[i] ^ mask[i])].concat()))
}

fn unmask(field: &str) -> Vec<u8> {
    let bytes = from_base64url(field).unwrap_or_default();
    let (mask, token) = bytes.split_at(bytes.len() / 2);
    mask.iter().zip(token).map(|(mask, byte)| mask ^ byte).collect()
}

/// The fields of a form that was really sent by one of our pages.
pub struct Form(HashMap<String, String>);

impl Form {
    /// A field, without white space around it; empty if it was not sent.
    pub fn text(&self, name: &str) -> String {
        self.0.get(name).map(|text| text.trim().to_owned()).unwrap_or_default()
    }

    /// A field exactly as it was typed: for passwords.
    pub fn exact(&self, name: &str) -> String {
        self.0.get(name).cloned().unwrap_or_default()
    }

    /// A field, if anything was typed.
    pub fn optional(&self, name: &str) -> Option<String> {
        Some(self.text(name)).filter(|text| !text.is_empty())
    }
}

impl<'a> FromRequest<'a> for Form {
    async fn from_request(request: &'a Request, body: &mut RequestBody) -> poem::Result<Self> {
        let forged =
            || Error::forbidden("This form was not sent by a page of ours, or by one of another session. Reload.");
        if !is_same_origin(request) {
            return Err(forged().into());
        }
        let limit = request.data::<BodyLimit>().map_or(1 << 20, |limit| limit.0);
        let bytes = body.take()?.into_bytes_limit(limit as usize).await;
        let bytes = bytes.map_err(|_| Error::bad_request("The form cannot be read, or is too large."))?;
        let fields: HashMap<String, String> = form_urlencoded::parse(&bytes).into_owned().collect();
        let app = App::from_request(request, &mut RequestBody::default()).await?;
        let expected = csrf(&app, request.extensions().get::<Principal>());
        let sent = unmask(fields.get("_csrf").map(String::as_str).unwrap_or_default());
        if !same(&sent, &expected) {
            return Err(forged().into());
        }
        Ok(Self(fields))
    }
}

/// `Sec-Fetch-Site` where the browser sends it (https and localhost), else `Origin` against the host that was asked.
fn is_same_origin(request: &Request) -> bool {
    if let Some(site) = request.header("sec-fetch-site") {
        return matches!(site, "same-origin" | "none");
    }
    let origin = request.header(header::ORIGIN).and_then(|origin| origin.split_once("://"));
    matches!((origin, request.header(header::HOST)), (Some((_, origin)), Some(host)) if origin == host)
}

/// Goes on to `location` with one sentence about what was done.
pub fn done(location: &str, text: &str) -> Response {
    flash(location, text, None)
}

/// As [`done`], with a way back: a form to `action`.
pub fn done_with_undo(location: &str, text: &str, action: &str) -> Response {
    flash(location, text, Some(action))
}

fn flash(location: &str, text: &str, undo: Option<&str>) -> Response {
    let value = serde_json::json!([text, undo]).to_string();
    let mut response = html::see_other(location);
    // Read once by the next page. It can only say what this server wrote, and that as text.
    add_cookie(
        &mut response,
        &format!("flash={}; Path=/admin; HttpOnly; SameSite=Lax; Max-Age=30", base64url(value.as_bytes())),
    );
    response
}

fn read_flash(cookie: &str) -> Option<Flash> {
    let (text, undo): (String, Option<String>) = serde_json::from_slice(&from_base64url(cookie)?).ok()?;
    // A cookie can be planted by a neighbouring host: the way back stays inside the console.
    let undo = undo.filter(|action| action.starts_with("/admin/")).map(|action| Undo { action, label: "Undo" });
    Some(Flash { kind: "success", text, undo, request_id: None })
}

/// Forgets the flash that a page has just shown.
pub fn clear_flash(response: &mut Response) {
    add_cookie(response, "flash=; Path=/admin; HttpOnly; SameSite=Lax; Max-Age=0");
}

/// Sets a cookie beside those already set.
pub fn add_cookie(response: &mut Response, cookie: &str) {
    if let Ok(value) = HeaderValue::from_str(cookie) {
        response.headers_mut().append(header::SET_COOKIE, value);
    }
}

/// Where to go after signing in: a page of the console, never another host.
pub fn safe_return(path: &str) -> &str {
    let inside = path == "/admin" || path.starts_with("/admin/") || path.starts_with("/admin?");
    if inside && !path.contains(['\\', '\r', '\n']) && !path.contains("//") { path } else { "/admin" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn returning_stays_inside() {
        for inside in ["/admin", "/admin/users?search=a", "/admin?x=1"] {
            assert_eq!(safe_return(inside), inside);
        }
        for outside in
            ["", "https://evil.example", "//evil.example", "/admin//evil.example", "/administrator", "/admin\\x"]
        {
            assert_eq!(safe_return(outside), "/admin");
        }
    }

    #[test]
    fn a_flash_leads_nowhere_else() {
        let cookie = |undo: &str| base64url(serde_json::json!(["Done.", undo]).to_string().as_bytes());
        assert!(read_flash(&cookie("/admin/users/1/activate")).unwrap().undo.is_some());
        assert!(read_flash(&cookie("https://evil.example")).unwrap().undo.is_none());
        assert!(read_flash("junk").is_none());
    }
}
