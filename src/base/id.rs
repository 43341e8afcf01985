//! The one kind of identifier: a UUIDv7 (RFC 9562, section 5.7), as lower-case text on the wire and in the store.
//!
//! Time-ordered, so that new rows land at the end of every index. Ids are no secrets: what must not be guessed comes
//! from [`super::secret`].

use std::borrow::Cow;
use std::fmt;

use poem_openapi::registry::{MetaSchema, MetaSchemaRef};
use poem_openapi::types::{ParseFromJSON, ParseFromParameter, ParseResult, ToJSON, Type};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The id of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Id(Uuid);

impl Id {
    /// The id that no row has: what a malformed id in a path becomes, so that it is simply not found.
    pub const NONE: Id = Id(Uuid::nil());

    /// A new id, larger than every earlier one of this process.
    #[expect(clippy::disallowed_methods, reason = "this is the one door to new ids")]
    pub fn new() -> Self {
        Self(Uuid::now_v7())
    }

    /// Reads an id; `None` if the text is not a UUID.
    pub fn parse(text: &str) -> Option<Self> {
        // Only the hyphenated form: one row has one name.
        (text.len() == 36).then(|| Uuid::try_parse(text).ok()).flatten().map(Self)
    }

    /// From the sixteen bytes of a token.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(Uuid::from_bytes(bytes))
    }

    /// The sixteen bytes, for tokens.
    pub const fn bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut buffer = Uuid::encode_buffer();
        f.write_str(self.0.hyphenated().encode_lower(&mut buffer))
    }
}

impl Type for Id {
    const IS_REQUIRED: bool = true;
    type RawValueType = Self;
    type RawElementValueType = Self;

    fn name() -> Cow<'static, str> {
        "string(uuid)".into()
    }

    fn schema_ref() -> MetaSchemaRef {
        MetaSchemaRef::Inline(Box::new(MetaSchema::new_with_format("string", "uuid")))
    }

    fn as_raw_value(&self) -> Option<&Self> {
        Some(self)
    }

    fn raw_element_iter<'a>(&'a self) -> Box<dyn Iterator<Item = &'a Self> + 'a> {
        Box::new(std::iter::once(self))
    }
}

impl ParseFromParameter for Id {
    fn parse_from_parameter(value: &str) -> ParseResult<Self> {
        Ok(Id::parse(value).unwrap_or(Id::NONE))
    }
}

impl ParseFromJSON for Id {
    fn parse_from_json(value: Option<serde_json::Value>) -> ParseResult<Self> {
        serde_json::from_value(value.unwrap_or_default()).map_err(poem_openapi::types::ParseError::custom)
    }
}

impl ToJSON for Id {
    fn to_json(&self) -> Option<serde_json::Value> {
        Some(self.to_string().into())
    }
}
