//! One client at the terminal: frames in, frames out (RFC 6455 §5).
//!
//! | client → server | meaning |
//! |---|---|
//! | BINARY | keystrokes, written raw |
//! | TEXT `{"type":"resize","cols":N,"rows":M}` | the terminal's size |
//! | TEXT `{"type":"ping"}`, and any other text | swallowed |
//!
//! Server → client: TEXT frames of terminal output. The program's end closes
//! normally, without a status code; the pod's end closes with 1001; a broken
//! frame closes with the code of RFC 6455 §7.4.1.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde::Deserialize;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message, Utf8Bytes};
use tokio_util::sync::CancellationToken;

use super::super::upgrade::marked_as_compressed;
use super::super::{ComponentError, Mutant, Pod, mutant};
use super::terminal::{Input, Terminal};

/// How long a client may take to answer a close.
pub const CLOSING: Duration = Duration::from_secs(2);

/// Bytes that may wait for a terminal that does not read; then the client waits as well.
const MOST_WAITING: usize = 1 << 20;

/// What a client may send, and which mistakes are made with it.
#[derive(Clone)]
pub struct Limits {
    frames: WebSocketConfig,
    pod: Pod,
}

impl Limits {
    /// `MAX_MESSAGE`: the longest message that a client may send, in bytes.
    pub fn new(pod: &Pod) -> Result<Limits, ComponentError> {
        let longest = pod.number("MAX_MESSAGE", 64 * 1024)?;
        let longest = (!pod.has(&mutant::OVERSIZED_ACCEPTED)).then_some(longest);
        let frames = WebSocketConfig::default()
            .max_message_size(longest)
            .max_frame_size(longest)
            .accept_unmasked_frames(pod.has(&mutant::UNMASKED_ACCEPTED))
            // Thousands of clients: small buffers, and no output that waits for more.
            .read_buffer_size(4096)
            .write_buffer_size(0)
            .max_write_buffer_size(256 * 1024);
        Ok(Limits {
            frames,
            pod: pod.clone(),
        })
    }

    pub fn frames(&self) -> WebSocketConfig {
        self.frames
    }

    pub fn has(&self, mutant: &Mutant) -> bool {
        self.pod.has(mutant)
    }
}

/// Why a conversation is over.
enum Ending {
    /// The client closed, and its close is to be answered.
    Closed,
    /// The connection is broken.
    Gone,
    ProgramEnded,
    PodStops,
    /// The client sent what it may not.
    Broken(Error),
}

/// Attaches a client until one of the two ends. `marked`: output says that it is compressed, for a mutant.
pub async fn converse<Io>(io: Io, terminal: Arc<Terminal>, limits: Limits, marked: bool, stop: CancellationToken)
where
    Io: AsyncRead + AsyncWrite + Unpin,
{
    let mut socket = WebSocketStream::from_raw_socket(io, Role::Server, Some(limits.frames)).await;
    let mut feed = terminal.follow();
    let mut waiting = Waiting::default();
    let ending = loop {
        let (mut sink, mut stream) = socket.split();
        let output = async {
            while let Some(frame) = feed.next().await {
                let output = match marked {
                    true => marked_as_compressed(Message::Text(frame)),
                    false => Message::Text(frame),
                };
                if sink.send(output).await.is_err() {
                    return Ending::Gone;
                }
            }
            Ending::ProgramEnded
        };
        let input = async {
            loop {
                let message = tokio::select! {
                    biased;
                    room = terminal.room(), if !waiting.is_empty() => {
                        waiting.go_on(room);
                        continue;
                    }
                    message = stream.next(), if waiting.bytes < MOST_WAITING => message,
                };
                match message {
                    Some(Ok(message)) if message.is_close() => return Ending::Closed,
                    Some(Ok(message)) => waiting.add(message, &limits.pod),
                    Some(Err(error)) => return Ending::Broken(error),
                    None => return Ending::Gone,
                }
            }
        };
        let ending = tokio::select! {
            ending = output => ending,
            ending = input => ending,
            () = stop.cancelled() => Ending::PodStops,
        };
        socket = match sink.reunite(stream) {
            Ok(socket) => socket,
            Err(_) => return,
        };
        if matches!(ending, Ending::Broken(Error::Utf8(_))) && limits.pod.has(&mutant::BAD_UTF8_ACCEPTED) {
            socket = WebSocketStream::from_raw_socket(socket.into_inner(), Role::Server, Some(limits.frames)).await;
            continue;
        }
        break ending;
    };
    let _ = tokio::time::timeout(CLOSING, finish(socket, ending, &limits.pod)).await;
}

