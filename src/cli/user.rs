//! `omnistack user`.

use std::io::{IsTerminal, Read};

use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value, json};

use super::output::table;
use super::{Context, Failure, block_on};
use crate::app::{App, Claim};
use crate::auth;
use crate::base::clock::Clock;
use crate::base::db::migrate;
use crate::base::input::Change;
use crate::base::page::PageRequest;
use crate::base::principal::{Principal, Role};
use crate::base::secret::{Secret, random_token};
use crate::users::{self, Filter, NewUser, Sort, UserPatch};

/// Create, list and change accounts; works beside a running server
#[derive(Args)]
pub(super) struct User {
    #[command(subcommand)]
    command: UserCommand,
}

#[derive(Subcommand)]
enum UserCommand {
    /// Create an account; without --password-file a password is made up and printed once
    Create {
        /// The address
        email: String,
        /// What it may do
        #[arg(long, value_enum, default_value_t = RoleName::User)]
        role: RoleName,
        /// The name of the person
        #[arg(long)]
        name: Option<String>,
        #[command(flatten)]
        password: PasswordSource,
    },
    /// List accounts
    List {
        /// Only those whose address or name contains this
        #[arg(long)]
        search: Option<String>,
        /// At most this many
        #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=100))]
        limit: u32,
    },
    /// Deactivate an account and end its sessions
    Disable {
        /// The address
        email: String,
    },
    /// Give an account a role
    Promote {
        /// The address
        email: String,
        /// The role
        #[arg(long, value_enum)]
        role: Option<RoleName>,
    },
    /// Give an account a new password and end its sessions; without --password-file one is made up and printed once
    ResetPassword {
        /// The address
        email: String,
        #[command(flatten)]
        password: PasswordSource,
    },
}

