//! The command line: one definition per flag, and what each command does with them.

pub mod capacity;
pub mod check;
pub mod check_manifests;
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
use std::time::Duration;

use clap::builder::{OsStringValueParser, TypedValueParser};
use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};

use crate::events::seed::LARGEST;
use crate::report::{Format, Formats, ReportSpec, Spec};
use crate::runner::plan::{Levels, Partition};
use crate::vocabulary::Contract;
use exit::UsageError;
use target::{CodexOptions, GatewayOptions, KindOptions, TargetOptions};

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

/// Where `up` puts its kubeconfig.
const KUBECONFIG: &str = "gauntlet.kubeconfig";

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

/// What becomes of a run with scenarios that passed only when they were tried again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum FlakyName {
    /// It fails
    #[default]
    Fail,
    /// It passes, and names them
    Pass,
}

/// When verdicts are coloured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum ColorName {
    #[default]
    Auto,
    Always,
    Never,
}

/// Which scenarios.
#[derive(Clone, Debug, Args)]
pub struct Selection {
    /// Which scenarios: an id, the beginning of one up to a /, or a glob, each optionally with a case of the matrix in
    /// brackets; tag:NAME; level:core; ! excludes; without any, all of them
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

#[derive(Clone, Debug, Args)]
pub struct Mutants {
    /// Which mutants: their names, or selectors of the scenarios whose rows they break; without any, all of them
    #[arg(value_name = "NAME|SELECTOR")]
    pub selectors: Vec<String>,
    /// Read scenarios from this folder instead of the built-in ones
    #[arg(long, value_name = "DIR")]
    pub scenarios: Option<PathBuf>,
    #[arg(long, value_enum, default_value_t)]
    pub format: ListFormat,
}

#[derive(Clone, Debug, Args)]
pub struct Tags {
    #[command(flatten)]
    pub selection: Selection,
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
    /// Rendered manifests, as `helm template` prints them; - is standard input
    #[arg(value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,
    /// The installation's names [default: the contracts' names]
    #[arg(long, value_name = "FILE")]
    pub profile: Option<PathBuf>,
    /// Set a name on top of the profile: secret.name=my-env
    #[arg(long, value_name = "NAME=VALUE")]
    pub set: Vec<String>,
    #[arg(long, value_enum, default_value_t)]
    pub format: ListFormat,
    /// Also ask a cluster's API server whether it accepts each object; nothing is applied
    #[arg(long)]
    pub server_dry_run: bool,
    /// The kubeconfig of that cluster [default: $KUBECONFIG, or kubectl's]
    #[arg(long, value_name = "FILE", requires = "server_dry_run")]
    pub kubeconfig: Option<PathBuf>,
    /// The context of the kubeconfig [default: its current one]
    #[arg(long, requires = "server_dry_run")]
    pub context: Option<String>,
    /// The namespace of objects without one [default: the context's]
    #[arg(long, short, value_name = "NAME", requires = "server_dry_run")]
    pub namespace: Option<String>,
}

#[derive(Clone, Debug, Args)]
pub struct Schema {
    /// Which document
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
    /// A cluster that kind creates, with a namespace for each scenario.
    Kind,
    /// An existing platform on a cluster from your kubeconfig; a profile gives its names.
    Cluster,
    /// A platform known only by its doors; a profile's `roads` give their addresses.
    Url,
}

/// Targets that gauntlet can start itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum MadeTarget {
    /// The reference platform, in this process.
    #[default]
    Embedded,
    /// A cluster that kind creates.
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

/// Contracts by their names on the command line.
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

/// Levels by their names on the command line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum LevelName {
    /// Rules that the contract's source states
    #[default]
    Core,
    /// All other rules, including hardening
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
    /// Which levels [default: core; all with --rerun-failed]
    #[arg(long, value_enum)]
    pub level: Option<LevelName>,
    /// The installation's names and policies [default: the reference platform's]
    #[arg(long, value_name = "FILE")]
    pub profile: Option<PathBuf>,
    /// Set a name or policy on top of the profile: secret.name=my-env, token.precedence=reject
    #[arg(long, value_name = "NAME=VALUE")]
    pub set: Vec<String>,
    /// Repeat the failures and errors of this JSON report, with a new seed
    #[arg(long, value_name = "REPORT")]
    pub rerun_failed: Option<PathBuf>,
    /// Known failures, each with a reason and an expiry date: they don't fail the run, but it fails if one passes
    #[arg(long, value_name = "FILE")]
    pub expected_failures: Option<PathBuf>,
    /// A report beside what is printed: junit, json, markdown, html, sarif, tap or openmetrics, into the run's folder, to
    /// =FILE, or to =- for standard output; github for GitHub Actions, on standard output; console=FILE writes a copy of
    /// what is printed
    #[arg(long, value_name = "FORMAT[=FILE]", value_parser = report_spec::<Format>())]
    pub report: Vec<ReportSpec>,
    /// The folder for reports and evidence: each run creates its own folder there, and the link `latest` leads to the
    /// run that started last [default: reports]
    #[arg(long, value_name = "DIR")]
    pub reports: Option<PathBuf>,
    /// Keep only the newest N runs there, this one included, and remove what gauntlet wrote for older ones [default:
    /// remove nothing]
    #[arg(long, value_name = "N", value_parser = at_least_one::<std::num::NonZeroUsize>, allow_negative_numbers = true)]
    pub keep_reports: Option<std::num::NonZeroUsize>,
    /// Scenarios run at once [default: 4 per processor, 2 on kind; one in all on a platform that isn't ours]
    #[arg(long, short, value_name = "N", value_parser = at_least_one::<std::num::NonZeroUsize>, allow_negative_numbers = true)]
    pub jobs: Option<std::num::NonZeroUsize>,
    /// Run everything N times
    #[arg(long, value_name = "N", default_value = "1", value_parser = at_least_one::<std::num::NonZeroU32>, allow_negative_numbers = true)]
    pub repeat: std::num::NonZeroU32,
    /// Try what failed or could not be told up to N times again; what passes then is flaky
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u32).range(..=100), allow_negative_numbers = true)]
    pub retries: u32,
    /// What becomes of a run with flaky scenarios
    #[arg(long, value_enum, default_value_t)]
    pub flaky: FlakyName,
    /// Start no more scenarios after a failure
    #[arg(long)]
    pub fail_fast: bool,
    /// Seed of random values; reports contain the one used
    #[arg(long, value_name = "N", value_parser = seed, allow_negative_numbers = true)]
    pub seed: Option<u64>,
    /// Time limit of a scenario without one of its own [default: 60s; on a cluster 5m]
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
    /// Print only what is not shown to hold, and the summary
    #[arg(long, short)]
    pub quiet: bool,
    /// Write the matrix to this file: JSON if it ends in .json, else Markdown
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
    /// Scenarios run at once [default: 8 per processor, 2 on kind]
    #[arg(long, short, value_name = "N", value_parser = at_least_one::<std::num::NonZeroUsize>, allow_negative_numbers = true)]
    pub jobs: Option<std::num::NonZeroUsize>,
    /// Seed of random values
    #[arg(long, value_name = "N", value_parser = seed, allow_negative_numbers = true)]
    pub seed: Option<u64>,
    /// Time limit of a scenario without one of its own [default: embedded 60s, kind 300s]
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub timeout: Option<Duration>,
}

