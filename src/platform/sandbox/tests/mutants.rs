//! The mutants of the sandbox do what they say.

use super::*;

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
