//! `timing`: does the time of a refusal reveal how much of the token was right (ASVS 5 11.2.4; CWE-208)?
//!
//! Two tokens of one length, each with one wrong character, are shown in a
//! random order: one wrong at the first place, one wrong at the last. All else
//! is the same, so a comparison that ends early, from whichever side, takes
//! longer for one of them. Their times are compared by rank, which bears the
//! outliers that a busy machine makes, at a growing number of samples.

mod probe;
mod statistics;

use std::time::Duration;

use rand::seq::SliceRandom;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::context::{Answer, Exchange, StepContext};
use super::definition::{Reach, Verb, phrases, verb};
use super::limits::length;
use super::observation::{Observation, StepError};
use crate::vocabulary::duration::{self, DurationText};
use crate::vocabulary::{Intrusion, Road};
use crate::world::roads::{RoadError, door, door_path, parties};
use crate::world::subject::{self, default_road};
use probe::{Probe, Refused};
use statistics::{Conclusion, Look, Looks, POWER, look};

/// The verb `timing`.
pub const VERB: Verb = Verb {
    phrases: phrases![
        "no leak", "the time of a refusal does not tell how much of the token was right, down to the smallest effect",
            {"conclusion": "no leak"};
    ],
    default_given: Some("no leak"),
    fields: &[
        "conclusion",
        "p_value",
        "samples",
        "shift_us",
        "spread_us",
        "power",
        "bytes",
        "smallest_effect_us_per_byte",
        "status",
    ],
    takes_objects: &["timing"],
    reach: Reach::Door {
        subject: Some("timing"),
    },
    intrusion: |_| Intrusion::Attack,
    ..verb!("timing", Timing, run)
};

/// Tells whether the time of a refusal depends on how much of the token was right (CWE-208).
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Timing {
    /// The session or pod whose door it is.
    pub timing: Value,
    /// Default: `proxy` for a session, `direct` for a pod.
    pub road: Option<Road>,
    /// The right token; it is shown with one character wrong.
    pub token: String,
    /// The smallest effect looked for, for each further byte that is right. Default 20 µs.
    #[schemars(with = "Option<DurationText>")]
    pub smallest_effect: Option<String>,
    /// Longest time of measuring; where it is too short to tell, that is an error. Default 20 s.
    #[schemars(with = "Option<DurationText>")]
    pub at_most: Option<String>,
}

/// Up to 32768 samples of each kind. The first look has enough to show a shift
/// that stands out of the noise, and to know the noise.
const LOOKS: Looks = Looks {
    first: 64,
    count: 10,
    alpha: 1e-6,
};
/// The order is shuffled within so many refusals of each kind: slow changes of
/// the machine's load hit both kinds alike. It divides the first look.
const BLOCK: usize = 32;
/// Refusals before measuring: caches, lazily made things.
const WARM_UP: usize = 8;
const SMALLEST_EFFECT: Duration = Duration::from_micros(20);
const AT_MOST: Duration = Duration::from_secs(20);

/// Which of the two tokens is shown.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Right but for the last character.
    Near,
    /// Wrong from the first character on.
    Far,
}

/// Measures refusals until a difference is shown, or would have been.
pub async fn run(arguments: Timing, context: &StepContext) -> Result<Observation, StepError> {
    let subject = &arguments.timing;
    let road = arguments.road.unwrap_or_else(|| default_road(subject));
    let what = format!("timing of refusals at {} {}", subject::name(subject), road.by());
    let per_byte = length("smallest-effect", arguments.smallest_effect.as_deref(), SMALLEST_EFFECT)?;
    let at_most = length("at-most", arguments.at_most.as_deref(), AT_MOST)?;
    let tokens = Tokens::of(&arguments.token)?;
    let door = match door(&context.world, road, Some(subject)).await {
        Ok(door) => door,
        Err(gone @ RoadError::NoPod { .. }) => {
            let value = json!({
                "kind": "timing",
                "conclusion": "nobody is behind the door",
                "connection": context.record_no_door(&what, &gone),
            });
            return Ok(Observation { what, value });
        }
        Err(error) => return Err(StepError::doing(&what, error)),
    };
    let path = door_path(&context.world, road, Some(subject));
    let parameter = context.world.name("tty.parameter");
    let parties = parties(&door, Some(subject));
    let measurement = Measurement {
        probe: Probe::new(&door, context),
        near: probe::request(parameter, &tokens.near, &path, &door.host),
        far: probe::request(parameter, &tokens.far, &path, &door.host),
        effect: per_byte.as_secs_f64() * 1e6 * tokens.bytes as f64,
        until: Instant::now() + at_most,
        status: None,
    };
    let value = match measurement
        .run(context)
        .await
        .map_err(|error| StepError::doing(&what, error))?
    {
        Ended::Opened => json!({ "conclusion": "a wrong token opened the door", "status": 101 }),
        Ended::Told { look, status } => observed(&look, status),
        Ended::Untold { look, samples } => return Err(untold(&what, look, samples, at_most, per_byte, tokens.bytes)),
    };
    let value = merged(about(per_byte, tokens.bytes), value);
    // The single requests are thousands alike, and a nearly right token is nearly a secret.
    context.record(Exchange {
        title: what.clone(),
        text: value.to_string(),
        curl: None,
        parties,
    });
    Ok(Observation { what, value })
}

