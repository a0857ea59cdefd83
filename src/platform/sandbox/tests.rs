//! The sandbox over real sockets, as its clients meet it.

mod handshake;
mod load;
mod mutants;

use std::time::{Duration, Instant};

use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::{WebSocketStream, client_async};
use tokio_util::task::AbortOnDropHandle;

use super::super::pod::tests::{pod, pod_at};
use super::super::{Component, ComponentError, Pod, run};
use crate::world::embedded::Address;

const TOKEN: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
const HANDSHAKE: &str = "Host: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n";
/// Longer than anything here takes on a busy machine.
const SOON: Duration = Duration::from_secs(30);

struct Running {
    pod: Pod,
    log: UnboundedReceiver<String>,
    task: AbortOnDropHandle<Result<(), ComponentError>>,
    _address: Address,
}

/// A sandbox that listens, at an address of its own.
async fn sandbox(env: &[(&str, &str)]) -> Running {
    let address = Address::reserve().expect("an address");
    let (pod, mut log) = pod_at(address.ip.octets(), env);
    let mut task = AbortOnDropHandle::new(tokio::spawn(run(Component::Sandbox, pod.clone())));
    loop {
        tokio::select! {
            line = log.recv() => if line.expect("the pod holds its log").contains("on port") {
                break;
            },
            ended = &mut task => panic!("the sandbox ended: {ended:?}"),
        }
    }
    Running {
        pod,
        log,
        task,
        _address: address,
    }
}

async fn with_token(mutants: &str) -> Running {
    sandbox(&[
        ("HARNESS_AUTH_TOKEN", TOKEN),
        ("GAUNTLET_MUTANTS", mutants),
        ("PS1", "$ "),
    ])
    .await
}

impl Running {
    async fn connect(&self) -> TcpStream {
        TcpStream::connect((self.pod.ip, 4096))
            .await
            .expect("the sandbox listens")
    }

    /// All that comes back for some bytes, until the sandbox closes.
    async fn raw(&self, request: impl AsRef<[u8]>) -> String {
        let mut stream = self.connect().await;
        stream.write_all(request.as_ref()).await.expect("sent");
        let mut answer = Vec::new();
        let read = tokio::time::timeout(SOON, stream.read_to_end(&mut answer)).await;
        let _ = read.expect("the sandbox closes");
        String::from_utf8_lossy(&answer).into_owned()
    }

    /// The status of an upgrade to this target, which may come with other headers.
    async fn status(&self, target: &str, headers: &str) -> String {
        let request = format!("GET {target} HTTP/1.1\r\n{headers}{HANDSHAKE}\r\n");
        let mut stream = self.connect().await;
        stream.write_all(request.as_bytes()).await.expect("sent");
        let mut status = [0; 12];
        stream.read_exact(&mut status).await.expect("an answer");
        String::from_utf8_lossy(&status[9..]).into_owned()
    }

    /// An upgrade that was refused; the connection is still held.
    async fn raw_refusal(&self) -> TcpStream {
        let mut stream = self.connect().await;
        let request = format!("GET /tty HTTP/1.1\r\n{HANDSHAKE}\r\n");
        stream.write_all(request.as_bytes()).await.expect("sent");
        let mut status = [0; 12];
        stream.read_exact(&mut status).await.expect("an answer");
        assert_eq!(&status[9..], b"401");
        stream
    }

    async fn attach(&self) -> Client {
        let request = format!("ws://{}:4096/tty?token={TOKEN}", self.pod.ip)
            .into_client_request()
            .expect("a request");
        let (socket, _) = client_async(request, self.connect().await).await.expect("attached");
        Client {
            socket,
            seen: String::new(),
        }
    }

    async fn open_connections(&self) -> u32 {
        let answer = self
            .raw("GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            .await;
        let line = answer
            .lines()
            .find(|line| line.starts_with("open_connections "))
            .expect("the gauge");
        line.rsplit(' ')
            .next()
            .and_then(|value| value.parse().ok())
            .expect("a number")
    }
}

struct Client {
    socket: WebSocketStream<TcpStream>,
    seen: String,
}

impl Client {
    async fn types(&mut self, keys: &str) {
        self.socket
            .send(Message::binary(keys.as_bytes().to_vec()))
            .await
            .expect("sent");
    }

    /// Reads until a text is on the terminal.
    async fn sees(&mut self, text: &str) {
        let read = async {
            while !tail(&self.seen).contains(text) {
                match self.socket.next().await {
                    Some(Ok(Message::Text(frame))) => {
                        assert!(frame.chars().count() <= 4096);
                        self.seen += &frame;
                    }
                    Some(Ok(_)) => {}
                    other => panic!("{other:?} before {text:?} in {:?}", self.seen),
                }
            }
        };
        if tokio::time::timeout(SOON, read).await.is_err() {
            panic!("no {text:?} in {:?}", self.seen);
        }
    }

