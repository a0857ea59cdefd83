//! The search for secrets in what the run itself has put out.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

use super::automaton::Chunk;
use super::decode::decoded;
use super::leaks::Leak;
use super::{Form, Redactor, Secret, search};

/// Searches outputs for all secrets of a run.
///
/// Each output is searched with a canary behind it, written in several ways. What a
/// search that doesn't find its canary doesn't find either says nothing.
pub struct Audit<'r> {
    redactor: &'r Redactor,
    /// What the redactor itself no longer looks for.
    retired: Vec<Arc<Chunk>>,
    canary: Secret,
    leaks: Vec<Leak>,
}

/// Why an output can't be said to be without secrets.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    #[error("cannot search {} for secrets: {source}", file.display())]
    Unreadable { file: PathBuf, source: io::Error },
    #[error(
        "the search for secrets in {} has not found its own canary, {form}: that it found nothing else says nothing",
        file.display()
    )]
    Blind { file: PathBuf, form: &'static str },
}

impl<'r> Audit<'r> {
    /// For all secrets that the redactor has known by the end of the run.
    pub fn new(redactor: &'r Redactor) -> Audit<'r> {
        Audit {
            redactor,
            retired: redactor.retired_chunks(),
            canary: redactor.plant("canary"),
            leaks: Vec::new(),
        }
    }

    /// With another redactor's eyes.
    #[cfg(test)]
    pub(super) fn with(self, redactor: &'r Redactor) -> Audit<'r> {
        Audit { redactor, ..self }
    }

    /// Searches a file. One that isn't there is an error: what can't be searched isn't clean.
    pub fn file(&mut self, file: &Path) -> Result<(), AuditError> {
        let bytes = std::fs::read(file).map_err(|source| AuditError::Unreadable {
            file: file.to_owned(),
            source,
        })?;
        self.output(file, &bytes)
    }

    /// Searches an output of this name.
    pub fn output(&mut self, file: &Path, bytes: &[u8]) -> Result<(), AuditError> {
        let mut searched = bytes.to_vec();
        let mut canaries = Vec::new();
        for (form, text) in written(self.canary.expose()) {
            searched.push(b'\n');
            let start = searched.len();
            searched.extend_from_slice(text.as_bytes());
            canaries.push((form, start..searched.len()));
        }
        let found = self.search(&searched);
        for (form, place) in canaries {
            if !found
                .iter()
                .any(|((at, name), _)| place.contains(at) && name == self.canary.name())
            {
                let file = file.to_owned();
                return Err(AuditError::Blind { file, form });
            }
        }
        let (mut line, mut counted) = (1, 0);
        for ((at, name), form) in found.into_iter().filter(|((at, _), _)| *at < bytes.len()) {
            line += bytes[counted..at].iter().filter(|byte| **byte == b'\n').count();
            counted = at;
            let leak = Leak {
                file: file.to_owned(),
                line,
                name,
                form,
            };
            // One line for each secret in a line, in its plainest form.
            let told = |known: &Leak| (&known.file, known.line, &known.name) == (&leak.file, leak.line, &leak.name);
            match self.leaks.iter_mut().find(|known| told(known)) {
                Some(known) => known.form = known.form.min(leak.form),
                None => self.leaks.push(leak),
            }
        }
        Ok(())
    }

    /// What was found, in the order of the outputs.
    pub fn leaks(self) -> Vec<Leak> {
        self.leaks
    }

    /// Places and names of all secrets, as they stand there or under encodings.
    fn search(&self, bytes: &[u8]) -> BTreeMap<(usize, String), Form> {
        let chunks = [self.redactor.chunks(), self.retired.clone()].concat();
        let mut all: BTreeMap<(usize, String), Form> = BTreeMap::new();
        for found in search(&chunks, bytes) {
            all.insert((found.offset, found.name), found.form);
        }
        for text in decoded(bytes) {
            for found in search(&chunks, &text.bytes) {
                all.entry((text.from[found.offset], found.name))
                    .or_insert(Form::Encoded);
            }
        }
        all
    }
}

/// Ways in which a canary is written behind an output: such as the redactor takes out, and such as
/// only decoding finds.
fn written(value: &str) -> [(&'static str, String); 8] {
    let percent = |text: &str| -> String { text.bytes().map(|byte| format!("%{byte:02X}")).collect() };
    let json: String = value.bytes().map(|byte| format!("\\u{byte:04x}")).collect();
    let wrapped = STANDARD.encode(value);
    let (first, second) = wrapped.split_at(20);
    [
        ("plain", value.to_owned()),
        ("in base64", STANDARD.encode(value)),
        ("in base64 for URLs", URL_SAFE_NO_PAD.encode(format!("x{value}"))),
        ("in base64 over two lines", format!("{first}\n            | {second}")),
        ("percent-encoded", percent(value)),
        ("percent-encoded in lower case", percent(value).to_lowercase()),
        ("percent-encoded twice", percent(&percent(value))),
        ("as JSON escapes", json),
    ]
}
