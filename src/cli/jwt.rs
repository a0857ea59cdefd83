//! `gauntlet jwt`: a token for trying the agent service by hand.

use std::io::Write;

use clap::Args;
use serde_json::Value;

use crate::cli::exit::UsageError;
use crate::steps::jwt::{Jwt as Arguments, make, now};

#[derive(Clone, Debug, Args)]
pub struct Jwt {
    /// The role to claim: INACTIVE, RESTRICTED, REGULAR, ADMIN
    pub role: String,
    /// Seconds until it expires; may be negative [default: 7 days]
    #[arg(long, value_name = "SECONDS", allow_negative_numbers = true)]
    pub expires_in: Option<f64>,
    /// Other keys of a scenario's `jwt` step, as JSON: {"claims":{"exp":null}}
    #[arg(long, value_name = "JSON")]
    pub with: Option<String>,
    /// The environment variable that holds the signing secret
    #[arg(long, value_name = "NAME", default_value = "AUTH_JWT_SECRET")]
    pub secret_from: String,
}

/// Prints a token. `variable` gives variables of the environment; the secret is never an argument, which all
/// processes of a machine see.
pub fn jwt(
    options: &Jwt,
    variable: impl Fn(&str) -> Option<String>,
    out: &mut impl Write,
) -> Result<std::io::Result<()>, UsageError> {
    let name = &options.secret_from;
    let secret = variable(name).filter(|secret| !secret.is_empty()).ok_or_else(|| {
        UsageError(format!(
            "{name} is not set, or isn't text: it must hold the platform's JWT signing secret"
        ))
    })?;
    let wanted = wanted(options)?;
    let made = make(wanted, &secret, now()).map_err(|error| UsageError(error.to_string()))?;
    Ok(writeln!(out, "{}", made["token"].as_str().unwrap_or_default()))
}

/// The token as a scenario's step would ask for it.
fn wanted(options: &Jwt) -> Result<Arguments, UsageError> {
    let mut keys = serde_json::Map::from_iter([("jwt".to_owned(), Value::String(options.role.clone()))]);
    if let Some(seconds) = options.expires_in {
        keys.insert("expires-in".into(), seconds.into());
    }
    let wrong = |error: serde_json::Error| UsageError(format!("--with: {error}"));
    if let Some(with) = &options.with {
        let with: serde_json::Map<String, Value> = serde_json::from_str(with).map_err(wrong)?;
        keys.extend(with);
    }
    serde_json::from_value(Value::Object(keys)).map_err(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_secret_comes_from_the_environment() {
        let options = |from: &str| Jwt {
            role: "ADMIN".into(),
            expires_in: Some(-60.0),
            with: None,
            secret_from: from.into(),
        };
        let variable = |name: &str| (name == "KEY").then(|| "a-secret-of-the-test".to_owned());
        let mut out = Vec::new();
        jwt(&options("KEY"), variable, &mut out)
            .expect("made")
            .expect("written");
        let token = String::from_utf8(out).expect("text");
        let key = jsonwebtoken::DecodingKey::from_secret(b"a-secret-of-the-test");
        let mut validation = jsonwebtoken::Validation::new(jsonwebtoken::Algorithm::HS256);
        validation.validate_exp = false;
        let read = crate::hmac::decode::<Value>(token.trim().as_bytes(), &key, &validation).expect("a JWT");
        assert_eq!(read.claims["role"], "ADMIN");
        assert!(read.claims["exp"].as_f64().expect("a time") < now());
        let with = |with: &str| Jwt {
            with: Some(with.into()),
            ..options("KEY")
        };
        let mut out = Vec::new();
        jwt(&with(r#"{"sign":"none","claims":{"exp":null}}"#), variable, &mut out)
            .expect("made")
            .expect("written");
        assert!(out.ends_with(b".\n"), "unsigned");
        let wrong = jwt(&with("{"), variable, &mut Vec::new()).expect_err("no JSON");
        assert!(wrong.to_string().starts_with("--with: "), "{wrong}");
        let missing = jwt(&options("NONE"), variable, &mut Vec::new()).expect_err("no secret");
        assert!(missing.to_string().starts_with("NONE is not set"));
    }
}
