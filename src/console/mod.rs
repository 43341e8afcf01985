//! The console's shell: signing in and out, the first administrator, the overview, finding things.
//!
//! Owns no table. The pages of a capability stand in its own `admin.rs`.
//!
//! Every action is a real form or link; htmx improves it. Nothing here is cached by a browser, and a page never decides a
//! rule: it calls the operations that the JSON API calls.
//!
//! Reached under `/admin`.

mod overview;
mod search;
mod sign_in;
#[cfg(test)]
mod tests;

use poem::http::{HeaderValue, header};
use poem::middleware::AddData;
use poem::{Endpoint, EndpointExt, IntoResponse, Request, Response, Route, get, handler, post};

use crate::base::html::see_other;
use crate::shell::{Console, Form, Navigation, add_cookie, clear_flash, safe_return};

/// The console: its own pages beside those of the capabilities.
pub(crate) fn pages(navigation: Navigation, pages: Route) -> impl Endpoint<Output = Response> {
    pages
        .at("/", get(overview::show))
        .at("/sign-in", get(sign_in::show).post(sign_in::submit))
        .at("/sign-out", post(sign_in::end))
        .at("/setup/:token", get(sign_in::show_setup).post(sign_in::submit_setup))
        .at("/theme", post(theme))
        .at("/search", get(search::show))
        .with(AddData::new(navigation))
        .around(frame)
}

/// What every answer of the console carries.
async fn frame<E: Endpoint>(next: std::sync::Arc<E>, request: Request) -> poem::Result<Response> {
    let shown = request.header("cookie").is_some_and(|cookies| cookies.contains("flash="));
    let is_get = request.method() == poem::http::Method::GET;
    let mut response = next.call(request).await?.into_response();
    response.headers_mut().insert(header::VARY, HeaderValue::from_static("HX-Request, HX-Request-Type, Cookie"));
    if shown && is_get && response.is_success() {
        clear_flash(&mut response);
    }
    Ok(response)
}

/// `/` leads to the console.
#[handler]
pub(crate) fn front_door() -> Response {
    see_other("/admin")
}

/// Remembers the theme, and comes back to the page it was chosen on.
#[handler]
fn theme(_console: Console, form: Form) -> Response {
    let back = form.text("return");
    let mut response = see_other(safe_return(&back));
    let theme = match form.text("theme").as_str() {
        "light" => "light",
        "dark" => "dark",
        _ => "auto",
    };
    add_cookie(&mut response, &format!("theme={theme}; Path=/; SameSite=Lax; Max-Age=31536000"));
    response
}
