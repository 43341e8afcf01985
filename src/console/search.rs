//! Finding a record by a pasted id or by text.

use askama::Template;
use poem::http::StatusCode;
use poem::web::Query;
use poem::{IntoResponse, Response, handler};
use serde::Deserialize;

use crate::app::App;
use crate::base::error::Result;
use crate::base::html::{Html, Shell, see_other};
use crate::base::id::Id;
use crate::base::page::PageRequest;
use crate::shell::Console;
use crate::users::{self, Filter, Sort, User};

#[derive(Template)]
#[template(path = "admin/console/search.html")]
struct SearchPage {
    shell: Shell,
    query: String,
    groups: Vec<Group>,
}

struct Group {
    label: &'static str,
    hits: Vec<Hit>,
}

struct Hit {
    href: String,
    title: String,
    detail: String,
}

impl From<User> for Hit {
    fn from(user: User) -> Self {
        let detail = format!("{} · {}", user.full_name.as_deref().unwrap_or("no name"), user.role);
        Self { href: format!("/admin/users/{}", user.id), title: user.email, detail }
    }
}

#[derive(Deserialize)]
struct Asked {
    #[serde(default)]
    q: String,
}

/// A pasted id leads to its record; anything else lists what has it in its name.
#[handler]
pub(super) async fn show(app: App, console: Console, Query(asked): Query<Asked>) -> Result<Response> {
    let query: String = asked.q.trim().chars().filter(|c| !c.is_control()).take(255).collect();
    if let Some(id) = Id::parse(&query)
        && users::get_any_owner(&app, id).await.is_ok()
    {
        return Ok(see_other(&format!("/admin/users/{id}")));
    }
    let mut groups = Vec::new();
    if !query.is_empty() {
        let filter = Filter { search: Some(query.clone()), ..Filter::default() };
        let first = PageRequest { skip: 0, limit: 20, cursor: None };
        let found = users::list_any_owner(&app, filter, Sort::Email, first).await?;
        let hits: Vec<Hit> = found.items.into_iter().map(Hit::from).collect();
        groups.extend((!hits.is_empty()).then_some(Group { label: "Users", hits }));
    }
    Ok(Html(StatusCode::OK, SearchPage { shell: console.shell, query, groups }).into_response())
}
