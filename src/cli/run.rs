//! `gauntlet run`.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::{ArgAction, Args};
use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::conclude::{conclude, not_run, refuse, tell};
use super::profile::{self, Effective};
use super::rerun::Rerun;
use super::selection::select;
use super::target::{self, Goes, NotStarted, TargetOptions};
use super::{FlakyName, LevelName, Selection, TargetName, parse, reproduce_flags};
use crate::cli::exit::{UsageError, exit_code};
use crate::cli::process::{IN_RUNS, Process};
use crate::events::seed;
use crate::events::{RunInfo, RunVerdict};
use crate::expected::{Expected, ExpectedFailures};
use crate::platform::{Mutant, mutant};
use crate::redact::Redactor;
use crate::report::{ConsoleSettings, Destination, Format, ReportSpec, Reporters, RunFolder, Settings, Streams, clash};
use crate::runner::context::Flags;
use crate::runner::context::RunContext;
use crate::runner::eligibility::gateways;
use crate::runner::plan::{Levels, Partition, Planned, part};
use crate::runner::run::{Terms, run as run_all};
use crate::runner::shared_worlds::SharedWorlds;
use crate::scenario::{self, Scenario};
use crate::steps::Limits;
use crate::vocabulary::Policies;
use crate::vocabulary::names;
use crate::world::Target;
use crate::world::codex::Codex;
use crate::yaml::{Problem, Problems};

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
    #[arg(long, value_name = "FORMAT[=FILE]", value_parser = parse::report_spec::<Format>())]
    pub report: Vec<ReportSpec>,
    /// The folder for reports and evidence: each run creates its own folder there, and the link `latest` leads to the
    /// run that started last [default: reports]
    #[arg(long, value_name = "DIR")]
    pub reports: Option<PathBuf>,
    /// Keep only the newest N runs there, this one included, and remove what gauntlet wrote for older ones [default:
    /// remove nothing]
    #[arg(long, value_name = "N", value_parser = parse::at_least_one::<std::num::NonZeroUsize>, allow_negative_numbers = true)]
    pub keep_reports: Option<std::num::NonZeroUsize>,
    /// Scenarios run at once [default: 4 per processor, 3 on kind; 1 on a platform that isn't ours]
    #[arg(long, short, value_name = "N", value_parser = parse::at_least_one::<std::num::NonZeroUsize>, allow_negative_numbers = true)]
    pub jobs: Option<std::num::NonZeroUsize>,
    /// Run everything N times
    #[arg(long, value_name = "N", default_value = "1", value_parser = parse::at_least_one::<std::num::NonZeroU32>, allow_negative_numbers = true)]
    pub repeat: std::num::NonZeroU32,
    /// Retry scenarios that fail or end in an error up to N times; those that then pass are flaky
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u32).range(..=100), allow_negative_numbers = true)]
    pub retries: u32,
    /// Verdict of a run with flaky scenarios
    #[arg(long, value_enum, default_value_t)]
    pub flaky: FlakyName,
    /// Start no more scenarios after a failure
    #[arg(long)]
    pub fail_fast: bool,
    /// Seed of random values; reports contain the one used
    #[arg(long, value_name = "N", value_parser = parse::seed, allow_negative_numbers = true)]
    pub seed: Option<u64>,
    /// Time limit of a scenario without one of its own [default: 60s; on a cluster 5m]
    #[arg(long, value_name = "DURATION", value_parser = parse::duration)]
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
    /// Print all facts, not only those that differ between roads
    #[arg(long, conflicts_with = "quiet")]
    pub facts: bool,
    /// Print only failures and the summary
    #[arg(long, short)]
    pub quiet: bool,
    /// Print every step; twice (`-vv`): also what gauntlet itself does, on standard error
    #[arg(long, short, action = ArgAction::Count, conflicts_with = "quiet")]
    pub verbose: u8,
}

/// Longest time of a scenario on the embedded target, where neither it nor the command line says one.
pub const TIMEOUT: Duration = Duration::from_secs(60);

/// The folder for reports, by default.
const REPORTS: &str = "reports";

