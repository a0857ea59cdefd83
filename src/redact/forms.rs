//! The forms that a value takes on its way through protocols and files.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use indexmap::IndexMap;

/// How a secret was written where it was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Form {
    /// As it is.
    Plain,
    /// JSON's escapes (Go's and the ASCII-only ones among them), or Rust's `Debug`.
    Json,
    /// Percent-encoded, or as a form field.
    Percent,
    /// The escapes of XML and HTML.
    Xml,
    /// Standard or URL-safe, with or without padding, alone or inside a longer text that was encoded.
    Base64,
    /// Two hexadecimal digits for each byte.
    Hex,
    /// A part of it, in either case of letters.
    Part,
    /// In an encoding of an encoding, or in one that the redactor doesn't take out.
    Encoded,
}

impl fmt::Display for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Form::Plain => "plain",
            Form::Json => "JSON",
            Form::Percent => "percent-encoded",
            Form::Xml => "XML",
            Form::Base64 => "base64",
            Form::Hex => "hex",
            Form::Part => "a part of it",
            Form::Encoded => "in an unusual encoding",
        })
    }
}

/// All texts that stand for `value`, each with the first form that gives it.
pub(super) fn forms(value: &str) -> IndexMap<String, Form> {
    let mut all = IndexMap::new();
    let mut add = |form, text: String| {
        all.entry(text).or_insert(form);
    };
    add(Form::Plain, value.to_owned());
    let escaped = json_forms(value);
    for text in &escaped {
        add(Form::Json, text.clone());
        // JSON as a string within JSON: a log line, an annotation.
        add(Form::Json, json(text));
    }
    for text in percent_forms(value.as_bytes()) {
        add(Form::Percent, text);
    }
    for quote in ["&#39;", "&apos;"] {
        add(Form::Xml, xml(value, "&quot;", quote));
        add(Form::Xml, xml(value, "&#34;", quote));
    }
    add(Form::Xml, xml(value, "\"", "'"));
    for source in [value, &escaped[0]] {
        for text in base64_forms(source.as_bytes()) {
            if text.contains(['+', '/', '=']) {
                add(Form::Base64, text.replace('/', "\\/"));
                for encoded in percent_forms(text.as_bytes()) {
                    add(Form::Base64, encoded);
                }
            }
            add(Form::Base64, text);
        }
    }
    add(Form::Hex, hex(value.as_bytes(), false));
    add(Form::Hex, hex(value.as_bytes(), true));
    all
}

/// Characters of a part that give a long random value away.
const PART: usize = 16;

/// Which parts of a value are looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Every {
    /// All: any [`PART`] characters of it are found.
    Offset,
    /// Those side by side: any `2 * PART - 1` characters have one of them in them.
    Length,
}

/// Shortest value whose parts are secrets too, in characters.
const IN_PARTS: usize = 48;

/// A part of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Part {
    /// Characters of the value before it.
    pub offset: usize,
    /// Whether it is in upper case while the value isn't; none if it has no letters.
    pub upper: Option<bool>,
    /// Characters of the whole value.
    pub of: usize,
}

/// All parts of a value of a length that makes up any longer part. None of a value that is short,
/// or that has some structure: the head of a JWT is no secret.
pub(super) fn parts(value: &str, every: Every) -> Vec<(String, Part)> {
    if value.len() < IN_PARTS || !value.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return Vec::new();
    }
    let upper = value.to_ascii_uppercase();
    let of = value.len();
    let mut all = Vec::new();
    let step = match every {
        Every::Offset => 1,
        Every::Length => PART,
    };
    for offset in (0..=of - PART).step_by(step) {
        let [as_is, raised] = [value, &upper].map(|text| text[offset..offset + PART].to_owned());
        let same = as_is == raised;
        let part = |upper| Part { offset, upper, of };
        all.push((as_is, part((!same).then_some(false))));
        if !same {
            all.push((raised, part(Some(true))));
        }
    }
    all
}

/// The inside of a JSON string that stands for `text`, as serde_json writes it.
fn json(text: &str) -> String {
    let quoted = serde_json::Value::from(text).to_string();
    quoted[1..quoted.len() - 1].to_owned()
}

/// As different JSON writers do it; serde_json's form is the first.
fn json_forms(value: &str) -> Vec<String> {
    let plain = json(value);
    let mut all = vec![
        plain.replace('/', "\\/"),
        // Go's encoding/json, the Kubernetes API server's, escapes what HTML would read.
        plain
            .replace('<', "\\u003c")
            .replace('>', "\\u003e")
            .replace('&', "\\u0026")
            .replace('\u{2028}', "\\u2028")
            .replace('\u{2029}', "\\u2029"),
        ascii(&plain, false),
        ascii(&plain, true),
        value.escape_debug().to_string(),
    ];
    all.insert(0, plain);
    all
}

/// JSON with all that isn't ASCII as `\uXXXX`.
fn ascii(json: &str, upper: bool) -> String {
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        if c.is_ascii() {
            out.push(c);
            continue;
        }
        for unit in c.encode_utf16(&mut [0; 2]) {
            out += &if upper {
                format!("\\u{unit:04X}")
            } else {
                format!("\\u{unit:04x}")
            };
        }
    }
    out
}

fn xml(value: &str, double: &str, single: &str) -> String {
    value
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', double)
        .replace('\'', single)
}

/// For the sets of characters that encoders in use leave alone, from none to all
/// that RFC 3986 allows in a query.
fn percent_forms(bytes: &[u8]) -> Vec<String> {
    const KEPT: [&[u8]; 6] = [
        b"",
        b"-._~",
        b"*-._",
        b"-_.!~*'()",
        b"-._~!$&'()*+,;=:@",
        b"-._~!$&'()*+,;=:@/?",
    ];
    let mut all = Vec::new();
    for upper in [true, false] {
        all.push(percent(bytes, |_| false, upper));
        for kept in KEPT {
            let text = percent(bytes, |b| b.is_ascii_alphanumeric() || kept.contains(&b), upper);
            // A form field has its spaces as `+`.
            all.push(text.replace("%20", "+"));
            all.push(text);
        }
    }
    all
}

fn percent(bytes: &[u8], keep: impl Fn(u8) -> bool, upper: bool) -> String {
    let mut out = String::with_capacity(bytes.len() * 3);
    for &byte in bytes {
        if keep(byte) {
            out.push(char::from(byte));
        } else {
            out.push('%');
            out += &hex(&[byte], upper);
        }
    }
    out
}

/// Alone, and the part that is the same whatever stands around the value in the
/// text that was encoded, for each of the three places where it can begin. What
/// is left of the value at the edges of such a part is less than a byte each.
fn base64_forms(bytes: &[u8]) -> Vec<String> {
    let mut all = vec![STANDARD.encode(bytes), URL_SAFE.encode(bytes)];
    for engine in [STANDARD_NO_PAD, URL_SAFE_NO_PAD] {
        all.push(engine.encode(bytes));
        for before in 0..3 {
            let text = engine.encode([&[0; 2][..before], bytes].concat());
            let first = (before * 8).div_ceil(6);
            let last = (before + bytes.len()) * 8 / 6;
            all.push(text[first..last].to_owned());
        }
    }
    all
}

fn hex(bytes: &[u8], upper: bool) -> String {
    let digits: &[u8; 16] = if upper {
        b"0123456789ABCDEF"
    } else {
        b"0123456789abcdef"
    };
    bytes
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .map(|digit| char::from(digits[usize::from(digit)]))
        .collect()
}
