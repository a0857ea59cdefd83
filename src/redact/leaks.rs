//! The search for secrets in what the run itself has written.

use std::io;
use std::path::{Path, PathBuf};

use super::{Form, Redactor};

/// A secret in a file that was to be without.
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
        write!(f, "{}:{line}: ${name} ({form})", file.display())
    }
}

impl Redactor {
    /// Searches files, and folders with all that is in them, for every secret.
    /// A path that isn't there is an error: what can't be searched isn't clean.
    pub fn search_files<P: AsRef<Path>>(&self, paths: impl IntoIterator<Item = P>) -> io::Result<Vec<Leak>> {
        let mut leaks = Vec::new();
        let mut left: Vec<PathBuf> = paths.into_iter().map(|p| p.as_ref().into()).collect();
        left.sort();
        left.reverse();
        while let Some(path) = left.pop() {
            let at = |error| with_path(&path, error);
            if std::fs::metadata(&path).map_err(at)?.is_dir() {
                let mut inside = Vec::new();
                for entry in std::fs::read_dir(&path).map_err(at)? {
                    inside.push(entry.map_err(at)?.path());
                }
                inside.sort();
                left.extend(inside.into_iter().rev());
            } else {
                let bytes = std::fs::read(&path).map_err(at)?;
                self.search_file(&path, &bytes, &mut leaks);
            }
        }
        Ok(leaks)
    }

    fn search_file(&self, path: &Path, bytes: &[u8], leaks: &mut Vec<Leak>) {
        let mut line = 1;
        let mut counted = 0;
        for found in self.search(bytes) {
            line += bytes[counted..found.offset].iter().filter(|b| **b == b'\n').count();
            counted = found.offset;
            leaks.push(Leak {
                file: path.to_owned(),
                line,
                name: found.name,
                form: found.form,
            });
        }
    }
}

fn with_path(path: &Path, error: io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("cannot search {}: {error}", path.display()))
}
