//! `search`: whether a secret value can be found where it must not be.

mod read;

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::context::{LogLine, StepContext};
use super::definition::{Proof, Reach, ShownAgain, Verb, phrases, verb};
use super::log_files;
use super::observation::{Observation, StepError};
use crate::redact::Redactor;
use crate::world::access::Ask;
use read::read;

/// The verb `search`.
pub const VERB: Verb = Verb {
    phrases: phrases!["finds nothing", "no form of the value was found anywhere", {"found": {"count": 0}};],
    fields: &["found", "searched"],
    reach: Reach::Cluster(asks),
    sees_others,
    reads_log_files: true,
    proof: Some(Proof {
        field: "found",
        key: "proof",
    }),
    shown_again: ShownAgain::LinesFound,
    ..verb!("search", Search, run)
};

/// Looks for a secret value in plain, base64, percent and JSON forms.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Search {
    /// The value looked for.
    pub search: String,
    pub r#in: Vec<Haystack>,
    /// A text that must be found in each kind of place, as proof that it could be read: else
    /// `error`. A check that nothing is found needs one.
    #[schemars(length(min = 1))]
    pub proof: Option<String>,
}

/// Where `search` looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Haystack {
    /// Logs of all pods of the platform, also of containers before they were started again; what gateways of this
    /// machine write; files and pods that the profile names.
    Logs,
    Events,
    /// Deployments, pods and ConfigMaps, as they stand in the cluster, and what codex agents write for codex.
    Config,
    /// What the rotator keeps beside the logins.
    State,
    /// Command lines of all processes that can be seen from the sandboxes.
    Processes,
    /// Answers of the platform's doors that were not 2xx, in this scenario so far.
    Errors,
    /// Redirects' `Location` headers, in this scenario so far.
    Redirects,
}

impl std::fmt::Display for Haystack {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Haystack::Logs => "the logs",
            Haystack::Events => "the events",
            Haystack::Config => "the configuration",
            Haystack::State => "the state",
            Haystack::Processes => "the processes",
            Haystack::Errors => "the error answers",
            Haystack::Redirects => "the redirects",
        })
    }
}

/// A place to search.
struct Place {
    name: String,
    holds: Holds,
    /// Its first line, of the log of a pod that stays when the scenario is over.
    log: Option<LogLine>,
}

enum Holds {
    Text(String),
    /// Nothing yet, or nothing any more: why.
    Nothing(&'static str),
}

impl Place {
    fn with(name: String, text: String) -> Place {
        Place {
            name,
            holds: Holds::Text(text),
            log: None,
        }
    }

    fn text(&self) -> &str {
        match &self.holds {
            Holds::Text(text) => text,
            Holds::Nothing(_) => "",
        }
    }
}

/// Time between two looks for the proof.
const PAUSE: Duration = Duration::from_millis(100);

/// Lines of logs that are remembered: one log may be full of what is searched for.
const LINES_KEPT: usize = 20;

/// What the places that are searched ask of a cluster; answers that are kept ask nothing.
pub fn asks(keys: &Value) -> Vec<Ask> {
    let places = keys["in"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let of = |place| match place {
        "logs" => vec![Ask::FindPods, Ask::ReadLogs],
        "events" => vec![Ask::ReadEvents],
        "config" => vec![Ask::FindPods, Ask::ReadConfig, Ask::Exec],
        "state" => vec![Ask::FindPods, Ask::Exec],
        "processes" => vec![Ask::FindPods, Ask::Exec],
        _ => Vec::new(),
    };
    places.flat_map(of).collect()
}

/// Answers are kept for each scenario; everywhere else stands what all did.
fn sees_others(keys: &Value) -> bool {
    let mut places = keys["in"].as_array().into_iter().flatten().filter_map(Value::as_str);
    places.any(|place| !["errors", "redirects"].contains(&place))
}

/// Searches: `found` (place and form of each hit), `searched` (bytes by place), `unread` (why, by place: of a
/// pod that has not started there is nothing to read, nor of one that went away meanwhile).
///
/// Any other place that cannot be read is an error: nothing found there would say nothing.
pub async fn run(arguments: Search, context: &StepContext) -> Result<Observation, StepError> {
    let what = "search for the value".to_owned();
    let needle = Redactor::new();
    needle
        .add("VALUE", &arguments.search)
        .map_err(|error| StepError::doing("the value to search for", error))?;
    let mut places = Vec::new();
    for haystack in &arguments.r#in {
        places.extend(read_proven(&arguments, *haystack, context).await?);
    }
    let mut found = Vec::new();
    let mut lines = Vec::new();
    for place in &places {
        let text = place.text().as_bytes();
        for hit in needle.search(text) {
            found.push(json!({ "place": place.name, "form": hit.form.to_string() }));
            if let Some(log) = place.log.as_ref().filter(|_| lines.len() < LINES_KEPT) {
                let before = text.iter().take(hit.offset).filter(|byte| **byte == b'\n').count();
                lines.push(LogLine {
                    line: log.line + before,
                    ..log.clone()
                });
            }
        }
    }
    lines.dedup();
    context.found_in_logs(lines);
    let mut searched = serde_json::Map::new();
    let mut unread = serde_json::Map::new();
    let mut silent = String::new();
    for place in &places {
        match &place.holds {
            Holds::Text(text) => searched.insert(place.name.clone(), text.len().into()),
            Holds::Nothing(why) => {
                silent += &format!("; {}: {why}", place.name);
                unread.insert(place.name.clone(), (*why).into())
            }
        };
    }
    let names: Vec<&str> = searched.keys().map(String::as_str).collect();
    Ok(Observation {
        what: format!("{what} in {}{silent}", names.join(", ")),
        value: json!({ "found": found, "searched": searched, "unread": unread }),
    })
}

/// Reads until the proof stands there: logs and events come a moment after what they tell of.
async fn read_proven(arguments: &Search, haystack: Haystack, context: &StepContext) -> Result<Vec<Place>, StepError> {
    let patience = match haystack {
        Haystack::Logs | Haystack::Events | Haystack::Config | Haystack::State | Haystack::Processes => {
            context.limits.screen
        }
        // What was answered is here already.
        Haystack::Errors | Haystack::Redirects => Duration::ZERO,
    };
    let deadline = Instant::now() + patience;
    loop {
        let mut read = read(haystack, context).await?;
        if haystack == Haystack::Logs {
            let files = log_files::read(context).await?;
            read.extend(files.into_iter().map(|(name, text)| Place::with(name, text)));
        }
        match prove(arguments, haystack, &read) {
            Ok(()) => return Ok(read),
            Err(unproven) if Instant::now() + PAUSE > deadline => return Err(unproven),
            Err(_) => sleep(PAUSE).await,
        }
    }
}

/// Each kind of place has its own proof: that logs could be read says nothing of events.
fn prove(arguments: &Search, haystack: Haystack, read: &[Place]) -> Result<(), StepError> {
    match &arguments.proof {
        Some(proof) if !read.iter().any(|place| place.text().contains(proof.as_str())) => {
            let bytes: usize = read.iter().map(|place| place.text().len()).sum();
            Err(StepError::Because(format!(
                "searching {haystack}: the proof {proof:?}, which must stand there, isn't in the {bytes} bytes that \
                 were read; what is not found there says nothing"
            )))
        }
        _ => Ok(()),
    }
}
