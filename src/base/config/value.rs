//! The value that a layer gives, and the parsers that make a type of it.
//!
//! A parser that refuses says what the setting takes and how to write it. It quotes the value only where no secret can
//! stand, and then without the credentials of a URL.

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use toml::de::DeValue;

use crate::base::secret::Secret;

pub(super) const KIB: u64 = 1 << 10;
pub(super) const MIB: u64 = 1 << 20;
pub(super) const GIB: u64 = 1 << 30;
pub(super) const TIB: u64 = 1 << 40;
const DAY: u64 = 24 * 60 * 60 * 1000;

/// A value as a layer gives it. It may hold a secret, so it cannot be printed but through [`Scalar::quoted`].
#[derive(Clone)]
pub(super) enum Scalar {
    Text(String),
    Integer(i64),
    Boolean(bool),
    /// A kind of TOML that no setting takes.
    Other(&'static str),
}

impl Scalar {
    pub(super) fn from_toml(value: &DeValue<'_>) -> Self {
        match value {
            DeValue::String(text) => Self::Text(text.to_string()),
            DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
                .map_or(Self::Other("a number beyond 64 bits"), Self::Integer),
            DeValue::Boolean(value) => Self::Boolean(*value),
            DeValue::Float(_) => Self::Other("a fraction"),
            DeValue::Datetime(_) => Self::Other("a date"),
            DeValue::Array(_) => Self::Other("a list"),
            DeValue::Table(_) => Self::Other("a table"),
        }
    }

    /// Reads `text`, from a variable or a flag, as what `model` is. What cannot be read stays text, for the parser to
    /// refuse.
    pub(super) fn like(model: &Self, text: &str) -> Self {
        let word = text.trim().to_ascii_lowercase();
        match (model, word.as_str()) {
            (Self::Integer(_), number) => number.parse().ok().map(Self::Integer),
            (Self::Boolean(_), "true" | "yes" | "on" | "1") => Some(Self::Boolean(true)),
            (Self::Boolean(_), "false" | "no" | "off" | "0") => Some(Self::Boolean(false)),
            _ => None,
        }
        .unwrap_or_else(|| Self::Text(text.to_owned()))
    }

    /// The value as text, secrets included.
    pub(super) fn text(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Integer(number) => number.to_string(),
            Self::Boolean(value) => value.to_string(),
            Self::Other(kind) => (*kind).to_owned(),
        }
    }

    /// The value as a message shows it.
    fn quoted(&self) -> String {
        match self {
            Self::Text(text) => format!("{:?}", masked(text)),
            other => other.text(),
        }
    }
}

/// Why a value is refused and what to write instead.
pub(super) struct Wrong {
    pub(super) reason: String,
    pub(super) remedy: String,
}

impl Wrong {
    pub(super) fn new(reason: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { reason: reason.into(), remedy: remedy.into() }
    }

    pub(super) fn found(value: &Scalar, wanted: &str, remedy: impl Into<String>) -> Self {
        Self::new(format!("takes {wanted}, not {}", value.quoted()), remedy)
    }
}

pub(super) type Parsed<T> = Result<T, Wrong>;

/// Text that is not blank.
pub(super) fn text(value: &Scalar) -> Parsed<String> {
    match value {
        Scalar::Text(text) if !text.trim().is_empty() => Ok(text.trim().to_owned()),
        _ => Err(Wrong::found(value, "text", "Write some text in double quotes.")),
    }
}

/// A path that is not empty.
pub(super) fn path(value: &Scalar) -> Parsed<PathBuf> {
    text(value).map(PathBuf::from)
}

pub(super) fn boolean(value: &Scalar) -> Parsed<bool> {
    match value {
        Scalar::Boolean(value) => Ok(*value),
        _ => Err(Wrong::found(value, "true or false", "Write true or false, without quotes.")),
    }
}

/// A whole number within `range`.
pub(super) fn count(range: RangeInclusive<u32>) -> impl Fn(&Scalar) -> Parsed<u32> {
    move |value| {
        let number = match value {
            Scalar::Integer(number) => u32::try_from(*number).ok(),
            _ => None,
        };
        number.filter(|number| range.contains(number)).ok_or_else(|| {
            let wanted = format!("a whole number from {} to {}", range.start(), range.end());
            Wrong::found(value, &wanted, "Write such a number, without quotes.")
        })
    }
}

