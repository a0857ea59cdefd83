//! The plan of a load: which doors, how many attaches, when, for how long.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;

use super::attach::Credential;
use super::handshake::Request;
use super::model::Model;
use super::resolution::Resolution;
use super::schedule::Arrivals;

/// One way to a terminal, with the requests for it.
#[derive(Clone)]
pub struct Door {
    pub right: Arc<Request>,
    /// Requests that have to be answered 401.
    pub shut: Vec<(Credential, Arc<Request>)>,
}

impl Door {
    /// The door of a URL's path and query, at which a token is given as one of its parameters.
    pub fn new(host: &str, target: &Target<'_>, headers: &[(String, String)]) -> Door {
        let request = |token: Option<&str>| Arc::new(Request::new(host, &target.with(token), headers));
        let mut shut = vec![
            (Credential::Missing, request(None)),
            (Credential::Wrong, request(Some(target.wrong))),
            (Credential::Empty, request(Some(""))),
        ];
        if let Some(old) = target.old {
            shut.push((Credential::Old, request(Some(old))));
        }
        Door {
            right: request(Some(target.right)),
            shut,
        }
    }
}

/// A terminal's path and the tokens for it.
pub struct Target<'a> {
    /// With the query that it has without a token.
    pub path: &'a str,
    /// The query parameter that a token is in.
    pub parameter: &'a str,
    pub right: &'a str,
    pub wrong: &'a str,
    /// One that was valid once.
    pub old: Option<&'a str>,
}

impl Door {
    /// With another terminal at which a token that was valid once has to be refused.
    #[must_use]
    pub fn with_old(mut self, host: &str, path: &str, old: &str) -> Door {
        let request = Request::new(host, &with_token(path, PARAMETER, old), &[]);
        self.shut.push((Credential::Old, Arc::new(request)));
        self
    }
}

impl Target<'_> {
    fn with(&self, token: Option<&str>) -> String {
        token.map_or_else(
            || self.path.to_owned(),
            |token| with_token(self.path, self.parameter, token),
        )
    }
}

/// The contract's query parameter for a token.
pub const PARAMETER: &str = "token";

/// A path with its query, and a token in it.
pub fn with_token(path: &str, parameter: &str, token: &str) -> String {
    let separator = if path.contains('?') { '&' } else { '?' };
    let token = percent_encoding::utf8_percent_encode(token, percent_encoding::NON_ALPHANUMERIC);
    format!("{path}{separator}{parameter}={token}")
}

/// A load.
#[derive(Clone)]
pub struct Plan {
    /// Where connections go, in turn; with [`Resolution::Each`] what the name led to before the load.
    pub addresses: Vec<SocketAddr>,
    pub resolution: Resolution,
    /// Where they come from, in turn; empty if the kernel chooses.
    pub sources: Vec<IpAddr>,
    /// Over TLS, with this name in the handshake.
    pub tls: Option<(Arc<ClientConfig>, ServerName<'static>)>,
    /// The targets of attaches, in turn.
    pub doors: Vec<Door>,
    pub attaches: u32,
    pub model: Model,
    /// When they start in the open model; in the closed one only how fast they are closed again.
    pub arrivals: Arrivals,
    /// How long all are held from when they are open.
    pub hold: Duration,
    /// How often each types; in the closed model, how long it waits after an answer.
    pub echo_every: Option<Duration>,
    /// Only one of them does, and all have to see it: they share one terminal.
    pub fan_out: bool,
    /// Between two attaches without the right token; none if there are to be none.
    pub probe_every: Option<Duration>,
    /// Longest time of a phase, and of an echo.
    pub deadline: Duration,
    /// Of the first attach, in the nonces.
    pub first_tag: u32,
    pub seed: u64,
    /// Which of so many workers this is: it takes every so-manieth start of the schedule, from its turn on.
    pub turn: u32,
    pub workers: u32,
}

impl Plan {
    /// Attaches of this worker.
    pub fn share(&self) -> u32 {
        (self.attaches - self.turn.min(self.attaches)).div_ceil(self.workers)
    }

    /// Attaches that this worker may be opening at once; none if the schedule decides.
    pub fn at_once(&self) -> Option<u32> {
        self.model.at_once(self.turn, self.workers)
    }

    /// Whether there are other workers, who are waited for.
    pub fn is_shared(&self) -> bool {
        self.workers > 1
    }
}
