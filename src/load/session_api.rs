//! A platform's session API. Calls follow no redirects and are never retried.

use std::error::Error;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use http::header::{AUTHORIZATION, CACHE_CONTROL};
use http::uri::PathAndQuery;
use http::{HeaderValue, Method, StatusCode};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::{Instant, timeout_at};

use super::failure::Failure;
use super::metric::Metric;
use super::url::Place;
use super::worker::Terminal;
use crate::redact::{Redactor, Secret};
use crate::trust::{Trust, TrustError};

/// Where the API is, under an address that has no path.
const PATH: &str = "/api/v1/managed_agents";

/// What a path's segment can't have as it is (RFC 3986 §2.3).
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// Longest answer that is read.
const LONGEST: usize = 16 << 20;

/// Bytes of an answer that are kept as evidence. It is more than is shown: a secret that is cut in two is not known
/// again, and so what is shown is cut once they are out.
const SAID: usize = 4096;

/// Characters of a call's error that are shown.
const SHOWN: usize = 400;

/// A connection that has been quiet for longer may be one that the server is about to close.
const IDLE: Duration = Duration::from_secs(2);

/// The session API, with the key for it.
pub struct SessionApi {
    client: reqwest::Client,
    base: String,
    authorization: HeaderValue,
    deadline: Duration,
}

/// How to reach the API.
pub struct Way<'a> {
    pub place: &'a Place,
    pub addresses: &'a [SocketAddr],
    pub trust: Trust,
    pub key: &'a Secret,
    /// Longest time of an answer.
    pub deadline: Duration,
}

/// Why a call has not given what it was made for.
#[derive(Debug)]
pub struct Wrong {
    pub failure: Failure,
    /// Of the answer, where there was one.
    pub status: Option<StatusCode>,
    pub said: Option<String>,
}

impl Wrong {
    pub fn new(failure: Failure) -> Wrong {
        Wrong {
            failure,
            status: None,
            said: None,
        }
    }

    /// Whether the API has understood the call, and does not do it.
    pub fn is_refusal(&self) -> bool {
        self.status.is_some_and(|status| status.is_client_error())
    }

    /// In words, without secrets, and short.
    pub fn shown(&self, redactor: &Redactor) -> String {
        let text = self.to_string();
        redactor.redact(&text).chars().take(SHOWN).collect()
    }
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.status {
            Some(status) if !status.is_success() => write!(f, "status {status}")?,
            _ => write!(f, "{}", self.failure)?,
        }
        match &self.said {
            Some(said) if !said.is_empty() => write!(f, ": {said}"),
            _ => Ok(()),
        }
    }
}

/// A session as the API shows it.
#[derive(Deserialize)]
pub struct Shown {
    pub id: String,
    pub status: String,
    pub failure_reason: Option<String>,
    tty_url: Option<String>,
    tty_token: Option<String>,
}

impl Shown {
    fn from(value: Value) -> Result<Shown, Wrong> {
        serde_json::from_value::<Shown>(value)
            .ok()
            .filter(|shown| is_id(&shown.id))
            .ok_or_else(|| wrong("the answer shows no session"))
    }

    /// The terminal of a session that is ready.
    pub fn terminal(&self) -> Result<Terminal, Failure> {
        let missing = |what: &'static str| Failure::Session(what.into());
        let path = self.tty_url.as_deref().ok_or(missing("ready without a tty_url"))?;
        // It goes onto the wire as it is, and over the way that the API is come to.
        let is_path = path.starts_with('/') && !path.contains('#') && path.parse::<PathAndQuery>().is_ok();
        if !is_path {
            return Err(missing("its tty_url is no path"));
        }
        let right = self.tty_token.as_deref().filter(|token| !token.is_empty());
        Ok(Terminal {
            path: path.to_owned(),
            right: right.ok_or(missing("ready without a tty_token"))?.to_owned(),
        })
    }
}

fn wrong(what: &'static str) -> Wrong {
    Wrong::new(Failure::Session(what.into()))
}

/// Whether a text can be an id: it goes into URLs, and into commands that are shown.
fn is_id(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    !text.is_empty() && text.len() <= 200 && !text.starts_with('.') && text.bytes().all(fits)
}

fn encoded(text: &str) -> String {
    utf8_percent_encode(text, RESERVED).to_string()
}

