//! Who gets a terminal, and what becomes of requests and frames that are none.

use super::*;

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
