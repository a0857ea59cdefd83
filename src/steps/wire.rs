//! Connections that record their traffic.

mod frames;

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::answer::{head_end, is_complete, status};
use super::limits::Limits;
use super::lock::lock;
use super::observation::StepError;
use crate::trust::Trust;
use crate::world::Door;
use frames::Side;

/// Bytes of each transcript that are kept; the rest is counted.
const KEPT: usize = 16 * 1024;

/// What went over a connection, in order.
#[derive(Clone, Default)]
pub struct Transcript(Arc<Mutex<Parts>>);

#[derive(Default)]
struct Parts {
    parts: Vec<(Direction, Vec<u8>)>,
    kept: usize,
    left_out: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    Sent,
    Received,
}

impl Transcript {
    fn add(&self, direction: Direction, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        let mut all = lock(&self.0);
        let room = KEPT.saturating_sub(all.kept).min(bytes.len());
        all.kept += room;
        all.left_out += bytes.len() - room;
        let kept = &bytes[..room];
        match all.parts.last_mut() {
            Some((last, text)) if *last == direction => text.extend_from_slice(kept),
            _ if room > 0 => all.parts.push((direction, kept.to_vec())),
            _ => {}
        }
    }

    /// All that was received, as far as it was kept.
    pub fn received(&self) -> Vec<u8> {
        let all = lock(&self.0);
        all.parts
            .iter()
            .filter(|(d, _)| *d == Direction::Received)
            .flat_map(|(_, bytes)| bytes.clone())
            .collect()
    }

    /// The transcript as text: `> ` what was sent, `< ` what was received. Behind an upgrade each frame is a line.
    pub fn text(&self) -> String {
        let received = self.received();
        let is_upgraded = status(&received) == Some(101) && head_end(&received).is_some();
        let all = lock(&self.0);
        let mut text = String::new();
        let (mut client, mut server) = (Side::client(), Side::server());
        for (direction, bytes) in &all.parts {
            let (mark, side) = match direction {
                Direction::Sent => ("> ", &mut client),
                Direction::Received => ("< ", &mut server),
            };
            if is_upgraded {
                text.push_str(&side.lines(bytes));
                continue;
            }
            for line in printable(bytes).lines() {
                text.push_str(mark);
                text.push_str(line);
                text.push('\n');
            }
        }
        text.push_str(&client.last());
        text.push_str(&server.last());
        if all.left_out > 0 {
            text.push_str(&format!("({} more bytes)\n", all.left_out));
        }
        text
    }
}

/// Bytes as text: what cannot be printed as `\xNN`, line ends kept.
pub fn printable(bytes: &[u8]) -> String {
    escaped(bytes, "\n", "")
}

/// Bytes as text, with these for a line's end and a carriage return.
fn escaped(bytes: &[u8], line_end: &str, carriage_return: &str) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '\n' => text.push_str(line_end),
                '\r' => text.push_str(carriage_return),
                c if c.is_control() => text.push_str(&format!("\\x{:02x}", c as u32)),
                c => text.push(c),
            }
        }
        for byte in chunk.invalid() {
            text.push_str(&format!("\\x{byte:02x}"));
        }
    }
    text
}

/// A connection to a door, over TLS where the door has it.
pub enum Connection {
    Plain(TcpStream),
    Tls(Box<tokio_rustls::client::TlsStream<TcpStream>>),
}

/// A connection that remembers what went over it.
pub struct Recorded {
    inner: Connection,
    pub transcript: Transcript,
    /// Written right behind the first thing that is written.
    behind: Vec<u8>,
    /// The first answer, gathered until it is whole; then handed on as it is read.
    first: First,
}

/// How the first incoming bytes are handled.
enum First {
    /// Handed on as they come.
    Passed,
    /// Kept back until [`is_whole`] says so, or until there are too many of them.
    Gathering(Vec<u8>),
    /// Handed on from this place, before anything else is read.
    Gathered(Vec<u8>, usize),
}

/// Most of a first answer that is kept back.
const GATHERED: usize = 64 * 1024;

/// Whether the answer to an upgrade is there: its head, and its body where the head says how long that is.
fn is_whole(bytes: &[u8]) -> bool {
    head_end(bytes).is_some() && (status(bytes) == Some(101) || is_complete(bytes).unwrap_or(true))
}

impl Recorded {
    /// The same connection; `bytes` go out together with what is written first.
    pub fn followed_by(self, bytes: Vec<u8>) -> Recorded {
        Recorded { behind: bytes, ..self }
    }

    /// The same connection; the answer to an upgrade is read in one piece, however many it comes in.
    ///
    /// The library takes a head in many small pieces for an attack, and leaves a body that comes
    /// after the head behind. Servers may do both.
    pub fn answered_at_once(self) -> Recorded {
        Recorded {
            first: First::Gathering(Vec::new()),
            ..self
        }
    }
}

/// The outcome of connecting.
pub enum Connected {
    Yes(Box<Recorded>),
    /// The other side refused: no TCP connection, or no TLS over it. What it said.
    Refused(String),
}

