//! One program on one pseudo-terminal, shared by all attached clients.
//!
//! Its output is kept in a bounded scrollback for those who come later and
//! handed to those who are there through a bounded channel. A client that
//! reads too slowly falls out of the channel and gets a reset and the
//! scrollback instead of what it missed: it neither holds up the others nor
//! makes memory grow.

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use bytes::Bytes;
use pty_process::{Command, Pty, Size};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::Child;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, mpsc};
use tokio_tungstenite::tungstenite::Utf8Bytes;
use tokio_util::task::AbortOnDropHandle;

use super::super::terminal_session::session_members;
use super::super::{Pod, mutant};

/// A frame has at most this many characters: nothing longer is ever read at once.
pub const FRAME: usize = 4096;

/// What late comers get to see of what was.
const SCROLLBACK: usize = 64 * 1024;

/// Frames that a client may lag behind before it is reset.
const LAG: usize = 256;

/// Clients that the mutants of fan-out hand what is new to at once.
const FEW: usize = 32;

/// How long the mutant `fan-out-in-batches` collects what is new.
const BATCH: Duration = Duration::from_secs(1);

/// RIS: puts a terminal back to its start.
const RESET: &str = "\x1bc";

/// Until a client says its size.
const SIZE: (u16, u16) = (80, 24);

/// A running program. Dropped, it ends with all that was started in its terminal.
pub struct Terminal {
    output: Arc<Mutex<Output>>,
    input: mpsc::Sender<Input>,
    pod: Pod,
    /// Who has followed it so far.
    clients: AtomicUsize,
    _task: AbortOnDropHandle<()>,
}

/// What a client sends to a terminal.
pub enum Input {
    /// Keystrokes, written raw.
    Keys(Bytes),
    Resize(Size),
}

impl Input {
    pub fn resize(columns: u16, rows: u16) -> Input {
        Input::Resize(Size::new(rows, columns))
    }

    /// Bytes that it takes while it waits.
    pub fn size(&self) -> usize {
        match self {
            Input::Keys(keys) => keys.len(),
            Input::Resize(_) => size_of::<Size>(),
        }
    }
}

struct Output {
    scrollback: String,
    /// `None` when the program has ended.
    live: Option<broadcast::Sender<Utf8Bytes>>,
}

impl Terminal {
    /// Starts a command on a new pseudo-terminal, with the pod's environment and nothing of this process's.
    pub fn start(command: &[String], pod: &Pod) -> io::Result<Terminal> {
        let (program, arguments) = command.split_first().ok_or(io::ErrorKind::InvalidInput)?;
        let (pty, pts) = pty_process::open().map_err(io::Error::other)?;
        pty.resize(Size::new(SIZE.1, SIZE.0)).map_err(io::Error::other)?;
        let child = Command::new(program)
            .args(arguments)
            .env_clear()
            .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
            .env("HOME", "/")
            .env("TERM", "xterm-256color")
            .envs(pod.env.iter())
            .current_dir("/")
            .kill_on_drop(true)
            .spawn(pts)
            .map_err(io::Error::other)?;
        let leader = child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
        let program = Program { child, pty, leader };
        let output = Arc::new(Mutex::new(Output {
            scrollback: String::new(),
            live: Some(broadcast::Sender::new(LAG)),
        }));
        let (input, commands) = mpsc::channel(64);
        let task = tokio::spawn(drive(program, commands, output.clone()));
        Ok(Terminal {
            output,
            input,
            pod: pod.clone(),
            clients: AtomicUsize::new(0),
            _task: AbortOnDropHandle::new(task),
        })
    }

    pub fn is_running(&self) -> bool {
        lock(&self.output).live.is_some()
    }

    /// Keystrokes, written raw. Waits where the program doesn't read.
    pub async fn keys(&self, keys: Bytes) {
        // The program may have ended; then there is nobody to write to.
        let _ = self.input.send(Input::Keys(keys)).await;
    }

    /// Waits until the terminal takes one input more; none if its program has ended.
    pub async fn room(&self) -> Option<mpsc::Permit<'_, Input>> {
        self.input.reserve().await.ok()
    }

    pub fn scrollback(&self) -> String {
        lock(&self.output).scrollback.clone()
    }

    /// All that is and will be on the terminal, as frames.
    pub fn follow(&self) -> Feed {
        let number = self.clients.fetch_add(1, Ordering::Relaxed);
        let mut feed = Feed {
            output: self.output.clone(),
            backlog: VecDeque::new(),
            live: None,
            is_left_out: number >= FEW && self.pod.has(&mutant::FAN_OUT_TO_FEW),
            is_late: number >= FEW && self.pod.has(&mutant::FAN_OUT_IN_BATCHES),
            batch: None,
        };
        feed.catch_up("");
        feed
    }
}

/// A client's view of the output.
pub struct Feed {
    output: Arc<Mutex<Output>>,
    backlog: VecDeque<Utf8Bytes>,
    live: Option<broadcast::Receiver<Utf8Bytes>>,
    /// By the mutant `fan-out-to-few`.
    is_left_out: bool,
    /// By the mutant `fan-out-in-batches`, which last sent a batch then.
    is_late: bool,
    batch: Option<Instant>,
}

impl Feed {
    /// The next frame; `None` when the program has ended and all was seen.
    pub async fn next(&mut self) -> Option<Utf8Bytes> {
        loop {
            if let Some(frame) = self.backlog.pop_front() {
                return Some(frame);
            }
            match self.live.as_mut()?.recv().await {
                Ok(_) | Err(RecvError::Lagged(_)) if self.is_left_out => {}
                Ok(frame) => {
                    if self.is_late {
                        self.collect().await;
                    }
                    return Some(frame);
                }
                Err(RecvError::Closed) => return None,
                Err(RecvError::Lagged(_)) => self.catch_up(RESET),
            }
        }
    }