/// Why there is no client of a session API.
#[derive(Debug, thiserror::Error)]
pub enum SessionApiError {
    /// The key's name.
    #[error("the value of {0} can't stand in a header field")]
    Key(String),
    #[error(transparent)]
    Trust(#[from] TrustError),
    #[error("making an HTTP client: {}", chain(.0))]
    Client(#[from] reqwest::Error),
}

impl SessionApi {
    /// # Errors
    /// A key that can't be a header's value, or invalid certificate authorities.
    pub fn new(way: &Way<'_>) -> Result<SessionApi, SessionApiError> {
        let place = way.place;
        let scheme = if place.tls { "https" } else { "http" };
        let path = match place.target.trim_end_matches('/') {
            "" => PATH,
            path => path,
        };
        let mut authorization = HeaderValue::try_from(format!("Bearer {}", way.key.expose()))
            .map_err(|_| SessionApiError::Key(way.key.name().to_owned()))?;
        authorization.set_sensitive(true);
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .retry(reqwest::retry::never())
            .http1_only()
            .pool_idle_timeout(IDLE)
            .resolve_to_addrs(&place.host, way.addresses)
            .tls_backend_preconfigured(way.trust.client_config()?)
            .build()?;
        Ok(SessionApi {
            client,
            base: format!("{scheme}://{}{path}", place.authority),
            authorization,
            deadline: way.deadline,
        })
    }

    /// A path of the API as a whole URL.
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    pub fn deadline(&self) -> Duration {
        self.deadline
    }

    /// The id of the first agent that doesn't say that it has no terminal; none if there is none.
    pub async fn first_agent(&self) -> Result<Option<String>, Wrong> {
        let listed = self.get("/agents", Metric::SessionCreate).await?;
        let agents = listed["data"]
            .as_array()
            .ok_or_else(|| wrong("the answer lists no agents"))?;
        let id = |agent: &Value| agent["id"].as_str().map(str::to_owned);
        let mut with_terminal = agents.iter().filter(|agent| agent["supports_tui"] != false);
        Ok(with_terminal.find_map(id))
    }

    /// Asks for a session of an agent.
    pub async fn create(&self, agent: &str, title: &str) -> Result<Shown, Wrong> {
        let path = format!("/agents/{}/session", encoded(agent));
        let body = json!({ "title": title });
        let answer = self
            .call(Method::POST, &path, Some(&body), Metric::SessionCreate)
            .await?;
        Shown::from(answer)
    }

    pub async fn show(&self, id: &str) -> Result<Shown, Wrong> {
        Shown::from(self.get(&format!("/sessions/{id}"), Metric::SessionReady).await?)
    }

    /// The ids of an agent's sessions that have this title, which not every API shows.
    pub async fn with_title(&self, agent: &str, title: &str, most: u32) -> Result<Vec<String>, Wrong> {
        let path = format!("/sessions?agent_id={}&limit={most}", encoded(agent));
        let listed = self.get(&path, Metric::SessionCreate).await?;
        let sessions = listed.as_array().ok_or_else(|| wrong("the answer lists no sessions"))?;
        let id = |session: &Value| session["id"].as_str().filter(|id| is_id(id)).map(str::to_owned);
        let ours = sessions.iter().filter(|session| session["title"] == title);
        Ok(ours.filter_map(id).collect())
    }

    /// Deletes a session; a missing one counts as deleted.
    pub async fn delete(&self, id: &str) -> Result<(), Wrong> {
        let path = format!("/sessions/{id}");
        match self.call(Method::DELETE, &path, None, Metric::SessionReady).await {
            Err(wrong) if wrong.status == Some(StatusCode::NOT_FOUND) => Ok(()),
            // What it says of it is of no interest.
            Err(wrong) if wrong.status.is_some_and(|status| status.is_success()) => Ok(()),
            answer => answer.map(drop),
        }
    }

    async fn get(&self, path: &str, phase: Metric) -> Result<Value, Wrong> {
        self.call(Method::GET, path, None, phase).await
    }

    /// Makes a call; `phase` is what takes too long where there is no answer in time.
    async fn call(&self, method: Method, path: &str, body: Option<&Value>, phase: Metric) -> Result<Value, Wrong> {
        let mut request = self
            .client
            .request(method, self.url(path))
            .header(AUTHORIZATION, self.authorization.clone())
            .header(CACHE_CONTROL, "no-store");
        if let Some(body) = body {
            request = request.json(body);
        }
        let (status, body) = match timeout_at(Instant::now() + self.deadline, read(request)).await {
            Err(_) => return Err(Wrong::new(Failure::TimedOut(phase))),
            // Its URL has the session's id in it, and would make each failure a kind of its own.
            Ok(Err(error)) => return Err(Wrong::new(failure(&error.without_url()))),
            Ok(Ok(answer)) => answer,
        };
        let parsed = match status.is_success() {
            true => serde_json::from_slice(&body).map_err(|_| Failure::Session("the answer isn't JSON".into())),
            false => Err(Failure::Session(format!("status {}", status.as_u16()).into())),
        };
        parsed.map_err(|failure| Wrong {
            failure,
            status: Some(status),
            said: Some(kept(&body)),
        })
    }
}

/// How much of an answer is kept.
fn kept(body: &[u8]) -> String {
    String::from_utf8_lossy(&body[..body.len().min(SAID)]).into_owned()
}

async fn read(request: reqwest::RequestBuilder) -> Result<(StatusCode, Vec<u8>), reqwest::Error> {
    let mut response = request.send().await?;
    let status = response.status();
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        body.extend_from_slice(&chunk);
        if body.len() > LONGEST {
            break;
        }
    }
    Ok((status, body))
}

/// A failure by its kind, from the cause that lies deepest.
fn failure(error: &reqwest::Error) -> Failure {
    let mut found = None;
    let mut cause: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(this) = cause {
        if let Some(io) = this.downcast_ref::<io::Error>() {
            found = Some(Failure::from_io(io));
        }
        if this
            .downcast_ref::<hyper::Error>()
            .is_some_and(hyper::Error::is_incomplete_message)
        {
            return Failure::Ended;
        }
        cause = this.source();
    }
    found.unwrap_or_else(|| Failure::Session(chain(error).into()))
}

/// An error with its causes: reqwest's own text leaves them out.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(&format!(": {cause}"));
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(value: Value) -> Result<Terminal, Failure> {
        Shown::from(value).map_err(|wrong| wrong.failure)?.terminal()
    }