/// Connects to a door.
///
/// # Errors
/// No answer at all within the limit, or no descriptor or port left on this machine: the harness could not tell.
pub async fn connect(door: &Door, trust: &Trust, limits: &Limits) -> Result<Connected, StepError> {
    let doing = || format!("connecting to {} (pod {})", door.address, door.pod);
    let connecting = timeout(limits.connect, TcpStream::connect(door.way)).await;
    let tcp = match connecting {
        Err(_) => {
            return Err(StepError::doing(
                doing(),
                format!("no connection within {:?}", limits.connect),
            ));
        }
        // It is reset where the other side goes away in this moment.
        Ok(Err(error))
            if matches!(
                error.kind(),
                io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionReset
            ) =>
        {
            return Ok(Connected::Refused(format!("{}: {error}", doing())));
        }
        Ok(Err(error)) => return Err(StepError::asking(doing(), error)),
        Ok(Ok(tcp)) => tcp,
    };
    tcp.set_nodelay(true)
        .map_err(|error| StepError::doing(doing(), error))?;
    let inner = match door.tls {
        false => Connection::Plain(tcp),
        true => match tls(tcp, door, trust, limits).await? {
            Tls::Open(stream) => Connection::Tls(stream),
            Tls::Refused(said) => return Ok(Connected::Refused(said)),
        },
    };
    Ok(Connected::Yes(Box::new(Recorded {
        inner,
        transcript: Transcript::default(),
        behind: Vec::new(),
        first: First::Passed,
    })))
}

/// What a TLS client that trusts so is made of.
pub fn tls_config(trust: &Trust) -> Result<rustls::ClientConfig, StepError> {
    let failed = |why| StepError::doing("reading the certificate authorities", why);
    trust.client_config().map_err(failed)
}

/// The outcome of TLS over a connection.
enum Tls {
    Open(Box<tokio_rustls::client::TlsStream<TcpStream>>),
    /// What the other side said, which is for the step to observe.
    Refused(String),
}

async fn tls(tcp: TcpStream, door: &Door, trust: &Trust, limits: &Limits) -> Result<Tls, StepError> {
    let doing = format!("TLS with {}", door.address);
    let config = tls_config(trust)?;
    let name = rustls::pki_types::ServerName::try_from(door.name().to_owned())
        .map_err(|error| StepError::doing(&doing, error))?;
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    match timeout(limits.connect, connector.connect(name, tcp)).await {
        Err(_) => Err(StepError::doing(doing, format!("not done within {:?}", limits.connect))),
        Ok(Ok(stream)) => Ok(Tls::Open(Box::new(stream))),
        // Whom this machine trusts says nothing of the platform.
        Ok(Err(error)) if matches!(trust, Trust::Machine { .. }) && is_distrust(&error) => Err(StepError::doing(
            doing,
            format!("{error}; `--ca FILE` gives an authority that this machine doesn't know"),
        )),
        Ok(Err(error)) => {
            StepError::unless_exhausted(&doing, &error)?;
            Ok(Tls::Refused(format!("{doing}: {error}")))
        }
    }
}

/// Whether the other side's certificate was not taken.
fn is_distrust(error: &io::Error) -> bool {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    matches!(inner, Some(rustls::Error::InvalidCertificate(_)))
}

impl Recorded {
    fn write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let result = match &mut self.inner {
            Connection::Plain(stream) => ready!(Pin::new(stream).poll_write(cx, bytes)),
            Connection::Tls(stream) => ready!(Pin::new(stream.as_mut()).poll_write(cx, bytes)),
        };
        if let Ok(written) = result {
            self.transcript.add(Direction::Sent, &bytes[..written]);
        }
        Poll::Ready(result)
    }
}

impl Recorded {
    fn read(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let result = match &mut self.inner {
            Connection::Plain(stream) => ready!(Pin::new(stream).poll_read(cx, buf)),
            Connection::Tls(stream) => ready!(Pin::new(stream.as_mut()).poll_read(cx, buf)),
        };
        self.transcript.add(Direction::Received, &buf.filled()[before..]);
        Poll::Ready(result)
    }

    /// Reads until the first answer is whole. An end or an error before that is seen again by the next read.
    fn gather(&mut self, cx: &mut Context<'_>, mut gathered: Vec<u8>) -> Poll<()> {
        let mut chunk = [0; 4096];
        while !is_whole(&gathered) && gathered.len() < GATHERED {
            let mut buf = ReadBuf::new(&mut chunk);
            match self.read(cx, &mut buf) {
                Poll::Pending => {
                    self.first = First::Gathering(gathered);
                    return Poll::Pending;
                }
                Poll::Ready(Ok(())) if !buf.filled().is_empty() => gathered.extend_from_slice(buf.filled()),
                Poll::Ready(_) => break,
            }
        }
        self.first = First::Gathered(gathered, 0);
        Poll::Ready(())
    }
}

impl AsyncRead for Recorded {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if let First::Gathering(gathered) = &mut self.first {
            let gathered = std::mem::take(gathered);
            ready!(self.gather(cx, gathered));
        }
        if let First::Gathered(gathered, at) = &mut self.first {
            let part = buf.remaining().min(gathered.len() - *at);
            buf.put_slice(&gathered[*at..*at + part]);
            *at += part;
            if *at == gathered.len() {
                self.first = First::Passed;
            }
            if part > 0 {
                return Poll::Ready(Ok(()));
            }
        }
        self.read(cx, buf)
    }
}

impl AsyncWrite for Recorded {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.behind.is_empty() {
            return self.write(cx, bytes);
        }
        let together = [bytes, &self.behind].concat();
        let written = match ready!(self.write(cx, &together)) {
            Ok(written) => written,
            Err(error) => return Poll::Ready(Err(error)),
        };
        self.behind = together[written.max(bytes.len())..].to_vec();
        Poll::Ready(Ok(written.min(bytes.len())))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.inner {
            Connection::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Connection::Tls(stream) => Pin::new(stream.as_mut()).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.inner {
            Connection::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Connection::Tls(stream) => Pin::new(stream.as_mut()).poll_shutdown(cx),
        }
    }
}
