//! Argv and environment → [`dispatch`] → exit code. The only reader of either.

use std::process::ExitCode;

use clap::Parser;
use gauntlet::cli::Cli;
use gauntlet::cli::dispatch::{Start, dispatch};
use gauntlet::multicall::{self, Call};

fn main() -> ExitCode {
    let mut argv = std::env::args_os();
    if let Some(applet) = argv.next().as_deref().and_then(multicall::named) {
        let (args, env) = (argv.collect(), std::env::vars_os().collect());
        return ExitCode::from(applet(Call { args, env }));
    }
    let start = Start {
        environment: std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect(),
        binary: std::env::current_exe().map_err(|error| format!("finding gauntlet's own program: {error}")),
        version: env!("CARGO_PKG_VERSION"),
        commit: option_env!("GAUNTLET_COMMIT"),
    };
    ExitCode::from(dispatch(Cli::parse(), &start))
}