#[derive(Args)]
struct PasswordSource {
    /// Read the password from this file, or from stdin if it is -
    #[arg(long, value_name = "FILE")]
    password_file: Option<String>,
    /// Ask for the password on the terminal
    #[arg(long, conflicts_with = "password_file")]
    ask: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum RoleName {
    User,
    Support,
    Admin,
    Superadmin,
}

impl From<RoleName> for Role {
    fn from(name: RoleName) -> Self {
        match name {
            RoleName::User => Role::User,
            RoleName::Support => Role::Support,
            RoleName::Admin => Role::Admin,
            RoleName::Superadmin => Role::Superadmin,
        }
    }
}

impl User {
    pub(super) fn run(self, context: &Context) -> Result<(), Failure> {
        // Asked before anything is opened, so that a missing answer changes nothing.
        let password = match &self.command {
            UserCommand::Create { password, .. } | UserCommand::ResetPassword { password, .. } => {
                Some(password.read(context)?)
            }
            _ => None,
        };
        let config = context.config()?;
        block_on(async {
            let app = App::open(config, Clock::System, Claim::Beside)?;
            let pending = migrate::status(&app.db).await?.pending();
            if pending > 0 {
                // Beside a server there is nothing pending; without one, this is the first command on an empty directory.
                migrate::run(&app.db, &app.clock).await?;
            }
            let outcome = run(context, &app, self.command, password.unwrap_or(Given::Generated)).await;
            app.close().await?;
            outcome
        })
    }
}

/// The password of a new account.
enum Given {
    Typed(Secret),
    Generated,
}

impl Given {
    /// The password, and the text to show if it was made up here.
    fn resolve(self) -> Result<(Secret, Option<String>), Failure> {
        match self {
            Given::Typed(password) => Ok((password, None)),
            Given::Generated => {
                let token = random_token()?;
                Ok((Secret::new(token.clone()), Some(token)))
            }
        }
    }
}

impl PasswordSource {
    fn read(&self, context: &Context) -> Result<Given, Failure> {
        let text = match self.password_file.as_deref() {
            Some("-") => {
                let mut text = String::new();
                let read = std::io::stdin().lock().take(10_000).read_to_string(&mut text);
                read.map_err(|error| Failure::usage(format!("--password-file -: {error}")))?;
                text
            }
            Some(path) => std::fs::read_to_string(path)
                .map_err(|error| Failure::usage(format!("--password-file {path}: {error}")))?,
            None if self.ask => return prompt(context),
            None => return Ok(Given::Generated),
        };
        let password = text.strip_suffix('\n').map_or(text.as_str(), |text| text.strip_suffix('\r').unwrap_or(text));
        if password.is_empty() {
            return Err(Failure::usage("--password-file: there is no password in it"));
        }
        Ok(Given::Typed(Secret::new(password.into())))
    }
}

fn prompt(context: &Context) -> Result<Given, Failure> {
    if context.common.no_input || !std::io::stdin().is_terminal() {
        return Err(Failure::usage("--ask needs a terminal; use --password-file FILE, or - for stdin"));
    }
    let ask =
        |label: &str| rpassword::prompt_password(label).map_err(|error| Failure::other(format!("asking: {error}")));
    let (first, second) = (ask("Password: ")?, ask("Again: ")?);
    if first != second {
        return Err(Failure::usage("the two passwords differ"));
    }
    Ok(Given::Typed(Secret::new(first)))
}

async fn run(context: &Context, app: &App, command: UserCommand, password: Given) -> Result<(), Failure> {
    let me = Principal::command_line();
    match command {
        UserCommand::Create { email, role, name, .. } => {
            let (password, made_up) = password.resolve()?;
            let new = NewUser { email, full_name: name, role: role.into() };
            let user = auth::create_account(app, &me, new, password).await?;
            changed(context, &user, made_up, &format!("Created {} with the role {}.", user.email, user.role))
        }
        UserCommand::List { search, limit } => list(context, app, search, limit).await,
        UserCommand::Disable { email } => {
            let user = find(app, &email).await?;
            let user = users::set_active_any_owner(app, &me, user.id, false).await?;
            changed(context, &user, None, &format!("{} is deactivated and signed out everywhere.", user.email))
        }
        UserCommand::Promote { email, role } => {
            let Some(role) = role else { return Err(Failure::usage("--role says which role to give")) };
            let user = find(app, &email).await?;
            let patch = UserPatch { role: Change::Set(role.into()), ..UserPatch::default() };
            let user = users::update_any_owner(app, &me, user.id, patch, None).await?;
            changed(context, &user, None, &format!("{} has the role {} now.", user.email, user.role))
        }
        UserCommand::ResetPassword { email, .. } => {
            let user = find(app, &email).await?;
            let (password, made_up) = password.resolve()?;
            auth::reset_password(app, &me, &user, password).await?;
            changed(
                context,
                &user,
                made_up,
                &format!("{} has a new password and is signed out everywhere.", user.email),
            )
        }
    }
}

fn changed(context: &Context, user: &users::User, made_up: Option<String>, text: &str) -> Result<(), Failure> {
    let mut value = json!({ "id": user.id, "email": user.email, "role": user.role, "is_active": user.is_active });
    let mut text = format!("{text}\n");
    if let Some(password) = made_up {
        value["password"] = Value::from(password.as_str());
        text += &format!("Password, shown only now: {password}\n");
    }
    context.out.value(&value, |_| text)
}

async fn find(app: &App, email: &str) -> Result<users::User, Failure> {
    let found = users::find_by_email_any_owner(app, email).await?;
    found.ok_or_else(|| {
        Failure::not_found(format!("there is no account with the address {email}")).with("See: omnistack user list")
    })
}

async fn list(context: &Context, app: &App, search: Option<String>, limit: u32) -> Result<(), Failure> {
    let (filter, page) = (Filter { search, ..Filter::default() }, PageRequest { skip: 0, limit, cursor: None });
    let page = users::list_any_owner(app, filter, Sort::default(), page).await?;
    let state = |user: &users::User| if user.is_active { "active" } else { "inactive" };
    let row =
        |user: &users::User| vec![user.email.clone(), user.role.to_string(), state(user).into(), user.id.to_string()];
    let rows: Vec<_> = page.items.iter().map(row).collect();
    context.out.value(&page, |_| table(&["email", "role", "state", "id"], &rows))
}