    /// The code that the sandbox closes with; `None` for a close without one.
    async fn closed(&mut self) -> Option<u16> {
        let read = async {
            loop {
                match self.socket.next().await {
                    Some(Ok(Message::Close(close))) => return close.map(|close| close.code.into()),
                    Some(Ok(_)) => {}
                    other => panic!("{other:?} instead of a close"),
                }
            }
        };
        tokio::time::timeout(SOON, read).await.expect("a close")
    }
}

/// Enough of what was seen last: all of it at each frame would be slow.
fn tail(seen: &str) -> &str {
    &seen[seen.floor_char_boundary(seen.len().saturating_sub(10_000))..]
}

#[tokio::test]
async fn clients_share_one_terminal_until_its_program_ends() {
    let sandbox = with_token("").await;
    let mut one = sandbox.attach().await;
    one.types("echo $((6*7))$HARNESS_AUTH_TOKEN-$HOME-${CARGO:-none}\r")
        .await;
    one.sees(&format!("42{TOKEN}-/-none")).await;
    let mut two = sandbox.attach().await;
    two.sees(&format!("42{TOKEN}")).await;
    two.types("stty size; echo a-$((1+1))\r").await;
    one.sees("24 80").await;
    one.sees("a-2").await;
    one.socket
        .send(Message::text(r#"{"type":"resize","cols":101,"rows":33}"#))
        .await
        .expect("sent");
    one.socket
        .send(Message::text(r#"{"type":"ping"}"#))
        .await
        .expect("sent");
    for nothing in [
        r#"{"type":"resize","cols":0,"rows":5}"#,
        r#"{"type":"resize","cols":5,"rows":0}"#,
        "nonsense",
    ] {
        one.socket.send(Message::text(nothing)).await.expect("sent");
    }
    one.types("stty size\r").await;
    two.sees("33 101").await;
    one.types("exit\r").await;
    assert_eq!((one.closed().await, two.closed().await), (None, None));
    let mut three = sandbox.attach().await;
    three.types("echo b-$((1+1))\r").await;
    three.sees("b-2").await;
    assert!(!three.seen.contains("a-2"));
}

/// A program may not read for a while; its client is not to be cut for that.
#[tokio::test]
async fn pings_are_answered_while_the_terminal_does_not_read() {
    let sandbox = with_token("").await;
    let mut client = sandbox.attach().await;
    client
        .types("stty raw -echo; echo deaf-$((1+1)); exec sleep 1000\r")
        .await;
    client.sees("deaf-2").await;
    for _ in 0..200 {
        let keys = Message::binary(vec![b'x'; 4096]);
        client.socket.send(keys).await.expect("sent");
    }
    client
        .socket
        .send(Message::Ping(b"still there".to_vec().into()))
        .await
        .expect("sent");
    let answer = async {
        loop {
            match client.socket.next().await {
                Some(Ok(Message::Pong(payload))) => return payload,
                Some(Ok(_)) => {}
                other => panic!("{other:?}"),
            }
        }
    };
    let answer = tokio::time::timeout(SOON, answer).await.expect("a pong in time");
    assert_eq!(answer.as_ref(), b"still there");
    client.socket.close(None).await.expect("closed");
    let ended = tokio::time::timeout(SOON, async { while let Some(Ok(_)) = client.socket.next().await {} });
    ended.await.expect("the close is answered");
}

#[tokio::test]
async fn pings_are_answered() {
    let sandbox = with_token("").await;
    let mut client = sandbox.attach().await;
    client
        .socket
        .send(Message::Ping(b"payload".to_vec().into()))
        .await
        .expect("sent");
    loop {
        match tokio::time::timeout(SOON, client.socket.next()).await.expect("a pong") {
            Some(Ok(Message::Pong(payload))) => return assert_eq!(&payload[..], b"payload"),
            Some(Ok(_)) => {}
            other => panic!("{other:?}"),
        }
    }
}

fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    let length = u8::try_from(payload.len()).expect("a short frame");
    [&[first, 0x80 | length, 0, 0, 0, 0], payload].concat()
}

#[tokio::test]
async fn a_client_that_does_not_read_holds_up_nobody() {
    let sandbox = with_token("").await;
    let mut slow = sandbox.attach().await;
    let mut quick = sandbox.attach().await;
    quick
        .types("yes 0123456789012345678901234567890123456789 | head -c 12000000; echo end-$((6*7))\r")
        .await;
    quick.sees("end-42").await;
    slow.sees("end-42").await;
    // It was put back to the start and shown what is there: far less than there was.
    assert!(slow.seen.len() < 11_000_000, "{}", slow.seen.len());
}

#[tokio::test]
async fn a_stop_says_goodbye_and_leaves_no_process() {
    let sandbox = with_token("").await;
    let mut client = sandbox.attach().await;
    client.types("trap '' HUP; echo pid=$$.; sleep 1000\r").await;
    client.sees(".\r\n").await;
    let pid = client
        .seen
        .rsplit("pid=")
        .next()
        .and_then(|pid| pid.trim_end_matches(".\r\n").parse().ok());
    let pid: i32 = pid.expect("a pid");
    sandbox.pod.stop.cancel();
    assert_eq!(client.closed().await, Some(1001));
    drop(client);
    tokio::time::timeout(SOON, sandbox.task)
        .await
        .expect("an end")
        .expect("no panic")
        .expect("no error");
    let deadline = Instant::now() + SOON;
    while is_alive(pid) {
        assert!(Instant::now() < deadline, "{pid} lives on");
        tokio::task::yield_now().await;
    }
}

fn is_alive(pid: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // A zombie is dead and waits for its parent to notice.
    !stat.is_empty() && !stat.contains(") Z ")
}

#[test]
fn a_terminals_command_is_a_list_a_shell_or_a_mistake() {
    let told = |text: &str| super::command(&pod(&[("TERMINAL_COMMAND", text)]));
    assert_eq!(told("").expect("a shell"), ["/bin/sh"]);
    assert_eq!(told(r#"["cat", "-u"]"#).expect("a command"), ["cat", "-u"]);
    for (text, why) in [
        ("[]", "is empty"),
        ("cat", "is not a JSON list"),
        ("[1]", "is not a JSON list"),
    ] {
        let error = told(text).expect_err(text);
        assert!(error.0.contains(why), "{text}: {error}");
    }
    let none = super::command(&pod(&[]));
    assert_eq!(none.expect("a shell"), ["/bin/sh"]);
}
