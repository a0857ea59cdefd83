//! `websocket`: opens a WebSocket, reads the first message, and closes it or keeps it open.

use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::{Instant, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

use super::context::{Exchange, StepContext};
use super::definition::{Reach, Verb, phrases, verb};
use super::handshake::{HeaderValues, Upgraded, curl, headers, upgrade, upgrade_request};
use super::observation::{Observation, StepError};
use super::terminal::Terminal;
use super::wire::Recorded;
use crate::vocabulary::duration::{self, DurationText};
use crate::vocabulary::{Intrusion, Road};
use crate::world::roads::{RoadError, door, parties, path_on};

/// The verb `websocket`.
pub const VERB: Verb = Verb {
    phrases: phrases![
        "opens", "101", {"opened": true};
        "begins", "101, and the first message is that the conversation begins", {"opened": true, "message.type": "init"};
        "refused", "an HTTP answer that is not 101", {"opened": false, "status": {"at-least": 200}};
        "refused <status>", "this HTTP status, and no 101", {"opened": false, "status": {"one-of": "<status>"}};
        "not opened", "no 101: an HTTP answer, or a connection that was closed", {"opened": false};
    ],
    default_given: Some("opens"),
    fields: &[
        "opened",
        "status",
        "header",
        "body",
        "text",
        "message",
        "close",
        "broken",
        "no_message_within",
        "quiet",
    ],
    objects: &["header"],
    reach: Reach::Door { subject: None },
    intrusion: |_| Intrusion::Use,
    ..verb!("websocket", Websocket, run)
};

/// Opens a WebSocket that is no terminal, reads what comes first, and closes it or keeps it open.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Websocket {
    /// The path with its query: `/api/agents/1/react?access-token=…`.
    pub websocket: String,
    pub road: Road,
    pub authorization: Option<String>,
    pub headers: Option<IndexMap<String, HeaderValues>>,
    /// Sends nothing for so long after the first message but answers to pings, as `60s`; `quiet` tells what became of it.
    #[schemars(with = "Option<DurationText>")]
    pub quiet_for: Option<String>,
    /// Whether it stays open for later steps: `ping`, `terminal`, `close`. Default: no.
    pub keep: Option<bool>,
}

/// How long the other side may take to answer a close.
const CLOSE_WITHIN: Duration = Duration::from_secs(1);

/// Opens one: `opened`, the answer where it isn't 101, `message` (the first; JSON where it is), `close`; `terminal`,
/// by which later steps name it, where it stays open; with `quiet-for` also `quiet`: `open`, `pings` (how many came),
/// `lasted_ms`.
pub async fn run(arguments: Websocket, context: &StepContext) -> Result<Observation, StepError> {
    let road = arguments.road;
    let target = path_on(&context.world, road, &arguments.websocket);
    let what = format!("open {target} {}", road.by());
    let door = match door(&context.world, road, None).await {
        Ok(door) => door,
        Err(gone @ RoadError::NoPod { .. }) => {
            let value = json!({ "opened": false, "connection": context.record_no_door(&what, &gone) });
            return Ok(Observation { what, value });
        }
        Err(error) => return Err(StepError::doing(&what, error)),
    };
    let quiet_for = arguments.quiet_for.as_deref().map(|text| {
        let wrong = || StepError::Arguments(format!("quiet-for: {text:?} is not a duration like 500ms or 60s"));
        duration::parse(text).ok_or_else(wrong)
    });
    let quiet_for = quiet_for.transpose()?;
    let headers = headers(arguments.authorization.as_deref(), arguments.headers.as_ref())?;
    let request = upgrade_request(&target, headers, &door)?;
    let curl = curl(&door, &request);
    let (value, transcript, sound) = match upgrade(request, None, context, &door).await? {
        Upgraded::Opened {
            mut socket,
            mut response,
        } => {
            response["opened"] = true.into();
            let transcript = socket.get_ref().transcript.clone();
            let sound = first(&mut socket, context.limits.answer, &mut response).await;
            let began = !response["message"].is_null();
            if let Some(quiet_for) = quiet_for.filter(|_| began) {
                response["quiet"] = quiet(&mut socket, quiet_for, context.limits.answer).await;
            }
            match began && arguments.keep == Some(true) {
                true => response["terminal"] = context.keep_terminal(Terminal::over(*socket)).into(),
                false if began => end(&mut socket, &mut response).await,
                false => {}
            }
            (response, transcript, sound)
        }
        Upgraded::Answered { response, transcript } => (response, transcript, Ok(())),
    };
    context.record(Exchange {
        title: what.clone(),
        text: transcript.text(),
        curl: Some(curl),
        parties: parties(&door, None),
    });
    sound?;
    Ok(Observation { what, value })
}

/// What comes first.
async fn first(socket: &mut WebSocketStream<Recorded>, within: Duration, seen: &mut Value) -> Result<(), StepError> {
    let message = async {
        loop {
            match socket.next().await {
                Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {}
                other => break other,
            }
        }
    };
    match timeout(within, message).await {
        Ok(Some(Ok(Message::Close(frame)))) => seen["close"] = close(frame.as_ref()),
        Ok(Some(Ok(message))) => {
            let text = String::from_utf8_lossy(&message.into_data()).into_owned();
            seen["message"] = serde_json::from_str(&text).unwrap_or(Value::String(text));
        }
        Ok(Some(Err(error))) => {
            StepError::unless_exhausted("reading the first message", &error)?;
            seen["broken"] = error.to_string().into();
        }
        Ok(None) => seen["broken"] = "the connection ended without a close".into(),
        Err(_) => seen["no_message_within"] = (within.as_millis() as u64).into(),
    }
    Ok(())
}

/// Sends nothing for a time but answers to pings; then a ping, since an end that nobody told of is one as well.
async fn quiet(socket: &mut WebSocketStream<Recorded>, quiet_for: Duration, within: Duration) -> Value {
    let start = Instant::now();
    let mut pings: u64 = 0;
    let mut open = timeout(quiet_for, has_ended(socket, &mut pings, false)).await.is_err();
    let lasted = start.elapsed();
    if open {
        open = socket.send(Message::Ping(Bytes::from_static(b"quiet"))).await.is_ok()
            && matches!(timeout(within, has_ended(socket, &mut pings, true)).await, Ok(false));
    }
    json!({ "open": open, "pings": pings, "lasted_ms": lasted.as_millis() as u64 })
}

/// Reads until the connection ends, or, where one is waited for, a pong comes: whether it has ended.
async fn has_ended(socket: &mut WebSocketStream<Recorded>, pings: &mut u64, until_pong: bool) -> bool {
    loop {
        match socket.next().await {
            Some(Ok(Message::Ping(_))) => *pings += 1,
            Some(Ok(Message::Pong(_))) if until_pong => return false,
            Some(Ok(Message::Close(_)) | Err(_)) | None => return true,
            Some(Ok(_)) => {}
        }
    }
}

/// Closes it, and waits for the other side.
async fn end(socket: &mut WebSocketStream<Recorded>, seen: &mut Value) {
    let _sent = socket.close(None).await;
    let ended = async {
        while let Some(Ok(message)) = socket.next().await {
            if let Message::Close(frame) = message {
                seen["close"] = close(frame.as_ref());
            }
        }
    };
    let _in_time = timeout(CLOSE_WITHIN, ended).await;
}

fn close(frame: Option<&tokio_tungstenite::tungstenite::protocol::CloseFrame>) -> Value {
    match frame {
        Some(frame) => json!({ "code": u16::from(frame.code), "reason": frame.reason.as_str() }),
        None => json!({ "code": null }),
    }
}