    /// The mutant `fan-out-in-batches`: what is new waits, and then goes with all that came meanwhile.
    async fn collect(&mut self) {
        if self.batch.is_none_or(|sent| sent.elapsed() >= BATCH) {
            tokio::time::sleep(BATCH).await;
            self.batch = Some(Instant::now());
        }
    }

    /// Takes the scrollback and joins the live output with nothing between them: both under one lock.
    fn catch_up(&mut self, before: &str) {
        let output = lock(&self.output);
        self.backlog = frames(&format!("{before}{}", output.scrollback));
        self.live = output.live.as_ref().map(broadcast::Sender::subscribe);
    }
}

/// The program on its terminal.
struct Program {
    child: Child,
    pty: Pty,
    /// The child, which leads a session: its number stays the session's when it has ended.
    leader: Option<Pid>,
}

impl Drop for Program {
    /// A closed terminal's SIGHUP can be ignored, SIGKILL can't. Jobs have process groups of their own, in
    /// the background as in the foreground; all are of the terminal's session.
    fn drop(&mut self) {
        let foreground = rustix::termios::tcgetpgrp(&self.pty).ok();
        for group in [foreground, self.leader].into_iter().flatten() {
            let _ = kill_process_group(group, Signal::HUP);
        }
        // One that was just being made is found the next time; nobody is left to make more for ever.
        for member in self.leader.into_iter().flat_map(session_members) {
            let _ = kill_process(member, Signal::KILL);
        }
    }
}

/// Moves bytes between the program and its clients until the program ends.
async fn drive(mut program: Program, mut commands: mpsc::Receiver<Input>, output: Arc<Mutex<Output>>) {
    let mut decoder = Decoder::default();
    let Program { child, pty, .. } = &mut program;
    let (mut reader, mut writer) = pty.split();
    let write = async {
        while let Some(command) = commands.recv().await {
            match command {
                Input::Keys(keys) => {
                    if writer.write_all(&keys).await.is_err() {
                        break;
                    }
                }
                Input::Resize(size) => {
                    let _ = writer.resize(size);
                }
            }
        }
        // A terminal that can't be written to may still have something to say.
        std::future::pending::<()>().await;
    };
    let read = async {
        loop {
            match reader.read(decoder.room()).await {
                // Linux says EIO when no program holds the terminal any more.
                Ok(0) | Err(_) => break,
                Ok(count) => publish(&output, decoder.take(count)),
            }
        }
    };
    tokio::pin!(read);
    tokio::select! {
        () = &mut read => {}
        () = write => {}
        _ = child.wait() => {
            // What it wrote last is still in the terminal; a background job may hold it open.
            let _ = tokio::time::timeout(Duration::from_millis(100), &mut read).await;
        }
    }
    lock(&output).live = None;
}

fn publish(output: &Mutex<Output>, text: String) {
    if text.is_empty() {
        return;
    }
    let mut output = lock(output);
    output.scrollback.push_str(&text);
    if output.scrollback.len() > 2 * SCROLLBACK {
        let cut = output.scrollback.len() - SCROLLBACK;
        let cut = output.scrollback[output.scrollback.ceil_char_boundary(cut)..]
            .find('\n')
            .map_or(cut, |line| output.scrollback.ceil_char_boundary(cut) + line + 1);
        let cut = output.scrollback.ceil_char_boundary(cut);
        output.scrollback.drain(..cut);
    }
    if let Some(live) = &output.live {
        // An error means that nobody is attached.
        let _ = live.send(text.into());
    }
}

fn lock(output: &Mutex<Output>) -> MutexGuard<'_, Output> {
    output.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// Text in pieces of at most [`FRAME`] bytes, and so of at most as many characters.
fn frames(mut text: &str) -> VecDeque<Utf8Bytes> {
    let mut frames = VecDeque::new();
    while !text.is_empty() {
        let (frame, rest) = text.split_at(text.floor_char_boundary(FRAME));
        frames.push_back(frame.into());
        text = rest;
    }
    frames
}

/// Turns bytes as they come into text. A character that isn't whole yet waits
/// for its rest; what can't become one is U+FFFD.
struct Decoder {
    buffer: Box<[u8; FRAME]>,
    pending: usize,
}

impl Default for Decoder {
    fn default() -> Decoder {
        Decoder {
            buffer: Box::new([0; FRAME]),
            pending: 0,
        }
    }
}

impl Decoder {
    /// Where the next bytes go.
    fn room(&mut self) -> &mut [u8] {
        &mut self.buffer[self.pending..]
    }

    /// The text that `count` new bytes complete.
    fn take(&mut self, count: usize) -> String {
        let bytes = &self.buffer[..self.pending + count];
        let unfinished = bytes
            .utf8_chunks()
            .last()
            .map(|last| last.invalid())
            .filter(|invalid| std::str::from_utf8(invalid).is_err_and(|error| error.error_len().is_none()))
            .map_or(0, <[u8]>::len);
        let end = bytes.len() - unfinished;
        let text = String::from_utf8_lossy(&bytes[..end]).into_owned();
        self.buffer.copy_within(end..end + unfinished, 0);
        self.pending = unfinished;
        text
    }
}

#[cfg(test)]
mod tests;
