//! Password hashing: argon2id (RFC 9106) on its own few threads, each with its memory kept.
//!
//! A burst of sign-ins may neither starve the other requests nor eat the machine's memory, so the queue to the threads is
//! bounded and a full one answers 429. Parameters stand in the hash (PHC string); one made with others is replaced at
//! the next sign-in.

use std::time::Duration;

use anyhow::Context;
use argon2::password_hash::phc::{Ident, Output, ParamsString, PasswordHash, Salt};
use argon2::{Algorithm, Argon2, Block, Params, Version};
use crossbeam_channel::{Sender, TrySendError};
use tokio::sync::oneshot;

use super::config::AuthSection;
use super::error::{Error, Result};
use super::secret::{Secret, random_bytes, same};

/// The most common passwords that are long enough to be tried, lower case, one a line.
const COMMON: &str = include_str!("../../assets/common-passwords.txt");
/// Longer ones are refused, so that hashing stays bounded. ASVS 5.0, 6.2.9 asks for at least 64.
pub const MAX_LENGTH: usize = 256;

/// How a password compares with a stored hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Another password.
    Wrong,
    /// The right one.
    Right,
    /// The right one, hashed with parameters that are no longer in use.
    RightButOutdated,
}

enum Work {
    Hash(Secret, oneshot::Sender<Result<String>>),
    Verify(Secret, String, oneshot::Sender<Result<Verdict>>),
}

/// The hashing threads.
pub struct Passwords {
    queue: Sender<Work>,
    min_length: usize,
    dummy: String,
}

impl Passwords {
    /// Starts the threads.
    ///
    /// # Errors
    /// If the parameters are out of argon2's range.
    pub fn start(section: &AuthSection) -> Result<Self> {
        let memory = u32::try_from(section.argon2_memory / 1024).unwrap_or(u32::MAX);
        let params = Params::new(memory, section.argon2_iterations, section.argon2_parallelism, None);
        let params = params.map_err(|e| anyhow::anyhow!("auth.argon2_*: {e}"))?;
        let threads = match section.argon2_threads {
            0 => (std::thread::available_parallelism().map_or(1, usize::from) / 2).max(1),
            n => n as usize,
        };
        let (queue, work) = crossbeam_channel::bounded::<Work>(section.argon2_queue as usize);
        for _ in 0..threads {
            let (work, params) = (work.clone(), params.clone());
            let run = move || {
                let mut memory = Memory::new(&params);
                while let Ok(work) = work.recv() {
                    match work {
                        Work::Hash(password, reply) => drop(reply.send(memory.hash(&password))),
                        Work::Verify(password, hash, reply) => drop(reply.send(memory.verify(&password, &hash))),
                    }
                }
            };
            let thread = std::thread::Builder::new().name("argon2".into()).spawn(run);
            thread.context("starting a hashing thread")?;
        }
        let dummy = Memory::new(&params).hash(&Secret::new("nobody has this password".into()))?;
        Ok(Self { queue, min_length: section.password_min_length as usize, dummy })
    }

    /// The hash to store.
    ///
    /// # Errors
    /// 429 when too many are waiting.
    pub async fn hash(&self, password: Secret) -> Result<String> {
        let (reply, answer) = oneshot::channel();
        self.send(Work::Hash(password, reply))?;
        answer.await.context("a hashing thread ended")?
    }

    /// Compares with `hash`. Without one the same work is done on a dummy, so that time does not tell whether the account
    /// exists.
    ///
    /// # Errors
    /// 429 when too many are waiting.
    pub async fn verify(&self, password: Secret, hash: Option<String>) -> Result<Verdict> {
        let (reply, answer) = oneshot::channel();
        let known = hash.is_some();
        self.send(Work::Verify(password, hash.unwrap_or_else(|| self.dummy.clone()), reply))?;
        let verdict = answer.await.context("a hashing thread ended")??;
        Ok(if known { verdict } else { Verdict::Wrong })
    }

    fn send(&self, work: Work) -> Result<()> {
        self.queue.try_send(work).map_err(|error| match error {
            TrySendError::Full(_) => {
                Error::too_many("Too many sign-ins at once: try again in a moment.", Duration::from_secs(2))
            }
            TrySendError::Disconnected(_) => Error::Internal(anyhow::anyhow!("the hashing threads have ended")),
        })
    }

    /// What is wrong with a new password, if anything: its length, or that everybody tries it first (ASVS 5.0, 6.2.1,
    /// 6.2.4). No rule about kinds of characters, on purpose (6.2.5).
    pub fn fault(&self, password: &Secret, email: &str) -> Option<(&'static str, String)> {
        let (text, min) = (password.expose(), self.min_length);
        let length = text.chars().count();
        if length < min || length > MAX_LENGTH {
            return Some(("length", format!("Use {min} to {MAX_LENGTH} characters; a few unrelated words are good.")));
        }
        let lower = text.to_lowercase();
        let name = email.split('@').next().unwrap_or_default().to_lowercase();
        if lower == email.to_lowercase() || lower == name {
            return Some(("common", "This is your e-mail address: choose something that others cannot guess.".into()));
        }
        let common = COMMON.lines().any(|line| line == lower);
        common.then(|| ("common", "This password is on every list of common ones: choose another.".into()))
    }
}