/// Bytes within `range`.
pub(super) fn size(range: RangeInclusive<u64>) -> impl Fn(&Scalar) -> Parsed<u64> {
    const UNITS: &[(&str, u64)] = &[("", 1), ("b", 1), ("kib", KIB), ("mib", MIB), ("gib", GIB), ("tib", TIB)];
    move |value| {
        let bytes = match value {
            Scalar::Text(text) => quantity(text, UNITS),
            Scalar::Integer(number) => u64::try_from(*number).ok(),
            _ => None,
        };
        bytes.filter(|bytes| range.contains(bytes)).ok_or_else(|| {
            let wanted = format!("a size from {} to {}", bytes_text(*range.start()), bytes_text(*range.end()));
            Wrong::found(value, &wanted, "Write a number and one of B, KiB, MiB, GiB, TiB, such as \"1 MiB\".")
        })
    }
}

/// A time longer than nothing and no longer than ten years, so that adding it to now cannot overflow.
pub(super) fn duration(value: &Scalar) -> Parsed<Duration> {
    const UNITS: &[(&str, u64)] = &[("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000), ("d", DAY)];
    let milliseconds = match value {
        Scalar::Text(text) => quantity(text, UNITS),
        _ => None,
    };
    milliseconds.filter(|time| (1..=3650 * DAY).contains(time)).map(Duration::from_millis).ok_or_else(|| {
        let remedy = "Write a number and one of ms, s, m, h, d, such as \"30s\".";
        Wrong::found(value, "a duration from 1ms to 3650d", remedy)
    })
}

pub(super) fn address(value: &Scalar) -> Parsed<SocketAddr> {
    text(value)?.parse().map_err(|_| {
        let remedy = "Write an IP address and a port, such as \"0.0.0.0:8080\" or \"[::1]:8080\".";
        Wrong::found(value, "an address and a port", remedy)
    })
}

/// Empty, or scheme, host and port of a web server. No path: the routes stand at the root. A trailing `/` is dropped.
pub(super) fn origin(value: &Scalar) -> Parsed<String> {
    let wrong = || {
        let remedy = "Write scheme and host, and nothing after them, such as \"https://app.example.com\".";
        Wrong::found(value, "an http or https address", remedy)
    };
    let Scalar::Text(text) = value else { return Err(wrong()) };
    let origin = text.trim().trim_end_matches('/');
    if origin.is_empty() {
        return Ok(String::new());
    }
    let host = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://")).ok_or_else(wrong)?;
    let (name, port) = match host.rsplit_once(':') {
        Some((name, port)) if !port.ends_with(']') => (name, port),
        _ => (host, "0"),
    };
    let plain = name.chars().all(|c| c.is_ascii_alphanumeric() || "-._[]:".contains(c));
    let valid = plain && !name.is_empty() && port.parse::<u16>().is_ok();
    if valid { Ok(origin.to_owned()) } else { Err(wrong()) }
}

/// Empty, or a secret of at least `shortest` characters.
pub(super) fn secret(shortest: usize) -> impl Fn(&Scalar) -> Parsed<Secret> {
    move |value| match value {
        Scalar::Text(text) if text.is_empty() || text.chars().count() >= shortest => Ok(Secret::new(text.clone())),
        Scalar::Text(text) => {
            let reason = format!("has {} characters where {shortest} are the fewest", text.chars().count());
            Err(Wrong::new(reason, "Write a longer one, such as the output of `openssl rand -base64 32`."))
        }
        _ => Err(Wrong::new("takes text", "Put the value in double quotes.")),
    }
}

/// A level, or directives by module. The names of Python's levels are understood.
pub(super) fn log_level(value: &Scalar) -> Parsed<String> {
    let level = |word: &str| {
        let word = word.trim().to_ascii_lowercase();
        match word.as_str() {
            "off" | "error" | "warn" | "info" | "debug" | "trace" => Some(word),
            "warning" => Some("warn".to_owned()),
            "critical" => Some("error".to_owned()),
            _ => None,
        }
    };
    let directive = |part: &str| match part.rsplit_once('=') {
        Some((target, word)) if !target.trim().is_empty() => Some(format!("{}={}", target.trim(), level(word)?)),
        Some(_) => None,
        None => level(part),
    };
    let directives = match value {
        Scalar::Text(text) => text.split(',').map(directive).collect::<Option<Vec<_>>>(),
        _ => None,
    };
    directives.map(|directives| directives.join(",")).ok_or_else(|| {
        let remedy = "Write off, error, warn, info, debug or trace; or such as \"info,omnistack=debug\".";
        Wrong::found(value, "a log level", remedy)
    })
}

/// `text` without the credentials of the URL it may be.
pub(super) fn masked(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else { return text.to_owned() };
    let rest = rest.rsplit_once('@').map_or_else(|| rest.to_owned(), |(_, host)| format!("***@{host}"));
    match rest.split_once('?') {
        Some((host, query)) if query.contains("password") => format!("{scheme}://{host}?***"),
        _ => format!("{scheme}://{rest}"),
    }
}

/// The number in front of `text` times the unit behind it, if there is such a unit and the product fits.
fn quantity(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let text = text.trim();
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    let (_, factor) = units.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit.trim()))?;
    number.parse::<u64>().ok()?.checked_mul(*factor)
}

