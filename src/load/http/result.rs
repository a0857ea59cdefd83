//! The HTTP side of a load as a part of its result, and how it is judged.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Site, Task};
use crate::load::result::{Latency, LoadResult, Verdict};
use crate::load::summary::{milliseconds, several, times};

/// How its figures are labelled.
const MODEL: &str = "closed";

/// What a worker has measured.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Measured {
    pub seconds: f64,
    pub requests: BTreeMap<String, Requests>,
    pub examples: Vec<Example>,
    /// Sessions that it made and couldn't delete.
    pub left: Vec<String>,
    /// Requests that couldn't be sent, and why.
    pub notes: Vec<String>,
    /// Requests that still had no answer when it ended.
    pub unanswered: u64,
}

/// The HTTP side of a load, as it went.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HttpResult {
    /// `closed`: the users wait for their answers.
    pub model: String,
    pub users: u32,
    pub api: Option<String>,
    pub models: Option<String>,
    pub seconds: f64,
    pub requests: BTreeMap<String, Requests>,
    pub examples: Vec<Example>,
    pub left: Vec<String>,
    pub notes: Vec<String>,
    pub unanswered: u64,
    /// Why nothing is known of it: its worker was lost.
    pub lost: Option<String>,
}

/// Requests of one kind.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Requests {
    /// `count = right + opened + unexpected + failed`.
    pub count: u64,
    /// Whether the door has to be shut for them.
    pub shut: bool,
    pub right: u64,
    /// The door was to be shut, and opened.
    pub opened: u64,
    pub unexpected: u64,
    /// No answer, or an unusable one.
    pub failed: u64,
    pub statuses: BTreeMap<String, u64>,
    pub failures: BTreeMap<String, u64>,
    /// Milliseconds, of those that were answered: from when the request was sent until its answer was read.
    pub latency: Latency,
    /// HDR histogram, in microseconds: V2 encoding, base64.
    pub histogram: String,
}

/// One answer that was wrong.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Example {
    pub request: String,
    /// Seconds since the HTTP side began.
    pub at: f64,
    pub status: Option<u16>,
    /// Method and path.
    pub place: String,
    /// By name.
    pub presented: String,
    pub what: String,
}

impl Example {
    /// In a line.
    pub fn text(&self) -> String {
        let status = match self.status {
            Some(status) => format!(", answered with {status}"),
            None => String::new(),
        };
        format!(
            "at {:.3} s, {} with {}{status}: {}",
            self.at, self.place, self.presented, self.what
        )
    }
}

/// How failures that are this machine's own begin.
const LOCAL: &str = "local: ";

/// Reasons against a load.
#[derive(Debug, Default, PartialEq, Eq)]
struct Found {
    /// Of the platform.
    wrong: Vec<String>,
    /// Why more can't be told.
    unclear: Vec<String>,
}

impl HttpResult {
    /// The outcome of a task.
    pub fn new(task: &Task, measured: Result<Measured, String>) -> HttpResult {
        let place = |site: &Site| format!("{}{}", site.origin, site.path);
        let (measured, lost) = match measured {
            Ok(measured) => (measured, None),
            Err(why) => (Measured::default(), Some(why)),
        };
        HttpResult {
            model: MODEL.into(),
            users: task.users,
            api: task.api.as_ref().map(|api| place(&api.site)),
            models: task.models.as_ref().map(|models| place(&models.site)),
            seconds: measured.seconds,
            requests: measured.requests,
            examples: measured.examples,
            left: measured.left,
            notes: measured.notes,
            unanswered: measured.unanswered,
            lost,
        }
    }

    /// How often a door opened that has to be shut.
    pub fn opened(&self) -> u64 {
        self.requests.values().map(|requests| requests.opened).sum()
    }

