//! The clients of the steps at a server that does what no server should.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use gauntlet::cli::platform::program;
use gauntlet::redact::Redactor;
use gauntlet::steps::http::{self, Request};
use gauntlet::steps::{Limits, StepContext, attach, raw};
use gauntlet::vocabulary::Contract;
use gauntlet::vocabulary::WorldSpec;
use gauntlet::vocabulary::names;
use gauntlet::world::codex::Codex;
use gauntlet::world::embedded::Options;
use gauntlet::world::running::Setup;
use gauntlet::world::{Door, World};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

/// Longer than a busy machine takes for what does come.
const LIMITS: Limits = Limits {
    connect: Duration::from_secs(20),
    answer: Duration::from_secs(20),
    screen: Duration::from_secs(20),
    ready: Duration::from_secs(20),
    pause: (Duration::from_millis(2), Duration::from_millis(250)),
};
/// For an answer that never comes.
const NO_ANSWER: Limits = Limits {
    answer: Duration::from_millis(700),
    ..LIMITS
};
/// For a screen that never shows what is typed.
const NO_SCREEN: Limits = Limits {
    screen: Duration::from_millis(300),
    ..LIMITS
};
/// More than all limits together; a hang is longer.
const BOUND: Duration = Duration::from_secs(90);
/// More memory than bounded reading needs, in KiB; what the servers here would send is without end.
const MEMORY: u64 = 300 * 1024;

/// A server of one behaviour, and a context whose pod it is.
struct Hostile {
    address: SocketAddr,
    context: StepContext,
}

impl Hostile {
    async fn new<B>(behaviour: impl Fn(TcpStream, String) -> B + Send + Sync + 'static) -> Hostile
    where
        B: Future<Output = std::io::Result<()>> + Send + 'static,
    {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
        let address = listener.local_addr().expect("its address");
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                if let Ok(head) = read_head(&mut stream).await {
                    // Its client goes when it has seen enough: then writing fails, as it should.
                    tokio::spawn(behaviour(stream, head));
                }
            }
        });
        let mut names: BTreeMap<String, String> = names::contract();
        names.insert("sandbox.port".into(), address.port().to_string());
        let setup = Setup {
            names: Arc::new(names),
            mutants: Vec::new(),
            token: "t".repeat(64),
            jwt_secret: String::new(),
            contract: Contract::HarnessToken,
            gateways: Vec::new(),
            binary: None,
            codex: Codex::default(),
            master_key: "m".repeat(64),
        };
        let spec = WorldSpec {
            platform: false,
            ..WorldSpec::default()
        };
        let world = World::embedded(&spec, setup, Options::new(program()), None)
            .await
            .expect("an empty world");
        let context = StepContext::new(Arc::new(world), Redactor::new(), LIMITS);
        Hostile { address, context }
    }

    /// The same to a client of other limits.
    fn within(mut self, limits: Limits) -> Hostile {
        self.context.limits = limits;
        self
    }

    fn pod() -> Value {
        json!({ "kind": "pod", "name": "hostile", "ip": "127.0.0.1" })
    }

    async fn attach(&self) -> Value {
        let arguments = serde_json::from_value(json!({ "attach": Self::pod(), "token": "x" })).expect("arguments");
        let attached = bounded(attach::run(arguments, &self.context, false)).await;
        attached.expect("an observation").value
    }

    async fn get(&self) -> Value {
        let door = Door {
            road: gauntlet::vocabulary::Road::Direct,
            address: self.address,
            way: self.address,
            host: self.address.to_string(),
            tls: false,
            pod: "hostile".into(),
        };
        let sent = http::send(
            Request::new("GET", "/"),
            self.context.limits.answer,
            &door,
            None,
            &self.context,
            "get",
        );
        bounded(sent).await.expect("an observation")
    }

    async fn raw(&self) -> Value {
        let arguments = json!({ "raw": Self::pod(), "send": [{ "upgrade": { "token": "x" } }], "read-for": "700ms" });
        let arguments = serde_json::from_value(arguments).expect("arguments");
        bounded(raw::run(arguments, &self.context))
            .await
            .expect("an observation")
            .value
    }
}

async fn read_head(stream: &mut TcpStream) -> std::io::Result<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    Ok(String::from_utf8_lossy(&head).into_owned())
}

/// In bounded time, and in bounded memory of the whole test process.
async fn bounded<T>(what: impl Future<Output = T>) -> T {
    let started = Instant::now();
    let done = tokio::time::timeout(BOUND, what).await;
    let done = done.unwrap_or_else(|_| panic!("not done within {BOUND:?}"));
    let status = std::fs::read_to_string("/proc/self/status").expect("the own status");
    let peak = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .expect("the peak");
    let peak: u64 = peak.trim().trim_end_matches(" kB").parse().expect("a number");
    assert!(peak < MEMORY, "{peak} KiB after {:?}", started.elapsed());
    done
}

