//! HMAC signatures of JWTs (RFC 7518 §3.2), as a provider for `jsonwebtoken`.
//!
//! The crate's own providers bring RSA and elliptic curves along. Contract 3 knows HMAC alone, and `ring`
//! is here already for TLS.

use jsonwebtoken::crypto::{CryptoProvider, JwtSigner, JwtVerifier, KeyUtils};
use jsonwebtoken::errors::{Error, ErrorKind};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, TokenData, Validation};
use ring::hmac;
use serde::de::DeserializeOwned;
use signature::{Signer, Verifier};

static PROVIDER: CryptoProvider = CryptoProvider {
    signer_factory: |algorithm, key| {
        let key = Key::new(*algorithm, key.as_bytes())?;
        Ok(Box::new(key) as Box<dyn JwtSigner>)
    },
    verifier_factory: |algorithm, key| {
        let key = Key::new(*algorithm, key.try_get_as_bytes()?)?;
        Ok(Box::new(key) as Box<dyn JwtVerifier>)
    },
    key_utils: KeyUtils::new_unimplemented(),
};

struct Key {
    algorithm: Algorithm,
    key: hmac::Key,
}

impl Key {
    fn new(algorithm: Algorithm, secret: &[u8]) -> Result<Key, Error> {
        let hash = match algorithm {
            Algorithm::HS256 => hmac::HMAC_SHA256,
            Algorithm::HS384 => hmac::HMAC_SHA384,
            Algorithm::HS512 => hmac::HMAC_SHA512,
            _ => return Err(ErrorKind::InvalidAlgorithm.into()),
        };
        Ok(Key {
            algorithm,
            key: hmac::Key::new(hash, secret),
        })
    }
}

impl Signer<Vec<u8>> for Key {
    fn try_sign(&self, message: &[u8]) -> Result<Vec<u8>, signature::Error> {
        Ok(hmac::sign(&self.key, message).as_ref().to_vec())
    }
}

impl JwtSigner for Key {
    fn algorithm(&self) -> Algorithm {
        self.algorithm
    }
}

impl Verifier<Vec<u8>> for Key {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> Result<(), signature::Error> {
        hmac::verify(&self.key, message, signature).map_err(|_| signature::Error::new())
    }
}

impl JwtVerifier for Key {
    fn algorithm(&self) -> Algorithm {
        self.algorithm
    }
}

/// The crate takes one provider for a process. A second call changes nothing.
fn install() {
    let _installed_before = PROVIDER.install_default();
}

/// The signature of a JWT's `header.payload`, base64url without padding.
///
/// # Errors
/// An algorithm that isn't HMAC.
pub fn sign(message: &str, secret: &str, algorithm: Algorithm) -> Result<String, Error> {
    install();
    jsonwebtoken::crypto::sign(
        message.as_bytes(),
        &EncodingKey::from_secret(secret.as_bytes()),
        algorithm,
    )
}

/// What a token says, where signature and `validation` hold.
///
/// # Errors
/// Why they don't.
pub fn decode<T>(token: &[u8], key: &DecodingKey, validation: &Validation) -> Result<TokenData<T>, Error>
where
    T: DeserializeOwned + Clone,
{
    install();
    jsonwebtoken::decode(token, key, validation)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7515 appendix A.1: the token of the standard, with its key.
    #[test]
    fn the_example_of_the_standard_is_signed_alike() {
        use base64::Engine as _;
        let key = "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow";
        let key = base64::engine::general_purpose::URL_SAFE_NO_PAD
            .decode(key)
            .expect("base64");
        let message = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.\
                       eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
        install();
        let signature =
            jsonwebtoken::crypto::sign(message.as_bytes(), &EncodingKey::from_secret(&key), Algorithm::HS256);
        assert_eq!(
            signature.as_deref().ok(),
            Some("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk")
        );
    }

    #[test]
    fn other_families_are_refused() {
        assert!(sign("a.b", "secret", Algorithm::RS256).is_err());
        assert!(sign("a.b", "secret", Algorithm::ES256).is_err());
    }
}
