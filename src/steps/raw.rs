//! `raw`: bytes written to a socket unchanged, which libraries refuse to do.

use std::io;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinSet;
use tokio::time::error::Elapsed;
use tokio::time::{Instant, timeout_at};

use super::arguments::{Raw, RawFrame, RawPart, UpgradeHead};
use super::attach::{default_road, token_query};
use super::context::{Exchange, Observation, StepContext, StepError};
use super::credentials;
use super::wire::{self, Connected, Recorded, head_end};
use crate::vocabulary::Road;
use crate::world::Door;
use crate::world::roads::{RoadError, door, door_path, parties};
use crate::world::subject;

/// Bytes of an answer that are read.
const ANSWER_READ: usize = 1 << 20;
/// How long to keep reading by default.
const READ_FOR: Duration = Duration::from_secs(2);
/// The mask of frames: any will do (RFC 6455 §5.3).
const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// What `raw` says where it is about no session and no pod.
const OF_THE_ROAD: &str = "door";

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
        Some(text) => crate::vocabulary::duration::parse(text)
            .ok_or_else(|| StepError(format!("read-for: {text:?} is not a duration like 500ms or 2s")))?,
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
                    bytes
                        .first
                        .extend_from_slice(upgrade_head(upgrade, &path, &door.host).as_bytes());
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

pub(super) fn upgrade_head(upgrade: &UpgradeHead, path: &str, host: &str) -> String {
    let query = upgrade
        .query
        .clone()
        .or_else(|| upgrade.token.as_deref().map(token_query));
    let target = upgrade.target.clone().unwrap_or_else(|| match query {
        Some(query) => format!("{path}?{query}"),
        None => path.to_owned(),
    });
    let defaults = [
        ("Host", host),
        ("Connection", "Upgrade"),
        ("Upgrade", "websocket"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", "Z2F1bnRsZXQtZ2F1bnRsZQ=="),
    ];
    let mut head = format!("{} {target} HTTP/1.1\r\n", upgrade.method.as_deref().unwrap_or("GET"));
    let changed = |name: &str| upgrade.headers.keys().any(|key| key.eq_ignore_ascii_case(name));
    for (name, value) in defaults.iter().filter(|(name, _)| !changed(name)) {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    for (name, value) in &upgrade.headers {
        if let Some(value) = value {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
    }
    if upgrade.ends != Some(false) {
        head.push_str("\r\n");
    }
    head
}

/// A masked binary frame: keystrokes.
pub fn masked_binary(payload: &[u8]) -> Vec<u8> {
    frame(0x82, true, payload, payload.len() as u64)
}

/// A frame (RFC 6455 §5.2) whose header says what it is told to say.
fn frame(first_byte: u8, masked: bool, payload: &[u8], length: u64) -> Vec<u8> {
    let mask_bit = if masked { 0x80 } else { 0 };
    let mut bytes = vec![first_byte];
    match length {
        0..=125 => bytes.push(mask_bit | length as u8),
        126..=0xffff => {
            bytes.push(mask_bit | 126);
            bytes.extend((length as u16).to_be_bytes());
        }
        _ => {
            bytes.push(mask_bit | 127);
            bytes.extend(length.to_be_bytes());
        }
    }
    match masked {
        true => {
            bytes.extend(MASK);
            bytes.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
        }
        false => bytes.extend_from_slice(payload),
    }
    bytes
}

fn frame_bytes(of: &RawFrame) -> Result<Vec<u8>, StepError> {
    let payload = match (&of.text, &of.hex) {
        (Some(text), None) => text.clone().into_bytes(),
        (None, Some(hex)) => unhex(hex)?,
        (None, None) => Vec::new(),
        (Some(_), Some(_)) => {
            return Err(StepError("a frame has `text` or `hex`, not both".into()));
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
        _ => Err(StepError(format!(
            "{} bytes {times} times are more than the {REPEATED} that are sent",
            bytes.len()
        ))),
    }
}

fn unhex(text: &str) -> Result<Vec<u8>, StepError> {
    let digits: Vec<u8> = text.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    let wrong = || StepError(format!("{text:?} is not an even number of hexadecimal digits"));
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
    let mut value = observed(received);
    value["closed"] = closed.into();
    value["sent_all"] = sent_all.into();
    (value, stream.transcript.text())
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

pub(super) fn status(bytes: &[u8]) -> Option<u16> {
    let line = bytes.split(|byte| *byte == b'\r').next()?;
    let mut parts = std::str::from_utf8(line).ok()?.split(' ');
    parts.next().filter(|version| version.starts_with("HTTP/"))?;
    parts.next()?.parse().ok()
}

/// Whether a whole HTTP answer is there; `None` if no Content-Length says so.
pub(super) fn is_complete(bytes: &[u8]) -> Option<bool> {
    let end = head_end(bytes)?;
    let headers = header_lines(&bytes[..end]);
    let (_, length) = headers.iter().find(|(name, _)| name == "content-length")?;
    let length: usize = length.parse().ok()?;
    Some(end.checked_add(length).is_some_and(|whole| bytes.len() >= whole))
}

fn header_lines(head: &[u8]) -> Vec<(String, String)> {
    String::from_utf8_lossy(head)
        .lines()
        .skip(1)
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.trim().to_ascii_lowercase(), value.trim().to_owned()))
        .collect()
}

/// The code of a close frame among a server's frames; `None` inside where it has no code.
fn close_frame(bytes: &[u8]) -> Option<Option<u16>> {
    let mut rest = &bytes[head_end(bytes)?..];
    while let [first, second, ..] = *rest {
        let (length, header) = match second & 0x7f {
            126 => (u64::from(u16::from_be_bytes([*rest.get(2)?, *rest.get(3)?])), 4),
            127 => (u64::from_be_bytes(rest.get(2..10)?.try_into().ok()?), 10),
            short => (u64::from(short), 2),
        };
        let payload = rest.get(header..header + usize::try_from(length).ok()?)?;
        if first & 0x0f == 8 {
            return Some(payload.get(..2).map(|code| u16::from_be_bytes([code[0], code[1]])));
        }
        rest = &rest[header + payload.len()..];
    }
    None
}

fn observed(received: &[u8]) -> Value {
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
    if let Some(code) = close_frame(received) {
        value["close"] = json!({ "code": code });
    }
    value
}
