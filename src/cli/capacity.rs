//! `gauntlet capacity`.

use std::fmt::Write as _;
use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use clap::{Args, ValueEnum};
use serde::Serialize;

use super::conclude::tell;
use super::load::{
    DoorOptions, NotReady, Ready, Size, View, drive, enough_descriptors, refused, unless_gone, writable, write,
};
use crate::cli::exit::UsageError;
use crate::cli::process::Process;
use crate::load::capacity::{Bound, End, Found, Interval, Search, Trial};
use crate::load::objective::Kept;
use crate::load::result::{Gauntlet, Verdict};
use crate::load::schedule::Arrivals;
use crate::load::{LoadResult, Model, Needs, times};
use crate::redact::Redactor;

/// Attaches of a trial that looks for a rate, at least: fewer say nothing of a quantile.
const FEWEST: u32 = 100;

/// The first number to try, where none is given.
const FROM: u32 = 50;

#[derive(Clone, Debug, Args)]
pub struct CapacityOptions {
    /// Take flags that aren't given from the `load` step of this scenario: its id, with a case of its matrix in brackets,
    /// or its file
    #[arg(value_name = "SCENARIO")]
    pub scenario: Option<String>,
    /// What to maximise
    #[arg(long, value_enum, default_value_t)]
    pub of: Of,
    /// The first number to try [default: 50, or the nearest that --most and the objectives allow]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1 << 20))]
    pub from: Option<u32>,
    /// The largest number to try
    #[arg(long, value_name = "N", default_value = "10000", value_parser = clap::value_parser!(u32).range(1..=1 << 20))]
    pub most: u32,
    /// How close the two ends of the answer must be
    #[arg(long, value_name = "PERCENT", default_value = "4%", value_parser = percent)]
    pub precision: f64,
    /// Trials of each end; a majority decides. With 6, four have to agree, the fewest that give 95 % confidence
    #[arg(long, value_name = "N", default_value = "6", value_parser = clap::value_parser!(u32).range(1..=99))]
    pub trials: u32,
    /// How attaches arrive in each trial [default: 500/s; with --of rate, the rate being tried]
    #[arg(long, value_name = "RATE")]
    pub ramp: Option<Arrivals>,
    /// How long each trial holds all attaches, at least: few are held longer where a quantile of echoes needs it
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
    /// Attaches opened per second, for two seconds or until a quantile has samples enough
    Rate,
}

/// What is no precision of an answer: whoever wrote it on the command line has to correct it.
#[derive(Debug, thiserror::Error)]
#[error("not a share like 4%, from 0.1% to 50%")]
struct InvalidShare;

fn percent(text: &str) -> Result<f64, InvalidShare> {
    let number = text
        .strip_suffix('%')
        .and_then(|number| number.trim().parse::<f64>().ok());
    match number {
        Some(percent) if (0.1..=50.0).contains(&percent) => Ok(percent / 100.0),
        _ => Err(InvalidShare),
    }
}

impl CapacityOptions {
    /// Between which numbers to search.
    fn search(&self, needs: &Needs) -> Result<Search, UsageError> {
        if self.of == Of::Rate && self.ramp.is_some() {
            return Err(UsageError(
                "--ramp and --of rate exclude each other: the rate is what is tried".into(),
            ));
        }
        if self.from.is_some_and(|from| from > self.most) {
            return Err(UsageError("--from is above --most".into()));
        }
        let (least, objective) = match self.of {
            Of::Attaches => needs.least(),
            Of::Rate => (1, ""),
        };
        if least > self.most {
            return Err(UsageError(format!(
                "--most {}: fewer than {least} attaches give too few samples to judge `{objective}`",
                self.most
            )));
        }
        Ok(Search {
            least,
            from: self.from.unwrap_or(FROM).clamp(least, self.most),
            most: self.most,
            precision: self.precision,
            trials: self.trials,
        })
    }

    fn size(&self, number: u32, needs: &Needs) -> Size {
        let (attaches, arrivals) = match self.of {
            Of::Attaches => (number, self.ramp.clone().unwrap_or(Arrivals::Constant(500.0))),
            Of::Rate => (
                number.saturating_mul(2).max(FEWEST).max(needs.least().0),
                Arrivals::Constant(number.into()),
            ),
        };
        Size {
            attaches,
            arrivals,
            model: Model::Open,
            hold: needs.hold(attaches),
            fan_out: false,
        }
    }

