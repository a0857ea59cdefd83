//! What steps of one scenario share: the world, the open terminals, and the
//! record of what went over the wire.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use serde_json::Value;
use tokio::sync::OnceCell;

use super::running::Running;
use super::shell::Curl;
use super::terminal::Terminal;
use crate::redact::Redactor;
use crate::world::World;
use crate::world::exhausted::Exhausted;
use crate::world::kube_error::kube_error;
use crate::world::roads::RoadError;

/// How long the harness waits for an answer before it says that there was none.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// For a TCP connection and TLS.
    pub connect: Duration,
    /// For an HTTP answer, or the answer to an upgrade.
    pub answer: Duration,
    /// For what was typed to be on the screen.
    pub screen: Duration,
    /// For a session, a rollout or a pod to be ready.
    pub ready: Duration,
    /// Between two looks at a session that is being made: at first, and at most.
    pub pause: (Duration, Duration),
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            connect: Duration::from_secs(5),
            answer: Duration::from_secs(5),
            screen: Duration::from_secs(5),
            ready: Duration::from_secs(30),
            pause: (Duration::from_millis(2), Duration::from_millis(250)),
        }
    }
}

impl Limits {
    /// Where each connection goes through an API server, and pods are containers.
    pub fn of_a_cluster() -> Limits {
        Limits {
            connect: Duration::from_secs(15),
            answer: Duration::from_secs(15),
            screen: Duration::from_secs(15),
            ready: Duration::from_secs(180),
            // A pod takes a second or more, and each look has a way of its own through the API server and the node.
            pause: (Duration::from_millis(200), Duration::from_millis(400)),
        }
    }
}

/// Why a step could not be carried out: the harness could not tell.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct StepError(pub String);

impl StepError {
    /// `asking what: what the cluster said`.
    pub fn asking(what: impl std::fmt::Display, error: impl std::error::Error + 'static) -> StepError {
        Exhausted::note(&error);
        StepError(format!("{what}: {}", kube_error(&error)))
    }

    /// Whether an error is for the step to observe, as one of the other side's doing is.
    ///
    /// # Errors
    /// This machine ran out of something, which says nothing of the platform.
    pub fn unless_exhausted(
        doing: impl std::fmt::Display,
        error: &(dyn std::error::Error + 'static),
    ) -> Result<(), StepError> {
        match Exhausted::note(error) {
            Some(_) => Err(StepError(format!("{doing}: {}", kube_error(error)))),
            None => Ok(()),
        }
    }

    /// `doing what: what came back`.
    pub fn doing(doing: impl std::fmt::Display, error: impl std::fmt::Display) -> StepError {
        StepError(format!("{doing}: {error}"))
    }
}

/// A step's action and observation.
#[derive(Clone, Debug)]
pub struct Observation {
    /// What it did, in words: `attach session 4f2a through the proxy`.
    pub what: String,
    /// The fields that predicates and templates name.
    pub value: Value,
}

/// One exchange over the wire, as text.
#[derive(Clone, Debug)]
pub struct Exchange {
    /// What it was for: `attach through the proxy`.
    pub title: String,
    /// What was sent and received, in order.
    pub text: String,
    /// The same request for a person to paste.
    pub curl: Option<Curl>,
    /// Addresses of the pods that had a part in it: the door's, and the one that it was about.
    pub parties: Vec<IpAddr>,
}

/// An answer that was not 2xx, or a redirect: where secrets must not be.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    /// Head and body.
    pub text: String,
    pub location: Option<String>,
}

/// A JWT that a step made.
#[derive(Clone, Debug)]
pub struct MadeToken {
    pub token: String,
    pub signature: String,
    /// The command that makes one like it.
    pub command: String,
}

/// A line of a container's log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    pub pod: String,
    pub container: String,
    /// Of the container before it was started again.
    pub previous: bool,
    /// From 1.
    pub line: usize,
}

/// What steps of one scenario share.
pub struct StepContext {
    pub world: Arc<World>,
    pub redactor: Redactor,
    pub limits: Limits,
    /// The agent that sessions are made with.
    pub agent: OnceCell<String>,
    /// Sessions that were made and not deleted.
    sessions: Mutex<Vec<String>>,
    terminals: Mutex<Vec<Arc<Terminal>>>,
    exchanges: Mutex<Vec<Exchange>>,
    /// Loads that go on beside other steps.
    loads: Mutex<Vec<Arc<Running>>>,
    /// The result of the last load, as JSON.
    load: Mutex<Option<String>>,
    answers: Mutex<Vec<Answer>>,
    tokens: Mutex<Vec<MadeToken>>,
    /// Where the last search found something in logs.
    found: Mutex<Vec<LogLine>>,
}

/// Exchanges that are kept: a polled step would fill the memory otherwise.
const EXCHANGES_KEPT: usize = 40;

impl StepContext {
    pub fn new(world: Arc<World>, redactor: Redactor, limits: Limits) -> StepContext {
        StepContext {
            world,
            redactor,
            limits,
            agent: OnceCell::new(),
            sessions: Mutex::default(),
            terminals: Mutex::default(),
            exchanges: Mutex::default(),
            loads: Mutex::default(),
            load: Mutex::default(),
            answers: Mutex::default(),
            tokens: Mutex::default(),
            found: Mutex::default(),
        }
    }

    /// Remembers a session that was made.
    pub fn made_session(&self, id: &str) {
        lock(&self.sessions).push(id.to_owned());
    }

