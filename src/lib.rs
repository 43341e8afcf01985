//! OmniStack: the backend of a SaaS product in one binary.
//!
//! # The house
//!
//! Every folder here but [`base`], `console` and `cli` is a product feature: its types and rules in `mod.rs`, its SQL in
//! `store.rs`, its faces in `api.rs` (JSON) and `admin.rs` (HTML), its tests in `tests.rs`. Start with `projects`, the
//! smallest complete one, and copy it. `server` is the product on one page.
//!
//! **Imports only point up this list.** A module uses what stands above it and nothing below; between capabilities, only
//! what `mod.rs` offers. Inside one: faces → operations → store → `base::db`. A test holds these rules (`tidy`).
//!
//! # The life of a request
//!
//! `base::web` (request id, limits, envelope) → `sessions::Identify` (who is asking) → a face (`api.rs`, `admin.rs`) → an
//! operation (`mod.rs`), which opens `app.db.read` or `app.db.write` → `store.rs`. Inside a write, an operation also
//! records its audit entry: both are on disk before the answer leaves, or neither ever is.

pub mod base;

pub(crate) mod app;
pub(crate) mod shell;

pub(crate) mod audit;
pub(crate) mod idempotency;
pub(crate) mod sessions;
pub(crate) mod users;

pub(crate) mod auth;
pub(crate) mod projects;

pub(crate) mod health;

pub(crate) mod console;
pub(crate) mod docs;

pub(crate) mod server;

pub mod cli;

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tidy;
