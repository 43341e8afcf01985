//! What knows no capability: the parts a second product would also want.
//!
//! Imports inside `base` stay inside `base`. Each door to the outside world stands here once: time in [`clock`],
//! randomness in [`id`] and [`secret`], the environment in [`config`], HTTP statuses in [`error`], SQL engines in [`db`].

pub(crate) mod assets;
pub(crate) mod cache;
pub(crate) mod clock;
pub(crate) mod compress;
pub mod config;
pub(crate) mod contract;
pub(crate) mod db;
pub(crate) mod error;
mod fault;
pub(crate) mod html;
pub(crate) mod id;
pub(crate) mod input;
pub(crate) mod json;
pub(crate) mod page;
pub(crate) mod password;
pub(crate) mod principal;
pub(crate) mod secret;
pub(crate) mod telemetry;
pub(crate) mod token;
pub(crate) mod web;
