//! How an attach can go wrong. Failures are counted by kind and never averaged into a latency.

use std::borrow::Cow;
use std::fmt;
use std::io;

use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use super::metric::Metric;

/// A kind of failure.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Failure {
    /// The target's name led nowhere, or where no load may go.
    Resolve(Cow<'static, str>),
    /// Nobody listens (RST to a SYN).
    ConnectionRefused,
    /// The connection was reset.
    Reset,
    /// There is no way to the address.
    Unreachable(String),
    /// A phase took longer than the deadline.
    TimedOut(Metric),
    /// The TLS handshake failed.
    Tls(String),
    /// The upgrade was answered with a status that isn't 101.
    Status(u16),
    /// The upgrade's answer was no answer (RFC 6455 §4.1).
    Handshake(Cow<'static, str>),
    /// The server sent what is no WebSocket frame of a server's (RFC 6455 §5).
    Frame(Cow<'static, str>),
    /// The server closed the WebSocket, with this code or none.
    Closed(Option<u16>),
    /// The connection ended without a close frame.
    Ended,
    /// The attaches' session failed, for this reason.
    Session(Cow<'static, str>),
    /// A later echo of the same terminal came back, and this one did not.
    EchoOvertaken,
    /// The connection ended before the echo came back.
    EchoCutOff,
    /// A key that one typed for all did not come to this attach.
    Undelivered,
    /// This machine lacks something; the platform has no part in it.
    Local(Lack),
}

/// The resource that this machine has run out of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Lack {
    Descriptors,
    Ports,
    Memory,
    /// Threads that resolve names.
    Resolvers,
}

impl Failure {
    /// From an error of the socket.
    pub fn from_io(error: &io::Error) -> Failure {
        match Errno::from_io_error(error) {
            Some(errno) => Failure::from_errno(errno),
            None if error.kind() == io::ErrorKind::UnexpectedEof => Failure::Ended,
            None => Failure::Tls(error.to_string()),
        }
    }

    /// From what a system call gave.
    pub fn from_errno(errno: Errno) -> Failure {
        match errno {
            Errno::CONNREFUSED => Failure::ConnectionRefused,
            Errno::CONNRESET | Errno::PIPE | Errno::CONNABORTED => Failure::Reset,
            // The kernel's own deadline for a SYN.
            Errno::TIMEDOUT => Failure::TimedOut(Metric::Connect),
            Errno::MFILE | Errno::NFILE => Failure::Local(Lack::Descriptors),
            Errno::ADDRNOTAVAIL | Errno::ADDRINUSE => Failure::Local(Lack::Ports),
            Errno::NOBUFS | Errno::NOMEM => Failure::Local(Lack::Memory),
            other => Failure::Unreachable(io::Error::from(other).to_string()),
        }
    }

    /// Whether it is what a platform that changes does to those who come meanwhile: it doesn't answer, or says that
    /// it can't. Any other answer is one that it means.
    pub fn is_of_a_change(&self) -> bool {
        match self {
            Failure::Status(status) => *status >= 500,
            other => !other.is_local(),
        }
    }

    /// Whether this machine, and not the platform, is the cause.
    pub fn is_local(&self) -> bool {
        matches!(self, Failure::Local(_))
    }
}

impl Lack {
    /// What to do about it.
    pub fn advice(self) -> &'static str {
        match self {
            Lack::Descriptors => "this process may open no more files: raise the limit, as with `ulimit -n 65536`",
            Lack::Ports => {
                "this machine has no more ports towards that address: widen net.ipv4.ip_local_port_range, or give \
                 more source addresses with --source"
            }
            Lack::Memory => "the kernel has no more memory for sockets: see net.ipv4.tcp_mem",
            Lack::Resolvers => {
                "names were asked for faster than this process resolves them: lower --ramp, give more --workers, or \
                 resolve the name once"
            }
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Resolve(why) => write!(f, "resolve: {why}"),
            Failure::ConnectionRefused => f.write_str("connection refused"),
            Failure::Reset => f.write_str("connection reset"),
            Failure::Unreachable(why) => write!(f, "unreachable: {why}"),
            Failure::TimedOut(phase) => write!(f, "timed out: {}", phase.name()),
            Failure::Tls(why) => write!(f, "TLS: {why}"),
            Failure::Status(status) => write!(f, "status {status}"),
            Failure::Handshake(what) => write!(f, "handshake: {what}"),
            Failure::Frame(what) => write!(f, "frames: {what}"),
            Failure::Closed(Some(code)) => write!(f, "closed {code}"),
            Failure::Closed(None) => f.write_str("closed without a code"),
            Failure::Session(what) => write!(f, "session: {what}"),
            Failure::EchoOvertaken => f.write_str("echo: overtaken by a later one"),
            Failure::EchoCutOff => f.write_str("echo: the connection ended"),
            Failure::Undelivered => f.write_str("fan-out: a key did not come"),
            Failure::Ended => f.write_str("ended without a close"),
            Failure::Local(Lack::Descriptors) => f.write_str("local: no descriptors left (EMFILE)"),
            Failure::Local(Lack::Ports) => f.write_str("local: no ports left (EADDRNOTAVAIL)"),
            Failure::Local(Lack::Memory) => f.write_str("local: no memory for sockets (ENOBUFS)"),
            Failure::Local(Lack::Resolvers) => f.write_str("local: no resolver thread free"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_machine_lacks_is_never_the_platforms() {
        for errno in [Errno::MFILE, Errno::NFILE, Errno::ADDRNOTAVAIL, Errno::NOBUFS] {
            assert!(Failure::from_errno(errno).is_local(), "{errno:?}");
        }
        for errno in [Errno::CONNREFUSED, Errno::CONNRESET, Errno::TIMEDOUT, Errno::NETUNREACH] {
            assert!(!Failure::from_errno(errno).is_local(), "{errno:?}");
        }
        assert_eq!(Failure::from_io(&io::Error::from(Errno::CONNRESET)), Failure::Reset);
    }

    #[test]
    fn a_change_explains_no_answer_and_nothing_else() {
        for explained in [Failure::Reset, Failure::ConnectionRefused, Failure::Status(502)] {
            assert!(explained.is_of_a_change(), "{explained}");
        }
        for meant in [Failure::Status(403), Failure::Status(200), Failure::Local(Lack::Ports)] {
            assert!(!meant.is_of_a_change(), "{meant}");
        }
    }
}
