//! Verifies the identity in a JWT, alike for the agent service and for access control.
//!
//! HS256 with the shared secret (contract 3). What jsonwebtoken leaves to its callers is done here: an
//! unknown `crit` (RFC 7515 §4.1.11), `nbf` and `aud` (RFC 7519 §4.1.3, §4.1.5), times with a fraction
//! (RFC 7519 §2), and a clock that the world can set.

mod claims;
mod defects;
mod presented;

use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde_json::{Map, Value};

use super::{ComponentError, Pod, mutant};
use crate::hmac;
use claims::Time;
pub use claims::{Identity, Role};
pub use presented::{Place, Presented};

/// Seconds by which clocks may differ (policy `jwt.leeway`).
const LEEWAY: f64 = 30.0;

/// Why a token is invalid. Clients aren't told: all get the same answer (RFC 9110 §15.5.2).
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Invalid {
    #[error("its form or its signature: {0}")]
    Signature(String),
    #[error("its header lists critical extensions (`crit`), and none is supported")]
    Critical,
    #[error("its claim {0} is missing or invalid")]
    Claim(&'static str),
    #[error("it has expired")]
    Expired,
    #[error("it is not valid yet")]
    Early,
    #[error("it is for another audience")]
    Audience,
}

/// Verifies tokens.
pub struct Verifier {
    secret: String,
    key: DecodingKey,
    validation: Validation,
    clock: Clock,
    pod: Pod,
}

/// The time, in seconds since 1970.
enum Clock {
    System,
    /// Stands still.
    At(f64),
}

impl Verifier {
    /// With the secret `AUTH_JWT_SECRET`, and the time `CLOCK` (seconds since 1970) where that is given.
    ///
    /// # Errors
    /// No secret, or one of under 256 bits (RFC 7518 §3.2).
    pub fn new(pod: &Pod) -> Result<Verifier, ComponentError> {
        let secret = pod.var_or("AUTH_JWT_SECRET", "");
        if secret.len() < 32 {
            return Err(ComponentError(format!(
                "AUTH_JWT_SECRET has {} bytes, and HS256 wants 32 or more (RFC 7518 §3.2)",
                secret.len()
            )));
        }
        let clock = match pod.var("CLOCK").filter(|time| !time.is_empty()) {
            None => Clock::System,
            Some(_) => Clock::At(pod.number("CLOCK", 0.0)?),
        };
        let mut validation = Validation::new(Algorithm::HS256);
        // By our own clock, to the fraction of a second.
        validation.required_spec_claims.clear();
        validation.validate_exp = false;
        validation.validate_aud = false;
        Ok(Verifier {
            secret: secret.to_owned(),
            pod: pod.clone(),
            key: DecodingKey::from_secret(secret.as_bytes()),
            validation,
            clock,
        })
    }

    /// Who the token is of.
    pub fn verify(&self, token: &[u8]) -> Result<Identity, Invalid> {
        let decoded = match defects::decode(token, &self.secret, &self.pod) {
            Some(wrongly) => wrongly,
            None => hmac::decode::<Map<String, Value>>(token, &self.key, &self.validation)
                .map_err(|error| Invalid::Signature(error.to_string()))?,
        };
        if decoded.header.crit.is_some() && !self.pod.has(&mutant::CRIT_UNREAD) {
            return Err(Invalid::Critical);
        }
        let mut claims = decoded.claims;
        defects::complete(&mut claims, &self.pod);
        let now = self.clock.now();
        let leeway = match () {
            () if self.pod.has(&mutant::LEEWAY_IN_MINUTES) => LEEWAY * 60.0,
            () if self.pod.has(&mutant::NO_LEEWAY) => 0.0,
            () if self.pod.has(&mutant::EXP_UNCHECKED) => f64::INFINITY,
            () => LEEWAY,
        };
        match Time::of(&claims, "exp")? {
            None => return Err(Invalid::Claim("exp")),
            Some(Time(exp)) if exp + leeway <= now => return Err(Invalid::Expired),
            Some(_) => {}
        }
        if let Some(Time(nbf)) = Time::of(&claims, "nbf")?
            && nbf - LEEWAY > now
            && !self.pod.has(&mutant::NBF_UNREAD)
        {
            return Err(Invalid::Early);
        }
        if claims.contains_key("aud") && !self.pod.has(&mutant::AUD_UNREAD) {
            return Err(Invalid::Audience);
        }
        Identity::of(&claims)
    }
}

impl Clock {
    fn now(&self) -> f64 {
        match self {
            Clock::At(time) => *time,
            Clock::System => jiff::Timestamp::now().as_duration().as_secs_f64(),
        }
    }
}

#[cfg(test)]
pub mod tests;
