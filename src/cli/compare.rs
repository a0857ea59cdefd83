//! `gauntlet compare`.

use std::path::{Path, PathBuf};

use clap::Args;

use crate::cli::exit::UsageError;
use crate::load::{Comparison, Limit, Saved};

#[derive(Clone, Debug, Args)]
pub struct CompareOptions {
    /// The result to compare with, as `gauntlet load --out` wrote it
    #[arg(value_name = "A")]
    pub before: PathBuf,
    /// The result that is compared
    #[arg(value_name = "B")]
    pub after: PathBuf,
    /// Exit with 1 where B is worse than A by more than this, and by more than chance: `attach.p99 > +10%`,
    /// `steady.echo.p99.9 > +5%`, `errors > +0%`, …
    #[arg(long, value_name = "LIMIT")]
    pub fail_on: Vec<Limit>,
}

/// Compares; gives what is to be printed, and the exit code.
pub fn compare(options: &CompareOptions) -> Result<(String, u8), UsageError> {
    let read = |file: &Path| Saved::read(file).map_err(|error| UsageError(error.to_string()));
    let (a, b) = (read(&options.before)?, read(&options.after)?);
    let comparison = Comparison::new(&a, &b, &options.fail_on);
    Ok((comparison.text(), comparison.exit_code()))
}
