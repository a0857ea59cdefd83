//! One round: the target found, all that is watched run once, the target left.

use std::io;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::tally::{Judged, Round};
use crate::cli::conclude::tell;
use crate::cli::exit::UsageError;
use crate::cli::process::{IN_RUNS, Process};
use crate::cli::run::shared;
use crate::cli::target::{self, NotStarted, TargetOptions};
use crate::events::{Event, RunInfo, RunVerdict, ScenarioResult, seed};
use crate::expected::Expected;
use crate::platform::Mutant;
use crate::profile::Profile;
use crate::redact::Redactor;
use crate::report::{ConsoleSettings, Finished, Reporters, RunFolder, Settings, Streams, evidence_of, one_line};
use crate::runner::context::{Flags, RunContext};
use crate::runner::plan::Planned;
use crate::runner::run::{Terms, run as run_all};
use crate::world::codex::Codex;

/// What each round does, and on what.
pub struct Watching {
    pub target: TargetOptions,
    /// The target with its place, as lines of the history name it.
    pub named: String,
    pub profile: Profile,
    pub digest: Option<String>,
    pub planned: Vec<Planned>,
    pub selection: Vec<String>,
    pub level: String,
    pub codex: Codex,
    pub flags: Flags,
    pub mutants: Vec<&'static Mutant>,
    pub jobs: Option<NonZeroUsize>,
    pub timeout: Option<Duration>,
    pub reports: PathBuf,
    pub keep_reports: NonZeroUsize,
}

/// What is heard of a round while it goes on.
pub enum Heard {
    /// Something goes on.
    Alive,
    Judged(Judged),
}

/// How a round ended.
pub enum Ended {
    Whole(Round),
    /// By a signal: with what was judged until then.
    Interrupted(Round),
    /// The command line is wrong, as far as that can only be told with the target: nothing was judged.
    Wrong(UsageError, Round),
}

/// Carries out a round.
pub async fn round(watching: &Watching, process: &mut Process, mut heard: impl FnMut(Heard)) -> Ended {
    let (started, since) = (Timestamp::now(), Instant::now());
    // The secrets of a round are of no other one: what knows them all would grow without end.
    process.redactor = Redactor::new();
    process.started = started.to_string();
    let redactor = process.redactor.clone();
    let round = |rules: Vec<Judged>, not_judged: Option<String>| Round {
        started,
        target: watching.named.clone(),
        profile: watching.digest.clone(),
        duration_ms: millis(since.elapsed()),
        not_judged,
        rules,
    };
    let nothing = |why: &str| Ended::Whole(round(Vec::new(), Some(one_line(&redactor.redact(why)))));
    let mut planned = watching.planned.clone();
    let found = match target::start(&watching.target, &watching.profile, &mut planned, process).await {
        Ok(found) => found,
        Err(NotStarted::Usage(error)) => {
            let why = one_line(&redactor.redact(&error.to_string()));
            return Ended::Wrong(error, round(Vec::new(), Some(why)));
        }
        Err(NotStarted::Failed(error)) => return nothing(&error.to_string()),
        Err(NotStarted::Interrupted) => return Ended::Interrupted(round(Vec::new(), None)),
    };
    let folder = RunFolder::new(watching.reports.clone(), started);
    // For the evidence; what would be printed is not for a person who looks at months of it.
    let settings = Settings::new(ConsoleSettings::default(), folder.clone());
    let streams = Streams {
        stdout: Box::new(io::sink()),
        stderr: Box::new(io::sink()),
    };
    let mut reporters = Reporters::new(&[], &settings, streams, redactor.clone());
    let names = Arc::new(watching.profile.names.clone());
    if let Some(problem) = reporters.problems().first().map(ToString::to_string) {
        found.end(false, &names).await;
        return nothing(&problem);
    }
    let seed = seed::random();
    let shared = Arc::new(RunContext {
        names: names.clone(),
        policies: watching.profile.policies.clone(),
        routes: watching.profile.routes.clone(),
        flags: watching.flags.clone(),
        limits: found.limits(),
        timeout: watching.timeout.unwrap_or_else(|| found.timeout()),
        codex: watching.codex.clone(),
        ..shared(&found.target, process, &redactor, seed, watching.mutants.clone())
    });
    match found.start_gateways(&planned, &process.stop).await {
        Some(Ok(())) => {}
        Some(Err(why)) => {
            found.end(false, &names).await;
            return nothing(&why.to_string());
        }
        None => {
            found.end(false, &names).await;
            return Ended::Interrupted(round(Vec::new(), None));
        }
    }
    let terms = Terms {
        jobs: found.jobs(watching.jobs, IN_RUNS, process),
        fail_fast: false,
        allow_partial: true,
        expected: Expected::default(),
        retries: 0,
        flaky_passes: false,
        notes: Vec::new(),
    };
    let info = RunInfo {
        version: process.version.to_owned(),
        commit: process.commit.map(str::to_owned),
        started: process.started.clone(),
        seed,
        target: watching.target.target.name().into(),
        selection: watching.selection.clone(),
        level: watching.level.clone(),
        profile_digest: watching.digest.clone(),
        mutants: watching.mutants.iter().map(|mutant| mutant.name.to_owned()).collect(),
        scenarios: planned.len(),
    };
    let mut rules = Vec::new();
    let result = run_all(planned, shared, terms, info, |event| {
        reporters.event(&event);
        heard(match &event {
            Event::ScenarioFinished(result) if !result.interrupted => {
                let judged = judged(result, &folder, &redactor);
                rules.push(judged.clone());
                Heard::Judged(judged)
            }
            _ => Heard::Alive,
        });
    })
    .await;
    let finished = reporters.finish();
    found.end(result.verdict == RunVerdict::Passed, &names).await;
    tell_of(&finished, &redactor);
    folder.notes().iter().for_each(|note| tell(note));
    folder
        .keep_newest(watching.keep_reports.get())
        .iter()
        .for_each(|note| tell(note));
    match result.verdict {
        RunVerdict::Interrupted => Ended::Interrupted(round(rules, None)),
        _ => Ended::Whole(round(rules, None)),
    }
}

/// A result as it is kept. Its evidence is written by now.
fn judged(result: &ScenarioResult, folder: &RunFolder, redactor: &Redactor) -> Judged {
    let text = |text: &str| one_line(&redactor.redact(text));
    Judged {
        rule: text(&result.run.id),
        case: text(&result.run.values()),
        verdict: result.verdict,
        duration_ms: millis(result.duration),
        attaches_ms: result.attaches.iter().copied().map(millis).collect(),
        reason: result.reason.as_deref().map(text),
        evidence: evidence_of(folder, result),
    }
}

/// What could not be kept, and secrets in what was.
fn tell_of(finished: &Finished, redactor: &Redactor) {
    for problem in &finished.problems {
        tell(&redactor.redact(&problem.to_string()));
    }
    match finished.audit(redactor) {
        Ok(leaks) => leaks.iter().for_each(|leak| tell(&redactor.redact(&leak.to_string()))),
        Err(error) => tell(&redactor.redact(&error.to_string())),
    }
}

/// To the microsecond.
fn millis(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}
