//! A login as it is kept in a file: its tokens, and until when they are good.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::super::{Pod, mutant};
use super::account::Account;
use super::folder::ReadError;

/// The tokens of one account.
#[derive(Clone)]
pub struct Login {
    access: SecretString,
    refresh: Option<SecretString>,
    id: Option<SecretString>,
    /// The claim `exp` of the access token, in seconds since 1970.
    pub expires_at: f64,
}

/// Why a file is no login. Never tells what is in it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    #[error("it is not a JSON object")]
    NotJson,
    #[error("it has no access_token")]
    NoToken,
    #[error("its access_token is not a JWT with an exp claim")]
    NoExpiry,
}

/// Why `auth.json` has no login that is good.
#[derive(Debug, thiserror::Error)]
pub enum NoLogin {
    #[error("there is no auth.json")]
    Missing,
    #[error(transparent)]
    Unreadable(#[from] ReadError),
    #[error("auth.json: {0}")]
    Invalid(#[from] Invalid),
    #[error("it has expired")]
    Expired,
}

impl Login {
    /// Of tokens that stand below `tokens`, as the codex CLI writes them, or at the top.
    pub fn parse(pod: &Pod, bytes: &[u8]) -> Result<Login, Invalid> {
        let value: Value = serde_json::from_slice(bytes).map_err(|_| Invalid::NotJson)?;
        let top = value.as_object().ok_or(Invalid::NotJson)?;
        let nested = top.get("tokens").and_then(Value::as_object);
        let nested = nested.filter(|_| !pod.has(&mutant::NESTED_UNREAD));
        let tokens = match nested {
            Some(nested) => nested,
            None if pod.has(&mutant::FLAT_UNREAD) => return Err(Invalid::NoToken),
            None => top,
        };
        let text = |name: &str| {
            let token = tokens.get(name).and_then(Value::as_str).filter(|token| is_token(token));
            token.map(str::to_owned)
        };
        Login::new(
            text("access_token").ok_or(Invalid::NoToken)?,
            text("refresh_token"),
            text("id_token"),
        )
    }

    pub fn new(access: String, refresh: Option<String>, id: Option<String>) -> Result<Login, Invalid> {
        Ok(Login {
            expires_at: expiry(&access).ok_or(Invalid::NoExpiry)?,
            access: access.into(),
            refresh: refresh.map(SecretString::from),
            id: id.map(SecretString::from),
        })
    }

    /// That of an account in the environment.
    pub fn of_env(pod: &Pod, account: Account) -> Option<Result<Login, Invalid>> {
        let token = |name: &str| {
            let token = pod.var(&account.variable(name)).map(str::trim);
            token.filter(|token| is_token(token)).map(str::to_owned)
        };
        let access = token("OPENAI_CODEX_ACCESS_TOKEN")?;
        Some(Login::new(access, token("OPENAI_CODEX_REFRESH_TOKEN"), None))
    }

    /// For the header of a request.
    pub fn access_token(&self) -> &str {
        self.access.expose_secret()
    }

    /// For a refresh at the identity provider.
    pub fn refresh_token(&self) -> Option<&str> {
        self.refresh.as_ref().map(ExposeSecret::expose_secret)
    }

    pub fn is_expired(&self, now: f64) -> bool {
        self.expires_at <= now
    }

    /// Tells logins apart without saying what is in them.
    pub fn fingerprint(&self) -> [u8; 32] {
        let refresh = self.refresh_token().unwrap_or_default();
        Sha256::digest(format!("{}\n{refresh}", self.access_token())).into()
    }

    /// As LiteLLM reads it from auth.json.
    pub fn document(&self) -> Value {
        let mut document = json!({
            "access_token": self.access_token(),
            "expires_at": self.expires_at.floor() as i64,
        });
        for (name, token) in [("refresh_token", &self.refresh), ("id_token", &self.id)] {
            if let Some(token) = token {
                document[name] = json!(token.expose_secret());
            }
        }
        document
    }

    /// A login's file with these tokens in the place of its own; all else in it stays.
    pub fn written_into(&self, file: &[u8]) -> Value {
        let mut file: Value = serde_json::from_slice(file).unwrap_or_else(|_| json!({}));
        let nested = file.get("tokens").is_some_and(Value::is_object);
        let tokens = if nested { &mut file["tokens"] } else { &mut file };
        if !tokens.is_object() {
            *tokens = json!({});
        }
        tokens["access_token"] = json!(self.access_token());
        for (name, token) in [("refresh_token", &self.refresh), ("id_token", &self.id)] {
            if let Some(token) = token {
                tokens[name] = json!(token.expose_secret());
            }
        }
        if nested {
            file["last_refresh"] = json!(jiff::Timestamp::now().to_string());
        }
        file
    }
}

impl fmt::Debug for Login {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Login until {}", self.expires_at)
    }
}

/// A text that a header can carry.
fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// What a JWT says of its end. Its signature is for the vendor to look at: nobody else has the key.
fn expiry(token: &str) -> Option<f64> {
    let mut parts = token.split('.');
    let (_, payload, _) = (parts.next()?, parts.next()?, parts.next()?);
    let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).ok()?).ok()?;
    claims.get("exp")?.as_f64().filter(|exp| exp.is_finite())
}

