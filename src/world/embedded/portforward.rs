//! `portforward`: a connection to a port of a pod, through the API server.
//!
//! The WebSocket has two channels for each port, data and errors; the first message of each is the
//! port itself (kubelet's remote command protocol, v4).

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use futures_util::{SinkExt, StreamExt};
use http::header::SEC_WEBSOCKET_PROTOCOL;
use http::{Method, Request};
use hyper::body::Incoming;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;

use super::api::{Answer, Api, Query};
use super::error::ApiError;
use super::exec::frame;
use super::object::{Object, text};
use super::websocket::{self, Socket};

/// What client libraries offer; kubectl offers a tunnel of SPDY, which nothing here speaks.
const PROTOCOLS: [&str; 1] = ["v4.channel.k8s.io"];

const DATA: u8 = 0;
const ERROR: u8 = 1;

/// Upgrades the connection and forwards it.
pub fn answer(api: &Arc<Api>, mut request: Request<Incoming>, query: &Query, pod: &Object) -> Answer {
    // kubectl tunnels SPDY through a WebSocket, and asks without one when that is refused.
    let offered = request.headers().get(SEC_WEBSOCKET_PROTOCOL);
    let offered = offered.and_then(|offered| offered.to_str().ok());
    if offered.is_none_or(|offered| offered.contains("SPDY")) {
        return Err(ApiError::bad_request(
            "the embedded cluster has no port-forward for kubectl: this machine reaches each pod at its own address \
             (kubectl get pods -o wide)",
        ));
    }
    let ports: Vec<&str> = query.all("ports").flat_map(|ports| ports.split(',')).collect();
    let port = match ports.as_slice() {
        [port] => port.parse::<u16>().ok().filter(|port| *port > 0),
        _ => {
            return Err(ApiError::bad_request(
                "the embedded cluster forwards one port at a time",
            ));
        }
    };
    let port = port.ok_or_else(|| ApiError::bad_request(format!("{:?} is no port", ports[0])))?;
    let phase = text(&pod["status"]["phase"]);
    let address: Option<IpAddr> = text(&pod["status"]["podIP"]).parse().ok();
    let Some(address) = address.filter(|_| phase == "Running") else {
        return Err(ApiError::bad_request(format!(
            "unable to forward port because pod is not running. Current status={phase}"
        )));
    };
    if *request.method() != Method::GET {
        return Err(ApiError::method_not_allowed());
    }
    let (response, upgrade) = websocket::accept(&mut request, &PROTOCOLS)?;
    api.tasks.spawn(async move {
        if let Some(socket) = upgrade.await {
            forward(socket, SocketAddr::new(address, port)).await;
        }
    });
    Ok(response)
}

/// Copies both ways until one of them ends.
async fn forward(socket: Socket, to: SocketAddr) {
    let (mut sink, mut stream) = socket.split();
    for channel in [DATA, ERROR] {
        if sink.send(frame(channel, &to.port().to_le_bytes())).await.is_err() {
            return;
        }
    }
    let pod = match TcpStream::connect(to).await {
        Ok(pod) => pod,
        Err(error) => {
            let message = format!("failed to connect to {}: {error}", to.port());
            let _gone = sink.send(frame(ERROR, message.as_bytes())).await;
            let _gone = sink.close().await;
            return;
        }
    };
    let _nodelay = pod.set_nodelay(true);
    let (mut from_pod, mut to_pod) = pod.into_split();
    let out = async {
        let mut buffer = vec![0; 32 << 10];
        while let Ok(count @ 1..) = from_pod.read(&mut buffer).await {
            if sink.send(frame(DATA, &buffer[..count])).await.is_err() {
                return;
            }
        }
        let _gone = sink.close().await;
    };
    let back = async {
        while let Some(Ok(message)) = stream.next().await {
            let Message::Binary(data) = message else {
                match message.is_close() {
                    true => break,
                    false => continue,
                }
            };
            if data.first() == Some(&DATA) && to_pod.write_all(&data[1..]).await.is_err() {
                break;
            }
        }
    };
    tokio::select! {
        () = out => {}
        () = back => {}
    }
}
