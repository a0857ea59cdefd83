//! The command line: one definition per flag, and what each command does with them.

pub mod capacity;
pub mod check;
pub mod check_manifests;
pub mod compare;
pub mod conclude;
pub mod dispatch;
pub mod doctor;
pub mod exit;
pub mod explain;
pub mod jwt;
pub mod list;
pub mod load;
pub mod log;
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
pub mod target;
pub mod up;

use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};

use crate::events::seed::LARGEST;
use crate::report::ReportSpec;
use crate::runner::plan::{Levels, Partition};
use crate::vocabulary::Contract;
use exit::UsageError;
use target::{CodexOptions, GatewayOptions, KindOptions, TargetOptions};

/// Exit codes, as `--help` shows them.
const EXIT_CODES: &str = "\
Exit codes:
  0    everything that was selected passed
  1    a check failed: the platform is wrong
  2    the command line or a file is wrong
  3    could not tell: the harness or its surroundings failed
  4    nothing ran
  5    partial: core scenarios were skipped (0 with --allow-partial)
  130  interrupted, and cleaned up; what failed before is in the verdict's line";

/// Where `up` puts its kubeconfig.
const KUBECONFIG: &str = "gauntlet.kubeconfig";

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
    Run(Box<Run>),
    /// Show what would run: level, contract, needs, intrusion, source
    List(List),
    /// Validate scenarios, profiles and files of expected failures without running them
    Check(Check),
    /// Judge rendered Kubernetes manifests by the contracts, before anything is deployed
    CheckManifests(CheckManifests),
    /// Show a rule: its source, its steps, the mutants that it kills
    Explain(Explain),
    /// Prove that every check can fail: each mutant of the reference platform against its row
    Prove(Prove),
    /// Load the terminal's door with concurrent attaches, and measure it
    Load(Box<load::LoadOptions>),
    /// One of the processes that make a load
    #[command(hide = true)]
    LoadWorker,
    /// The process that makes the HTTP side of a load
    #[command(hide = true)]
    LoadHttpWorker,
    /// Search the largest load of the terminal's door that keeps the objectives
    Capacity(Box<capacity::CapacityOptions>),
    /// Tell whether two results of `load --out` differ by more than chance
    Compare(compare::CompareOptions),
    /// Bring a platform up for a person, with a kubeconfig
    Up(Up),
    /// Print a JWT, signed with what AUTH_JWT_SECRET holds, for trying the agent service by hand
    Jwt(Jwt),
    /// End a platform that `up --target kind` brought up, cluster and all
    Down(Down),
    /// Show what `up --target kind` brought up
    Status(Status),
    /// Tell what this machine can run, what is missing, and how to get it
    Doctor,
    /// Put back what interrupted runs changed on platforms that aren't ours
    Recover(Recover),
    /// Print the JSON Schema of a scenario file, or of another of gauntlet's documents
    Schema(Schema),
    /// Run one component of the reference platform as a process
    Platform(Platform),
}

/// Which scenarios.
#[derive(Clone, Debug, Args)]
pub struct Selection {
    /// Which scenarios: an id, a part of one up to a /, a glob, each with a case of a matrix in brackets behind it,
    /// tag:NAME, level:core; ! excludes; without any, all of them
    #[arg(value_name = "SELECTOR")]
    pub selectors: Vec<String>,
    /// Read scenarios from this folder instead of the built-in ones
    #[arg(long, value_name = "DIR")]
    pub scenarios: Option<PathBuf>,
}

