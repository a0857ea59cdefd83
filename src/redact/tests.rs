use std::borrow::Cow;

use proptest::prelude::*;
use serde_json::json;

use super::forms::forms;
use super::*;

fn with(secrets: &[(&str, &str)]) -> Redactor {
    let redactor = Redactor::new();
    for (name, value) in secrets {
        redactor.add(name, value).unwrap();
    }
    redactor
}

#[test]
fn takes_each_form_out() {
    let redactor = with(&[("token", "p@ss/w+rd\"é")]);
    for text in [
        "p@ss/w+rd\"é",
        "p@ss/w+rd\\\"é",
        "p@ss\\/w+rd\\\"é",
        "p@ss/w+rd\\\"\\u00e9",
        "p@ss/w+rd\\\\\\\"é",
        "p%40ss%2Fw%2Brd%22%C3%A9",
        "p%40ss%2fw%2brd%22%c3%a9",
        "%70%40%73%73%2F%77%2B%72%64%22%C3%A9",
        "p@ss/w+rd%22%C3%A9",
        "p@ss/w+rd&quot;é",
        "cEBzcy93K3JkIsOp",
        "704073732f772b726422c3a9",
        "704073732F772B726422C3A9",
    ] {
        assert_eq!(redactor.redact(text), "$TOKEN", "{text}");
    }
}

#[test]
fn takes_padding_along() {
    let redactor = with(&[("KEY", "1234567")]);
    assert_eq!(redactor.redact("<MTIzNDU2Nw==>"), "<$KEY>");
    assert_eq!(redactor.redact("<MTIzNDU2Nw>"), "<$KEY>");
    assert_eq!(redactor.redact("?k=MTIzNDU2Nw%3D%3D&"), "?k=$KEY&");
}

#[test]
fn finds_a_value_inside_a_longer_text_that_was_encoded() {
    use base64::Engine;
    let value = "s3cr3t-t0ken";
    let redactor = with(&[("KEY", value)]);
    for user in ["", "u", "ad", "bob", "alice"] {
        let text = format!("{user}{value}:more");
        let encoded = base64::engine::general_purpose::STANDARD.encode(text);
        let found = redactor.search(encoded.as_bytes());
        assert_eq!(found.len(), 1, "{encoded}");
        assert_eq!(found[0].form, Form::Base64);
        let redacted = redactor.redact(&encoded).into_owned();
        assert!(redacted.contains("$KEY") || redacted.contains("${KEY}"), "{redacted}");
    }
}

#[test]
fn refuses_what_would_shred_texts_and_keeps_it_to_itself() {
    let redactor = Redactor::new();
    let error = redactor.add("pin", "hunt3").unwrap_err();
    insta::assert_snapshot!(error, @"the value of $PIN has 5 characters; a secret needs 6 at least, shorter ones stand in any text by chance and can't be kept out of it");
    assert!(redactor.add("pin", "ünïcö").is_err());
    assert!(redactor.add("pin", &"x".repeat(LONGEST + 1)).is_err());
    assert!(matches!(redactor.redact("hunt3"), Cow::Borrowed("hunt3")));
}

#[test]
fn secrets_do_not_print() {
    let redactor = Redactor::new();
    let secret = redactor.add("2nd secret.token", "correct horse").unwrap();
    assert_eq!(
        format!("{secret} {secret:?} {redactor:?}"),
        "$_2ND_SECRET_TOKEN $_2ND_SECRET_TOKEN Redactor(1 secrets)"
    );
    assert_eq!(secret.expose(), "correct horse");
}

#[test]
fn overlapping_secrets_leave_no_rest() {
    let redactor = with(&[("A", "aaabbb"), ("B", "bbbccc"), ("C", "aabbbc")]);
    assert_eq!(redactor.redact("<aaabbbccc>"), "<$A$C$B>");
    let repeated = with(&[("R", "xxxxxx")]);
    assert_eq!(repeated.redact("xxxxxxxxxxxxxxxxxxxx!"), "$R!");
}

