//! `attach`: a WebSocket upgrade at a terminal's door, and what came of it.

use std::time::Duration;

use http::{HeaderName, HeaderValue, Request};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};
use tokio::time::{Instant, timeout};
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::tungstenite::{Error as WsError, Message};
use tokio_tungstenite::{WebSocketStream, client_async};

use super::arguments::{Attach, HeaderValues};
use super::context::{Exchange, Observation, StepContext, StepError};
use super::credentials;
use super::shell::Curl;
use super::terminal::Terminal;
use super::wire::{self, Connected, Recorded, Transcript};
use crate::vocabulary::Road;
use crate::world::roads::{Door, RoadError, door, door_path, parties};
use crate::world::subject;

/// What stays as it is in a query value (RFC 3986 §2.3).
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// What a client writes for a token: `?token=<percent-encoded>` (contract 1, clients).
pub fn token_query(token: &str) -> String {
    format!("token={}", utf8_percent_encode(token, UNRESERVED))
}

/// How long a taken back nonce may stay on the screen; a program may leave it there for ever.
const ERASED_WITHIN: Duration = Duration::from_millis(500);

/// The road where a step names none: through the platform for a session, straight to a pod.
pub fn default_road(subject: &Value) -> Road {
    if subject["kind"] == "pod" {
        Road::Direct
    } else {
        Road::Proxy
    }
}

/// Attaches to a session or pod. `keep`: the terminal stays open for later steps.
pub async fn run(arguments: Attach, context: &StepContext, keep: bool) -> Result<Observation, StepError> {
    let subject = &arguments.attach;
    let road = arguments.road.unwrap_or_else(|| default_road(subject));
    let what = format!("attach to {} {}", subject::name(subject), road.by());
    let door = match door(&context.world, road, Some(subject)).await {
        Ok(door) => door,
        Err(gone @ RoadError::NoPod { .. }) => {
            // The cluster says that nobody is behind the door: the platform's doing, and to be judged.
            let gone = context.record_no_door(&what, &gone);
            let value = json!({ "kind": "terminal", "opened": false, "connection": gone });
            return Ok(Observation { what, value });
        }
        Err(error) => return Err(StepError::doing(&what, error)),
    };
    let target = target(&arguments, context, road);
    let request = upgrade_request(
        &target,
        headers(arguments.authorization.as_deref(), arguments.headers.as_ref())?,
        &door,
    )?;
    let curl = curl(&door, &request);
    let upgraded = upgrade(request, arguments.eager.as_deref(), context, &door).await?;
    let (mut value, transcript, sound) = match upgraded {
        Upgraded::Opened { socket, response } => {
            let terminal = Terminal::over(*socket);
            let transcript = terminal.transcript.clone();
            terminal.tell_size().await;
            let works = if keep {
                works(&terminal, context).await
            } else {
                works_and_closes(&terminal, context).await
            };
            let mut value = response;
            value["opened"] = true.into();
            value["works"] = works.into();
            value["closed"] = (!terminal.is_open()).into();
            value["screen"] = terminal.screen().into();
            let sound = terminal.unless_exhausted();
            if keep {
                value["terminal"] = context.keep_terminal(terminal).into();
            }
            (value, transcript, sound)
        }
        Upgraded::Answered { response, transcript } => (response, transcript, Ok(())),
    };
    credentials::keep(&value["body"], &context.redactor)
        .map_err(|error| StepError::doing("keeping secrets of the answer secret", error))?;
    value["kind"] = "terminal".into();
    context.record(Exchange {
        title: what.clone(),
        text: transcript.text(),
        curl: Some(curl),
        parties: parties(&door, Some(subject)),
    });
    sound?;
    Ok(Observation { what, value })
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

/// Path and query.
fn target(arguments: &Attach, context: &StepContext, road: Road) -> String {
    let mut target = arguments
        .path
        .clone()
        .unwrap_or_else(|| door_path(&context.world, road, Some(&arguments.attach)));
    let query = arguments
        .query
        .clone()
        .or_else(|| arguments.token.as_deref().map(token_query));
    if let Some(query) = query {
        target.push('?');
        target.push_str(&query);
    }
    target
}

/// A request for a WebSocket (RFC 6455 §4.1), with further headers.
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
    for (name, value) in headers {
        request.headers_mut().append(name, value);
    }
    Ok(request)
}