#[derive(Clone, Debug, Args)]
pub struct List {
    #[command(flatten)]
    pub selection: Selection,
    /// Which levels
    #[arg(long, value_enum, default_value = "all")]
    pub level: LevelName,
    #[arg(long, value_enum, default_value_t)]
    pub format: ListFormat,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum ListFormat {
    #[default]
    Text,
    Json,
}

#[derive(Clone, Debug, Args)]
pub struct Check {
    /// Files of scenarios, profiles or expected failures, or folders of scenarios [default: the built-in scenarios]
    #[arg(value_name = "FILE")]
    pub files: Vec<PathBuf>,
}

#[derive(Clone, Debug, Args)]
pub struct CheckManifests {
    /// Files of manifests as `helm template` prints them; - is standard input
    #[arg(value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,
    /// What the installation calls things [default: the contracts' names]
    #[arg(long, value_name = "FILE")]
    pub profile: Option<PathBuf>,
    /// Set a name on top of the profile: secret.name=my-env
    #[arg(long, value_name = "NAME=VALUE")]
    pub set: Vec<String>,
    #[arg(long, value_enum, default_value_t)]
    pub format: ListFormat,
    /// Ask a cluster's API server too whether it takes each object; nothing is applied
    #[arg(long)]
    pub server_dry_run: bool,
    /// The kubeconfig of that cluster [default: $KUBECONFIG, or that of kubectl]
    #[arg(long, value_name = "FILE", requires = "server_dry_run")]
    pub kubeconfig: Option<PathBuf>,
    /// The context of the kubeconfig [default: its current one]
    #[arg(long, requires = "server_dry_run")]
    pub context: Option<String>,
    /// The namespace of objects that don't say theirs [default: the context's]
    #[arg(long, short, value_name = "NAME", requires = "server_dry_run")]
    pub namespace: Option<String>,
}

#[derive(Clone, Debug, Args)]
pub struct Schema {
    /// Of which document
    #[arg(value_enum, default_value_t)]
    pub document: Document,
}

/// A kind of document that gauntlet reads or writes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Document {
    #[default]
    Scenario,
    Profile,
    ExpectedFailures,
    /// The JSON report
    Report,
}

#[derive(Clone, Debug, Args)]
pub struct Explain {
    /// The scenario's id
    pub id: String,
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
    /// A cluster that kind makes, a namespace for each scenario.
    Kind,
    /// A platform that is there, on a cluster of a kubeconfig; what it is called says a profile.
    Cluster,
    /// A platform of which only the doors are known: their addresses are a profile's `roads`.
    Url,
}

/// Targets that are brought up for a person.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum MadeTarget {
    /// The reference platform, in this process.
    #[default]
    Embedded,
    /// A cluster that kind makes.
    Kind,
}

impl From<MadeTarget> for TargetName {
    fn from(target: MadeTarget) -> TargetName {
        match target {
            MadeTarget::Embedded => TargetName::Embedded,
            MadeTarget::Kind => TargetName::Kind,
        }
    }
}

/// Contracts as the command line has them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum ContractName {
    /// The terminal behind a shared token
    #[default]
    HarnessToken,
    /// The JWT gateway before the agent service
    AgentService,
    /// The codex login inside the cluster
    CodexAuth,
}

impl From<ContractName> for Contract {
    fn from(name: ContractName) -> Contract {
        match name {
            ContractName::HarnessToken => Contract::HarnessToken,
            ContractName::AgentService => Contract::AgentService,
            ContractName::CodexAuth => Contract::CodexAuth,
        }
    }
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
    #[command(flatten)]
    pub target: TargetOptions,
    /// Which levels [default: core; with --rerun-failed all]
    #[arg(long, value_enum)]
    pub level: Option<LevelName>,
    /// What the installation calls things and which choices it makes [default: the reference platform's]
    #[arg(long, value_name = "FILE")]
    pub profile: Option<PathBuf>,
    /// Set a name or policy on top of the profile: secret.name=my-env, token.precedence=reject
    #[arg(long, value_name = "NAME=VALUE")]
    pub set: Vec<String>,
    /// Run again what failed or could not be told in the run of this JSON report, with a seed of its own
    #[arg(long, value_name = "REPORT")]
    pub rerun_failed: Option<PathBuf>,
    /// Known failures, each with a reason and a day: they don't fail the run, and their passing does
    #[arg(long, value_name = "FILE")]
    pub expected_failures: Option<PathBuf>,
    /// A report beside what is printed: junit, json or markdown, into the run's folder, to =FILE, or to =- for
    /// standard output; console=FILE writes a copy of what is printed
    #[arg(long, value_name = "FORMAT[=FILE]")]
    pub report: Vec<ReportSpec>,
    /// The folder for reports and evidence: each run makes a folder of its own in it, and the link `latest` leads to
    /// that of the run that started last [default: reports]
    #[arg(long, value_name = "DIR")]
    pub reports: Option<PathBuf>,
    /// Remove what gauntlet wrote into the oldest runs' folders there but for N, this run's counted [default: none is
    /// removed]
    #[arg(long, value_name = "N", value_parser = at_least_one::<std::num::NonZeroUsize>, allow_negative_numbers = true)]
    pub keep_reports: Option<std::num::NonZeroUsize>,
    /// Scenarios at once [default: 4 for each processor; on kind 2; on a platform that isn't ours one at all]
    #[arg(long, short, value_name = "N", value_parser = at_least_one::<std::num::NonZeroUsize>, allow_negative_numbers = true)]
    pub jobs: Option<std::num::NonZeroUsize>,
    /// Run everything so many times
    #[arg(long, value_name = "N", default_value = "1", value_parser = at_least_one::<std::num::NonZeroU32>, allow_negative_numbers = true)]
    pub repeat: std::num::NonZeroU32,
    /// Start no further scenario after a failure
    #[arg(long)]
    pub fail_fast: bool,
    /// Seed of random values; a report names the one that was used
    #[arg(long, value_name = "N", value_parser = seed, allow_negative_numbers = true)]
    pub seed: Option<u64>,
    /// Longest time of a scenario that doesn't say its own [default: 60s; on a cluster 5m]
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub timeout: Option<Duration>,
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
    /// Print every step; twice (`-vv`): also what gauntlet itself does, on standard error
    #[arg(long, short, action = ArgAction::Count, conflicts_with = "quiet")]
    pub verbose: u8,
}

