//! `gauntlet load`.

mod agent_service;
mod changes;
mod cluster;
mod door;
mod drive;
mod http;
mod live;
mod model;
mod platform;
mod reports;
pub mod scenario;
mod sessions;
mod workers;

use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, ValueEnum};
use serde::Serialize;

use self::http::HttpOptions;
pub use self::http::work as work_http;
use super::conclude::tell;
use crate::cli::exit::UsageError;
use crate::cli::parse::InvalidValue;
use crate::cli::process::Process;
use crate::load::abort::{AbortOn, Watch};
use crate::load::objective::Objective;
use crate::load::schedule::Arrivals;
use crate::load::worker::{Assignment, IfLost};
use crate::load::{Control, Ending, LoadFormat, LoadReportSpec, LoadResult, Outcome, Plan, Second};
use crate::redact::Redactor;
use crate::report::printable;
use cluster::{ClusterOptions, Found};
pub(super) use door::enough_descriptors;
pub use door::{DoorOptions, NotReady, Ready, Size};
pub use drive::drive;
pub use live::View;
use model::ModelOptions;
use reports::Reports;
use sessions::SessionOptions;
pub use workers::work;
use workers::{Crew, CrewError};

#[derive(Clone, Debug, Args)]
pub struct LoadOptions {
    /// Take flags that aren't given from the `load` step of this scenario: its id, with a case of its matrix in brackets,
    /// or its file
    #[arg(value_name = "SCENARIO")]
    pub scenario: Option<String>,
    /// Number of attaches held at once
    #[arg(long, short = 'n', value_name = "N", default_value = "1000", value_parser = clap::value_parser!(u32).range(1..=1 << 20))]
    pub attaches: u32,
    /// How they arrive: 500/s, 100/s..900/s, 100/s@10s,500/s or poisson:500/s
    #[arg(long, value_name = "RATE", default_value = "500/s")]
    pub ramp: Arrivals,
    /// How long all are held once they are open
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = time)]
    pub hold: Duration,
    #[command(flatten)]
    pub model: ModelOptions,
    /// Only one attach types, once all are open, and all must see each key: they share one terminal
    #[arg(long)]
    pub fan_out: bool,
    /// Number of processes that generate the load together
    #[arg(long, value_name = "N", default_value = "1", value_parser = clap::value_parser!(u32).range(1..=256))]
    pub workers: u32,
    /// What to do if a worker is lost; the load never passes then
    #[arg(long, value_enum, default_value_t)]
    pub if_worker_lost: LostName,
    /// End the load early, as failed, when this holds: `errors > 100`, `error-ratio > 5%`, `echo.p99 > 2s` (in a second)
    #[arg(long, value_name = "CONDITION")]
    pub abort_on: Vec<AbortOn>,
    /// Also write a report: html, markdown or junit, into load.html, load.md or load-junit.xml, to =FILE, or
    /// to =- for standard output
    #[arg(long, value_name = "FORMAT[=FILE]", value_parser = super::report_spec::<LoadFormat>())]
    pub report: Vec<LoadReportSpec>,
    #[command(flatten)]
    pub sessions: SessionOptions,
    #[command(flatten)]
    pub door: DoorOptions,
    #[command(flatten)]
    pub http: HttpOptions,
    #[command(flatten)]
    pub cluster: ClusterOptions,
}

impl LoadOptions {
    /// Rejects meaningless combinations of flags.
    fn check(&self) -> Result<(), UsageError> {
        self.model.check(self)?;
        let apart = [
            ("--workers", self.workers > 1, "all attaches are in one process"),
            (
                "--sessions",
                self.sessions.sessions.is_some(),
                "all attaches share one terminal",
            ),
        ];
        if self.workers > 1 && !self.sessions.changes().is_empty() {
            return Err(UsageError(
                "--workers and a change of the platform exclude each other: one process alone is told of it".into(),
            ));
        }
        match apart.into_iter().find(|(_, given, _)| *given && self.fan_out) {
            Some((flag, _, why)) => Err(UsageError(format!("--fan-out and {flag} exclude each other: {why}"))),
            None if self.fan_out => self.door.check_fan_out(self.attaches),
            None => Ok(()),
        }
    }
}

/// What to do if a worker is lost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum LostName {
    /// End the load with what was measured
    #[default]
    Stop,
    /// Let the others finish
    GoOn,
}

