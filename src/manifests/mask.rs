//! Secrets in manifests: found, and masked in what is shown of the file.
//!
//! What is shown is a copy of the text of the same length, so that places in the one are places in the other.
//! It masks too much rather than too little: an excerpt without a value still shows where to look.

use std::sync::LazyLock;

use aho_corasick::AhoCorasick;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use regex::Regex;

use super::document::text;
use crate::yaml::node::{Kind, Node};

/// The replacement for a secret, cut to its length.
const MASK: &str = "[masked]";

/// Shortest text that is masked wherever it stands. A shorter one stands in many places by chance.
const SHORTEST: usize = 8;

/// A name that a secret goes by, up to what follows it.
const NAME: &str = r#"(?i)[\w.-]*(?:token|passw(?:or)?d|secret|credential|api[_-]?key|master[_-]?key|private[_-]?key|[A-Z]_KEY)[\w.-]*"#;

/// A name of a secret with a value, inside a text: `--token=x`, `master_key: x`.
static ASSIGNED: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(&format!(r#"{NAME}["']?\s*[=:]\s*["']?[^\s"'{{\[]"#)).ok());

/// A name of a secret, alone.
static NAMED: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(&format!("^{NAME}$")).ok());

/// The end of a name that says where a secret is, and not what it is.
static WHERE: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(
        r"(?i)(?:name|ref|path|file|url|uri|dir|namespace|seconds|interval|variable|type|kind|policy|store|class)$",
    )
    .ok()
});

/// Texts that are secrets whatever they are called: JWTs, keys with their vendor's prefix, passwords in addresses.
static SHAPED: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r"eyJ[\w-]{8,}\.[\w-]+|\bsk-[\w-]{6,}|\bgh[pousr]_\w{16,}|\bxox[abpr]-[\w-]{8,}|-----BEGIN [A-Z ]*PRIVATE KEY|://[^/\s:@]*:[^/\s@]+@")
        .ok()
});

/// The name of a variable or a key: where a secret is to be found may stand under a name of one.
static VARIABLE: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new("^[A-Z]+(?:_[A-Z]+)+$").ok());

/// A long text of letters and digits, as keys are.
static LONG: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"[A-Za-z0-9+/_=.-]{16,}").ok());

fn matches(pattern: &LazyLock<Option<Regex>>, text: &str) -> bool {
    match &**pattern {
        Some(pattern) => pattern.is_match(text),
        // A pattern that is none would show secrets. A test has them all built.
        None => true,
    }
}

/// The secrets of a text that was read.
#[derive(Clone, Debug, Default)]
pub struct Secrets {
    /// Where they stand: bytes.
    places: Vec<(usize, usize)>,
    /// Those that are long enough to be known again.
    values: Vec<Secret>,
}

/// A value that doesn't print.
#[derive(Clone)]
struct Secret(String);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(MASK)
    }
}

impl Secrets {
    /// Those of a stream's documents.
    pub fn of(documents: &[Node]) -> Secrets {
        let mut secrets = Secrets::default();
        for document in documents {
            secrets.collect(document, false);
        }
        secrets
    }

    /// Adds the values of another file.
    pub fn extend(&mut self, other: &Secrets) {
        self.values.extend(other.values.iter().cloned());
    }

