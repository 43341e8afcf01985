//! The one pagination: `skip` and `limit` for those who number pages, a cursor for those who walk.
//!
//! The cursor names the last row seen (its sort key and id) and is signed together with the list it belongs to, so that a
//! walk neither skips nor repeats a row while others are inserted, and a made-up cursor is refused. `total` is exact up
//! to [`TOTAL_CAP`], then the cap: counting more than that would cost more than the page.

use poem_openapi::Object;
use poem_openapi::types::{ParseFromJSON, ToJSON, Type};
use ring::hmac;
use serde::{Deserialize, Serialize};

use super::error::{Faults, Result};
use super::id::Id;
use super::secret::{base64url, from_base64url, mac, same};

/// Lists count no further than this.
pub const TOTAL_CAP: i64 = 10_000;

/// The size of a page for those who do not say.
pub fn default_limit() -> u32 {
    20
}

/// One page of a list.
#[derive(Serialize, Object)]
pub struct Page<T: ParseFromJSON + ToJSON + Type + Send + Sync> {
    /// The items, in the order of the list.
    pub items: Vec<T>,
    /// How many there are in all: exact up to 10,000, then 10,000.
    pub total: i64,
    /// How many were skipped.
    pub skip: u32,
    /// How many were asked for.
    pub limit: u32,
    /// Pass it as `cursor` for the page after this one; null on the last.
    pub next_cursor: Option<String>,
    /// Pass it as `cursor` for the page before this one; null on the first.
    pub prev_cursor: Option<String>,
}

/// Which page is asked for.
#[derive(Clone, Debug)]
pub struct PageRequest {
    /// How many rows to skip from where the cursor points, or from the start.
    pub skip: u32,
    /// How many to answer.
    pub limit: u32,
    /// The cursor of another page.
    pub cursor: Option<String>,
}

/// A place in a list: a row, and the direction to go from it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The sort key of the row.
    pub key: SortKey,
    /// Its id, which breaks ties.
    pub id: Id,
    /// Whether the page ends before the row instead of beginning after it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub back: bool,
}

impl Place {
    /// The place of a row.
    pub fn of(key: SortKey, id: Id) -> Self {
        Self { key, id, back: false }
    }
}

/// The value a list is sorted by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum SortKey {
    /// A time or number.
    Int(i64),
    /// A name.
    Text(String),
}

impl<'a> From<&'a SortKey> for super::db::Value<'a> {
    fn from(key: &'a SortKey) -> Self {
        match key {
            SortKey::Int(value) => (*value).into(),
            SortKey::Text(value) => value.as_str().into(),
        }
    }
}

/// What a store is asked for: one row more than the page holds, to know whether another one follows.
#[derive(Clone, Debug)]
pub struct Slice {
    /// Rows to skip.
    pub skip: i64,
    /// Rows to answer.
    pub limit: i64,
    /// Where to begin.
    pub from: Option<Place>,
}

impl Slice {
    /// Whether the rows are to be found in the opposite order.
    pub fn is_back(&self) -> bool {
        self.from.as_ref().is_some_and(|place| place.back)
    }
}

/// Signs and reads the cursors of one list.
pub struct Cursors<'a> {
    key: &'a hmac::Key,
    list: String,
}

impl<'a> Cursors<'a> {
    /// `list` names the list with everything that decides its rows and their order: a cursor of another list is refused.
    pub fn new(key: &'a hmac::Key, list: String) -> Self {
        Self { key, list }
    }

    fn tag(&self, body: &[u8]) -> [u8; 16] {
        mac(self.key, &[self.list.as_bytes(), body])
    }

    fn encode(&self, place: &Place) -> String {
        let body = serde_json::to_vec(place).unwrap_or_default();
        base64url(&[&self.tag(&body)[..], &body].concat())
    }

    fn decode(&self, cursor: &str) -> Option<Place> {
        let bytes = from_base64url(cursor)?;
        let (tag, body) = bytes.split_at_checked(16)?;
        same(tag, &self.tag(body)).then(|| serde_json::from_slice(body).ok()).flatten()
    }

    /// Goes to a page.
    ///
    /// # Errors
    /// 422 if the cursor is not one of this list.
    pub fn go(self, request: PageRequest) -> Result<Walk<'a>> {
        let from = request.cursor.as_deref().map(|cursor| {
            self.decode(cursor).ok_or_else(|| {
                Faults::only("cursor", "format", "Use the next_cursor of an earlier page, with the same filters.")
            })
        });
        let slice = Slice { skip: request.skip.into(), limit: i64::from(request.limit) + 1, from: from.transpose()? };
        Ok(Walk { cursors: self, request, slice })
    }
}

/// A page on its way: what to ask the store for, and how to answer.
pub struct Walk<'a> {
    cursors: Cursors<'a>,
    request: PageRequest,
    /// What to ask the store for.
    pub slice: Slice,
}

impl Walk<'_> {
    /// The page, from the rows that the store found and how many there are in all.
    pub fn page<T: ParseFromJSON + ToJSON + Type + Send + Sync>(
        self,
        (mut items, total): (Vec<T>, i64),
        place: impl Fn(&T) -> Place,
    ) -> Page<T> {
        let (skip, limit) = (self.request.skip, self.request.limit);
        let more = items.len() > limit as usize;
        items.truncate(limit as usize);
        let (after, before) = if self.slice.is_back() {
            items.reverse();
            (true, more)
        } else {
            (more, self.slice.from.is_some())
        };
        let cursor = |item: Option<&T>, back| item.map(|item| self.cursors.encode(&Place { back, ..place(item) }));
        let next_cursor = cursor(items.last().filter(|_| after), false);
        let prev_cursor = cursor(items.first().filter(|_| before), true);
        Page { items, total, skip, limit, next_cursor, prev_cursor }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_belongs_to_its_list_and_to_nobody_else() {
        let key = hmac::Key::new(hmac::HMAC_SHA256, b"k");
        let mine = Cursors::new(&key, "projects of ada".into());
        let place = Place::of(SortKey::Text("Zürich".into()), Id::new());
        let cursor = mine.encode(&place);
        assert_eq!(mine.decode(&cursor), Some(place));
        assert_eq!(Cursors::new(&key, "projects of bob".into()).decode(&cursor), None);
        let other = hmac::Key::new(hmac::HMAC_SHA256, b"l");
        assert_eq!(Cursors::new(&other, "projects of ada".into()).decode(&cursor), None);
        for junk in ["", "x", "####", &cursor[1..], &"A".repeat(5000)] {
            assert_eq!(mine.decode(junk), None);
        }
    }
}
