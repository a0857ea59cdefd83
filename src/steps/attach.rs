//! `attach`: a WebSocket upgrade at a terminal's door, and its outcome.

use std::collections::BTreeMap;
use std::time::Duration;

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::Message;

use super::context::{Exchange, StepContext};
use super::credentials;
use super::definition::{Reach, Verb, phrases, verb};
use super::handshake::{HeaderValues, Upgraded, curl, headers, token_query, upgrade, upgrade_request};
use super::nonce::nonce;
use super::observation::{Observation, StepError};
use super::terminal::Terminal;
use crate::vocabulary::{Intrusion, Road};
use crate::world::roads::{RoadError, door, door_path, parties};
use crate::world::subject::{self, default_road};

/// The verb `attach`.
pub const VERB: Verb = Verb {
    phrases: phrases![
        "opens", "101, and a nonce that was typed comes back", {"status": 101, "opened": true, "works": true};
        "refused", "an HTTP answer that is not 101", {"opened": false, "status": {"at-least": 200}};
        "refused <status>", "this HTTP status, and no 101", {"opened": false, "status": {"one-of": "<status>"}};
        "not opened", "no 101: an HTTP answer, or a connection that was closed", {"opened": false};
    ],
    default_given: Some("opens"),
    fields: &[
        "opened", "works", "status", "header", "body", "text", "closed", "screen", "tried", "chance",
    ],
    objects: &["header"],
    takes_objects: &["attach"],
    each: Some("attach"),
    has_door: true,
    reach: Reach::Door {
        subject: Some("attach"),
    },
    intrusion: |_| Intrusion::Use,
    ..verb!("attach", Attach, run, keep)
};

/// Opens a WebSocket to a terminal. With `as`, it stays open for the steps after.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Attach {
    /// A session, a pod, or a list of pods (each is attached to, and each is judged).
    pub attach: Value,
    /// Default: `proxy` for a session, `direct` for a pod.
    pub road: Option<Road>,
    /// Appended as `?token=<percent-encoded>`, or as the profile's `tty.parameter`. Left out: no query.
    pub token: Option<String>,
    /// The whole query as it goes over the wire, in place of `token`.
    pub query: Option<String>,
    /// In place of the door's own path; `${door}` is that path.
    pub path: Option<String>,
    /// The `Authorization` header.
    pub authorization: Option<String>,
    /// Further headers of the upgrade request.
    pub headers: Option<IndexMap<String, HeaderValues>>,
    /// Extra bytes (masked binary frames of this text) sent right behind the upgrade request,
    /// without waiting for the answer.
    pub eager: Option<String>,
    /// Attaches so many times, one after the other. The observation is the last one's, with `tried` (of all of them:
    /// `opened`, `works`, `statuses`) and `chance` (`of_2`, `of_3`, `of_5`, `of_10`: how likely one replica of so many
    /// was met, if each attach goes to any of them).
    pub times: Option<u32>,
}

/// Numbers of replicas that the chance to meet one of them is told of.
const REPLICAS: [u32; 4] = [2, 3, 5, 10];

/// How long a taken back nonce may stay on the screen; a program may leave it there for ever.
const ERASED_WITHIN: Duration = Duration::from_millis(500);

/// Attaches to a session or pod, as often as it says. `keep`: the terminal stays open for later steps.
pub async fn run(arguments: Attach, context: &StepContext, keep: bool) -> Result<Observation, StepError> {
    let Some(times) = arguments.times else {
        return attach(&arguments, context, keep).await;
    };
    let mut tried = Tried::default();
    for _ in 1..times {
        tried.add(&attach(&arguments, context, false).await?.value);
    }
    let mut last = attach(&arguments, context, keep).await?;
    tried.add(&last.value);
    last.what = format!("{}, {times} times", last.what);
    last.value["tried"] = tried.observed();
    last.value["chance"] = chances(times);
    Ok(last)
}

/// What came of several attaches.
#[derive(Default)]
struct Tried {
    opened: u32,
    works: u32,
    statuses: BTreeMap<String, u32>,
}

impl Tried {
    fn add(&mut self, seen: &Value) {
        self.opened += u32::from(seen["opened"] == true);
        self.works += u32::from(seen["works"] == true);
        let status = match &seen["status"] {
            Value::Null => "none".to_owned(),
            status => status.to_string(),
        };
        *self.statuses.entry(status).or_default() += 1;
    }

    fn observed(&self) -> Value {
        json!({ "opened": self.opened, "works": self.works, "statuses": self.statuses })
    }
}

/// The chance that one replica of several was met, rounded down, by the number of replicas.
fn chances(times: u32) -> Value {
    let of = |replicas: u32| {
        let missed = (1.0 - 1.0 / f64::from(replicas)).powf(f64::from(times));
        (
            format!("of_{replicas}"),
            json!(((1.0 - missed) * 10_000.0).floor() / 10_000.0),
        )
    };
    Value::Object(REPLICAS.map(of).into_iter().collect())
}

