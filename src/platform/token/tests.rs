use http::HeaderValue;
use percent_encoding::{NON_ALPHANUMERIC, percent_encode};
use proptest::prelude::*;

use super::super::pod::tests::pod;
use super::*;

const TOKEN: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

fn door(side: Side, token: Option<&str>, mutants: &str) -> Door {
    Door::new(&pod(&[("GAUNTLET_MUTANTS", mutants)]), side, token.map(str::to_owned))
}

fn header(value: &str) -> HeaderMap {
    HeaderMap::from_iter([(AUTHORIZATION, HeaderValue::from_str(value).expect("a header value"))])
}

#[test]
fn the_right_token_opens() {
    let door = door(Side::Sandbox, Some(TOKEN), "");
    let none = HeaderMap::new();
    assert!(door.opens(Some(&format!("token={TOKEN}")), &none));
    assert!(door.opens(Some(&format!("a=b&token={TOKEN}&token=x")), &none));
    assert!(door.opens(Some(&format!("%74oken={}", TOKEN.replace('a', "%61"))), &none));
    assert!(door.opens(None, &header(&format!("Bearer {TOKEN}"))));
    assert!(door.opens(None, &header(&format!("bearer {TOKEN}"))));
    assert!(door.opens(Some(&format!("token={TOKEN}")), &header("Bearer wrong")));
}

#[test]
fn the_parameter_can_have_another_name() {
    let pod = pod(&[("TTY_PARAMETER", "key")]);
    let door = Door::new(&pod, Side::Proxy, Some(TOKEN.to_owned()));
    let none = HeaderMap::new();
    assert!(door.opens(Some(&format!("key={TOKEN}")), &none));
    assert!(!door.opens(Some(&format!("token={TOKEN}")), &none));
    assert!(!door.opens(Some(&format!("KEY={TOKEN}")), &none));
}

#[test]
fn everything_else_does_not() {
    let door = door(Side::Sandbox, Some(TOKEN), "");
    let right = header(&format!("Bearer {TOKEN}"));
    for query in ["token", "token=", "token=null", "token=%00", "token=+"] {
        assert!(!door.opens(Some(query), &HeaderMap::new()), "{query}");
        assert!(!door.opens(Some(query), &right), "{query} with the right header");
    }
    for query in [
        format!("token={}", &TOKEN[..63]),
        format!("token={TOKEN}0"),
        format!("token={}", TOKEN.to_uppercase()),
        format!("token=%20{TOKEN}"),
        format!("token={}", TOKEN.replace('a', "%2561")),
        format!("token=x&token={TOKEN}"),
        format!("token[]={TOKEN}"),
        format!("TOKEN={TOKEN}"),
        format!("a;token={TOKEN}"),
        format!("token={TOKEN};a"),
        format!("token={TOKEN}%"),
        format!("token={}", TOKEN.replace('a', "%C1%A1")),
    ] {
        assert!(!door.opens(Some(&query), &HeaderMap::new()), "{query}");
    }
    for value in [
        format!("Basic {TOKEN}"),
        TOKEN.to_owned(),
        "Bearer".to_owned(),
        "Bearer ".to_owned(),
    ] {
        assert!(!door.opens(None, &header(&value)), "{value}");
    }
    assert!(!door.opens(None, &HeaderMap::new()));
    let mut forwarded = HeaderMap::new();
    forwarded.insert("x-forwarded-authorization", right[AUTHORIZATION].clone());
    assert!(!door.opens(None, &forwarded));
}

#[test]
fn a_door_without_a_token_opens_for_nobody() {
    for token in [None, Some("")] {
        let door = door(Side::Proxy, token, "");
        for query in [
            None,
            Some("token"),
            Some("token="),
            Some("token=undefined"),
            Some("token=null"),
        ] {
            assert!(!door.opens(query, &HeaderMap::new()), "{query:?}");
            assert!(!door.opens(query, &header("Bearer ")), "{query:?}");
        }
    }
}

#[test]
fn mutants_take_what_is_no_token() {
    let one = |name: &'static str, value: &str| {
        let value = HeaderValue::from_str(value).expect("a header value");
        HeaderMap::from_iter([(HeaderName::from_static(name), value)])
    };
    for (mutants, query, headers) in [
        ("cookie-opens", "x=1", one("cookie", &format!("a=b; token={TOKEN}"))),
        (
            "subprotocol-opens",
            "x=1",
            one("sec-websocket-protocol", &format!("token, {TOKEN}")),
        ),
        ("empty-token-tries-header", "token=", one("x-auth-token", TOKEN)),
        ("localhost-opens", "x=1", one("host", "localhost:4096")),
        ("loopback-client-opens", "x=1", one("x-forwarded-for", "127.0.0.1")),
    ] {
        let opens = |mutants| door(Side::Sandbox, Some(TOKEN), mutants).opens(Some(query), &headers);
        assert!(opens(mutants), "{mutants}");
        assert!(!opens(""), "without {mutants}");
    }
}

