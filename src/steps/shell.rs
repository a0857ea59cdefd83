//! Commands as a shell takes them, for a person to paste.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use http::{HeaderName, HeaderValue};

use crate::vocabulary::Road;
use crate::world::Door;

/// A request by other means.
#[derive(Clone, Debug)]
pub struct Curl {
    /// The command. In it `$DOOR` stands for scheme and authority; secrets stand in plain.
    pub command: String,
    pub road: Road,
    /// What `$DOOR` was: `http://127.0.0.1:8000`.
    pub origin: String,
}

impl Curl {
    /// A request to a door. `flags` are further ones: ` -N`.
    pub fn new<'h>(
        door: &Door,
        flags: &str,
        headers: impl IntoIterator<Item = (&'h HeaderName, &'h HeaderValue)>,
        body: Option<&str>,
        path: &str,
    ) -> Curl {
        // What is in brackets or has dots is asked for as it stands.
        let mut command = format!("curl -i{flags} --http1.1 --max-time 5 -g --path-as-is");
        for (name, value) in headers {
            let value = String::from_utf8_lossy(value.as_bytes());
            // Without a value a colon takes a header away.
            let header = match value.is_empty() {
                true => format!("{name};"),
                false => format!("{name}: {value}"),
            };
            command.push_str(&format!(" -H \"{}\"", escaped(&header)));
        }
        if let Some(body) = body {
            if serde_json::from_str::<serde_json::Value>(body).is_ok() {
                command.push_str(" -H \"content-type: application/json\"");
            }
            command.push_str(&format!(" --data-binary \"{}\"", escaped(body)));
        }
        Curl {
            command: format!("{command} \"$DOOR{}\"", escaped(path)),
            road: door.road,
            origin: door.http_url(""),
        }
    }
}

/// A text within double quotes, in which variables can still be put.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        if matches!(c, '\\' | '"' | '$' | '`') {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}

/// A text as one word.
pub fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,@%+".contains(c);
    match !text.is_empty() && text.chars().all(plain) {
        true => text.to_owned(),
        false => format!("'{}'", text.replace('\'', r"'\''")),
    }
}

/// A path as one word, of bytes that are no text too.
pub fn quoted_path(path: &Path) -> String {
    if let Some(text) = path.to_str() {
        return quoted(text);
    }
    let mut word = String::from("$'");
    for byte in path.as_os_str().as_bytes() {
        match byte {
            plain if plain.is_ascii_alphanumeric() || b"-_./".contains(plain) => word.push(char::from(*plain)),
            other => word.push_str(&format!("\\x{other:02x}")),
        }
    }
    word + "'"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_shell_would_take_for_its_own() {
        assert_eq!(escaped(r#"a "b" $c `d` \"#), r#"a \"b\" \$c \`d\` \\"#);
        assert_eq!(quoted("it's"), r"'it'\''s'");
        assert_eq!(quoted("a=b"), "a=b");
        assert_eq!(quoted_path(Path::new("a b")), "'a b'");
        let no_text = std::ffi::OsStr::from_bytes(b"a b/\xff'");
        assert_eq!(quoted_path(Path::new(no_text)), r"$'a\x20b/\xff\x27'");
    }
}