    /// The text that these are the secrets of, masked, with the values of `all` as well; of the same length in bytes.
    pub fn mask(&self, text: &str, all: &Secrets) -> String {
        let mut bytes = text.as_bytes().to_vec();
        for (start, end) in &self.places {
            blank(&mut bytes, *start, *end);
        }
        match AhoCorasick::new(all.values.iter().map(|Secret(value)| value)) {
            Ok(values) => {
                for found in values.find_overlapping_iter(text) {
                    blank(&mut bytes, found.start(), found.end());
                }
            }
            // More values than can be looked for: then nothing is shown.
            Err(_) => blank(&mut bytes, 0, text.len()),
        }
        mask_comments(text, &mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// A message with secrets masked that stand in it.
    pub fn mask_message(&self, message: &str) -> String {
        let mut values: Vec<&str> = self.values.iter().map(|Secret(value)| value.as_str()).collect();
        // One that is a part of another one would leave the rest of it.
        values.sort_by_key(|value| std::cmp::Reverse(value.len()));
        values
            .into_iter()
            .fold(message.to_owned(), |message, value| message.replace(value, MASK))
    }

    /// `secret`: whether everything below is one.
    fn collect(&mut self, node: &Node, secret: bool) {
        match &node.kind {
            Kind::Text(value) => {
                if secret && !matches(&VARIABLE, value) || matches(&SHAPED, value) {
                    self.add(node, value);
                } else if secret || matches(&ASSIGNED, value) {
                    // Which part of it is the secret isn't known, so it is not looked for elsewhere.
                    self.places.push((node.span.start, node.span.end));
                }
            }
            Kind::Number(number) if secret => self.add(node, &number.to_string()),
            // A word that reads as one may be a password.
            Kind::Bool(_) if secret => self.places.push((node.span.start, node.span.end)),
            Kind::Null | Kind::Bool(_) | Kind::Number(_) => {}
            Kind::List(items) => items.iter().for_each(|item| self.collect(item, secret)),
            Kind::Map(entries) => {
                let is_secret = text(node, &["kind"]) == "Secret";
                // Of a variable of a container: its name says what its value is.
                let named = matches(&NAMED, text(node, &["name"])) && !matches(&WHERE, text(node, &["name"]));
                for (key, value) in entries {
                    let below = match key.name.as_str() {
                        "data" | "stringData" if is_secret => true,
                        "value" if named => true,
                        // What was applied last stands there as a whole.
                        "kubectl.kubernetes.io/last-applied-configuration" => true,
                        name => is_scalar(value) && matches(&NAMED, name) && !matches(&WHERE, name),
                    };
                    self.collect(value, secret || below);
                }
            }
        }
    }

    fn add(&mut self, node: &Node, value: &str) {
        self.places.push((node.span.start, node.span.end));
        let decoded = STANDARD.decode(value.split_whitespace().collect::<String>()).ok();
        let decoded = decoded.and_then(|bytes| String::from_utf8(bytes).ok());
        for form in [Some(value), decoded.as_deref()].into_iter().flatten() {
            let lines = form.lines().map(str::trim).filter(|line| line.len() >= SHORTEST);
            self.values.extend(lines.map(|line| Secret(line.to_owned())));
        }
    }
}

fn is_scalar(node: &Node) -> bool {
    matches!(node.kind, Kind::Text(_) | Kind::Number(_))
}

/// Masks bytes, lines left as they are.
fn blank(bytes: &mut [u8], start: usize, end: usize) {
    let end = end.min(bytes.len());
    let Some(part) = bytes.get_mut(start.min(end)..end) else {
        return;
    };
    for line in part.split_mut(|byte| *byte == b'\n') {
        let length = line.len();
        // The indentation of what comes after a block.
        if line.iter().all(|byte| *byte == b' ') {
            continue;
        }
        // Blanks: how long it is is nobody's business.
        line.fill(b' ');
        for (to, from) in line.iter_mut().zip(MASK.bytes()) {
            *to = from;
        }
        if length < MASK.len() {
            line.fill(b'*');
        }
    }
}

/// Masks comments that name a secret and a value: what was commented out may still be good.
fn mask_comments(text: &str, bytes: &mut [u8]) {
    for (start, line) in lines(text) {
        if let Some(comment) = line.find('#')
            && matches(&ASSIGNED, &line[comment..])
        {
            blank(bytes, start + comment, start + line.len());
        }
    }
}

/// Lines with the offset of each, without their ends.
fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut start = 0;
    text.split_inclusive('\n').map(move |line| {
        let at = start;
        start += line.len();
        (at, line.trim_end_matches(['\n', '\r']))
    })
}

/// A text that can't be read as YAML, masked by what its lines look like.
pub fn mask_unread(text: &str) -> String {
    let mut bytes = text.as_bytes().to_vec();
    let mut of_secret = false;
    let mut named = false;
    let is_secret = |document: &str| document.lines().any(|line| line.trim_end() == "kind: Secret");
    for (start, line) in lines(text) {
        let bare = line.trim_start().trim_start_matches("- ").trim_start();
        if start == 0 || line.starts_with("---") {
            // Its kind may stand at the end.
            let document = &text[start + line.len()..];
            let document = document.split("\n---").next().unwrap_or_default();
            of_secret = is_secret(line) || is_secret(document);
        }
        let value = line.find(':').map_or(0, |colon| colon + 1);
        let is_value = bare.starts_with("value:");
        let is_data = line.starts_with([' ', '\t', 'd', 's', '{', '-']);
        if of_secret && is_data || matches(&ASSIGNED, line) || is_value && named {
            let at = value + line[value..].len() - line[value..].trim_start().len();
            blank(&mut bytes, start + at, start + line.len());
        } else if let Some(long) = &*LONG {
            for found in long.find_iter(line) {
                if found.as_str().contains(|c: char| c.is_ascii_digit()) {
                    blank(&mut bytes, start + found.start(), start + found.end());
                }
            }
        }
        // A variable of a container is named in the line before its value.
        named = bare
            .strip_prefix("name:")
            .is_some_and(|name| matches(&NAMED, name.trim().trim_matches(['"', '\''])));
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::yaml::Source;
    use crate::yaml::node::read_stream;

    fn masked(text: &str) -> String {
        let (documents, _) = read_stream(&Source::new("t.yaml", text)).expect("a stream");
        let secrets = Secrets::of(&documents);
        let masked = secrets.mask(text, &secrets);
        assert_eq!(masked.len(), text.len());
        assert_eq!(masked.lines().count(), text.lines().count());
        masked
    }

    #[test]
    fn the_patterns_are_good() {
        for pattern in [&ASSIGNED, &NAMED, &WHERE, &SHAPED, &VARIABLE, &LONG] {
            assert!(pattern.is_some());
        }
    }

    #[test]
    fn values_are_masked_and_names_are_not() {
        let shown = masked(
            "kind: Secret\nmetadata: { name: litellm-env }\nstringData: { KEY: hunter22hunter22 }\ndata:\n  B: aHVudGVyMzNodW50ZXIzMw==\n\
             ---\nkind: Deployment\nenv:\n  - name: HARNESS_AUTH_TOKEN\n    value: 'ab''cd-efgh'\n\
             \x20 - { name: TOKEN_KEY_NAME, value: visible-one }\n  - name: PLAIN\n    value: hunter33hunter33\n\
             \x20 - name: LITELLM_API_KEY\n    valueFrom: { secretKeyRef: { name: visible-two, key: VISIBLE_THREE } }\n\
             args: [--token=abc123, --db, 'postgres://u:pw1234@db/x']\n\
             # old token: zzz999\nautomountServiceAccountToken: false\nsecretName: visible-four\n",
        );
        for secret in [
            "hunter22", "aHVudGVy", "ab''cd", "hunter33", "abc123", "pw1234", "zzz999",
        ] {
            assert!(!shown.contains(secret), "{secret} in\n{shown}");
        }
        for name in [
            "visible-one",
            "visible-two",
            "VISIBLE_THREE",
            "visible-four",
            "HARNESS_AUTH_TOKEN",
            "automountServiceAccountToken: false",
            "litellm-env",
        ] {
            assert!(shown.contains(name), "{name} not in\n{shown}");
        }
    }

    #[test]
    fn blocks_of_several_lines() {
        let shown = masked(
            "kind: Secret\nstringData:\n  key: |\n    first-line-of-it\n    second-line-of-it\n  b: c\nother: seen\n",
        );
        assert!(!shown.contains("line-of-it"), "{shown}");
        assert!(shown.contains("\n  b: *\nother: seen"), "{shown}");
        let of_base64 = masked(
            "kind: Secret\ndata:\n  key: |\n    aHVudGVy\n    MzNodW50ZXIzMw==\n  b: off\n---\nkind: Pod\nnote: hunter33hunter33\n",
        );
        assert!(!of_base64.contains("hunter33"), "{of_base64}");
        assert!(!of_base64.contains("off"), "{of_base64}");
    }

    #[test]
    fn a_text_that_is_no_yaml() {
        let text = "kind: Secret\ndata:\n  a: hunter2\n---\nkind: X\nenv:\n- name: MY_TOKEN\n  value: hunter3\n\
                    image: visible\nx: abcdef0123456789abcdef\nmaster_key: hunter4\n";
        let shown = mask_unread(text);
        assert_eq!(shown.len(), text.len());
        for secret in ["hunter", "abcdef"] {
            assert!(!shown.contains(secret), "{secret} in\n{shown}");
        }
        assert!(shown.contains("image: visible"), "{shown}");
    }
}