    fn found(&self) -> Found {
        let mut found = Found::default();
        let opened = self.opened();
        if opened > 0 {
            let shown = self.examples.iter().find(|example| {
                let requests = self.requests.get(&example.request);
                requests.is_some_and(|requests| requests.opened > 0)
                    && example.status.is_some_and(|status| status < 300)
            });
            let example = shown.map(|example| format!(", {}", example.text())).unwrap_or_default();
            found
                .wrong
                .push(format!("HTTP side: a shut door opened {}{example}", times(opened)));
        }
        let unexpected: u64 = self.requests.values().map(|requests| requests.unexpected).sum();
        if unexpected > 0 {
            found.wrong.push(format!(
                "HTTP side: {} had another status than is right",
                several(unexpected, "answer")
            ));
        }
        let failures = || self.requests.values().flat_map(|requests| &requests.failures);
        let of = |local: bool| {
            let counted = failures().filter(|(why, _)| why.starts_with(LOCAL) == local);
            counted.map(|(_, count)| count).sum::<u64>()
        };
        let (failed, local) = (of(false), of(true));
        if failed > 0 {
            found.wrong.push(format!(
                "HTTP side: {} had no answer, or an unusable one",
                several(failed, "request")
            ));
        }
        if local > 0 {
            found.unclear.push(format!(
                "HTTP side: this machine was the limit {}: see its failures that begin with `local`",
                times(local)
            ));
        }
        if let Some(why) = &self.lost {
            found
                .unclear
                .push(format!("HTTP side: {why}; its requests are not accounted for"));
            return found;
        }
        let notes = self.notes.iter().map(|note| format!("HTTP side: {note}"));
        found.unclear.extend(notes);
        if self.unanswered > 0 {
            found.unclear.push(format!(
                "HTTP side: {} still had no answer when it ended",
                several(self.unanswered, "request")
            ));
        }
        if let Some(first) = self.left.first() {
            found.unclear.push(format!(
                "HTTP side: {} sessions that it made could not be deleted, {first} is one",
                self.left.len()
            ));
        }
        // That nobody came proves nothing of a door.
        let mut untried = self.requests.iter().filter(|(_, requests)| requests.count == 0);
        if let Some((first, _)) = untried.find(|(_, requests)| requests.shut) {
            found
                .unclear
                .push(format!("HTTP side: nobody asked for {first}: the load was too short"));
        } else if self.requests.values().all(|requests| requests.count == 0) {
            found
                .unclear
                .push("HTTP side: nobody asked for anything: the load was too short".into());
        }
        found
    }

    /// In a line: who, for how long, and where.
    pub fn what(&self) -> String {
        let places: Vec<&str> = [&self.api, &self.models]
            .into_iter()
            .flatten()
            .map(String::as_str)
            .collect();
        format!(
            "{} users for {:.1} s, each waits for its answer: {}",
            self.users,
            self.seconds,
            places.join(" and ")
        )
    }

    /// The table's rows, a text for each of the columns.
    pub fn rows(&self) -> Vec<[String; COLUMNS.len()]> {
        let row = |(name, requests): (&String, &Requests)| {
            let latency = &requests.latency;
            let of = |value: f64| match latency.count {
                0 => "-".to_owned(),
                _ => milliseconds(value),
            };
            let statuses: Vec<String> = requests
                .statuses
                .iter()
                .map(|(status, count)| format!("{status}: {count}"))
                .collect();
            [
                name.clone(),
                requests.count.to_string(),
                requests.right.to_string(),
                requests.opened.to_string(),
                requests.unexpected.to_string(),
                requests.failed.to_string(),
                of(latency.p50),
                of(latency.p90),
                of(latency.p99),
                of(latency.max),
                statuses.join(", "),
            ]
        };
        self.requests.iter().map(row).collect()
    }

    /// Failures with their kinds and counts, each kind of request apart.
    pub fn failures(&self) -> Vec<(String, u64)> {
        let failures = self.requests.iter().flat_map(|(name, requests)| {
            let of = move |(why, count): (&String, &u64)| (format!("{name}: {why}"), *count);
            requests.failures.iter().map(of)
        });
        failures.collect()
    }
}

/// What it is called in summaries and reports.
pub const TITLE: &str = "HTTP side (closed model)";

/// The columns of its table.
pub const COLUMNS: [&str; 11] = [
    "request",
    "count",
    "right",
    "opened",
    "unexpected",
    "failed",
    "p50",
    "p90",
    "p99",
    "max",
    "statuses",
];