/// Longest time of anything in a load.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// What is no time in a load: whoever wrote it on the command line has to correct it.
#[derive(Debug, thiserror::Error)]
pub enum InvalidTime {
    #[error(transparent)]
    Form(#[from] InvalidValue),
    #[error("longer than a day")]
    TooLong,
}

/// A time in a load.
pub fn time(text: &str) -> Result<Duration, InvalidTime> {
    match super::duration(text)? {
        time if time > LONGEST => Err(InvalidTime::TooLong),
        time => Ok(time),
    }
}

/// Characters of what a server said that are shown.
const SHOWN: usize = 400;

/// What a server said, as it may be shown: without secrets, and without what a terminal would take for orders.
fn shown(said: &str, redactor: &Redactor) -> String {
    let said = redactor.redact(said);
    printable(&said).chars().take(SHOWN).collect()
}

/// Runs a load; returns the exit code.
pub async fn run(mut options: LoadOptions, mut process: Process) -> Result<u8, UsageError> {
    options.check()?;
    if options.door.objective.is_empty() && !options.sessions.changes().is_empty() {
        // Terminals that are open across a restart may be lost.
        for text in ["refused == 0", "failed == 0"] {
            let objective = text.parse::<Objective>();
            let objective = objective.map_err(|error| UsageError(error.to_string()))?;
            options.door.objective.push(objective);
        }
    }
    let redactor = process.redactor.clone();
    let attaches = options.sessions.attaches(&options.door)?.unwrap_or(options.attaches);
    options.cluster.check(&options.door, &options.sessions, &options.http)?;
    let reports = Reports::new(&options.report, options.door.out.as_deref())?;
    if let Err(why) = reports.check().and_then(|()| writable(options.door.out.as_deref())) {
        return refused(why.into(), "no load was made", &redactor);
    }
    let size = Size {
        attaches,
        arrivals: options.ramp,
        model: options.model.model(),
        hold: options.hold,
        fan_out: options.fan_out,
    };
    let found = match options.cluster.find(&process).await {
        Ok(found) => found,
        Err(not_ready) => return refused(not_ready, "no load was made", &redactor),
    };
    let pods = found.as_ref().and_then(|found| found.workers(attaches));
    let crew = Crew {
        workers: pods.as_ref().map_or(options.workers.min(attaches), |pods| pods.workers),
        pods,
        if_lost: match options.if_worker_lost {
            LostName::Stop => IfLost::Stop,
            LostName::GoOn => IfLost::GoOn,
        },
        abort_on: options.abort_on,
    };
    let loaded = match options.sessions.sessions {
        Some(_) => {
            let watch = cluster::watch(found.as_ref()).await;
            let loaded = sessions::load(&options.sessions, &options.door, &size, &crew, &process, &redactor).await;
            let side = cluster::seen(watch, &process).await;
            loaded.map(|(result, problems)| (result.with_target_side(side), problems))
        }
        None => {
            let on = found.as_ref();
            load(&options.door, &options.http, &size, &crew, on, &process, &redactor).await
        }
    };
    if let Some(found) = found {
        found
            .end(matches!(&loaded, Ok((result, _)) if result.exit_code() == 0))
            .await;
    }
    let (result, mut problems) = match loaded {
        Ok(loaded) => loaded,
        Err(not_ready) => return refused(not_ready, "no load was made", &redactor),
    };
    let result = result
        .with_texts(|said| shown(said, &redactor))
        .with_problems(&problems);
    let text = redactor.redact(&crate::load::summary(&result)).into_owned();
    let told = match reports.take_stdout() {
        true => std::io::stderr().write_all(text.as_bytes()),
        false => process
            .stdout
            .write_all(text.as_bytes())
            .and_then(|()| process.stdout.flush()),
    };
    problems.extend(unless_gone(told));
    problems.extend(reports.write(&result, &redactor, &mut process.stdout));
    if let Some(file) = &options.door.out {
        problems.extend(write(file, &result, &redactor).err().map(|UsageError(why)| why));
    }
    problems.iter().for_each(|problem| tell(&redactor.redact(problem)));
    Ok(match result.exit_code() {
        0 if !problems.is_empty() => 3,
        code => code,
    })
}

/// Why nothing could be printed; a reader who went away (`| head`) is no error.
pub fn unless_gone(printed: std::io::Result<()>) -> Option<String> {
    match printed {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Some(format!("writing to standard output: {error}"))
        }
        _ => None,
    }
}

