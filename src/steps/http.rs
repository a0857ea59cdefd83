//! `http`: sends one request: no redirects, no proxy, no retries.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use indexmap::IndexMap;
use reqwest::Method;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::answer::header_fields;
use super::context::{Exchange, StepContext};
use super::definition::{Reach, Verb, phrases, verb};
use super::handshake::{HeaderValues, headers};
use super::observation::{Observation, StepError};
use super::shell::Curl;
use super::{credentials, wire};
use crate::vocabulary::{Intrusion, Road};
use crate::world::Door;
use crate::world::roads::{RoadError, door, parties, path_on};

/// The verb `http`.
pub const VERB: Verb = Verb {
    phrases: phrases!["answers <status>", "this HTTP status", {"status": {"one-of": "<status>"}};],
    fields: &["status", "head", "header", "body", "text", "cut_at"],
    objects: &["header"],
    takes_objects: &["to", "body"],
    each: Some("to"),
    takes_list: true,
    has_door: true,
    reach: Reach::Door { subject: None },
    intrusion,
    ..verb!("http", Http, run)
};

/// Sends an HTTP request: no redirect followed, no proxy, no retry.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Http {
    /// `GET /path?query`. `${door}` is the path of a terminal's door on the road. A variable with a list of requests, as
    /// `${routes}`: each.
    pub http: String,
    /// For `direct`, or for `${door}`: the session or pod. A list of pods: each.
    pub to: Option<Value>,
    /// Default: `proxy`.
    pub road: Option<Road>,
    pub authorization: Option<String>,
    pub headers: Option<IndexMap<String, HeaderValues>>,
    /// The request asks for a WebSocket upgrade.
    pub upgrade: Option<bool>,
    /// A text as it is; anything else as JSON.
    pub body: Option<Value>,
    /// From an address that none of the platform's is near, as a person's own machine has one. Default: no.
    pub elsewhere: Option<bool>,
}

/// Bytes of a body that are read; a body that goes on is cut there, and the answer says so.
const BODY_READ: usize = 1 << 20;

/// Where a person's own machine is on the embedded target, whose pods call others from 127.0.0.1. On others a request
/// comes from elsewhere as it is.
const ELSEWHERE: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 77, 0, 1));

/// A request may change something (RFC 9110 §9.2.1), also one whose method is a variable's.
fn intrusion(keys: &Value) -> Intrusion {
    match keys["http"].as_str().and_then(|text| text.split_once(' ')) {
        Some((method, _)) if !["GET", "HEAD", "OPTIONS"].contains(&method) => Intrusion::Use,
        _ => Intrusion::Observe,
    }
}

/// Carries out an `http` step.
pub async fn run(arguments: Http, context: &StepContext) -> Result<Observation, StepError> {
    let road = arguments.road.unwrap_or(Road::Proxy);
    let what = format!("{} {}", arguments.http, road.by());
    let (method, path) = arguments.http.split_once(' ').unwrap_or(("GET", &arguments.http));
    let path = path_on(&context.world, road, path.trim());
    let door = match door(&context.world, road, arguments.to.as_ref()).await {
        Ok(door) => door,
        // Nobody is behind the door: the platform's doing, and to be judged.
        Err(gone @ RoadError::NoPod { .. }) => {
            let value = json!({ "connection": context.record_no_door(&what, &gone) });
            return Ok(Observation { what, value });
        }
        Err(error) => return Err(StepError::doing(&what, error)),
    };
    let mut request = Request::new(method, &path);
    if arguments.elsewhere == Some(true) && context.world.embedded_cluster().is_some() {
        request.from = Some(ELSEWHERE);
    }
    request.headers = headers(arguments.authorization.as_deref(), arguments.headers.as_ref())?;
    if arguments.upgrade == Some(true) {
        request.upgrade();
    }
    request.body = arguments.body.map(|body| match body {
        Value::String(text) => text,
        other => other.to_string(),
    });
    let about = arguments.to.as_ref();
    let value = send(request, context.limits.answer, &door, about, context, &what).await?;
    Ok(Observation { what, value })
}

