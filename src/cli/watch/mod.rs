//! `gauntlet watch`: rounds at an interval, a history of them, and metrics.
//!
//! Only scenarios that observe a platform or use it: what disrupts one has no place beside its users.

mod history;
mod metrics;
mod round;
mod said;
mod server;
mod tally;

use std::collections::BTreeSet;
use std::io;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use jiff::Timestamp;
use tokio::net::TcpListener;
use tokio::time::{Instant, sleep_until};
use tokio_util::task::AbortOnDropHandle;

use super::conclude::{not_run, tell};
use super::profile::{Effective, effective};
use super::run::{mutants, through};
use super::selection::select;
use super::target::TargetOptions;
use super::{LevelName, Selection, TargetName, at_least_one, duration, reproduce_flags};
use crate::cli::exit::UsageError;
use crate::cli::process::Process;
use crate::runner::eligibility::intrusion;
use crate::runner::plan::{Levels, Planned};
use crate::scenario::Scenario;
use crate::vocabulary::Intrusion;
use history::{History, Opened};
use metrics::Constant;
use round::{Ended, Heard, Watching, round};
use said::{Said, changed};
use server::{Known, serve};
use tally::{Round, Tally};

/// The folder for evidence and the history, by default: not that of `gauntlet run`, whose folders stay.
const REPORTS: &str = "reports/watch";

/// The history's name in that folder.
const HISTORY: &str = "history.jsonl";

/// Time limit of a scenario, where neither it nor the command line says one, at most.
const TIMEOUT: Duration = Duration::from_secs(300);

/// How much longer than that there may be no sign of life.
const GRACE: Duration = Duration::from_secs(120);

#[derive(Clone, Debug, Args)]
pub struct Watch {
    #[command(flatten)]
    pub selection: Selection,
    /// From the start of a round to the start of the next
    #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "5m")]
    pub every: Duration,
    /// Serve /metrics (OpenMetrics) and /healthz here, as 127.0.0.1:9464; port 0 is any free one
    #[arg(long, value_name = "ADDR")]
    pub listen: Option<String>,
    #[command(flatten)]
    pub target: TargetOptions,
    /// Which levels
    #[arg(long, value_enum, default_value = "core")]
    pub level: LevelName,
    /// The installation's names and policies [default: the reference platform's]
    #[arg(long, value_name = "FILE")]
    pub profile: Option<PathBuf>,
    /// Set a name or policy on top of the profile: secret.name=my-env, token.precedence=reject
    #[arg(long, value_name = "NAME=VALUE")]
    pub set: Vec<String>,
    /// The file that each round adds a line of JSON to [default: history.jsonl in the folder for evidence]
    #[arg(long, value_name = "FILE")]
    pub history: Option<PathBuf>,
    /// Keep at most N rounds there
    #[arg(long, value_name = "N", default_value = "2000", value_parser = at_least_one::<NonZeroUsize>, allow_negative_numbers = true)]
    pub keep_history: NonZeroUsize,
    /// The folder for evidence: each round with a failure creates its own folder there [default: reports/watch]
    #[arg(long, value_name = "DIR")]
    pub reports: Option<PathBuf>,
    /// Keep only the newest N of those folders
    #[arg(long, value_name = "N", default_value = "100", value_parser = at_least_one::<NonZeroUsize>, allow_negative_numbers = true)]
    pub keep_reports: NonZeroUsize,
    /// Scenarios run at once [default: 4 per processor; 1 on a platform that isn't ours]
    #[arg(long, short, value_name = "N", value_parser = at_least_one::<NonZeroUsize>, allow_negative_numbers = true)]
    pub jobs: Option<NonZeroUsize>,
    /// Time limit of a scenario without one of its own [default: 60s; on a cluster 5m]
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub timeout: Option<Duration>,
    /// embedded: start the reference platform with these defects
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub mutant: Vec<String>,
    /// Print only changes of verdicts
    #[arg(long, short)]
    pub quiet: bool,
}

