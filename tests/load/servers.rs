//! Loads of servers that don't answer, refuse some, or answer as no platform should.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use super::{Door, TOKEN, load, ran, result};
use crate::binary::folder;

#[test]
fn a_server_that_never_answers_is_timed_out() {
    let folder = folder();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("ws://{}/tty", listener.local_addr().expect("its address"));
    let ran = ran(load(
        folder.path(),
        &url,
        &["-n", "5", "--hold", "1s", "--deadline", "500ms"],
    ))
    .exits(1);
    assert!(
        ran.stdout.contains("5  timed out: upgrade  (100.0 %)"),
        "{}",
        ran.stdout
    );
    assert_eq!(result(folder.path())["counts"]["failed"].as_u64(), Some(5));
}

#[test]
fn nobody_listens() {
    let folder = folder();
    let port = {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        listener.local_addr().expect("its address").port()
    };
    let ran = ran(load(
        folder.path(),
        &format!("ws://127.0.0.1:{port}/tty"),
        &["-n", "5", "--hold", "1s"],
    ))
    .exits(1);
    assert!(ran.stdout.contains("5  connection refused"), "{}", ran.stdout);
}

/// A door before a sandbox: each connection's first bytes are judged, and what the door makes of them is done.
fn before(inside: u16, answer: impl Fn(u32) -> Option<&'static str> + Send + Sync + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("its address");
    let (answer, upgrades) = (Arc::new(answer), Arc::new(AtomicU32::new(0)));
    std::thread::spawn(move || {
        for mut outside in listener.incoming().map_while(Result::ok) {
            let (answer, upgrades) = (answer.clone(), upgrades.clone());
            std::thread::spawn(move || {
                let mut head = vec![0; 4096];
                let read = outside.read(&mut head).unwrap_or_default();
                let right = String::from_utf8_lossy(&head[..read]).contains(TOKEN);
                let turn = if right {
                    upgrades.fetch_add(1, Ordering::SeqCst)
                } else {
                    u32::MAX
                };
                if let Some(answer) = answer(turn) {
                    let _gone = outside.write_all(answer.as_bytes());
                    return;
                }
                let mut inside = TcpStream::connect(("127.0.0.1", inside)).expect("the sandbox");
                inside.write_all(&head[..read]).expect("written");
                let (mut from, mut to) = (
                    inside.try_clone().expect("cloned"),
                    outside.try_clone().expect("cloned"),
                );
                std::thread::spawn(move || {
                    let _ended = std::io::copy(&mut from, &mut to);
                    let _shut = to.shutdown(std::net::Shutdown::Write);
                });
                let _ended = std::io::copy(&mut outside, &mut inside);
                let _shut = inside.shutdown(std::net::Shutdown::Write);
            });
        }
    });
    format!("ws://{address}/tty")
}

/// One of 50 replicas has an older token: 200 attaches find it, and say how often.
#[test]
fn a_stale_replica_is_found() {
    let folder = folder();
    let door = Door::open(&[]);
    let refusal = "HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    let url = before(door.port, move |turn| {
        (turn % 50 == 49 && turn != u32::MAX).then_some(refusal)
    });
    let ran = ran(load(folder.path(), &url, &["-n", "200", "--hold", "1s"])).exits(1);
    assert!(ran.stdout.contains("4  status 401  (2.0 %)"), "{}", ran.stdout);
    assert!(
        ran.stdout.contains("the right token was refused 4 times with 401"),
        "{}",
        ran.stdout
    );
    assert_eq!(result(folder.path())["counts"]["refused"].as_u64(), Some(4));
}

/// Where it is plain what becomes of it the load ends early, as failed.
#[test]
fn a_load_is_ended_early() {
    let folder = folder();
    let door = Door::open(&[]);
    let refusal = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    for workers in ["1", "2"] {
        let url = before(door.port, move |turn| {
            (turn % 10 == 9 && turn != u32::MAX).then_some(refusal)
        });
        let arguments = [
            "-n",
            "40",
            "--hold",
            "10m",
            "--abort-on",
            "errors > 2",
            "--workers",
            workers,
        ];
        let ran = ran(load(folder.path(), &url, &arguments)).exits(1);
        assert!(
            ran.stdout.contains("ended early by --abort-on errors > 2, after "),
            "{}",
            ran.stdout
        );
        assert_eq!(result(folder.path())["verdict"], "fail");
    }
}

