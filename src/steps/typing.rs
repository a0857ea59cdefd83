//! `type`, `resize`, `ping`, `terminal`, `close`: what a person does at an open terminal.

use std::time::Duration;

use serde_json::json;
use tokio_tungstenite::tungstenite::Message;

use super::arguments::{Close, Ping, Resize, Terminal, Type};
use super::context::{Observation, StepContext, StepError};

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
    let payload = super::attach::nonce().into_bytes();
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
