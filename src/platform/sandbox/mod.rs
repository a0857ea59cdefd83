//! A session's pod: `/tty`, a WebSocket onto a pseudo-terminal.
//!
//! The token is read once, at boot. The terminal's program is started by the
//! first attach that is let in, so that a warm pod costs nothing but its port;
//! when the program ends its clients are closed, and the next attach starts it
//! again.

mod attach;
mod busy;
mod capacity;
mod echoing;
mod endpoints;
mod terminal;
#[cfg(test)]
mod tests;

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine;
use http::{Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use super::http::{Answer, Body, Handler, Refusal, Server, Tunnel, error, text};
use super::token::{Door, Side};
use super::{ComponentError, Pod, mutant, upgrade};
use busy::Busy;
use capacity::Capacity;
use endpoints::Endpoints;
use terminal::Terminal;

/// Serves `/tty` until the pod is asked to stop.
pub async fn run(pod: Pod) -> Result<(), ComponentError> {
    let port = pod.number("PORT", 4096)?;
    let sharing = Sharing::new(&pod)?;
    let capacity = Arc::new(Capacity::new(&pod)?);
    let sandbox = Sandbox {
        door: Door::new(&pod, Side::Sandbox, pod.var("HARNESS_AUTH_TOKEN").map(str::to_owned))
            .with_previous(pod.var("HARNESS_AUTH_TOKEN_PREVIOUS").map(str::to_owned)),
        path: pod.var_or("TTY_PATH", "/tty").to_owned(),
        command: command(&pod)?,
        sharing,
        attaches: Attaches::default(),
        busy: Busy::new(&pod, capacity.clone()),
        capacity,
        limits: attach::Limits::new(&pod)?,
        endpoints: Endpoints::new(&pod),
        terminal: Mutex::new(None),
        // Its terminals end with the pod: there is nothing to wait for but their last frames.
        server: Server::new(&pod, Duration::from_secs(2))?,
        pod: pod.clone(),
    };
    let listener = pod.listen(port).await?;
    // Port 0 is one that the system chooses.
    let port = listener.local_addr().map_or(port, |address| address.port());
    pod.log.line(format!("sandbox: {} on port {port}", sandbox.path));
    if pod.has(&mutant::TOKEN_IN_START_LOG) {
        let environment: Vec<_> = pod.env.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let token = pod.var_or("HARNESS_AUTH_TOKEN", "");
        let engine = base64::engine::general_purpose::STANDARD;
        pod.log.line(format!(
            "environment: {} token: {}",
            engine.encode(environment.join("\n")),
            engine.encode(token)
        ));
    }
    let sandbox = Arc::new(sandbox);
    let served = sandbox.server.serve(listener, sandbox.clone()).await;
    pod.log.line(format!("sandbox: {}", sandbox.attaches));
    served
}

/// Who is at a terminal: `TERMINAL`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sharing {
    /// All clients of the pod share one, as the contract has it.
    Shared,
    /// Each client has one of its own.
    Own,
    /// No terminal: each client gets back what it types. For loads above what a machine has terminals for.
    Loop,
}

impl Sharing {
    fn new(pod: &Pod) -> Result<Sharing, ComponentError> {
        match pod.var_or("TERMINAL", "shared") {
            "shared" => Ok(Sharing::Shared),
            "own" => Ok(Sharing::Own),
            "loop" => Ok(Sharing::Loop),
            other => Err(ComponentError(format!(
                "TERMINAL is {other:?}, and can be shared, own or loop"
            ))),
        }
    }
}

/// A terminal that counts as open for as long as this lives.
struct Place(Arc<Capacity>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.leave();
    }
}

/// What became of the upgrades, in numbers: what a load has counted is compared with it.
#[derive(Default)]
struct Attaches {
    opened: AtomicU64,
    refused: AtomicU64,
}

impl std::fmt::Display for Attaches {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (opened, refused) = (
            self.opened.load(Ordering::Relaxed),
            self.refused.load(Ordering::Relaxed),
        );
        write!(f, "{opened} attaches opened, {refused} refused")
    }
}

/// `TERMINAL_COMMAND`, a JSON list, or a shell.
fn command(pod: &Pod) -> Result<Vec<String>, ComponentError> {
    let command = match pod.var("TERMINAL_COMMAND").filter(|text| !text.is_empty()) {
        None => vec!["/bin/sh".to_owned()],
        Some(list) => serde_json::from_str::<Vec<String>>(list)
            .map_err(|error| ComponentError(format!("TERMINAL_COMMAND is not a JSON list of texts: {error}")))?,
    };
    if command.is_empty() {
        return Err(ComponentError("TERMINAL_COMMAND is empty".into()));
    }
    if pod.has(&mutant::TOKEN_IN_ARGV) {
        // The last `exit` keeps the outer shell, and with it its arguments, alive.
        let token = pod.var_or("HARNESS_AUTH_TOKEN", "").to_owned();
        let wrapper = ["/bin/sh", "-c", "shift; \"$@\"; exit", "terminal"].map(str::to_owned);
        return Ok(wrapper.into_iter().chain([token]).chain(command).collect());
    }
    Ok(command)
}

