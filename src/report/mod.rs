//! Reports of a run: for the terminal, for a CI server, and to keep.
//!
//! A reporter sees [events](crate::events) and nothing else.
//! [`Reporters`] hands each event, redacted, to all that were asked for.

mod atomic;
mod collect;
mod compare;
mod console;
mod document;
mod evidence;
mod fanout;
mod file;
mod folder;
mod github;
mod html;
mod json;
mod junit;
mod markdown;
mod matrix;
mod openmetrics;
pub(crate) mod page;
mod redacted;
mod roads;
#[cfg(test)]
mod sample;
mod sarif;
mod show;
mod spec;
mod step_summary;
mod tap;
mod tee;
#[cfg(test)]
mod tests;
mod text;
mod words;

use std::io;
use std::path::{Path, PathBuf};

use crate::events::Event;

pub use atomic::write as write_file;
pub use compare::ReportComparison;
pub use console::{Block, Color, ConsoleSettings, Verbosity, progress};
pub use document::{Report, schema};
pub use evidence::evidence_of;
pub use fanout::{Finished, Problem, Reporters, Settings, Streams};
pub use folder::RunFolder;
pub(crate) use markdown::{cell, code, escape, fence};
pub(crate) use openmetrics::{family, sample as metric};
pub use show::show;
pub use spec::{Destination, Format, Formats, ReportSpec, Spec, clash, same_file};
pub(crate) use text::{cut, one_line, printable};
pub use words::verdict_line;

/// Tells somebody what happens in a run.
trait Reporter: Send {
    /// Takes note of what happened. After an error it is given no more events.
    fn event(&mut self, event: &Event) -> io::Result<()>;

    /// Nothing more will happen, whether or not the run came to its end. Writes
    /// what is left to write, and says what has been written.
    fn finish(&mut self) -> io::Result<Vec<Written>>;
}

/// A file that a reporter has written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    pub file: PathBuf,
    /// What was written, where that can't be read again: to a pipe, to `/dev/stdout`.
    pub streamed: Option<Vec<u8>>,
}

/// Writes a report that is made of something else than events, whole or not at all, and makes its folder.
pub fn deliver(file: &Path, bytes: Vec<u8>) -> io::Result<Written> {
    atomic::deliver(file, bytes)
}

/// Finds out before the work whether a file can be written after it.
pub fn check_file(file: &Path) -> io::Result<()> {
    atomic::check(file)
}