/// The headers that a step asks for, in its order.
pub fn headers(
    authorization: Option<&str>,
    more: Option<&indexmap::IndexMap<String, HeaderValues>>,
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
            let refused = |error: &dyn std::fmt::Display| {
                StepError(format!(
                    "the header {name}: {error}; a `raw` step can send what is not a header"
                ))
            };
            Ok((
                HeaderName::from_bytes(name.as_bytes()).map_err(|e| refused(&e))?,
                HeaderValue::from_bytes(value.as_bytes()).map_err(|e| refused(&e))?,
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
        Some(keys) => stream.followed_by(super::raw::masked_binary(keys.as_bytes())),
    };
    let handshake = timeout(context.limits.answer, client_async(request, stream)).await;
    Ok(match handshake {
        Err(_) => {
            let waited = context.limits.answer;
            let response = match wire::head_end(&transcript.received()) {
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

/// Headers as an object, names in lower case; a header that came several times is a list.
pub fn header_fields(headers: &http::HeaderMap) -> Value {
    let mut fields = serde_json::Map::new();
    for name in headers.keys() {
        let mut values: Vec<Value> = headers
            .get_all(name)
            .iter()
            .map(|v| String::from_utf8_lossy(v.as_bytes()).into())
            .collect();
        let value = if values.len() == 1 {
            values.remove(0)
        } else {
            Value::Array(values)
        };
        fields.insert(name.as_str().to_owned(), value);
    }
    Value::Object(fields)
}

/// Whether a nonce that is typed is seen on the screen, or in what was printed; it is taken back again (Ctrl-U).
///
/// A program that is still starting may print its prompt into what is being typed. Then another nonce is
/// typed, as a person would.
async fn works(terminal: &Terminal, context: &StepContext) -> bool {
    let deadline = Instant::now() + context.limits.screen;
    loop {
        let nonce = nonce();
        terminal.keys(&nonce).await;
        let came = terminal
            .until(deadline.saturating_duration_since(Instant::now()), |terminal| {
                let screen = terminal.screen();
                screen.contains(&nonce) || terminal.said(&nonce) || is_interrupted(&screen, &nonce)
            })
            .await;
        let seen = terminal.screen().contains(&nonce) || terminal.said(&nonce);
        terminal.keys("\u{15}").await;
        // What others type next must not be taken back with it: wait until it is gone from the screen.
        terminal
            .until(ERASED_WITHIN, |terminal| !terminal.screen().contains(&nonce))
            .await;
        if seen || !came {
            return seen;
        }
    }
}

/// Whether all of a nonce was echoed, in two parts with other output between them, and the second is the last
/// on the screen.
fn is_interrupted(screen: &str, nonce: &str) -> bool {
    let screen = screen.trim_end();
    (1..nonce.len()).any(|at| {
        let (first, second) = nonce.split_at(at);
        screen
            .strip_suffix(second)
            .is_some_and(|before| before.contains(first) && !before.ends_with(first))
    })
}

/// As [`works`]; then a close frame, and a moment for its answer.
async fn works_and_closes(terminal: &Terminal, context: &StepContext) -> bool {
    let works = works(terminal, context).await;
    terminal.send(Message::Close(None)).await;
    terminal
        .until(Duration::from_secs(1), |terminal| !terminal.is_open())
        .await;
    works
}

/// A text that nothing else shows: 12 letters.
pub fn nonce() -> String {
    use rand::RngExt;
    let mut random = rand::rng();
    (0..12).map(|_| random.random_range(b'a'..=b'z') as char).collect()
}

/// The upgrade request as a command to paste.
pub fn curl(door: &Door, request: &Request<()>) -> Curl {
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    let headers = request.headers().iter().filter(|(name, _)| *name != "host");
    Curl::new(door, " -N", headers, None, path)
}

#[cfg(test)]
mod tests {
    use super::is_interrupted;

    #[test]
    fn a_prompt_in_the_middle_of_an_echo_is_told_from_lost_keys() {
        for screen in [
            "vt# kwtclllejo",
            "$ v\n$ tkwtclllejo  \n\n",
            "vtkwtclllej\nWelcome!\n# o",
        ] {
            assert!(is_interrupted(screen, "vtkwtclllejo"), "{screen}");
        }
        for screen in [
            "",
            "# ",
            "vtkwtclllejo",
            "vt# ",
            "vt# kwtclllej",
            "t# kwtclllejo",
            "vtkwtclllej",
            "kwtclllejo vt",
        ] {
            assert!(!is_interrupted(screen, "vtkwtclllejo"), "{screen}");
        }
    }
}