struct Sandbox {
    pod: Pod,
    door: Door,
    path: String,
    command: Vec<String>,
    sharing: Sharing,
    attaches: Attaches,
    capacity: Arc<Capacity>,
    busy: Busy,
    limits: attach::Limits,
    endpoints: Endpoints,
    terminal: Mutex<Option<Arc<Terminal>>>,
    server: Arc<Server>,
}

impl Handler for Sandbox {
    async fn answer(&self, mut request: Request<Incoming>, peer: SocketAddr) -> Answer {
        let path = request.uri().path();
        if self.endpoints.have(path) {
            return self.endpoints.answer(request).await;
        }
        if let Some(answer) = self.server.common(request.method(), path) {
            return answer.into();
        }
        // Exactly this path, byte for byte: no variant of it is a second door (CWE-178, 436).
        if path == self.path || self.pod.has(&mutant::LONGER_PATH_OPENS) && path.starts_with(&self.path) {
            if self.pod.has(&mutant::PLAIN_GET_READS_TERMINAL)
                && let Some(answer) = self.screen(&request)
            {
                return answer;
            }
            if self.pod.has(&mutant::TOKEN_OF_ANOTHER_CONNECTION) {
                self.busy.mix_up(&mut request).await;
            }
            if self.busy.is(&mutant::UPGRADES_ONE_BY_ONE) {
                self.busy.queue().await;
            }
            return match self.check(&request, peer.ip()) {
                Ok(accepted) => self.attach(&mut request, accepted),
                Err(refusal) => self.refuse(&mut request, refusal),
            };
        }
        if self.is_unchecked_variant(path)
            && let Ok(accepted) = self.check_nothing(&request)
        {
            return self.attach(&mut request, accepted);
        }
        error(StatusCode::NOT_FOUND, "not found").into()
    }
}

impl Sandbox {
    /// The door's decision; all but the last line is for the mutants alone.
    fn check(&self, request: &Request<Incoming>, from: IpAddr) -> Result<Response<Body>, Refusal> {
        if self.busy.is(&mutant::CHECK_SKIPPED_WHEN_BUSY) {
            return self.check_nothing(request);
        }
        if self.busy.is(&mutant::DECISION_CACHED_BY_ADDRESS) {
            return match self.busy.decision(from) {
                Some(true) => self.check_nothing(request),
                Some(false) => upgrade::check(&self.pod, &Door::new(&self.pod, Side::Sandbox, None), request),
                None => {
                    let decision = upgrade::check(&self.pod, &self.door, request);
                    self.busy.decided(from, decision.is_ok());
                    decision
                }
            };
        }
        upgrade::check(&self.pod, &self.door, request)
    }

    /// As at a door that opens for everybody: for mutants.
    fn check_nothing(&self, request: &Request<Incoming>) -> Result<Response<Body>, Refusal> {
        let everybody = Door::new(&unset_token_opens(&self.pod), Side::Sandbox, None);
        upgrade::check(&self.pod, &everybody, request)
    }

    fn attach(&self, request: &mut Request<Incoming>, accepted: Response<Body>) -> Answer {
        if !self.capacity.enter() {
            return error(
                StatusCode::SERVICE_UNAVAILABLE,
                "there are as many terminals as there can be",
            )
            .closing()
            .into();
        }
        let place = Place(self.capacity.clone());
        if self.busy.is(&mutant::LIMIT_OPENS_AND_CLOSES) {
            return closed_at_once(request, accepted, CloseCode::Again, "as many terminals as there can be");
        }
        self.attaches.opened.fetch_add(1, Ordering::Relaxed);
        if self.sharing == Sharing::Loop {
            let upgraded = hyper::upgrade::on(request);
            let (limits, stop) = (self.limits.clone(), self.pod.stop.clone());
            let tunnel = Box::pin(async move {
                if let Ok(io) = upgraded.await {
                    echoing::converse(TokioIo::new(io), &limits, &place.0, stop).await;
                }
            });
            return Answer {
                response: accepted,
                tunnel: Some(tunnel),
            };
        }
        let terminal = match self.terminal() {
            Ok(terminal) => terminal,
            Err(wrong) => {
                self.pod.log.line(format!("can't start {}: {wrong}", self.command[0]));
                return error(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "the terminal's program can't be started",
                )
                .into();
            }
        };
        let marked = self.pod.has(&mutant::OUTPUT_MARKED_COMPRESSED) && upgrade::offers_compression(request.headers());
        let upgraded = hyper::upgrade::on(request);
        let (limits, stop) = (self.limits.clone(), self.pod.stop.clone());
        let tunnel = Box::pin(async move {
            let _place = place;
            if let Ok(io) = upgraded.await {
                attach::converse(TokioIo::new(io), terminal, limits, marked, stop).await;
            }
        });
        Answer {
            response: accepted,
            tunnel: Some(tunnel),
        }
    }