async fn attach(arguments: &Attach, context: &StepContext, keep: bool) -> Result<Observation, StepError> {
    let subject = &arguments.attach;
    let road = arguments.road.unwrap_or_else(|| default_road(subject));
    let what = format!("attach to {} {}", subject::name(subject), road.by());
    let door = match door(&context.world, road, Some(subject)).await {
        Ok(door) => door,
        Err(gone @ RoadError::NoPod { .. }) => {
            // The cluster says that nobody is behind the door: the platform's doing, and to be judged.
            let gone = context.record_no_door(&what, &gone);
            let value = json!({ "kind": "terminal", "opened": false, "connection": gone });
            return Ok(Observation { what, value });
        }
        Err(error) => return Err(StepError::doing(&what, error)),
    };
    let target = target(arguments, context, road);
    let request = upgrade_request(
        &target,
        headers(arguments.authorization.as_deref(), arguments.headers.as_ref())?,
        &door,
    )?;
    let curl = curl(&door, &request);
    let started = Instant::now();
    let upgraded = upgrade(request, arguments.eager.as_deref(), context, &door).await?;
    let (mut value, transcript, sound) = match upgraded {
        Upgraded::Opened { socket, response } => {
            context.attached(started.elapsed());
            let terminal = Terminal::over(*socket);
            let transcript = terminal.transcript.clone();
            terminal.tell_size().await;
            let works = if keep {
                works(&terminal, context).await
            } else {
                works_and_closes(&terminal, context).await
            };
            let mut value = response;
            value["opened"] = true.into();
            value["works"] = works.into();
            value["closed"] = (!terminal.is_open()).into();
            value["screen"] = terminal.screen().into();
            let sound = terminal.unless_exhausted();
            if keep {
                value["terminal"] = context.keep_terminal(terminal).into();
            }
            (value, transcript, sound)
        }
        Upgraded::Answered { response, transcript } => (response, transcript, Ok(())),
    };
    credentials::keep(&value["body"], &context.redactor)
        .map_err(|error| StepError::doing("keeping secrets of the answer secret", error))?;
    value["kind"] = "terminal".into();
    context.record(Exchange {
        title: what.clone(),
        text: transcript.text(),
        curl: Some(curl),
        parties: parties(&door, Some(subject)),
    });
    sound?;
    Ok(Observation { what, value })
}

/// Path and query.
fn target(arguments: &Attach, context: &StepContext, road: Road) -> String {
    let mut target = arguments
        .path
        .clone()
        .unwrap_or_else(|| door_path(&context.world, road, Some(&arguments.attach)));
    let of_token = |token: &str| token_query(context.world.name("tty.parameter"), token);
    let query = arguments
        .query
        .clone()
        .or_else(|| arguments.token.as_deref().map(of_token));
    if let Some(query) = query {
        target.push('?');
        target.push_str(&query);
    }
    target
}

/// Whether a nonce that is typed is seen on the screen, or in what was printed; it is taken back again (Ctrl-U).
///
/// A program that is still starting may print its prompt into what is being typed. Then another nonce is
/// typed, as a person would.
async fn works(terminal: &Terminal, context: &StepContext) -> bool {
    let deadline = Instant::now() + context.limits.screen;
    loop {
        let nonce = nonce();
        terminal.keys(&nonce).await;
        let came = terminal
            .until(deadline.saturating_duration_since(Instant::now()), |terminal| {
                let screen = terminal.screen();
                screen.contains(&nonce) || terminal.said(&nonce) || is_interrupted(&screen, &nonce)
            })
            .await;
        let seen = terminal.screen().contains(&nonce) || terminal.said(&nonce);
        terminal.keys("\u{15}").await;
        // What others type next must not be taken back with it: wait until it is gone from the screen.
        terminal
            .until(ERASED_WITHIN, |terminal| !terminal.screen().contains(&nonce))
            .await;
        if seen || !came {
            return seen;
        }
    }
}

/// Whether all of a nonce was echoed, in two parts with other output between them, and the second is the last
/// on the screen.
fn is_interrupted(screen: &str, nonce: &str) -> bool {
    let screen = screen.trim_end();
    (1..nonce.len()).any(|at| {
        let (first, second) = nonce.split_at(at);
        screen
            .strip_suffix(second)
            .is_some_and(|before| before.contains(first) && !before.ends_with(first))
    })
}

/// As [`works`]; then a close frame, and a moment for its answer.
async fn works_and_closes(terminal: &Terminal, context: &StepContext) -> bool {
    let works = works(terminal, context).await;
    terminal.send(Message::Close(None)).await;
    terminal
        .until(Duration::from_secs(1), |terminal| !terminal.is_open())
        .await;
    works
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Tried, chances, is_interrupted};

    #[test]
    fn of_several_attaches_each_counts() {
        let mut tried = Tried::default();
        tried.add(&json!({ "opened": true, "works": true, "status": 101 }));
        tried.add(&json!({ "opened": false, "status": 401 }));
        tried.add(&json!({ "opened": false, "connection": "refused" }));
        let want = json!({ "opened": 1, "works": 1, "statuses": { "101": 1, "401": 1, "none": 1 } });
        assert_eq!(tried.observed(), want);
    }

    #[test]
    fn the_chance_to_meet_one_replica_is_not_rounded_up() {
        assert_eq!(
            chances(20),
            json!({ "of_2": 0.9999, "of_3": 0.9996, "of_5": 0.9884, "of_10": 0.8784 })
        );
        assert_eq!(chances(0)["of_2"], 0.0);
    }

    #[test]
    fn a_prompt_in_the_middle_of_an_echo_is_told_from_lost_keys() {
        for screen in [
            "vt# kwtclllejo",
            "$ v\n$ tkwtclllejo  \n\n",
            "vtkwtclllej\nWelcome!\n# o",
        ] {
            assert!(is_interrupted(screen, "vtkwtclllejo"), "{screen}");
        }
        for screen in [
            "",
            "# ",
            "vtkwtclllejo",
            "vt# ",
            "vt# kwtclllej",
            "t# kwtclllejo",
            "vtkwtclllej",
            "kwtclllejo vt",
        ] {
            assert!(!is_interrupted(screen, "vtkwtclllejo"), "{screen}");
        }
    }
}
