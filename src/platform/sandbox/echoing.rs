//! A client without a terminal: its input is echoed.
//!
//! A machine has some four thousand pseudo-terminals, and one that thousands share multiplies each key by their
//! number. Loads above that measure the door with this in a terminal's place.

use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role};
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};
use tokio_util::sync::CancellationToken;

use super::super::mutant;
use super::attach::{CLOSING, Limits};
use super::capacity::Capacity;

/// What a client sees first.
const PROMPT: &str = "$ ";

/// Answers a client until one of the two ends.
pub async fn converse<Io>(io: Io, limits: &Limits, capacity: &Capacity, stop: CancellationToken)
where
    Io: AsyncRead + AsyncWrite + Unpin,
{
    let mut socket = WebSocketStream::from_raw_socket(io, Role::Server, Some(limits.frames())).await;
    if socket
        .send(Message::Text(Utf8Bytes::from_static(PROMPT)))
        .await
        .is_err()
    {
        return;
    }
    loop {
        let message = tokio::select! {
            message = socket.next() => message,
            () = stop.cancelled() => break,
        };
        match message {
            Some(Ok(Message::Binary(keys))) => {
                capacity.serve().await;
                if limits.has(&mutant::OUTPUT_LOST_UNDER_BACK_PRESSURE) && capacity.open() > mutant::MANY {
                    continue;
                }
                let text = String::from_utf8_lossy(&keys).into_owned();
                if socket.send(Message::Text(text.into())).await.is_err() {
                    return;
                }
            }
            // Control messages of the contract, and what the protocol's layer answers.
            Some(Ok(_)) => {}
            Some(Err(_)) | None => return,
        }
    }
    let away = CloseFrame {
        code: CloseCode::Away,
        reason: Utf8Bytes::from_static("the sandbox stops"),
    };
    let _ = tokio::time::timeout(CLOSING, async {
        let _ = socket.close(Some(away)).await;
        while let Some(Ok(_)) = socket.next().await {}
    })
    .await;
}
