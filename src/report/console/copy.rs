//! A copy of the console output in a file.

use std::io;
use std::path::PathBuf;

use super::{Color, Console, ConsoleSettings};
use crate::events::Event;
use crate::report::{Reporter, RunFolder, Written, atomic};

/// Writes what the console prints to a file when the run is over.
pub(in crate::report) struct FileCopy {
    console: Console<Vec<u8>>,
    file: PathBuf,
}

impl FileCopy {
    /// To `file`, without colours.
    pub(in crate::report) fn new(file: PathBuf, settings: ConsoleSettings, folder: RunFolder) -> FileCopy {
        let settings = ConsoleSettings {
            stdout_terminal: false,
            color: Color::Never,
            stderr_terminal: false,
            ..settings
        };
        let console = Console::new(Vec::new(), settings, folder);
        FileCopy { console, file }
    }
}

impl Reporter for FileCopy {
    fn event(&mut self, event: &Event) -> io::Result<()> {
        self.console.event(event)
    }

    fn finish(&mut self) -> io::Result<Vec<Written>> {
        self.console.finish()?;
        match std::mem::take(&mut self.console.out) {
            // The run never began.
            empty if empty.is_empty() => Ok(Vec::new()),
            text => Ok(vec![atomic::deliver(&self.file, text)?]),
        }
    }
}
