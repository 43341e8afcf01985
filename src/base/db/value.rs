//! Values on their way in, cells on their way out: the same for both engines.

use std::borrow::Cow;

use postgres::types::{FromSql, IsNull, ToSql, Type, private::BytesMut};
use rusqlite::types::{ToSqlOutput, ValueRef};

use super::{DbError, DbResult};
use crate::base::clock::Time;
use crate::base::id::Id;

/// A parameter.
#[derive(Clone, Debug)]
pub enum Value<'a> {
    /// SQL null.
    Null,
    /// `boolean`
    Bool(bool),
    /// `bigint`
    Int(i64),
    /// `text`
    Text(Cow<'a, str>),
}

macro_rules! from {
    ($($type:ty => |$value:ident| $into:expr;)+) => {
        $(impl<'a> From<$type> for Value<'a> { fn from($value: $type) -> Self { $into } })+
    };
}

from! {
    bool => |value| Value::Bool(value);
    i64 => |value| Value::Int(value);
    u32 => |value| Value::Int(i64::from(value));
    &'a str => |value| Value::Text(Cow::Borrowed(value));
    &'a String => |value| Value::Text(Cow::Borrowed(value));
    String => |value| Value::Text(Cow::Owned(value));
    Time => |value| Value::Int(value.micros());
    Id => |value| Value::Text(Cow::Owned(value.to_string()));
}

impl<'a, T: Into<Value<'a>>> From<Option<T>> for Value<'a> {
    fn from(value: Option<T>) -> Self {
        value.map_or(Value::Null, Into::into)
    }
}

impl<'a> From<&'a Option<String>> for Value<'a> {
    fn from(value: &'a Option<String>) -> Self {
        value.as_deref().into()
    }
}

impl rusqlite::ToSql for Value<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Value::Null => ValueRef::Null,
            Value::Bool(value) => ValueRef::Integer((*value).into()),
            Value::Int(value) => ValueRef::Integer(*value),
            Value::Text(value) => ValueRef::Text(value.as_bytes()),
        }))
    }
}

type Foreign = Box<dyn std::error::Error + Sync + Send>;

impl ToSql for Value<'_> {
    fn to_sql(&self, ty: &Type, out: &mut BytesMut) -> Result<IsNull, Foreign> {
        match self {
            Value::Null => Ok(IsNull::Yes),
            Value::Bool(value) => value.to_sql(ty, out),
            Value::Int(value) if *ty == Type::INT4 => i32::try_from(*value)?.to_sql(ty, out),
            Value::Int(value) => value.to_sql(ty, out),
            Value::Text(value) => value.as_ref().to_sql(ty, out),
        }
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    postgres::types::to_sql_checked!();
}

/// A column of a row, borrowed from the engine.
#[derive(Clone, Copy, Debug)]
pub enum Cell<'a> {
    /// SQL null.
    Null,
    /// `boolean` on Postgres; SQLite stores it as an integer.
    Bool(bool),
    /// `bigint`
    Int(i64),
    /// `text`
    Text(&'a str),
}

impl<'a> FromSql<'a> for Cell<'a> {
    fn from_sql(ty: &Type, raw: &'a [u8]) -> Result<Self, Foreign> {
        Ok(match *ty {
            Type::BOOL => Cell::Bool(bool::from_sql(ty, raw)?),
            Type::INT4 => Cell::Int(i32::from_sql(ty, raw)?.into()),
            Type::INT8 => Cell::Int(i64::from_sql(ty, raw)?),
            _ => Cell::Text(<&str>::from_sql(ty, raw)?),
        })
    }

    fn from_sql_null(_: &Type) -> Result<Self, Foreign> {
        Ok(Cell::Null)
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

/// A row of an answer.
pub enum Row<'a> {
    /// From SQLite.
    Sqlite(&'a rusqlite::Row<'a>),
    /// From Postgres.
    Postgres(&'a postgres::Row),
}

impl Row<'_> {
    /// Decodes the column called `name`.
    ///
    /// # Errors
    /// If there is no such column or it holds something else.
    pub fn get<T: Column>(&self, name: &str) -> DbResult<T> {
        let wrong = |what: String| DbError::Other(anyhow::anyhow!("column {name}: {what}"));
        let cell = match self {
            Row::Sqlite(row) => match row.get_ref(name).map_err(|e| wrong(e.to_string()))? {
                ValueRef::Null => Cell::Null,
                ValueRef::Integer(value) => Cell::Int(value),
                ValueRef::Text(bytes) => Cell::Text(std::str::from_utf8(bytes).map_err(|e| wrong(e.to_string()))?),
                other => return Err(wrong(format!("unexpected {:?}", other.data_type()))),
            },
            Row::Postgres(row) => row.try_get::<_, Cell<'_>>(name).map_err(|e| wrong(e.to_string()))?,
        };
        T::decode(cell).ok_or_else(|| wrong(format!("unexpected {cell:?}")))
    }
}

/// What a cell can be read as.
pub trait Column: Sized {
    /// `None` if the cell holds something else.
    fn decode(cell: Cell<'_>) -> Option<Self>;
}

impl Column for bool {
    fn decode(cell: Cell<'_>) -> Option<Self> {
        match cell {
            Cell::Bool(value) => Some(value),
            Cell::Int(value) => Some(value != 0),
            _ => None,
        }
    }
}

impl Column for i64 {
    fn decode(cell: Cell<'_>) -> Option<Self> {
        match cell {
            Cell::Int(value) => Some(value),
            _ => None,
        }
    }
}

impl Column for Time {
    fn decode(cell: Cell<'_>) -> Option<Self> {
        i64::decode(cell).map(Time::from_micros)
    }
}

impl Column for String {
    fn decode(cell: Cell<'_>) -> Option<Self> {
        match cell {
            Cell::Text(value) => Some(value.into()),
            _ => None,
        }
    }
}

impl Column for Id {
    fn decode(cell: Cell<'_>) -> Option<Self> {
        match cell {
            Cell::Text(value) => Id::parse(value),
            _ => None,
        }
    }
}

impl<T: Column> Column for Option<T> {
    fn decode(cell: Cell<'_>) -> Option<Self> {
        match cell {
            Cell::Null => Some(None),
            cell => T::decode(cell).map(Some),
        }
    }
}
