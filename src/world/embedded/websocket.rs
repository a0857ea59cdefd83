//! Requests that become WebSockets: `exec` and `portforward`.

use http::{HeaderValue, Request, Response, header};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::server::create_response_with_body;
use tokio_tungstenite::tungstenite::protocol::Role;

use super::api::Body;
use super::error::ApiError;

pub type Socket = WebSocketStream<TokioIo<Upgraded>>;

/// The answer to an upgrade, and the socket that it becomes; none if the connection broke.
///
/// `protocols` are the subprotocols that are spoken, the better one first.
///
/// # Errors
/// 400 for a request that asks for no WebSocket, or for none of the subprotocols.
pub fn accept(
    request: &mut Request<Incoming>,
    protocols: &[&'static str],
) -> Result<(Response<Body>, impl Future<Output = Option<Socket>> + Send + 'static), ApiError> {
    let offered = request.headers().get(header::SEC_WEBSOCKET_PROTOCOL);
    let offered = offered.and_then(|value| value.to_str().ok()).unwrap_or_default();
    let protocol = protocols
        .iter()
        .find(|ours| offered.split(',').any(|theirs| theirs.trim() == **ours))
        .ok_or_else(|| ApiError::bad_request(format!("unable to negotiate a subprotocol of: {offered}")))?;
    let mut response = create_response_with_body(request, || Empty::new().boxed_unsync())
        .map_err(|why| ApiError::bad_request(format!("unable to upgrade: {why}")))?;
    response
        .headers_mut()
        .insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(protocol));
    let upgrade = hyper::upgrade::on(request);
    let socket = async {
        let io = TokioIo::new(upgrade.await.ok()?);
        Some(WebSocketStream::from_raw_socket(io, Role::Server, None).await)
    };
    Ok((response, socket))
}
