//! The upgrade of a connection to a WebSocket (RFC 6455 §4): what a client asks, and what came of it.

use http::{HeaderName, HeaderValue, Request};
use indexmap::IndexMap;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Error as WsError;
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::{WebSocketStream, client_async};

use super::answer::{head_end, header_fields};
use super::context::StepContext;
use super::frame::masked_binary;
use super::observation::StepError;
use super::shell::Curl;
use super::wire::{self, Connected, Recorded, Transcript};
use crate::world::roads::Door;

/// A header's value, or several for a header that is sent several times.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum HeaderValues {
    One(String),
    Several(Vec<String>),
}

/// A correct upgrade request, less what is said here.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct UpgradeHead {
    pub method: Option<String>,
    /// Request target in place of the door's path and query.
    pub target: Option<String>,
    pub token: Option<String>,
    pub query: Option<String>,
    /// Headers that are replaced, added, or (null) left out.
    #[serde(default)]
    pub headers: IndexMap<String, Option<String>>,
    /// `false`: the empty line that ends the head is not sent.
    pub ends: Option<bool>,
}

/// What stays as it is in a query value (RFC 3986 §2.3).
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// What a client writes for a token: `?token=<percent-encoded>` (contract 1, clients), or another parameter where the
/// profile names one.
pub fn token_query(parameter: &str, token: &str) -> String {
    format!("{parameter}={}", utf8_percent_encode(token, UNRESERVED))
}

