//! `gauntlet capacity`.

use std::fmt::Write as _;
use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use clap::{Args, ValueEnum};
use serde::Serialize;

use super::load::{DoorOptions, NotReady, Ready, Size, View, drive, refused, unless_gone, writable, write};
use crate::cli::exit::UsageError;
use crate::cli::process::Process;
use crate::load::capacity::{End, Found, Search, Trial};
use crate::load::result::{Gauntlet, Verdict};
use crate::load::schedule::Arrivals;
use crate::load::times;
use crate::redact::Redactor;

/// Attaches of a trial that looks for a rate, at least: fewer say nothing of a quantile.
const FEWEST: u32 = 100;

#[derive(Clone, Debug, Args)]
pub struct CapacityOptions {
    /// What to maximise
    #[arg(long, value_enum, default_value_t)]
    pub of: Of,
    /// The first number to try
    #[arg(long, value_name = "N", default_value = "50", value_parser = clap::value_parser!(u32).range(1..=1 << 20))]
    pub from: u32,
    /// The largest number to try
    #[arg(long, value_name = "N", default_value = "10000", value_parser = clap::value_parser!(u32).range(1..=1 << 20))]
    pub most: u32,
    /// How close the two ends of the answer must be
    #[arg(long, value_name = "PERCENT", default_value = "4%", value_parser = percent)]
    pub precision: f64,
    /// Trials of each end; a majority decides
    #[arg(long, value_name = "N", default_value = "3", value_parser = clap::value_parser!(u32).range(1..=99))]
    pub trials: u32,
    /// How attaches arrive in each trial [default: 500/s; with --of rate, the rate being tried]
    #[arg(long, value_name = "RATE")]
    pub ramp: Option<Arrivals>,
    /// How long each trial holds all attaches
    #[arg(long, value_name = "DURATION", default_value = "2s", value_parser = super::load::time)]
    pub hold: Duration,
    #[command(flatten)]
    pub door: DoorOptions,
}

/// What to maximise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Of {
    /// Attaches open at once
    #[default]
    Attaches,
    /// Attaches opened per second, for two seconds
    Rate,
}

fn percent(text: &str) -> Result<f64, String> {
    let number = text
        .strip_suffix('%')
        .and_then(|number| number.trim().parse::<f64>().ok());
    match number {
        Some(percent) if (0.1..=50.0).contains(&percent) => Ok(percent / 100.0),
        _ => Err("not a share like 4%, from 0.1% to 50%".to_owned()),
    }
}

impl CapacityOptions {
    fn check(&self) -> Result<(), UsageError> {
        if self.of == Of::Rate && self.ramp.is_some() {
            return Err(UsageError(
                "--ramp and --of rate exclude each other: the rate is what is tried".into(),
            ));
        }
        match self.from > self.most {
            true => Err(UsageError("--from is above --most".into())),
            false => Ok(()),
        }
    }

    fn size(&self, number: u32) -> Size {
        match self.of {
            Of::Attaches => Size {
                attaches: number,
                arrivals: self.ramp.clone().unwrap_or(Arrivals::Constant(500.0)),
                hold: self.hold,
                fan_out: false,
            },
            Of::Rate => Size {
                attaches: number.saturating_mul(2).max(FEWEST),
                arrivals: Arrivals::Constant(number.into()),
                hold: self.hold,
                fan_out: false,
            },
        }
    }
}

/// The document of `--out`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Document<'a> {
    api_version: &'static str,
    kind: &'static str,
    gauntlet: Gauntlet,
    /// RFC 3339.
    started: String,
    target: String,
    seed: u64,
    of: &'static str,
    objectives: Vec<String>,
    found: &'a Found,
}