#[derive(Clone, Debug, Args)]
pub struct Up {
    /// Which contract's platform
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
    /// kind: build the platform's image on top of this one, for its shell and programs [default: gauntlet's own]
    #[arg(long, value_name = "IMAGE")]
    pub base_image: Option<String>,
    /// Where to write the kubeconfig
    #[arg(long, value_name = "FILE", default_value = KUBECONFIG)]
    pub kubeconfig: PathBuf,
    /// The platform's names [default: the contract's names]
    #[arg(long, value_name = "FILE")]
    pub profile: Option<PathBuf>,
    /// Set a name on top of the profile: secret.name=my-env
    #[arg(long, value_name = "NAME=VALUE")]
    pub set: Vec<String>,
    /// Start the reference platform with these defects
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub mutant: Vec<String>,
    /// Of a process that starts it: the session API's key, or agent-service's JWT secret, is the first line of standard
    /// input, and with its end the platform ends
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
        ];
        if self.contract != ContractName::AgentService && self.gateways.gateway.is_some() {
            return Err(UsageError(
                "--gateway is of the agent service: `gauntlet up agent-service` brings it up".into(),
            ));
        }
        self.gateways.check(self.target.into())?;
        self.codex.check(self.target.into(), self.base_image.is_some())?;
        match given.into_iter().find(|(_, given)| *given) {
            Some((flag, _)) if self.target == MadeTarget::Embedded => Err(target::only_for(flag, "kind", "embedded")),
            _ => Ok(()),
        }
    }
}

#[derive(Clone, Debug, Args)]
pub struct Jwt {
    /// The role to claim: INACTIVE, RESTRICTED, REGULAR, ADMIN
    pub role: String,
    /// Seconds until it expires; may be negative [default: 7 days]
    #[arg(long, value_name = "SECONDS", allow_negative_numbers = true)]
    pub expires_in: Option<f64>,
    /// Other keys of a scenario's `jwt` step, as JSON: {"claims":{"exp":null}}
    #[arg(long, value_name = "JSON")]
    pub with: Option<String>,
    /// The environment variable that holds the signing secret
    #[arg(long, value_name = "NAME", default_value = "AUTH_JWT_SECRET")]
    pub secret_from: String,
}

#[derive(Clone, Debug, Args)]
pub struct Down {
    /// The target given to `up`
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
    /// The target given to `up`
    #[arg(long, value_enum, default_value = "kind")]
    pub target: Standing,
    /// The cluster's name [default: gauntlet]
    #[arg(long, value_name = "NAME")]
    pub cluster_name: Option<String>,
}

#[derive(Clone, Debug, Args)]
pub struct Recover {
    /// Only restore changes made in this context of a kubeconfig
    #[arg(long)]
    pub context: Option<String>,
    /// Where the undo journals are [default: as for `run`]
    #[arg(long, value_name = "DIR")]
    pub journal: Option<PathBuf>,
}

/// Targets that outlive the command that starts them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Standing {
    Kind,
}

#[derive(Clone, Debug, Args)]
pub struct Platform {
    /// web, worker, seed, sandbox, sandbox-controller, balancer, probe, …
    pub component: String,

    /// Arguments for codex and auth-login
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARG")]
    pub arguments: Vec<String>,
}

/// Parses a count of at least one.
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

/// Parses `FORMAT[=FILE]`; the file's name may be no text.
fn report_spec<F: Formats + Send + Sync>() -> impl TypedValueParser<Value = Spec<F>> {
    OsStringValueParser::new().try_map(Spec::of_argument)
}

fn duration(text: &str) -> Result<Duration, String> {
    match crate::vocabulary::duration::parse_long(text) {
        Some(Duration::ZERO) => Err("no time at all".to_owned()),
        Some(duration) => Ok(duration),
        None => Err(format!("not {}", crate::vocabulary::duration::LONG_FORM)),
    }
}

fn seed(text: &str) -> Result<u64, String> {
    text.parse::<u64>()
        .ok()
        .filter(|seed| *seed <= LARGEST)
        .ok_or_else(|| format!("not a whole number from 0 to {LARGEST}"))
}