/// This machine doesn't let a result or a report be written where it is wanted.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct Unwritable(#[from] std::io::Error);

/// Finds out before the load whether its result can be written.
pub fn writable(file: Option<&Path>) -> Result<(), Unwritable> {
    match file.map(crate::report::check_file) {
        Some(Err(error)) => Err(error.into()),
        _ => Ok(()),
    }
}

async fn load(
    options: &DoorOptions,
    http: &HttpOptions,
    size: &Size,
    crew: &Crew,
    on: Option<&Found>,
    process: &Process,
    redactor: &Redactor,
) -> Result<(LoadResult, Vec<String>), NotReady> {
    options.check_mutants(http.http_gateway.is_some())?;
    let task = http.task(options, process, redactor).await?;
    let (mut ready, reference) = match on.filter(|_| crew.pods.is_some()) {
        Some(on) => on.ready(options, size.attaches, process, redactor).await?,
        None => (Ready::new(options, size.attaches, process, redactor).await?, None),
    };
    let assignment = ready.assignment(size, crew.workers)?;
    let mut side = match task {
        Some(task) => Some(http.start(task, options, process, redactor).await?),
        None => None,
    };
    if let Some(side) = &mut side {
        side.begin().await;
    }
    let watch = cluster::watch(on).await;
    let view = View::new(options.quiet, size, process);
    let outcome = make(&assignment, size, crew, process, view, Arc::default()).await;
    let target_side = cluster::seen(watch, process).await;
    // Also where there is no outcome: it deletes the sessions that it made.
    let http = match side {
        Some(side) => Some(side.end().await),
        None => None,
    };
    let (outcome, left) = outcome?;
    let platform = match reference {
        Some(reference) => Some(cluster::counted(reference).await),
        None => ready.end().await,
    };
    let mut result = ready.result(size, outcome, platform).with_target_side(target_side);
    if let Some(place) = on.and_then(Found::place) {
        result.load.target = format!("{}, {place}", result.load.target);
    }
    let result = match http {
        Some(http) => result.with_http(http),
        None => result,
    };
    Ok((result, left))
}

/// Makes the load, and shows its seconds; returns what of its workers could not be taken away as well. One in this process
/// may be turned by `control`.
async fn make(
    assignment: &Assignment,
    size: &Size,
    crew: &Crew,
    process: &Process,
    mut view: View,
    control: Arc<Control>,
) -> Result<(Outcome, Vec<String>), CrewError> {
    let stop = process.stop.child_token();
    let (mut watch, mut aborted) = (Watch::new(&crew.abort_on), None);
    let tell = |second: &Second| {
        if aborted.is_none() && !stop.is_cancelled() {
            aborted = watch.see(second);
        }
        if aborted.is_some() {
            stop.cancel();
        }
        view.see(second);
    };
    let (outcome, left) = match crew.workers {
        1 if crew.pods.is_none() => {
            let plan = Plan {
                fan_out: size.fan_out,
                ..assignment.plan()?
            };
            (drive(plan, control, &stop, tell).await?, Vec::new())
        }
        _ => crew.run(assignment, process, &stop, tell).await?,
    };
    let outcome = match (aborted, outcome.ending) {
        // It was stopped for that, and by nobody else.
        (Some(aborted), Ending::Stopped) => Outcome {
            ending: Ending::Complete,
            aborted: Some(aborted),
            ..outcome
        },
        _ => outcome,
    };
    Ok((outcome, left))
}

/// Says why nothing was loaded; returns the exit code.
pub fn refused(why: NotReady, so: &str, redactor: &Redactor) -> Result<u8, UsageError> {
    match why {
        NotReady::Usage(error) => Err(error),
        NotReady::Interrupted => {
            tell(so);
            Ok(130)
        }
        NotReady::CouldNotTell(why) => {
            tell(&redactor.redact(&why.to_string()));
            tell(so);
            Ok(3)
        }
    }
}

/// Writes a result as JSON.
pub fn write(file: &Path, result: &impl Serialize, redactor: &Redactor) -> Result<(), UsageError> {
    let failed = |error: &dyn std::fmt::Display| UsageError(format!("writing {}: {error}", file.display()));
    let value = serde_json::to_value(result).map_err(|error| failed(&error))?;
    let mut text = serde_json::to_string_pretty(&redactor.redact_json(&value)).map_err(|error| failed(&error))?;
    text.push('\n');
    crate::report::write_file(file, text.as_bytes()).map_err(|error| failed(&error))
}
