//! Mutants of the verifier: mistakes that libraries and their users have made.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, Header, TokenData};
use serde_json::{Map, Value, json};

use super::super::{Pod, mutant};
use crate::hmac::sign;

type Decoded = TokenData<Map<String, Value>>;

/// A token as a mutant takes it that would be none; nothing where no mutant does.
pub fn decode(token: &[u8], secret: &str, pod: &Pod) -> Option<Decoded> {
    let text = std::str::from_utf8(token).ok()?;
    let parts: Vec<&str> = text.split('.').collect();
    let [header, payload, signature, more @ ..] = parts.as_slice() else {
        return None;
    };
    let fields =
        |part: &str| -> Option<Map<String, Value>> { serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok() };
    let said = fields(header)?;
    let alg = said.get("alg").and_then(Value::as_str).unwrap_or_default();
    let signed = |algorithm| {
        let message = format!("{header}.{payload}");
        sign(&message, secret, algorithm).ok()
    };
    let right = |algorithm| signed(algorithm).is_some_and(|right| right == *signature);
    let is_none = alg.eq_ignore_ascii_case("none");
    let taken = if !more.is_empty() {
        pod.has(&mutant::FOURTH_PART_IGNORED) && right(Algorithm::HS256)
    } else {
        pod.has(&mutant::SIGNATURE_UNCHECKED)
            || pod.has(&mutant::ALG_NONE) && is_none
            || pod.has(&mutant::ALG_NONE_OTHER_CASE) && is_none && alg != "none"
            || pod.has(&mutant::ALG_UNREAD) && right(Algorithm::HS256)
            || pod.has(&mutant::ALG_FROM_HEADER) && alg == "HS384" && right(Algorithm::HS384)
            || pod.has(&mutant::ALG_FROM_HEADER) && alg == "HS512" && right(Algorithm::HS512)
            || pod.has(&mutant::SIGNATURE_PREFIX)
                && signed(Algorithm::HS256).is_some_and(|right| right.starts_with(*signature))
    };
    let by_key = |secret: &str, signature: &str| {
        let message = format!("{header}.{payload}");
        sign(&message, secret, Algorithm::HS256).is_ok_and(|right| right == signature)
    };
    let taken = taken
        || more.is_empty() && by_another_key(&said, pod, &|key| by_key(key, signature))
        || more.is_empty() && respelled(signature, pod).is_some_and(|signature| by_key(secret, &signature));
    taken.then_some(TokenData {
        header: Header::default(),
        claims: fields(payload)?,
    })
}

/// A signature as a lenient reader reads it.
fn respelled(signature: &str, pod: &Pod) -> Option<String> {
    match () {
        () if pod.has(&mutant::PADDING_TAKEN) => Some(signature.trim_end_matches('=').to_owned()),
        () if pod.has(&mutant::STANDARD_ALPHABET_TAKEN) => Some(signature.replace('+', "-").replace('/', "_")),
        () => None,
    }
}

/// Whether a key that the token's own header says is the right one, for a mutant that takes it.
fn by_another_key(said: &Map<String, Value>, pod: &Pod, is_right: &dyn Fn(&str) -> bool) -> bool {
    let text = |name: &str| said.get(name).and_then(Value::as_str);
    if let (true, Some(url)) = (pod.has(&mutant::JKU_FETCHED), text("jku")) {
        fetch(url);
    }
    let of_jwk = || {
        let key = said.get("jwk")?.get("k")?.as_str()?;
        String::from_utf8(URL_SAFE_NO_PAD.decode(key).ok()?).ok()
    };
    pod.has(&mutant::JWK_TRUSTED) && of_jwk().is_some_and(|key| is_right(&key))
        || pod.has(&mutant::KID_IS_A_FILE) && text("kid").is_some_and(|kid| kid.contains('/')) && is_right("")
        || pod.has(&mutant::DEFAULT_SECRET_TAKEN) && is_right("your-256-bit-secret")
}

/// Asks for what stands at an `http://host:port/path`, and does not wait for it.
fn fetch(url: &str) {
    let Some((authority, path)) = url.strip_prefix("http://").and_then(|rest| rest.split_once('/')) else {
        return;
    };
    if let Ok(mut stream) = std::net::TcpStream::connect(authority) {
        use std::io::Write;
        let request = format!("GET /{path} HTTP/1.1\r\nHost: {authority}\r\nConnection: close\r\n\r\n");
        let _sent = stream.write_all(request.as_bytes());
    }
}

/// Puts in what a mutant does without.
pub fn complete(claims: &mut Map<String, Value>, pod: &Pod) {
    let stand_ins = [
        (&mutant::EXP_NOT_REQUIRED, "exp", json!((1u64 << 53) - 1)),
        (&mutant::SUB_NOT_REQUIRED, "sub", json!("nobody")),
        (&mutant::USER_ID_NOT_REQUIRED, "userId", json!(0)),
        (&mutant::ROLE_MISSING_PASSES, "role", json!("REGULAR")),
    ];
    for (mutant, claim, value) in stand_ins {
        if pod.has(mutant) {
            claims.entry(claim).or_insert(value);
        }
    }
    if let (true, Some(exp)) = (pod.has(&mutant::EXP_AS_TEXT), claims.get_mut("exp"))
        && let Some(number) = exp.as_str().and_then(|text| text.parse::<f64>().ok())
    {
        *exp = json!(number);
    }
    if let (true, Some(exp)) = (pod.has(&mutant::EXP_WHOLE_SECONDS), claims.get_mut("exp"))
        && let Some(number) = exp.as_f64()
    {
        *exp = json!(number.floor());
    }
    if let (true, Some(id)) = (pod.has(&mutant::USER_ID_COERCED), claims.get_mut("userId")) {
        let number = id
            .as_str()
            .and_then(|text| text.parse::<f64>().ok())
            .or_else(|| id.as_f64());
        *id = json!(number.unwrap_or_default().abs() as u64);
    }
    if let (true, Some(Value::String(role))) = (pod.has(&mutant::ROLE_ANY_CASE), claims.get_mut("role")) {
        *role = role.to_uppercase();
    }
    // All that it is read for is whether agents are for them.
    if pod.has(&mutant::ROLE_BY_SUBSTRING)
        && let Some(Value::String(role)) = claims.get_mut("role")
        && (role.contains("ADMIN") || role.contains("REGULAR"))
    {
        *role = "REGULAR".to_owned();
    }
}