/// What one thread keeps.
struct Memory {
    argon2: Argon2<'static>,
    blocks: Vec<Block>,
}

impl Memory {
    fn new(params: &Params) -> Self {
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params.clone());
        Self { blocks: vec![Block::default(); params.block_count()], argon2 }
    }

    fn hash(&mut self, password: &Secret) -> Result<String> {
        let salt = random_bytes::<16>()?;
        let output = self.derive::<32>(password, &salt)?;
        let wrong = |e| anyhow::anyhow!("writing a password hash: {e}");
        Ok(PasswordHash {
            algorithm: Ident::new("argon2id").map_err(wrong)?,
            version: Some(Version::V0x13.into()),
            params: ParamsString::try_from(self.argon2.params()).map_err(|e| anyhow::anyhow!("{e}"))?,
            salt: Some(Salt::new(&salt).map_err(|e| anyhow::anyhow!("{e}"))?),
            hash: Some(Output::new(&output).map_err(|e| anyhow::anyhow!("{e}"))?),
        }
        .to_string())
    }

    fn verify(&mut self, password: &Secret, stored: &str) -> Result<Verdict> {
        let wrong = |e| anyhow::anyhow!("reading a password hash: {e}");
        let parsed = PasswordHash::new(stored).map_err(wrong)?;
        let params = Params::try_from(&parsed).map_err(|e| anyhow::anyhow!("reading a password hash: {e}"))?;
        let (Some(salt), Some(expected)) = (&parsed.salt, &parsed.hash) else {
            return Err(anyhow::anyhow!("a stored password hash has no salt or no output").into());
        };
        let current = self.argon2.params();
        let outdated = (params.m_cost(), params.t_cost(), params.p_cost())
            != (current.m_cost(), current.t_cost(), current.p_cost());
        let output = if outdated {
            Memory::new(&params).derive::<32>(password, salt.as_ref())?
        } else {
            self.derive::<32>(password, salt.as_ref())?
        };
        Ok(match (same(&output, expected.as_bytes()), outdated) {
            (false, _) => Verdict::Wrong,
            (true, true) => Verdict::RightButOutdated,
            (true, false) => Verdict::Right,
        })
    }

    fn derive<const N: usize>(&mut self, password: &Secret, salt: &[u8]) -> Result<[u8; N]> {
        let mut output = [0; N];
        let password = password.expose().as_bytes();
        let done = self.argon2.hash_password_into_with_memory(password, salt, &mut output, &mut self.blocks);
        done.map_err(|e| anyhow::anyhow!("hashing a password: {e}"))?;
        Ok(output)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::config::Config;

    fn section(memory: u64) -> AuthSection {
        AuthSection { argon2_memory: memory, argon2_iterations: 1, ..Config::defaults().auth }
    }

    #[tokio::test]
    async fn right_wrong_and_outdated() {
        let old = Passwords::start(&section(8 << 10)).unwrap();
        let hash = old.hash(Secret::new("correct horse".into())).await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=8,t=1,p=1$"), "{hash}");
        let verify = async |passwords: &Passwords, text: &str| {
            passwords.verify(Secret::new(text.into()), Some(hash.clone())).await.unwrap()
        };
        assert_eq!(verify(&old, "correct horse").await, Verdict::Right);
        assert_eq!(verify(&old, "correct horsf").await, Verdict::Wrong);
        let new = Passwords::start(&section(16 << 10)).unwrap();
        assert_eq!(verify(&new, "correct horse").await, Verdict::RightButOutdated);
        assert_eq!(verify(&new, "wrong").await, Verdict::Wrong);
    }

    #[tokio::test]
    async fn no_account_is_never_right() {
        let passwords = Passwords::start(&section(8 << 10)).unwrap();
        let verdict = passwords.verify(Secret::new("nobody has this password".into()), None).await.unwrap();
        assert_eq!(verdict, Verdict::Wrong);
    }

    #[test]
    fn new_passwords_are_judged() {
        let passwords = Passwords::start(&section(8 << 10)).unwrap();
        let code = |text: &str| passwords.fault(&Secret::new(text.into()), "ada.lovelace@example.com").map(|f| f.0);
        assert_eq!(code("short"), Some("length"));
        assert_eq!(code(&"x".repeat(MAX_LENGTH + 1)), Some("length"));
        assert_eq!(code("Qwertyuiop"), Some("common"));
        assert_eq!(code("Ada.Lovelace"), Some("common"));
        assert_eq!(code("plum-orbit-sled"), None);
    }
}
