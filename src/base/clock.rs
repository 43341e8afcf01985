//! The only reader of time, and the one type for a point in it.
//!
//! Durations that are only measured (latencies) may use `std::time::Instant`; what is stored or compared with stored
//! times comes from here, so that a test can move it.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};
use poem_openapi::registry::{MetaSchema, MetaSchemaRef};
use poem_openapi::types::{ParseError, ParseFromJSON, ParseResult, ToJSON, Type};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A point in time: microseconds since the Unix epoch, UTC. On the wire RFC 3339 with `Z`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(i64);

impl Time {
    /// From microseconds since the epoch.
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// Microseconds since the epoch: the stored form.
    pub const fn micros(self) -> i64 {
        self.0
    }

    /// Whole seconds since the epoch, as tokens count them (RFC 7519, section 2).
    pub const fn seconds(self) -> i64 {
        self.0.div_euclid(1_000_000)
    }

    /// Cut down to a whole second.
    pub const fn floor_second(self) -> Self {
        Self(self.seconds() * 1_000_000)
    }

    /// How long ago `earlier` was; zero if it lies in the future.
    pub fn since(self, earlier: Time) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0).max(0).unsigned_abs())
    }

    fn utc(self) -> DateTime<Utc> {
        DateTime::from_timestamp_micros(self.0).unwrap_or(DateTime::UNIX_EPOCH)
    }

    /// RFC 3339 with microseconds and `Z`.
    pub fn rfc3339(self) -> String {
        self.utc().to_rfc3339_opts(SecondsFormat::Micros, true)
    }

    /// For people: `21 Nov 2026 08:42 UTC`.
    pub fn day(self) -> String {
        self.utc().format("%-d %b %Y %H:%M UTC").to_string()
    }

    /// The date alone: `21 Nov`.
    pub fn date(self) -> String {
        self.utc().format("%-d %b").to_string()
    }

    /// For people: `3 min ago`.
    pub fn ago(self) -> String {
        let seconds = Clock::System.now().since(self).as_secs();
        match seconds {
            0..45 => "just now".into(),
            45..3_600 => format!("{} min ago", seconds.div_ceil(60)),
            3_600..86_400 => format!("{} h ago", seconds / 3_600),
            86_400..2_592_000 => format!("{} d ago", seconds / 86_400),
            _ => self.utc().format("%-d %b %Y").to_string(),
        }
    }
}

impl std::ops::Add<Duration> for Time {
    type Output = Time;
    fn add(self, duration: Duration) -> Time {
        Time(self.0.saturating_add(i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)))
    }
}

impl std::ops::Sub<Duration> for Time {
    type Output = Time;
    fn sub(self, duration: Duration) -> Time {
        Time(self.0.saturating_sub(i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)))
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.rfc3339())
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let time = DateTime::parse_from_rfc3339(&text).map_err(serde::de::Error::custom)?;
        Ok(Time(time.timestamp_micros()))
    }
}

impl Type for Time {
    const IS_REQUIRED: bool = true;
    type RawValueType = Self;
    type RawElementValueType = Self;

    fn name() -> std::borrow::Cow<'static, str> {
        "string(date-time)".into()
    }

    fn schema_ref() -> MetaSchemaRef {
        MetaSchemaRef::Inline(Box::new(MetaSchema::new_with_format("string", "date-time")))
    }

    fn as_raw_value(&self) -> Option<&Self> {
        Some(self)
    }

    fn raw_element_iter<'a>(&'a self) -> Box<dyn Iterator<Item = &'a Self> + 'a> {
        Box::new(std::iter::once(self))
    }
}

impl ParseFromJSON for Time {
    fn parse_from_json(value: Option<serde_json::Value>) -> ParseResult<Self> {
        serde_json::from_value(value.unwrap_or_default()).map_err(ParseError::custom)
    }
}

impl ToJSON for Time {
    fn to_json(&self) -> Option<serde_json::Value> {
        Some(self.rfc3339().into())
    }
}

/// Where the time comes from: the system, or a test's hand.
#[derive(Clone)]
pub enum Clock {
    /// The system's wall clock.
    System,
    /// Stands still until a test moves it.
    #[cfg_attr(not(test), expect(dead_code, reason = "the test double is one more variant"))]
    Fixed(Arc<AtomicI64>),
}

impl Clock {
    /// The time now.
    #[expect(clippy::disallowed_methods, reason = "this is the one door to the time")]
    pub fn now(&self) -> Time {
        match self {
            Clock::System => Time(Utc::now().timestamp_micros()),
            Clock::Fixed(micros) => Time(micros.load(Ordering::SeqCst)),
        }
    }

    /// Moves a fixed clock forward; the system's stays as it is.
    #[cfg(test)]
    pub fn advance(&self, by: Duration) {
        if let Clock::Fixed(micros) = self {
            micros.fetch_add(i64::try_from(by.as_micros()).unwrap_or(0), Ordering::SeqCst);
        }
    }
}
