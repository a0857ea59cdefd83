//! Both ends of `/tty` against WebSocket implementations that are somebody else's.
//!
//! `tests/interop/install` gets them into `target/interop`. Where one is not there its tests say
//! so and are skipped; with `CI` set that is an error.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::Command;

use crate::binary::{DEADLINE, Ran, Running, component, until};
use gauntlet::steps::Limits;
use gauntlet::steps::handshake::token_query;
use gauntlet::steps::terminal::Terminal;
use gauntlet::steps::wire::{Connected, Recorded, connect};
use gauntlet::trust::Trust;
use gauntlet::world::Door;
use rustix::process::Signal;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async};

const TOKEN: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/// Somebody else's implementation.
#[derive(Clone, Copy)]
enum Foreign {
    Python,
    Node,
}

impl Foreign {
    fn name(self) -> &'static str {
        match self {
            Foreign::Python => "python websockets",
            Foreign::Node => "node ws",
        }
    }

    /// The interpreter with a script of `tests/interop`; none where it isn't installed.
    fn script(self, name: &str) -> Option<Command> {
        let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| "target".into(), PathBuf::from);
        let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
        let installed = root.join(target).join("interop");
        let scripts = root.join("tests/interop");
        let mut command = match self {
            Foreign::Python => {
                let python = installed.join("python/bin/python");
                let works = Command::new(&python).args(["-c", "import websockets"]).output();
                if !works.is_ok_and(|output| output.status.success()) {
                    return self.skipped();
                }
                let mut command = Command::new(python);
                command.arg(scripts.join(format!("{name}.py")));
                command
            }
            Foreign::Node => {
                let modules = installed.join("node/node_modules");
                let mut command = Command::new("node");
                command.env("NODE_PATH", &modules);
                let works = Command::new("node")
                    .env("NODE_PATH", modules)
                    .args(["-e", "require('ws')"])
                    .output();
                if !works.is_ok_and(|output| output.status.success()) {
                    return self.skipped();
                }
                command.arg(scripts.join(format!("{name}.js")));
                command
            }
        };
        command.env("HARNESS_AUTH_TOKEN", TOKEN);
        Some(command)
    }

    fn skipped(self) -> Option<Command> {
        let message = format!("{} is not there; tests/interop/install gets it", self.name());
        assert!(std::env::var_os("CI").is_none(), "{message}");
        eprintln!("skipped: {message}");
        None
    }
}

/// The platform's sandbox as a process, and the address of its door.
fn sandbox() -> (Running, SocketAddr) {
    component("sandbox", &[("HARNESS_AUTH_TOKEN", TOKEN)])
}

/// A foreign client at the platform's door.
fn client_of(foreign: Foreign) {
    let Some(mut client) = foreign.script("client") else {
        return;
    };
    let (mut sandbox, address) = sandbox();
    let ran = Ran::of(
        client
            .arg(format!("ws://{address}/tty"))
            .output()
            .expect("the client starts"),
    );
    assert_eq!(
        ran.code,
        Some(0),
        "{}\n{}\n{}",
        ran.stdout,
        ran.stderr,
        sandbox.stdout()
    );
    let saw: Value = serde_json::from_str(&ran.stdout).expect("JSON");
    let expected = json!({
        "without": 401, "empty": 401, "wrong": 401, "header": 101,
        // Offered by both clients by default; the platform takes none.
        "extensions": null,
        "types": true, "fragments": true, "resize": true, "pong": true,
        // A close without a code; a message that is too long (RFC 6455 §7.4.1); the client's own code.
        "program_ends": 1005, "too_long": 1009, "client_closes": 1000,
    });
    assert_eq!(saw, expected);
    sandbox.signal(Signal::TERM);
    assert_eq!(sandbox.ends().code(), Some(0), "{}", sandbox.stderr());
    assert!(!sandbox.stdout().contains(TOKEN), "the token is in the sandbox's log");
}

#[test]
fn python_client_at_our_door() {
    client_of(Foreign::Python);
}

#[test]
fn node_client_at_our_door() {
    client_of(Foreign::Node);
}