    /// What the objectives make of the trials, beside what was asked.
    fn changed(&self, search: &Search, needs: &Needs) -> Vec<String> {
        let mut changed = Vec::new();
        let (least, objective) = needs.least();
        match self.of {
            Of::Attaches if self.from.unwrap_or(FROM) < search.from => changed.push(format!(
                "the search begins with {least} attaches: fewer give too few samples to judge `{objective}`"
            )),
            Of::Rate if least > FEWEST => changed.push(format!(
                "each trial opens at least {least} attaches: fewer give too few samples to judge `{objective}`"
            )),
            _ => {}
        }
        let fewest = self.size(search.least, needs).attaches;
        if let Some((hold, objective)) = needs.longer(fewest) {
            changed.push(format!(
                "few attaches are held longer than {:?}, {fewest} for {hold:?}, so that `{objective}` has samples enough",
                self.hold
            ));
        }
        changed
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
    interval: &'a Interval,
    found: &'a Found,
}

/// Searches; returns the exit code.
pub async fn run(options: CapacityOptions, mut process: Process) -> Result<u8, UsageError> {
    let needs = options.door.needs(options.hold);
    let search = options.search(&needs)?;
    options.door.check_mutants(false)?;
    let redactor = process.redactor.clone();
    if let Err(why) = writable(options.door.out.as_deref()) {
        return refused(why.into(), "no load was made", &redactor);
    }
    let most = options.size(options.most, &needs).attaches;
    if let Err(why) = enough_descriptors(most, process.descriptors) {
        let why = format!("--most {}: {why}", options.most);
        return refused(why.into(), "no load was made", &redactor);
    }
    let mut ready = match Ready::new(&options.door, most, &process, &redactor).await {
        Ok(ready) => ready,
        Err(why) => return refused(why, "no load was made", &redactor),
    };
    if !options.door.quiet {
        let changed = options.changed(&search, &needs);
        changed.iter().for_each(|changed| tell(&redactor.redact(changed)));
    }
    let refusal: Mutex<Option<NotReady>> = Mutex::new(None);
    let wrong: Mutex<Option<String>> = Mutex::new(None);
    let few: Mutex<Option<String>> = Mutex::new(None);
    let found = search
        .run(|number| {
            let (ready, options, process, redactor) = (&ready, &options, &process, &redactor);
            let (needs, refusal, wrong, few) = (&needs, &refusal, &wrong, &few);
            async move {
                match trial(ready, options, (number, needs), process, redactor).await {
                    Ok(tried) => {
                        if let Some(opened) = tried.opened {
                            *lock(wrong) = Some(opened);
                        }
                        *lock(few) = tried.few;
                        tried.trial
                    }
                    Err(why) => {
                        *lock(refusal) = Some(why);
                        Trial::CouldNotTell
                    }
                }
            }
        })
        .await;
    let interval = found.interval();
    let document = Document {
        api_version: "gauntlet/v1",
        kind: "CapacityResult",
        gauntlet: ready.gauntlet().clone(),
        started: process.started.clone(),
        seed: ready.seed(),
        target: ready.target(),
        of: options.of.name(),
        objectives: options.door.objectives().iter().map(ToString::to_string).collect(),
        interval: &interval,
        found: &found,
    };
    ready.end().await;
    let wrong = wrong.into_inner().unwrap_or_default();
    let few = few.into_inner().unwrap_or_default().unwrap_or_default();
    let mut text = told(&found, &interval, &options, (&needs, &few));
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
    problems.iter().for_each(|problem| tell(&redactor.redact(problem)));
    if let Some(why) = refusal.into_inner().unwrap_or_default() {
        return refused(why, "the search ends there", &redactor);
    }
    Ok(match found.end {
        End::Stopped => 130,
        _ if wrong.is_some() => 1,
        End::Found | End::KeptAtMost if problems.is_empty() => 0,
        End::Found | End::KeptAtMost => 3,
        End::BrokenAtOne => 1,
        // Fewer may be kept, and there is no telling.
        End::BrokenAtLeast | End::CouldNotTell | End::TooFewSamples | End::Unstable => 3,
    })
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// What became of one trial.
struct Tried {
    trial: Trial,
    /// The door that opened and must not.
    opened: Option<String>,
    /// The objective that had too few samples, where that is all that was wrong.
    few: Option<String>,
}

/// The objective that had too few samples, where that is all that was wrong.
fn too_few(result: &LoadResult) -> Option<String> {
    let counts = &result.counts;
    let wrong = counts.errors() + counts.probes_opened + counts.probes_otherwise > 0
        || result.objectives.iter().any(|judged| judged.kept == Kept::No);
    let mut judged = result.objectives.iter();
    let few = judged.find(|judged| judged.kept == Kept::NotEnoughSamples);
    few.filter(|_| !wrong)
        .map(|judged| format!("{}: {}", judged.objective, judged.found))
}

/// Makes one load.
async fn trial(
    ready: &Ready<'_>,
    options: &CapacityOptions,
    (number, needs): (u32, &Needs),
    process: &Process,
    redactor: &Redactor,
) -> Result<Tried, NotReady> {
    let size = options.size(number, needs);
    let plan = ready.assignment(&size, 1)?.plan()?;
    let mut view = View::of_trial(options.door.quiet, &size, process);
    let outcome = drive(plan, Arc::default(), &process.stop, |second| view.see(second)).await?;
    drop(view);
    let result = ready.result(&size, outcome, None);
    let few = too_few(&result);
    let trial = match result.verdict {
        // Attaches that came late came at another rate.
        Verdict::Pass if options.of == Of::Rate && result.generator.saturated => Trial::CouldNotTell,
        Verdict::Pass => Trial::Kept,
        Verdict::Fail if few.is_some() => Trial::TooFewSamples,
        Verdict::Fail => Trial::Broken,
        Verdict::Error => Trial::CouldNotTell,
        Verdict::Interrupted => Trial::Stopped,
    };
    if !options.door.quiet {
        let word = match trial {
            Trial::Kept => "kept",
            Trial::Broken => "broken",
            Trial::CouldNotTell => "could not tell",
            Trial::TooFewSamples => "too few samples",
            Trial::Stopped => "stopped",
        };
        let why = result.reasons.first().map(|why| format!(": {why}")).unwrap_or_default();
        let line = format!("{:>7}  {word}{why}", options.of.with(number));
        let _closed = writeln!(std::io::stderr(), "{}", redactor.redact(&line));
    }
    let opened = result.counts.probes_opened;
    Ok(Tried {
        trial,
        opened: (opened > 0).then(|| format!("the door opened {} without the right token, at {number}", times(opened))),
        few,
    })
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
fn told(found: &Found, interval: &Interval, options: &CapacityOptions, (needs, few): (&Needs, &str)) -> String {
    let mut out = String::from("\n");
    let with = |number: Option<u32>| number.map_or("none".to_owned(), |number| options.of.with(number));
    let line = match found.end {
        End::Found => format!("capacity: {}, and less than {}", with(found.kept), with(found.broken)),
        End::KeptAtMost => format!("capacity: at least {}, the most that was tried", with(found.kept)),
        End::BrokenAtOne => "capacity: none; not even one keeps the objectives".to_owned(),
        End::BrokenAtLeast => format!(
            "could not tell: {} are broken, and fewer can't be judged by `{}`",
            with(found.broken),
            needs.least().1
        ),
        End::TooFewSamples => format!(
            "could not tell: {few}; a longer --hold, a shorter --echo-every or a larger --from gives more; kept up to \
             then: {}",
            with(found.kept)
        ),
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
    let confidence = interval.confidence * 100.0;
    for bound in [&interval.kept, &interval.broken].into_iter().flatten() {
        let Bound {
            load,
            trials,
            kept,
            share: [low, high],
        } = bound;
        let _written = writeln!(
            out,
            "  {}: kept in {kept} of {trials} trials, so in {:.0} to {:.0} % of all ({confidence:.0} % confidence)",
            options.of.with(*load),
            low * 100.0,
            high * 100.0
        );
    }
    if found.end.is_over() && !interval.confirmed {
        let _written = writeln!(
            out,
            "  not {confidence:.0} % sure that most trials of each would come out like that; more --trials make it surer"
        );
    }
    out
}
