//! The first byte of a session's terminal, as a user waits for it: by a separate attach once the session is ready.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Control, Data, OpCode};

use super::echo::RUB_OUT;
use super::failure::Failure;
use super::frames::{self, Broken, Part, Reader};
use super::handshake::{self, Answer, Request};
use super::metric::Metric;
use super::plan::{PARAMETER, with_token};
use super::worker::{Assignment, PlanError, Terminal};

/// The key typed into a silent terminal: a letter that no nonce contains.
const TYPED: [u8; 2] = [RUB_OUT, b'q'];

/// Bytes that are read at once.
const READ: usize = 4096;

/// The way to terminals of sessions.
pub struct FirstByte {
    addresses: Vec<SocketAddr>,
    tls: Option<(Arc<ClientConfig>, ServerName<'static>)>,
    authority: String,
    headers: Vec<(String, String)>,
    deadline: Duration,
    /// Addresses are taken in turn.
    turn: AtomicUsize,
}

impl FirstByte {
    /// By the way that a load's attaches go.
    ///
    /// # Errors
    /// Certificates that can't be judged.
    pub fn new(assignment: &Assignment) -> Result<FirstByte, PlanError> {
        let plan = assignment.plan()?;
        Ok(FirstByte {
            addresses: plan.addresses,
            tls: plan.tls,
            authority: assignment.authority.clone(),
            headers: assignment.headers.clone(),
            deadline: plan.deadline,
            turn: AtomicUsize::new(0),
        })
    }

    /// Attaches, waits for it, and closes again.
    ///
    /// # Errors
    /// The terminal doesn't open, or says nothing.
    pub async fn of(&self, terminal: &Terminal) -> Result<(), Failure> {
        tokio::time::timeout(self.deadline, self.comes(terminal))
            .await
            .unwrap_or(Err(Failure::TimedOut(Metric::SessionFirstByte)))
    }

    async fn comes(&self, terminal: &Terminal) -> Result<(), Failure> {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let address = self.addresses[turn % self.addresses.len()];
        let stream = TcpStream::connect(address).await.map_err(failed)?;
        stream.set_nodelay(true).map_err(failed)?;
        let target = with_token(&terminal.path, PARAMETER, &terminal.right);
        let request = Request::new(&self.authority, &target, &self.headers);
        match &self.tls {
            None => first(stream, &request).await,
            Some((config, name)) => {
                let connector = TlsConnector::from(config.clone());
                let stream = connector.connect(name.clone(), stream).await.map_err(failed)?;
                first(stream, &request).await
            }
        }
    }
}

fn failed(error: io::Error) -> Failure {
    Failure::from_io(&error)
}

async fn first<Io: AsyncRead + AsyncWrite + Unpin>(mut io: Io, request: &Request) -> Result<(), Failure> {
    let nonce: [u8; 16] = rand::random();
    let mut out = Vec::new();
    request.write(nonce, &mut out);
    io.write_all(&out).await.map_err(failed)?;
    let mut said = Vec::with_capacity(READ);
    let head = loop {
        more(&mut io, &mut said).await?;
        match handshake::read(&said, nonce) {
            Answer::Part => {}
            Answer::Open(length) => break length,
            Answer::Status(status) => return Err(Failure::Status(status)),
            Answer::Broken(what) => return Err(Failure::Handshake(what.into())),
        }
    };
    said.drain(..head);
    out.clear();
    frames::write(OpCode::Data(Data::Binary), &TYPED, rand::random(), &mut out);
    io.write_all(&out).await.map_err(failed)?;
    let mut reader = Reader::default();
    while !has_output(&mut reader, &said)? {
        said.clear();
        more(&mut io, &mut said).await?;
    }
    out.clear();
    let code = 1000u16.to_be_bytes();
    frames::write(OpCode::Control(Control::Close), &code, rand::random(), &mut out);
    // What is waited for is there; that the terminal closes is measured elsewhere.
    let _closed = io.write_all(&out).await;
    let _shut = io.shutdown().await;
    Ok(())
}

async fn more<Io: AsyncRead + Unpin>(io: &mut Io, said: &mut Vec<u8>) -> Result<(), Failure> {
    match io.read_buf(said).await.map_err(failed)? {
        0 => Err(Failure::Ended),
        _ => Ok(()),
    }
}

/// Whether there is output in the next piece of a stream.
fn has_output(reader: &mut Reader, piece: &[u8]) -> Result<bool, Failure> {
    let (mut output, mut closed) = (false, None);
    let read = reader.read(piece, |part| {
        match part {
            Part::Data(_) => output = true,
            Part::Close(code) => closed = Some(code),
            Part::Ping(_) | Part::End => {}
        }
        !output && closed.is_none()
    });
    match (read, closed) {
        (Err(Broken(what)), _) => Err(Failure::Frame(what.into())),
        (Ok(()), Some(code)) => Err(Failure::Closed(code)),
        (Ok(()), None) => Ok(output),
    }
}

#[cfg(test)]
mod tests {
    use futures_util::{SinkExt, StreamExt};
    use tokio::net::TcpListener;
    use tokio_tungstenite::tungstenite::Message;

    use super::*;

    /// The result of attaching to a door that behaves like this.
    async fn came<F: Future<Output = ()> + Send + 'static>(
        door: impl FnOnce(TcpStream) -> F + Send + 'static,
    ) -> Result<(), Failure> {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("its address");
        let serving = tokio::spawn(async move {
            let (stream, _) = listener.accept().await.expect("somebody comes");
            door(stream).await;
        });
        let way = FirstByte {
            addresses: vec![address],
            tls: None,
            authority: address.to_string(),
            headers: Vec::new(),
            deadline: Duration::from_secs(20),
            turn: AtomicUsize::new(0),
        };
        let terminal = Terminal {
            path: "/tty".into(),
            right: "a".into(),
        };
        let came = way.of(&terminal).await;
        serving.await.expect("the door's end");
        came
    }

    #[tokio::test]
    async fn a_prompt_or_an_echo_is_the_first_byte() {
        let prompt = |stream: TcpStream| async move {
            let mut socket = tokio_tungstenite::accept_async(stream).await.expect("an upgrade");
            socket.send(Message::text("$ ")).await.expect("sent");
            while let Some(Ok(_)) = socket.next().await {}
        };
        assert_eq!(came(prompt).await, Ok(()));
        let echo = |stream: TcpStream| async move {
            let mut socket = tokio_tungstenite::accept_async(stream).await.expect("an upgrade");
            let typed = socket.next().await.expect("a message").expect("typed");
            assert_eq!(typed.into_data(), TYPED.as_slice());
            socket.send(Message::text("q")).await.expect("sent");
            while let Some(Ok(_)) = socket.next().await {}
        };
        assert_eq!(came(echo).await, Ok(()));
    }

    #[tokio::test]
    async fn a_terminal_that_does_not_open_has_none() {
        let refuses = |mut stream: TcpStream| async move {
            let mut head = Vec::with_capacity(READ);
            stream.read_buf(&mut head).await.expect("a request");
            let refusal = b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n";
            stream.write_all(refusal).await.expect("sent");
        };
        assert_eq!(came(refuses).await, Err(Failure::Status(401)));
        let closes = |stream: TcpStream| async move {
            let mut socket = tokio_tungstenite::accept_async(stream).await.expect("an upgrade");
            socket.close(None).await.expect("closed");
            while let Some(Ok(_)) = socket.next().await {}
        };
        assert_eq!(came(closes).await, Err(Failure::Closed(None)));
    }
}
