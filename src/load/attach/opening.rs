//! The phases in which a terminal opens: connect, TLS, upgrade.

use std::io::ErrorKind;
use std::net::TcpStream;

use rustix::net::sockopt;
use rustls::{ClientConnection, HandshakeKind, StreamOwned};

use super::{Attach, Progress, State};
use crate::load::cost::thread_nanoseconds;
use crate::load::failure::Failure;
use crate::load::handshake::{self, Answer};
use crate::load::metric::Metric;
use crate::load::shared::Shared;
use crate::load::transport::Transport;

/// Bytes of a refusal that are kept as evidence, until secrets are taken out of it: one that is cut in two would not be
/// found.
const SAID: usize = 4096;

/// Nanoseconds of this thread's processor time since then.
pub(super) fn since(before: u64) -> u32 {
    u32::try_from(thread_nanoseconds().saturating_sub(before)).unwrap_or(u32::MAX)
}

/// Goes on with a handshake as far as the socket lets it; where it is over says whether it resumed an earlier session.
fn shake_hands(tls: &mut StreamOwned<ClientConnection, TcpStream>) -> Result<Option<bool>, Failure> {
    while tls.conn.is_handshaking() {
        match tls.conn.complete_io(&mut tls.sock) {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
            Err(error) if error.kind() == ErrorKind::InvalidData => return Err(Failure::Tls(error.to_string())),
            Err(error) => return Err(Failure::from_io(&error)),
        }
    }
    Ok(Some(tls.conn.handshake_kind() == Some(HandshakeKind::Resumed)))
}

impl Attach {
    pub(super) fn connected(&mut self, shared: &mut Shared) -> Result<Progress, Failure> {
        match sockopt::socket_error(self.socket()) {
            Ok(Ok(())) => {}
            Ok(Err(errno)) | Err(errno) => return Err(Failure::from_errno(errno)),
        }
        self.phase_ends(Metric::Connect, shared);
        if matches!(self.transport, Transport::Tls(_)) {
            self.state = State::Securing;
            return self.secure(shared);
        }
        self.upgrade(shared)
    }

    pub(super) fn secure(&mut self, shared: &mut Shared) -> Result<Progress, Failure> {
        let Transport::Tls(tls) = &mut self.transport else {
            return self.upgrade(shared);
        };
        let before = thread_nanoseconds();
        let shaken = shake_hands(tls);
        self.securing = self.securing.saturating_add(since(before));
        let Some(resumed) = shaken? else {
            return Ok(Progress::Waits);
        };
        shared.recorder.counts.secured(resumed, self.securing.into());
        let metric = if resumed { Metric::TlsResumed } else { Metric::Tls };
        self.phase_ends(metric, shared);
        self.upgrade(shared)
    }

    fn upgrade(&mut self, shared: &mut Shared) -> Result<Progress, Failure> {
        self.state = State::Upgrading;
        let mut out = std::mem::take(&mut shared.out);
        out.clear();
        self.request.write(shared.key(self.number), &mut out);
        let sent = self.send(&out);
        shared.out = out;
        sent?;
        // Over TLS the answer may have come with the handshake's last bytes.
        match self.transport {
            Transport::Plain(_) => Ok(Progress::Waits),
            Transport::Tls(_) => self.receive(shared),
        }
    }

    /// Reads more of the upgrade's answer; says whether the terminal has opened.
    pub(super) fn answered(&mut self, bytes: &[u8], shared: &mut Shared) -> Result<bool, Failure> {
        let mut whole = std::mem::take(&mut self.rest);
        let bytes = if whole.is_empty() {
            bytes
        } else {
            whole.extend_from_slice(bytes);
            &whole
        };
        match handshake::read(bytes, shared.key(self.number)) {
            Answer::Part => {
                self.rest = bytes.to_vec();
                Ok(false)
            }
            Answer::Open(length) => {
                self.phase_ends(Metric::Upgrade, shared);
                let now = self.since;
                shared
                    .recorder
                    .record(Metric::Attach, now.saturating_sub(self.intended), false);
                self.state = State::Open;
                self.frames(&bytes[length..], shared)?;
                Ok(true)
            }
            Answer::Status(status) => {
                self.rest = bytes[..bytes.len().min(SAID)].to_vec();
                Err(Failure::Status(status))
            }
            Answer::Broken(what) => {
                self.rest = bytes[..bytes.len().min(SAID)].to_vec();
                Err(Failure::Handshake(what.into()))
            }
        }
    }

    /// A phase ends and the next begins.
    fn phase_ends(&mut self, metric: Metric, shared: &mut Shared) {
        let now = shared.clock.now();
        shared.recorder.record(metric, now.saturating_sub(self.since), false);
        self.since = now;
        self.until = now.saturating_add(shared.deadline);
    }
}
