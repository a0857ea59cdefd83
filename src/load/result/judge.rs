//! Puts the result of a load together, and judges it.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;

use super::{FannedOut, Gauntlet, Generator, Load, LoadResult, Platform, Verdict, latencies};
use crate::load::cost::Cost;
use crate::load::failure::Failure;
use crate::load::metric::Metric;
use crate::load::objective::{Judged, Kept, Measured, Objective};
use crate::load::outcome::{Ending, Outcome};
use crate::load::recorder::Counts;
use crate::load::summary::{attaches, times};

/// The least processor time that is divided among attaches or echoes: the kernel counts it in ticks of mostly 10 ms, and
/// fewer than twenty say little of each.
const LEAST_PROCESSOR: Duration = Duration::from_millis(200);

/// Of the schedule's lag, the most that still leaves latencies the platform's: milliseconds, and the share of an
/// objective's limit.
const MOST_LAG: f64 = 10.0;
const MOST_LAG_SHARE: f64 = 0.05;

/// The fewest late moments that say so: of less than two hundred a single one would be the p99.
const FEWEST_LATE: u64 = 3;

/// Whether the schedule's lag leaves no latency the platform's, where so many milliseconds are allowed.
pub(super) fn is_late(lag: &Histogram<u64>, allowed: f64) -> bool {
    let allowed = (allowed * 1000.0) as u64;
    lag.value_at_quantile(0.99) > allowed && lag.count_between(allowed, lag.max()) >= FEWEST_LATE
}