/// `bytes` in the largest unit that divides it.
fn bytes_text(bytes: u64) -> String {
    let units = [(TIB, "TiB"), (GIB, "GiB"), (MIB, "MiB"), (KIB, "KiB")];
    match units.iter().find(|(unit, _)| bytes > 0 && bytes.is_multiple_of(*unit)) {
        Some((unit, name)) => format!("{} {name}", bytes / unit),
        None => format!("{bytes} B"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_and_sizes() {
        let time = |text: &str| duration(&Scalar::Text(text.to_owned())).ok();
        assert_eq!(time("250ms"), Some(Duration::from_millis(250)));
        assert_eq!(time("15 m"), Some(Duration::from_mins(15)));
        assert_eq!(time("12h"), Some(Duration::from_hours(12)));
        for text in ["", "30", "0s", "-1s", "1.5h", "1w", "3651d", "99999999999999999999s", "18446744073709551615d"] {
            assert_eq!(time(text), None, "{text}");
        }
        let bytes = |value: Scalar| size(0..=TIB)(&value).ok();
        for (text, expected) in [("19 MiB", 19 * MIB), ("1mib", MIB), ("512", 512), ("7 B", 7), ("1 TiB", TIB)] {
            assert_eq!(bytes(Scalar::Text(text.to_owned())), Some(expected), "{text}");
        }
        assert_eq!(bytes(Scalar::Integer(4096)), Some(4096));
        assert_eq!(bytes(Scalar::Integer(-1)), None);
        for text in ["", "MiB", "1 MB", "1.5 MiB", "2 TiB", "99999999 TiB"] {
            assert_eq!(bytes(Scalar::Text(text.to_owned())), None, "{text}");
        }
    }

    #[test]
    fn origins_and_log_levels() {
        let origin = |text: &str| origin(&Scalar::Text(text.to_owned())).ok();
        for text in
            ["https://a.example", "http://127.0.0.1:8080", "http://[::1]", "http://[::1]:80", "http://localhost"]
        {
            assert_eq!(origin(&format!("{text}/")).as_deref(), Some(text));
        }
        for text in ["a.example", "ftp://a", "https://", "https://a/b", "https://u:p@a", "https://a:x", "https://a b"] {
            assert_eq!(origin(text), None, "{text}");
        }
        let level = |text: &str| log_level(&Scalar::Text(text.to_owned())).ok();
        assert_eq!(level("DEBUG").as_deref(), Some("debug"));
        assert_eq!(level("info, omnistack::base=Trace").as_deref(), Some("info,omnistack::base=trace"));
        for text in ["", "inof", "info,", "=info", "omnistack", "omnistack=loud"] {
            assert_eq!(level(text), None, "{text}");
        }
    }
}