/// Watches until it is told to end; returns the exit code.
pub async fn watch(options: Watch, scenarios: Vec<Scenario>, mut process: Process) -> Result<u8, UsageError> {
    let allowed = check(&options)?;
    let selected = select(&scenarios, &options.selection.selectors, options.level)?;
    let Effective { profile, digest } = effective(options.profile.as_deref(), &options.set, options.target.target)?;
    let goes = options.target.gateways.goes(options.target.target, &profile);
    let selected = through(selected.plan(1), &goes)?;
    let (planned, of) = within(selected, allowed, options.target.probe_listen.is_some())?;
    let codex = match options.target.codex(&planned, &process).await {
        Ok(codex) => codex.map(|(codex, _)| codex).unwrap_or_default(),
        Err(error) => return Ok(not_run(&error.to_string())),
    };
    let defects = mutants(&options.mutant)?;
    let reports = options.reports.clone().unwrap_or_else(|| REPORTS.into());
    let file = options.history.clone().unwrap_or_else(|| reports.join(HISTORY));
    let Opened { history, rounds, notes } =
        History::open(file, options.keep_history).map_err(|error| UsageError(error.to_string()))?;
    notes.iter().for_each(|note| tell(note));
    let watching = Watching {
        named: named(&options.target),
        flags: reproduce_flags::of(&reproduce_flags::Decisive {
            target: &options.target,
            scenarios: options.selection.scenarios.as_deref(),
            profile: options.profile.as_deref(),
            reports: None,
            set: &options.set,
            timeout: options.timeout,
        }),
        target: options.target,
        profile,
        digest,
        selection: options.selection.selectors,
        level: Levels::from(options.level).name().into(),
        codex,
        mutants: defects,
        jobs: options.jobs,
        timeout: options.timeout,
        reports,
        keep_reports: options.keep_reports,
        planned,
    };
    let constant = Constant {
        version: process.version.to_owned(),
        target: watching.target.target.name().to_owned(),
        every: options.every,
    };
    let patience = options.every + longest(&watching) + GRACE;
    let known = Arc::new(Known::new(constant, patience, before(&watching, &rounds)));
    let mut said = Said {
        out: std::mem::replace(&mut process.stdout, Box::new(io::sink())),
        quiet: options.quiet,
    };
    said.line(&format!(
        "watching {} of {of} selected runs every {}: those that {}",
        watching.planned.len(),
        crate::vocabulary::duration::show(options.every),
        match allowed {
            Intrusion::Observe => "only observe; `--allow use` has those too that create sessions of their own",
            _ => "observe, or create sessions of their own",
        }
    ));
    let _serving = match &options.listen {
        Some(address) => Some(listen(address, known.clone(), &mut said).await?),
        None => None,
    };
    rounds_until_stopped(&watching, &mut process, history, &known, &mut said).await
}

/// Refuses what isn't for watching; gives the most that may be done to the platform.
fn check(options: &Watch) -> Result<Intrusion, UsageError> {
    options.target.check()?;
    let is_ours = match options.target.target {
        TargetName::Kind => {
            return Err(UsageError(
                "watch needs a platform that is there before it and stays: `--target cluster` is one on any cluster, one \
                 of kind's too"
                    .into(),
            ));
        }
        TargetName::Embedded => true,
        TargetName::Cluster | TargetName::Url => false,
    };
    if !options.mutant.is_empty() && !is_ours {
        return Err(UsageError(
            "--mutant breaks the reference platform, and the target is one that isn't ours".into(),
        ));
    }
    let allowed = match is_ours {
        true => Intrusion::Use,
        false => options.target.allowed(),
    };
    match allowed > Intrusion::Use {
        true => Err(UsageError(format!(
            "--allow {}: watch never does what disrupts or attacks a platform; `--allow use` is the most",
            allowed.name()
        ))),
        false => Ok(allowed),
    }
}

/// The runs that do no more than is allowed, and how many there are in all.
fn within(
    mut planned: Vec<Planned>,
    allowed: Intrusion,
    probe_listens: bool,
) -> Result<(Vec<Planned>, usize), UsageError> {
    let of = planned.len();
    let does = |run: &Planned| intrusion(run, probe_listens);
    let with_use = planned.iter().any(|run| does(run) <= Intrusion::Use);
    planned.retain(|run| does(run) <= allowed);
    if !planned.is_empty() {
        return Ok((planned, of));
    }
    let more = match with_use {
        true => "`--allow use` permits those too that create sessions of their own",
        false => "what disrupts or attacks a platform is never done by watch",
    };
    Err(UsageError(match of {
        1 => format!("the selected run does more than is allowed: {more}"),
        _ => format!("all {of} selected runs do more than is allowed: {more}"),
    }))
}

/// The target with its place: what an earlier process found elsewhere says nothing of it.
fn named(target: &TargetOptions) -> String {
    let place = [&target.context, &target.namespace];
    let place = place.into_iter().flatten().map(String::as_str);
    let parts: Vec<&str> = [target.target.name()].into_iter().chain(place).collect();
    parts.join("/")
}

