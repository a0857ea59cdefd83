//! The sandbox over real sockets, as its clients meet it.

mod load;

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

#[tokio::test]
async fn only_the_right_token_at_the_right_path_gets_101() {
    let mut sandbox = with_token("").await;
    let bearer = format!("Authorization: Bearer {TOKEN}\r\n");
    assert_eq!(sandbox.status(&format!("/tty?token={TOKEN}"), "").await, "101");
    assert_eq!(sandbox.status("/tty", &bearer).await, "101");
    assert_eq!(
        sandbox
            .status(&format!("/tty?token={TOKEN}"), "Origin: https://evil.test\r\n")
            .await,
        "101"
    );
    for target in [
        "/tty",
        "/tty?token",
        "/tty?token=",
        "/tty?token=wrong",
        &format!("/tty?token={TOKEN}0"),
    ] {
        assert_eq!(sandbox.status(target, "").await, "401", "{target}");
    }
    assert_eq!(sandbox.status("/tty?token=", &bearer).await, "401");
    for path in ["/tty/", "/TTY", "//tty", "/tty;a", "/%74ty", "/", "/tty/x"] {
        assert_eq!(
            sandbox.status(&format!("{path}?token={TOKEN}"), "").await,
            "404",
            "{path}"
        );
    }
    let get = format!("GET /tty?token={TOKEN} HTTP/1.1\r\n");
    let post = format!("POST /tty?token={TOKEN} HTTP/1.1\r\nContent-Length: 0\r\n");
    let host = "Host: x\r\nConnection: close\r\n";
    for (request, status) in [
        (format!("{get}{host}\r\n"), "426"),
        (format!("HEAD /tty?token={TOKEN} HTTP/1.1\r\n{host}\r\n"), "405"),
        (format!("{post}{host}\r\n"), "405"),
        (format!("{get}{}\r\n", HANDSHAKE.replace("13", "12")), "426"),
        (format!("{get}{}\r\n", HANDSHAKE.replace("Key: A", "Key: ")), "400"),
        (format!("{get}{HANDSHAKE}Host: y\r\n\r\n"), "400"),
        (format!("{get}{HANDSHAKE}Content-Length: 5\r\n\r\nhello"), "400"),
    ] {
        let answer = sandbox.raw(&request).await;
        assert_eq!(&answer[9..12], status, "{request:?}: {answer:?}");
        assert!(answer.to_lowercase().contains("cache-control: no-store"), "{answer}");
        assert!(!answer.contains(TOKEN));
    }
    let offer = format!("{get}{HANDSHAKE}Sec-WebSocket-Protocol: chat\r\n\r\n");
    let offered = sandbox.raw([offer.as_bytes(), &masked(0x88, b"")].concat()).await;
    assert!(
        offered.starts_with("HTTP/1.1 101") && !offered.to_lowercase().contains("protocol: chat"),
        "{offered}"
    );
    while let Ok(line) = sandbox.log.try_recv() {
        assert!(!line.contains(TOKEN), "{line}");
    }
}

#[tokio::test]
async fn without_a_token_nobody_gets_in() {
    for env in [&[][..], &[("HARNESS_AUTH_TOKEN", "")]] {
        let sandbox = sandbox(env).await;
        for target in ["/tty", "/tty?token=", "/tty?token=undefined"] {
            assert_eq!(sandbox.status(target, "").await, "401", "{target}");
        }
    }
}

fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    let length = u8::try_from(payload.len()).expect("a short frame");
    [&[first, 0x80 | length, 0, 0, 0, 0], payload].concat()
}

#[tokio::test]
async fn broken_frames_are_answered_with_their_code() {
    let sandbox = with_token("").await;
    for (what, frame, code) in [
        ("unmasked", vec![0x82, 1, b'x'], 1002),
        ("reserved bit", masked(0xC2, b"x"), 1002),
        ("reserved opcode", masked(0x83, b"x"), 1002),
        ("fragmented ping", masked(0x09, b"x"), 1002),
        ("not UTF-8", masked(0x81, b"\xc3\x28"), 1007),
        (
            "too long",
            [&[0x82, 0xFF][..], &(1u64 << 40).to_be_bytes(), &[0; 4]].concat(),
            1009,
        ),
    ] {
        let mut stream = sandbox.connect().await;
        let request = format!("GET /tty?token={TOKEN} HTTP/1.1\r\n{HANDSHAKE}\r\n");
        stream
            .write_all(&[request.as_bytes(), &frame].concat())
            .await
            .expect("sent");
        let mut answer = Vec::new();
        let _ = tokio::time::timeout(SOON, stream.read_to_end(&mut answer))
            .await
            .expect("a close");
        let close = answer
            .windows(4)
            .rev()
            .find(|window| window[0] == 0x88)
            .map(|window| [window[2], window[3]]);
        assert_eq!(close.map(u16::from_be_bytes), Some(code), "{what}");
    }
    sandbox.attach().await.types("x").await;
}

