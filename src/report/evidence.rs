//! The evidence folder: evidence as files.

use std::borrow::Cow;
use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::{Reporter, RunFolder, Written, atomic};
use crate::events::{Event, RunOf, ScenarioResult};

/// Longest name of a file or folder; file systems take 255 bytes, and a
/// temporary file's name is longer than the file's own.
const LONGEST_NAME: usize = 180;

/// Where the evidence of a scenario run lies, in the order of its
/// [`evidence`](ScenarioResult::evidence).
pub(super) fn evidence_paths(folder: &Path, result: &ScenarioResult) -> Vec<PathBuf> {
    let folder = folder_of(folder, &result.run);
    let mut taken = HashSet::new();
    result
        .evidence
        .iter()
        .map(|evidence| {
            let name = safe_file_name(&evidence.file_name);
            let (stem, ending) = match name.rsplit_once('.') {
                Some((stem, ending)) if !stem.is_empty() => (stem, format!(".{ending}")),
                _ => (name.as_str(), String::new()),
            };
            // Some file systems don't tell upper from lower case.
            let mut unique = name.clone();
            let mut number = 1;
            while !taken.insert(unique.to_lowercase()) {
                number += 1;
                unique = format!("{stem}-{number}{ending}");
            }
            folder.join(unique)
        })
        .collect()
}

/// The folder that the evidence of a scenario run lies in; none if there is no evidence.
pub(super) fn evidence_folder(folder: &Path, result: &ScenarioResult) -> Option<PathBuf> {
    (!result.evidence.is_empty()).then(|| folder_of(folder, &result.run))
}

/// Where the evidence of a scenario run lies that was written to a run's folder; none if there is no evidence.
pub fn evidence_of(folder: &RunFolder, result: &ScenarioResult) -> Option<PathBuf> {
    evidence_folder(&folder.evidence(), result)
}

/// `…/evidence/harness-token__warm__stale__direct`.
fn folder_of(folder: &Path, run: &RunOf) -> PathBuf {
    let values = run.parameters.iter().map(|(_, value)| value.as_str());
    let repetition = run.repetition.map(|n| n.to_string());
    let parts: Vec<&str> = run.id.split('/').chain(values).chain(repetition.as_deref()).collect();
    let name = parts.join("__");
    folder.join(if parts.iter().any(|part| part.contains("__")) {
        // It could be another run's name as well.
        format!("{}-{}", safe_name(&name, &name), digest(&run.to_string()))
    } else {
        safe_name(&name, &name)
    })
}

/// The name in a path that a piece of evidence asks for, whatever the path.
fn safe_file_name(asked: &str) -> String {
    let last = asked.rsplit(['/', '\\']).next().unwrap_or_default();
    safe_name(last, asked)
}

/// `name` as one part of a path that needs no quotes in a shell. Where that isn't
/// all of `whole`, a digest keeps different ones apart.
fn safe_name(name: &str, whole: &str) -> String {
    let kept = |c: char| c.is_ascii_alphanumeric() || "-_.+=@".contains(c);
    let cleaned: String = name.chars().map(|c| if kept(c) { c } else { '_' }).collect();
    let cleaned = cleaned.trim_start_matches(['.', '-']);
    if cleaned == whole && whole.len() <= LONGEST_NAME && !whole.is_empty() {
        return cleaned.to_owned();
    }
    let digest = digest(whole);
    // Names are ASCII by now, so that any cut is between characters.
    match cleaned.rsplit_once('.') {
        Some((stem, ending)) if !stem.is_empty() && ending.len() < 16 => {
            let stem = &stem[..stem.len().min(LONGEST_NAME)];
            format!("{stem}-{digest}.{ending}")
        }
        _ => format!("{}-{digest}", &cleaned[..cleaned.len().min(LONGEST_NAME)]),
    }
}

