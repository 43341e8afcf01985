//! Randomness, hashing, signing, and text that must not be printed.
//!
//! One master key, generated on first start and kept in `<data_dir>/secrets.toml` (or set as `server.secret_key`, so that
//! several instances share it). Every use has a key of its own, derived with HKDF-SHA-256 (RFC 5869) under a label:
//! the leak of one says nothing of another.

use std::fmt;
use std::fs;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use anyhow::Context;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::{SecureRandom, SystemRandom};
use ring::{digest, hkdf, hmac};
use subtle::ConstantTimeEq;

/// Text that prints as `***`. There is no way to serialise it.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Hides `text`.
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// The text itself: only for the line that hands it to whoever needs it.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether nothing is set.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// Fresh random bytes from the system.
///
/// # Errors
/// If the system has no randomness to give, in which case nothing should go on.
#[expect(clippy::disallowed_methods, reason = "this is the one door to randomness")]
pub fn random_bytes<const N: usize>() -> anyhow::Result<[u8; N]> {
    let mut bytes = [0; N];
    SystemRandom::new().fill(&mut bytes).map_err(|_| anyhow::anyhow!("the system gave no random bytes"))?;
    Ok(bytes)
}

/// A fresh token of 256 bits, base64url without padding.
///
/// # Errors
/// See [`random_bytes`].
pub fn random_token() -> anyhow::Result<String> {
    Ok(base64url(&random_bytes::<32>()?))
}

/// base64url without padding (RFC 4648, section 5).
pub fn base64url(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Reads base64url without padding.
pub fn from_base64url(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

/// SHA-256.
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut out = [0; 32];
    out.copy_from_slice(digest::digest(&digest::SHA256, bytes).as_ref());
    out
}

/// How a random token is stored: SHA-256, base64url. Enough for 256 random bits, never for passwords.
pub fn token_hash(token: &str) -> String {
    base64url(&sha256(token.as_bytes()))
}

/// The keys of the program, each derived for one use.
pub struct Keys {
    /// Seed of the Ed25519 key that signs access tokens.
    pub signing_seed: [u8; 32],
    /// Authenticates refresh tokens.
    pub refresh: hmac::Key,
    /// Authenticates page cursors.
    pub cursor: hmac::Key,
    /// Authenticates the hidden field of forms.
    pub csrf: hmac::Key,
}

impl Keys {
    /// Derives all keys from one master secret.
    ///
    /// # Errors
    /// Never for the lengths asked here; kept as an error rather than a panic.
    pub fn derive(master: &Secret) -> anyhow::Result<Self> {
        let salt = hkdf::Salt::new(hkdf::HKDF_SHA256, b"omnistack");
        let source = salt.extract(master.expose().as_bytes());
        let derive = |label: &str| -> anyhow::Result<[u8; 32]> {
            let mut key = [0; 32];
            source
                .expand(&[label.as_bytes()], hkdf::HKDF_SHA256)
                .and_then(|okm| okm.fill(&mut key))
                .map_err(|_| anyhow::anyhow!("deriving the {label} key"))?;
            Ok(key)
        };
        Ok(Self {
            signing_seed: derive("access-token")?,
            refresh: hmac::Key::new(hmac::HMAC_SHA256, &derive("refresh-token")?),
            cursor: hmac::Key::new(hmac::HMAC_SHA256, &derive("cursor")?),
            csrf: hmac::Key::new(hmac::HMAC_SHA256, &derive("csrf")?),
        })
    }
}

/// The first `N` bytes of an HMAC-SHA-256 over `parts`, each preceded by its length so that no two lists collide.
pub fn mac<const N: usize>(key: &hmac::Key, parts: &[&[u8]]) -> [u8; N] {
    let mut context = hmac::Context::with_key(key);
    for part in parts {
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part);
    }
    let mut out = [0; N];
    out.copy_from_slice(&context.sign().as_ref()[..N]);
    out
}

/// Compares without telling by its time where the difference lies.
pub fn same(a: &[u8], b: &[u8]) -> bool {
    a.ct_eq(b).into()
}

/// The master key of `data_dir`, generated and stored (0600) if there is none.
///
/// # Errors
/// If the file cannot be read, written or understood.
pub fn load_or_create_master(data_dir: &Path) -> anyhow::Result<Secret> {
    let path = data_dir.join("secrets.toml");
    let read = |path: &Path| -> anyhow::Result<Secret> {
        let text = fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
        let table: toml::Table = text.parse().with_context(|| format!("{} is not valid TOML", path.display()))?;
        let key = table.get("master_key").and_then(toml::Value::as_str).filter(|key| key.len() >= 32);
        let key = key.with_context(|| format!("{} has no master_key of 32 characters or more", path.display()))?;
        Ok(Secret::new(key.into()))
    };
    if path.exists() {
        return read(&path);
    }
    let text = format!(
        "# Generated once. Whoever has it can sign in as anybody: keep it out of backups you hand out.\nmaster_key = \"{}\"\n",
        random_token()?
    );
    // Written beside and linked into place, so that of two starts at once both end with the same key.
    let draft = data_dir.join(format!("secrets.toml.{}", std::process::id()));
    let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    let linked = fs::hard_link(&draft, &path);
    fs::remove_file(&draft)?;
    match linked {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
            Err(error).with_context(|| format!("writing {}", path.display()))
        }
        _ => read(&path),
    }
}

/// Creates the data directory for the owner alone (0700), parents included.
///
/// # Errors
/// If it cannot be created.
pub fn create_private_dir(dir: &Path) -> anyhow::Result<()> {
    if dir.is_dir() {
        return Ok(());
    }
    fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).with_context(|| format!("creating {}", dir.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_never_print() {
        let secret = Secret::new("hunter2-hunter2".into());
        assert_eq!(format!("{secret} {secret:?}"), "*** ***");
    }

    #[test]
    fn keys_differ_by_use_and_repeat_by_master() {
        let master = Secret::new("0123456789abcdef0123456789abcdef".into());
        let (a, b) = (Keys::derive(&master).unwrap(), Keys::derive(&master).unwrap());
        assert_eq!(a.signing_seed, b.signing_seed);
        let tag = |key| mac::<16>(key, &[b"x"]);
        assert_eq!(tag(&a.csrf), tag(&b.csrf));
        assert_ne!(tag(&a.csrf), tag(&a.cursor));
        assert_ne!(mac::<16>(&a.csrf, &[b"ab", b"c"]), mac::<16>(&a.csrf, &[b"a", b"bc"]));
    }

    #[test]
    fn the_master_key_is_created_once_for_the_owner_alone() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let first = load_or_create_master(dir.path()).unwrap();
        assert!(first == load_or_create_master(dir.path()).unwrap());
        let mode = fs::metadata(dir.path().join("secrets.toml")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
