//! The file of rounds: a line of JSON for each, only whole lines, and not more than asked for.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use super::tally::Round;
use crate::file_input::{self, Refusal};
use crate::report::write_file;

/// How each line begins.
const START: &[u8] = b"{\"started\":\"";

/// Why a history can't be used.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    #[error("--history {}: {why}", file.display())]
    Unreadable { file: PathBuf, why: String },
    #[error("--history {}: not a history of `gauntlet watch`; the file was left unchanged", .0.display())]
    Foreign(PathBuf),
}

/// A history that rounds are added to.
#[derive(Debug)]
pub struct History {
    file: PathBuf,
    /// Most lines.
    keep: usize,
    lines: usize,
}

/// A history with what an earlier process left in it.
#[derive(Debug)]
pub struct Opened {
    pub history: History,
    /// Oldest first.
    pub rounds: Vec<Round>,
    /// What a user should know of the file.
    pub notes: Vec<String>,
}

impl History {
    /// Opens a history, or makes an empty one. A last line that was cut off while it was written is removed.
    ///
    /// # Errors
    /// The file can't be read or written, or is something else.
    pub fn open(file: PathBuf, keep: NonZeroUsize) -> Result<Opened, HistoryError> {
        let unreadable = |why: String| HistoryError::Unreadable {
            file: file.clone(),
            why,
        };
        let failed = |error: io::Error| unreadable(error.to_string());
        if let Some(folder) = file.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            fs::create_dir_all(folder).map_err(failed)?;
        }
        let bytes = match fs::metadata(&file) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            _ => {
                file_input::read(&file, file_input::OWN).map_err(|refusal: Refusal| unreadable(refusal.in_a_line()))?
            }
        };
        let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let (lines, cut_off) = bytes.split_at(whole);
        let lines: Vec<&[u8]> = lines.split_inclusive(|byte| *byte == b'\n').collect();
        let rounds: Vec<Round> = lines
            .iter()
            .filter_map(|line| serde_json::from_slice(line).ok())
            .collect();
        let begins = cut_off.starts_with(START) || START.starts_with(cut_off);
        if !begins || (rounds.is_empty() && !lines.is_empty()) {
            return Err(HistoryError::Foreign(file));
        }
        // Also tells now that it can't be written.
        let writing = OpenOptions::new()
            .append(true)
            .create(true)
            .open(&file)
            .map_err(failed)?;
        let mut notes = Vec::new();
        if !cut_off.is_empty() {
            writing.set_len(whole as u64).map_err(failed)?;
            notes.push(format!(
                "the last line of {} was cut off while it was written; it is removed",
                file.display()
            ));
        }
        let bad = lines.len() - rounds.len();
        if bad > 0 {
            notes.push(format!(
                "{}: {bad} lines are no rounds, and are passed over",
                file.display()
            ));
        }
        let history = History {
            keep: keep.get(),
            lines: lines.len(),
            file,
        };
        Ok(Opened { history, rounds, notes })
    }

    /// Adds a round. Where there is no room for it the oldest lines go, a tenth of all at once: the file is not written
    /// anew in each round.
    ///
    /// # Errors
    /// The file can't be written; then it is as it was before.
    pub fn add(&mut self, round: &Round) -> io::Result<()> {
        let mut line = serde_json::to_vec(round)?;
        line.push(b'\n');
        if self.lines < self.keep {
            append(&self.file, &line)?;
            self.lines += 1;
            return Ok(());
        }
        let kept = (self.keep - 1).saturating_sub(self.keep / 10);
        let old = file_input::read(&self.file, file_input::OWN).map_err(io::Error::other)?;
        let lines: Vec<&[u8]> = old.split_inclusive(|byte| *byte == b'\n').collect();
        let mut new = lines[lines.len().saturating_sub(kept)..].concat();
        new.extend_from_slice(&line);
        write_file(&self.file, &new)?;
        self.lines = kept.min(lines.len()) + 1;
        Ok(())
    }
}

/// Adds a whole line, or nothing.
fn append(file: &Path, line: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().append(true).create(true).open(file)?;
    let before = file.metadata()?.len();
    let written = file.write_all(line).and_then(|()| file.sync_data());
    if written.is_err() {
        // The next line must not stand behind half of this one; the first error is the one to tell of.
        let _ = file.set_len(before);
    }
    written
}

#[cfg(test)]
mod tests {
    use super::super::tally::tests::round;
    use super::*;
    use crate::events::Verdict;

    fn open(file: &Path, keep: usize) -> Opened {
        let keep = NonZeroUsize::new(keep).expect("not none");
        History::open(file.to_owned(), keep).expect("a history")
    }

    fn lines(file: &Path) -> usize {
        fs::read_to_string(file).expect("text").lines().count()
    }

    #[test]
    fn what_is_added_is_read_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("below/history.jsonl");
        let added = [round(1, Verdict::Pass), round(2, Verdict::Fail)];
        let mut opened = open(&file, 10);
        assert!(opened.rounds.is_empty());
        for round in &added {
            opened.history.add(round).expect("added");
        }
        let again = open(&file, 10);
        assert_eq!(again.rounds, added);
        assert!(again.notes.is_empty(), "{:?}", again.notes);
    }

    #[test]
    fn there_are_never_more_than_asked_for_and_the_newest_stay() {
        for keep in [1, 2, 3, 25] {
            let folder = tempfile::tempdir().expect("a folder");
            let file = folder.path().join("h.jsonl");
            let mut history = open(&file, keep).history;
            for second in 1..=60 {
                history.add(&round(second, Verdict::Pass)).expect("added");
                assert!(lines(&file) <= keep, "{keep}");
                let last = open(&file, keep).rounds.pop().expect("a round");
                assert_eq!(last.started, round(second, Verdict::Pass).started);
            }
            assert!(lines(&file) >= keep - keep / 10, "{keep}: {}", lines(&file));
        }
    }

    #[test]
    fn a_last_line_that_was_cut_off_is_removed_wherever_it_was() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("h.jsonl");
        let line = serde_json::to_string(&round(1, Verdict::Pass)).expect("JSON");
        for cut in 1..=line.len() {
            fs::write(&file, format!("{line}\n{}", &line[..cut])).expect("written");
            let mut opened = open(&file, 10);
            assert_eq!((opened.rounds.len(), opened.notes.len()), (1, 1), "{cut}");
            opened.history.add(&round(2, Verdict::Pass)).expect("added");
            assert_eq!(open(&file, 10).rounds.len(), 2, "{cut}");
        }
    }

    #[test]
    fn a_file_that_is_something_else_stays_as_it_is() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("notes.txt");
        for text in ["my notes", "my notes\n", "{}\n", "{\"a\":1}"] {
            fs::write(&file, text).expect("written");
            let refused = History::open(file.clone(), NonZeroUsize::MIN).expect_err(text);
            assert!(matches!(refused, HistoryError::Foreign(_)), "{refused}");
            assert_eq!(fs::read_to_string(&file).expect("text"), text);
        }
    }
}