    #[test]
    fn a_session_that_is_ready_has_a_terminal() {
        let session =
            |url: Value, token: Value| json!({ "id": "s-1", "status": "ready", "tty_url": url, "tty_token": token });
        let terminal = shown(session("/sessions/s-1/tty?a=1".into(), "secret".into())).expect("a terminal");
        assert_eq!(
            (terminal.path.as_str(), terminal.right.as_str()),
            ("/sessions/s-1/tty?a=1", "secret")
        );
        for (wrong, why) in [
            (session(Value::Null, "secret".into()), "ready without a tty_url"),
            (session("/tty".into(), Value::Null), "ready without a tty_token"),
            (session("/tty".into(), "".into()), "ready without a tty_token"),
            (
                session("ws://elsewhere/tty".into(), "secret".into()),
                "its tty_url is no path",
            ),
            (
                session("/tty HTTP/1.1\r\nX: y".into(), "secret".into()),
                "its tty_url is no path",
            ),
            (
                json!({ "id": "../agents", "status": "ready" }),
                "the answer shows no session",
            ),
            (
                json!({ "id": "s-1; rm", "status": "ready" }),
                "the answer shows no session",
            ),
            (json!([]), "the answer shows no session"),
        ] {
            let failure = shown(wrong.clone()).err();
            assert_eq!(failure, Some(Failure::Session(why.into())), "{wrong}");
        }
    }

    /// Wherever in an answer a secret is: a part of it is not known again.
    #[test]
    fn an_answer_is_cut_once_secrets_are_out() {
        let redactor = Redactor::new();
        let key = redactor.plant("KEY");
        let begins: String = key.expose().chars().take(8).collect();
        for before in SHOWN - 60..SHOWN + 20 {
            let body = format!("{}{}{}", "x".repeat(before), key.expose(), "y".repeat(1000));
            let wrong = Wrong {
                status: Some(StatusCode::BAD_GATEWAY),
                said: Some(kept(body.as_bytes())),
                ..Wrong::new(Failure::Session("status 502".into()))
            };
            let shown = wrong.shown(&redactor);
            assert!(!shown.contains(&begins), "{shown}");
            assert_eq!(shown.chars().count(), SHOWN);
        }
    }

    #[test]
    fn the_api_has_its_path_where_none_is_given() {
        let _installed = rustls::crypto::ring::default_provider().install_default();
        let redactor = crate::redact::Redactor::new();
        let key = redactor.plant("KEY");
        let base = |url: &str| {
            let way = Way {
                place: &Place::parse(url).expect("a place"),
                addresses: &[],
                trust: Trust::Nothing,
                key: &key,
                deadline: Duration::from_secs(1),
            };
            SessionApi::new(&way).expect("an API").url("/agents")
        };
        assert_eq!(base("http://a:1"), "http://a:1/api/v1/managed_agents/agents");
        assert_eq!(base("http://a:1/"), "http://a:1/api/v1/managed_agents/agents");
        assert_eq!(base("https://a/x/"), "https://a/x/agents");
    }
}
