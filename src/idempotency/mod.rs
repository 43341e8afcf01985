//! `Idempotency-Key`: a POST that is sent twice is done once and answered twice.
//!
//! Owns `idempotency_keys`.
//!
//! The key, the fingerprint of the request and its answer are written in the transaction of the change itself, so there
//! is no moment at which one exists without the other, nor a state "in progress": of two at once, one waits for the
//! other. A key belongs to one caller and one operation and is kept for 24 hours. The same key with another body is
//! refused.
//!
//! Reached through [`once`] inside a write. After draft-ietf-httpapi-idempotency-key-header-07.

mod store;

use std::time::Duration;

use anyhow::Context;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::base::clock::Time;
use crate::base::db::Tx;
use crate::base::error::{Faults, Result};
use crate::base::id::Id;
use crate::base::secret::{base64url, sha256};

/// How long an answer is kept.
const KEPT: Duration = Duration::from_hours(24);

/// A key as it was sent, with what it was sent for.
#[derive(Clone, Debug)]
pub struct Key {
    owner: Id,
    operation: &'static str,
    key: String,
    fingerprint: String,
}

impl Key {
    /// Reads the header; `request` is what must be equal when the key comes again.
    ///
    /// # Errors
    /// 422 if the key is empty, longer than 255 characters or not printable ASCII.
    pub fn read(
        header: Option<String>,
        owner: Id,
        operation: &'static str,
        request: &impl Serialize,
    ) -> Result<Option<Self>> {
        let Some(key) = header else { return Ok(None) };
        if key.is_empty() || key.len() > 255 || !key.bytes().all(|b| b.is_ascii_graphic()) {
            let message = "Send 1 to 255 printable ASCII characters, such as a UUID.";
            return Err(Faults::only("Idempotency-Key", "format", message));
        }
        let request = serde_json::to_vec(request).context("writing a request down")?;
        Ok(Some(Self { owner, operation, key, fingerprint: base64url(&sha256(&request)) }))
    }
}

/// Runs `change` unless it was run under this key before; says whether the answer is that earlier one.
///
/// # Errors
/// The change's own, in which case the key may be used again; 422 if the key came with another body.
pub fn once<T: Serialize + DeserializeOwned>(
    tx: &mut Tx<'_>,
    key: Option<&Key>,
    now: Time,
    change: impl FnOnce(&mut Tx<'_>) -> Result<T>,
) -> Result<(T, bool)> {
    let Some(key) = key else { return Ok((change(tx)?, false)) };
    store::delete_before(tx, now - KEPT)?;
    if let Some((fingerprint, answer)) = store::find(tx, key)? {
        if fingerprint != key.fingerprint {
            let message = "This key was used for another request: use a new one.";
            return Err(Faults::only("Idempotency-Key", "reused", message));
        }
        return Ok((serde_json::from_str(&answer).context("reading an earlier answer")?, true));
    }
    let value = change(tx)?;
    let answer = serde_json::to_string(&value).context("writing an answer down")?;
    store::insert(tx, key, &answer, now)?;
    Ok((value, false))
}