impl LoadResult {
    /// The result with that of its HTTP side, which is judged with it.
    pub fn with_http(mut self, http: HttpResult) -> LoadResult {
        let found = http.found();
        if !found.unclear.is_empty() && self.verdict == Verdict::Pass {
            self.verdict = Verdict::Error;
        }
        // Half a load may break what a whole one keeps, but no moment excuses an open door.
        if !found.wrong.is_empty() && (self.verdict != Verdict::Interrupted || http.opened() > 0) {
            self.verdict = Verdict::Fail;
        }
        self.reasons.splice(0..0, found.wrong);
        self.reasons.extend(found.unclear);
        self.http = Some(http);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::super::Word;
    use super::*;
    use crate::load::sample;

    fn judged(change: impl FnOnce(&mut HttpResult)) -> (Verdict, Vec<String>) {
        let mut http = sample::http();
        change(&mut http);
        let result = sample::passed().with_http(http);
        (result.verdict, result.reasons)
    }

    fn bad(http: &mut HttpResult) -> &mut Requests {
        http.requests.get_mut("models-bad-jwt").expect("there")
    }

    #[test]
    fn a_side_of_which_all_is_right_changes_nothing() {
        assert_eq!(judged(|_| ()), (Verdict::Pass, Vec::new()));
    }

    #[test]
    fn what_is_wrong_fails_and_what_is_unclear_is_no_pass() {
        let (verdict, reasons) = judged(|http| bad(http).unexpected = 2);
        assert_eq!(verdict, Verdict::Fail);
        assert_eq!(reasons, ["HTTP side: 2 answers had another status than is right"]);

        let (verdict, reasons) = judged(|http| {
            bad(http).failed = 1;
            bad(http).failures.insert("connection refused".into(), 1);
        });
        assert_eq!(verdict, Verdict::Fail);
        assert_eq!(reasons, ["HTTP side: 1 request had no answer, or an unusable one"]);

        let (verdict, reasons) = judged(|http| {
            bad(http).failed = 1;
            bad(http)
                .failures
                .insert("local: no ports left (EADDRNOTAVAIL)".into(), 1);
        });
        assert_eq!(verdict, Verdict::Error);
        assert!(reasons[0].contains("this machine was the limit once"), "{reasons:?}");

        let (verdict, reasons) = judged(|http| http.lost = Some("its worker has ended".into()));
        assert_eq!(verdict, Verdict::Error);
        assert_eq!(
            reasons,
            ["HTTP side: its worker has ended; its requests are not accounted for"]
        );

        let (verdict, reasons) = judged(|http| http.notes.push("no session was made".into()));
        assert_eq!(verdict, Verdict::Error);
        assert_eq!(reasons, ["HTTP side: no session was made"]);

        let (verdict, reasons) = judged(|http| http.left.push("s1".into()));
        assert_eq!(verdict, Verdict::Error);
        assert_eq!(
            reasons,
            ["HTTP side: 1 sessions that it made could not be deleted, s1 is one"]
        );
    }

    #[test]
    fn a_door_that_nobody_tried_is_no_proof() {
        let (verdict, reasons) = judged(|http| {
            *bad(http) = Requests {
                shut: true,
                ..Requests::default()
            }
        });
        assert_eq!(verdict, Verdict::Error);
        assert_eq!(
            reasons,
            ["HTTP side: nobody asked for models-bad-jwt: the load was too short"]
        );
    }

    #[test]
    fn an_open_door_fails_a_load_that_was_interrupted_too() {
        let interrupted = |http: HttpResult| {
            let mut result = sample::passed();
            result.verdict = Verdict::Interrupted;
            result.with_http(http)
        };
        let mut http = sample::http();
        bad(&mut http).unexpected = 1;
        assert_eq!(interrupted(http).verdict, Verdict::Interrupted);
        let result = interrupted(sample::opened());
        assert_eq!(result.verdict, Verdict::Fail);
        assert_eq!(
            result.reasons[0],
            "HTTP side: a shut door opened 3 times, at 0.250 s, GET /api/agents/models with a JWT with a wrong \
             signature, answered with 200: a shut door opened"
        );
    }

    /// A result of before there was an HTTP side still reads, and one with it comes back.
    #[test]
    fn results_with_and_without_it_read() {
        let without = serde_json::to_value(sample::passed()).expect("written");
        assert!(without.get("http").is_none());
        let read: LoadResult = serde_json::from_value(without).expect("read");
        assert!(read.http.is_none());
        let text = serde_json::to_string(&sample::passed().with_http(sample::http())).expect("written");
        let read: LoadResult = serde_json::from_str(&text).expect("read");
        let http = read.http.expect("there");
        assert_eq!((http.model.as_str(), http.requests.len()), ("closed", 3));
    }

    #[test]
    fn a_word_comes_back() {
        let http = sample::http();
        let measured = Measured {
            seconds: 2.0,
            requests: http.requests,
            examples: http.examples,
            left: Vec::new(),
            notes: Vec::new(),
            unanswered: 0,
        };
        let word = Word::Done {
            measured: Box::new(measured),
        };
        let text = serde_json::to_string(&word).expect("written");
        assert!(!text.contains('\n'));
        match serde_json::from_str(&text).expect("read") {
            Word::Done { measured } => assert_eq!(measured.requests["models"].statuses["200"], 20),
            Word::Failed { why } => panic!("{why}"),
        }
    }
}
