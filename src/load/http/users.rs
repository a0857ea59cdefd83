//! Goose's users: their shared state and their requests.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use goose::prelude::{GooseRequest, GooseUser, TransactionResult};
use hdrhistogram::CreationError;
use reqwest::RequestBuilder;
use serde_json::json;

use super::answer::{NoAnswer, WrongAnswer, body, failure, first_agent, id_of, status_of};
use super::judge::{Call, Judgement, Record};
use super::{Api, Measured, Site, Task};
use crate::trust::{Trust, TrustError};

/// How often it is asked whether a session is ready.
const POLL: Duration = Duration::from_millis(100);

/// The title of sessions that it makes.
const SESSION: &str = "gauntlet load";

/// One task of a user.
#[derive(Clone, Copy)]
pub enum Act {
    /// Asks once.
    Ask(Call),
    /// Makes a session, waits until it is ready, restarts it, and deletes it.
    Session,
}

impl Act {
    pub const OF_API: [(Act, usize); 4] = [
        (Act::Ask(Call::ListAgents), 4),
        (Act::Ask(Call::AgentsWithoutKey), 1),
        (Act::Ask(Call::ListSessions), 4),
        (Act::Session, 1),
    ];
    /// As often without a JWT that opens as with one.
    pub const OF_MODELS: [(Act, usize); 6] = [
        (Act::Ask(Call::Models), 3),
        (Act::Ask(Call::ModelsBadJwt), 1),
        (Act::Ask(Call::ModelsWithoutJwt), 1),
        (Act::Ask(Call::AgentList), 3),
        (Act::Ask(Call::AgentListBadJwt), 1),
        (Act::Ask(Call::AgentListWithoutJwt), 1),
    ];
    pub const OF_INACTIVE: [(Act, usize); 2] = [
        (Act::Ask(Call::ModelsInactive), 1),
        (Act::Ask(Call::AgentListInactive), 1),
    ];
}

/// Says of a user that it has the client of here.
#[derive(Clone)]
struct Prepared;

/// What all users share.
pub struct Users {
    pub task: Task,
    tls: rustls::ClientConfig,
    pub stopping: AtomicBool,
    /// Requests that are under way.
    asking: AtomicU64,
    record: Mutex<Record>,
    /// An agent that sessions can be of.
    agent: Mutex<Option<String>>,
    /// Sessions that were made here and are still there.
    sessions: Mutex<BTreeSet<String>>,
    /// Requests that couldn't be sent, and why.
    notes: Mutex<BTreeSet<&'static str>>,
}

/// The data stays valid if another user has panicked.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Task {
    pub fn sites(&self) -> impl Iterator<Item = &Site> {
        let api = self.api.iter().map(|api| &api.site);
        api.chain(self.models.iter().map(|models| &models.site))
    }

    /// All that will be asked, each with its API's path.
    fn calls(&self) -> Vec<(Call, &str)> {
        let mut calls = Vec::new();
        if let Some(api) = &self.api {
            calls.extend(Call::OF_API.map(|call| (call, api.site.path.as_str())));
        }
        if let Some(models) = &self.models {
            let path = models.site.path.as_str();
            calls.extend(Call::OF_MODELS.map(|call| (call, path)));
            if models.inactive.is_some() {
                calls.extend(Call::OF_INACTIVE.map(|call| (call, path)));
            }
        }
        calls
    }
}

