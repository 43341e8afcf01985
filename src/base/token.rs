//! The two tokens of an API session: a signed one to show, an opaque one to renew it.
//!
//! Access tokens are JWTs (RFC 9068 profile: `typ` is `at+jwt`) signed with Ed25519, so that others can verify them with
//! the keys at `/.well-known/jwks.json`. Refresh tokens are
//! `version ‖ session id ‖ generation ‖ MAC[16] ‖ SHA-256[4]` in base64url: nothing about them is stored, and a string that
//! was never ours is refused without a look at the database.

use anyhow::Context;
use jsonwebtoken::crypto::{CryptoProvider, JwtSigner, JwtVerifier, KeyUtils};
use jsonwebtoken::errors::{Error as JwtError, ErrorKind};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use ring::hmac;
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use serde::{Deserialize, Serialize};
use signature::{Signer, Verifier};

use super::clock::Time;
use super::error::Result;
use super::id::Id;
use super::secret::{Keys, base64url, from_base64url, mac, same, sha256};

/// What an access token says (RFC 7519, section 4.1, and RFC 9068, section 2.2).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// Who issued it: the public address of this server, where one is configured.
    pub iss: String,
    /// The account.
    pub sub: Id,
    /// The session, which can be revoked at any time.
    pub sid: Id,
    /// Which refresh it came from.
    pub generation: i64,
    /// For front ends that show it; never read back by this server.
    pub role: String,
    /// Issued at, in seconds since the epoch.
    pub iat: i64,
    /// Dead from this second on.
    pub exp: i64,
    /// Unique to this token.
    pub jti: String,
}

/// Signs and verifies both kinds.
pub struct Tokens {
    issuer: String,
    kid: String,
    public: Vec<u8>,
    encoding: EncodingKey,
    decoding: DecodingKey,
    refresh: hmac::Key,
}

