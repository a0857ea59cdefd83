//! What is known of each rule after several rounds.

use std::collections::BTreeMap;
use std::path::PathBuf;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::events::Verdict;

/// What one round did, as a line of the history has it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Round {
    /// The first key: a line is known by its beginning.
    pub started: Timestamp,
    pub target: String,
    /// SHA-256 of the profile; none without one.
    pub profile: Option<String>,
    pub duration_ms: f64,
    /// Why nothing was judged: the target could not be reached, for one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_judged: Option<String>,
    pub rules: Vec<Judged>,
}

/// What became of one rule in a round. All its texts are redacted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Judged {
    /// The scenario's id.
    pub rule: String,
    /// The values of its matrix: `direct`; empty without one.
    pub case: String,
    pub verdict: Verdict,
    pub duration_ms: f64,
    /// Of attaches that opened, each from its connection to the 101.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attaches_ms: Vec<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The folder of its evidence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<PathBuf>,
}

impl Judged {
    /// `harness-token/token/accept[direct]`.
    pub fn name(&self) -> String {
        match self.case.is_empty() {
            true => self.rule.clone(),
            false => format!("{}[{}]", self.rule, self.case),
        }
    }
}

/// A rule's verdict is another one than before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    /// None of a rule that was never judged before.
    pub from: Option<Verdict>,
    pub to: Verdict,
}

/// What is known of a rule.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    pub verdict: Verdict,
    pub judged: Timestamp,
    pub duration_ms: f64,
    pub slowest_attach_ms: Option<f64>,
    /// Since this process started.
    pub runs: u64,
    /// Since this process started.
    pub failures: u64,
    /// Failures since it last passed.
    pub in_a_row: u64,
    /// When the first of those was.
    pub failing_since: Option<Timestamp>,
}

/// Upper bounds of the classes of attach times, in seconds.
pub const BOUNDS: [f64; 13] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];

/// Times of attaches since this process started.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Attaches {
    /// How many were within each bound and not within the one before it; the last ones were beyond all.
    pub classes: [u64; BOUNDS.len() + 1],
    pub seconds: f64,
}

impl Attaches {
    fn add(&mut self, seconds: f64) {
        let class = BOUNDS.iter().position(|bound| seconds <= *bound);
        self.classes[class.unwrap_or(BOUNDS.len())] += 1;
        self.seconds += seconds;
    }
}

/// The last round.
#[derive(Clone, Debug, PartialEq)]
pub struct Last {
    pub started: Timestamp,
    pub duration_ms: f64,
    /// Whether rules were judged.
    pub judged: bool,
}

/// What is known of all rules, and of the rounds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tally {
    /// By rule and case.
    pub rules: BTreeMap<(String, String), Rule>,
    pub rounds: u64,
    /// Rounds in which nothing could be judged; not in `rounds`.
    pub not_judged: u64,
    /// Starts that were left out, as a round before them still went on.
    pub skipped: u64,
    pub last: Option<Last>,
    pub attaches: Attaches,
}

impl Tally {
    /// What an earlier process knew when it ended: verdicts and since when rules fail, but no counts.
    pub fn of_history(rounds: &[Round]) -> Tally {
        let mut known = Tally::default();
        for round in rounds {
            for judged in &round.rules {
                known.judge(judged, round.started);
            }
        }
        for rule in known.rules.values_mut() {
            (rule.runs, rule.failures) = (0, 0);
        }
        Tally {
            rules: known.rules,
            ..Tally::default()
        }
    }

    /// Takes note of a verdict. Gives the change that somebody has to hear of: another verdict than the last one, or a
    /// first one that is bad.
    pub fn judge(&mut self, judged: &Judged, at: Timestamp) -> Option<Change> {
        for ms in &judged.attaches_ms {
            self.attaches.add(ms / 1e3);
        }
        let key = (judged.rule.clone(), judged.case.clone());
        let before = self.rules.get(&key);
        let failed = judged.verdict == Verdict::Fail;
        let (runs, failures) = before.map_or((0, 0), |rule| (rule.runs, rule.failures));
        let (in_a_row, since) = match (judged.verdict, before) {
            (Verdict::Pass, _) => (0, None),
            (Verdict::Fail, before) => (
                before.map_or(0, |rule| rule.in_a_row) + 1,
                before.and_then(|rule| rule.failing_since).or(Some(at)),
            ),
            // Nobody knows whether it would have passed.
            (Verdict::Error | Verdict::Skip, before) => {
                before.map_or((0, None), |rule| (rule.in_a_row, rule.failing_since))
            }
        };
        let from = before.map(|rule| rule.verdict);
        let rule = Rule {
            verdict: judged.verdict,
            judged: at,
            duration_ms: judged.duration_ms,
            slowest_attach_ms: judged.attaches_ms.iter().copied().reduce(f64::max),
            runs: runs + 1,
            failures: failures + u64::from(failed),
            in_a_row,
            failing_since: since,
        };
        self.rules.insert(key, rule);
        let is_news = match from {
            Some(from) => from != judged.verdict,
            None => matches!(judged.verdict, Verdict::Fail | Verdict::Error),
        };
        is_news.then_some(Change {
            from,
            to: judged.verdict,
        })
    }

