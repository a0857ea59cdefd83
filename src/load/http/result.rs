//! The HTTP side of a load as a part of its result.

use std::collections::BTreeMap;
use std::process::ExitStatus;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Site, Task};
use crate::load::result::Latency;

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

/// A worker that has measured nothing. The platform has no part in it.
#[derive(Debug, thiserror::Error)]
#[error("its worker (process {process}) {how}")]
pub struct LostWorker {
    pub process: u32,
    pub how: Lost,
}

/// What became of a worker that has measured nothing.
#[derive(Debug, thiserror::Error)]
pub enum Lost {
    /// As it said itself.
    #[error("could not go on: {0}")]
    Failed(String),
    #[error("sent an invalid message: {0}")]
    NoWord(#[source] serde_json::Error),
    #[error("was lost: it has ended")]
    Ended,
    #[error("was lost: it has ended, {0}")]
    EndedWith(ExitStatus),
    #[error("was lost: reading from it: {0}")]
    Reading(#[source] std::io::Error),
    #[error("was lost: it has not ended within {} s", .0.as_secs())]
    Late(Duration),
}

impl HttpResult {
    /// The outcome of a task.
    pub fn new(task: &Task, measured: Result<Measured, LostWorker>) -> HttpResult {
        let place = |site: &Site| format!("{}{}", site.origin, site.path);
        let (measured, lost) = match measured {
            Ok(measured) => (measured, None),
            Err(lost) => (Measured::default(), Some(lost.to_string())),
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
}

#[cfg(test)]
mod tests {
    use super::super::Word;
    use super::*;
    use crate::load::LoadResult;
    use crate::load::sample;

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
