//! A load's result: a document to keep, to merge and to compare.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use super::cluster::TargetSide;
use super::cost::Cost;
use super::http::HttpResult;
use super::metric::{Histograms, Metric};
use super::objective::{Judged, Kept, Measured, Objective};
use super::outcome::{Ending, Outcome};
use super::recorder::{Counts, Example, Second};
use super::reference::Counted;
use super::summary::{attaches, times};

/// Of the schedule's lag, the most that still leaves latencies the platform's: milliseconds, and the share of an
/// objective's limit.
const MOST_LAG: f64 = 10.0;
const MOST_LAG_SHARE: f64 = 0.05;

/// A load's verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    Pass,
    /// The platform is wrong: a door didn't hold, or an objective wasn't kept.
    Fail,
    /// The generator or this machine was the limit.
    Error,
    Interrupted,
}

impl Verdict {
    /// As people read it.
    pub fn word(self) -> &'static str {
        match self {
            Verdict::Pass => "PASSED",
            Verdict::Fail => "FAILED",
            Verdict::Error => "COULD NOT TELL",
            Verdict::Interrupted => "INTERRUPTED",
        }
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LoadResult {
    pub api_version: String,
    pub kind: String,
    pub gauntlet: Gauntlet,
    /// RFC 3339.
    pub started: String,
    pub load: Load,
    pub verdict: Verdict,
    /// Why the verdict isn't `pass`, in words.
    pub reasons: Vec<String>,
    pub objectives: Vec<Judged>,
    pub counts: Counts,
    /// Failures of attaches with the right token, by kind.
    pub failures: BTreeMap<String, u64>,
    /// Results of attaches without the right token other than 401, by kind.
    pub probe_failures: BTreeMap<String, u64>,
    pub examples: Vec<Example>,
    /// Milliseconds, of the whole load and of its steady part.
    pub latencies: BTreeMap<String, Latency>,
    pub steady: BTreeMap<String, Latency>,
    /// Most terminals that were open at once.
    pub most_open: u64,
    /// Seconds from the beginning: the last handshake was over, the steady part, the end.
    pub ramped: f64,
    pub steady_part: Option<(f64, f64)>,
    pub ended: f64,
    pub seconds: Vec<Second>,
    pub generator: Generator,
    /// The outcome of a fan-out, if there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fan_out: Option<FannedOut>,
    /// The reference platform's own count and cost, where it was the target.
    pub platform: Option<Platform>,
    /// The cost to the target's pods, if it is on a cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_side: Option<TargetSide>,
    /// Its HTTP side, where it had one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http: Option<HttpResult>,
    /// HDR histograms of the whole load and of its steady part, in microseconds: V2 encoding, base64.
    pub histograms: BTreeMap<String, String>,
    pub steady_histograms: BTreeMap<String, String>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Gauntlet {
    pub version: String,
    pub commit: Option<String>,
}

/// The plan of the load.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Load {
    pub target: String,
    /// What lets attaches and echoes begin: `open`, by a schedule, or `closed`, by answers.
    pub model: String,
    pub attaches: u32,
    /// The schedule; in the closed model how many are being opened at once.
    pub arrivals: String,
    /// Milliseconds.
    pub hold: u64,
    /// In the closed model, from an answer to the next echo.
    pub echo_every: Option<u64>,
    pub deadline: u64,
    pub probe_every: Option<u64>,
    pub seed: u64,
    /// Milliseconds until the target was found before the load.
    pub resolve: f64,
}

/// Milliseconds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Latency {
    pub count: u64,
    pub min: f64,
    pub mean: f64,
    pub p50: f64,
    pub p90: f64,
    pub p99: f64,
    #[serde(rename = "p99.9")]
    pub p999: f64,
    #[serde(rename = "p99.99")]
    pub p9999: f64,
    pub max: f64,
}

/// What the generator cost and how late it was.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Generator {
    pub processes: u32,
    /// Of the schedule's lag, milliseconds.
    pub lag_p99: f64,
    /// Whether it was the limit itself; latencies then say nothing about the platform.
    pub saturated: bool,
    pub before: Cost,
    pub end: Cost,
    /// Resident bytes for each terminal that is held.
    pub bytes_per_attach: Option<f64>,
    /// Milliseconds of processor time for each attach that was opened.
    pub milliseconds_per_attach: Option<f64>,
    /// Milliseconds of processor time for each TLS handshake in full, and for each that resumed an earlier session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub milliseconds_per_tls: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub milliseconds_per_tls_resumed: Option<f64>,
    /// Microseconds of processor time for each echo of the steady part, and its part in user mode.
    pub microseconds_per_echo: Option<f64>,
    pub user_microseconds_per_echo: Option<f64>,
}

/// One types, and all must see each key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FannedOut {
    pub typed: u64,
    /// Frames that came to all attaches together, for each key.
    pub frames_per_key: f64,
    /// Attaches that the keys were to come to, and came to.
    pub deliveries: u64,
    pub delivered: u64,
}