    /// Takes note of a round that is over.
    pub fn ended(&mut self, round: &Round) {
        let judged = round.not_judged.is_none();
        match judged {
            true => self.rounds += 1,
            false => self.not_judged += 1,
        }
        self.last = Some(Last {
            started: round.started,
            duration_ms: round.duration_ms,
            judged,
        });
    }
}

/// A verdict in lines and labels.
pub fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Pass => "pass",
        Verdict::Fail => "fail",
        Verdict::Error => "error",
        Verdict::Skip => "skip",
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;

    pub fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("a time")
    }

    pub fn judged(verdict: Verdict) -> Judged {
        Judged {
            rule: "c/g/r".into(),
            case: "direct".into(),
            verdict,
            duration_ms: 12.5,
            attaches_ms: vec![3.0, 30_000.0],
            reason: None,
            evidence: None,
        }
    }

    pub fn round(second: i64, verdict: Verdict) -> Round {
        Round {
            started: at(second),
            target: "url".into(),
            profile: None,
            duration_ms: 20.0,
            not_judged: None,
            rules: vec![judged(verdict)],
        }
    }

    fn rule(tally: &Tally) -> &Rule {
        &tally.rules[&("c/g/r".to_owned(), "direct".to_owned())]
    }

    #[test]
    fn a_change_is_told_once() {
        let mut tally = Tally::default();
        let told: Vec<Option<(Option<Verdict>, Verdict)>> = [
            Verdict::Pass,
            Verdict::Fail,
            Verdict::Fail,
            Verdict::Skip,
            Verdict::Fail,
            Verdict::Pass,
            Verdict::Pass,
        ]
        .into_iter()
        .enumerate()
        .map(|(second, verdict)| {
            let change = tally.judge(&judged(verdict), at(second as i64));
            change.map(|change| (change.from, change.to))
        })
        .collect();
        assert_eq!(
            told,
            [
                None,
                Some((Some(Verdict::Pass), Verdict::Fail)),
                None,
                Some((Some(Verdict::Fail), Verdict::Skip)),
                Some((Some(Verdict::Skip), Verdict::Fail)),
                Some((Some(Verdict::Fail), Verdict::Pass)),
                None,
            ]
        );
        assert_eq!((rule(&tally).runs, rule(&tally).failures), (7, 3));
    }

    #[test]
    fn a_first_verdict_is_news_only_where_it_is_bad() {
        for (verdict, news) in [
            (Verdict::Pass, false),
            (Verdict::Skip, false),
            (Verdict::Fail, true),
            (Verdict::Error, true),
        ] {
            let change = Tally::default().judge(&judged(verdict), at(0));
            assert_eq!(change.is_some(), news, "{verdict:?}");
        }
    }

    #[test]
    fn what_could_not_be_told_ends_no_failure() {
        let mut tally = Tally::default();
        for (second, verdict) in [(1, Verdict::Fail), (2, Verdict::Error), (3, Verdict::Fail)] {
            tally.judge(&judged(verdict), at(second));
        }
        assert_eq!((rule(&tally).in_a_row, rule(&tally).failing_since), (2, Some(at(1))));
        tally.judge(&judged(Verdict::Pass), at(4));
        assert_eq!((rule(&tally).in_a_row, rule(&tally).failing_since), (0, None));
    }

    #[test]
    fn a_history_gives_verdicts_and_no_counts() {
        let tally = Tally::of_history(&[
            round(1, Verdict::Pass),
            round(2, Verdict::Fail),
            round(3, Verdict::Fail),
        ]);
        let rule = rule(&tally);
        assert_eq!(
            (rule.verdict, rule.in_a_row, rule.failing_since),
            (Verdict::Fail, 2, Some(at(2)))
        );
        assert_eq!((rule.runs, rule.failures, tally.rounds), (0, 0, 0));
        assert_eq!(tally.attaches, Attaches::default());
    }
}
