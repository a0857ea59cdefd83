//! A report that is one text, written when the run is over.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::collect::{Collected, Run};
use super::{Reporter, RunFolder, Written, atomic};
use crate::events::Event;

/// Makes a report's text of a run; names files of a folder of evidence.
pub(super) type Render = fn(&Run, &Path) -> io::Result<String>;

/// Where a report goes.
pub(super) enum To {
    /// A stream that others remember what was written to.
    Stream(Box<dyn Write + Send>),
    File(PathBuf),
    /// A file of this name in the run's folder.
    Folder(&'static str),
}

/// Writes a report of one format.
pub(super) struct FileReport {
    to: To,
    folder: RunFolder,
    render: Render,
    collected: Collected,
}

impl FileReport {
    /// Of a run with this folder, whose evidence it names.
    pub(super) fn new(to: To, folder: RunFolder, render: Render) -> FileReport {
        FileReport {
            to,
            folder,
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
        let text = (self.render)(&run, &self.folder.evidence())?.into_bytes();
        let file = match &mut self.to {
            To::Stream(out) => {
                out.write_all(&text)?;
                out.flush()?;
                return Ok(Vec::new());
            }
            To::File(file) => file.clone(),
            To::Folder(name) => {
                let file = self.folder.make()?.join(*name);
                self.folder.record(&file)?;
                file
            }
        };
        Ok(vec![atomic::deliver(&file, text)?])
    }
}

/// What `render` writes of `events`.
#[cfg(test)]
pub(super) fn written(render: Render, events: &[Event]) -> String {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("reports/report");
    let mut report = FileReport::new(To::File(file.clone()), super::sample::folder(), render);
    for event in events {
        report.event(event).expect("an event");
    }
    assert_eq!(report.finish().expect("the report")[0].file, file);
    std::fs::read_to_string(file).expect("the file")
}
