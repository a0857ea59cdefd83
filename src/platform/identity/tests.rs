use serde_json::json;

use super::claims::Role;
use super::*;
use crate::platform::pod::tests::pod;

pub const SECRET: &str = "0123456789abcdef0123456789abcdef";
pub const NOW: f64 = 1_800_000_000.0;

fn verifier() -> Verifier {
    Verifier::new(&pod(&[("AUTH_JWT_SECRET", SECRET), ("CLOCK", "1800000000")])).expect("a verifier")
}

fn base64(text: &str) -> String {
    use ::base64::Engine;
    ::base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(text)
}

fn signed(header: &Value, claims: &str) -> String {
    let message = format!("{}.{}", base64(&header.to_string()), base64(claims));
    let signature = hmac::sign(&message, SECRET, Algorithm::HS256).expect("signed");
    format!("{message}.{signature}")
}

fn good() -> Value {
    json!({ "sub": "ada", "userId": 7, "role": "REGULAR", "email": "ada@example.com", "exp": NOW + 60.0 })
}

/// A good token with one claim of another value; null takes it away.
pub fn with(name: &str, value: Value) -> String {
    let mut claims = good();
    let fields = claims.as_object_mut().expect("an object");
    match value {
        Value::Null => fields.remove(name),
        value => fields.insert(name.into(), value),
    };
    signed(&json!({ "alg": "HS256" }), &claims.to_string())
}

#[test]
fn a_good_one_says_who_it_is() {
    let found = verifier().verify(with("x", json!(1)).as_bytes());
    let ada = Identity {
        user_id: 7,
        name: "ada".into(),
        email: Some("ada@example.com".into()),
        role: Role::Regular,
    };
    assert_eq!(found, Ok(ada));
}

/// Rows jwt/bad, jwt/alg, and the hardening of signatures.
#[test]
fn what_is_not_signed_is_refused() {
    let good = with("x", json!(1));
    let (message, signature) = good.rsplit_once('.').expect("three parts");
    let (header, payload) = message.split_once('.').expect("three parts");
    let none = |alg: &str| format!("{}.{payload}.", base64(&json!({ "alg": alg }).to_string()));
    let rs256 = format!("{}.{payload}.{signature}", base64(r#"{"alg":"RS256"}"#));
    let changed = format!("{header}.{}.{signature}", base64(&json!({ "sub": "eve" }).to_string()));
    let bad = [
        String::new(),
        "garbage".into(),
        message.into(),
        format!("{good}.x"),
        format!("{good}.x.y"),
        format!("{good}="),
        format!("{good} "),
        format!("{message}."),
        good[..good.len() - 1].into(),
        none("none"),
        none("None"),
        none("nOnE"),
        rs256,
        changed,
    ];
    for token in bad {
        let refused = verifier().verify(token.as_bytes());
        assert!(matches!(refused, Err(Invalid::Signature(_))), "{token}: {refused:?}");
    }
}

#[test]
fn what_is_critical_is_not_understood() {
    for header in [
        json!({ "alg": "HS256", "crit": ["b64"], "b64": false }),
        json!({ "alg": "HS256", "crit": ["exp"] }),
        json!({ "alg": "HS256", "crit": [] }),
    ] {
        let token = signed(&header, &good().to_string());
        assert_eq!(verifier().verify(token.as_bytes()), Err(Invalid::Critical), "{header}");
    }
}

/// Rows jwt/expired, jwt/leeway, jwt/claims, and the boundaries of times.
#[test]
fn times_and_claims() {
    let cases = [
        ("exp", json!(NOW - 29.5), Ok(())),
        ("exp", json!(NOW - 30.0), Err(Invalid::Expired)),
        ("exp", json!(NOW - 60.0), Err(Invalid::Expired)),
        ("exp", json!(NOW + 0.5), Ok(())),
        ("exp", json!("1900000000"), Err(Invalid::Claim("exp"))),
        ("exp", json!(1e308), Err(Invalid::Claim("exp"))),
        ("exp", json!(-1), Err(Invalid::Claim("exp"))),
        ("exp", Value::Null, Err(Invalid::Claim("exp"))),
        ("nbf", json!(NOW + 30.0), Ok(())),
        ("nbf", json!(NOW + 31.0), Err(Invalid::Early)),
        ("nbf", json!("soon"), Err(Invalid::Claim("nbf"))),
        ("aud", json!("somebody"), Err(Invalid::Audience)),
        ("iat", json!("whenever"), Ok(())),
        ("sub", Value::Null, Err(Invalid::Claim("sub"))),
        ("sub", json!("a\r\nx-user-id: 1"), Err(Invalid::Claim("sub"))),
        ("sub", json!("a\0"), Err(Invalid::Claim("sub"))),
        ("sub", json!(7), Err(Invalid::Claim("sub"))),
        ("email", json!("a\nb"), Err(Invalid::Claim("email"))),
        ("email", Value::Null, Ok(())),
        ("userId", Value::Null, Err(Invalid::Claim("userId"))),
        ("userId", json!("7"), Err(Invalid::Claim("userId"))),
        ("userId", json!(7.5), Err(Invalid::Claim("userId"))),
        ("userId", json!(-1), Err(Invalid::Claim("userId"))),
        ("userId", json!(1_u64 << 53), Err(Invalid::Claim("userId"))),
        ("userId", json!({ "a": 1 }), Err(Invalid::Claim("userId"))),
    ];
    for (name, value, expected) in cases {
        let found = verifier().verify(with(name, value.clone()).as_bytes()).map(drop);
        assert_eq!(found, expected, "{name}: {value}");
    }
}

#[test]
fn roles() {
    for (role, expected) in [
        (json!("REGULAR"), Role::Regular),
        (json!("ADMIN"), Role::Admin),
        (json!("INACTIVE"), Role::Inactive),
        (json!("RESTRICTED"), Role::Restricted),
        (json!("admin"), Role::Other),
        (json!(["ADMIN"]), Role::Other),
        (json!("SUPERADMIN"), Role::Other),
        (Value::Null, Role::Other),
    ] {
        let identity = verifier()
            .verify(with("role", role.clone()).as_bytes())
            .expect("somebody");
        assert_eq!(identity.role, expected, "{role}");
        let may = matches!(expected, Role::Regular | Role::Admin);
        assert_eq!(identity.role.may_use_agents(), may);
    }
}

/// A lone surrogate is no text (RFC 8259 §8.2), and of a claim that is there twice the last one counts
/// (RFC 7519 §4).
#[test]
fn odd_json() {
    let token = |claims: &str| signed(&json!({ "alg": "HS256" }), claims);
    let surrogate = r#"{"sub":"\ud800","userId":7,"exp":1900000000}"#;
    assert!(verifier().verify(token(surrogate).as_bytes()).is_err());
    let twice = r#"{"sub":"a","userId":7,"userId":8,"exp":1900000000}"#;
    assert_eq!(verifier().verify(token(twice).as_bytes()).map(|who| who.user_id), Ok(8));
}

#[test]
fn a_secret_that_is_too_short() {
    let error = Verifier::new(&pod(&[("AUTH_JWT_SECRET", "short")]))
        .err()
        .expect("refused")
        .to_string();
    assert_eq!(
        error,
        "AUTH_JWT_SECRET has 5 bytes, and HS256 wants 32 or more (RFC 7518 §3.2)"
    );
}
