//! `jwt`: makes a token, valid or invalid as the scenario wants it (RFC 7519, RFC 7515).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use indexmap::IndexMap;
use jsonwebtoken::Algorithm;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::context::{MadeToken, StepContext};
use super::definition::{Need, Verb, verb};
use super::observation::{Observation, StepError};
use super::shell::quoted;
use crate::hmac;

/// The verb `jwt`.
pub const VERB: Verb = Verb {
    fields: &["token", "header", "payload", "signature", "head", "claims"],
    objects: &["head", "claims"],
    takes_objects: &["jwt"],
    needs: |_| &[Need::JwtSecret],
    ..verb!("jwt", Jwt, run)
};

/// Makes a JWT, good or bad. Bound with `as`, it is `.token`, and `.header`, `.payload`, `.signature` as
/// they stand in it.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Jwt {
    /// The role of a user, whose good token it begins as: `REGULAR`; or a token made before: `${t}`.
    pub jwt: Value,
    /// Other fields of the header; null takes one away.
    pub header: Option<IndexMap<String, Value>>,
    /// Other claims; null takes one away.
    pub claims: Option<IndexMap<String, Value>>,
    /// A text in place of the claims' JSON.
    pub claims_text: Option<String>,
    /// Seconds from now to `exp`. Default: 7 days.
    pub expires_in: Option<f64>,
    /// Seconds from now to `nbf`. Default: without one.
    pub valid_in: Option<f64>,
    /// How it is signed, which `alg` says too where `header` doesn't say otherwise. Default: HS256.
    pub sign: Option<Signing>,
    /// In place of the platform's own.
    pub secret: Option<String>,
    /// How its signature is written. Default: in base64url without padding (RFC 7515 §2).
    pub spelled: Option<Spelling>,
}

/// How a JWT is signed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum Signing {
    #[default]
    #[serde(rename = "HS256")]
    Hs256,
    #[serde(rename = "HS384")]
    Hs384,
    #[serde(rename = "HS512")]
    Hs512,
    /// Not at all: an empty signature.
    #[serde(rename = "none")]
    None,
}

impl Signing {
    /// As `alg` says it (RFC 7518 §3.1).
    pub fn name(self) -> &'static str {
        match self {
            Signing::Hs256 => "HS256",
            Signing::Hs384 => "HS384",
            Signing::Hs512 => "HS512",
            Signing::None => "none",
        }
    }
}

/// Another spelling of a signature: the same bytes, where a reader is lenient.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Spelling {
    /// With `=` behind it.
    Padded,
    /// With `+` and `/` (RFC 4648 §4), of which it has at least one.
    Standard,
    /// Its last character another one of those that stand for the same bytes (RFC 4648 §3.5).
    Uncanonical,
}

impl Spelling {
    /// As a scenario says it.
    pub fn name(self) -> &'static str {
        match self {
            Spelling::Padded => "padded",
            Spelling::Standard => "standard",
            Spelling::Uncanonical => "uncanonical",
        }
    }
}

/// What a header or a payload says.
type Fields = Map<String, Value>;

/// How long a token is good, in seconds (contract 3: 7 days).
const LIFETIME: f64 = 7.0 * 24.0 * 60.0 * 60.0;

/// The user: one that no client would name by chance.
const USER_ID: u64 = 4711;
const USER: &str = "gauntlet";
const EMAIL: &str = "gauntlet@gauntlet.test";

/// Makes a token: `token`, its parts as they stand in it (`header`, `payload`, `signature`), and what
/// they say (`head`, `claims`).
pub async fn run(arguments: Jwt, context: &StepContext) -> Result<Observation, StepError> {
    let what = "make a token".to_owned();
    let plain = plain_command(&arguments);
    let rest = rest_of(&arguments);
    let value = make(
        arguments,
        &context.world.jwt_secret,
        context.world.clock.unwrap_or_else(now),
    )?;
    // One that is too short to be a secret, or longer than any, opens nothing.
    for secret in ["token", "signature"]
        .into_iter()
        .filter_map(|part| value[part].as_str())
    {
        let _known = context.redactor.add("JWT", secret);
    }
    let text = |part: &str| value[part].as_str().unwrap_or_default().to_owned();
    context.made_token(MadeToken {
        token: text("token"),
        signature: text("signature"),
        command: plain.unwrap_or_else(|| exact_command(rest, &value)),
    });
    Ok(Observation { what, value })
}

/// The signer of a token, if the secret isn't the platform's.
const ANOTHER_SECRET: &str = "a-secret-that-is-not-the-platforms";

/// The command for a token that differs from a good one by its role and its time at most.
fn plain_command(arguments: &Jwt) -> Option<String> {
    let is_plain = arguments.header.is_none()
        && arguments.claims.is_none()
        && arguments.claims_text.is_none()
        && arguments.valid_in.is_none()
        && arguments.sign.is_none()
        && arguments.secret.is_none()
        && arguments.spelled.is_none();
    let role = arguments.jwt.as_str().filter(|_| is_plain)?;
    let expires = arguments.expires_in.map(|seconds| format!(" --expires-in {seconds}"));
    Some(format!("gauntlet jwt {}{}", quoted(role), expires.unwrap_or_default()))
}

/// The keys that say how a token is written and signed.
fn rest_of(arguments: &Jwt) -> Fields {
    let secret = arguments.secret.as_deref().map(|secret| match secret {
        "" => "",
        _ => ANOTHER_SECRET,
    });
    let spelled = arguments.spelled.map(Spelling::name);
    let given = [
        ("claims-text", arguments.claims_text.as_deref()),
        ("sign", arguments.sign.map(Signing::name)),
        ("secret", secret),
        ("spelled", spelled),
    ];
    let given = given
        .into_iter()
        .filter_map(|(key, text)| Some((key.to_owned(), json!(text?))));
    given.collect()
}

