//! The HTML face of accounts: the list, and one account with its sessions.

use askama::Template;
use poem::http::StatusCode;
use poem::web::{Path, Query};
use poem::{IntoResponse, Response, Route, get, handler, post};
use serde::Deserialize;

use super::{Filter, Sort, User, UserPatch};
use crate::app::App;
use crate::audit;

use crate::base::error::{Code, Faults, Result};
use crate::base::html::{Column, Html, Pager, Shell, grouped, urlencoded};
use crate::base::id::Id;
use crate::base::input::Change;
use crate::base::page::{PageRequest, TOTAL_CAP};
use crate::base::principal::Role;
use crate::sessions::{self, Session};
use crate::shell::{Console, Form, Operator, done, done_with_undo};

/// Adds the pages to the console's.
pub(crate) fn pages(route: Route) -> Route {
    route
        .at("/users", get(list))
        .at("/users/:id", get(show).post(save))
        .at("/users/:id/activate", post(activate))
        .at("/users/:id/deactivate", post(deactivate))
        .at("/users/:id/sessions/revoke", post(revoke_all))
        .at("/users/:id/sessions/:session/revoke", post(revoke))
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Asked {
    search: String,
    status: String,
    role: String,
    sort: String,
    cursor: Option<String>,
}

impl Asked {
    fn any(&self) -> bool {
        !(self.search.is_empty() && self.status.is_empty() && self.role.is_empty())
    }

    fn filter(&self) -> Filter {
        let is_active = match self.status.as_str() {
            "active" => Some(true),
            "inactive" => Some(false),
            _ => None,
        };
        Filter { is_active, role: Role::parse(&self.role), search: Some(self.search.chars().take(255).collect()) }
    }

    fn order(&self) -> Sort {
        Sort::ALL.into_iter().find(|sort| sort.as_str() == self.sort).unwrap_or_default()
    }

    fn href(&self, sort: &str, cursor: Option<&str>) -> String {
        let parameters = [("search", &*self.search), ("status", &self.status), ("role", &self.role), ("sort", sort)];
        let parameters = parameters.into_iter().chain(cursor.map(|cursor| ("cursor", cursor)));
        let query: Vec<String> = parameters
            .filter(|(_, value)| !value.is_empty())
            .map(|(name, value)| format!("{name}={}", urlencoded(value)))
            .collect();
        if query.is_empty() { "/admin/users".into() } else { format!("/admin/users?{}", query.join("&")) }
    }

    fn column(&self, label: &'static str, key: &str) -> Column {
        let (now, reverse) = (self.order().as_str(), format!("-{key}"));
        let (state, next) = match now {
            _ if now == key => ("ascending", reverse.as_str()),
            _ if now == reverse => ("descending", key),
            // Times are most telling with the latest first.
            _ if key == "email" => ("none", key),
            _ => ("none", reverse.as_str()),
        };
        Column { label, href: self.href(next, None), state }
    }
}

#[derive(Template)]
#[template(path = "admin/users/list.html", blocks = ["rows"])]
struct ListPage {
    shell: Shell,
    filter: Asked,
    roles: Vec<String>,
    users: Vec<User>,
    by_email: Column,
    by_last_sign_in: Column,
    by_created: Column,
    pager: Pager,
}

#[handler]
async fn list(app: App, console: Console, Query(asked): Query<Asked>) -> Result<Response> {
    let request = PageRequest { skip: 0, limit: 20, cursor: asked.cursor.clone() };
    let page = super::list_any_owner(&app, asked.filter(), asked.order(), request).await?;
    let sort = asked.order().as_str();
    let href = |cursor: &Option<String>| cursor.as_deref().map(|cursor| asked.href(sort, Some(cursor)));
    let pager = Pager {
        prev: href(&page.prev_cursor),
        next: href(&page.next_cursor),
        shown: page.items.len().to_string(),
        total: grouped(page.total) + if page.total == TOTAL_CAP { "+" } else { "" },
    };
    let page = ListPage {
        by_email: asked.column("User", "email"),
        by_last_sign_in: asked.column("Last sign-in", "last_login_at"),
        by_created: asked.column("Created", "created_at"),
        shell: console.shell,
        filter: Asked { sort: sort.into(), ..asked },
        roles: roles(),
        users: page.items,
        pager,
    };
    Ok(if console.partial {
        Html(StatusCode::OK, page.as_rows()).into_response()
    } else {
        Html(StatusCode::OK, page).into_response()
    })
}

fn roles() -> Vec<String> {
    Role::ALL.iter().map(ToString::to_string).collect()
}

/// A field that somebody else has changed meanwhile.
struct Clash {
    label: &'static str,
    theirs: String,
    yours: String,
}

struct Values {
    full_name: String,
    avatar_url: String,
    role: String,
    version: String,
}

impl Values {
    fn of(user: &User) -> Self {
        Self {
            full_name: user.full_name.clone().unwrap_or_default(),
            avatar_url: user.avatar_url.clone().unwrap_or_default(),
            role: user.role.to_string(),
            version: user.etag().to_string(),
        }
    }

    fn clashes(&self, user: &User) -> Vec<Clash> {
        let theirs = Self::of(user);
        let fields = [
            ("Name", theirs.full_name, &self.full_name),
            ("Role", theirs.role, &self.role),
            ("Picture address", theirs.avatar_url, &self.avatar_url),
        ];
        let clash = |(label, theirs, yours): (_, String, &String)| Clash { label, theirs, yours: yours.clone() };
        fields.into_iter().filter(|(_, theirs, yours)| theirs != *yours).map(clash).collect()
    }
}

#[derive(Template)]
#[template(path = "admin/users/detail.html")]
struct DetailPage {
    shell: Shell,
    user: User,
    form: Values,
    roles: Vec<String>,
    faults: Faults,
    conflict: Vec<Clash>,
    sessions: Vec<Session>,
    activity: Vec<audit::Entry>,
    editable: bool,
    is_me: bool,
}

impl DetailPage {
    async fn new(app: &App, console: Console, user: User) -> Result<Self> {
        let id = user.id;
        Ok(Self {
            sessions: sessions::list_any_owner(app, &console.me, id).await?,
            activity: audit::recent_of_user(app, id, 10).await?,
            editable: console.me.role() >= Role::Admin && user.role <= console.me.role(),
            is_me: id == console.me.id(),
            form: Values::of(&user),
            roles: roles(),
            faults: Faults::default(),
            conflict: Vec::new(),
            shell: console.shell,
            user,
        })
    }
}

#[handler]
async fn show(app: App, console: Console, Path(id): Path<String>) -> Result<Html<DetailPage>> {
    let user = super::get_any_owner(&app, parse(&id)).await?;
    Ok(Html(StatusCode::OK, DetailPage::new(&app, console, user).await?))
}

#[handler]
async fn save(app: App, Operator(console): Operator, Path(id): Path<String>, form: Form) -> Result<Response> {
    let id = parse(&id);
    let values = Values {
        full_name: form.text("full_name"),
        avatar_url: form.text("avatar_url"),
        role: form.text("role"),
        version: form.text("version"),
    };
    let role = Role::parse(&values.role);
    let patch = UserPatch {
        full_name: Change::Set(form.optional("full_name")),
        avatar_url: Change::Set(form.optional("avatar_url")),
        role: role.map_or(Change::Keep, Change::Set),
        is_active: Change::Keep,
    };
    let mut faults = patch.faults();
    if role.is_none() {
        faults.add("role", "choice", "Choose one of the roles.");
    }
    too_long(&mut faults, "full_name", &values.full_name, 255);
    too_long(&mut faults, "avatar_url", &values.avatar_url, 2048);
    let saved = match faults.check() {
        Ok(()) => super::update_any_owner(&app, &console.me, id, patch, Some(values.version.clone())).await,
        Err(error) => Err(error),
    };
    let error = match saved {
        Ok(user) => return Ok(done(&format!("/admin/users/{id}"), &format!("Saved {}.", user.email))),
        Err(error) => error,
    };
    if !matches!(error.code(), Code::Validation | Code::PreconditionFailed | Code::Authorization | Code::Conflict) {
        return Err(error);
    }
    // Nothing typed is lost: the page comes back with it, and says what to do.
    let status = error.code().status();
    let mut page = DetailPage::new(&app, console, super::get_any_owner(&app, id).await?).await?;
    match error.code() {
        Code::PreconditionFailed => {
            page.conflict = values.clashes(&page.user);
            page.form = Values { version: page.user.etag().to_string(), ..values };
            // The tag is renewed, so saving again is a decision and not an accident.
        }
        Code::Validation => {
            page.faults = error.faults()?;
            page.form = values;
        }
        _ => {
            page.faults.add("role", "choice", error.message());
            page.form = values;
        }
    }
    Ok(Html(status, page).into_response())
}

fn too_long(faults: &mut Faults, field: &str, text: &str, max: usize) {
    if text.chars().count() > max {
        faults.add(field, "length", format!("Write at most {max} characters."));
    }
}

#[handler]
async fn activate(app: App, Operator(console): Operator, Path(id): Path<String>, _form: Form) -> Result<Response> {
    let user = super::set_active_any_owner(&app, &console.me, parse(&id), true).await?;
    let (page, text) = (format!("/admin/users/{id}"), format!("{} is active again.", user.email));
    Ok(done_with_undo(&page, &text, &format!("{page}/deactivate")))
}

#[handler]
async fn deactivate(app: App, Operator(console): Operator, Path(id): Path<String>, _form: Form) -> Result<Response> {
    let user = super::set_active_any_owner(&app, &console.me, parse(&id), false).await?;
    let (page, text) =
        (format!("/admin/users/{id}"), format!("{} is deactivated and signed out everywhere.", user.email));
    Ok(done_with_undo(&page, &text, &format!("{page}/activate")))
}

#[handler]
async fn revoke(
    app: App,
    Operator(console): Operator,
    Path((id, session)): Path<(String, String)>,
    _form: Form,
) -> Result<Response> {
    super::end_session_any_owner(&app, &console.me, parse(&id), parse(&session)).await?;
    Ok(done(&format!("/admin/users/{id}"), "The session is over."))
}

#[handler]
async fn revoke_all(app: App, Operator(console): Operator, Path(id): Path<String>, _form: Form) -> Result<Response> {
    let ended = super::end_sessions_any_owner(&app, &console.me, parse(&id)).await?;
    Ok(done(&format!("/admin/users/{id}"), &format!("Sessions ended: {ended}.")))
}

fn parse(id: &str) -> Id {
    Id::parse(id).unwrap_or(Id::NONE)
}
