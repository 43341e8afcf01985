//! Small questions asked of the document's values.

use serde_json::Value;

use super::prose::{self, Prose};

/// The text under `key`, empty if there is none.
pub(super) fn text<'a>(holder: &'a Value, key: &str) -> &'a str {
    holder[key].as_str().unwrap_or_default()
}

/// The description, as prose.
pub(super) fn about(holder: &Value) -> Prose {
    prose::parse(text(holder, "description"))
}

/// The entries of a list, none if it is not there.
pub(super) fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// The entries of an object, none if it is not there.
pub(super) fn entries(value: &Value) -> impl Iterator<Item = (&str, &Value)> {
    value.as_object().into_iter().flatten().map(|(key, value)| (key.as_str(), value))
}

/// A value as a reader would write it: strings without quotes.
pub(super) fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Lower case letters and digits, everything else one hyphen: fit for an address.
pub(super) fn slug(text: &str) -> String {
    let letter = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { ' ' };
    let words: String = text.chars().map(letter).collect();
    words.split_whitespace().collect::<Vec<_>>().join("-")
}
