//! Who is asking: the caller as every operation, audit entry and job sees it, and the extractors that are the access rule.
//!
//! A handler that takes [`SignedIn`], [`Support`] or [`Admin`] cannot run without one. They only read what the
//! identifying middleware put on the request, so that everything above sign-in can use them.

use std::sync::{Arc, OnceLock};

use poem::{Request, RequestBody};
use poem_openapi::registry::{MetaSecurityScheme, Registry};
use poem_openapi::{ApiExtractor, ApiExtractorType, Enum, ExtractParamOptions};
use serde::{Deserialize, Serialize};

use super::clock::Time;
use super::error::{Error, Result};
use super::id::Id;

/// What an account may do. Ordered: each may do what those before it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Enum, Serialize, Deserialize)]
#[oai(rename_all = "lowercase")]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Uses the product.
    User,
    /// Reads in the console.
    Support,
    /// Operates the product.
    Admin,
    /// Also appoints administrators.
    Superadmin,
}

impl Role {
    /// Every role, the least first.
    pub const ALL: [Role; 4] = [Role::User, Role::Support, Role::Admin, Role::Superadmin];

    /// As stored and sent.
    pub const fn as_str(self) -> &'static str {
        match self {
            Role::User => "user",
            Role::Support => "support",
            Role::Admin => "admin",
            Role::Superadmin => "superadmin",
        }
    }

    /// Reads a role.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == text)
    }
}

impl super::db::Column for Role {
    fn decode(cell: super::db::Cell<'_>) -> Option<Self> {
        match cell {
            super::db::Cell::Text(text) => Self::parse(text),
            _ => None,
        }
    }
}

impl std::fmt::Display for Role {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The account behind a request.
#[derive(Clone, Debug)]
pub struct Account {
    /// Its id.
    pub id: Id,
    /// Its address, for the trail: it stays readable when the account is gone.
    pub email: String,
    /// What it may do.
    pub role: Role,
}

/// What proved who is asking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Credential {
    /// An access token of this API session.
    AccessToken(Id),
    /// The cookie of this console session.
    Console(Id),
    /// Somebody with the data directory in their hands.
    CommandLine,
}

/// Where a request came from, known even if nobody is signed in.
#[derive(Clone, Debug, Default)]
pub struct Origin {
    /// The client's address.
    pub ip: String,
    /// The `User-Agent`, cut to a bearable length.
    pub user_agent: String,
    /// The id on every log line of the request.
    pub request_id: String,
    /// The account, once it is known: for the log.
    pub user: OnceLock<Id>,
}

/// Who is asking.
#[derive(Clone, Debug)]
pub struct Principal {
    /// Whom it is about: whose rows are reached.
    pub subject: Arc<Account>,
    /// Who is really acting: another person only during impersonation.
    pub actor: Arc<Account>,
    /// What proved it.
    pub credential: Credential,
    /// Where it came from.
    pub origin: Arc<Origin>,
}

impl Principal {
    /// Somebody acting for themselves.
    pub fn new(account: Arc<Account>, credential: Credential, origin: Arc<Origin>) -> Self {
        Self { subject: account.clone(), actor: account, credential, origin }
    }

    /// The command line: whoever can run it on the data directory may do anything.
    pub fn command_line() -> Self {
        let account = Account { id: Id::NONE, email: "command line".into(), role: Role::Superadmin };
        let origin = Origin { ip: "local".into(), user_agent: "omnistack".into(), ..Origin::default() };
        Self::new(Arc::new(account), Credential::CommandLine, Arc::new(origin))
    }

    /// Whose rows are reached.
    pub fn id(&self) -> Id {
        self.subject.id
    }

    /// What they may do.
    pub fn role(&self) -> Role {
        self.subject.role
    }

    /// The session that the credential belongs to.
    pub fn session(&self) -> Option<Id> {
        match self.credential {
            Credential::AccessToken(id) | Credential::Console(id) => Some(id),
            Credential::CommandLine => None,
        }
    }
}

/// A session that may be used, with the account it belongs to: what a credential resolves to, and what is cached.
#[derive(Clone, Debug)]
pub struct Live {
    /// The account of the session.
    pub account: Arc<Account>,
    /// Which refresh its newest tokens came from.
    pub generation: i64,
    /// Whether one of those newest tokens has been used.
    pub successor_used: bool,
    /// When it was last seen, to the minute.
    pub last_seen_at: Time,
    /// Dead from this time on, whatever happens.
    pub expires_at: Time,
}

/// Why a presented credential was not accepted: put on the request by the identifying middleware.
#[derive(Clone, Debug)]
pub struct Refused(pub &'static str);

/// The caller, with at least the given role.
///
/// # Errors
/// 401 if nobody is signed in, 403 if the role is too low.
pub fn require(request: &Request, least: Role) -> Result<Principal> {
    let Some(principal) = request.extensions().get::<Principal>() else {
        let refused = request.extensions().get::<Refused>();
        return Err(Error::unauthenticated(refused.map_or("Sign in first.", |refused| refused.0)));
    };
    if principal.role() < least {
        return Err(Error::forbidden(format!("This needs the role {least} or above; yours is {}.", principal.role())));
    }
    Ok(principal.clone())
}

macro_rules! extractors {
    ($($(#[$doc:meta])+ $name:ident $role:ident;)+) => {$(
        $(#[$doc])+
        pub struct $name(pub Principal);

        impl std::ops::Deref for $name {
            type Target = Principal;
            fn deref(&self) -> &Principal {
                &self.0
            }
        }

        impl<'a> ApiExtractor<'a> for $name {
            const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::SecurityScheme];
            type ParamType = ();
            type ParamRawType = ();

            fn register(registry: &mut Registry) {
                registry.create_security_scheme("bearer", BEARER);
            }

            fn security_schemes() -> Vec<&'static str> {
                vec!["bearer"]
            }

            async fn from_request(
                request: &'a Request,
                _: &mut RequestBody,
                _: ExtractParamOptions<()>,
            ) -> poem::Result<Self> {
                Ok(Self(require(request, Role::$role)?))
            }
        }
    )+};
}

extractors! {
    /// Anybody with an account.
    SignedIn User;
    /// Support and above.
    Support Support;
    /// Administrators and above.
    Admin Admin;
}

const BEARER: MetaSecurityScheme = MetaSecurityScheme {
    ty: "http",
    description: Some("The access token from `/api/v1/public/auth/login`, as `Authorization: Bearer …`."),
    name: None,
    key_in: None,
    scheme: Some("bearer"),
    bearer_format: Some("JWT"),
    flows: None,
    openid_connect_url: None,
};

/// The origin that the outermost middleware noted.
pub fn origin(request: &Request) -> Arc<Origin> {
    request.extensions().get::<Arc<Origin>>().cloned().unwrap_or_default()
}

/// Where the request came from, for handlers that anybody may call.
pub struct From(pub Arc<Origin>);

impl<'a> poem::FromRequest<'a> for From {
    async fn from_request(request: &'a Request, _: &mut RequestBody) -> poem::Result<Self> {
        Ok(Self(origin(request)))
    }
}