fn digest(text: &str) -> String {
    Sha256::digest(text.as_bytes())
        .iter()
        .take(4)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// `text` with its middle cut out where it is longer than `limit` bytes, and a
/// note at the cut: what led there is at the beginning, how it ended at the end.
pub(super) fn bounded(text: &str, limit: usize) -> Cow<'_, str> {
    if text.len() <= limit {
        return Cow::Borrowed(text);
    }
    let head = text.floor_char_boundary(limit / 2);
    let tail = text.ceil_char_boundary(text.len() - limit / 2);
    let cut = tail - head;
    Cow::Owned(format!(
        "{}\n[… gauntlet has cut {cut} bytes out here, to keep this within {limit} bytes …]\n{}",
        &text[..head],
        &text[tail..],
    ))
}

/// Writes the evidence of each scenario run when it finishes.
pub(super) struct EvidenceFolder {
    folder: RunFolder,
    limit: usize,
    written: Vec<Written>,
    /// The first one; the rest are likely to have the same cause.
    problem: Option<io::Error>,
}

impl EvidenceFolder {
    /// In the run's folder, at most `limit` bytes of each piece.
    pub(super) fn new(folder: RunFolder, limit: usize) -> EvidenceFolder {
        EvidenceFolder {
            folder,
            limit,
            written: Vec::new(),
            problem: None,
        }
    }

    /// What was written so far, also where something else could not be.
    pub(super) fn take_written(&mut self) -> Vec<Written> {
        std::mem::take(&mut self.written)
    }

    fn write(&mut self, result: &ScenarioResult) -> io::Result<()> {
        if result.evidence.is_empty() {
            return Ok(());
        }
        self.folder.make()?;
        let paths = evidence_paths(&self.folder.evidence(), result);
        for (path, evidence) in paths.into_iter().zip(&result.evidence) {
            let text = bounded(&evidence.text, self.limit);
            self.folder.record(&path)?;
            self.written
                .push(atomic::deliver(&path, text.into_owned().into_bytes())?);
        }
        Ok(())
    }
}

impl Reporter for EvidenceFolder {
    fn event(&mut self, event: &Event) -> io::Result<()> {
        if let Event::ScenarioFinished(result) = event
            && let Err(error) = self.write(result)
        {
            self.problem.get_or_insert(error);
        }
        Ok(())
    }

    fn finish(&mut self) -> io::Result<Vec<Written>> {
        match self.problem.take() {
            Some(error) => Err(error),
            None => Ok(self.take_written()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_in_their_folder_and_apart() {
        let name = |asked: &str| {
            let name = safe_file_name(asked);
            let path = Path::new(&name);
            assert_eq!(path.components().count(), 1, "{name}");
            assert_eq!(path.file_name(), Some(path.as_os_str()), "{name}");
            assert!(name.len() < 240, "{name}");
            name
        };
        assert_eq!(name("pod-x.log"), "pod-x.log");
        for odd in [
            "", ".", "..", "/", "../..", "a/../..", "..\\x", "-rf", ".hidden", "nul\0",
        ] {
            assert!(name(odd).contains('-'), "{odd}");
        }
        let long = name(&"x".repeat(1000));
        assert_ne!(name(&"x".repeat(1001)), long);
        assert_ne!(name("a b.txt"), name("a|b.txt"));
        assert_ne!(name("a/wire.txt"), name("b/wire.txt"));
    }

    #[test]
    fn each_run_has_a_folder_of_its_own() {
        let run = |values: &[&str], repetition| {
            let run = RunOf {
                id: "c/g/r".to_owned(),
                parameters: values.iter().map(|v| ("p".to_owned(), v.to_string())).collect(),
                repetition,
            };
            folder_of(Path::new("e"), &run).display().to_string()
        };
        assert_eq!(run(&[], None), "e/c__g__r");
        assert_eq!(run(&["direct", "1"], Some(3)), "e/c__g__r__direct__1__3");
        assert!(run(&["//tty/"], None).starts_with("e/c__g__r____tty_-"));
        assert_ne!(run(&["/tty"], None), run(&["?tty"], None));
        assert_ne!(run(&["a", "b__c"], None), run(&["a__b", "c"], None));
    }
}
