//! The command line: the commands, each in a file with its flags and what it does with them.

pub mod capacity;
pub mod check;
pub mod check_manifests;
pub mod choices;
pub mod command_line;
pub mod compare;
pub mod completions;
pub mod conclude;
mod config;
pub mod dispatch;
pub mod doctor;
pub mod exit;
pub mod explain;
pub mod init;
pub mod jwt;
pub mod list;
pub mod load;
pub mod log;
pub mod man;
pub mod mutants;
pub mod parse;
pub mod platform;
pub mod process;
pub mod profile;
pub mod prove;
pub mod recover;
pub mod reproduce_flags;
pub mod rerun;
pub mod run;
pub mod schema;
pub mod selection;
pub mod show;
mod survey;
pub mod tags;
pub mod target;
pub mod up;
pub mod watch;

use std::path::PathBuf;

use clap::{Parser, Subcommand};

pub use check::Check;
pub use check_manifests::CheckManifests;
pub use choices::{ColorName, ContractName, FlakyName, LevelName, ListFormat, MadeTarget, TargetName};
pub use explain::Explain;
pub use jwt::Jwt;
pub use list::List;
pub use mutants::Mutants;
pub use platform::Platform;
pub use prove::Prove;
pub use recover::Recover;
pub use run::Run;
pub use schema::{Document, Schema};
pub use selection::Selection;
pub use tags::Tags;
pub use up::{Down, Status, Up};

use parse::{at_least_one, duration, report_spec, seed};

/// What `--help` ends with: the exit codes, and where terms are defined.
const AFTER_HELP: &str = "\
Exit codes:
  0    everything selected passed
  1    a check failed: the platform is wrong
  2    the command line or a file is wrong
  3    could not tell: the harness or its surroundings failed
  4    nothing ran
  5    partial: core scenarios were skipped (0 with --allow-partial)
  130  interrupted, and cleaned up; the verdict line shows earlier failures

Terms such as door, road, row and mutant: docs/glossary.md";

/// Tests that the doors of an LLM agent platform on Kubernetes hold, and how much load they take.
#[derive(Debug, Parser)]
#[command(name = "gauntlet", version, after_help = AFTER_HELP, max_term_width = 100)]
pub struct Cli {
    /// When to colour verdicts; auto: on a terminal, never if NO_COLOR is set, always if FORCE_COLOR is
    #[arg(long, value_enum, value_name = "WHEN", global = true, default_value_t)]
    pub color: ColorName,
    /// Take flags that aren't given from this file [default: gauntlet.toml of this folder or the nearest one above]
    #[arg(long, value_name = "FILE", global = true)]
    pub config: Option<PathBuf>,
    /// Take flags from the command line alone, not from gauntlet.toml or variables
    #[arg(long, global = true, conflicts_with = "config")]
    pub no_config: bool,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run scenarios and give a verdict
    Run(Box<Run>),
    /// Show what would run: level, contract, needs, intrusion, source
    List(List),
    /// Run what observes or uses a platform again and again, with a history and metrics
    Watch(Box<watch::Watch>),
    /// Validate scenarios, profiles and files of expected failures without running them
    Check(Check),
    /// Check rendered Kubernetes manifests against the contracts, before deployment
    CheckManifests(CheckManifests),
    /// Show a rule: its source, its steps, the mutants that it kills
    Explain(Explain),
    /// Prove that every check can fail: each mutant of the reference platform against its row
    Prove(Prove),
    /// Load a terminal's door with concurrent attaches, and measure it
    Load(Box<load::LoadOptions>),
    /// One of the processes that make a load
    #[command(hide = true)]
    LoadWorker,
    /// The process that makes the HTTP side of a load
    #[command(hide = true)]
    LoadHttpWorker,
    /// Search for the largest load of a terminal's door that meets the objectives
    Capacity(Box<capacity::CapacityOptions>),
    /// Tell whether two results of `load --out` differ by more than chance, or what changed between two reports of runs
    Compare(compare::CompareOptions),
    /// Show a JSON report of a run, in any format
    Show(show::Show),
    /// List the mutants of the reference platform, with the row that each breaks
    Mutants(Mutants),
    /// List the tags by which scenarios can be selected
    Tags(Tags),
    /// Start a platform to work with by hand, with a kubeconfig
    Up(Up),
    /// Print a JWT signed with the value of AUTH_JWT_SECRET, to try an agent service by hand
    Jwt(Jwt),
    /// Delete the cluster that `up --target kind` created, with its platform
    Down(Down),
    /// Show the platform that `up --target kind` started
    Status(Status),
    /// Look at a platform on a cluster, and write a profile of it
    Init(init::Init),
    /// Show what this machine can run, what is missing, and how to get it; with --profile, what a run on that platform
    /// could judge
    Doctor(Box<doctor::Doctor>),
    /// Restore what interrupted runs changed on platforms that aren't ours
    Recover(Recover),
    /// Print the JSON Schema of a scenario file or another document
    Schema(Schema),
    /// Print what a shell needs to complete gauntlet's commands and flags
    Completions(completions::Completions),
    /// Print a man page, or write all of them into a folder
    Man(man::Pages),
    /// Run one component of the reference platform as a process
    Platform(Platform),
}
