//! What a run tells its users: on the terminal, to a CI server, to keep.
//!
//! A reporter sees [events](crate::runner::events) and nothing else.
//! [`Reporters`] hands each event, redacted, to all that were asked for.

mod atomic;
mod collect;
pub mod console;
mod evidence;
mod fanout;
mod redacted;
mod spec;
mod text;
mod words;

use std::io;
use std::path::PathBuf;

use crate::runner::events::Event;

pub use console::{Console, ConsoleSettings, Verbosity};
pub use evidence::{EvidenceFolder, evidence_paths};
pub use fanout::{Finished, Problem, Reporters, Settings};
pub use spec::{Format, ReportSpec, SpecError};

/// Tells somebody what happens in a run.
pub trait Reporter: Send {
    /// Takes note of what happened. After an error it is given no more events.
    fn event(&mut self, event: &Event) -> io::Result<()>;

    /// Nothing more will happen, whether or not the run came to its end. Writes
    /// what is left to write, and says which files have been written.
    fn finish(&mut self) -> io::Result<Vec<PathBuf>>;
}
