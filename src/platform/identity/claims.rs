//! The claims of a token: `sub`, `userId`, `role`, `email`, `exp`.

use serde_json::{Map, Value};

use super::Invalid;

/// The greatest number that JSON's users agree on (RFC 8259 §6).
const GREATEST: u64 = (1 << 53) - 1;

/// Who somebody is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    pub user_id: u64,
    /// The claim `sub`.
    pub name: String,
    pub email: Option<String>,
    pub role: Role,
}

/// What somebody may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Inactive,
    Restricted,
    Regular,
    Admin,
    /// No role, or an unknown one.
    Other,
}

/// A `NumericDate`: seconds since 1970, also with a fraction (RFC 7519 §2).
pub struct Time(pub f64);

impl Time {
    /// None if the claim isn't there.
    ///
    /// # Errors
    /// What is no time: a text, null, below nought, beyond what a calendar has.
    pub fn of(claims: &Map<String, Value>, name: &'static str) -> Result<Option<Time>, Invalid> {
        let Some(value) = claims.get(name) else {
            return Ok(None);
        };
        match value.as_f64() {
            Some(time) if (0.0..=GREATEST as f64).contains(&time) => Ok(Some(Time(time))),
            _ => Err(Invalid::Claim(name)),
        }
    }
}

impl Identity {
    pub fn of(claims: &Map<String, Value>) -> Result<Identity, Invalid> {
        let user_id = claims
            .get("userId")
            .and_then(Value::as_u64)
            .filter(|id| *id <= GREATEST)
            .ok_or(Invalid::Claim("userId"))?;
        let name = text(claims, "sub")?.ok_or(Invalid::Claim("sub"))?;
        Ok(Identity {
            user_id,
            name,
            email: text(claims, "email")?,
            role: claims
                .get("role")
                .and_then(Value::as_str)
                .map_or(Role::Other, Role::named),
        })
    }
}

/// A text that a header can carry: it goes into one (CWE-113).
fn text(claims: &Map<String, Value>, name: &'static str) -> Result<Option<String>, Invalid> {
    match claims.get(name) {
        None => Ok(None),
        Some(Value::String(text)) if !text.is_empty() && !text.chars().any(char::is_control) => Ok(Some(text.clone())),
        Some(_) => Err(Invalid::Claim(name)),
    }
}

impl Role {
    fn named(name: &str) -> Role {
        match name {
            "INACTIVE" => Role::Inactive,
            "RESTRICTED" => Role::Restricted,
            "REGULAR" => Role::Regular,
            "ADMIN" => Role::Admin,
            _ => Role::Other,
        }
    }

    /// Whether agents are for them.
    pub fn may_use_agents(self) -> bool {
        matches!(self, Role::Regular | Role::Admin)
    }
}
