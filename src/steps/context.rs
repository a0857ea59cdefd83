//! What steps of one scenario share: the world, the open terminals, and the
//! record of what went over the wire.

use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::sync::OnceCell;

use super::limits::Limits;
use super::lock::lock;
use super::observation::StepError;
use super::running::Running;
use super::shell::Curl;
use super::terminal::Terminal;
use crate::redact::Redactor;
use crate::world::World;
use crate::world::roads::RoadError;

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

/// The agent that sessions are made with.
pub struct Agent {
    pub id: String,
    /// Its name, if it was chosen among several.
    pub chosen: Option<String>,
}

/// What steps of one scenario share.
pub struct StepContext {
    pub world: Arc<World>,
    pub redactor: Redactor,
    pub limits: Limits,
    /// Known once a session was made.
    pub agent: OnceCell<Agent>,
    /// Sessions that were made and not deleted.
    sessions: Mutex<Vec<String>>,
    terminals: Mutex<Vec<Arc<Terminal>>>,
    exchanges: Mutex<Vec<Exchange>>,
    /// When the last of them was over.
    exchanged: Mutex<Option<Instant>>,
    /// Loads that go on beside other steps.
    loads: Mutex<Vec<Arc<Running>>>,
    /// The result of the last load, as JSON.
    load: Mutex<Option<String>>,
    answers: Mutex<Vec<Answer>>,
    tokens: Mutex<Vec<MadeToken>>,
    /// Where the last search found something in logs.
    found: Mutex<Vec<LogLine>>,
    /// How long attaches took that opened.
    attaches: Mutex<Vec<Duration>>,
}

/// Exchanges that are kept: a polled step would fill the memory otherwise.
const EXCHANGES_KEPT: usize = 40;

/// Times of attaches that are kept, for the same reason.
const ATTACHES_KEPT: usize = 1000;

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
            exchanged: Mutex::default(),
            loads: Mutex::default(),
            load: Mutex::default(),
            answers: Mutex::default(),
            tokens: Mutex::default(),
            found: Mutex::default(),
            attaches: Mutex::default(),
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
                StepError::Because(
                    "this is not an open terminal: it takes what an `attach` that opened was bound to with `as`".into(),
                )
            })
    }

    /// Remembers how long an attach took that opened.
    pub fn attached(&self, took: Duration) {
        let mut attaches = lock(&self.attaches);
        if attaches.len() < ATTACHES_KEPT {
            attaches.push(took);
        }
    }

    /// How long attaches took that opened, in their order.
    pub fn attaches(&self) -> Vec<Duration> {
        lock(&self.attaches).clone()
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
        *lock(&self.exchanged) = Some(Instant::now());
    }

    /// How long ago the last exchange over the wire was; none if there was none.
    pub fn since_last_exchange(&self) -> Option<Duration> {
        lock(&self.exchanged).map(|at| at.elapsed())
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
                StepError::Because(
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
