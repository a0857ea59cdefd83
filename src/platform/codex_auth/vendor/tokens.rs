//! Tokens: access and id tokens are JWTs with a key of this run, refresh tokens say nothing.

use std::fmt;
use std::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::hmac;

/// Where somebody is: the first two parts of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network([u8; 2]);

impl Network {
    pub fn of(address: IpAddr) -> Network {
        match address.to_canonical() {
            IpAddr::V4(address) => {
                let [one, two, ..] = address.octets();
                Network([one, two])
            }
            IpAddr::V6(address) => {
                let [one, two, ..] = address.octets();
                Network([one, two])
            }
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [one, two] = self.0;
        write!(formatter, "{one}.{two}.0.0/16")
    }
}

/// The key of this run.
pub struct Tokens {
    secret: SecretString,
    key: DecodingKey,
    validation: Validation,
}

/// Why there is no JWT.
#[derive(Debug, thiserror::Error)]
#[error("signing a token: {0}")]
pub struct SignError(#[from] jsonwebtoken::errors::Error);

/// What an access token says.
pub struct Claims {
    pub login: u64,
    pub expires_at: f64,
}

impl Tokens {
    pub fn new() -> Tokens {
        let secret = random();
        let mut validation = Validation::new(Algorithm::HS256);
        // By our own clock.
        validation.required_spec_claims.clear();
        validation.validate_exp = false;
        validation.validate_aud = false;
        Tokens {
            key: DecodingKey::from_secret(secret.as_bytes()),
            secret: secret.into(),
            validation,
        }
    }

    /// A JWT for an account's login.
    pub fn sign(&self, account: &str, login: u64, now: f64, expires_at: f64) -> Result<String, SignError> {
        // Whole seconds: not every reader takes a fraction.
        let claims = json!({
            "sub": account,
            "email": format!("{account}@example.com"),
            "iat": now.floor() as i64,
            "exp": expires_at.ceil() as i64,
            "jti": random(),
            "login": login,
            "https://api.openai.com/auth": { "chatgpt_account_id": account, "chatgpt_plan_type": "pro" },
        });
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let message = format!("{}.{}", part(&json!({ "alg": "HS256", "typ": "JWT" })), part(&claims));
        let signature = hmac::sign(&message, self.secret.expose_secret(), Algorithm::HS256)?;
        Ok(format!("{message}.{signature}"))
    }

    /// What a token of ours says; none for any other.
    pub fn claims(&self, token: &[u8]) -> Option<Claims> {
        let decoded = hmac::decode::<Map<String, Value>>(token, &self.key, &self.validation).ok()?;
        Some(Claims {
            login: decoded.claims.get("login")?.as_u64()?,
            expires_at: decoded.claims.get("exp")?.as_f64()?,
        })
    }
}

/// 256 random bits, as text.
pub fn random() -> String {
    let bytes: [u8; 32] = rand::random();
    URL_SAFE_NO_PAD.encode(bytes)
}

/// A token as it may be shown.
pub fn sha256(token: &[u8]) -> String {
    Sha256::digest(token).iter().map(|byte| format!("{byte:02x}")).collect()
}
