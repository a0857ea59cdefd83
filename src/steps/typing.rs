//! `type`, `resize`, `ping`, `terminal`, `close`: what a person does at an open terminal.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use super::context::StepContext;
use super::definition::{Need, Phrase, Verb, phrases, verb};
use super::nonce::nonce;
use super::observation::{Observation, StepError};
use crate::vocabulary::Intrusion;

/// The verb `type`.
pub const TYPE: Verb = Verb {
    takes_objects: &["on"],
    intrusion: |_| Intrusion::Use,
    needs: |keys| match keys["enter"] == true {
        true => &[Need::Enter],
        false => &[],
    },
    ..verb!("type", Type, keys)
};

/// The verb `resize`.
pub const RESIZE: Verb = Verb {
    takes_objects: &["resize"],
    intrusion: |_| Intrusion::Use,
    ..verb!("resize", Resize, resize)
};

/// The verb `ping`.
pub const PING: Verb = Verb {
    phrases: phrases!["answered", "a pong with the same payload came back", {"answered": true};],
    default_given: Some("answered"),
    fields: &["answered"],
    takes_objects: &["ping"],
    ..verb!("ping", Ping, ping)
};

/// The verb `terminal`.
pub const TERMINAL: Verb = Verb {
    phrases: PHRASES,
    fields: FIELDS,
    takes_objects: &["terminal"],
    ..verb!("terminal", Terminal, look)
};

/// The verb `close`.
pub const CLOSE: Verb = Verb {
    phrases: PHRASES,
    fields: FIELDS,
    takes_objects: &["close"],
    ..verb!("close", Close, close)
};

/// What can be expected of an open terminal, or of one that was.
const PHRASES: &[Phrase] = phrases![
    "open", "the connection is open", {"open": true};
    "closed", "the connection is closed", {"open": false};
    "closed with <status>", "closed with this WebSocket code", {"open": false, "close.code": {"one-of": "<status>"}};
    "shows <text>", "the text is on the screen", {"screen": {"contains": "<text>"}};
    "does not show <text>", "the text is not on the screen", {"screen": {"not": {"contains": "<text>"}}};
];

const FIELDS: &[&str] = &["open", "screen", "close", "longest_frame", "frames"];

/// Types into an open terminal.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Type {
    /// The keystrokes.
    pub r#type: String,
    /// The terminal, as bound by an `attach`.
    pub on: Value,
    /// Whether Enter is pressed after them. Default: no.
    pub enter: Option<bool>,
}

/// Tells an open terminal a new size.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Resize {
    pub resize: Value,
    pub cols: u16,
    pub rows: u16,
}

/// Sends a WebSocket ping and waits for its pong.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Ping {
    pub ping: Value,
}

/// Looks at an open terminal: its screen, and whether it is still open.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Terminal {
    pub terminal: Value,
    /// Sends a WebSocket ping at each look. Default: no.
    pub keep_alive: Option<bool>,
}

/// Closes an open terminal from the client's side.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Close {
    pub close: Value,
}

/// Types keystrokes, and Enter where the step says so.
pub async fn keys(arguments: Type, context: &StepContext) -> Result<Observation, StepError> {
    let terminal = context.terminal(&arguments.on)?;
    let enter = if arguments.enter == Some(true) { "\r" } else { "" };
    terminal.keys(&format!("{}{enter}", arguments.r#type)).await;
    Ok(Observation {
        what: format!("type {:?}", arguments.r#type),
        value: json!({}),
    })
}

/// Tells the terminal a new size.
pub async fn resize(arguments: Resize, context: &StepContext) -> Result<Observation, StepError> {
    let (cols, rows) = (arguments.cols, arguments.rows);
    context.terminal(&arguments.resize)?.resize(cols, rows).await;
    Ok(Observation {
        what: format!("resize the terminal to {cols} × {rows}"),
        value: json!({}),
    })
}

/// Sends a WebSocket ping and waits for the pong with its payload (RFC 6455 §5.5.3).
pub async fn ping(arguments: Ping, context: &StepContext) -> Result<Observation, StepError> {
    let terminal = context.terminal(&arguments.ping)?;
    let payload = nonce().into_bytes();
    terminal.send(Message::Ping(payload.clone().into())).await;
    let answered = terminal
        .until(context.limits.answer, |terminal| terminal.ponged(&payload))
        .await;
    terminal.unless_exhausted()?;
    Ok(Observation {
        what: "ping the terminal".into(),
        value: json!({ "answered": answered }),
    })
}

/// Looks at the terminal.
pub async fn look(arguments: Terminal, context: &StepContext) -> Result<Observation, StepError> {
    let terminal = context.terminal(&arguments.terminal)?;
    if arguments.keep_alive == Some(true) {
        terminal.send(Message::Ping(Vec::new().into())).await;
    }
    terminal.unless_exhausted()?;
    Ok(Observation {
        what: "look at the terminal".into(),
        value: terminal.look(),
    })
}

/// Closes the connection from this side.
pub async fn close(arguments: Close, context: &StepContext) -> Result<Observation, StepError> {
    let terminal = context.terminal(&arguments.close)?;
    terminal.send(Message::Close(None)).await;
    terminal
        .until(Duration::from_secs(1), |terminal| !terminal.is_open())
        .await;
    terminal.unless_exhausted()?;
    Ok(Observation {
        what: "close the terminal".into(),
        value: terminal.look(),
    })
}
