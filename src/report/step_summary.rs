//! What GitHub Actions shows on the page of a run: Markdown, behind what earlier commands of the step said.

use std::fs::File;
use std::io::{self, Write};
use std::path::PathBuf;

use super::collect::Collected;
use super::{Reporter, RunFolder, Written, markdown};
use crate::events::Event;

/// Bytes of a step's summary above which GitHub shows none of it.
const MOST: usize = 1024 * 1024;

/// Appends a summary when the run is over.
pub(super) struct StepSummary {
    file: File,
    path: PathBuf,
    folder: RunFolder,
    collected: Collected,
}

impl StepSummary {
    /// At the end of the file at `path`.
    ///
    /// # Errors
    /// It can't be appended to.
    pub(super) fn new(path: PathBuf, folder: RunFolder) -> io::Result<StepSummary> {
        let file = File::options().append(true).create(true).open(&path).map_err(|error| {
            let text = format!("cannot append to {} ($GITHUB_STEP_SUMMARY): {error}", path.display());
            io::Error::new(error.kind(), text)
        })?;
        Ok(StepSummary {
            file,
            path,
            folder,
            collected: Collected::default(),
        })
    }
}

impl Reporter for StepSummary {
    fn event(&mut self, event: &Event) -> io::Result<()> {
        self.collected.event(event);
        Ok(())
    }

    fn finish(&mut self) -> io::Result<Vec<Written>> {
        let Some(run) = self.collected.take() else {
            return Ok(Vec::new());
        };
        let before = usize::try_from(self.file.metadata()?.len()).unwrap_or(usize::MAX);
        let whole = markdown::render(&run, &self.folder.evidence())?;
        let text = match before.saturating_add(whole.len()) >= MOST {
            true => markdown::brief(&run),
            false => whole,
        };
        // What stands there may not have ended its line.
        let bytes = format!("\n{text}").into_bytes();
        self.file.write_all(&bytes)?;
        self.file.flush()?;
        Ok(vec![Written {
            file: self.path.clone(),
            // The rest of the file is somebody else's.
            streamed: Some(bytes),
        }])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    fn summary(before: &str) -> String {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("summary.md");
        std::fs::write(&path, before).unwrap();
        let mut reporter = StepSummary::new(path.clone(), sample::folder()).unwrap();
        for event in &sample::one_failure() {
            reporter.event(event).unwrap();
        }
        let written = reporter.finish().unwrap();
        let text = std::fs::read_to_string(path).unwrap();
        let ours = written[0].streamed.clone().unwrap();
        assert_eq!(text, format!("{before}{}", String::from_utf8(ours).unwrap()));
        text
    }

    #[test]
    fn it_stands_behind_what_is_there() {
        let text = summary("mine");
        assert!(text.starts_with("mine\n# gauntlet: FAILED\n"), "{text}");
        assert!(text.contains("## Failures"), "{text}");
    }

    #[test]
    fn where_the_whole_is_too_long_the_verdict_is_left() {
        let text = summary(&"x".repeat(MOST - 1000));
        assert!(
            text.contains("# gauntlet: FAILED\n") && text.len() < MOST,
            "{}",
            text.len()
        );
        assert!(!text.contains("## Failures"));
    }

    #[test]
    fn a_file_that_cannot_be_is_said_before_the_run() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("no/such/summary.md");
        let Err(error) = StepSummary::new(path, sample::folder()) else {
            panic!("it was opened")
        };
        assert!(error.to_string().starts_with("cannot append to "), "{error}");
    }
}