#[test]
fn a_name_is_not_taken_for_a_value() {
    let redactor = with(&[("HARNESS_TOKEN", "HARNESS"), ("OTHER", "_TOKEN_2")]);
    assert_eq!(redactor.redact("HARNESS here"), "$HARNESS_TOKEN here");
    assert_eq!(redactor.redact("$HARNESS_TOKEN"), "$HARNESS_TOKEN");
    assert!(redactor.search(b"$HARNESS_TOKEN").is_empty());
    // A value that only begins within the name is one.
    assert_eq!(redactor.redact("$HARNESS_TOKEN_2"), "$$HARNESS_TOKEN$OTHER");
}

#[test]
fn values_after_a_rotation_are_all_secrets_and_a_value_has_one_name() {
    let redactor = with(&[("T", "first value"), ("T", "second value")]);
    assert_eq!(redactor.redact("first value, second value"), "$T, $T");
    assert_eq!(redactor.add("OTHER", "first value").unwrap().name(), "T");
    assert_eq!(redactor.redact("first value"), "$T");
}

#[test]
fn clones_share_what_is_added_later() {
    let redactor = Redactor::new();
    let clone = redactor.clone();
    for n in 0..100 {
        redactor.add(&format!("T{n}"), &format!("value-{n:03}")).unwrap();
        assert_eq!(clone.redact(&format!("<value-{n:03}>")), format!("<$T{n}>"));
        assert_eq!(clone.redact("<value-000>"), "<$T0>");
    }
    assert!(clone.chunks().len() < 8);
}

#[test]
fn a_scope_that_is_over_is_forgotten_by_all_but_the_audit() {
    let redactor = with(&[("LASTS", "a value that lasts")]);
    let (one, other) = (redactor.scope(), redactor.scope());
    one.add("ONE", "one's own value").unwrap();
    one.add("BOTH", "a value of both").unwrap();
    assert_eq!(other.add("OTHER", "a value of both").unwrap().name(), "BOTH");
    other.add("OTHER", "a value that lasts").unwrap();
    let text = "one's own value, a value of both, a value that lasts";
    for redactor in [&redactor, &one, &other] {
        assert_eq!(redactor.redact(text), "$ONE, $BOTH, $LASTS");
    }
    one.retire();
    assert_eq!(redactor.redact(text), "one's own value, $BOTH, $LASTS");
    other.retire();
    redactor.retire();
    assert_eq!(redactor.redact(text), "one's own value, a value of both, $LASTS");
    let mut audit = Audit::new(&redactor);
    audit.output("x.txt".as_ref(), text.as_bytes()).unwrap();
    let leaks = audit.leaks().into_iter().map(|leak| leak.name);
    assert!(leaks.eq(["ONE", "BOTH", "LASTS"]));
}

#[test]
fn parts_of_a_long_random_value_are_told_as_a_shell_would_fill_them_in() {
    let value = "0123456789abcdef00112233445566778899aabbccddeeff0f1e2d3c4b5a6978";
    let redactor = with(&[("T", value)]);
    for (text, expected) in [
        (value.to_owned(), "<$T>"),
        (format!("{value}0"), "<${T}0>"),
        (format!("{}g", &value[..63]), "<${T:0:63}g>"),
        (value[1..].to_owned(), "<${T:1:63}>"),
        (value[..32].to_owned(), "<${T:0:32}>"),
        (value.to_uppercase(), "<${T^^}>"),
        (value.to_uppercase()[4..40].to_owned(), "<${T:4:36}>"),
        (format!("{}…{}", &value[..20], &value[40..]), "<${T:0:20}…${T:40:24}>"),
        (value[..12].to_owned(), "<0123456789ab>"),
    ] {
        let redacted = redactor.redact(&format!("<{text}>")).into_owned();
        assert_eq!(redacted, expected);
        assert!(matches!(redactor.redact(&redacted), Cow::Borrowed(_)), "{redacted}");
    }
    assert_eq!(redactor.search(&value.as_bytes()[3..40]).len(), 1);
    // Of what has some structure the whole is a secret, and no part.
    let jwt = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.c2lnbmF0dXJl";
    assert_eq!(with(&[("J", jwt)]).redact(&jwt[..36]), &jwt[..36]);
}