/// Runs scenarios; returns the exit code.
pub async fn run(options: Run, scenarios: Vec<Scenario>, mut process: Process) -> Result<u8, UsageError> {
    let flags = reproduce_flags::flags(&options);
    options.target.check()?;
    if let Some(clash) = clash(&options.report) {
        return Err(UsageError(clash));
    }
    // What failed is to run again whatever its level.
    let level = match (options.level, &options.rerun_failed) {
        (Some(level), _) => level,
        (None, Some(_)) => LevelName::All,
        (None, None) => LevelName::Core,
    };
    let selected = select(&scenarios, &options.selection.selectors, level)?;
    let Effective { profile, digest } =
        profile::effective(options.profile.as_deref(), &options.set, options.target.target)?;
    let expected = match &options.expected_failures {
        Some(file) => expected(file, &scenarios, &process.started)?,
        None => Expected::default(),
    };
    let planned = through(
        selected.plan(options.repeat.get()),
        &options.target.gateways.goes(options.target.target, &profile),
    )?;
    let (mut planned, mut notes) = (planned, Vec::new());
    if let Some(report) = &options.rerun_failed {
        (planned, notes) = Rerun::read(report, &scenarios, digest.as_deref())?.choose(planned);
    }
    if let Some(partition) = options.partition {
        planned = part(planned, partition);
    }
    if !options.mutant.is_empty() {
        if matches!(options.target.target, TargetName::Cluster | TargetName::Url) {
            return Err(UsageError(
                "--mutant breaks the reference platform, and the target is one that isn't ours".into(),
            ));
        }
        let names = options.mutant.join(", ");
        notes.push(format!("the platform was broken on purpose, by --mutant {names}"));
    }
    let codex = match options.target.codex(&planned, &process).await {
        Ok(codex) => codex,
        Err(error) => return Ok(not_run(&error.to_string())),
    };
    notes.extend(codex.iter().map(|(_, note)| note.clone()));
    let seed = options.seed.unwrap_or_else(seed::random);
    let redactor = process.redactor.clone();
    let mutants = mutants(&options.mutant)?;
    let info = RunInfo {
        version: process.version.to_owned(),
        commit: process.commit.map(str::to_owned),
        started: process.started.clone(),
        seed,
        target: options.target.target.name().into(),
        selection: options.selection.selectors.clone(),
        level: Levels::from(level).name().into(),
        profile_digest: digest,
        mutants: mutants.iter().map(|mutant| mutant.name.to_owned()).collect(),
        scenarios: planned.len(),
    };
    // Held until the end: what other runs must not remove is what this one still works on.
    let folder = RunFolder::new(
        options.reports.unwrap_or_else(|| REPORTS.into()),
        time(&process.started)?,
    );
    let reports = reports(&options.report, &process);
    let console = ConsoleSettings {
        facts: options.facts,
        ..process.console.clone()
    };
    let settings = Settings {
        step_summary: step_summary(&options.report, &process),
        ..Settings::new(console, folder.clone())
    };
    let streams = Streams {
        stdout: std::mem::replace(&mut process.stdout, Box::new(std::io::sink())),
        stderr: Box::new(std::io::stderr()),
    };
    let mut reporters = Reporters::new(&reports, &settings, streams, redactor.clone());
    if !reporters.problems().is_empty() {
        return Ok(refuse(reporters.problems()));
    }
    let started = match target::start(&options.target, &profile, &mut planned, &process).await {
        Ok(started) => started,
        Err(NotStarted::Usage(error)) => return Err(error),
        Err(NotStarted::Failed(error)) => return Ok(not_run(&error.to_string())),
        Err(NotStarted::Interrupted) => return Ok(exit_code(RunVerdict::Interrupted)),
    };
    let names = Arc::new(profile.names);
    let shared = Arc::new(RunContext {
        names: names.clone(),
        policies: profile.policies,
        routes: profile.routes,
        flags,
        limits: started.limits(),
        keep_failed: options.target.kind.keep || options.target.kind.keep_on_failure,
        timeout: options.timeout.unwrap_or_else(|| started.timeout()),
        codex: codex.map(|(codex, _)| codex).unwrap_or_default(),
        ..shared(&started.target, &process, &redactor, seed, mutants)
    });
    match started.start_gateways(&planned, &process.stop).await {
        Some(Ok(())) => {}
        Some(Err(why)) => {
            started.end(false, &names).await;
            return Ok(not_run(&why.to_string()));
        }
        None => {
            started.end(false, &names).await;
            return Ok(exit_code(RunVerdict::Interrupted));
        }
    }
    let jobs = started.jobs(options.jobs, IN_RUNS, &process);
    if let Some(asked) = options.jobs.filter(|asked| asked.get() > jobs) {
        notes.push(format!(
            "{jobs} at once in place of --jobs {asked}: more would need more open files than `ulimit -n` allows"
        ));
    }
    let terms = Terms {
        jobs,
        fail_fast: options.fail_fast,
        allow_partial: options.allow_partial,
        expected,
        retries: options.retries,
        flaky_passes: options.flaky == FlakyName::Pass,
        notes,
    };
    let scenarios = info.scenarios;
    let result = run_all(planned, shared, terms, info, |event| reporters.event(&event)).await;
    let finished = reporters.finish();
    started.end(result.verdict == RunVerdict::Passed, &names).await;
    let code = conclude(&finished, &redactor, &result, scenarios);
    folder.notes().iter().for_each(|note| tell(note));
    if let Some(keep) = options.keep_reports {
        folder.keep_newest(keep.get()).iter().for_each(|note| tell(note));
    }
    Ok(code)
}

