//! `crowd`: one request by several users at once, many times each.

use futures_util::future::join_all;
use indexmap::IndexMap;
use reqwest::Method;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::context::{Exchange, StepContext};
use super::definition::{Reach, Verb, verb};
use super::handshake::headers;
use super::http::{chain, client};
use super::observation::{Observation, StepError};
use crate::vocabulary::{Intrusion, Road};
use crate::world::roads::{RoadError, door, parties, path_on};

/// The verb `crowd`.
pub const VERB: Verb = Verb {
    fields: &["opened", "statuses", "unanswered"],
    objects: &["opened", "statuses", "unanswered"],
    reach: Reach::Door { subject: None },
    intrusion: |_| Intrusion::Attack,
    ..verb!("crowd", Crowd, run)
};

/// Sends one request for several users at once, each time over a connection of its own, and counts the answers of each
/// user.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Crowd {
    /// `GET /path?query`.
    pub crowd: String,
    /// Default: `proxy`.
    pub road: Option<Road>,
    /// `Authorization` by the name of the user.
    pub users: IndexMap<String, String>,
    /// How many requests of each user are under way at once. Default: 16.
    #[schemars(range(min = 1, max = 1000))]
    pub each: Option<u32>,
    /// How often all of that is done, one after the other. Default: 1.
    #[schemars(range(min = 1, max = 1000))]
    pub rounds: Option<u32>,
}

const EACH: u32 = 16;

/// What came of a user's requests.
#[derive(Debug, Default)]
struct Tally {
    /// Answered as nobody is who has to stay outside.
    opened: u64,
    statuses: IndexMap<String, u64>,
    unanswered: IndexMap<String, u64>,
}

impl Tally {
    fn answered(&mut self, status: u16) {
        // 101 lets more in than any answer does.
        if (200..300).contains(&status) || status == 101 {
            self.opened += 1;
        }
        *self.statuses.entry(status.to_string()).or_default() += 1;
    }

    fn unanswered(&mut self, why: String) {
        *self.unanswered.entry(why).or_default() += 1;
    }

    /// In a line.
    fn text(&self, user: &str) -> String {
        let counted = self.statuses.iter().chain(&self.unanswered);
        let counted: Vec<String> = counted.map(|(what, count)| format!("{what}: {count}")).collect();
        format!("< {user}  {}\n", counted.join(", "))
    }
}

/// Carries out a `crowd` step.
async fn run(arguments: Crowd, context: &StepContext) -> Result<Observation, StepError> {
    let road = arguments.road.unwrap_or(Road::Proxy);
    let (each, rounds) = (arguments.each.unwrap_or(EACH), arguments.rounds.unwrap_or(1));
    let what = format!(
        "{} by {} users at once {}",
        arguments.crowd,
        arguments.users.len(),
        road.by()
    );
    let (method, path) = arguments.crowd.split_once(' ').unwrap_or(("GET", &arguments.crowd));
    let path = path_on(&context.world, road, path.trim());
    let door = match door(&context.world, road, None).await {
        Ok(door) => door,
        // Nobody is behind the door: the platform's doing, and to be judged.
        Err(gone @ RoadError::NoPod { .. }) => {
            let value = json!({ "connection": context.record_no_door(&what, &gone) });
            return Ok(Observation { what, value });
        }
        Err(error) => return Err(StepError::doing(&what, error)),
    };
    let method = Method::from_bytes(method.as_bytes()).map_err(|error| StepError::doing(&what, error))?;
    let client = client(&door, None, context)?;
    let url = door.way_url(&path);
    let mut users = Vec::new();
    for (user, authorization) in &arguments.users {
        users.push((user, headers(Some(authorization.as_str()), None)?));
    }
    let mut tallies: IndexMap<&String, Tally> = users.iter().map(|(user, _)| (*user, Tally::default())).collect();
    for _ in 0..rounds {
        let mut asked = Vec::new();
        for _ in 0..each {
            // In turn, so that each is beside all others.
            for (user, headers) in &users {
                let mut request = client
                    .request(method.clone(), &url)
                    .header("Host", &door.host)
                    .header("Cache-Control", "no-store");
                for (name, value) in headers {
                    request = request.header(name, value);
                }
                let answered = async move {
                    let answer = request.send().await?;
                    let status = answer.status().as_u16();
                    answer.bytes().await?;
                    Ok::<u16, reqwest::Error>(status)
                };
                let limited = tokio::time::timeout(context.limits.answer, answered);
                asked.push(async move { (*user, limited.await) });
            }
        }
        for (user, came) in join_all(asked).await {
            let tally = tallies.entry(user).or_default();
            match came {
                Ok(Ok(status)) => tally.answered(status),
                Ok(Err(error)) => {
                    StepError::unless_exhausted(&what, &error)?;
                    tally.unanswered(chain(&error));
                }
                Err(_) => tally.unanswered("no answer in time".to_owned()),
            }
        }
    }
    let lines: String = tallies.iter().map(|(user, tally)| tally.text(user)).collect();
    context.record(Exchange {
        title: what.clone(),
        text: format!("> {method} {path}, {each} of each user at once, {rounds} times\n{lines}"),
        // So many at once are no command to paste: the run itself is what shows it again.
        curl: None,
        parties: parties(&door, None),
    });
    Ok(Observation {
        what,
        value: observed(&tallies),
    })
}

fn observed(tallies: &IndexMap<&String, Tally>) -> Value {
    let of = |value: fn(&Tally) -> Value| -> Value {
        let each = tallies.iter().map(|(user, tally)| ((*user).clone(), value(tally)));
        Value::Object(each.collect())
    };
    json!({
        "opened": of(|tally| tally.opened.into()),
        "statuses": of(|tally| json!(tally.statuses)),
        "unanswered": of(|tally| json!(tally.unanswered)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::steps::definition::unlike_listed;

    #[test]
    fn what_opens_is_counted_for_each_user() {
        let (good, bad) = ("good".to_owned(), "bad".to_owned());
        let mut tallies: IndexMap<&String, Tally> = IndexMap::new();
        for (user, status) in [(&good, 200), (&good, 503), (&bad, 401), (&bad, 101), (&bad, 204)] {
            tallies.entry(user).or_default().answered(status);
        }
        tallies.entry(&bad).or_default().unanswered("reset".into());
        let value = observed(&tallies);
        assert_eq!(value["opened"], json!({ "good": 1, "bad": 2 }));
        assert_eq!(value["statuses"]["good"], json!({ "200": 1, "503": 1 }));
        assert_eq!(value["unanswered"], json!({ "good": {}, "bad": { "reset": 1 } }));
        assert_eq!(tallies[&bad].text("bad"), "< bad  401: 1, 101: 1, 204: 1, reset: 1\n");
        assert_eq!(unlike_listed(&VERB, &value), [""; 0]);
    }
}