/// What an earlier process knew of the same rules of the same target.
fn before(watching: &Watching, rounds: &[Round]) -> Tally {
    let is_same = |round: &&Round| round.target == watching.named && round.profile == watching.digest;
    let rounds: Vec<Round> = rounds.iter().filter(is_same).cloned().collect();
    let mut tally = Tally::of_history(&rounds);
    let watched: BTreeSet<(String, String)> = watching
        .planned
        .iter()
        .map(|run| (run.run.id.clone(), run.run.values()))
        .collect();
    tally.rules.retain(|rule, _| watched.contains(rule));
    tally
}

/// The longest time that a scenario may take.
fn longest(watching: &Watching) -> Duration {
    let usual = watching.timeout.unwrap_or(TIMEOUT);
    let own = watching.planned.iter().filter_map(|run| run.scenario.timeout);
    own.fold(usual, Duration::max)
}

/// Serves what is known until the handle is dropped.
async fn listen(address: &str, known: Arc<Known>, said: &mut Said) -> Result<AbortOnDropHandle<()>, UsageError> {
    let failed = |error: io::Error| UsageError(format!("--listen {address}: {error}"));
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    said.line(&format!("metrics at http://{address}/metrics"));
    Ok(AbortOnDropHandle::new(tokio::spawn(serve(listener, known))))
}

/// Rounds at their times. They never overlap: a start that comes while one goes on is left out.
async fn rounds_until_stopped(
    watching: &Watching,
    process: &mut Process,
    mut history: History,
    known: &Known,
    said: &mut Said,
) -> Result<u8, UsageError> {
    let (every, stop) = (known.constant.every, process.stop.clone());
    let mut due = Instant::now();
    let mut number = 0_u64;
    let mut unreached: Option<String> = None;
    loop {
        number += 1;
        let ended = round(watching, process, |heard| {
            known.is_alive();
            if let Heard::Judged(judged) = heard {
                let change = known.tally().judge(&judged, Timestamp::now());
                if let Some(change) = change {
                    said.line(&changed(change, &judged));
                }
            }
        })
        .await;
        let (done, goes_on) = match ended {
            Ended::Whole(done) => (done, true),
            Ended::Interrupted(done) => (done, false),
            Ended::Wrong(error, _) if number == 1 => return Err(error),
            // It was right before: a file of it may be back by the next round.
            Ended::Wrong(_, done) => (done, true),
        };
        known.is_alive();
        if (goes_on || !done.rules.is_empty())
            && let Err(error) = history.add(&done)
        {
            tell(&format!("the round could not be added to the history: {error}"));
        }
        if !goes_on {
            break;
        }
        known.tally().ended(&done);
        if done.not_judged != unreached {
            said.line(&match &done.not_judged {
                Some(why) => format!("nothing could be judged: {why}"),
                None => "the target can be judged again".to_owned(),
            });
            unreached.clone_from(&done.not_judged);
        }
        said.of_round(number, &done);
        due += every;
        let late = Instant::now().saturating_duration_since(due);
        let skipped = missed(late, every);
        if skipped > 0 {
            due += every * skipped;
            known.tally().skipped += u64::from(skipped);
            let starts = if skipped == 1 { "start is" } else { "starts are" };
            said.line(&format!(
                "round {number} took {:.1} s, longer than the interval: {skipped} {starts} left out",
                done.duration_ms / 1e3
            ));
        }
        tokio::select! {
            () = sleep_until(due) => {}
            () = stop.cancelled() => break,
        }
        known.is_alive();
    }
    said.line("ended, as it was told to");
    Ok(0)
}

/// How many starts were missed by one that is so late: the next one is in the future.
fn missed(late: Duration, every: Duration) -> u32 {
    if late.is_zero() {
        return 0;
    }
    let whole = late.as_nanos().div_ceil(every.as_nanos().max(1));
    u32::try_from(whole).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_start_is_in_the_future() {
        let of = |late: u64, every: u64| missed(Duration::from_millis(late), Duration::from_millis(every));
        assert_eq!(of(0, 300), 0);
        assert_eq!(of(1, 300), 1);
        assert_eq!(of(300, 300), 1);
        assert_eq!(of(301, 300), 2);
        assert_eq!(missed(Duration::MAX, Duration::from_nanos(1)), u32::MAX);
    }
}
