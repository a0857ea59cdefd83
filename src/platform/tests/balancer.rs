//! The platform behind its balancer.

use super::*;

#[tokio::test]
async fn upgrades_lose_their_header_and_keep_their_query() {
    let world = World::start(Setup {
        token: Some(OLD),
        balancer: true,
        ..Setup::default()
    })
    .await;
    let session = world.session().await;
    let balancer = world.balancer().await;
    let path = text(&session["tty_url"]);
    attach(balancer, 8080, path, Some(OLD), None)
        .await
        .expect("attached")
        .works()
        .await;
    assert_eq!(refusal(attach(balancer, 8080, path, None, Some(OLD)).await), 401);
    assert_eq!(
        refusal(attach(balancer, 8080, path, Some(OLD), Some("wrong")).await),
        101
    );
    let bearer = format!("Bearer {KEY}");
    let ordinary = [("authorization", bearer.as_str())];
    let (status, _, body) = request(balancer, 8080, "GET", &format!("{API}/agents"), &ordinary, &Value::Null).await;
    assert_eq!((status, &body["total"]), (StatusCode::OK, &json!(1)));

    // More than comes with an answer's head.
    for _ in 0..8 {
        world
            .call("POST", "/agents", json!({ "model": "m".repeat(60_000) }))
            .await;
    }
    let (_, _, agents) = request(balancer, 8080, "GET", &format!("{API}/agents"), &ordinary, &Value::Null).await;
    assert_eq!(agents["data"].as_array().map(Vec::len), Some(9));

    let target = "/probe/x?token=a%2Bb+c&&token=%zz&e=";
    let (_, _, seen) = request(balancer, 8080, "POST", target, &ordinary, &json!({ "a": 1 })).await;
    assert_eq!((&seen["method"], &seen["path"]), (&json!("POST"), &json!("/probe/x")));
    assert_eq!(header(&seen, "authorization"), [bearer.as_str()]);
    assert_eq!(header(&seen, "x-forwarded-proto"), ["http"]);
    assert_eq!(header(&seen, "x-forwarded-for"), ["127.0.0.1"]);
    let upgrade = [
        ("authorization", bearer.as_str()),
        ("connection", "Upgrade"),
        ("upgrade", "websocket"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", "AAAAAAAAAAAAAAAAAAAAAA=="),
    ];
    let (status, _, seen) = request(balancer, 8080, "GET", target, &upgrade, &Value::Null).await;
    assert_eq!(
        (status, &seen["query"]),
        (StatusCode::OK, &json!("token=a%2Bb+c&&token=%zz&e="))
    );
    assert_eq!(header(&seen, "authorization"), [""; 0]);
    assert_eq!(header(&seen, "upgrade"), ["websocket"]);
    assert_eq!(header(&seen, "sec-websocket-version"), ["13"]);
    world.cluster.stop().await;
}

fn header<'a>(seen: &'a Value, name: &str) -> Vec<&'a str> {
    let pairs = seen["headers"].as_array().expect("headers");
    pairs
        .iter()
        .filter(|pair| pair[0] == name)
        .map(|pair| text(&pair[1]))
        .collect()
}

#[tokio::test]
async fn quiet_terminals_are_cut_and_pinging_ones_are_not() {
    let setup = Setup {
        token: Some(OLD),
        balancer: true,
        idle_timeout: "3s",
        ..Setup::default()
    };
    let world = World::start(setup).await;
    let session = world.session().await;
    let balancer = world.balancer().await;
    let path = text(&session["tty_url"]);
    let mut quiet = attach(balancer, 8080, path, Some(OLD), None).await.expect("attached");
    let mut pinging = attach(balancer, 8080, path, Some(OLD), None).await.expect("attached");
    let cut = async {
        quiet.ends().await;
    };
    let ping = async {
        loop {
            pinging.types("").await;
            pinging
                .socket
                .send(Message::Ping(Default::default()))
                .await
                .expect("sent");
            let _ = tokio::time::timeout(Duration::from_millis(60), pinging.socket.next()).await;
        }
    };
    tokio::select! {
        () = cut => {}
        () = ping => {}
    }
    pinging.works().await;
    world.cluster.stop().await;
}

#[tokio::test]
async fn with_tls_the_plain_port_gives_nothing_away() {
    let key = rcgen::generate_simple_self_signed(vec!["balancer.test".into()]).expect("a certificate");
    let pem: &'static str = Box::leak(key.cert.pem().into_boxed_str());
    let private: &'static str = Box::leak(key.signing_key.serialize_pem().into_boxed_str());
    let setup = Setup {
        token: Some(OLD),
        balancer: true,
        tls: Some((pem, private)),
        ..Setup::default()
    };
    let world = World::start(setup).await;
    let session = world.session().await;
    let balancer = world.balancer().await;
    let path = text(&session["tty_url"]);
    assert_eq!(refusal(attach(balancer, 8080, path, Some(OLD), None).await), 403);
    let (status, headers, _) = request(balancer, 8080, "GET", &format!("{path}?token={OLD}"), &[], &Value::Null).await;
    assert_eq!((status.as_u16(), headers.get("location")), (403, None));

    let mut roots = rustls::RootCertStore::empty();
    roots.add(key.cert.der().clone()).expect("a root");
    let config = rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let stream = TcpStream::connect((balancer, 8443)).await.expect("a port that listens");
    let name = "balancer.test".try_into().expect("a name");
    let stream = tokio_rustls::TlsConnector::from(Arc::new(config))
        .connect(name, stream)
        .await
        .expect("TLS");
    let request = format!("ws://balancer.test{path}?token={OLD}")
        .into_client_request()
        .expect("a request");
    let (mut socket, _) = client_async(request, stream).await.expect("attached");
    socket
        .send(Message::binary(b"echo $((6*7))\r".to_vec()))
        .await
        .expect("sent");
    let mut seen = String::new();
    while !seen.contains("42") {
        if let Some(Ok(Message::Text(frame))) = socket.next().await {
            seen += &frame;
        }
    }
    world.cluster.stop().await;
}
