//! `raw`: bytes written to a socket unchanged, which libraries refuse to do.

use std::io;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinSet;
use tokio::time::error::Elapsed;
use tokio::time::{Instant, timeout_at};

use super::answer::{head_end, header_lines, is_complete, status};
use super::context::{Exchange, StepContext};
use super::credentials;
use super::definition::{Reach, Verb, phrases, verb};
use super::frame::{close_frame, frame, unagreed_bits};
use super::handshake::{UpgradeHead, upgrade_head};
use super::observation::{Observation, StepError};
use super::wire::{self, Connected, Recorded};
use crate::vocabulary::duration::{self, DurationText};
use crate::vocabulary::{Intrusion, Road};
use crate::world::Door;
use crate::world::roads::{RoadError, door, door_path, parties};
use crate::world::subject::{self, default_road};

/// The verb `raw`.
pub const VERB: Verb = Verb {
    phrases: phrases![
        "opens", "101", {"opened": true};
        "answers <status>", "this HTTP status", {"status": {"one-of": "<status>"}};
        "refused <status>", "this HTTP status, or closed without an answer, and no 101",
            {"opened": false, "status": {"any": [{"one-of": "<status>"}, {"absent": true}]}};
        "closed", "the connection was closed by the other side", {"closed": true};
        "closed with <status>", "closed with this WebSocket code", {"close.code": {"one-of": "<status>"}};
    ],
    fields: &[
        "opened",
        "status",
        "header",
        "body",
        "text",
        "close",
        "closed",
        "sent_all",
        "unagreed_bits",
    ],
    objects: &["header"],
    takes_objects: &["raw"],
    each: Some("raw"),
    has_door: true,
    reach: Reach::Door { subject: Some("raw") },
    intrusion: |_| Intrusion::Attack,
    ..verb!("raw", Raw, run)
};

/// Writes bytes to a socket as they are, and tells what came back.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Raw {
    /// The session or pod whose door it is; a list of pods: each. `door`: that of the road.
    pub raw: Value,
    pub road: Option<Road>,
    /// Goes on reading behind a complete answer, until the other side closes.
    pub until_closed: Option<bool>,
    /// What is written, part after part.
    pub send: Vec<RawPart>,
    /// How long to go on reading behind the first of an answer when the other side neither answers completely
    /// nor closes. Default 2 s. As `500ms`. Where nothing comes it is waited for as for any answer, or this long.
    #[schemars(with = "Option<DurationText>")]
    pub read_for: Option<String>,
    /// So many connections at once, all with the same bytes. Default 1.
    pub connections: Option<u32>,
}

/// A part of what `raw` writes.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, untagged)]
pub enum RawPart {
    /// A line; CR LF is added.
    Line(String),
    /// The head of a correct upgrade request to the door, with changes.
    Upgrade { upgrade: UpgradeHead },
    /// Bytes as hexadecimal digits.
    Hex { hex: String },
    /// A text as it is, so many times.
    Text { text: String, times: Option<u64> },
    /// A WebSocket frame; sent once the upgrade was answered, unless `eager`.
    Frame { frame: RawFrame },
}

/// A WebSocket frame, correct unless it says otherwise.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct RawFrame {
    /// 0 continuation, 1 text, 2 binary, 8 close, 9 ping, 10 pong.
    pub opcode: u8,
    pub text: Option<String>,
    pub hex: Option<String>,
    /// The payload this many times.
    pub times: Option<u64>,
    pub fin: Option<bool>,
    /// The three reserved bits, 0 to 7.
    pub rsv: Option<u8>,
    pub masked: Option<bool>,
    /// The length that the header says, in place of the payload's own.
    pub length: Option<u64>,
    /// Sent without waiting for the answer to the upgrade.
    pub eager: Option<bool>,
}

/// Bytes of an answer that are read.
const ANSWER_READ: usize = 1 << 20;
/// How long to keep reading by default.
const READ_FOR: Duration = Duration::from_secs(2);

/// What `raw` says where it is about no session and no pod.
pub const OF_THE_ROAD: &str = "door";

