//! What a verifier does wrong as a mutant: the ways in which libraries and their users have got it wrong.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header, TokenData, crypto};
use serde_json::{Map, Value, json};

use super::super::{Pod, mutant};

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
        crypto::sign(
            message.as_bytes(),
            &EncodingKey::from_secret(secret.as_bytes()),
            algorithm,
        )
        .ok()
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
    taken.then_some(TokenData {
        header: Header::default(),
        claims: fields(payload)?,
    })
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
    // All that it is read for is whether agents are for them.
    if pod.has(&mutant::ROLE_BY_SUBSTRING)
        && let Some(Value::String(role)) = claims.get_mut("role")
        && (role.contains("ADMIN") || role.contains("REGULAR"))
    {
        *role = "REGULAR".to_owned();
    }
}
