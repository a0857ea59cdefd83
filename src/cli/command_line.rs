//! The command line as a whole: built for parsing, for completions and for man pages.

use std::ffi::OsString;
use std::sync::OnceLock;

use clap::{CommandFactory, FromArgMatches};

use super::dispatch::Start;
use super::{Cli, config, load};
use crate::cli::exit::UsageError;

/// Why there is nothing to do.
#[derive(Debug, thiserror::Error)]
pub enum NothingToDo {
    /// The arguments are wrong, or ask for help or the version.
    #[error(transparent)]
    Arguments(#[from] clap::Error),
    /// What is set elsewhere is wrong.
    #[error(transparent)]
    Settings(#[from] UsageError),
}

/// What `--version` prints behind the program's name: the version, and the commit where the build knew it.
fn version(start: &Start) -> &'static str {
    static VERSION: OnceLock<String> = OnceLock::new();
    VERSION.get_or_init(|| match start.commit {
        Some(commit) => format!("{} ({commit})", start.version),
        None => start.version.to_owned(),
    })
}

/// All commands with their flags.
pub fn command(start: &Start) -> clap::Command {
    Cli::command().version(version(start))
}

/// Reads arguments, the program's own name first, what is set by variables and in `gauntlet.toml`, and what a scenario
/// that is named for a load says of it.
///
/// # Errors
/// They are wrong, or ask for help or the version.
pub fn parse(arguments: Vec<OsString>, start: &Start) -> Result<Cli, NothingToDo> {
    let mut command = command(start);
    let arguments = config::completed(arguments, &command, start)?;
    let arguments = load::scenario::completed(arguments, &command)?;
    let matches = command.try_get_matches_from_mut(arguments)?;
    Ok(Cli::from_arg_matches(&matches).map_err(|error| error.format(&mut command))?)
}
