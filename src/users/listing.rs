//! Which accounts a list shows, and in which order.

use super::User;
use crate::base::clock::Time;
use crate::base::input;
use crate::base::page::SortKey;
use crate::base::principal::Role;

/// What a list of accounts is sorted by, and in which direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, poem_openapi::Enum)]
#[oai(rename_all = "snake_case")]
pub enum Sort {
    /// Newest first.
    #[default]
    #[oai(rename = "-created_at")]
    CreatedDesc,
    /// Oldest first.
    #[oai(rename = "created_at")]
    Created,
    /// By address.
    #[oai(rename = "email")]
    Email,
    /// By address, backwards.
    #[oai(rename = "-email")]
    EmailDesc,
    /// Latest sign-in first.
    #[oai(rename = "-last_login_at")]
    LastLoginDesc,
    /// Latest sign-in last.
    #[oai(rename = "last_login_at")]
    LastLogin,
}

impl Sort {
    /// Every order.
    pub const ALL: [Sort; 6] =
        [Sort::CreatedDesc, Sort::Created, Sort::Email, Sort::EmailDesc, Sort::LastLoginDesc, Sort::LastLogin];

    /// As sent.
    pub const fn as_str(self) -> &'static str {
        match self {
            Sort::CreatedDesc => "-created_at",
            Sort::Created => "created_at",
            Sort::Email => "email",
            Sort::EmailDesc => "-email",
            Sort::LastLoginDesc => "-last_login_at",
            Sort::LastLogin => "last_login_at",
        }
    }

    pub(super) fn key(self, user: &User) -> SortKey {
        match self {
            Sort::CreatedDesc | Sort::Created => SortKey::Int(user.created_at.micros()),
            Sort::Email | Sort::EmailDesc => SortKey::Text(input::email_key(&user.email)),
            Sort::LastLoginDesc | Sort::LastLogin => SortKey::Int(user.last_login_at.map_or(0, Time::micros)),
        }
    }
}

/// Which accounts a list shows.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Only active, or only inactive ones.
    pub is_active: Option<bool>,
    /// Only those with this role.
    pub role: Option<Role>,
    /// Only those whose address or name contains this, whatever its case.
    pub search: Option<String>,
}
