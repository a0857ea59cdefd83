//! The command line: one definition per flag, and what each command does with them.

pub mod check;
pub mod explain;
pub mod list;
pub mod platform;
pub mod run;
pub mod schema;
pub mod up;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::report::ReportSpec;
use crate::runner::plan::{Levels, Partition};

/// Exit codes, as `--help` shows them.
const EXIT_CODES: &str = "\
Exit codes:
  0    everything that was selected passed
  1    a check failed: the platform is wrong
  2    the command line or a scenario file is wrong
  3    could not tell: the harness or its surroundings failed
  4    nothing ran
  5    partial: core scenarios were skipped (0 with --allow-partial)
  130  interrupted, and cleaned up";

/// Proves that the doors of an LLM agent platform on Kubernetes hold.
#[derive(Debug, Parser)]
#[command(name = "gauntlet", version, after_help = EXIT_CODES, max_term_width = 100)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run scenarios and give a verdict
    Run(Run),
    /// Keep a platform running for a person, with a kubeconfig
    Up(Up),
    /// Run one component of the reference platform as a process
    Platform(Platform),
}

/// Which scenarios.
#[derive(Clone, Debug, Args)]
pub struct Selection {
    /// Which scenarios: an id, a part of one up to a /, a glob, tag:NAME, level:core; ! excludes [default: all]
    #[arg(value_name = "SELECTOR")]
    pub selectors: Vec<String>,
    /// Read scenarios from this folder instead of the built-in ones
    #[arg(long, value_name = "DIR")]
    pub scenarios: Option<PathBuf>,
}

/// The platform that scenarios run against.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum TargetName {
    /// The reference platform, in this process.
    #[default]
    Embedded,
}

/// Levels as the command line has them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum LevelName {
    /// Rules that a sentence of the contract's source stands behind
    #[default]
    Core,
    /// The rest, and hardening with a standard
    Extended,
    All,
}

impl From<LevelName> for Levels {
    fn from(name: LevelName) -> Levels {
        match name {
            LevelName::Core => Levels::Core,
            LevelName::Extended => Levels::Extended,
            LevelName::All => Levels::All,
        }
    }
}

#[derive(Clone, Debug, Args)]
pub struct Run {
    #[command(flatten)]
    pub selection: Selection,
    /// Where to run
    #[arg(long, value_enum, default_value_t)]
    pub target: TargetName,
    /// Which levels
    #[arg(long, value_enum, default_value_t)]
    pub level: LevelName,
    /// A report: console, junit, json or markdown, each with =FILE [default: console]
    #[arg(long, value_name = "FORMAT[=FILE]")]
    pub report: Vec<ReportSpec>,
    /// The folder that evidence goes into
    #[arg(long, value_name = "DIR", default_value = "reports/evidence")]
    pub evidence: PathBuf,
    /// Scenarios at once [default: 4 for each processor]
    #[arg(long, short, value_name = "N")]
    pub jobs: Option<std::num::NonZeroUsize>,
    /// Run everything so many times
    #[arg(long, value_name = "N", default_value = "1")]
    pub repeat: std::num::NonZeroU32,
    /// Start no further scenario after a failure
    #[arg(long)]
    pub fail_fast: bool,
    /// Seed of random values; a report names the one that was used
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// Longest time of a scenario that doesn't say its own
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = duration)]
    pub timeout: Duration,
    /// Run only the I-th of N parts
    #[arg(long, value_name = "I/N")]
    pub partition: Option<Partition>,
    /// Exit with 0 even though core scenarios were skipped
    #[arg(long)]
    pub allow_partial: bool,
    /// Start the reference platform with these defects
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub mutant: Vec<String>,
    /// Print only failures and the summary
    #[arg(long, short)]
    pub quiet: bool,
    /// Print every step
    #[arg(long, short, conflicts_with = "quiet")]
    pub verbose: bool,
}

#[derive(Clone, Debug, Args)]
pub struct Up {
    /// Where to run
    #[arg(long, value_enum, default_value_t)]
    pub target: TargetName,
    /// Where the kubeconfig goes
    #[arg(long, value_name = "FILE", default_value = "gauntlet.kubeconfig")]
    pub kubeconfig: PathBuf,
    /// Start the reference platform with these defects
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub mutant: Vec<String>,
}

#[derive(Clone, Debug, Args)]
pub struct Platform {
    /// web, worker, seed, sandbox, sandbox-controller, balancer or probe
    pub component: String,
}

fn duration(text: &str) -> Result<Duration, String> {
    crate::scenario::duration::parse(text).ok_or_else(|| "not a duration like 500ms, 30s or 2m".to_owned())
}