/// The head that a right server answers an upgrade with.
fn switching(request: &str) -> String {
    let key = request
        .lines()
        .find_map(|line| line.strip_prefix("Sec-WebSocket-Key: "))
        .unwrap_or_default();
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {}\r\n\r\n",
        derive_accept_key(key.as_bytes())
    )
}

/// Never writes, and holds the connection until the other side goes.
async fn silent(mut stream: TcpStream) -> std::io::Result<()> {
    while stream.read(&mut [0; 1024]).await? > 0 {}
    Ok(())
}

/// Writes the same for ever.
async fn endless(mut stream: TcpStream, first: String, then: Vec<u8>) -> std::io::Result<()> {
    stream.write_all(first.as_bytes()).await?;
    loop {
        stream.write_all(&then).await?;
    }
}

#[tokio::test]
async fn a_server_that_never_answers() {
    let hostile = Hostile::new(|stream, _| silent(stream)).await.within(NO_ANSWER);
    let (attached, got, raw) = tokio::join!(hostile.attach(), hostile.get(), hostile.raw());
    assert_eq!(attached["opened"], Value::Null);
    assert_eq!(attached["no_answer_within"], 700);
    assert_eq!(got["no_answer_within"], 700);
    assert_eq!((&raw["opened"], &raw["closed"]), (&json!(false), &json!(false)));
}

#[tokio::test]
async fn garbage() {
    let hostile = Hostile::new(|mut stream, _| async move {
        stream
            .write_all(&[0, 0xff, b'\r', b'\n', 0x1b, b'[', b'\r', b'\n', b'\r', b'\n'])
            .await
    })
    .await;
    let (attached, got, raw) = tokio::join!(hostile.attach(), hostile.get(), hostile.raw());
    assert_eq!(attached["opened"], false);
    assert!(
        attached["broken"].is_string() && attached["status"].is_null(),
        "{attached}"
    );
    assert!(got["broken"].is_string() && got["status"].is_null(), "{got}");
    assert!(raw["opened"] == false && raw["status"].is_null(), "{raw}");
}

#[tokio::test]
async fn half_a_handshake_and_then_the_end() {
    let hostile =
        Hostile::new(|mut stream, _| async move { stream.write_all(b"HTTP/1.1 101 Switching Prot").await }).await;
    let (attached, got) = tokio::join!(hostile.attach(), hostile.get());
    assert!(attached["broken"].is_string(), "{attached}");
    assert_eq!(attached["works"], false);
    assert!(got["broken"].is_string(), "{got}");
}

#[tokio::test]
async fn a_101_for_another_key() {
    let hostile = Hostile::new(|mut stream, _| async move {
        let head = switching("Sec-WebSocket-Key: another");
        stream.write_all(head.as_bytes()).await?;
        silent(stream).await
    })
    .await;
    let attached = hostile.attach().await;
    // It said 101: where a refusal is expected that is not one; but no terminal works behind it.
    assert_eq!(
        (&attached["status"], &attached["opened"], &attached["works"]),
        (&json!(101), &json!(true), &json!(false))
    );
    assert!(
        attached["broken"].as_str().is_some_and(|why| why.contains("Accept")),
        "{attached}"
    );
}

#[tokio::test]
async fn a_header_without_end() {
    let hostile = Hostile::new(|stream, _| endless(stream, "HTTP/1.1 401 No\r\nX: ".into(), vec![b'x'; 4096])).await;
    let (attached, got, raw) = tokio::join!(hostile.attach(), hostile.get(), hostile.raw());
    assert!(
        attached["broken"].is_string() && attached["opened"] == false,
        "{attached}"
    );
    assert!(got["broken"].is_string(), "{got}");
    assert_eq!(raw["opened"], false);
}

#[tokio::test]
async fn a_body_of_ten_gigabytes() {
    let head = "HTTP/1.1 401 Unauthorized\r\nContent-Length: 10737418240\r\n\r\n";
    let hostile = Hostile::new(|stream, _| endless(stream, head.into(), vec![b'x'; 65536])).await;
    let (attached, got, raw) = tokio::join!(hostile.attach(), hostile.get(), hostile.raw());
    assert_eq!((&attached["status"], &attached["opened"]), (&json!(401), &json!(false)));
    assert_eq!((&got["status"], &got["cut_at"]), (&json!(401), &json!(1 << 20)));
    assert_eq!(raw["status"], 401);
}