/// Writes the bytes and tells what came back.
pub async fn run(arguments: Raw, context: &StepContext) -> Result<Observation, StepError> {
    let road = arguments.road.unwrap_or_else(|| default_road(&arguments.raw));
    let count = arguments.connections.unwrap_or(1);
    let about = Some(&arguments.raw).filter(|about| **about != OF_THE_ROAD);
    let to = about
        .map(|about| format!(" to {}", subject::name(about)))
        .unwrap_or_default();
    let what = match count {
        1 => format!("raw bytes{to} {}", road.by()),
        n => format!("{n} raw connections{to} {}", road.by()),
    };
    let door = match door(&context.world, road, about).await {
        Ok(door) => door,
        Err(gone @ RoadError::NoPod { .. }) => {
            let value = json!({ "opened": false, "connection": context.record_no_door(&what, &gone) });
            return Ok(Observation { what, value });
        }
        Err(error) => return Err(StepError::doing(&what, error)),
    };
    let read_for = match arguments.read_for.as_deref() {
        None => READ_FOR,
        Some(text) => duration::parse(text)
            .ok_or_else(|| StepError::Arguments(format!("read-for: {text:?} is not a duration like 500ms or 2s")))?,
    };
    let bytes = Bytes {
        until_closed: arguments.until_closed == Some(true),
        ..Bytes::of(&arguments, context, road, &door)?
    };
    let mut connections = JoinSet::new();
    for _ in 0..count {
        let connected = match wire::connect(&door, &context.world.trust, &context.limits).await {
            Ok(connected) => connected,
            Err(error) => {
                // Their descriptors may be what is missing, for what is done next as well.
                connections.shutdown().await;
                return Err(error);
            }
        };
        match connected {
            Connected::Yes(stream) => {
                connections.spawn(exchange(*stream, bytes.clone(), read_for, context.limits.answer))
            }
            Connected::Refused(refused) => {
                return Ok(Observation {
                    what,
                    value: json!({ "opened": false, "connection": refused }),
                });
            }
        };
    }
    let mut values = Vec::new();
    while let Some(ended) = connections.join_next().await {
        let (value, transcript) = ended.map_err(|error| StepError::doing(&what, error))??;
        credentials::keep(&value["body"], &context.redactor)
            .map_err(|error| StepError::doing("keeping secrets of the answer secret", error))?;
        context.record(Exchange {
            title: what.clone(),
            text: transcript,
            curl: None,
            parties: parties(&door, about),
        });
        context.record_observed(&value);
        values.push(value);
    }
    Ok(Observation {
        what,
        value: summed(values),
    })
}

/// One connection's observation; of several, the first, with `closed` true where all were.
fn summed(values: Vec<Value>) -> Value {
    let all_closed = values.iter().all(|value| value["closed"] == true);
    let any_opened = values.iter().any(|value| value["opened"] == true);
    let mut first = values.into_iter().next().unwrap_or_default();
    first["closed"] = all_closed.into();
    first["opened"] = any_opened.into();
    first
}

/// What is written: at once, and once the upgrade was answered.
#[derive(Clone)]
struct Bytes {
    first: Vec<u8>,
    frames: Vec<u8>,
    /// Whether to keep reading after a complete answer.
    until_closed: bool,
}

impl Bytes {
    fn of(arguments: &Raw, context: &StepContext, road: Road, door: &Door) -> Result<Bytes, StepError> {
        let mut bytes = Bytes {
            first: Vec::new(),
            frames: Vec::new(),
            until_closed: false,
        };
        for part in &arguments.send {
            match part {
                RawPart::Line(line) => bytes.first.extend_from_slice(format!("{line}\r\n").as_bytes()),
                RawPart::Upgrade { upgrade } => {
                    let path = door_path(&context.world, road, Some(&arguments.raw));
                    let parameter = context.world.name("tty.parameter");
                    bytes
                        .first
                        .extend_from_slice(upgrade_head(upgrade, &path, parameter, &door.host).as_bytes());
                }
                RawPart::Hex { hex } => bytes.first.extend(unhex(hex)?),
                RawPart::Text { text, times } => bytes.first.extend(repeat(text.as_bytes(), times.unwrap_or(1))?),
                RawPart::Frame { frame } if frame.eager == Some(true) => bytes.first.extend(frame_bytes(frame)?),
                RawPart::Frame { frame } => bytes.frames.extend(frame_bytes(frame)?),
            }
        }
        Ok(bytes)
    }
}

fn frame_bytes(of: &RawFrame) -> Result<Vec<u8>, StepError> {
    let payload = match (&of.text, &of.hex) {
        (Some(text), None) => text.clone().into_bytes(),
        (None, Some(hex)) => unhex(hex)?,
        (None, None) => Vec::new(),
        (Some(_), Some(_)) => {
            return Err(StepError::Arguments("a frame has `text` or `hex`, not both".into()));
        }
    };
    let payload = repeat(&payload, of.times.unwrap_or(1))?;
    let fin = if of.fin.unwrap_or(true) { 0x80 } else { 0 };
    let rsv = (of.rsv.unwrap_or(0) & 7) << 4;
    let length = of.length.unwrap_or(payload.len() as u64);
    Ok(frame(
        fin | rsv | (of.opcode & 0x0f),
        of.masked.unwrap_or(true),
        &payload,
        length,
    ))
}

/// Largest thing that `times` may make.
const REPEATED: u64 = 64 << 20;

fn repeat(bytes: &[u8], times: u64) -> Result<Vec<u8>, StepError> {
    match (bytes.len() as u64).checked_mul(times) {
        Some(size) if size <= REPEATED => Ok(bytes.repeat(times as usize)),
        _ => Err(StepError::Arguments(format!(
            "{} bytes {times} times are more than the {REPEATED} that are sent",
            bytes.len()
        ))),
    }
}