#[derive(Clone, Debug, Args)]
pub struct Prove {
    #[command(flatten)]
    pub selection: Selection,
    /// Where to run
    #[arg(long, value_enum, default_value_t)]
    pub target: MadeTarget,
    #[command(flatten)]
    pub kind: KindOptions,
    #[command(flatten)]
    pub gateways: GatewayOptions,
    #[command(flatten)]
    pub codex: CodexOptions,
    /// Only these mutants, globs too, and the rows that they break [default: all of the selected rows]
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub mutant: Vec<String>,
    /// Write the matrix to this file: JSON where it ends in .json, else Markdown
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
    /// Scenarios at once [default: embedded 4 for each processor, kind 2]
    #[arg(long, short, value_name = "N", value_parser = at_least_one::<std::num::NonZeroUsize>, allow_negative_numbers = true)]
    pub jobs: Option<std::num::NonZeroUsize>,
    /// Seed of random values
    #[arg(long, value_name = "N", value_parser = seed, allow_negative_numbers = true)]
    pub seed: Option<u64>,
    /// Longest time of a scenario that doesn't say its own [default: embedded 60s, kind 300s]
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub timeout: Option<Duration>,
}

#[derive(Clone, Debug, Args)]
pub struct Up {
    /// Whose platform
    #[arg(value_enum, value_name = "CONTRACT", default_value_t)]
    pub contract: ContractName,
    #[command(flatten)]
    pub gateways: GatewayOptions,
    #[command(flatten)]
    pub codex: CodexOptions,
    /// Where to run
    #[arg(long, value_enum, default_value_t)]
    pub target: MadeTarget,
    /// kind: the cluster's name [default: gauntlet]
    #[arg(long, value_name = "NAME")]
    pub cluster_name: Option<String>,
    /// kind: the node's image [default: kind's own]
    #[arg(long, value_name = "NODE_IMAGE")]
    pub image: Option<String>,
    /// kind: put gauntlet onto this image, whose shell and programs scenarios then use [default: its own]
    #[arg(long, value_name = "IMAGE")]
    pub base_image: Option<String>,
    /// Where the kubeconfig goes
    #[arg(long, value_name = "FILE", default_value = KUBECONFIG)]
    pub kubeconfig: PathBuf,
    /// What the platform calls things [default: the contract's names]
    #[arg(long, value_name = "FILE")]
    pub profile: Option<PathBuf>,
    /// Set a name on top of the profile: secret.name=my-env
    #[arg(long, value_name = "NAME=VALUE")]
    pub set: Vec<String>,
    /// Start the reference platform with these defects
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub mutant: Vec<String>,
    /// Of a process that starts it: the session API's key is the first line of standard input, and with its end the
    /// platform ends
    #[arg(long, hide = true)]
    pub held: bool,
}

