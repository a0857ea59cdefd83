//! A secret in an output that was to be without.

use std::path::PathBuf;

use super::Form;

/// Where a secret stands that was to be kept out.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Leak {
    pub file: PathBuf,
    /// From 1.
    pub line: usize,
    /// The secret's name.
    pub name: String,
    pub form: Form,
}

impl std::fmt::Display for Leak {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Leak { file, line, name, form } = self;
        write!(f, "{}:{line}: contains the secret ${name} ({form})", file.display())
    }
}
