//! The WebSocket handshake's request (RFC 6455 §4.2.1), for the proxy and the
//! sandbox alike: first its form, then the token.
//!
//! The form comes first, so that its answers say nothing about the token.

use http::header::{ALLOW, CONNECTION, CONTENT_LENGTH, HOST, ORIGIN, TRANSFER_ENCODING, UPGRADE, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode};
use http_body_util::{Either, Full};
use tokio_tungstenite::tungstenite::Error;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::handshake::server::create_response_with_body;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};

use super::http::{Body, Refusal, error};
use super::token::{Door, parameter};
use super::{Pod, mutant};

/// The answer `101`, or the refusal.
///
/// No subprotocol and no extension is ever selected. A refusal ends the
/// connection, so that what comes after the head is never read as anything.
pub fn check<B>(pod: &Pod, door: &Door, request: &Request<B>) -> Result<Response<Body>, Refusal> {
    let connection = request.headers().get(CONNECTION);
    if pod.has(&mutant::KEEP_ALIVE_UPGRADE_REFUSED)
        && connection.is_some_and(|value| !value.as_bytes().eq_ignore_ascii_case(b"upgrade"))
    {
        return Err(needs_upgrade("a terminal is attached with a WebSocket"));
    }
    let mut accepted = form(request).inspect_err(|_| {
        if pod.has(&mutant::PLAIN_QUERY_IN_LOG) {
            pod.log.line(format!("no handshake: {}", request.uri()));
        }
    })?;
    let foreign = pod.has(&mutant::FOREIGN_ORIGIN_REFUSED) && !origin_is_own(request.headers());
    if foreign {
        return Err(error(StatusCode::FORBIDDEN, "origin not allowed").closing());
    }
    if !door.opens(request.uri().query(), request.headers()) {
        if pod.has(&mutant::REFUSED_QUERY_IN_LOG) {
            pod.log.line(format!("refused: {}", request.uri()));
        }
        return Err(unauthorized(pod, request));
    }
    if pod.has(&mutant::TOKEN_START_IN_LOG) {
        let before = format!("{}=", parameter(pod));
        let shown = request.uri().query().and_then(|query| query.split_once(&before));
        let start: String = shown.map_or("", |(_, token)| token).chars().take(8).collect();
        pod.log.line(format!("attached with {start}..."));
    }
    if pod.has(&mutant::SUBPROTOCOL_ECHOED) {
        let name = HeaderName::from_static("sec-websocket-protocol");
        let offer = request
            .headers()
            .get(&name)
            .and_then(|offers| offers.to_str().ok()?.split(',').next());
        if let Some(Ok(first)) = offer.map(|first| HeaderValue::from_str(first.trim())) {
            accepted.headers_mut().insert(name, first);
        }
    }
    Ok(accepted)
}

/// Whether a client offers to compress messages (RFC 7692): for mutants, since nobody agrees to it.
pub fn offers_compression(headers: &HeaderMap) -> bool {
    let offers = headers.get_all("sec-websocket-extensions").iter();
    offers
        .filter_map(|value| value.to_str().ok())
        .any(|value| value.contains("permessage-deflate"))
}

/// A message that says that it is compressed, and isn't: the reserved bit RSV1 of its frame is set.
pub fn marked_as_compressed(message: Message) -> Message {
    let mut frame = Frame::message(message.into_data(), OpCode::Data(Data::Text), true);
    frame.header_mut().rsv1 = true;
    Message::Frame(frame)
}

/// The `101` if the request is a WebSocket handshake, else what it is answered.
pub fn form<B>(request: &Request<B>) -> Result<Response<Body>, Refusal> {
    let headers = request.headers();
    let accepted = create_response_with_body(request, || Either::Left(Full::default())).map_err(|wrong| {
        match wrong {
            Error::Protocol(ProtocolError::WrongHttpMethod) => {
                error(StatusCode::METHOD_NOT_ALLOWED, "a terminal is attached with GET")
                    .with(ALLOW, value("GET"))
                    .closing()
            }
            Error::Protocol(
                ProtocolError::MissingConnectionUpgradeHeader | ProtocolError::MissingUpgradeWebSocketHeader,
            ) => needs_upgrade("a terminal is attached with a WebSocket"),
            // RFC 6455 §4.4: the answer names the version that is understood.
            Error::Protocol(ProtocolError::MissingSecWebSocketVersionHeader) => {
                needs_upgrade("WebSocket version 13 is needed")
                    .with(HeaderName::from_static("sec-websocket-version"), value("13"))
            }
            other => error(StatusCode::BAD_REQUEST, other.to_string()).closing(),
        }
    })?;
    if headers.get_all(HOST).iter().count() != 1 {
        return Err(error(StatusCode::BAD_REQUEST, "exactly one Host header is needed").closing());
    }
    // A body would be taken for frames by one server and for a request by another (CWE-444).
    let has_body = headers.contains_key(TRANSFER_ENCODING)
        || headers
            .get(CONTENT_LENGTH)
            .is_some_and(|length| length.as_bytes() != b"0");
    if has_body {
        return Err(error(StatusCode::BAD_REQUEST, "a WebSocket handshake has no body").closing());
    }
    Ok(accepted)
}

/// 401 before any 101.
fn unauthorized<B>(pod: &Pod, request: &Request<B>) -> Refusal {
    let message = if pod.has(&mutant::TOKEN_IN_ERROR_BODY) {
        format!("unauthorized: {}", request.uri())
    } else {
        "unauthorized".to_owned()
    };
    // RFC 9110 §15.5.2: a 401 names the scheme.
    error(StatusCode::UNAUTHORIZED, message)
        .with(WWW_AUTHENTICATE, value("Bearer"))
        .closing()
}

fn needs_upgrade(message: &str) -> Refusal {
    error(StatusCode::UPGRADE_REQUIRED, message)
        .with(UPGRADE, value("websocket"))
        .with(CONNECTION, value("upgrade, close"))
}

fn value(text: &'static str) -> HeaderValue {
    HeaderValue::from_static(text)
}

/// The mutant `foreign-origin-refused`: the origin's text ends in the host's.
fn origin_is_own(headers: &HeaderMap) -> bool {
    let Some(origin) = headers.get(ORIGIN) else {
        return true;
    };
    headers
        .get(HOST)
        .is_some_and(|host| origin.as_bytes().ends_with(host.as_bytes()))
}
