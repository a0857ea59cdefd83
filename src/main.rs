//! Argv, environment and current folder → [`dispatch`] → exit code. The only reader of them.

use std::process::ExitCode;

use gauntlet::cli::dispatch::{Start, dispatch};

fn main() -> ExitCode {
    let start = Start {
        environment: std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect(),
        binary: std::env::current_exe().map_err(|error| format!("finding gauntlet's own program: {error}")),
        folder: std::env::current_dir().ok(),
        version: env!("CARGO_PKG_VERSION"),
        commit: option_env!("GAUNTLET_COMMIT"),
    };
    ExitCode::from(dispatch(std::env::args_os().collect(), &start))
}
