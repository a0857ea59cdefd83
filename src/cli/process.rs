//! What `main` passes on about the process.

use std::io::Write;
use std::num::NonZeroUsize;
use std::path::PathBuf;

use tokio_util::sync::CancellationToken;

use crate::redact::Redactor;
use crate::report::ConsoleSettings;
use crate::world::embedded::Program;

/// Gives variables of the environment.
pub type Variable = Box<dyn Fn(&str) -> Option<String> + Send + Sync>;

/// What `main` knows of the process.
pub struct Process {
    pub stdout: Box<dyn Write + Send>,
    pub console: ConsoleSettings,
    /// Processors that may be used.
    pub processors: usize,
    /// Files that may be open at once; none if there is no limit.
    pub descriptors: Option<u64>,
    /// Cancelled by the first Ctrl-C or SIGTERM.
    pub stop: CancellationToken,
    /// Knows the secrets of all that the process does.
    pub redactor: Redactor,
    /// What containers of the embedded target run.
    pub program: Program,
    /// The file that this process runs; why that isn't known otherwise.
    pub binary: Result<PathBuf, String>,
    /// A variable of the environment, where it is set and is text.
    pub variable: Variable,
    /// RFC 3339.
    pub started: String,
    pub version: &'static str,
    pub commit: Option<&'static str>,
}

/// Descriptors of the process itself: reports, the runtime, and what it was started with.
const DESCRIPTORS_ITSELF: u64 = 24;

/// Descriptors that a scenario's world has open at its busiest, and its clients.
const DESCRIPTORS_EACH: u64 = 72;

/// Scenarios at once for each processor, in runs: more would make the platform slow in checks of what it does in time.
pub const IN_RUNS: usize = 4;

/// The same in proofs, most of which wait until a check of a broken platform has run out of time.
pub const IN_PROOFS: usize = 8;

/// There are too few open files for what is to run: what a platform does without them says nothing of it.
#[derive(Debug, thiserror::Error)]
#[error(
    "this process may open {most} files, and {what} on the embedded target needs {needed}: raise the limit, as with \
     `ulimit -n 1024`"
)]
pub struct TooFewFiles {
    most: u64,
    what: String,
    needed: u64,
}

impl Process {
    /// How many scenarios run at once on the embedded target: as many as are asked for, or `on_each` for each processor,
    /// and no more than the open files are enough for.
    ///
    /// # Errors
    /// Too few open files for a single one.
    pub fn jobs(&self, asked: Option<NonZeroUsize>, on_each: usize) -> Result<usize, TooFewFiles> {
        self.files_for("a scenario")?;
        let wanted = asked.map_or(self.processors * on_each, NonZeroUsize::get);
        let Some(most) = self.descriptors else {
            return Ok(wanted);
        };
        let each = most.saturating_sub(DESCRIPTORS_ITSELF) / DESCRIPTORS_EACH;
        Ok(wanted.min(usize::try_from(each).unwrap_or(usize::MAX)))
    }

    /// Whether there are open files enough for `what`, a world on the embedded target.
    ///
    /// # Errors
    /// Too few.
    pub fn files_for(&self, what: &str) -> Result<(), TooFewFiles> {
        let needed = DESCRIPTORS_ITSELF + DESCRIPTORS_EACH;
        match self.descriptors {
            Some(most) if most < needed => Err(TooFewFiles {
                most,
                what: what.to_owned(),
                needed,
            }),
            _ => Ok(()),
        }
    }
}