/// The head of a correct upgrade request to a door, with changes; a token is in the query's `parameter`.
pub fn upgrade_head(upgrade: &UpgradeHead, path: &str, parameter: &str, host: &str) -> String {
    let of_token = |token: &str| token_query(parameter, token);
    let query = upgrade.query.clone().or_else(|| upgrade.token.as_deref().map(of_token));
    let target = upgrade.target.clone().unwrap_or_else(|| match query {
        Some(query) => format!("{path}?{query}"),
        None => path.to_owned(),
    });
    let defaults = [
        ("Host", host),
        ("Connection", "Upgrade"),
        ("Upgrade", "websocket"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", "Z2F1bnRsZXQtZ2F1bnRsZQ=="),
    ];
    let mut head = format!("{} {target} HTTP/1.1\r\n", upgrade.method.as_deref().unwrap_or("GET"));
    let changed = |name: &str| upgrade.headers.keys().any(|key| key.eq_ignore_ascii_case(name));
    for (name, value) in defaults.iter().filter(|(name, _)| !changed(name)) {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    for (name, value) in &upgrade.headers {
        if let Some(value) = value {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
    }
    if upgrade.ends != Some(false) {
        head.push_str("\r\n");
    }
    head
}

/// What came of an upgrade request.
pub enum Upgraded {
    Opened {
        socket: Box<WebSocketStream<Recorded>>,
        response: Value,
    },
    /// Not 101, or nothing at all.
    Answered { response: Value, transcript: Transcript },
}

/// A request for a WebSocket (RFC 6455 §4.1), with further headers; those of the same name they replace.
pub fn upgrade_request(
    target: &str,
    headers: Vec<(HeaderName, HeaderValue)>,
    door: &Door,
) -> Result<Request<()>, StepError> {
    let scheme = if door.tls { "wss" } else { "ws" };
    let mut request = Request::builder()
        .uri(format!("{scheme}://{}{target}", door.host))
        .header("Host", &door.host)
        .header("Connection", "Upgrade")
        .header("Upgrade", "websocket")
        .header("Sec-WebSocket-Version", "13")
        .header("Sec-WebSocket-Key", generate_key())
        .header("Cache-Control", "no-store")
        .body(())
        .map_err(|error| StepError::doing(format!("making a request for {target:?}"), error))?;
    for (name, _) in &headers {
        request.headers_mut().remove(name);
    }
    for (name, value) in headers {
        request.headers_mut().append(name, value);
    }
    Ok(request)
}

/// The headers that a step asks for, in its order.
pub fn headers(
    authorization: Option<&str>,
    more: Option<&IndexMap<String, HeaderValues>>,
) -> Result<Vec<(HeaderName, HeaderValue)>, StepError> {
    let mut headers: Vec<(String, String)> = authorization
        .map(|value| ("Authorization".to_owned(), value.to_owned()))
        .into_iter()
        .collect();
    for (name, values) in more.into_iter().flatten() {
        match values {
            HeaderValues::One(value) => headers.push((name.clone(), value.clone())),
            HeaderValues::Several(values) => headers.extend(values.iter().map(|v| (name.clone(), v.clone()))),
        }
    }
    headers
        .into_iter()
        .map(|(name, value)| {
            let refused = |source: http::Error| StepError::Header {
                name: name.clone(),
                source,
            };
            Ok((
                HeaderName::from_bytes(name.as_bytes()).map_err(|error| refused(error.into()))?,
                HeaderValue::from_bytes(value.as_bytes()).map_err(|error| refused(error.into()))?,
            ))
        })
        .collect()
}

/// Sends it; `eager`: keys that go right behind it.
pub async fn upgrade(
    request: Request<()>,
    eager: Option<&str>,
    context: &StepContext,
    door: &Door,
) -> Result<Upgraded, StepError> {
    let stream = match wire::connect(door, &context.world.trust, &context.limits).await? {
        Connected::Yes(stream) => *stream,
        Connected::Refused(refused) => {
            let response = json!({ "opened": false, "connection": refused });
            return Ok(Upgraded::Answered {
                response,
                transcript: Transcript::default(),
            });
        }
    };
    let transcript = stream.transcript.clone();
    let stream = stream.answered_at_once();
    let stream = match eager {
        None => stream,
        Some(keys) => stream.followed_by(masked_binary(keys.as_bytes())),
    };
    let handshake = timeout(context.limits.answer, client_async(request, stream)).await;
    Ok(match handshake {
        Err(_) => {
            let waited = context.limits.answer;
            let response = match head_end(&transcript.received()) {
                // A head that came whole is an answer, also where the body behind it never ends.
                Some(_) => half_answer(&transcript, &format!("the answer was not whole within {waited:?}")),
                None => json!({ "opened": null, "no_answer_within": waited.as_millis() }),
            };
            Upgraded::Answered { response, transcript }
        }
        Ok(Ok((socket, response))) => Upgraded::Opened {
            socket: Box::new(socket),
            response: json!({ "status": 101, "header": header_fields(response.headers()) }),
        },
        Ok(Err(WsError::Http(response))) => Upgraded::Answered {
            response: refusal(*response, context),
            transcript,
        },
        Ok(Err(error)) => {
            StepError::unless_exhausted(format!("upgrading at {}", door.address), &error)?;
            Upgraded::Answered {
                response: half_answer(&transcript, &error.to_string()),
                transcript,
            }
        }
    })
}

fn refusal(response: http::Response<Option<Vec<u8>>>, context: &StepContext) -> Value {
    let (head, body) = response.into_parts();
    let text = String::from_utf8_lossy(&body.unwrap_or_default()).into_owned();
    let answer = json!({
        "opened": false,
        "status": head.status.as_u16(),
        "header": header_fields(&head.headers),
        "body": serde_json::from_str::<Value>(&text).unwrap_or(Value::Null),
        "text": text,
    });
    context.record_observed(&answer);
    answer
}

/// An answer that is no correct answer to an upgrade: a 101 in it is still a 101.
fn half_answer(transcript: &Transcript, error: &str) -> Value {
    let received = transcript.received();
    let status = wire::printable(&received)
        .strip_prefix("HTTP/1.")
        .and_then(|rest| rest.get(2..5).and_then(|status| status.parse::<u16>().ok()));
    let mut value = json!({ "opened": status == Some(101), "works": false, "closed": true, "broken": error });
    if let Some(status) = status {
        value["status"] = status.into();
    }
    value
}

/// The upgrade request as a command to paste.
pub fn curl(door: &Door, request: &Request<()>) -> Curl {
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    let headers = request.headers().iter().filter(|(name, _)| *name != "host");
    Curl::new(door, " -N", headers, None, path)
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;
    use crate::vocabulary::Road;

    #[test]
    fn headers_of_a_step_replace_those_of_a_client() {
        let address = SocketAddr::from(([127, 0, 0, 1], 4096));
        let door = Door {
            road: Road::Direct,
            address,
            way: address,
            host: address.to_string(),
            tls: false,
            pod: "a pod".to_owned(),
        };
        let said = IndexMap::from([
            (
                "Connection".to_owned(),
                HeaderValues::One("keep-alive, Upgrade".to_owned()),
            ),
            (
                "X-Other".to_owned(),
                HeaderValues::Several(vec!["1".to_owned(), "2".to_owned()]),
            ),
        ]);
        let headers = headers(None, Some(&said)).expect("headers");
        let request = upgrade_request("/tty", headers, &door).expect("a request");
        let values = |name: &str| -> Vec<&[u8]> {
            let all = request.headers().get_all(name);
            all.iter().map(HeaderValue::as_bytes).collect()
        };
        assert_eq!(values("connection"), [b"keep-alive, Upgrade"]);
        assert_eq!(values("x-other"), [b"1", b"2"]);
        assert_eq!(values("host"), [b"127.0.0.1:4096"]);
    }
}
