//! Exit codes and usage errors.

use crate::events::RunVerdict;

/// Why a run could not start: the command line or a file is wrong.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct UsageError(pub String);

/// The exit code of a command that was interrupted, and has cleaned up.
pub const INTERRUPTED: u8 = 130;

/// The exit code of a run (the table in `--help`).
pub fn exit_code(verdict: RunVerdict) -> u8 {
    match verdict {
        RunVerdict::Passed => 0,
        RunVerdict::Failed => 1,
        RunVerdict::Error => 3,
        RunVerdict::NothingRan => 4,
        RunVerdict::Partial => 5,
        RunVerdict::Interrupted => INTERRUPTED,
    }
}