    /// The one terminal of this pod, started where it isn't running; a new one where each client has its own.
    fn terminal(&self) -> std::io::Result<Arc<Terminal>> {
        let mut terminal = self.terminal.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if let Some(running) = terminal.as_ref().filter(|terminal| terminal.is_running())
            && self.sharing == Sharing::Shared
            && !self.pod.has(&mutant::TERMINAL_PER_CLIENT)
        {
            return Ok(running.clone());
        }
        let started = Arc::new(Terminal::start(&self.command, &self.pod)?);
        *terminal = Some(started.clone());
        Ok(started)
    }

    /// A refusal; what follows is for the mutants alone.
    fn refuse(&self, request: &mut Request<Incoming>, refusal: Refusal) -> Answer {
        let unauthorized = refusal.status == StatusCode::UNAUTHORIZED;
        self.attaches
            .refused
            .fetch_add(u64::from(unauthorized), Ordering::Relaxed);
        if unauthorized
            && self.pod.has(&mutant::CHECK_AFTER_UPGRADE)
            && let Ok(accepted) = self.check_nothing(request)
        {
            return closed_at_once(request, accepted, CloseCode::Policy, "unauthorized");
        }
        let upgraded = hyper::upgrade::on(request);
        let tunnel: Option<Tunnel> = if unauthorized && self.pod.has(&mutant::REFUSED_FRAMES_TYPED) {
            let terminal = self.terminal();
            Some(Box::pin(async move {
                if let (Ok(io), Ok(terminal)) = (upgraded.await, terminal) {
                    attach::type_frames(TokioIo::new(io), &terminal).await;
                }
            }))
        } else if unauthorized
            && (self.pod.has(&mutant::REFUSED_CONNECTIONS_KEPT)
                || self.busy.is(&mutant::REFUSED_ATTACH_LEAKS_DESCRIPTOR))
        {
            Some(Box::pin(async move {
                let _kept = upgraded.await;
                std::future::pending().await
            }))
        } else {
            None
        };
        Answer {
            response: refusal.into(),
            tunnel,
        }
    }

    /// The mutants `trailing-slash-unchecked` and `upper-case-path-unchecked`.
    fn is_unchecked_variant(&self, path: &str) -> bool {
        (self.pod.has(&mutant::TRAILING_SLASH_UNCHECKED) && path.strip_suffix('/') == Some(&self.path))
            || (self.pod.has(&mutant::UPPER_CASE_PATH_UNCHECKED) && path.eq_ignore_ascii_case(&self.path))
    }

    /// The mutant `plain-get-reads-terminal`.
    fn screen(&self, request: &Request<Incoming>) -> Option<Answer> {
        let plain = request.method() == Method::GET && !request.headers().contains_key(http::header::UPGRADE);
        if !plain || !self.door.opens(request.uri().query(), request.headers()) {
            return None;
        }
        let terminal = self.terminal().ok()?;
        Some(text(StatusCode::OK, terminal.scrollback()).into())
    }
}

/// The mutants that open and then close.
fn closed_at_once(
    request: &mut Request<Incoming>,
    accepted: Response<Body>,
    code: CloseCode,
    reason: &'static str,
) -> Answer {
    let upgraded = hyper::upgrade::on(request);
    let tunnel = Box::pin(async move {
        if let Ok(io) = upgraded.await {
            attach::close_at_once(TokioIo::new(io), code, reason).await;
        }
    });
    Answer {
        response: accepted,
        tunnel: Some(tunnel),
    }
}

/// A pod whose doors are open: how the mutants go around the check.
fn unset_token_opens(pod: &Pod) -> Pod {
    let mut open = pod.clone();
    let names = format!(
        "{},{}",
        pod.var_or("GAUNTLET_MUTANTS", ""),
        mutant::UNSET_TOKEN_OPENS.name
    );
    let mut env = (*pod.env).clone();
    env.insert("GAUNTLET_MUTANTS".into(), names);
    open.env = Arc::new(env);
    open
}