#[test]
fn json_stays_json() {
    let redactor = with(&[("T", "123456"), ("Q", "a\"b\\c/d")]);
    let value = json!({"a\"b\\c/d": ["x 123456 y", 91234567, 42, null, true]});
    assert_eq!(
        redactor.redact_json(&value),
        json!({"$Q": ["x $T y", "9${T}7", 42, null, true]})
    );
}

#[test]
fn a_secret_in_a_file_is_told_with_its_line() {
    let folder = tempfile::tempdir().unwrap();
    let redactor = Redactor::new();
    let secret = redactor.plant("token 1");
    let clean = folder.path().join("clean.txt");
    std::fs::write(&clean, redactor.redact(secret.expose()).as_bytes()).unwrap();
    let dirty = folder.path().join("dirty.txt");
    std::fs::write(&dirty, format!("one\n\n\u{1}{0}, {0}\n", secret.expose())).unwrap();
    let mut audit = Audit::new(&redactor);
    audit.file(&clean).unwrap();
    audit.file(&dirty).unwrap();
    let leaks: Vec<String> = audit.leaks().iter().map(ToString::to_string).collect();
    let expected = format!("{}:3: contains the secret $TOKEN_1 (plain)", dirty.display());
    assert_eq!(leaks, [expected]);
}

/// Whatever a platform does to a token, a report that shows it is found.
#[test]
fn an_audit_finds_what_the_redactor_does_not_take_out() {
    use base64::Engine;
    use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
    let value = "0123456789abcdef00112233445566778899aabbccddeeff0f1e2d3c4b5a6978";
    let lasting = with(&[("T", value)]);
    let clean = lasting.redact(value).into_owned();
    let over = Redactor::new().scope();
    over.add("T", value).unwrap();
    over.retire();
    let some = |escape: &dyn Fn(u8) -> String| -> String {
        let each = value.bytes().enumerate();
        each.map(|(n, byte)| {
            if n % 5 == 0 {
                escape(byte)
            } else {
                char::from(byte).into()
            }
        })
        .collect()
    };
    let percent = |byte: u8| format!("%{byte:02x}");
    let mime = STANDARD.encode(format!("user:{value}"));
    for text in [
        value.to_owned(),
        value[7..50].to_owned(),
        value.to_uppercase(),
        URL_SAFE_NO_PAD.encode(value),
        some(&percent),
        some(&percent).replace('%', "%25"),
        some(&|byte| format!("\\u{byte:04x}")),
        some(&|byte| format!("\\\\u{byte:04X}")),
        some(&|byte| format!("&#{byte};")),
        some(&|byte| format!("\\x{byte:02x}")),
        STANDARD.encode(STANDARD.encode(value)),
        STANDARD.encode(some(&percent)),
        format!("{}\n            | {}\n", &mime[..40], &mime[40..]),
        format!("> {}\n> {}\n", &value[..30], &value[30..]),
    ] {
        for redactor in [&lasting, &over] {
            let mut audit = Audit::new(redactor);
            audit
                .output("x.txt".as_ref(), format!("one\ntwo <{text}>\n").as_bytes())
                .unwrap();
            let leaks = audit.leaks();
            assert!(!leaks.is_empty(), "{text}");
            assert!(leaks.iter().all(|leak| leak.name == "T" && leak.line >= 2), "{leaks:?}");
            // What the redactor takes out the audit takes for clean.
            let mut audit = Audit::new(redactor);
            audit.output("x.txt".as_ref(), clean.as_bytes()).unwrap();
            assert!(audit.leaks().is_empty());
        }
    }
    let mut audit = Audit::new(&lasting);
    audit
        .output("x.txt".as_ref(), b"% \\u \\u{ \\x &# & &; %zz \\u{110000} \\")
        .unwrap();
    assert!(audit.leaks().is_empty());
    let error = audit_of(&lasting, "none/there").unwrap_err();
    assert!(
        error.to_string().starts_with("cannot search none/there for secrets: "),
        "{error}"
    );
}