    /// Forgets a session that is deleted.
    pub fn deleted_session(&self, id: &str) {
        lock(&self.sessions).retain(|known| known != id);
    }

    /// Sessions that were made and not deleted.
    pub fn sessions_left(&self) -> Vec<String> {
        lock(&self.sessions).clone()
    }

    /// Keeps a terminal open for later steps; the number is how they name it.
    pub fn keep_terminal(&self, terminal: Terminal) -> usize {
        let mut terminals = lock(&self.terminals);
        terminals.push(Arc::new(terminal));
        terminals.len() - 1
    }

    /// The terminal that an observation of `attach` names.
    pub fn terminal(&self, observed: &Value) -> Result<Arc<Terminal>, StepError> {
        let number = observed["terminal"].as_u64();
        number
            .and_then(|n| lock(&self.terminals).get(n as usize).cloned())
            .ok_or_else(|| {
                StepError(
                    "this is not an open terminal: it takes what an `attach` that opened was bound to with `as`".into(),
                )
            })
    }

    /// Closes all terminals.
    pub fn drop_terminals(&self) {
        lock(&self.terminals).clear();
    }

    pub fn record(&self, exchange: Exchange) {
        let mut exchanges = lock(&self.exchanges);
        if exchanges.len() == EXCHANGES_KEPT {
            exchanges.remove(0);
        }
        exchanges.push(exchange);
    }

    /// Records that there was no way to a door, and says so as steps observe it.
    pub fn record_no_door(&self, what: &str, gone: &RoadError) -> String {
        self.record(Exchange {
            title: what.to_owned(),
            text: format!("({gone})\n"),
            curl: None,
            parties: Vec::new(),
        });
        gone.to_string()
    }

    /// Has a load go on beside later steps; the number is how they name it.
    pub fn keep_load_running(&self, load: Running) -> usize {
        let mut loads = lock(&self.loads);
        loads.push(Arc::new(load));
        loads.len() - 1
    }

    /// The load that an observation of `load` names.
    pub fn running_load(&self, observed: &Value) -> Result<Arc<Running>, StepError> {
        let number = observed["running"].as_u64();
        number
            .and_then(|n| lock(&self.loads).get(n as usize).cloned())
            .ok_or_else(|| {
                StepError(
                    "this is not a load in the background: it takes the result that a `load` with `until-open` got with `as`"
                        .into(),
                )
            })
    }

    /// Stops the loads that still go on.
    pub fn stop_loads(&self) {
        lock(&self.loads).iter().for_each(|load| load.stop());
    }

    /// Keeps the result of a load, as JSON; that of the last one is what a verdict rests on.
    pub fn keep_load(&self, result: String) {
        *lock(&self.load) = Some(result);
    }

    /// The result of the last load, as JSON.
    pub fn last_load(&self) -> Option<String> {
        lock(&self.load).clone()
    }

    /// Keeps an answer that was not 2xx.
    pub fn record_answer(&self, answer: Answer) {
        let mut answers = lock(&self.answers);
        if !(200..300).contains(&answer.status) && answers.len() < 1000 {
            answers.push(answer);
        }
    }

    /// Keeps an answer as it was observed: `status`, `header`, `text`. Without a status there was none.
    pub fn record_observed(&self, answer: &Value) {
        let Some(status) = answer["status"].as_u64().and_then(|status| u16::try_from(status).ok()) else {
            return;
        };
        let text = answer["text"].as_str().unwrap_or_default();
        self.record_answer(Answer {
            status,
            text: format!("HTTP/1.1 {status}\n{}\n{text}", answer["header"]),
            location: answer["header"]["location"].as_str().map(str::to_owned),
        });
    }

    /// Remembers a JWT that was made.
    pub fn made_token(&self, made: MadeToken) {
        lock(&self.tokens).push(made);
    }

    /// JWTs that were made so far.
    pub fn tokens(&self) -> Vec<MadeToken> {
        lock(&self.tokens).clone()
    }

    /// Remembers where a search found something in logs.
    pub fn found_in_logs(&self, lines: Vec<LogLine>) {
        *lock(&self.found) = lines;
    }

    /// Where the last search found something in logs.
    pub fn lines_found(&self) -> Vec<LogLine> {
        lock(&self.found).clone()
    }

    /// Answers that were not 2xx so far.
    pub fn answers(&self) -> Vec<Answer> {
        lock(&self.answers).clone()
    }

    /// What went over the wire so far, the last exchanges of it.
    pub fn exchanges(&self) -> Vec<Exchange> {
        lock(&self.exchanges).clone()
    }
}

/// A lock whose holder panicked still guards whole data: each holder does one push or read.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use rustix::io::Errno;

    use super::*;

    #[test]
    fn what_this_machine_lacks_is_no_observation() {
        let broken =
            |errno: Errno| StepError::unless_exhausted("GET / at 127.0.0.1:3000", &std::io::Error::from(errno));
        assert!(broken(Errno::CONNRESET).is_ok() && broken(Errno::CONNREFUSED).is_ok());
        let error = broken(Errno::ADDRNOTAVAIL).expect_err("no port is left");
        insta::assert_snapshot!(error, @"GET / at 127.0.0.1:3000: Cannot assign requested address (os error 99): this machine has no port left to connect from (EADDRNOTAVAIL): widen `sysctl net.ipv4.ip_local_port_range`, or run fewer scenarios at once with `--jobs`");
    }
}