/// What a client has sent to a terminal that does not read it yet. Meanwhile pings are answered, and a
/// close is seen.
#[derive(Default)]
struct Waiting {
    inputs: VecDeque<Input>,
    bytes: usize,
}

impl Waiting {
    fn is_empty(&self) -> bool {
        self.inputs.is_empty()
    }

    fn add(&mut self, message: Message, pod: &Pod) {
        match message {
            Message::Binary(_) if pod.has(&mutant::KEYSTROKES_LOST) => {}
            Message::Binary(keys) => self.push(Input::Keys(keys)),
            Message::Text(text) => {
                if let Ok(Control::Resize { cols, rows }) = serde_json::from_str(&text)
                    && cols > 0
                    && rows > 0
                {
                    self.push(Input::resize(cols, rows));
                }
            }
            // Pings are answered by the protocol's layer.
            Message::Ping(_) | Message::Pong(_) | Message::Close(_) | Message::Frame(_) => {}
        }
    }

    fn push(&mut self, input: Input) {
        self.bytes += input.size();
        self.inputs.push_back(input);
    }

    /// Hands on the first that waits. Where the program has ended there is nobody for any of it.
    fn go_on(&mut self, room: Option<mpsc::Permit<'_, Input>>) {
        match (room, self.inputs.pop_front()) {
            (Some(room), Some(input)) => {
                self.bytes -= input.size();
                room.send(input);
            }
            _ => *self = Waiting::default(),
        }
    }
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
enum Control {
    Resize { cols: u16, rows: u16 },
    Ping,
}

/// Closes as the ending asks for.
async fn finish<Io>(mut socket: WebSocketStream<Io>, ending: Ending, pod: &Pod)
where
    Io: AsyncRead + AsyncWrite + Unpin,
{
    let broken = |code, reason: &'static str| {
        Some(CloseFrame {
            code,
            reason: Utf8Bytes::from_static(reason),
        })
    };
    let close = match ending {
        Ending::Gone => return,
        Ending::Closed => {
            // Reading on sends the answer that is waiting.
            while let Some(Ok(_)) = socket.next().await {}
            return;
        }
        Ending::ProgramEnded => None,
        Ending::PodStops => broken(CloseCode::Away, "the sandbox stops"),
        Ending::Broken(_) if pod.has(&mutant::FRAME_ERROR_WITHOUT_CODE) => return,
        Ending::Broken(Error::Capacity(_)) => broken(CloseCode::Size, "message too long"),
        Ending::Broken(Error::Utf8(_)) => broken(CloseCode::Invalid, "text is not UTF-8"),
        Ending::Broken(Error::Protocol(_)) => broken(CloseCode::Protocol, "broken frame"),
        Ending::Broken(_) => return,
    };
    let orderly = close.as_ref().is_none_or(|close| close.code == CloseCode::Away);
    if socket.close(close).await.is_err() {
        return;
    }
    if orderly {
        while let Some(Ok(_)) = socket.next().await {}
    } else {
        linger(socket.into_inner()).await;
    }
}

/// Reads what still comes before it closes: unread bytes would make a reset of
/// the close, and the client might never see the code.
async fn linger<Io: AsyncRead + AsyncWrite + Unpin>(mut io: Io) {
    let _ = io.shutdown().await;
    let _ = tokio::io::copy(&mut io.take(4 << 20), &mut tokio::io::sink()).await;
}

/// The mutants `check-after-upgrade` and `limit-opens-and-closes`: a close to one who should have seen 401 or 503.
pub async fn close_at_once<Io: AsyncRead + AsyncWrite + Unpin>(io: Io, code: CloseCode, reason: &'static str) {
    let mut socket = WebSocketStream::from_raw_socket(io, Role::Server, None).await;
    let close = CloseFrame {
        code,
        reason: Utf8Bytes::from_static(reason),
    };
    let _ = tokio::time::timeout(CLOSING, async {
        let _ = socket.close(Some(close)).await;
        while let Some(Ok(_)) = socket.next().await {}
    })
    .await;
}

/// The mutant `refused-frames-typed`: takes what comes after a refusal for frames, for a while.
pub async fn type_frames<Io: AsyncRead + AsyncWrite + Unpin>(io: Io, terminal: &Terminal) {
    let mut socket = WebSocketStream::from_raw_socket(io, Role::Server, None).await;
    let _ = tokio::time::timeout(Duration::from_millis(300), async {
        while let Some(Ok(message)) = socket.next().await {
            if let Message::Binary(keys) = message {
                terminal.keys(keys).await;
            }
        }
    })
    .await;
}
