//! What text may come in: the checks that several capabilities share, each adding to the faults of an input.
//!
//! Lengths are declared once, on the input types (`#[oai(validator(..))]`), where the document shows them too.

use poem_openapi::registry::{MetaSchema, MetaSchemaRef, Registry};
use poem_openapi::types::{ParseError, ParseFromJSON, ParseResult, ToJSON, Type};

use super::error::Faults;

/// A field of a patch: left alone, or set. `Change<String>` refuses null; `Change<Option<String>>` takes it as "clear".
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Change<T> {
    /// Not in the body.
    #[default]
    Keep,
    /// In the body.
    Set(T),
}

impl<T> Change<T> {
    /// The new value, if there is one.
    pub fn as_set(&self) -> Option<&T> {
        match self {
            Change::Keep => None,
            Change::Set(value) => Some(value),
        }
    }

    /// Overwrites `target` if there is a new value.
    pub fn apply(&self, target: &mut T)
    where
        T: Clone,
    {
        if let Change::Set(value) = self {
            target.clone_from(value);
        }
    }
}

impl<T: Type> Type for Change<T> {
    const IS_REQUIRED: bool = false;
    type RawValueType = T::RawValueType;
    type RawElementValueType = T::RawElementValueType;

    fn name() -> std::borrow::Cow<'static, str> {
        T::name()
    }

    fn schema_ref() -> MetaSchemaRef {
        T::schema_ref().merge(MetaSchema { nullable: !T::IS_REQUIRED, ..MetaSchema::ANY })
    }

    fn register(registry: &mut Registry) {
        T::register(registry);
    }

    fn as_raw_value(&self) -> Option<&Self::RawValueType> {
        self.as_set().and_then(Type::as_raw_value)
    }

    fn raw_element_iter<'a>(&'a self) -> Box<dyn Iterator<Item = &'a Self::RawElementValueType> + 'a> {
        match self {
            Change::Keep => Box::new(std::iter::empty()),
            Change::Set(value) => value.raw_element_iter(),
        }
    }
}

impl<T: ParseFromJSON> ParseFromJSON for Change<T> {
    fn parse_from_json(value: Option<serde_json::Value>) -> ParseResult<Self> {
        match value {
            None => Ok(Change::Keep),
            value => T::parse_from_json(value).map(Change::Set).map_err(ParseError::propagate),
        }
    }
}

impl<T: ToJSON> ToJSON for Change<T> {
    fn to_json(&self) -> Option<serde_json::Value> {
        self.as_set().and_then(ToJSON::to_json)
    }
}

/// One line of text: no control characters, among them NUL, which Postgres cannot store.
pub fn line(faults: &mut Faults, field: &str, text: &str) {
    if text.chars().any(char::is_control) {
        faults.add(field, "format", "Control characters are not allowed here.");
    } else if text.trim().is_empty() {
        faults.add(field, "length", "Write at least one character that can be seen.");
    }
}

/// Several lines of text: line breaks and tabs, but no other control characters.
pub fn lines(faults: &mut Faults, field: &str, text: &str) {
    if text.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t')) {
        faults.add(field, "format", "Control characters other than line breaks and tabs are not allowed.");
    }
}

/// An e-mail address: one `@`, a plausible domain, at most 254 bytes (RFC 5321, section 4.5.3.1). What it really is, only
/// a mail to it can tell.
pub fn email(faults: &mut Faults, field: &str, text: &str) {
    let plausible = text.len() <= 254
        && text.split_once('@').is_some_and(|(name, domain)| {
            !name.is_empty()
                && name.len() <= 64
                && domain.split('.').count() >= 2
                && domain.split('.').all(|label| !label.is_empty())
                && domain.chars().all(|c| c.is_alphanumeric() || matches!(c, '.' | '-'))
        })
        && !text.chars().any(|c| c.is_control() || c.is_whitespace() || matches!(c, '<' | '>' | ',' | ';' | '"'));
    if !plausible {
        faults.add(field, "format", "Write an e-mail address such as ada@example.com.");
    }
}

/// An address on the web: http or https, no white space, no control characters.
pub fn web_address(faults: &mut Faults, field: &str, text: &str) {
    let parsed: Option<poem::http::Uri> = text.parse().ok();
    let plausible = parsed.is_some_and(|uri| {
        matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some_and(|host| !host.is_empty())
    });
    if !plausible {
        faults.add(field, "format", "Write a web address that begins with https:// or http://.");
    }
}

/// The form in which an address is compared and kept unique. Without NUL, which Postgres cannot even compare.
pub fn email_key(email: &str) -> String {
    email.trim().to_lowercase().replace('\0', "\u{fffd}")
}

/// A search text as a `like` pattern with `!` as the escape: what is typed is what is looked for.
pub fn like_pattern(text: &str) -> String {
    let mut pattern = String::from("%");
    for c in text.to_lowercase().chars() {
        if matches!(c, '%' | '_' | '!') {
            pattern.push('!');
        }
        pattern.push(c);
    }
    pattern.push('%');
    pattern
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(check: fn(&mut Faults, &str, &str), text: &str) -> bool {
        let mut faults = Faults::default();
        check(&mut faults, "field", text);
        faults.any()
    }

    #[test]
    fn addresses() {
        for good in ["ada@example.com", "a.b+c@sub.example.co", "ü@exämple.com"] {
            assert!(!fault(email, good), "{good}");
        }
        let long = format!("{}@example.com", "a".repeat(65));
        let bad = [
            "",
            "ada",
            "@example.com",
            "ada@",
            "ada@example",
            "ada@example..com",
            "a b@example.com",
            "a@b@c.com",
            &long,
        ];
        for bad in bad.into_iter().chain(["ada@example.com\n", "<ada@example.com>", "a\0@example.com"]) {
            assert!(fault(email, bad), "{bad:?}");
        }
        assert!(!fault(web_address, "https://example.com/a.png?x=1"));
        for bad in ["", "example.com", "javascript:alert(1)", "ftp://example.com", "https://", "http://a b"] {
            assert!(fault(web_address, bad), "{bad:?}");
        }
    }

    #[test]
    fn text() {
        assert!(!fault(line, "Zürich ✨"));
        for bad in ["", "  ", "a\0b", "a\nb"] {
            assert!(fault(line, bad), "{bad:?}");
        }
        assert!(!fault(lines, "a\n\tb"));
        assert!(fault(lines, "a\0b"));
        assert_eq!(like_pattern("50%_!A"), "%50!%!_!!a%");
    }
}