#[test]
fn mutants_open_what_they_say() {
    let none = HeaderMap::new();
    let query = |value: &str| Some(format!("token={value}"));
    let upper = TOKEN.to_uppercase();
    for (mutants, token, given) in [
        ("empty-token-opens", Some(TOKEN), query("")),
        ("missing-token-opens", Some(TOKEN), None),
        ("sandbox-unchecked", Some(TOKEN), query("wrong")),
        ("prefix-compare", Some(TOKEN), query(&TOKEN[..63])),
        ("prefix-compare", Some(TOKEN), query(&format!("{TOKEN}0"))),
        ("case-insensitive-compare", Some(TOKEN), query(&upper)),
        ("second-value-opens", Some(TOKEN), query("changeme")),
        ("unset-token-opens", None, query("")),
        ("unset-token-opens", None, None),
        ("undefined-opens", None, query("undefined")),
        ("unset-sandbox-adopts-token", None, query(TOKEN)),
        ("token-trimmed", Some(TOKEN), query(&format!("%20{TOKEN}%00"))),
        ("double-decoding", Some(TOKEN), query(&TOKEN.replace('a', "%2561"))),
        (
            "sandbox-last-duplicate",
            Some(TOKEN),
            query(&format!("x&token={TOKEN}")),
        ),
        ("any-duplicate-opens", Some(TOKEN), query(&format!("x&token={TOKEN}"))),
        ("parameter-case-ignored", Some(TOKEN), Some(format!("TOKEN={TOKEN}"))),
        ("sandbox-plus-is-space", Some("a b"), query("a+b")),
        ("stray-percent-dropped", Some(TOKEN), query(&format!("{TOKEN}%"))),
        ("overlong-decoded", Some(TOKEN), query(&TOKEN.replace('a', "%C1%A1"))),
    ] {
        assert!(
            door(Side::Sandbox, token, mutants).opens(given.as_deref(), &none),
            "{mutants}"
        );
        assert!(
            !door(Side::Sandbox, token, "").opens(given.as_deref(), &none),
            "without {mutants}"
        );
    }
    assert!(!door(Side::Sandbox, Some(TOKEN), "token-with-newline").opens(query(TOKEN).as_deref(), &none));
    let opened = door(Side::Sandbox, Some(TOKEN), "check-first-connect-only");
    assert!(!opened.opens(None, &none));
    assert!(opened.opens(query(TOKEN).as_deref(), &none));
    assert!(opened.opens(None, &none));
}

proptest! {
    /// However a client encodes the right token, one decoding finds it.
    #[test]
    fn encoded_tokens_open(token in "\\PC{1,40}", before in "[a-z]{0,5}=[a-z%+;]{0,9}") {
        prop_assume!(!before.starts_with("token="));
        let query = format!("{before}&token={}", percent_encode(token.as_bytes(), NON_ALPHANUMERIC));
        prop_assert!(door(Side::Proxy, Some(&token), "").opens(Some(&query), &HeaderMap::new()));
        prop_assert!(door(Side::Sandbox, Some(&token), "").opens(Some(&query), &HeaderMap::new()));
    }

    /// Whatever is in a query, the doors agree, and open for nothing but the token.
    #[test]
    fn other_queries_do_not(query in "[tokenTOKEN0-9a-f=&;%+\\[\\]]{0,80}") {
        let none = HeaderMap::new();
        prop_assert!(!door(Side::Proxy, Some(TOKEN), "").opens(Some(&query), &none));
        prop_assert!(!door(Side::Sandbox, Some(TOKEN), "").opens(Some(&query), &none));
        prop_assert!(!door(Side::Sandbox, None, "").opens(Some(&query), &none));
    }

    #[test]
    fn equality_is_equality(a in proptest::collection::vec(any::<u8>(), 0..70), b in proptest::collection::vec(any::<u8>(), 0..70)) {
        prop_assert_eq!(equal(&a, &b), a == b);
        prop_assert!(equal(&a, &a));
        prop_assert_eq!(equal_with_early_exit(&a[..a.len().min(2)], &b), a[..a.len().min(2)] == b[..]);
    }
}