/// What a server says is evidence, and neither a secret's leak nor an order to a terminal.
#[test]
fn what_a_server_says_is_shown_safely() {
    let folder = folder();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!(
        "ws://{}/tty?api_key=a-key-in-the-query",
        listener.local_addr().expect("its address")
    );
    std::thread::spawn(move || {
        for mut connection in listener.incoming().map_while(Result::ok) {
            let mut head = vec![0; 4096];
            let read = connection.read(&mut head).unwrap_or_default();
            let asked = String::from_utf8_lossy(&head[..read]).into_owned();
            // The token stands where what is shown is cut off.
            let body = format!("\u{1b}[2J{}{asked}", "x".repeat(230));
            let answer = format!("HTTP/1.1 403 Forbidden\r\nContent-Length: {}\r\n\r\n{body}", body.len());
            let _gone = connection.write_all(answer.as_bytes());
        }
    });
    let arguments = [
        "-n",
        "1",
        "--hold",
        "1s",
        "--header",
        "Authorization: Bearer a-value-of-a-header",
    ];
    let ran = ran(load(folder.path(), &url, &arguments)).exits(1);
    let kept = result(folder.path()).to_string();
    for secret in ["a-value-of-a-header", "a-key-in-the-query", "\u{1b}", &TOKEN[..20]] {
        assert!(!ran.stdout.contains(secret), "{secret:?} in {}", ran.stdout);
        assert!(!kept.contains(secret), "{secret:?} in {kept}");
    }
    assert!(ran.stdout.contains("| HTTP/1.1 403 Forbidden"), "{}", ran.stdout);
}

/// What is typed stays readable however often the server pings, and the pings are answered.
#[test]
fn pings_are_answered() {
    let folder = folder();
    let pongs = Arc::new(Mutex::new(Vec::new()));
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("ws://{}/tty", listener.local_addr().expect("its address"));
    let seen = pongs.clone();
    std::thread::spawn(move || {
        for connection in listener.incoming().map_while(Result::ok) {
            let seen = seen.clone();
            std::thread::spawn(move || {
                let Ok(mut socket) = tokio_tungstenite::tungstenite::accept(connection) else {
                    return;
                };
                let ping = tokio_tungstenite::tungstenite::Message::Ping("are you there".into());
                let _sent = socket.send(ping);
                while let Ok(message) = socket.read() {
                    match message {
                        message @ tokio_tungstenite::tungstenite::Message::Pong(_) => {
                            seen.lock().expect("not poisoned").push(message.into_data());
                        }
                        tokio_tungstenite::tungstenite::Message::Binary(keys) => {
                            let text = String::from_utf8_lossy(&keys).into_owned();
                            let _sent = socket.send(text.into());
                        }
                        _ => {}
                    }
                }
            });
        }
    });
    let arguments = [
        "-n",
        "3",
        "--hold",
        "1s",
        "--echo-every",
        "200ms",
        "--probe-every",
        "never",
    ];
    ran(load(folder.path(), &url, &arguments)).exits(0);
    assert_eq!(*pongs.lock().expect("not poisoned"), vec!["are you there"; 3]);
}

/// A door that closes what it opens, all in one piece, is one that has opened: with the right token as with a wrong one.
#[test]
fn what_opens_and_closes_at_once_has_opened() {
    let folder = folder();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("ws://{}/tty", listener.local_addr().expect("its address"));
    std::thread::spawn(move || {
        for mut connection in listener.incoming().map_while(Result::ok) {
            let mut head = Vec::new();
            let mut buffer = [0; 4096];
            while !head.ends_with(b"\r\n\r\n") {
                match connection.read(&mut buffer) {
                    Ok(count) if count > 0 => head.extend_from_slice(&buffer[..count]),
                    _ => break,
                }
            }
            let head = String::from_utf8_lossy(&head).into_owned();
            let key = head.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Key: "));
            let accept =
                tokio_tungstenite::tungstenite::handshake::derive_accept_key(key.unwrap_or_default().as_bytes());
            let mut answer = format!(
                "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                 Sec-WebSocket-Accept: {accept}\r\n\r\n"
            )
            .into_bytes();
            // 1013, try again later.
            answer.extend_from_slice(&[0x88, 2, 0x03, 0xf5]);
            let _sent = connection.write_all(&answer);
        }
    });
    let arguments = ["-n", "5", "--hold", "1s", "--probe-every", "20ms", "--ramp", "50/s"];
    ran(load(folder.path(), &url, &arguments)).exits(1);
    let result = result(folder.path());
    let counts = &result["counts"];
    assert_eq!(
        (counts["opened"].as_u64(), counts["lost"].as_u64()),
        (Some(5), Some(5)),
        "{result}"
    );
    assert_eq!(result["failures"]["closed 1013"].as_u64(), Some(5), "{result}");
    assert!(counts["probesOpened"].as_u64() >= Some(1), "{counts}");
    assert_eq!(counts["probesOpened"], counts["probes"]);
}
