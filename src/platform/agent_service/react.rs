//! One conversation with an agent, over a WebSocket.
//!
//! First comes `{"type":"init","agent":…}`, or `{"type":"error",…}` and a close where there is no such
//! agent; then each text is answered with `{"type":"message","text":…}`.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};

use super::super::upgrade::marked_as_compressed;
use super::super::{Pod, mutant};

/// The longest message that a client may send, in bytes.
const LONGEST: usize = 64 * 1024;

/// How long a client may take to answer a close.
const CLOSING: Duration = Duration::from_secs(2);

/// Talks until one of the two ends. `marked`: the first message says that it is compressed, for a mutant.
pub async fn converse(upgraded: OnUpgrade, agent: Option<Value>, pod: Pod, marked: bool) {
    let Ok(io) = upgraded.await else {
        return;
    };
    let limits = WebSocketConfig::default()
        .max_message_size(Some(LONGEST))
        .max_frame_size(Some(LONGEST));
    let mut socket = WebSocketStream::from_raw_socket(TokioIo::new(io), Role::Server, Some(limits)).await;
    let Some(agent) = agent else {
        let unknown = json!({ "type": "error", "error": "there is no such agent" });
        if socket.send(text(&unknown)).await.is_ok() {
            close(&mut socket, CloseCode::Policy).await;
        }
        return;
    };
    let init = text(&json!({ "type": "init", "agent": agent }));
    let init = if marked { marked_as_compressed(init) } else { init };
    if !pod.has(&mutant::INIT_FORGOTTEN) && socket.send(init).await.is_err() {
        return;
    }
    loop {
        let came = tokio::select! {
            came = socket.next() => came,
            () = pod.stop.cancelled() => return close(&mut socket, CloseCode::Away).await,
        };
        let answered = match came {
            Some(Ok(Message::Text(said))) => {
                let answer = json!({ "type": "message", "text": format!("You said: {}", said.as_str()) });
                socket.send(text(&answer)).await
            }
            // Pings are answered, and a close as well, by the next write or read.
            Some(Ok(_)) => Ok(()),
            Some(Err(_)) | None => return,
        };
        if answered.is_err() {
            return;
        }
    }
}

async fn close<Io>(socket: &mut WebSocketStream<Io>, code: CloseCode)
where
    Io: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    let frame = CloseFrame {
        code,
        reason: "".into(),
    };
    if socket.close(Some(frame)).await.is_ok() {
        let until_closed = async { while let Some(Ok(_)) = socket.next().await {} };
        let _in_time = tokio::time::timeout(CLOSING, until_closed).await;
    }
}

fn text(value: &Value) -> Message {
    Message::text(value.to_string())
}