fn audit_of(redactor: &Redactor, file: &str) -> Result<(), AuditError> {
    Audit::new(redactor).file(file.as_ref())
}

#[test]
fn an_audit_that_finds_no_canary_says_that_it_is_blind() {
    // Another redactor's: it doesn't know the canary that was planted.
    let (one, other) = (Redactor::new(), Redactor::new());
    let mut audit = Audit::new(&one).with(&other);
    let error = audit.output("r.json".as_ref(), b"{}").unwrap_err();
    insta::assert_snapshot!(error, @"the search for secrets in r.json has not found its own canary, plain: that it found nothing else says nothing");
}

/// Secrets of the kind that are in use, and such as are hard to tell apart.
fn value() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-zA-Z0-9]{6,40}",
        "[ -~]{6,20}",
        "[ab$_]{6,9}",
        "\\PC{6,12}",
        any::<[char; 7]>().prop_map(String::from_iter),
    ]
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof!["[ -~]{0,20}", "[ab$_]{0,10}", "\\PC{0,10}"]
}

/// A text in which some forms of some of the secrets stand.
fn laced() -> impl Strategy<Value = (Vec<String>, String)> {
    proptest::collection::vec(value(), 1..4).prop_flat_map(|values| {
        let all: Vec<String> = values.iter().flat_map(|v| forms(v).into_keys()).collect();
        let piece = prop_oneof![text(), proptest::sample::select(all)];
        let pieces = proptest::collection::vec(piece, 0..8).prop_map(|pieces| pieces.concat());
        (Just(values), pieces)
    })
}

fn named(values: &[String]) -> Redactor {
    let redactor = Redactor::new();
    for (n, value) in values.iter().enumerate() {
        redactor.add(["A", "B_A", "AB"][n % 3], value).unwrap();
    }
    redactor
}

proptest! {
    #[test]
    fn no_form_survives((values, text) in laced()) {
        let redactor = named(&values);
        let out = redactor.redact(&text).into_owned();
        let found = redactor.search(out.as_bytes());
        prop_assert!(found.is_empty(), "{:?} in {:?}", found, out);
        // Not only by the redactor's own word: what is left of a form can only
        // be within a placeholder.
        for value in &values {
            for form in forms(value).keys() {
                let bare = ["${B_A}", "${AB}", "${A}", "$B_A", "$AB", "$A"].iter().fold(out.clone(), |t, p| t.replace(p, "\0"));
                prop_assert!(!bare.contains(form.as_str()) || form.contains('\0'), "{:?} in {:?}", form, out);
            }
        }
    }

    #[test]
    fn redaction_is_idempotent((values, text) in laced()) {
        let redactor = named(&values);
        let once = redactor.redact(&text).into_owned();
        prop_assert!(matches!(redactor.redact(&once), Cow::Borrowed(_)));
    }

    #[test]
    fn other_text_is_unchanged(values in proptest::collection::vec("[a-m0-4/+]{6,20}", 1..4), text in "[ n-zÀ-ÿ{}\":,\n]{0,200}") {
        prop_assert!(matches!(named(&values).redact(&text), Cow::Borrowed(same) if same == text));
    }

    #[test]
    fn any_other_encoder_agrees(value in "[ -~]{6,30}", before in "[a-z]{0,4}", after in "[a-z]{0,4}") {
        use base64::Engine;
        let redactor = named(std::slice::from_ref(&value));
        let whole = format!("{before}{value}{after}");
        for text in [
            serde_json::to_string(&whole).unwrap(),
            format!("{whole:?}"),
            percent_encoding::utf8_percent_encode(&whole, percent_encoding::NON_ALPHANUMERIC).to_string(),
            base64::engine::general_purpose::STANDARD.encode(&whole),
            base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(&whole),
        ] {
            prop_assert!(!redactor.search(text.as_bytes()).is_empty(), "{}", text);
        }
    }
}
