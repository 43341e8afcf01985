//! Who may call: the security schemes of the document, and what an operation asks of them.

use serde_json::Value;

use super::document::{about, entries, list, plain, slug, text};
use super::prose::Prose;

/// A way to say who is calling.
pub(super) struct Credential {
    pub(super) name: String,
    pub(super) anchor: String,
    /// What a request carries, such as `Authorization: Bearer $TOKEN`.
    pub(super) carries: String,
    pub(super) about: Prose,
    key: String,
}

/// A credential that lets a caller in, and the scopes it must carry.
pub(super) struct Access {
    pub(super) name: String,
    pub(super) anchor: String,
    pub(super) scopes: Vec<String>,
}

impl Credential {
    /// All that the document's `securitySchemes` name.
    pub(super) fn all(schemes: &Value) -> Vec<Self> {
        entries(schemes).map(|(key, scheme)| Self::of(key, scheme)).collect()
    }

    fn of(key: &str, scheme: &Value) -> Self {
        let carried = text(scheme, "name");
        let carries = match (text(scheme, "type"), text(scheme, "in"), text(scheme, "scheme")) {
            ("apiKey", "header", _) => format!("{carried}: $API_KEY"),
            ("apiKey", "cookie", _) => format!("Cookie: {carried}=$SESSION"),
            ("apiKey", ..) => format!("?{carried}=$API_KEY"),
            ("http", _, "basic") => "Authorization: Basic $CREDENTIALS".to_owned(),
            _ => "Authorization: Bearer $TOKEN".to_owned(),
        };
        let name = words(key);
        Self { anchor: slug(&name), name, carries, about: about(scheme), key: key.to_owned() }
    }

    /// The first that `operation` accepts.
    pub(super) fn accepted<'a>(all: &'a [Self], operation: &Value) -> Option<&'a Self> {
        let (key, _) = entries(&operation["security"][0]).next()?;
        all.iter().find(|credential| credential.key == key)
    }
}

impl Access {
    /// The credentials of which any one will do for `operation`; none means that anyone may call.
    pub(super) fn to(operation: &Value) -> Vec<Self> {
        let schemes = list(&operation["security"]).flat_map(entries);
        let access = |(key, scopes)| Self {
            name: words(key),
            anchor: slug(&words(key)),
            scopes: list(scopes).map(plain).collect(),
        };
        schemes.map(access).collect()
    }
}

/// `SignedIn`, `signed_in` and `signed-in` as `Signed in`.
fn words(name: &str) -> String {
    let mut words = String::new();
    let mut after_lower = false;
    for c in name.chars() {
        if words.is_empty() {
            words.extend(c.to_uppercase());
        } else if c.is_uppercase() && after_lower {
            words.push(' ');
            words.extend(c.to_lowercase());
        } else {
            words.push(if c == '_' || c == '-' { ' ' } else { c });
        }
        after_lower = c.is_lowercase();
    }
    words
}