/// The command that makes a token with the same header and claims.
fn exact_command(mut rest: Fields, made: &Value) -> String {
    let mut header = object(&made["head"]);
    if !header.contains_key("alg") {
        header.insert("alg".into(), Value::Null);
    }
    rest.insert("jwt".into(), json!({ "head": made["head"], "claims": made["claims"] }));
    rest.insert("header".into(), Value::Object(header));
    format!(
        "gauntlet jwt REGULAR --with {}",
        quoted(&Value::Object(rest).to_string())
    )
}

/// A token that is signed with a secret, unless `arguments` say another, at a time in seconds since 1970.
///
/// # Errors
/// The given token is invalid.
pub fn make(mut arguments: Jwt, secret: &str, now: f64) -> Result<Value, StepError> {
    let (head, claims) = base(&arguments, now)?;
    let head = changed(head, arguments.header.as_ref());
    let claims = changed(claims, arguments.claims.as_ref());
    let encoded = |fields: &Fields| URL_SAFE_NO_PAD.encode(Value::Object(fields.clone()).to_string());
    let header = encoded(&head);
    let payload = match &arguments.claims_text {
        Some(text) => URL_SAFE_NO_PAD.encode(text),
        None => encoded(&claims),
    };
    let message = format!("{header}.{payload}");
    let signing = arguments.sign.unwrap_or_default();
    let signature = sign(&message, arguments.secret.as_deref().unwrap_or(secret), signing)?;
    if arguments.spelled == Some(Spelling::Standard) && !signature.contains(['-', '_']) {
        // Of this one both alphabets make the same text: another token, another signature.
        let salt = IndexMap::from([("jti".to_owned(), json!(signature))]);
        arguments.claims.get_or_insert_default().extend(salt);
        return make(arguments, secret, now);
    }
    let signature = match arguments.spelled {
        None => signature,
        Some(Spelling::Padded) => signature + "=",
        Some(Spelling::Standard) => signature.replace('-', "+").replace('_', "/"),
        Some(Spelling::Uncanonical) => uncanonical(signature),
    };
    let token = format!("{message}.{signature}");
    Ok(json!({
        "token": token,
        "header": header,
        "payload": payload,
        "signature": signature,
        "head": head,
        "claims": claims,
    }))
}

/// What header and claims begin as: those of a good token of that role, or of a token that was made before.
fn base(arguments: &Jwt, now: f64) -> Result<(Fields, Fields), StepError> {
    let mut head = Map::from_iter([("alg".to_owned(), json!(arguments.sign.unwrap_or_default().name()))]);
    let mut claims = match &arguments.jwt {
        Value::String(role) => {
            head.insert("typ".into(), json!("JWT"));
            let claims = json!({
                "sub": USER, "userId": USER_ID, "role": role, "email": EMAIL, "exp": seconds(now + LIFETIME),
            });
            object(&claims)
        }
        before if before["claims"].is_object() => {
            let mut before_head = object(&before["head"]);
            before_head.extend(head);
            head = before_head;
            object(&before["claims"])
        }
        _ => {
            let expected = "a role (`REGULAR`), or a token that a `jwt` was bound to with `as`";
            return Err(StepError::Arguments(format!("`jwt` takes {expected}")));
        }
    };
    for (claim, from_now) in [("exp", arguments.expires_in), ("nbf", arguments.valid_in)] {
        if let Some(from_now) = from_now {
            claims.insert(claim.into(), seconds(now + from_now));
        }
    }
    Ok((head, claims))
}

fn object(value: &Value) -> Fields {
    value.as_object().cloned().unwrap_or_default()
}

/// A `NumericDate` (RFC 7519 §2); whole where it is.
fn seconds(time: f64) -> Value {
    match time.fract() == 0.0 {
        true => json!(time as i64),
        false => json!(time),
    }
}

/// Seconds since 1970 by this machine's clock.
pub fn now() -> f64 {
    jiff::Timestamp::now().as_second() as f64
}

/// Fields with changes: null takes one away.
fn changed(mut fields: Fields, changes: Option<&IndexMap<String, Value>>) -> Fields {
    for (name, value) in changes.into_iter().flatten() {
        match value {
            Value::Null => drop(fields.remove(name)),
            value => drop(fields.insert(name.clone(), value.clone())),
        }
    }
    fields
}

/// The last character of 43, which are 32 bytes, has two bits that say nothing.
fn uncanonical(mut signature: String) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let last = signature
        .pop()
        .and_then(|last| ALPHABET.iter().position(|known| char::from(*known) == last));
    let next = last.and_then(|last| ALPHABET.get(last + 1));
    signature.extend(next.map(|next| char::from(*next)));
    signature
}

fn sign(message: &str, secret: &str, signing: Signing) -> Result<String, StepError> {
    let algorithm = match signing {
        Signing::Hs256 => Algorithm::HS256,
        Signing::Hs384 => Algorithm::HS384,
        Signing::Hs512 => Algorithm::HS512,
        Signing::None => return Ok(String::new()),
    };
    hmac::sign(message, secret, algorithm).map_err(|error| StepError::doing("signing a token", error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::steps::definition::unlike_listed;

    #[test]
    fn what_it_observes_is_listed() {
        let arguments = serde_json::from_value(json!({ "jwt": "REGULAR" })).expect("arguments");
        let made = make(arguments, "a-secret-of-the-test", 0.0).expect("made");
        assert_eq!(unlike_listed(&VERB, &made), [""; 0]);
    }
}
