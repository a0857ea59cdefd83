//! A report that is one file, written when the run is over.

use std::io;
use std::path::{Path, PathBuf};

use super::collect::{Collected, Run};
use super::{Reporter, Written, atomic};
use crate::runner::events::Event;

/// Makes a report's text of a run; names files of a folder of evidence.
pub(super) type Render = fn(&Run, &Path) -> io::Result<String>;

/// Writes a report of one format to a file.
pub(super) struct FileReport {
    file: PathBuf,
    evidence: PathBuf,
    render: Render,
    collected: Collected,
}

impl FileReport {
    /// To `file`; names files of the folder `evidence`.
    pub(super) fn new(file: PathBuf, evidence: PathBuf, render: Render) -> FileReport {
        FileReport {
            file,
            evidence,
            render,
            collected: Collected::default(),
        }
    }
}

impl Reporter for FileReport {
    fn event(&mut self, event: &Event) -> io::Result<()> {
        self.collected.event(event);
        Ok(())
    }

    fn finish(&mut self) -> io::Result<Vec<Written>> {
        let Some(run) = self.collected.take() else {
            return Ok(Vec::new());
        };
        let text = (self.render)(&run, &self.evidence)?;
        Ok(vec![atomic::deliver(&self.file, text.into_bytes())?])
    }
}

/// What `render` writes of `events`.
#[cfg(test)]
pub(super) fn written(render: Render, events: &[Event]) -> String {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("reports/report");
    let mut report = FileReport::new(file.clone(), "reports/evidence".into(), render);
    for event in events {
        report.event(event).expect("an event");
    }
    assert_eq!(report.finish().expect("the report")[0].file, file);
    std::fs::read_to_string(file).expect("the file")
}