impl FannedOut {
    fn of(counts: &Counts) -> Option<FannedOut> {
        (counts.keys_typed > 0).then(|| FannedOut {
            typed: counts.keys_typed,
            frames_per_key: counts.frames_delivered as f64 / counts.keys_typed as f64,
            deliveries: counts.deliveries,
            delivered: counts.delivered,
        })
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Platform {
    pub processes: u32,
    pub opened: Option<u64>,
    pub refused: Option<u64>,
    pub cost: Option<Cost>,
}

impl Platform {
    pub fn new(processes: u32, counted: Option<Counted>, cost: Option<Cost>) -> Platform {
        Platform {
            processes,
            opened: counted.map(|counted| counted.opened),
            refused: counted.map(|counted| counted.refused),
            cost,
        }
    }
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
        let saturated = !lag.is_empty() && lag_p99 > allowed;
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
            milliseconds_per_attach: held.and_then(|held| per(held.processor().as_secs_f64() * 1e3, counts.opened)),
            milliseconds_per_tls: per(counts.tls_full_nanoseconds as f64 / 1e6, counts.tls_full),
            milliseconds_per_tls_resumed: per(counts.tls_resumed_nanoseconds as f64 / 1e6, counts.tls_resumed),
            microseconds_per_echo: echoed
                .and_then(|used| per(used.processor().as_secs_f64() * 1e6, recorder.steady_echoes)),
            user_microseconds_per_echo: echoed
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
                "{} without the right token got another answer than 401",
                attaches(unanswered)
            ));
        }
        if let Some(refused) = recorder.failures.get(&super::failure::Failure::Status(401)) {
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

    /// With what others made of it: texts of servers as they may be shown, at most so long.
    pub fn with_texts(mut self, shown: impl Fn(&str) -> String) -> LoadResult {
        for example in &mut self.examples {
            example.said = example.said.as_ref().map(|said| shown(said));
        }
        self
    }

    /// With what went wrong beside the load, which then has not passed.
    pub fn with_problems(mut self, problems: &[String]) -> LoadResult {
        if !problems.is_empty() && self.verdict == Verdict::Pass {
            self.verdict = Verdict::Error;
        }
        self.reasons.extend_from_slice(problems);
        self
    }

    /// The process's exit code.
    pub fn exit_code(&self) -> u8 {
        match self.verdict {
            Verdict::Pass => 0,
            Verdict::Fail => 1,
            Verdict::Error => 3,
            Verdict::Interrupted => 130,
        }
    }
}

/// How failures that are this machine's own begin.
const LOCAL: &str = "local: ";

impl LoadResult {
    /// How often this machine, and not the platform, was the limit.
    pub fn lacked_here(&self) -> u64 {
        self.failures
            .iter()
            .chain(&self.probe_failures)
            .filter(|(failure, _)| failure.starts_with(LOCAL))
            .map(|(_, count)| count)
            .sum()
    }
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

fn named(failures: &BTreeMap<super::failure::Failure, u64>) -> BTreeMap<String, u64> {
    failures
        .iter()
        .map(|(failure, count)| (failure.to_string(), *count))
        .collect()
}

pub(super) fn latencies(histograms: &Histograms) -> BTreeMap<String, Latency> {
    histograms
        .with_samples()
        .map(|(metric, histogram)| (metric.name().to_owned(), Latency::of(histogram)))
        .collect()
}

impl Latency {
    pub fn of(histogram: &Histogram<u64>) -> Latency {
        let quantile = |quantile: f64| histogram.value_at_quantile(quantile) as f64 / 1000.0;
        Latency {
            count: histogram.len(),
            min: histogram.min() as f64 / 1000.0,
            mean: histogram.mean() / 1000.0,
            p50: quantile(0.5),
            p90: quantile(0.9),
            p99: quantile(0.99),
            p999: quantile(0.999),
            p9999: quantile(0.9999),
            max: histogram.max() as f64 / 1000.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::failure::{Failure, Lack};
    use super::super::outcome::Costs;
    use super::super::recorder::Recorder;
    use super::*;

    /// The verdict on a load whose generator was a second late.
    fn verdict(objective: &str, failure: Option<Failure>) -> Verdict {
        let mut recorder = Recorder::new().expect("histograms");
        recorder.counts.attempted = 20;
        recorder.counts.opened = 20;
        for _ in 0..20 {
            recorder.record(Metric::Lag, 1_000_000_000, false);
            recorder.record(Metric::Attach, 1_000_000, false);
        }
        if let Some(failure) = failure {
            recorder.counts.failed += 1;
            recorder.fail(failure, |failure| Example {
                failure,
                at: 0.0,
                attach: "1".into(),
                local: None,
                said: None,
            });
        }
        let outcome = Outcome {
            recorder,
            ending: Ending::Complete,
            most_open: 20,
            ramped: 1.0,
            steady: None,
            ended: 2.0,
            costs: Costs::default(),
            processes: 1,
            lost_workers: Vec::new(),
            aborted: None,
        };
        let gauntlet = Gauntlet {
            version: "1".into(),
            commit: None,
        };
        let load = Load {
            target: "a door".into(),
            model: "open".into(),
            attaches: 20,
            arrivals: "20/s".into(),
            hold: 1000,
            echo_every: None,
            deadline: 1000,
            probe_every: None,
            seed: 1,
            resolve: 0.0,
        };
        let objectives = [objective.parse().expect("an objective")];
        let result = LoadResult::new((gauntlet, String::new()), load, outcome, &objectives, None);
        assert!(result.generator.saturated);
        assert!(
            result
                .reasons
                .iter()
                .any(|reason| reason.starts_with("the generator was itself the limit"))
        );
        result.verdict
    }

    #[test]
    fn a_late_generator_says_nothing_against_counts() {
        assert_eq!(verdict("errors == 0", None), Verdict::Pass);
        assert_eq!(verdict("attach.p50 < 1s", None), Verdict::Error);
        assert_eq!(verdict("opened >= 21", None), Verdict::Fail);
        assert_eq!(
            verdict("opened >= 1", Some(Failure::Local(Lack::Ports))),
            Verdict::Error
        );
    }
}