#[tokio::test]
async fn a_body_that_stays_away() {
    let hostile = Hostile::new(|mut stream, _| async move {
        stream
            .write_all(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 100\r\n\r\n")
            .await?;
        silent(stream).await
    })
    .await
    // The head comes within the limit that then passes for the body.
    .within(Limits {
        answer: Duration::from_secs(5),
        ..LIMITS
    });
    let attached = hostile.attach().await;
    assert_eq!((&attached["status"], &attached["opened"]), (&json!(401), &json!(false)));
}

/// A body that comes in a packet of its own is read, not left behind.
#[tokio::test]
async fn one_byte_at_a_time() {
    let hostile = Hostile::new(|mut stream, request| async move {
        stream.set_nodelay(true)?;
        let refused = "HTTP/1.1 401 Unauthorized\r\nContent-Length: 9\r\n\r\n{\"no\": 1}".to_owned();
        let answer = if request.contains("token=x") {
            switching(&request)
        } else {
            refused
        };
        for byte in answer.bytes() {
            stream.write_all(&[byte]).await?;
            tokio::task::yield_now().await;
        }
        stream.write_all(b"\x81\x02hi").await?;
        // Nothing more comes, which ends the wait for what was typed.
        stream.shutdown().await?;
        silent(stream).await
    })
    .await;
    let attached = hostile.attach().await;
    assert_eq!(
        (&attached["status"], &attached["opened"]),
        (&json!(101), &json!(true)),
        "{attached}"
    );
    assert!(attached["broken"].is_null(), "{attached}");
    assert_eq!(attached["screen"], "hi");
    let arguments = json!({ "attach": Hostile::pod(), "token": "wrong" });
    let arguments = serde_json::from_value(arguments).expect("arguments");
    let refused = bounded(attach::run(arguments, &hostile.context, false))
        .await
        .expect("seen")
        .value;
    assert_eq!(
        (&refused["status"], &refused["body"]),
        (&json!(401), &json!({ "no": 1 })),
        "{refused}"
    );
}

#[tokio::test]
async fn a_frame_of_eight_exabytes() {
    let hostile = Hostile::new(|stream, request| {
        let mut frame = switching(&request).into_bytes();
        frame.extend([0x81, 127, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]);
        async move {
            let mut stream = stream;
            stream.write_all(&frame).await?;
            endless(stream, String::new(), vec![b'x'; 65536]).await
        }
    })
    .await;
    let attached = hostile.attach().await;
    assert_eq!(
        (&attached["opened"], &attached["works"]),
        (&json!(true), &json!(false)),
        "{attached}"
    );
    assert_eq!(attached["closed"], true);
}

#[tokio::test]
async fn a_message_in_fragments_without_end() {
    let hostile = Hostile::new(|mut stream, request| async move {
        stream.write_all(switching(&request).as_bytes()).await?;
        stream.write_all(b"\x01\x01x").await?;
        let fragment = [&[0, 125][..], &[b'x'; 125]].concat();
        endless(stream, String::new(), fragment).await
    })
    .await
    .within(NO_SCREEN);
    let attached = hostile.attach().await;
    let seen = (&attached["opened"], &attached["works"]);
    assert_eq!(seen, (&json!(true), &json!(false)), "{attached}");
}

#[tokio::test]
async fn pongs_without_end() {
    let hostile = Hostile::new(|stream, request| endless(stream, switching(&request), [0x8a, 0].repeat(2048)))
        .await
        .within(NO_SCREEN);
    let attached = hostile.attach().await;
    assert_eq!(
        (&attached["opened"], &attached["works"]),
        (&json!(true), &json!(false)),
        "{attached}"
    );
}

#[tokio::test]
async fn a_reset() {
    let hostile = Hostile::new(|stream, _| async move {
        stream.set_zero_linger()?;
        drop(stream);
        Ok(())
    })
    .await;
    let (attached, got, raw) = tokio::join!(hostile.attach(), hostile.get(), hostile.raw());
    assert!(
        attached["opened"] == false && attached["broken"].is_string(),
        "{attached}"
    );
    assert!(got["broken"].is_string(), "{got}");
    assert_eq!((&raw["opened"], &raw["closed"]), (&json!(false), &json!(true)));
}

#[tokio::test]
async fn nobody_listens() {
    let hostile = Hostile::new(|stream, _| silent(stream)).await;
    let free = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let address = free.local_addr().expect("its address");
    drop(free);
    let gone = Hostile { address, ..hostile };
    assert!(
        gone.get().await["broken"]
            .as_str()
            .is_some_and(|why| why.contains("refused"))
    );
}