impl LoadResult {
    /// Puts the result of a load together, and judges it.
    pub fn new(
        (gauntlet, started): (Gauntlet, String),
        load: Load,
        outcome: Outcome,
        objectives: &[Objective],
        platform: Option<Platform>,
    ) -> LoadResult {
        let recorder = outcome.recorder;
        let lag = recorder.whole.of(Metric::Lag);
        let lag_p99 = lag.value_at_quantile(0.99) as f64 / 1000.0;
        let allowed = objectives
            .iter()
            .filter(|objective| objective.metric() != Some(Metric::Lag))
            .filter_map(Objective::latency_limit)
            .map(|limit| limit * MOST_LAG_SHARE)
            .fold(MOST_LAG, f64::min);
        let saturated = is_late(lag, allowed);
        let measured = Measured {
            counts: &recorder.counts,
            whole: &recorder.whole,
            steady: &recorder.steady,
            saturated,
        };
        let objectives: Vec<Judged> = objectives.iter().map(|objective| objective.judge(&measured)).collect();
        let costs = outcome.costs;
        let per = |amount: f64, count: u64| (count > 0).then(|| amount / count as f64);
        let held = costs.held.map(|held| held.since(&costs.before));
        let echoed = costs.held.zip(costs.after).map(|(held, after)| after.since(&held));
        let counts = &recorder.counts;
        let generator = Generator {
            processes: outcome.processes,
            lag_p99,
            saturated,
            before: costs.before,
            end: costs.end,
            bytes_per_attach: held.and_then(|held| per(held.resident as f64, outcome.most_open)),
            milliseconds_per_attach: held
                .filter(tells)
                .and_then(|held| per(held.processor().as_secs_f64() * 1e3, counts.opened)),
            milliseconds_per_tls: per(counts.tls_full_nanoseconds as f64 / 1e6, counts.tls_full),
            milliseconds_per_tls_resumed: per(counts.tls_resumed_nanoseconds as f64 / 1e6, counts.tls_resumed),
            microseconds_per_echo: echoed
                .filter(tells)
                .and_then(|used| per(used.processor().as_secs_f64() * 1e6, recorder.steady_echoes)),
            user_microseconds_per_echo: echoed
                .filter(tells)
                .and_then(|used| per(used.user.as_secs_f64() * 1e6, recorder.steady_echoes)),
        };
        let local: u64 = recorder
            .failures
            .iter()
            .chain(&recorder.probe_failures)
            .filter(|(failure, _)| failure.is_local())
            .map(|(_, count)| count)
            .sum();
        let mut reasons = outcome.lost_workers;
        let lost = !reasons.is_empty();
        let mut verdict = match outcome.ending {
            Ending::Complete => Verdict::Pass,
            Ending::Stopped => Verdict::Interrupted,
        };
        if saturated {
            reasons.push(format!(
                "the generator was itself the limit: its lag has a p99 of {lag_p99:.1} ms, {allowed:.1} ms is the most; \
                 latencies are none of the platform's"
            ));
        }
        if local > 0 {
            reasons.push(format!(
                "this machine was the limit {}: see the failures that begin with `local`",
                times(local)
            ));
        }
        let could_not_tell = objectives.iter().any(|judged| judged.kept == Kept::CouldNotTell);
        // A late generator has made the same attaches: what became of them stands, and only latencies don't.
        if (local > 0 || could_not_tell || lost) && verdict == Verdict::Pass {
            verdict = Verdict::Error;
        }
        // A load that ended early left handshakes under way, of which the platform may have counted some.
        let whole = outcome.ending == Ending::Complete && outcome.aborted.is_none() && !lost;
        if let Some(difference) = platform.as_ref().and_then(|platform| differs(platform, counts))
            && whole
        {
            reasons.push(difference);
            if verdict == Verdict::Pass {
                verdict = Verdict::Error;
            }
        }
        let mut wrong = Vec::new();
        if let Some(aborted) = &outcome.aborted {
            wrong.push(format!("ended early by --abort-on {aborted}"));
        }
        if counts.probes_opened > 0 {
            wrong.push(format!(
                "the door opened {} without the right token",
                times(counts.probes_opened)
            ));
        }
        let unanswered: u64 = recorder
            .probe_failures
            .iter()
            .filter(|(failure, _)| !failure.is_local())
            .map(|(_, count)| count)
            .sum();
        if unanswered > 0 {
            wrong.push(format!(
                "{} without the right token met something other than 401",
                attaches(unanswered)
            ));
        }
        if let Some(refused) = recorder.failures.get(&Failure::Status(401)) {
            wrong.push(format!("the right token was refused {} with 401", times(*refused)));
        }
        // What this machine lacked is counted with the errors but doesn't count against the platform; nor do a lost worker's.
        let broken = |judged: &&Judged| matches!(judged.kept, Kept::No | Kept::NotEnoughSamples) && local == 0 && !lost;
        for judged in objectives.iter().filter(broken) {
            wrong.push(format!("{}: {}", judged.objective, judged.found));
        }
        // Whatever else is: a platform that is wrong is wrong.
        let fails = !wrong.is_empty() && (verdict != Verdict::Interrupted || counts.probes_opened > 0);
        if fails {
            verdict = Verdict::Fail;
        }
        reasons.splice(0..0, wrong);
        LoadResult {
            api_version: "gauntlet/v1".into(),
            kind: "LoadResult".into(),
            gauntlet,
            started,
            load,
            verdict,
            reasons,
            objectives,
            counts: counts.clone(),
            failures: named(&recorder.failures),
            probe_failures: named(&recorder.probe_failures),
            examples: recorder.examples,
            latencies: latencies(&recorder.whole),
            steady: latencies(&recorder.steady),
            most_open: outcome.most_open,
            ramped: outcome.ramped,
            steady_part: outcome.steady,
            ended: outcome.ended,
            seconds: recorder.seconds,
            generator,
            fan_out: FannedOut::of(counts),
            platform,
            target_side: None,
            http: None,
            histograms: recorder.whole.encode(),
            steady_histograms: recorder.steady.encode(),
        }
    }
}

/// Whether so much processor time was used that a part of it can be told.
fn tells(used: &Cost) -> bool {
    used.processor() >= LEAST_PROCESSOR
}

/// Where the platform's own count is another one.
fn differs(platform: &Platform, counts: &Counts) -> Option<String> {
    let Some((opened, refused)) = platform.opened.zip(platform.refused) else {
        return Some("the platform ended before it could say what it has counted".into());
    };
    let ours = counts.opened + counts.probes_opened + counts.unsettled_opened;
    let shut = counts.probes_refused + counts.unsettled_refused;
    (opened != ours || refused < shut).then(|| {
        format!(
            "the counts differ: the platform has opened {opened} attaches and refused {refused}, and {ours} were \
             opened and {shut} refused here"
        )
    })
}

fn named(failures: &BTreeMap<Failure, u64>) -> BTreeMap<String, u64> {
    failures
        .iter()
        .map(|(failure, count)| (failure.to_string(), *count))
        .collect()
}
