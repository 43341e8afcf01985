//! HTML answers: what every page shows around its content, the small values templates print, errors as pages.

use askama::Template;
use poem::http::{HeaderName, HeaderValue, StatusCode, header};
use poem::{IntoResponse, Response};

use super::assets;
use super::error::{Code, Error};

/// What a page shows around its content.
#[derive(Default)]
pub struct Shell {
    /// The name of the product.
    pub app_name: String,
    /// The sidebar; empty for whoever is not signed in.
    pub nav: Vec<NavGroup>,
    /// Who is signed in.
    pub me: Option<Me>,
    /// The hidden field of every form.
    pub csrf: String,
    /// `auto`, `light` or `dark`.
    pub theme: &'static str,
    /// What the last act came to.
    pub flash: Option<Flash>,
    /// The version of the program.
    pub version: &'static str,
    /// The address of the page, to come back to.
    pub path: String,
}

impl Shell {
    /// The address of an asset.
    pub fn asset(&self, name: &str) -> String {
        assets::url(name)
    }
}

/// A group of the sidebar.
pub struct NavGroup {
    /// Its heading.
    pub label: &'static str,
    /// Its pages.
    pub items: Vec<NavItem>,
}

/// A page of the sidebar.
pub struct NavItem {
    /// Its name.
    pub label: &'static str,
    /// Its address.
    pub href: &'static str,
    /// Its icon in `icons.svg`.
    pub icon: &'static str,
    /// The letter after `g` that goes there.
    pub key: &'static str,
    /// Whether the reader is there.
    pub current: bool,
}

/// Who is signed in.
pub struct Me {
    /// What to call them.
    pub name: String,
    /// Their address.
    pub email: String,
    /// What they may do.
    pub role: String,
    /// Their account.
    pub id: String,
}

/// What an act came to, shown once on the next page.
pub struct Flash {
    /// `success` or `error`.
    pub kind: &'static str,
    /// One sentence.
    pub text: String,
    /// How to take it back.
    pub undo: Option<Undo>,
    /// The request, for an error.
    pub request_id: Option<String>,
}

/// How to take an act back.
pub struct Undo {
    /// Where the form goes.
    pub action: String,
    /// What the button says.
    pub label: &'static str,
}

/// A sortable column head.
pub struct Column {
    /// What it says.
    pub label: &'static str,
    /// The list sorted by it, or the other way round.
    pub href: String,
    /// `none`, `ascending` or `descending`.
    pub state: &'static str,
}

/// The foot of a list.
pub struct Pager {
    /// The page before.
    pub prev: Option<String>,
    /// The page after.
    pub next: Option<String>,
    /// How many rows this page shows.
    pub shown: String,
    /// How many there are, such as `1,204` or `10,000+`.
    pub total: String,
}

/// Two SVG paths of a series, in a box of 140 by 36.
pub struct Spark {
    /// The line.
    pub line: String,
    /// What is below it.
    pub area: String,
}

impl Spark {
    /// Draws `values` from their least to their greatest, so that a slow change is seen.
    pub fn new(values: &[i64]) -> Self {
        let low = values.iter().copied().min().unwrap_or(0);
        let span = (values.iter().copied().max().unwrap_or(0) - low).max(1) as f64;
        let step = 140.0 / (values.len().max(2) - 1) as f64;
        let at = |(i, value): (usize, &i64)| {
            format!("{:.1} {:.1}", i as f64 * step, 33.0 - (value - low) as f64 / span * 30.0)
        };
        let line = format!("M{}", values.iter().enumerate().map(at).collect::<Vec<_>>().join("L"));
        Self { area: format!("{line}V36H0Z"), line }
    }
}

/// A number as people read it: `1,204`.
pub fn grouped(number: i64) -> String {
    let digits = number.unsigned_abs().to_string();
    let mut out = String::from(if number < 0 { "-" } else { "" });
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A rendered template with a status.
pub struct Html<T>(pub StatusCode, pub T);

impl<T: Template + Send> IntoResponse for Html<T> {
    fn into_response(self) -> Response {
        match self.1.render() {
            Ok(html) => Response::builder().status(self.0).content_type("text/html; charset=utf-8").body(html),
            Err(error) => Error::Internal(anyhow::Error::new(error).context("rendering a page")).json_response("", ""),
        }
    }
}

/// Sends a browser elsewhere after a form was taken (RFC 9110, section 15.4.4).
pub fn see_other(location: &str) -> Response {
    let location = HeaderValue::from_str(location).unwrap_or(HeaderValue::from_static("/admin"));
    let mut response = StatusCode::SEE_OTHER.into_response();
    response.headers_mut().insert(header::LOCATION, location);
    response
}

#[derive(Template)]
#[template(path = "admin/console/error.html")]
struct ErrorPage {
    shell: Shell,
    status: u16,
    title: &'static str,
    detail: String,
    request_id: Option<String>,
    back: &'static str,
    back_label: &'static str,
}

/// An error as a page. Whoever is not signed in is sent to the sign-in page and brought back from there.
pub fn explain(error: &Error, shell: Shell, partial: bool, request_id: &str) -> Response {
    let status = error.code().status();
    if error.code() == Code::Authentication {
        let next = if shell.path.is_empty() { String::new() } else { format!("?next={}", urlencoded(&shell.path)) };
        let sign_in = format!("/admin/sign-in{next}");
        if !partial {
            return see_other(&sign_in);
        }
        // A redirect would paint the sign-in page into a fragment of this one.
        let mut response = status.into_response();
        if let Ok(value) = HeaderValue::from_str(&sign_in) {
            response.headers_mut().insert(HeaderName::from_static("hx-redirect"), value);
        }
        return response;
    }
    let page = ErrorPage {
        shell,
        status: status.as_u16(),
        title: error.code().title(),
        detail: error.message(),
        request_id: Some(request_id.to_owned()),
        back: "/admin",
        back_label: "Back to the overview",
    };
    let mut response = Html(status, page).into_response();
    response.headers_mut().extend(error.headers());
    response
}

/// Text as a query value.
pub fn urlencoded(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped() {
        let all = [(0, "0"), (7, "7"), (999, "999"), (1_000, "1,000"), (1_234_567, "1,234,567"), (-1_000, "-1,000")];
        for (number, text) in all {
            assert_eq!(grouped(number), text);
        }
    }

    #[test]
    fn a_series_stays_in_its_box() {
        assert_eq!(Spark::new(&[5, 5]).line, "M0.0 33.0L140.0 33.0");
        assert_eq!(Spark::new(&[0, 10]).line, "M0.0 33.0L140.0 3.0");
        assert!(Spark::new(&[]).line.starts_with('M'));
    }
}