impl Up {
    /// The context of the kubeconfig that it writes.
    fn context(&self) -> String {
        match self.target {
            MadeTarget::Embedded => up::EMBEDDED.to_owned(),
            MadeTarget::Kind => up::context(self.cluster_name.as_deref().unwrap_or(target::REUSED)),
        }
    }

    fn check(&self) -> Result<(), UsageError> {
        let given = [
            ("--cluster-name", self.cluster_name.is_some()),
            ("--image", self.image.is_some()),
            ("--base-image", self.base_image.is_some()),
            ("--nginx-image", self.gateways.nginx_image.is_some()),
            ("--envoy-image", self.gateways.envoy_image.is_some()),
        ];
        if self.contract != ContractName::AgentService && self.gateways.gateway.is_some() {
            return Err(UsageError(
                "--gateway is of the agent service: `gauntlet up agent-service` brings it up".into(),
            ));
        }
        self.codex.check(self.target.into())?;
        match given.into_iter().find(|(_, given)| *given) {
            Some((flag, _)) if self.target == MadeTarget::Embedded => Err(target::only_for(flag, "kind", "embedded")),
            _ => Ok(()),
        }
    }
}

#[derive(Clone, Debug, Args)]
pub struct Jwt {
    /// The role that it claims: INACTIVE, RESTRICTED, REGULAR, ADMIN
    pub role: String,
    /// Seconds from now until it expires; may be negative [default: 7 days]
    #[arg(long, value_name = "SECONDS", allow_negative_numbers = true)]
    pub expires_in: Option<f64>,
    /// What else a scenario's `jwt` step can say, as JSON: {"claims":{"exp":null}}
    #[arg(long, value_name = "JSON")]
    pub with: Option<String>,
    /// The variable of the environment that holds what it is signed with
    #[arg(long, value_name = "NAME", default_value = "AUTH_JWT_SECRET")]
    pub secret_from: String,
}

#[derive(Clone, Debug, Args)]
pub struct Down {
    /// What `up` was given
    #[arg(long, value_enum, default_value = "kind")]
    pub target: Standing,
    /// The cluster's name [default: gauntlet]
    #[arg(long, value_name = "NAME")]
    pub cluster_name: Option<String>,
    /// The kubeconfig that `up` wrote
    #[arg(long, value_name = "FILE", default_value = KUBECONFIG)]
    pub kubeconfig: PathBuf,
}

#[derive(Clone, Debug, Args)]
pub struct Status {
    /// What `up` was given
    #[arg(long, value_enum, default_value = "kind")]
    pub target: Standing,
    /// The cluster's name [default: gauntlet]
    #[arg(long, value_name = "NAME")]
    pub cluster_name: Option<String>,
}

#[derive(Clone, Debug, Args)]
pub struct Recover {
    /// Only what was changed in this context of a kubeconfig
    #[arg(long)]
    pub context: Option<String>,
    /// Where the undo journals are [default: as of `run`]
    #[arg(long, value_name = "DIR")]
    pub journal: Option<PathBuf>,
}

/// Targets that outlive the command that brings them up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Standing {
    Kind,
}

#[derive(Clone, Debug, Args)]
pub struct Platform {
    /// web, worker, seed, sandbox, sandbox-controller, balancer, probe, …
    pub component: String,

    /// What codex and auth-login are to do
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARG")]
    pub arguments: Vec<String>,
}

/// A count of something that there must be one of.
fn at_least_one<N>(text: &str) -> Result<N, String>
where
    N: std::str::FromStr<Err = std::num::ParseIntError>,
{
    text.parse()
        .map_err(|error: std::num::ParseIntError| match error.kind() {
            std::num::IntErrorKind::PosOverflow => "more than can be counted".to_owned(),
            _ => "not a whole number from 1 on".to_owned(),
        })
}

fn duration(text: &str) -> Result<Duration, String> {
    match crate::vocabulary::duration::parse(text) {
        Some(Duration::ZERO) => Err("no time at all".to_owned()),
        Some(duration) => Ok(duration),
        None => Err(format!("not {}", crate::vocabulary::duration::FORM)),
    }
}

fn seed(text: &str) -> Result<u64, String> {
    text.parse::<u64>()
        .ok()
        .filter(|seed| *seed <= LARGEST)
        .ok_or_else(|| format!("not a whole number from 0 to {LARGEST}"))
}