/// The two wrong tokens.
struct Tokens {
    near: String,
    far: String,
    /// How many more bytes are right in the one than in the other.
    bytes: usize,
}

impl Tokens {
    /// Only letters and digits are changed, for others of their kind: the requests keep one length.
    fn of(token: &str) -> Result<Tokens, StepError> {
        let plain = |byte: &u8| byte.is_ascii_alphanumeric();
        let first = token.as_bytes().iter().position(plain);
        let last = token.as_bytes().iter().rposition(plain);
        match (first, last) {
            (Some(first), Some(last)) if first < last => Ok(Tokens {
                near: with_wrong(token, last),
                far: with_wrong(token, first),
                bytes: last - first,
            }),
            _ => Err(StepError::Arguments(
                "timing needs a token with at least two letters or digits".into(),
            )),
        }
    }
}

/// The text with another character at a place where an ASCII letter or digit is.
fn with_wrong(text: &str, at: usize) -> String {
    let wrong = match text.as_bytes()[at] {
        b'0' => "1",
        _ => "0",
    };
    format!("{}{wrong}{}", &text[..at], &text[at + 1..])
}

/// Refusals being measured.
struct Measurement<'a> {
    probe: Probe<'a>,
    near: Vec<u8>,
    far: Vec<u8>,
    /// The smallest shift that must not be missed, in µs.
    effect: f64,
    until: Instant,
    /// The status of all refusals so far.
    status: Option<u16>,
}

/// How measuring ended.
enum Ended {
    Told {
        look: Look,
        status: Option<u16>,
    },
    /// Time or samples ran out; the last look, if there was one.
    Untold {
        look: Option<Look>,
        samples: usize,
    },
    /// A wrong token was let in: there is no refusal to measure.
    Opened,
}

impl Measurement<'_> {
    async fn run(mut self, context: &StepContext) -> Result<Ended, StepError> {
        for kind in [Kind::Near, Kind::Far].repeat(WARM_UP / 2) {
            let refused = self.refused(kind).await?;
            if refused.opened() {
                return Ok(Ended::Opened);
            }
            // Once of each kind is enough for the search of leaks: the others are alike.
            let text = String::from_utf8_lossy(&refused.text).into_owned();
            context.record_answer(Answer {
                status: refused.status,
                text,
                location: None,
            });
        }
        let (mut near, mut far) = (Vec::new(), Vec::new());
        let mut last = None;
        for size in LOOKS.sizes() {
            while near.len() < size {
                if Instant::now() >= self.until {
                    return Ok(Ended::Untold {
                        look: last,
                        samples: near.len(),
                    });
                }
                let mut order = [Kind::Near, Kind::Far].repeat(BLOCK);
                order.shuffle(&mut rand::rng());
                for kind in order {
                    let refused = self.refused(kind).await?;
                    if refused.opened() {
                        return Ok(Ended::Opened);
                    }
                    let sample = if kind == Kind::Near { &mut near } else { &mut far };
                    sample.push(refused.after.as_secs_f64() * 1e6);
                }
            }
            let look = look(&near, &far, self.effect, LOOKS);
            if look.conclusion != Conclusion::Open {
                return Ok(Ended::Told {
                    look,
                    status: self.status,
                });
            }
            last = Some(look);
        }
        Ok(Ended::Untold {
            look: last,
            samples: near.len(),
        })
    }

    /// One refusal. All must have one status: the times of different answers tell nothing of a comparison.
    async fn refused(&mut self, kind: Kind) -> Result<Refused, StepError> {
        let request = if kind == Kind::Near { &self.near } else { &self.far };
        let refused = self.probe.refused(request).await?;
        match self.status {
            Some(status) if status != refused.status && !refused.opened() => Err(StepError::Because(format!(
                "the refusals differ, {status} and {}: their times cannot be compared",
                refused.status
            ))),
            _ => {
                self.status = Some(refused.status);
                Ok(refused)
            }
        }
    }
}

