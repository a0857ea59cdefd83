use super::*;

#[tokio::test]
async fn nothing_is_left_after_stop() {
    let cluster = cluster().await;
    let client = cluster.client();
    let api = Api::<Deployment>::default_namespaced(client.clone());
    create(&api, deployment("web", &["serve"])).await;
    rolled_out(&api, "web").await;
    let pods = Api::<Pod>::default_namespaced(client.clone());
    let pod = pods.list(&ListParams::default()).await.unwrap().items.remove(0);
    create(&pods, super::pod("stubborn", &["stubborn"])).await;
    running(&pods, "stubborn").await;
    let mut watch = pods.watch(&WatchParams::default(), "0").await.unwrap().boxed();
    let tracker = cluster.tasks.tracker.clone();
    cluster.stop().await;
    assert!(tracker.is_empty());
    // A watch that was open ends; how, is up to the connection.
    let rest = async { while let Ok(Some(_)) = watch.try_next().await {} };
    tokio::time::timeout(LIMIT, rest).await.unwrap();
    let door = std::net::SocketAddr::new(ip(&pod).parse().unwrap(), 8080);
    assert!(tokio::net::TcpStream::connect(door).await.is_err());
    assert!(
        std::net::UdpSocket::bind((door.ip(), 10250)).is_ok(),
        "the pod's address is free again"
    );
    assert!(pods.list(&ListParams::default()).await.is_err());
}

#[tokio::test]
async fn dropping_ends_everything_too() {
    let cluster = cluster().await;
    let pods = Api::<Pod>::default_namespaced(cluster.client());
    create(&pods, pod("wait", &["wait"])).await;
    running(&pods, "wait").await;
    let tracker = cluster.tasks.tracker.clone();
    drop(cluster);
    tokio::time::timeout(LIMIT, tracker.wait()).await.unwrap();
}

#[tokio::test]
async fn the_kubeconfig_leads_to_a_trusted_endpoint() {
    let options = Options::new(Arc::new(|argv, pod| Box::pin(program(argv, pod)))).with_tls();
    let cluster = Cluster::start(options).await.unwrap();
    let kubeconfig = cluster.kubeconfig();
    let entry = kubeconfig.clusters[0].cluster.as_ref().unwrap();
    let address: std::net::SocketAddr = entry
        .server
        .as_ref()
        .unwrap()
        .strip_prefix("https://")
        .unwrap()
        .parse()
        .unwrap();
    use base64::Engine;
    use rustls::pki_types::pem::PemObject;
    let ca = entry.certificate_authority_data.as_ref().unwrap();
    let ca = base64::engine::general_purpose::STANDARD.decode(ca).unwrap();
    let mut roots = rustls::RootCertStore::empty();
    roots
        .add(rustls::pki_types::CertificateDer::from_pem_slice(&ca).unwrap())
        .unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let name = rustls::pki_types::ServerName::IpAddress(address.ip().into());
    let mut stream = tokio_rustls::TlsConnector::from(Arc::new(config))
        .connect(name, stream)
        .await
        .unwrap();
    stream
        .write_all(b"GET /version HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
        .await
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
    cluster.stop().await;
}
