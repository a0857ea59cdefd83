//! Where a secret of an installation comes from: never from a command line.

use std::fmt;
use std::path::PathBuf;

use crate::file_input::{self, Refusal};

/// A secret that a run needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Needed {
    /// The token that terminals take.
    Token,
    /// The session API's key.
    MasterKey,
    /// What the agent service's JWTs are signed with.
    JwtSecret,
    /// LiteLLM's key, which nobody may be shown.
    LitellmKey,
}

impl Needed {
    pub const ALL: [Needed; 4] = [Needed::Token, Needed::MasterKey, Needed::JwtSecret, Needed::LitellmKey];

    /// Those of the terminals behind the shared token.
    pub const OF_TERMINALS: [Needed; 2] = [Needed::Token, Needed::MasterKey];

    /// The secret of that name.
    pub fn named(name: &str) -> Option<Needed> {
        Needed::ALL.into_iter().find(|needed| needed.name() == name)
    }

    /// The name in a profile.
    pub fn name(self) -> &'static str {
        match self {
            Needed::Token => "token",
            Needed::MasterKey => "master-key",
            Needed::JwtSecret => "jwt-secret",
            Needed::LitellmKey => "litellm-key",
        }
    }
}

/// Where it comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretSource {
    /// A variable of the environment that gauntlet is started with.
    Env(String),
    /// A file; a line's end behind the secret is not of it.
    File(PathBuf),
}

/// Why there is no secret where it is to come from: without a part of it.
#[derive(Debug, thiserror::Error)]
pub enum SecretReadError {
    #[error("it is not set, or isn't text")]
    NotSet,
    #[error("{}", .0.in_a_line())]
    File(#[source] Refusal),
    #[error("it is empty")]
    Empty,
}

impl From<Refusal> for SecretReadError {
    fn from(refusal: Refusal) -> SecretReadError {
        SecretReadError::File(match refusal {
            // What is in the file may be the secret all the same.
            Refusal::NotText { valid, .. } => Refusal::NotText {
                valid,
                bytes: Vec::new(),
            },
            other => other,
        })
    }
}

impl SecretSource {
    /// Reads it. `variable` gives variables of the environment.
    ///
    /// # Errors
    /// What is not there, is empty or is no text.
    pub fn read(&self, variable: &dyn Fn(&str) -> Option<String>) -> Result<String, SecretReadError> {
        let secret = match self {
            SecretSource::Env(name) => variable(name).ok_or(SecretReadError::NotSet)?,
            SecretSource::File(path) => {
                let text = file_input::read_text(path, file_input::SMALL)?;
                text.trim_end_matches(['\n', '\r']).to_owned()
            }
        };
        match secret.is_empty() {
            true => Err(SecretReadError::Empty),
            false => Ok(secret),
        }
    }
}

impl SecretSource {
    /// As one text: `env:NAME`, `file:PATH`.
    pub fn to_text(&self) -> String {
        match self {
            SecretSource::Env(name) => format!("env:{name}"),
            SecretSource::File(path) => format!("file:{}", path.display()),
        }
    }

    /// What [`SecretSource::to_text`] gave.
    pub fn from_text(text: &str) -> Option<SecretSource> {
        let (kind, rest) = text.split_once(':')?;
        match kind {
            "env" => Some(SecretSource::Env(rest.to_owned())),
            "file" => Some(SecretSource::File(rest.into())),
            _ => None,
        }
    }
}

impl fmt::Display for SecretSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SecretSource::Env(name) => write!(f, "the variable {name}"),
            SecretSource::File(path) => write!(f, "the file {}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_secrets_come_from() {
        let variable = |name: &str| match name {
            "TOKEN" => Some("abc".to_owned()),
            "EMPTY" => Some(String::new()),
            _ => None,
        };
        let env = |name: &str| SecretSource::Env(name.into()).read(&variable);
        assert_eq!(env("TOKEN").ok().as_deref(), Some("abc"));
        assert!(matches!(env("EMPTY"), Err(SecretReadError::Empty)));
        assert!(matches!(env("NONE"), Err(SecretReadError::NotSet)));
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("token");
        std::fs::write(&file, "abc\r\n").expect("written");
        let of_file = SecretSource::File(file.clone()).read(&variable);
        assert_eq!(of_file.ok().as_deref(), Some("abc"));
        std::fs::write(&file, b"abc\xff").expect("written");
        let error = SecretSource::File(file).read(&variable).expect_err("no text");
        assert_eq!(error.to_string(), "not UTF-8 from byte 3 on");
        assert!(!format!("{error:?}").contains("97"), "{error:?}");
        assert!(SecretSource::File(folder.path().into()).read(&variable).is_err());
    }
}