#[cfg(test)]
pub mod tests {
    use super::super::super::pod::tests::pod;
    use super::*;

    /// A token without a signature that anybody could verify.
    pub fn token(subject: &str, expires_at: f64) -> String {
        let claims = json!({ "sub": subject, "exp": expires_at }).to_string();
        format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims))
    }

    pub fn nested(subject: &str, expires_at: f64) -> String {
        let access = token(subject, expires_at);
        json!({ "auth_mode": "chatgpt", "tokens": { "access_token": access, "refresh_token": "r", "account_id": "a" } })
            .to_string()
    }

    #[test]
    fn both_shapes_are_read() {
        let flat = json!({ "access_token": token("a", 7.5), "id_token": "i" }).to_string();
        for (file, refresh, id) in [(nested("a", 7.5), Some("r"), None), (flat, None, Some("i"))] {
            let login = Login::parse(&pod(&[]), file.as_bytes()).expect("a login");
            assert_eq!(login.access_token(), token("a", 7.5));
            assert_eq!((login.expires_at, login.refresh_token()), (7.5, refresh));
            let document = login.document();
            assert_eq!(document["expires_at"], 7);
            assert_eq!(document.get("refresh_token").and_then(Value::as_str), refresh);
            assert_eq!(document.get("id_token").and_then(Value::as_str), id);
            assert!(login.is_expired(7.5) && !login.is_expired(7.4));
            assert!(!format!("{login:?}").contains("e30"));
        }
        let flat = json!({ "access_token": token("a", 1.0) }).to_string();
        for (mutant, file) in [("nested-unread", nested("a", 1.0)), ("flat-unread", flat)] {
            let pod = pod(&[("GAUNTLET_MUTANTS", mutant)]);
            assert!(Login::parse(&pod, file.as_bytes()).is_err(), "{mutant}");
        }
    }

    #[test]
    fn what_is_no_login() {
        let whole = nested("a", 7.0);
        for (file, why) in [
            ("", Invalid::NotJson),
            ("[]", Invalid::NotJson),
            (&whole[..whole.len() / 2], Invalid::NotJson),
            ("{}", Invalid::NoToken),
            (r#"{"tokens":{}}"#, Invalid::NoToken),
            (r#"{"access_token":""}"#, Invalid::NoToken),
            (r#"{"access_token":7}"#, Invalid::NoToken),
            (r#"{"access_token":"a\r\nb: c"}"#, Invalid::NoToken),
            (r#"{"access_token":"opaque"}"#, Invalid::NoExpiry),
            (r#"{"access_token":"e30.e30.e30"}"#, Invalid::NoExpiry),
            (r#"{"access_token":"a.b.c"}"#, Invalid::NoExpiry),
        ] {
            let parsed = Login::parse(&pod(&[]), file.as_bytes());
            assert_eq!(parsed.err(), Some(why), "{file}");
        }
    }

    #[test]
    fn a_refreshed_pair_keeps_the_shape_of_the_file() {
        let fresh = Login::new(token("a", 9.0), Some("r2".into()), None).expect("a login");
        let file = fresh.written_into(nested("a", 1.0).as_bytes());
        assert_eq!(file["tokens"]["refresh_token"], "r2");
        assert_eq!(file["tokens"]["account_id"], "a");
        assert!(file["last_refresh"].is_string());
        let flat = fresh.written_into(br#"{"access_token":"x","note":1}"#);
        assert_eq!((&flat["refresh_token"], &flat["note"]), (&json!("r2"), &json!(1)));
        assert!(flat.get("tokens").is_none());
    }
}