fn unhex(text: &str) -> Result<Vec<u8>, StepError> {
    let digits: Vec<u8> = text.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    let wrong = || StepError::Arguments(format!("{text:?} is not an even number of hexadecimal digits"));
    if !digits.len().is_multiple_of(2) {
        return Err(wrong());
    }
    digits
        .chunks(2)
        .map(|pair| {
            let pair = std::str::from_utf8(pair).map_err(|_| wrong())?;
            u8::from_str_radix(pair, 16).map_err(|_| wrong())
        })
        .collect()
}

/// Writes, reads until the other side closes or the time is over, and tells what was seen. The time begins with
/// the answer, which a machine that is busy gives late: `answer` is how long it may take.
async fn exchange(
    mut stream: Recorded,
    bytes: Bytes,
    read_for: Duration,
    answer: Duration,
) -> Result<(Value, String), StepError> {
    let patience = Instant::now() + read_for.max(answer);
    let until_closed = bytes.until_closed;
    // A server may refuse before it has read all: what it says counts, not the broken pipe.
    let written = sent(timeout_at(patience, stream.write_all(&bytes.first)).await)?;
    let mut received = Vec::new();
    let gone = read_until(&mut stream, &mut received, patience, |bytes| !bytes.is_empty()).await?;
    if gone || received.is_empty() {
        return Ok(told(&received, gone, written, &stream));
    }
    let deadline = Instant::now() + read_for;
    let mut closed = read_until(&mut stream, &mut received, deadline, |bytes| head_end(bytes).is_some()).await?;
    if !closed && is_101(&received) && !bytes.frames.is_empty() {
        let _all = sent(timeout_at(deadline, stream.write_all(&bytes.frames)).await)?;
        closed = read_until(&mut stream, &mut received, deadline, |bytes| {
            close_frame(bytes).is_some()
        })
        .await?;
    } else if !closed && !is_101(&received) {
        closed = read_until(&mut stream, &mut received, deadline, |bytes| {
            !until_closed && is_complete(bytes) == Some(true)
        })
        .await?;
    }
    Ok(told(&received, closed, written, &stream))
}

/// Whether all was written in time.
fn sent(written: Result<io::Result<()>, Elapsed>) -> Result<bool, StepError> {
    if let Ok(Err(error)) = &written {
        StepError::unless_exhausted("writing raw bytes", error)?;
    }
    Ok(matches!(written, Ok(Ok(()))))
}

fn told(received: &[u8], closed: bool, sent_all: bool, stream: &Recorded) -> (Value, String) {
    (observed(received, closed, sent_all), stream.transcript.text())
}

/// Reads until enough is there; tells whether the other side has closed.
async fn read_until(
    stream: &mut Recorded,
    received: &mut Vec<u8>,
    deadline: Instant,
    enough: impl Fn(&[u8]) -> bool,
) -> Result<bool, StepError> {
    let mut chunk = [0; 8192];
    while !enough(received) && received.len() < ANSWER_READ {
        match timeout_at(deadline, stream.read(&mut chunk)).await {
            Err(_) => return Ok(false),
            Ok(Ok(0)) => return Ok(true),
            Ok(Err(error)) => {
                StepError::unless_exhausted("reading what raw bytes are answered with", &error)?;
                return Ok(true);
            }
            Ok(Ok(read)) => received.extend_from_slice(&chunk[..read]),
        }
    }
    Ok(false)
}

fn is_101(bytes: &[u8]) -> bool {
    status(bytes) == Some(101)
}

fn observed(received: &[u8], closed: bool, sent_all: bool) -> Value {
    let end = head_end(received).unwrap_or(received.len());
    let mut value = json!({ "opened": is_101(received), "text": wire::printable(&received[end..]) });
    if let Some(status) = status(received) {
        value["status"] = status.into();
        value["header"] = header_lines(&received[..end])
            .into_iter()
            .map(|(name, text)| (name, Value::from(text)))
            .collect();
        value["body"] = serde_json::from_slice(&received[end..]).unwrap_or(Value::Null);
    }
    if is_101(received) {
        value["unagreed_bits"] = unagreed_bits(received).into();
    }
    if let Some(code) = close_frame(received) {
        value["close"] = json!({ "code": code });
    }
    value["closed"] = closed.into();
    value["sent_all"] = sent_all.into();
    value
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::steps::definition::unlike_listed;

    #[test]
    fn what_it_observes_is_listed() {
        let answer = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n\x88\x02\x03\xea";
        let seen = observed(answer, true, true);
        assert_eq!((&seen["opened"], &seen["close"]["code"]), (&json!(true), &json!(1002)));
        assert_eq!(seen["header"]["upgrade"], "websocket");
        assert_eq!(unlike_listed(&VERB, &seen), [""; 0]);
        let nothing = observed(b"", true, true);
        assert_eq!(
            unlike_listed(&VERB, &nothing),
            ["status", "header", "body", "close", "unagreed_bits"]
        );
    }
}