/// The reports of a run: those that were asked for, and in GitHub Actions annotations, unless they were asked for
/// otherwise or something else has standard output.
fn reports(asked: &[ReportSpec], process: &Process) -> Vec<ReportSpec> {
    let mut all = asked.to_vec();
    let has_output = |spec: &ReportSpec| spec.to == Destination::Stdout;
    if set(process, "GITHUB_ACTIONS").is_some() && !asked.iter().any(|spec| is_github(spec) || has_output(spec)) {
        all.push(ReportSpec {
            format: Format::Github,
            to: Destination::Stdout,
        });
    }
    all
}

/// The file that GitHub Actions makes a step's summary of; none elsewhere. One that isn't there is a problem only where
/// the report was asked for.
fn step_summary(asked: &[ReportSpec], process: &Process) -> Option<PathBuf> {
    set(process, "GITHUB_ACTIONS")?;
    let file = PathBuf::from(set(process, "GITHUB_STEP_SUMMARY")?);
    (asked.iter().any(is_github) || file.exists()).then_some(file)
}

fn is_github(spec: &ReportSpec) -> bool {
    spec.format == Format::Github
}

/// A variable of the environment that isn't empty.
fn set(process: &Process, name: &str) -> Option<String> {
    (process.variable)(name).filter(|value| !value.is_empty())
}

/// The runs through these gateways, or through none.
///
/// # Errors
/// There is none.
pub fn through(mut planned: Vec<Planned>, goes: &Goes) -> Result<Vec<Planned>, UsageError> {
    let all = planned.len();
    planned.retain(|run| gateways(run).into_iter().all(|road| goes.has(road)));
    match planned.is_empty() && all > 0 {
        true => {
            let runs = match all {
                1 => "the selected run goes through another gateway than".to_owned(),
                _ => format!("all {all} selected runs go through other gateways than"),
            };
            Err(UsageError(format!(
                "{runs} those of {goes}; `--gateway all` goes through all"
            )))
        }
        false => Ok(planned),
    }
}

/// What the runs of a command share.
pub fn shared(
    target: &Target,
    process: &Process,
    redactor: &Redactor,
    seed: u64,
    mutants: Vec<&'static Mutant>,
) -> RunContext {
    RunContext {
        target: target.with_mutants(&mutants),
        worlds: SharedWorlds::default(),
        names: Arc::new(names::contract()),
        policies: Policies::reference(),
        routes: Vec::new(),
        redactor: redactor.clone(),
        limits: Limits::default(),
        keep_failed: false,
        binary: process.binary.clone().ok(),
        codex: Codex::default(),
        seed,
        timeout: TIMEOUT,
        mutants,
        flags: Flags::default(),
        stop: process.stop.clone(),
    }
}

/// The failures that are expected on the day on which the run started.
fn expected(file: &Path, scenarios: &[Scenario], started: &str) -> Result<Expected, UsageError> {
    let wrong = |problems: Vec<Problem>| UsageError(Problems(problems).render());
    let source = scenario::read_file(file).map_err(|problem| wrong(vec![problem]))?;
    let failures = ExpectedFailures::parse(&source).map_err(wrong)?;
    // Of all scenarios, not only the selected ones: one file serves every selection.
    let unknown = failures.unknown(scenarios);
    if !unknown.is_empty() {
        return Err(wrong(unknown));
    }
    Ok(failures.on(time(started)?.to_zoned(TimeZone::UTC).date()))
}

fn time(started: &str) -> Result<Timestamp, UsageError> {
    started
        .parse()
        .map_err(|error| UsageError(format!("reading the time of the start, {started}: {error}")))
}

/// The mutants of these names.
///
/// # Errors
/// An unknown name: a misspelt one would wrongly let a run pass.
pub fn mutants(names: &[String]) -> Result<Vec<&'static Mutant>, UsageError> {
    let unknown = |name: &str| {
        let near = crate::vocabulary::similar::nearest(name, mutant::all().map(|mutant| mutant.name));
        let hint = near.map(|near| format!("; did you mean {near}?")).unwrap_or_default();
        UsageError(format!("there is no mutant {name}{hint}"))
    };
    let found = names
        .iter()
        .map(|name| mutant::by_name(name).ok_or_else(|| unknown(name)));
    found.collect()
}