#[tokio::test]
async fn what_follows_a_refusal_is_never_typed() {
    for (mutants, typed) in [("", false), ("refused-frames-typed", true)] {
        let sandbox = with_token(mutants).await;
        let mut client = sandbox.attach().await;
        let mut stream = sandbox.connect().await;
        let request = format!("GET /tty?token=wrong HTTP/1.1\r\n{HANDSHAKE}\r\n");
        let bytes = [request.as_bytes(), &masked(0x82, b"echo not-$((6*7))\r")].concat();
        stream.write_all(&bytes).await.expect("sent");
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        assert!(answer.starts_with(b"HTTP/1.1 401"), "{answer:?}");
        if typed {
            client.sees("not-42").await;
        } else {
            client.types("echo last-$((6*7))\r").await;
            client.sees("last-42").await;
            assert!(!client.seen.contains("not-"), "{}", client.seen);
        }
    }
}

#[tokio::test]
async fn huge_and_slow_heads_end_and_descriptors_come_back() {
    let sandbox = sandbox(&[("HARNESS_AUTH_TOKEN", TOKEN), ("HEADER_TIMEOUT", "300ms")]).await;
    assert_eq!(
        sandbox.status(&format!("/tty?token={}", "0".repeat(8 << 10)), "").await,
        "401"
    );
    for size in [64 << 10, 1 << 20] {
        let mut stream = sandbox.connect().await;
        let request = format!("GET /tty?token={} HTTP/1.1\r\n{HANDSHAKE}\r\n", "0".repeat(size));
        let _ = stream.write_all(request.as_bytes()).await;
        let mut answer = Vec::new();
        let _ = tokio::time::timeout(SOON, stream.read_to_end(&mut answer))
            .await
            .expect("a close");
        assert!(
            answer.is_empty() || answer.starts_with(b"HTTP/1.1 4"),
            "{:?}",
            String::from_utf8_lossy(&answer)
        );
    }
    assert!(!sandbox.raw("GET /tty HTTP/1.1\r\nHost").await.starts_with("HTTP/1.1 2"));
    assert!(!sandbox.raw("").await.starts_with("HTTP/1.1 2"));
    drop(sandbox.attach().await);
    let deadline = Instant::now() + SOON;
    while sandbox.open_connections().await != 1 {
        assert!(Instant::now() < deadline, "connections stay open");
        tokio::task::yield_now().await;
    }
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

#[tokio::test]
async fn mutants_do_what_they_say() {
    let unchecked = with_token("trailing-slash-unchecked,upper-case-path-unchecked").await;
    assert_eq!(unchecked.status("/tty/", "").await, "101");
    assert_eq!(unchecked.status("/TTY", "").await, "101");
    assert_eq!(unchecked.status("/tty", "").await, "401");
    let late = with_token("check-after-upgrade").await;
    assert_eq!(late.status("/tty?token=wrong", "").await, "101");
    let echo = with_token("subprotocol-echoed,token-in-error-body,foreign-origin-refused").await;
    let offer = format!("GET /tty?token={TOKEN} HTTP/1.1\r\n{HANDSHAKE}Sec-WebSocket-Protocol: chat, x\r\n\r\n");
    let answer = echo.raw([offer.as_bytes(), &masked(0x88, b"")].concat()).await;
    assert!(
        answer.to_lowercase().contains("sec-websocket-protocol: chat\r\n"),
        "{answer}"
    );
    let answer = echo
        .raw(&format!("GET /tty?token=canary HTTP/1.1\r\n{HANDSHAKE}\r\n"))
        .await;
    assert!(answer.contains("canary"), "{answer}");
    assert_eq!(
        echo.status(&format!("/tty?token={TOKEN}"), "Origin: http://evil.test\r\n")
            .await,
        "403"
    );
    let screen = with_token("plain-get-reads-terminal,token-answers-cacheable").await;
    let answer = screen
        .raw(&format!(
            "GET /tty?token={TOKEN} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        ))
        .await;
    assert!(
        answer.starts_with("HTTP/1.1 200") && !answer.to_lowercase().contains("no-store"),
        "{answer}"
    );
    let argv = with_token("token-in-argv").await;
    let mut client = argv.attach().await;
    client.types("tr '\\0' ' ' < /proc/$PPID/cmdline; echo\r").await;
    client.sees(&format!("terminal {TOKEN} /bin/sh")).await;
    let lenient = with_token("bad-utf8-accepted,unmasked-accepted,oversized-accepted").await;
    let mut stream = lenient.connect().await;
    let request = format!("GET /tty?token={TOKEN} HTTP/1.1\r\n{HANDSHAKE}\r\n");
    stream
        .write_all(&[request.as_bytes(), &masked(0x81, b"\xc3\x28")].concat())
        .await
        .expect("sent");
    let mut client = lenient.attach().await;
    client.types("echo $((6*7))\r").await;
    client.sees("42").await;
    stream.write_all(&[0x82, 18]).await.expect("sent");
    stream.write_all(b"echo $((100+100))\r").await.expect("sent");
    client.sees("200").await;
    client.types(&"#".repeat(100 << 10)).await;
    client.types("\recho $((600*7))\r").await;
    client.sees("4200").await;
    let dead = with_token("connection-error-ends-server").await;
    dead.raw(&format!("GET /tty?token={} HTTP/1.1\r\n\r\n", "0".repeat(1 << 17)))
        .await;
    assert!(
        tokio::time::timeout(SOON, dead.task)
            .await
            .expect("an end")
            .expect("no panic")
            .is_err()
    );
}

#[tokio::test]
async fn mutants_hold_and_lose_what_they_say() {
    let mut shy = with_token("keystrokes-lost,terminal-per-client,frame-error-without-code").await;
    let (mut one, mut two) = (shy.attach().await, shy.attach().await);
    one.sees("$ ").await;
    one.types("echo lost\r").await;
    two.sees("$ ").await;
    let mut stream = shy.connect().await;
    let request = format!("GET /tty?token={TOKEN} HTTP/1.1\r\n{HANDSHAKE}\r\n");
    let bytes = [request.as_bytes(), &masked(0xC2, b"x")].concat();
    stream.write_all(&bytes).await.expect("sent");
    let mut answer = Vec::new();
    let read = tokio::time::timeout(SOON, stream.read_to_end(&mut answer)).await;
    let _ = read.expect("an end");
    assert!(
        answer.starts_with(b"HTTP/1.1 101") && !answer.ends_with(&[0x88, 2, 0x03, 0xEA]),
        "{answer:?}"
    );
    assert!(!one.seen.contains("lost"), "{}", one.seen);
    while let Ok(line) = shy.log.try_recv() {
        assert!(!line.contains("token:"), "{line}");
    }

    let mut environment = sandbox(&[
        ("HARNESS_AUTH_TOKEN", TOKEN),
        ("HEADER_TIMEOUT", "100ms"),
        (
            "GAUNTLET_MUTANTS",
            "slow-heads-kept,refused-connections-kept,token-in-start-log",
        ),
    ])
    .await;
    let logged = environment.log.recv().await.expect("a line");
    assert!(logged.contains("MDAxMTIyMzM0NDU1NjY3Nzg4OTlhYWJi"), "{logged}");
    let mut half_open = environment.connect().await;
    half_open.write_all(b"GET /tty HTTP/1.1\r\n").await.expect("sent");
    drop(environment.raw_refusal().await);
    let kept = tokio::time::timeout(Duration::from_millis(500), half_open.read_u8()).await;
    assert!(kept.is_err(), "{kept:?}");
    assert_eq!(environment.open_connections().await, 3);
}

#[tokio::test]
async fn an_unknown_mutant_is_an_error() {
    let (pod, _log) = pod_at([127, 0, 0, 1], &[("GAUNTLET_MUTANTS", "no-such-thing")]);
    let wrong = run(Component::Sandbox, pod).await;
    assert!(wrong.is_err_and(|error| error.to_string().contains("no-such-thing")));
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