/// A request to a door.
pub struct Request {
    method: String,
    path: String,
    pub headers: Vec<(http::HeaderName, http::HeaderValue)>,
    pub body: Option<String>,
    /// The source address; by default the system's choice.
    from: Option<IpAddr>,
}

impl Request {
    pub fn new(method: &str, path: &str) -> Request {
        Request {
            method: method.into(),
            path: path.trim().into(),
            headers: Vec::new(),
            body: None,
            from: None,
        }
    }

    /// Makes it ask for a WebSocket (RFC 6455 §4.1).
    fn upgrade(&mut self) {
        use http::header::{CONNECTION, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE};
        let key = tokio_tungstenite::tungstenite::handshake::client::generate_key();
        self.headers.extend([
            (CONNECTION, http::HeaderValue::from_static("Upgrade")),
            (UPGRADE, http::HeaderValue::from_static("websocket")),
            (SEC_WEBSOCKET_VERSION, http::HeaderValue::from_static("13")),
        ]);
        if let Ok(key) = http::HeaderValue::from_str(&key) {
            self.headers.push((SEC_WEBSOCKET_KEY, key));
        }
    }
}

/// Sends a request and reads the answer: `status`, `header`, `body` (JSON), `text`.
///
/// `about`: the session or pod that the request is about, if any.
/// No answer within the limit is an observation without a status, not an error.
pub async fn send(
    request: Request,
    limit: Duration,
    door: &Door,
    about: Option<&Value>,
    context: &StepContext,
    title: &str,
) -> Result<Value, StepError> {
    let doing = format!("{} {} at {}", request.method, request.path, door.address);
    let method = Method::from_bytes(request.method.as_bytes()).map_err(|error| StepError::doing(&doing, error))?;
    // After `-X HEAD` curl would wait for a body.
    let flags = match request.method.as_str() {
        "HEAD" => " --head".to_owned(),
        method => format!(" -X {method}"),
    };
    let headers = request.headers.iter().map(|(name, value)| (name, value));
    let curl = Curl::new(door, &flags, headers, request.body.as_deref(), &request.path);
    let sent = transcript_of(&request, &door.host);
    // To where this machine gets to it, under the name that it has.
    let mut building = client(door, request.from, context)?
        .request(method, door.way_url(&request.path))
        .header("Host", &door.host)
        .header("Cache-Control", "no-store");
    for (name, value) in request.headers {
        building = building.header(name, value);
    }
    if let Some(body) = request.body {
        if serde_json::from_str::<Value>(&body).is_ok() {
            building = building.header("Content-Type", "application/json");
        }
        building = building.body(body);
    }
    let answered = tokio::time::timeout(limit, async { read(building.send().await?).await }).await;
    let (value, received) = match answered {
        Err(_) => {
            let waited = limit.as_millis();
            (
                json!({ "no_answer_within": waited }),
                format!("(no answer within {waited} ms)\n"),
            )
        }
        Ok(Err(error)) if error.is_builder() || error.is_timeout() => {
            return Err(StepError::doing(&doing, chain(&error)));
        }
        Ok(Err(error)) => {
            StepError::unless_exhausted(&doing, &error)?;
            (json!({ "broken": chain(&error) }), format!("({})\n", chain(&error)))
        }
        Ok(Ok(answer)) => answer,
    };
    credentials::keep(&value["body"], &context.redactor)
        .map_err(|error| StepError::doing("keeping secrets of the answer secret", error))?;
    context.record_observed(&value);
    context.record(Exchange {
        title: title.into(),
        text: format!("{sent}{received}"),
        curl: Some(curl),
        parties: parties(door, about),
    });
    Ok(value)
}

/// An error with its causes: reqwest's own text leaves them out.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(&format!(": {cause}"));
        source = cause.source();
    }
    text
}