/// Why this machine can be no users.
#[derive(Debug, thiserror::Error)]
pub enum UsersError {
    /// The command line's certificate authorities, or this machine's.
    #[error(transparent)]
    Trust(#[from] TrustError),
    #[error(transparent)]
    Histogram(#[from] CreationError),
    #[error("making an HTTP client: {0}")]
    Client(#[source] reqwest::Error),
}

impl Users {
    pub fn new(task: Task) -> Result<Users, UsersError> {
        let trust = match (task.sites().any(|site| site.tls), task.insecure) {
            (false, _) => Trust::Nothing,
            (true, true) => Trust::Anybody,
            (true, false) => Trust::Machine { and: task.ca.clone() },
        };
        let users = Users {
            tls: trust.client_config()?,
            stopping: AtomicBool::new(false),
            asking: AtomicU64::new(0),
            record: Mutex::new(Record::new(task.calls())?),
            agent: Mutex::new(None),
            sessions: Mutex::new(BTreeSet::new()),
            notes: Mutex::new(BTreeSet::new()),
            task,
        };
        // Where none can be made it is known before anybody begins.
        users.client().build().map_err(UsersError::Client)?;
        Ok(users)
    }

    /// It goes exactly where it was told: no redirect, no proxy, no retry, no repeated name lookup.
    fn client(&self) -> reqwest::ClientBuilder {
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .no_gzip()
            .retry(reqwest::retry::never())
            .http1_only()
            .timeout(self.task.deadline)
            .tls_backend_preconfigured(self.tls.clone());
        self.task.sites().fold(client, |client, site| {
            client.resolve_to_addrs(&site.host, &site.addresses)
        })
    }

    fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::SeqCst)
    }

    pub async fn act(&self, user: &mut GooseUser, act: Act) -> TransactionResult {
        if self.is_stopping() {
            return Ok(());
        }
        if user.get_session_data::<Prepared>().is_none() {
            user.set_client_builder(self.client()).await?;
            user.set_session_data(Prepared);
        }
        match act {
            Act::Ask(Call::ListAgents) => {
                self.list_agents(user).await;
            }
            Act::Ask(call) => {
                if let Some(request) = self.request(user, call, "") {
                    self.ask(user, call, request, |_| Ok(())).await;
                }
            }
            Act::Session => self.session(user).await,
        }
        Ok(())
    }

    /// The request of a kind, of this agent or session; none if its API isn't asked.
    fn request(&self, user: &GooseUser, call: Call, id: &str) -> Option<RequestBuilder> {
        let (api, models) = (self.task.api.as_ref(), self.task.models.as_ref());
        let to = |site: &Site| format!("{}{}{}", site.origin, site.path, call.place().1.replace(":id", id));
        let client = &user.client;
        let keyed = |api: &Api, request: RequestBuilder| request.bearer_auth(&api.key);
        Some(match call {
            Call::ListAgents | Call::GetSession | Call::SessionReady => {
                let api = api?;
                keyed(api, client.get(to(&api.site)))
            }
            Call::ListSessions => {
                let api = api?;
                keyed(api, client.get(to(&api.site) + "?limit=20"))
            }
            Call::CreateSession => {
                let api = api?;
                keyed(api, client.post(to(&api.site)).json(&json!({ "title": SESSION })))
            }
            Call::RestartSession => {
                let api = api?;
                keyed(api, client.post(to(&api.site)))
            }
            Call::DeleteSession => {
                let api = api?;
                keyed(api, client.delete(to(&api.site)))
            }
            Call::AgentsWithoutKey => client.get(to(&api?.site)),
            Call::Models | Call::AgentList => client.get(to(&models?.site)).bearer_auth(&models?.jwt),
            Call::ModelsBadJwt | Call::AgentListBadJwt => client.get(to(&models?.site)).bearer_auth(&models?.bad),
            Call::ModelsWithoutJwt | Call::AgentListWithoutJwt => client.get(to(&models?.site)),
            Call::ModelsInactive | Call::AgentListInactive => {
                client.get(to(&models?.site)).bearer_auth(models?.inactive.as_ref()?)
            }
        })
    }

    /// Asks through goose, and counts what came; returns what was read of an answer that is right.
    ///
    /// The time is from when the request was sent until its answer was read, measured around goose's request: goose
    /// itself stops at the answer's head, and rounds.
    async fn ask<T>(
        &self,
        user: &mut GooseUser,
        call: Call,
        request: RequestBuilder,
        read: fn(&[u8]) -> Result<T, WrongAnswer>,
    ) -> Option<T> {
        let request = GooseRequest::builder()
            .name(call.name())
            .set_request_builder(request)
            .build();
        self.asking.fetch_add(1, Ordering::SeqCst);
        let began = Instant::now();
        let answer = match user.request(request).await {
            Ok(asked) => match asked.response {
                Ok(response) => Ok((response.status().as_u16(), body(response).await)),
                Err(error) => Err(failure(&error)),
            },
            Err(error) => Err(NoAnswer::Goose(error)),
        };
        let took = began.elapsed();
        self.asking.fetch_sub(1, Ordering::SeqCst);
        let mut record = lock(&self.record);
        let (status, body) = match answer {
            Ok(answer) => answer,
            Err(why) => {
                record.failed(call, None, &why.to_string());
                return None;
            }
        };
        // What the status says of a door stands, also where the rest of the answer is lost.
        if call.judge(status) != Judgement::Right {
            record.answered(call, status, took);
            return None;
        }
        match body.and_then(|body| read(&body).map_err(NoAnswer::from)) {
            Ok(read) => {
                record.answered(call, status, took);
                Some(read)
            }
            Err(why) => {
                record.failed(call, Some(status), &why.to_string());
                None
            }
        }
    }

    /// Whether the answer was the expected one.
    async fn list_agents(&self, user: &mut GooseUser) -> bool {
        let Some(request) = self.request(user, Call::ListAgents, "") else {
            return false;
        };
        let Some(agent) = self.ask(user, Call::ListAgents, request, first_agent).await else {
            return false;
        };
        *lock(&self.agent) = agent;
        true
    }

    async fn session(&self, user: &mut GooseUser) {
        let known = lock(&self.agent).clone();
        let agent = match known {
            Some(agent) => agent,
            None => {
                let listed = self.list_agents(user).await;
                let known = lock(&self.agent).clone();
                match known {
                    Some(agent) => agent,
                    None => {
                        // What went wrong with the list is counted with it.
                        if listed {
                            lock(&self.notes).insert("no session was made: no agent is there that it could be of");
                        }
                        return;
                    }
                }
            }
        };
        let Some(request) = self.request(user, Call::CreateSession, &agent) else {
            return;
        };
        let began = Instant::now();
        let Some(id) = self.ask(user, Call::CreateSession, request, id_of).await else {
            return;
        };
        lock(&self.sessions).insert(id.clone());
        // One that isn't ready may be refused a restart.
        if self.await_ready(user, &id, began).await
            && let Some(request) = self.request(user, Call::RestartSession, &id)
        {
            self.ask(user, Call::RestartSession, request, |_| Ok(())).await;
        }
        let Some(request) = self.request(user, Call::DeleteSession, &id) else {
            return;
        };
        if self.ask(user, Call::DeleteSession, request, |_| Ok(())).await.is_some() {
            lock(&self.sessions).remove(&id);
        }
    }

    /// Waits until a session is ready, can't become so, or nobody wants to know any more; says whether it is ready.
    async fn await_ready(&self, user: &mut GooseUser, id: &str, began: Instant) -> bool {
        while !self.is_stopping() {
            let Some(request) = self.request(user, Call::GetSession, id) else {
                return false;
            };
            // Without an answer, or with a wrong one, it is counted already.
            let Some(status) = self.ask(user, Call::GetSession, request, status_of).await else {
                return false;
            };
            if self.is_over(&status, began.elapsed()) {
                return status == "ready";
            }
            tokio::time::sleep(POLL).await;
        }
        false
    }

    /// Whether it is known what becomes of a session; it is counted then.
    fn is_over(&self, status: &str, took: Duration) -> bool {
        let mut record = lock(&self.record);
        match status {
            "ready" => record.reached(Call::SessionReady, took),
            "failed" | "dead" => record.failed(Call::SessionReady, None, &format!("the session is {status}")),
            _ if took > self.task.deadline => {
                record.failed(Call::SessionReady, None, "the session was not ready in time");
            }
            _ => return false,
        }
        true
    }

    pub fn measured(&self) -> Measured {
        let (requests, examples, seconds) = lock(&self.record).end();
        Measured {
            seconds,
            requests,
            examples,
            left: lock(&self.sessions).iter().cloned().collect(),
            notes: lock(&self.notes).iter().map(|note| (*note).to_owned()).collect(),
            unanswered: self.asking.load(Ordering::SeqCst),
        }
    }
}
