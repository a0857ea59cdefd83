//! A secret with its name, and why a value can't be one.

use std::fmt;
use std::sync::Arc;

use secrecy::{ExposeSecret, SecretString};

use super::{LONGEST, SHORTEST};

/// A value that doesn't print: it shows as `$NAME`.
#[derive(Clone)]
pub struct Secret {
    name: Arc<str>,
    value: SecretString,
}

impl Secret {
    pub(super) fn new(name: Arc<str>, value: SecretString) -> Secret {
        Secret { name, value }
    }

    /// Without the `$`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The value itself, for the wire.
    pub fn expose(&self) -> &str {
        self.value.expose_secret()
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "${}", self.name)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Why a value can't be a secret. Says the name, never the value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RedactError {
    #[error(
        "the value of ${name} has {characters} characters; a secret needs {SHORTEST} at least, \
         shorter ones stand in any text by chance and can't be kept out of it"
    )]
    TooShort { name: Arc<str>, characters: usize },
    #[error("the value of ${name} has {bytes} bytes; a secret may have {LONGEST} at most")]
    TooLong { name: Arc<str>, bytes: usize },
}

/// A name that a shell variable can have: `secret.token` becomes `SECRET_TOKEN`.
pub(super) fn variable(name: &str) -> String {
    let mut out: String = name
        .chars()
        .map(|c| match c {
            c if c.is_ascii_alphanumeric() => c.to_ascii_uppercase(),
            _ => '_',
        })
        .collect();
    if !out.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') {
        out.insert(0, '_');
    }
    out
}
