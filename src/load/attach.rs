//! One attach: a socket, the rest between two reads, and the next state. Some two hundred bytes.

mod opening;
mod typing;

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Control, OpCode};

use super::cost::thread_nanoseconds;
use super::echo::Finder;
use super::failure::Failure;
use super::frames::{self, Part};
use super::handshake::Request;
use super::metric::Metric;
use super::recorder::Example;
use super::shared::Shared;
use super::transport::Transport;
use opening::since;

/// Bytes that are read at once, into a buffer that all attaches share.
pub const READ: usize = 64 * 1024;

/// Reads of one attach before others have their turn.
const READS: usize = 16;

/// Bytes that may wait for a server that doesn't read; then what is typed is lost, and counted as unanswered.
const MOST_UNSENT: usize = 16 * 1024;

/// With which credential an attach comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Credential {
    /// The door has to open.
    Right,
    /// The door has to answer 401: no token, an empty one, a wrong one, one that was valid once.
    Missing,
    Empty,
    Wrong,
    Old,
    /// The right token, while the platform changes: the door may open or not.
    Unsettled,
}

impl Credential {
    pub fn name(self) -> &'static str {
        match self {
            Credential::Right => "the right token",
            Credential::Missing => "no token",
            Credential::Empty => "an empty token",
            Credential::Wrong => "a wrong token",
            Credential::Old => "an old token",
            Credential::Unsettled => "the right token while the platform changed",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Connecting,
    Securing,
    Upgrading,
    Open,
    Closing,
}

/// The result of an event.
pub enum Progress {
    /// Something else has to happen first.
    Waits,
    /// There may be more to read: others first.
    GoesOn,
    /// The terminal has just opened.
    Opened,
    /// It is over, for this reason; none if it was closed from here.
    Ended(Option<Failure>),
}

pub struct Attach {
    transport: Transport,
    state: State,
    pub credential: Credential,
    seen_output: bool,
    /// The engine has counted it among those that opened.
    pub counted: bool,
    /// The platform changed while it was on its way.
    pub unsettled: bool,
    /// In the closed model: its next echo has a timer.
    thinking: bool,
    /// The server has said its last: what is left to read ends.
    hung_up: bool,
    /// Counts from the engine's first attach on, probes included.
    pub number: u32,
    tag: u32,
    /// Nanoseconds of processor time that its TLS handshake has taken.
    securing: u32,
    pub request: Arc<Request>,
    pub intended: u64,
    /// When the current phase began.
    since: u64,
    /// When it has to be over.
    pub until: u64,
    reader: frames::Reader,
    finder: Finder,
    /// The first echo's intended moment.
    first_echo: u64,
    sent: u32,
    /// Echoes that were answered or given up, in their order.
    settled: u32,
    /// Keys that one typed for all, and that were seen or missed here.
    passed: u32,
    /// What the server hasn't taken yet; before the terminal is open, an answer's head that isn't whole.
    rest: Vec<u8>,
}

impl Attach {
    /// From a socket whose connecting has begun.
    pub fn new(
        socket: TcpStream,
        tls: Option<(&Arc<ClientConfig>, &ServerName<'static>)>,
        request: Arc<Request>,
        (credential, number, tag): (Credential, u32, u32),
        (intended, now, until): (u64, u64, u64),
    ) -> Result<Attach, Failure> {
        let mut securing = 0;
        let transport = match tls {
            None => Transport::Plain(socket),
            Some((config, name)) => {
                let before = thread_nanoseconds();
                let mut client = ClientConnection::new(config.clone(), name.clone())
                    .map_err(|error| Failure::Tls(error.to_string()))?;
                client.set_buffer_limit(Some(MOST_UNSENT));
                securing = since(before);
                Transport::Tls(Box::new(StreamOwned::new(client, socket)))
            }
        };
        Ok(Attach {
            transport,
            state: State::Connecting,
            credential,
            seen_output: false,
            counted: false,
            unsettled: false,
            thinking: false,
            hung_up: false,
            number,
            tag,
            securing,
            request,
            intended,
            since: now,
            until,
            reader: frames::Reader::default(),
            finder: Finder::default(),
            first_echo: 0,
            sent: 0,
            settled: 0,
            passed: 0,
            rest: Vec::new(),
        })
    }

    pub fn socket(&self) -> &TcpStream {
        self.transport.socket()
    }

    fn local(&self) -> Option<SocketAddr> {
        self.socket().local_addr().ok()
    }

    pub fn is_open(&self) -> bool {
        self.state == State::Open
    }

    /// Which phase it is in, for a deadline that has passed.
    pub fn phase(&self) -> Metric {
        match self.state {
            State::Connecting => Metric::Connect,
            State::Securing => Metric::Tls,
            State::Upgrading => Metric::Upgrade,
            State::Open => Metric::Echo,
            State::Closing => Metric::Close,
        }
    }

    /// Echoes that wait for their answer.
    pub fn unanswered(&self) -> u32 {
        self.sent - self.settled
    }

    /// The socket can be read or written, or the server has hung up.
    pub fn ready(&mut self, hung_up: bool, shared: &mut Shared) -> Progress {
        self.hung_up |= hung_up;
        let stepped = match self.state {
            State::Connecting => self.connected(shared),
            State::Securing => self.secure(shared),
            State::Upgrading | State::Open | State::Closing => self.flush().and_then(|()| self.receive(shared)),
        };
        match stepped {
            Ok(progress) => progress,
            // The server may close however it likes once it was asked to.
            Err(_) if self.state == State::Closing => self.closed(shared),
            Err(failure) => Progress::Ended(Some(failure)),
        }
    }

    fn receive(&mut self, shared: &mut Shared) -> Result<Progress, Failure> {
        let mut buffer = std::mem::take(&mut shared.buffer);
        let received = self.receive_into(&mut buffer, shared);
        shared.buffer = buffer;
        received
    }

    fn receive_into(&mut self, buffer: &mut [u8], shared: &mut Shared) -> Result<Progress, Failure> {
        let mut opened = false;
        for _ in 0..READS {
            let count = match self.transport.read(buffer) {
                Ok(0) if self.state == State::Closing => return Ok(self.closed(shared)),
                Ok(0) => return Err(Failure::Ended),
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    return Ok(if opened { Progress::Opened } else { Progress::Waits });
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(Failure::from_io(&error)),
            };
            let bytes = &buffer[..count];
            if self.state == State::Upgrading {
                opened |= self.answered(bytes, shared)?;
            } else {
                self.frames(bytes, shared)?;
            }
            if count < buffer.len() && self.transport.short_read_is_last() && !self.hung_up {
                return Ok(if opened { Progress::Opened } else { Progress::Waits });
            }
        }
        // What opened is told first; whatever is left to read comes with its first echo.
        Ok(if opened { Progress::Opened } else { Progress::GoesOn })
    }

    fn frames(&mut self, bytes: &[u8], shared: &mut Shared) -> Result<(), Failure> {
        if bytes.is_empty() {
            return Ok(());
        }
        let now = shared.clock.now();
        let mut reader = std::mem::take(&mut self.reader);
        let mut pongs: Vec<u8> = Vec::new();
        let mut close = None;
        let read = reader.read(bytes, |part| {
            match part {
                Part::Data(payload) => self.output(payload, now, shared),
                Part::Ping(payload) => {
                    let mask = shared.mask(self.number, now);
                    frames::write(OpCode::Control(Control::Pong), payload, mask, &mut pongs);
                }
                Part::Close(code) => close = Some(code),
                Part::End => shared.frame_ends(),
            }
            close.is_none()
        });
        self.reader = reader;
        if let Err(frames::Broken(what)) = read {
            return Err(Failure::Frame(what.into()));
        }
        match close {
            Some(code) if self.state == State::Open => return Err(Failure::Closed(code)),
            // The server's answer to the close; it ends the connection itself (RFC 6455 §7.1.1).
            Some(_) => return Ok(()),
            None => {}
        }
        if !pongs.is_empty() {
            self.send(&pongs)?;
        }
        Ok(())
    }

    /// Closes the WebSocket from here.
    pub fn close(&mut self, intended: u64, shared: &mut Shared) -> Result<(), Failure> {
        self.state = State::Closing;
        self.intended = intended;
        self.until = shared.clock.now().saturating_add(shared.deadline);
        let mut out = Vec::new();
        let mask = shared.mask(self.number, u64::MAX);
        frames::write(OpCode::Control(Control::Close), &1000u16.to_be_bytes(), mask, &mut out);
        self.send(&out)
    }

    fn closed(&mut self, shared: &mut Shared) -> Progress {
        let elapsed = shared.clock.now().saturating_sub(self.intended);
        shared.recorder.record(Metric::Close, elapsed, false);
        Progress::Ended(None)
    }

    fn send(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        let mut bytes = bytes;
        if self.rest.is_empty() {
            while !bytes.is_empty() {
                match self.transport.write(bytes) {
                    Ok(0) => return Err(Failure::Ended),
                    Ok(written) => bytes = &bytes[written..],
                    Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    Err(error) => return Err(Failure::from_io(&error)),
                }
            }
        }
        // A frame is kept whole or not at all.
        if !bytes.is_empty() && (self.rest.is_empty() || self.rest.len() + bytes.len() <= MOST_UNSENT) {
            self.rest.extend_from_slice(bytes);
        }
        Ok(())
    }

    /// Sends what is left, as far as the server takes it.
    fn flush(&mut self) -> Result<(), Failure> {
        if self.state == State::Upgrading {
            // There the rest is the answer's head; a request is short enough for any socket.
            return self.transport.flush().or_else(|error| blocks(&error));
        }
        if !self.rest.is_empty() {
            let rest = std::mem::take(&mut self.rest);
            self.send(&rest)?;
            if self.rest.is_empty() {
                self.rest = Vec::new();
            }
        }
        self.transport.flush().or_else(|error| blocks(&error))
    }

    /// What to show of a failure.
    pub fn example(&self, failure: String, at: f64) -> Example {
        let said = match self.state {
            State::Upgrading if !self.rest.is_empty() => Some(String::from_utf8_lossy(&self.rest).into_owned()),
            _ => None,
        };
        let attach = match self.credential {
            Credential::Right => self.number.to_string(),
            other => other.name().to_owned(),
        };
        Example {
            failure,
            at,
            attach,
            local: self.local().map(|local| local.to_string()),
            said,
        }
    }
}

fn blocks(error: &std::io::Error) -> Result<(), Failure> {
    match error.kind() {
        ErrorKind::WouldBlock => Ok(()),
        _ => Err(Failure::from_io(error)),
    }
}