impl Tokens {
    /// Prepares the keys.
    ///
    /// # Errors
    /// If the seed is not a key, which no 32 bytes are.
    pub fn new(keys: &Keys, issuer: String) -> Result<Self> {
        // The second call of one process finds the provider in place.
        let _ = RING.install_default();
        let pair = Ed25519KeyPair::from_seed_unchecked(&keys.signing_seed);
        let public = pair.map_err(|e| anyhow::anyhow!("the signing key: {e}"))?.public_key().as_ref().to_vec();
        let x = base64url(&public);
        // RFC 7638: the members in lexicographic order, without white space. RFC 8037, appendix A.3.
        let kid = base64url(&sha256(format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#).as_bytes()));
        Ok(Self {
            issuer,
            kid,
            encoding: EncodingKey::from_ed_der(&keys.signing_seed),
            decoding: DecodingKey::from_ed_der(&public),
            public,
            refresh: keys.refresh.clone(),
        })
    }

    /// Who signs, as in `iss`.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// The public keys, as a JWK set (RFC 7517, section 5).
    pub fn jwks(&self) -> serde_json::Value {
        let x = base64url(&self.public);
        let key =
            serde_json::json!({"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "kid": self.kid, "x": x});
        serde_json::json!({ "keys": [key] })
    }

    /// Signs an access token. Ed25519 is deterministic: equal claims, equal token.
    ///
    /// # Errors
    /// If the claims cannot be serialised.
    pub fn sign(&self, claims: &Claims) -> Result<String> {
        let mut header = Header::new(Algorithm::EdDSA);
        (header.typ, header.kid) = (Some("at+jwt".into()), Some(self.kid.clone()));
        Ok(jsonwebtoken::encode(&header, claims, &self.encoding).context("signing an access token")?)
    }

    /// What a token says, if it is ours and alive at `now`. The algorithm is ours to choose, never the token's.
    pub fn verify(&self, token: &str, now: Time) -> Option<Claims> {
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.set_issuer(&[&self.issuer]);
        validation.set_required_spec_claims(&["exp", "iss", "sub"]);
        // Expiry is judged below, by the clock that a test can move.
        (validation.validate_exp, validation.validate_aud) = (false, false);
        let data = jsonwebtoken::decode::<Claims>(token, &self.decoding, &validation).ok()?;
        let ours = data.header.kid.as_deref() == Some(&self.kid) && data.header.typ.as_deref() == Some("at+jwt");
        (ours && now.seconds() < data.claims.exp).then_some(data.claims)
    }

    /// The refresh token of one generation of a session: always the same text.
    pub fn refresh_token(&self, session: Id, generation: i64) -> String {
        let mut bytes = vec![1];
        bytes.extend_from_slice(session.bytes());
        bytes.extend_from_slice(&generation.to_be_bytes());
        let tag: [u8; 16] = mac(&self.refresh, &[&bytes]);
        bytes.extend_from_slice(&tag);
        let sum = sha256(&bytes);
        bytes.extend_from_slice(&sum[..4]);
        base64url(&bytes)
    }

    /// The session and generation of a refresh token, if it was ever ours.
    pub fn read_refresh_token(&self, token: &str) -> Option<(Id, i64)> {
        let bytes = from_base64url(token).filter(|bytes| bytes.len() == 45 && bytes[0] == 1)?;
        let session: [u8; 16] = bytes[1..17].try_into().ok()?;
        let generation = i64::from_be_bytes(bytes[17..25].try_into().ok()?);
        let (session, expected) = (Id::from_bytes(session), self.refresh_token(Id::from_bytes(session), generation));
        same(token.as_bytes(), expected.as_bytes()).then_some((session, generation))
    }
}

/// jsonwebtoken on ring, EdDSA alone: one crypto library in the binary, and no algorithm to be confused with.
static RING: CryptoProvider = CryptoProvider {
    signer_factory: |algorithm, key| match algorithm {
        Algorithm::EdDSA => {
            let pair = Ed25519KeyPair::from_seed_unchecked(key.as_bytes());
            Ok(Box::new(EdSigner(pair.map_err(|_| JwtError::from(ErrorKind::InvalidEddsaKey))?)))
        }
        _ => Err(ErrorKind::InvalidAlgorithm.into()),
    },
    verifier_factory: |algorithm, key| match algorithm {
        Algorithm::EdDSA => Ok(Box::new(EdVerifier(key.try_get_as_bytes()?.to_vec()))),
        _ => Err(ErrorKind::InvalidAlgorithm.into()),
    },
    // Only reached when jsonwebtoken builds a JWK itself, which nothing here asks of it.
    key_utils: KeyUtils::new_unimplemented(),
};

struct EdSigner(Ed25519KeyPair);

impl Signer<Vec<u8>> for EdSigner {
    fn try_sign(&self, message: &[u8]) -> Result<Vec<u8>, signature::Error> {
        Ok(self.0.sign(message).as_ref().to_vec())
    }
}

impl JwtSigner for EdSigner {
    fn algorithm(&self) -> Algorithm {
        Algorithm::EdDSA
    }
}

struct EdVerifier(Vec<u8>);

impl Verifier<Vec<u8>> for EdVerifier {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> Result<(), signature::Error> {
        UnparsedPublicKey::new(&ED25519, &self.0).verify(message, signature).map_err(|_| signature::Error::new())
    }
}

impl JwtVerifier for EdVerifier {
    fn algorithm(&self) -> Algorithm {
        Algorithm::EdDSA
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::secret::Secret;

    fn tokens(master: &str) -> Tokens {
        let keys = Keys::derive(&Secret::new(master.into())).unwrap();
        Tokens::new(&keys, "http://localhost".into()).unwrap()
    }

    fn claims() -> Claims {
        let (iss, role, jti) = ("http://localhost".into(), "user".into(), "x".into());
        Claims { iss, sub: Id::new(), sid: Id::new(), generation: 3, role, iat: 1_000, exp: 1_900, jti }
    }

    #[test]
    fn access_tokens_live_until_their_second() {
        let (tokens, claims) = (tokens("m1"), claims());
        let token = tokens.sign(&claims).unwrap();
        assert_eq!(token, tokens.sign(&claims).unwrap());
        assert_eq!(tokens.verify(&token, Time::from_micros(1_899_999_999)), Some(claims));
        assert_eq!(tokens.verify(&token, Time::from_micros(1_900_000_000)), None);
    }

    #[test]
    fn foreign_and_altered_access_tokens_are_refused() {
        let (tokens, now) = (tokens("m1"), Time::from_micros(1_500_000_000));
        let token = tokens.sign(&claims()).unwrap();
        assert!(super::tests::tokens("m2").verify(&token, now).is_none());
        for at in 0..token.len() {
            let mut bytes = token.clone().into_bytes();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            let altered = String::from_utf8(bytes).unwrap();
            // The last character of base64url may carry unused bits: then the decoder refuses or the bytes are equal.
            if at + 1 != token.len() {
                assert!(tokens.verify(&altered, now).is_none(), "changed at {at}");
            }
        }
        let body = token.split('.').nth(1).unwrap();
        let none = format!("{}.{body}.", base64url(br#"{"alg":"none","typ":"at+jwt"}"#));
        assert!(tokens.verify(&none, now).is_none());
    }

    #[test]
    fn refresh_tokens_name_their_session_and_nothing_else_does() {
        let (tokens, session) = (tokens("m1"), Id::new());
        let token = tokens.refresh_token(session, 7);
        assert_eq!(tokens.read_refresh_token(&token), Some((session, 7)));
        assert_eq!(super::tests::tokens("m2").read_refresh_token(&token), None);
        for at in 0..token.len() {
            let mut bytes = token.clone().into_bytes();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            assert_eq!(tokens.read_refresh_token(&String::from_utf8(bytes).unwrap()), None, "changed at {at}");
        }
        for junk in ["", "AQ", "not base64!", &"A".repeat(10_000)] {
            assert_eq!(tokens.read_refresh_token(junk), None);
        }
    }
}