/// Our client's way in: a recorded connection, and the upgrade over it.
async fn attach(address: SocketAddr, query: &str) -> Result<WebSocketStream<Recorded>, Error> {
    let door = Door {
        road: gauntlet::vocabulary::Road::Direct,
        address,
        way: address,
        host: address.to_string(),
        tls: false,
        pod: "foreign".into(),
    };
    let connected = connect(&door, &Trust::Nothing, &Limits::default())
        .await
        .expect("an answer");
    let Connected::Yes(stream) = connected else {
        panic!("no connection to {address}")
    };
    let request = format!("ws://{address}/tty{query}")
        .into_client_request()
        .expect("a request");
    client_async(request, *stream).await.map(|(socket, _)| socket)
}

/// Waits until the terminal shows a text; tells whether it does.
async fn shows(terminal: &Terminal, text: &str) -> bool {
    terminal
        .until(DEADLINE, |terminal| terminal.screen().contains(text))
        .await
}

/// Our client at a foreign terminal.
async fn server_of(foreign: Foreign) {
    let Some(mut command) = foreign.script("server") else {
        return;
    };
    let server = Running::start(&mut command).expect("the server starts");
    let mut port = None;
    until("the server says its port", || {
        port = server
            .stdout()
            .strip_suffix('\n')
            .and_then(|line| line.parse::<u16>().ok());
        port.map(drop).ok_or_else(|| server.stdout() + &server.stderr())
    });
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port.expect("a port")));

    for query in ["", "?token=", "?token=wrong"] {
        match attach(address, query).await {
            Err(Error::Http(response)) => {
                assert_eq!(response.status(), 401, "{query}");
                let body = response.body().clone().unwrap_or_default();
                assert_eq!(String::from_utf8_lossy(&body), "unauthorized\n", "{query}");
            }
            other => panic!("{query}: {:?}", other.map(drop)),
        }
    }

    let query = format!("?{}", token_query("token", TOKEN));
    let terminal = Terminal::over(attach(address, &query).await.expect("the terminal opens"));
    assert!(shows(&terminal, "answered my ping").await, "{}", terminal.look());
    terminal.keys("käse\r\n").await;
    assert!(shows(&terminal, "käse").await, "{}", terminal.look());
    terminal.resize(101, 33).await;
    let resized = r#"control {"type":"resize","cols":101,"rows":33}"#;
    assert!(shows(&terminal, resized).await, "{}", terminal.look());
    terminal.send(Message::Ping(b"nonce"[..].into())).await;
    assert!(
        terminal.until(DEADLINE, |terminal| terminal.ponged(b"nonce")).await,
        "{}",
        terminal.look()
    );
    // Longer than any buffer of a frame.
    let long = "x".repeat(200_000);
    terminal.keys(&format!("{long}\r\nlong is over")).await;
    assert!(shows(&terminal, "long is over").await, "{}", terminal.look());
    assert!(
        terminal.look()["longest_frame"]
            .as_u64()
            .is_some_and(|longest| longest >= 200_000)
    );
    terminal.keys("\u{4}").await;
    assert!(
        terminal.until(DEADLINE, |terminal| !terminal.is_open()).await,
        "{}",
        terminal.look()
    );
    let close = &terminal.look()["close"];
    assert_eq!(*close, json!({ "code": 1000, "reason": "logged out", "broken": null }));
    assert!(
        terminal.transcript.text().contains("101 Switching Protocols"),
        "{}",
        terminal.transcript.text()
    );

    // The client's own close is answered.
    let terminal = Terminal::over(attach(address, &query).await.expect("the terminal opens"));
    terminal.send(Message::Close(None)).await;
    assert!(
        terminal.until(DEADLINE, |terminal| !terminal.is_open()).await,
        "{}",
        terminal.look()
    );
}

#[tokio::test]
async fn our_client_at_a_python_terminal() {
    server_of(Foreign::Python).await;
}

#[tokio::test]
async fn our_client_at_a_node_terminal() {
    server_of(Foreign::Node).await;
}