/// Searches; returns the exit code.
pub async fn run(options: CapacityOptions, mut process: Process) -> Result<u8, UsageError> {
    options.check()?;
    let redactor = process.redactor.clone();
    if let Err(why) = writable(options.door.out.as_deref()) {
        return refused(why.into(), "no load was made", &redactor);
    }
    let most = options.size(options.most).attaches;
    let mut ready = match Ready::new(&options.door, most, &process, &redactor).await {
        Ok(ready) => ready,
        Err(why) => return refused(why, "no load was made", &redactor),
    };
    let search = Search {
        from: options.from,
        most: options.most,
        precision: options.precision,
        trials: options.trials,
    };
    let refusal: Mutex<Option<NotReady>> = Mutex::new(None);
    let wrong: Mutex<Option<String>> = Mutex::new(None);
    let found = search
        .run(|number| {
            let (ready, options, process, redactor) = (&ready, &options, &process, &redactor);
            let (refusal, wrong) = (&refusal, &wrong);
            async move {
                match trial(ready, options, number, process, redactor).await {
                    Ok((trial, opened)) => {
                        if let Some(opened) = opened {
                            *lock(wrong) = Some(opened);
                        }
                        trial
                    }
                    Err(why) => {
                        *lock(refusal) = Some(why);
                        Trial::CouldNotTell
                    }
                }
            }
        })
        .await;
    let document = Document {
        api_version: "gauntlet/v1",
        kind: "CapacityResult",
        gauntlet: ready.gauntlet().clone(),
        started: process.started.clone(),
        seed: ready.seed(),
        target: ready.target(),
        of: options.of.name(),
        objectives: options.door.objectives().iter().map(ToString::to_string).collect(),
        found: &found,
    };
    ready.end().await;
    let wrong = wrong.into_inner().unwrap_or_default();
    let mut text = told(&found, &options);
    if let Some(wrong) = &wrong {
        text.push_str(&format!("  {wrong}: that is a failure at any load\n"));
    }
    let told = process
        .stdout
        .write_all(text.as_bytes())
        .and_then(|()| process.stdout.flush());
    let mut problems: Vec<String> = unless_gone(told).into_iter().collect();
    if let Some(file) = &options.door.out {
        problems.extend(write(file, &document, &redactor).err().map(|UsageError(why)| why));
    }
    problems
        .iter()
        .for_each(|problem| super::conclude::tell(&redactor.redact(problem)));
    if let Some(why) = refusal.into_inner().unwrap_or_default() {
        return refused(why, "the search ends there", &redactor);
    }
    Ok(match found.end {
        End::Stopped => 130,
        _ if wrong.is_some() => 1,
        End::Found | End::KeptAtMost if problems.is_empty() => 0,
        End::Found | End::KeptAtMost => 3,
        End::BrokenAtOne => 1,
        End::CouldNotTell | End::Unstable => 3,
    })
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// Makes one load; says how it ended, and which door opened that must not.
async fn trial(
    ready: &Ready<'_>,
    options: &CapacityOptions,
    number: u32,
    process: &Process,
    redactor: &Redactor,
) -> Result<(Trial, Option<String>), NotReady> {
    let size = options.size(number);
    let plan = ready.assignment(&size, 1)?.plan()?;
    let mut view = View::of_trial(options.door.quiet, &size, process);
    let outcome = drive(plan, Arc::default(), &process.stop, |second| view.see(second)).await?;
    drop(view);
    let result = ready.result(&size, outcome, None);
    let trial = match result.verdict {
        // Attaches that came late came at another rate.
        Verdict::Pass if options.of == Of::Rate && result.generator.saturated => Trial::CouldNotTell,
        Verdict::Pass => Trial::Kept,
        Verdict::Fail => Trial::Broken,
        Verdict::Error => Trial::CouldNotTell,
        Verdict::Interrupted => Trial::Stopped,
    };
    if !options.door.quiet {
        let word = match trial {
            Trial::Kept => "kept",
            Trial::Broken => "broken",
            Trial::CouldNotTell => "could not tell",
            Trial::Stopped => "stopped",
        };
        let why = result.reasons.first().map(|why| format!(": {why}")).unwrap_or_default();
        let line = format!("{:>7}  {word}{why}", options.of.with(number));
        let _closed = writeln!(std::io::stderr(), "{}", redactor.redact(&line));
    }
    let opened = result.counts.probes_opened;
    Ok((
        trial,
        (opened > 0).then(|| format!("the door opened {} without the right token, at {number}", times(opened))),
    ))
}

impl Of {
    fn name(self) -> &'static str {
        match self {
            Of::Attaches => "attaches",
            Of::Rate => "rate",
        }
    }

    fn with(self, number: u32) -> String {
        match self {
            Of::Attaches => format!("{number} attaches"),
            Of::Rate => format!("{number} attaches/s"),
        }
    }
}

/// The answer in text.
fn told(found: &Found, options: &CapacityOptions) -> String {
    let mut out = String::from("\n");
    let with = |number: Option<u32>| number.map_or("none".to_owned(), |number| options.of.with(number));
    let line = match found.end {
        End::Found => format!("capacity: {}, and less than {}", with(found.kept), with(found.broken)),
        End::KeptAtMost => format!("capacity: at least {}, the most that was tried", with(found.kept)),
        End::BrokenAtOne => "capacity: none; not even one keeps the objectives".to_owned(),
        End::CouldNotTell => format!(
            "could not tell: the generator or this machine was the limit; kept up to then: {}",
            with(found.kept)
        ),
        End::Stopped => format!("stopped; kept up to then: {}", with(found.kept)),
        End::Unstable => format!(
            "unstable: the same load is now kept, now broken; about {} to {}",
            with(found.kept),
            with(found.broken)
        ),
    };
    // Writing into memory doesn't fail.
    let _written = writeln!(out, "{line}");
    for objective in options.door.objectives() {
        let _written = writeln!(out, "  objective  {objective}");
    }
    for number in [found.kept, found.broken].into_iter().flatten() {
        let tally = found.trials[&number];
        let _written = writeln!(
            out,
            "  {}: kept in {} of {} trials",
            options.of.with(number),
            tally.kept,
            tally.kept + tally.broken
        );
    }
    out
}