async fn read(mut response: reqwest::Response) -> Result<(Value, String), reqwest::Error> {
    let status = response.status();
    let header = header_fields(response.headers());
    let mut body = Vec::new();
    let mut whole = true;
    while let Some(chunk) = response.chunk().await? {
        body.extend_from_slice(&chunk[..chunk.len().min(BODY_READ - body.len())]);
        if body.len() == BODY_READ {
            whole = false;
            break;
        }
    }
    let text = String::from_utf8_lossy(&body).into_owned();
    let mut received = format!("< HTTP/1.1 {status}\n");
    for (name, value) in response.headers() {
        received.push_str(&format!("< {name}: {}\n", String::from_utf8_lossy(value.as_bytes())));
    }
    let head = received.replace("< ", "");
    received.push_str("<\n");
    for line in wire::printable(&body[..body.len().min(4096)]).lines() {
        received.push_str(&format!("< {line}\n"));
    }
    let mut value = json!({
        "status": status.as_u16(),
        "head": head,
        "header": header,
        "body": serde_json::from_str::<Value>(&text).unwrap_or(Value::Null),
        "text": text,
    });
    if !whole {
        value["cut_at"] = BODY_READ.into();
    }
    Ok((value, received))
}

pub(super) fn client(door: &Door, from: Option<IpAddr>, context: &StepContext) -> Result<reqwest::Client, StepError> {
    let host = door.name();
    reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        // A crate beside this one turns it on for all.
        .no_gzip()
        .retry(reqwest::retry::never())
        .pool_max_idle_per_host(0)
        .http1_only()
        // As most clients write them; those of upgrades are lower case.
        .http1_title_case_headers()
        .local_address(from)
        .connect_timeout(context.limits.connect)
        .resolve(host, door.way)
        .tls_backend_preconfigured(wire::tls_config(&context.world.trust)?)
        .build()
        .map_err(|error| StepError::asking("making an HTTP client", error))
}

fn transcript_of(request: &Request, host: &str) -> String {
    let mut text = format!("> {} {} HTTP/1.1\n> Host: {host}\n", request.method, request.path);
    for (name, value) in &request.headers {
        let (name, value) = (title_case(name.as_str()), String::from_utf8_lossy(value.as_bytes()));
        text.push_str(&format!("> {name}: {value}\n"));
    }
    text.push_str(">\n");
    for line in request.body.as_deref().unwrap_or_default().lines() {
        text.push_str(&format!("> {line}\n"));
    }
    text
}

/// A header's name as it goes over the wire: `X-User-Id`.
fn title_case(name: &str) -> String {
    let words = name.split('-').map(|word| {
        let (first, rest) = word.split_at(word.len().min(1));
        first.to_ascii_uppercase() + rest
    });
    words.collect::<Vec<_>>().join("-")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::steps::definition::unlike_listed;

    #[test]
    fn names_are_shown_as_they_are_sent() {
        for (name, sent) in [
            ("x-user-id", "X-User-Id"),
            ("x--a-", "X--A-"),
            ("x_user_id", "X_user_id"),
        ] {
            assert_eq!(title_case(name), sent);
        }
    }

    async fn seen(body: String) -> Value {
        let answer = http::Response::new(body);
        let (value, _) = read(reqwest::Response::from(answer)).await.expect("read");
        value
    }

    #[tokio::test]
    async fn what_it_observes_is_listed() {
        let whole = seen(r#"{"a": 1}"#.to_owned()).await;
        assert_eq!((&whole["status"], &whole["body"]["a"]), (&json!(200), &json!(1)));
        assert_eq!(unlike_listed(&VERB, &whole), ["cut_at"]);
        let cut = seen("x".repeat(BODY_READ + 1)).await;
        assert_eq!(cut["text"].as_str().map(str::len), Some(BODY_READ));
        assert_eq!(unlike_listed(&VERB, &cut), [""; 0]);
    }

    #[test]
    fn what_may_change_something() {
        for (request, least) in [
            ("GET /", Intrusion::Observe),
            ("HEAD /a b", Intrusion::Observe),
            ("/", Intrusion::Observe),
            ("POST /", Intrusion::Use),
            ("${method} /", Intrusion::Use),
        ] {
            assert_eq!(intrusion(&json!({ "http": request })), least, "{request}");
        }
    }
}