/// What was measured.
fn about(per_byte: Duration, bytes: usize) -> Value {
    json!({
        "kind": "timing",
        "bytes": bytes,
        "smallest_effect_us_per_byte": round(per_byte.as_secs_f64() * 1e6),
    })
}

fn observed(look: &Look, status: Option<u16>) -> Value {
    json!({
        "conclusion": if look.conclusion == Conclusion::Leak { "leak" } else { "no leak" },
        "p_value": significant(look.p),
        "samples": look.samples,
        "shift_us": round(look.shift),
        "spread_us": round(look.spread),
        "power": round(look.power),
        "status": status,
    })
}

/// Three decimals: the clock does not tell more.
fn round(number: f64) -> f64 {
    (number * 1e3).round() / 1e3
}

/// Three significant digits, however small it is.
fn significant(number: f64) -> f64 {
    // What Rust writes as a number, it reads as one.
    format!("{number:.2e}").parse().unwrap_or(number)
}

fn merged(mut value: Value, more: Value) -> Value {
    if let (Some(value), Value::Object(more)) = (value.as_object_mut(), more) {
        value.extend(more);
    }
    value
}

fn untold(
    what: &str,
    look: Option<Look>,
    samples: usize,
    at_most: Duration,
    per_byte: Duration,
    bytes: usize,
) -> StepError {
    let effect = format!("{} a byte over {bytes} bytes", duration::show(per_byte));
    let seen = match look {
        None => format!("the first look needs {}", LOOKS.first),
        Some(look) => format!(
            "at {} of each kind the power to see {effect} was {:.3} of {POWER}, the middle half of the times spread \
             over {:.1} µs, p was {:.2e}",
            look.samples, look.power, look.spread, look.p
        ),
    };
    StepError::Because(format!(
        "{what}: too little power: {samples} samples of each kind within {}, {seen}; a longer at-most, a larger \
         smallest-effect or a quieter machine would help",
        duration::show(at_most)
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::steps::definition::unlike_listed;

    #[test]
    fn tokens_are_wrong_at_one_place_each() {
        let tokens = Tokens::of("0123456789abcdef").expect("long enough");
        assert_eq!(
            (tokens.near.as_str(), tokens.far.as_str()),
            ("0123456789abcde0", "1123456789abcdef")
        );
        assert_eq!(tokens.bytes, 15);
        let odd = Tokens::of("é/0b=").expect("two letters or digits");
        assert_eq!((odd.near.as_str(), odd.far.as_str(), odd.bytes), ("é/00=", "é/1b=", 1));
        assert!(Tokens::of("a").is_err() && Tokens::of("").is_err() && Tokens::of("=é=").is_err());
    }

    #[test]
    fn small_numbers_keep_their_digits() {
        assert_eq!(significant(1.712_358e-21), 1.71e-21);
        assert_eq!(significant(1.0), 1.0);
        assert_eq!(significant(0.0), 0.0);
    }

    #[test]
    fn blocks_fill_the_looks() {
        assert!(LOOKS.sizes().all(|size| size % BLOCK == 0));
    }

    #[test]
    fn what_it_observes_is_listed() {
        let look = Look {
            conclusion: Conclusion::NoLeak,
            samples: 64,
            p: 0.5,
            power: 0.999,
            shift: 1.0,
            spread: 2.0,
        };
        let seen = merged(about(SMALLEST_EFFECT, 15), observed(&look, Some(401)));
        assert_eq!(unlike_listed(&VERB, &seen), [""; 0]);
    }
}
