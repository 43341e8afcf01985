//! Signing in to the console, signing out, and creating the first administrator.

use askama::Template;
use poem::http::{StatusCode, header};
use poem::web::{Path, Query};
use poem::{IntoResponse, Response, handler};
use serde::Deserialize;

use crate::app::App;
use crate::auth::{self, Credentials};
use crate::base::error::{Code, Error, Faults, Result};
use crate::base::html::{Html, Shell, see_other};
use crate::base::principal::{From, Origin, Principal, Role};
use crate::base::secret::Secret;
use crate::sessions;
use crate::shell::{Console, Form, Visitor, done, safe_return};
use crate::users::NewUser;

#[derive(Template)]
#[template(path = "admin/console/sign_in.html")]
struct SignInPage {
    shell: Shell,
    error: Option<String>,
    email: String,
    next: String,
}

#[derive(Deserialize)]
pub(super) struct Asked {
    #[serde(default)]
    next: String,
}

/// The form; whoever is signed in already goes on.
#[handler]
pub(super) fn show(request: &poem::Request, Visitor(shell): Visitor, Query(asked): Query<Asked>) -> Response {
    if request.extensions().get::<Principal>().is_some() {
        return see_other(safe_return(&asked.next));
    }
    Html(StatusCode::OK, SignInPage { shell, error: None, email: String::new(), next: asked.next }).into_response()
}

#[handler]
pub(super) async fn submit(app: App, from: From, Visitor(shell): Visitor, form: Form) -> Result<Response> {
    let (email, next) = (form.text("email"), form.text("next"));
    let credentials = Credentials { email: email.clone(), password: form.exact("password") };
    match begin(&app, &from.0, credentials, see_other(safe_return(&next))).await {
        Err(error) if matches!(error.code(), Code::Authentication | Code::RateLimitExceeded) => {
            let page = SignInPage { shell, error: Some(error.message()), email, next };
            let mut response = Html(error.code().status(), page).into_response();
            response.headers_mut().extend(error.headers());
            Ok(response)
        }
        other => other,
    }
}

async fn begin(app: &App, origin: &Origin, credentials: Credentials, mut on: Response) -> Result<Response> {
    let token = auth::open_console(app, origin, credentials).await?;
    on.headers_mut().append(header::SET_COOKIE, sessions::session_cookie(app, &token));
    Ok(on)
}

/// Ends the session, not only the cookie.
#[handler]
pub(super) async fn end(app: App, console: Console, _form: Form) -> Result<Response> {
    if let Some(session) = console.me.session() {
        sessions::end(&app, session, &console.me.origin).await?;
    }
    let mut response = see_other("/admin/sign-in");
    response.headers_mut().append(header::SET_COOKIE, sessions::clear_cookie(&app));
    Ok(response)
}

#[derive(Template)]
#[template(path = "admin/console/setup.html")]
struct SetupPage {
    shell: Shell,
    token: String,
    email: String,
    full_name: String,
    password_hint: String,
    faults: Faults,
}

impl SetupPage {
    fn new(app: &App, shell: Shell, token: String, form: Option<&Form>, faults: Faults) -> Self {
        let text = |name| form.map(|form| form.text(name)).unwrap_or_default();
        let min = app.config.auth.password_min_length;
        let password_hint =
            format!("At least {min} characters. A few unrelated words are easier to keep than symbols.");
        Self { shell, token, email: text("email"), full_name: text("full_name"), password_hint, faults }
    }
}

/// Only shows the form: looking at the link consumes nothing.
#[handler]
pub(super) async fn show_setup(
    app: App,
    Visitor(shell): Visitor,
    Path(token): Path<String>,
) -> Result<Html<SetupPage>> {
    if !auth::is_setup_link_open(&app, &token).await? {
        return Err(Error::not_found(
            "setup link: it was used, or is older than 30 minutes. Restart the server for a new one",
        ));
    }
    Ok(Html(StatusCode::OK, SetupPage::new(&app, shell, token, None, Faults::default())))
}

#[handler]
pub(super) async fn submit_setup(
    app: App,
    from: From,
    Visitor(shell): Visitor,
    Path(token): Path<String>,
    form: Form,
) -> Result<Response> {
    let (email, password) = (form.text("email"), form.exact("password"));
    let new = NewUser { email: email.clone(), full_name: form.optional("full_name"), role: Role::Superadmin };
    match auth::set_up(&app, &from.0, &token, new, Secret::new(password.clone())).await {
        Ok(_) => {
            begin(
                &app,
                &from.0,
                Credentials { email, password },
                done("/admin", "Welcome. You are the first one here."),
            )
            .await
        }
        Err(error) if error.code() == Code::Validation => {
            let page = SetupPage::new(&app, shell, token, Some(&form), error.faults()?);
            Ok(Html(StatusCode::UNPROCESSABLE_ENTITY, page).into_response())
        }
        Err(error) if error.code() == Code::Conflict => {
            let mut faults = Faults::default();
            faults.add("email", "taken", error.message());
            let page = SetupPage::new(&app, shell, token, Some(&form), faults);
            Ok(Html(StatusCode::CONFLICT, page).into_response())
        }
        Err(error) => Err(error),
    }
}
