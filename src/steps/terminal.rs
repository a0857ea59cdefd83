//! An open terminal: the WebSocket, and the screen that its output draws.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

use super::lock::lock;
use super::observation::{Lacking, StepError};
use super::said::Said;
use super::wire::{Recorded, Transcript};

/// The size sent on opening, as clients do.
const ROWS: u16 = 24;
const COLS: u16 = 80;
/// The last pongs; an awaited one is among them.
const PONGS_KEPT: usize = 64;

/// An open terminal. Dropped, the connection is closed.
pub struct Terminal {
    pub transcript: Transcript,
    state: Arc<Mutex<State>>,
    changed: watch::Receiver<u64>,
    orders: mpsc::Sender<Message>,
    task: JoinHandle<()>,
}

struct State {
    screen: vt100::Parser,
    /// What was printed, whether or not it is still on the screen.
    said: Said,
    open: bool,
    close_code: Option<u16>,
    close_reason: Option<String>,
    /// Why the connection ended without a close frame.
    broken: Option<String>,
    /// What this machine ran out of, where that ended it: not the other side's doing.
    exhausted: Option<Lacking>,
    text_frames: u64,
    other_frames: u64,
    /// Longest TEXT frame, in characters.
    longest_frame: usize,
    pongs: Vec<Vec<u8>>,
}

impl Terminal {
    /// Takes over a WebSocket whose upgrade was answered with 101.
    pub fn over(socket: WebSocketStream<Recorded>) -> Terminal {
        let transcript = socket.get_ref().transcript.clone();
        let state = Arc::new(Mutex::new(State::new()));
        let (tell, changed) = watch::channel(0);
        let (orders, inbox) = mpsc::channel(16);
        let task = tokio::spawn(pump(socket, state.clone(), inbox, tell));
        Terminal {
            transcript,
            state,
            changed,
            orders,
            task,
        }
    }

    /// Sends a frame. A terminal that is closed swallows it; looking at the terminal shows that.
    pub async fn send(&self, message: Message) {
        let _closed = self.orders.send(message).await;
    }

    /// Types keystrokes.
    pub async fn keys(&self, keys: &str) {
        self.send(Message::binary(keys.as_bytes().to_vec())).await;
    }

    /// Tells the other side, and the own screen, a new size.
    pub async fn resize(&self, cols: u16, rows: u16) {
        lock(&self.state).resize(cols, rows);
        self.send(Message::text(
            json!({"type": "resize", "cols": cols, "rows": rows}).to_string(),
        ))
        .await;
    }

    /// Whether a pong with this payload came.
    pub fn ponged(&self, payload: &[u8]) -> bool {
        lock(&self.state).pongs.iter().any(|pong| pong == payload)
    }

    /// The text of the screen, wrapped lines put together.
    pub fn screen(&self) -> String {
        lock(&self.state).screen.screen().contents()
    }

    /// Whether a word was printed since the terminal opened, even if it is no longer on the screen: a terminal of
    /// another size wraps it elsewhere, and a program may draw over it.
    pub fn said(&self, word: &str) -> bool {
        lock(&self.state).said.has(word)
    }

    /// Sends the size of the screen, as clients do when they open a terminal.
    pub async fn tell_size(&self) {
        self.resize(COLS, ROWS).await;
    }

    pub fn is_open(&self) -> bool {
        lock(&self.state).open
    }

    /// Whether what can be seen of it is the other side's doing.
    ///
    /// # Errors
    /// It ended because this machine ran out of something.
    pub fn unless_exhausted(&self) -> Result<(), StepError> {
        match &lock(&self.state).exhausted {
            Some(lacking) => Err(lacking.clone().into()),
            None => Ok(()),
        }
    }

    /// Waits until something is so, or the connection ends, or the time is over. Tells whether it is so.
    pub async fn until(&self, within: Duration, holds: impl Fn(&Terminal) -> bool) -> bool {
        let deadline = Instant::now() + within;
        let mut changed = self.changed.clone();
        loop {
            changed.mark_unchanged();
            if holds(self) {
                return true;
            }
            match timeout_at(deadline, changed.changed()).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) | Err(_) => return holds(self),
            }
        }
    }

    /// What can be seen of it now.
    pub fn look(&self) -> Value {
        lock(&self.state).look()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl State {
    fn new() -> State {
        let mut state = State {
            screen: vt100::Parser::default(),
            said: Said::default(),
            open: true,
            close_code: None,
            close_reason: None,
            broken: None,
            exhausted: None,
            text_frames: 0,
            other_frames: 0,
            longest_frame: 0,
            pongs: Vec::new(),
        };
        state.resize(COLS, ROWS);
        state
    }

    fn look(&self) -> Value {
        json!({
            "open": self.open,
            "screen": self.screen.screen().contents(),
            "close": { "code": self.close_code, "reason": self.close_reason, "broken": self.broken },
            "longest_frame": self.longest_frame,
            "frames": { "text": self.text_frames, "other": self.other_frames },
        })
    }

    fn resize(&mut self, cols: u16, rows: u16) {
        if let (Some(rows), Some(cols)) = (std::num::NonZeroU16::new(rows), std::num::NonZeroU16::new(cols)) {
            self.screen.screen_mut().set_size(rows, cols);
        }
    }

    fn receive(&mut self, message: Message) {
        match message {
            Message::Text(text) => {
                self.text_frames += 1;
                self.longest_frame = self.longest_frame.max(text.chars().count());
                self.screen.process(text.as_bytes());
                self.said.process(text.as_str());
            }
            Message::Pong(payload) => {
                if self.pongs.len() == PONGS_KEPT {
                    self.pongs.remove(0);
                }
                self.pongs.push(payload.to_vec());
            }
            Message::Close(frame) => {
                self.close_code = frame.as_ref().map(|frame| frame.code.into());
                self.close_reason = frame.map(|frame| frame.reason.to_string());
            }
            Message::Binary(_) | Message::Ping(_) | Message::Frame(_) => self.other_frames += 1,
        }
    }
}

/// Carries frames both ways until the connection ends or the terminal is dropped.
async fn pump(
    mut socket: WebSocketStream<Recorded>,
    state: Arc<Mutex<State>>,
    mut inbox: mpsc::Receiver<Message>,
    tell: watch::Sender<u64>,
) {
    loop {
        let broken = tokio::select! {
            order = inbox.recv() => match order {
                None => None,
                Some(message) => match socket.send(message).await {
                    Ok(()) => continue,
                    Err(error) => Some(error),
                },
            },
            received = socket.next() => match received {
                None => None,
                Some(Ok(message)) => {
                    lock(&state).receive(message);
                    tell.send_modify(|n| *n += 1);
                    continue;
                }
                Some(Err(error)) => Some(error),
            },
        };
        let exhausted = broken
            .as_ref()
            .and_then(|error| StepError::unless_exhausted("the terminal's connection", error).err());
        let mut state = lock(&state);
        state.open = false;
        state.broken = broken.map(|error| error.to_string());
        state.exhausted = exhausted;
        break;
    }
    tell.send_modify(|n| *n += 1);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::steps::definition::unlike_listed;
    use crate::steps::typing::{CLOSE, TERMINAL};

    #[test]
    fn what_is_seen_of_it_is_listed() {
        let mut state = State::new();
        state.receive(Message::text("# hi"));
        let seen = state.look();
        assert_eq!((&seen["screen"], &seen["longest_frame"]), (&json!("# hi"), &json!(4)));
        for verb in [TERMINAL, CLOSE] {
            assert_eq!(unlike_listed(&verb, &seen), [""; 0], "{}", verb.name);
        }
    }
}
