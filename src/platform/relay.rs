//! Relays one request to one backend on its own connection: shared by the balancer and the gateway.

use std::time::Duration;

use http::header::{CONNECTION, HeaderName, TE, TRAILER, UPGRADE};
use http::{HeaderMap, HeaderValue, Request, StatusCode};
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio_util::task::AbortOnDropHandle;

use super::Pod;
use super::backends::Backends;
use super::http::{Answer, Passed};
use super::tunnel::{self, Cut};

/// How long a backend may take to be connected to.
const CONNECT: Duration = Duration::from_secs(5);

/// A connection to the backend of a path whose turn it is, or to another that takes one; none if no
/// backend is ready.
pub async fn connect(pod: &Pod, backends: &Backends, path: &str) -> Option<Result<TcpStream, ()>> {
    let addresses = backends
        .find(pod, path)
        .await
        .filter(|addresses| !addresses.is_empty())?;
    for address in addresses {
        match tokio::time::timeout(CONNECT, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                let _ = stream.set_nodelay(true);
                return Some(Ok(stream));
            }
            Ok(Err(wrong)) => pod.log.line(format!("backend {}:{}: {wrong}", address.0, address.1)),
            Err(_) => pod
                .log
                .line(format!("backend {}:{} doesn't take connections", address.0, address.1)),
        }
    }
    Some(Err(()))
}

/// Hands a request to a backend, and its answer back. After `101` the two are connected until `cut`.
pub async fn exchange(
    stream: TcpStream,
    request: Request<Incoming>,
    client: OnUpgrade,
    cut: Cut,
) -> Result<Answer, hyper::Error> {
    let (mut sender, connection) = hyper::client::conn::http1::Builder::new()
        .preserve_header_case(true)
        .handshake(TokioIo::new(stream))
        .await?;
    let connection = AbortOnDropHandle::new(tokio::spawn(connection.with_upgrades()));
    let mut answer = sender.send_request(request).await?;
    if answer.status() == StatusCode::SWITCHING_PROTOCOLS {
        let backend = hyper::upgrade::on(&mut answer);
        let tunnel = Box::pin(async move {
            let _connection = connection;
            if let Ok((client, backend)) = tokio::try_join!(client, backend) {
                tunnel::run(TokioIo::new(client), TokioIo::new(backend), cut).await;
            }
        });
        return Ok(Answer {
            response: answer.map(|_| Either::Left(Full::default())),
            tunnel: Some(tunnel),
        });
    }
    remove_hop_by_hop(answer.headers_mut());
    Ok(answer.map(|body| Either::Right(Passed { body, connection })).into())
}

/// Takes away what is for this hop alone (RFC 9110 §7.6.1), and asks the next one for the upgrade again.
pub fn end_hop(headers: &mut HeaderMap, is_upgrade: bool) {
    let upgrade = headers.get(UPGRADE).cloned().filter(|_| is_upgrade);
    remove_hop_by_hop(headers);
    if let Some(upgrade) = upgrade {
        headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(UPGRADE, upgrade);
    }
}

/// RFC 9110 §7.8: `Upgrade`, and `Connection` says so.
pub fn is_upgrade(headers: &HeaderMap) -> bool {
    let options = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok());
    headers.contains_key(UPGRADE)
        && options
            .flat_map(|value| value.split(','))
            .any(|option| option.trim().eq_ignore_ascii_case("upgrade"))
}

/// The headers that are for the next hop alone, and those that `Connection` names.
/// What frames the body is hyper's on both sides.
fn remove_hop_by_hop(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in named {
        headers.remove(name);
    }
    for name in [CONNECTION, UPGRADE, TE, TRAILER] {
        headers.remove(name);
    }
    for name in ["keep-alive", "proxy-connection"] {
        headers.remove(name);
    }
}
