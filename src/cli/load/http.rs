//! The HTTP side of a load: its options, its worker's process, and this process as one.

use std::fs::{File, OpenOptions};
use std::time::Duration;

use clap::{Args, ValueEnum};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout};

use super::agent_service::AgentService;
use super::door::{DoorOptions, NotReady, resolve};
use super::workers::{StartError, start};
use crate::cli::conclude::tell;
use crate::cli::exit::UsageError;
use crate::cli::process::Process;
use crate::load::http::{
    Api, HttpResult, Lost, LostWorker, MISSING, Measured, Models, ServeError, Site, Task, Word, serve,
    with_bad_signature,
};
use crate::load::{Place, PlaceError};
use crate::redact::{Redactor, Secret};

/// The internal command of its worker's process.
pub const WORKER: &str = "load-http-worker";

/// Paths of the contracts, where a URL has none.
const API_PATH: &str = "/api/v1/managed_agents";
pub(super) const AGENTS_PATH: &str = "/api/agents";

/// Time limit for a worker's final report after its grace period.
const LAST_WORD: Duration = Duration::from_secs(10);

/// The users of the session API and the agent service during the load.
#[derive(Clone, Debug, Default, Args)]
pub struct HttpOptions {
    /// HTTP side: concurrent users, each waiting for its answers (closed model)
    #[arg(long, value_name = "N", conflicts_with = "sessions", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub http_users: Option<u32>,
    /// HTTP side: the session API, as http://HOST:PORT; a path replaces /api/v1/managed_agents
    #[arg(long, value_name = "URL", requires = "http_users", requires = "http_key_env")]
    pub http_api: Option<String>,
    /// HTTP side: the environment variable that holds the session API's key
    #[arg(long, value_name = "NAME", requires = "http_api")]
    pub http_key_env: Option<String>,
    /// HTTP side: the agent service behind its gateway, as http://HOST:PORT; a path replaces /api/agents
    #[arg(long, value_name = "URL", requires = "http_users", requires = "http_jwt_env")]
    pub http_models: Option<String>,
    /// HTTP side: the variable that holds a valid JWT
    #[arg(long, value_name = "NAME", requires = "http_models")]
    pub http_jwt_env: Option<String>,
    /// HTTP side: the variable that holds a JWT of role INACTIVE, which must get 403
    #[arg(long, value_name = "NAME", requires = "http_models")]
    pub http_inactive_jwt_env: Option<String>,
    /// HTTP side: the reference platform's agent service behind this gateway, started for it, in place of --http-models;
    /// nginx and envoy must be on PATH
    #[arg(
        long,
        value_name = "GATEWAY",
        value_enum,
        requires = "http_users",
        conflicts_with = "http_models"
    )]
    pub http_gateway: Option<HttpGateway>,
}

/// The gateway before the agent service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum HttpGateway {
    /// gauntlet's own gateway
    Builtin,
    /// nginx with auth_request
    Nginx,
    /// Envoy with ext_authz
    Envoy,
}

impl HttpGateway {
    pub fn name(self) -> &'static str {
        match self {
            HttpGateway::Builtin => "builtin",
            HttpGateway::Nginx => "nginx",
            HttpGateway::Envoy => "envoy",
        }
    }
}

impl HttpOptions {
    /// What its worker is to do; none if there is no HTTP side. Models of the reference platform come when that is up.
    pub async fn task(
        &self,
        door: &DoorOptions,
        process: &Process,
        redactor: &Redactor,
    ) -> Result<Option<Task>, NotReady> {
        let Some(users) = self.http_users else {
            return Ok(None);
        };
        if let Some(why) = MISSING {
            return Err(UsageError(format!("--http-users: {why}")).into());
        }
        if self.http_api.is_none() && self.http_models.is_none() && self.http_gateway.is_none() {
            let why = "--http-users requires --http-api, --http-models or --http-gateway: what they ask";
            return Err(UsageError(why.into()).into());
        }
        let secret = |name: &String| secret(name, process, redactor);
        // Wrong command lines are told before anything is looked up.
        let key = self.http_key_env.as_ref().map(secret).transpose()?;
        let jwt = self.http_jwt_env.as_ref().map(secret).transpose()?;
        let inactive = self.http_inactive_jwt_env.as_ref().map(secret).transpose()?;
        let bad = self.http_jwt_env.as_ref().zip(jwt.as_ref());
        let bad = bad.map(|(name, jwt)| bad_jwt(name, jwt, redactor)).transpose()?;
        let owned = door.i_own_this_target;
        let api = match self.http_api.as_ref().zip(key) {
            Some((url, key)) => Some(Api {
                site: site("--http-api", url, API_PATH, owned).await?,
                key: key.expose().to_owned(),
            }),
            None => None,
        };
        let models = match self.http_models.as_ref().zip(jwt.zip(bad)) {
            Some((url, (jwt, bad))) => Some(Models {
                site: site("--http-models", url, AGENTS_PATH, owned).await?,
                jwt: jwt.expose().to_owned(),
                bad: bad.expose().to_owned(),
                inactive: inactive.map(|inactive| inactive.expose().to_owned()),
            }),
            None => None,
        };
        Ok(Some(Task {
            users,
            api,
            models,
            ca: door.authorities()?,
            insecure: door.insecure,
            deadline: door.deadline,
        }))
    }
}

impl HttpOptions {
    /// Starts the worker of a task, and before it the reference platform's agent service, where that is asked.
    pub async fn start(
        &self,
        mut task: Task,
        door: &DoorOptions,
        process: &Process,
        redactor: &Redactor,
    ) -> Result<Side, NotReady> {
        let Some(gateway) = self.http_gateway else {
            return Ok(Side::start(task, process).await?);
        };
        let agents = AgentService::start(gateway, &door.mutants(), process, redactor).await?;
        task.models = Some(agents.models.clone());
        match Side::start(task, process).await {
            Ok(side) => Ok(Side {
                agents: Some(agents),
                ..side
            }),
            Err(why) => {
                agents.end().await;
                Err(why.into())
            }
        }
    }
}

fn secret(name: &str, process: &Process, redactor: &Redactor) -> Result<Secret, UsageError> {
    let value = (process.variable)(name)
        .filter(|value| !value.is_empty())
        .ok_or_else(|| UsageError(format!("{name} is not set: it has to hold the HTTP side's key or JWT")))?;
    if !value.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(UsageError(format!("what {name} holds can't stand in a header field")));
    }
    redactor
        .add(name, &value)
        .map_err(|error| UsageError(error.to_string()))
}

pub(super) fn bad_jwt(name: &str, jwt: &Secret, redactor: &Redactor) -> Result<Secret, UsageError> {
    let bad = with_bad_signature(jwt.expose()).ok_or_else(|| {
        UsageError(format!(
            "{name} doesn't hold a JWT: three parts, the last one its signature"
        ))
    })?;
    redactor
        .add("BAD_JWT", &bad)
        .map_err(|error| UsageError(error.to_string()))
}

pub(super) async fn site(flag: &str, url: &str, path: &str, owned: bool) -> Result<Site, NotReady> {
    let (place, path) = place(url, path).map_err(|why| UsageError(format!("{flag}: {why}")))?;
    let scheme = if place.tls { "https" } else { "http" };
    Ok(Site {
        origin: format!("{scheme}://{}", place.authority),
        tls: place.tls,
        addresses: resolve(&place, owned).await?,
        host: place.host,
        path,
    })
}

/// What is no URL of an API: whoever wrote it on the command line has to correct it.
#[derive(Debug, thiserror::Error)]
enum InvalidUrl {
    #[error("not a URL with http:// or https://")]
    Scheme,
    #[error("a URL with credentials: they go into variables of the environment")]
    Credentials,
    #[error("a URL with a query or a fragment, which the API's paths can't follow")]
    Query,
    #[error(transparent)]
    Place(#[from] PlaceError),
}

/// A URL's place, and its path or else this one.
fn place(url: &str, path: &str) -> Result<(Place, String), InvalidUrl> {
    let scheme = url.split("://").next().unwrap_or_default();
    if !["http", "https"].iter().any(|known| scheme.eq_ignore_ascii_case(known)) {
        return Err(InvalidUrl::Scheme);
    }
    let authority = url.split("://").nth(1).and_then(|rest| rest.split(['/', '?']).next());
    if authority.is_some_and(|authority| authority.contains('@')) {
        return Err(InvalidUrl::Credentials);
    }
    if url.contains(['?', '#']) {
        return Err(InvalidUrl::Query);
    }
    let place = Place::parse(url)?;
    let path = match place.target.trim_end_matches('/') {
        "" => path.to_owned(),
        own => own.to_owned(),
    };
    Ok((place, path))
}

/// Why this machine has no worker of the HTTP side.
#[derive(Debug, thiserror::Error)]
pub enum SideError {
    /// Why it isn't known which file this process runs.
    #[error("{0}")]
    Binary(String),
    #[error("starting the HTTP side's worker: {0}")]
    Start(#[source] StartError),
    #[error("the HTTP side's task: {0}")]
    Task(#[source] serde_json::Error),
}

/// The worker's process. Dropped, it is killed.
pub struct Side {
    task: Task,
    child: Child,
    orders: ChildStdin,
    words: Lines<BufReader<ChildStdout>>,
    /// What it asks, where that was started for it.
    agents: Option<AgentService>,
}

impl Side {
    /// Starts it, and tells it what to do.
    async fn start(task: Task, process: &Process) -> Result<Side, SideError> {
        let binary = process.binary.as_ref();
        let binary = binary.map_err(|why| SideError::Binary(why.clone()))?;
        let (child, orders, words) = start(binary, WORKER).map_err(SideError::Start)?;
        let mut line = serde_json::to_string(&task).map_err(SideError::Task)?;
        line.push('\n');
        let mut side = Side {
            task,
            child,
            orders,
            words: BufReader::new(words).lines(),
            agents: None,
        };
        side.order(&line).await;
        Ok(side)
    }

    pub async fn begin(&mut self) {
        self.order("start\n").await;
    }

    /// Stops it; returns what it has measured.
    pub async fn end(mut self) -> HttpResult {
        let process = self.child.id().unwrap_or_default();
        self.order("stop\n").await;
        let within = self.task.grace() + LAST_WORD;
        let measured = match tokio::time::timeout(within, self.words.next_line()).await {
            Ok(Ok(Some(line))) => measured(&line),
            Ok(Ok(None)) => {
                let ended = tokio::time::timeout(LAST_WORD, self.child.wait()).await;
                let status = ended.ok().and_then(Result::ok);
                Err(status.map_or(Lost::Ended, Lost::EndedWith))
            }
            Ok(Err(error)) => Err(Lost::Reading(error)),
            Err(_) => Err(Lost::Late(within)),
        };
        let measured = measured.map_err(|how| LostWorker { process, how });
        let mut result = HttpResult::new(&self.task, measured);
        if let Some(agents) = self.agents {
            result.models = result.models.map(|place| format!("{place}, {}", agents.what()));
            agents.end().await;
        }
        result
    }

    /// One that doesn't hear says nothing at the end.
    async fn order(&mut self, line: &str) {
        let told = async {
            self.orders.write_all(line.as_bytes()).await?;
            self.orders.flush().await
        };
        let _heard = tokio::time::timeout(LAST_WORD, told).await;
    }
}

fn measured(line: &str) -> Result<Measured, Lost> {
    match serde_json::from_str(line) {
        Ok(Word::Done { measured }) => Ok(*measured),
        Ok(Word::Failed { why }) => Err(Lost::Failed(why)),
        Err(error) => Err(Lost::NoWord(error)),
    }
}

/// Why this process is no worker of the HTTP side.
#[derive(Debug, thiserror::Error)]
enum WorkError {
    #[error("taking standard output: {0}")]
    Output(#[source] std::io::Error),
    #[error(transparent)]
    Serve(#[from] ServeError),
}

/// Is the HTTP side's worker; returns the exit code.
pub async fn work() -> u8 {
    let served = match own_output() {
        Ok(words) => serve(BufReader::new(tokio::io::stdin()), tokio::fs::File::from_std(words))
            .await
            .map_err(WorkError::from),
        Err(error) => Err(WorkError::Output(error)),
    };
    match served {
        Ok(()) => 0,
        Err(why) => {
            tell(&format!("the HTTP side of a load: {why}"));
            3
        }
    }
}

/// Reserves standard output for messages to the coordinator, because goose prints and logs there.
fn own_output() -> std::io::Result<File> {
    let own = File::from(rustix::io::dup(std::io::stdout())?);
    rustix::stdio::dup2_stdout(OpenOptions::new().write(true).open("/dev/null")?)?;
    Ok(own)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_takes_the_place_of_the_contracts() {
        let path = |url: &str| match place(url, API_PATH) {
            Ok((place, path)) => Ok(format!("{} {path}", place.authority)),
            Err(error) => Err(error.to_string()),
        };
        assert_eq!(
            path("http://127.0.0.1:8080").as_deref(),
            Ok("127.0.0.1:8080 /api/v1/managed_agents")
        );
        assert_eq!(
            path("HTTPS://web.example/").as_deref(),
            Ok("web.example /api/v1/managed_agents")
        );
        assert_eq!(path("http://[::1]:1/x/agents/").as_deref(), Ok("[::1]:1 /x/agents"));
        for (wrong, why) in [
            ("ws://127.0.0.1", "not a URL with http:// or https://"),
            ("127.0.0.1:80", "not a URL with http:// or https://"),
            ("http://a:b@127.0.0.1", "a URL with credentials"),
            ("http://127.0.0.1/?token=x", "a URL with a query"),
            ("http://127.0.0.1/#x", "a URL with a query or a fragment"),
            ("http://127.0.0.1:99999", "a URL with a port that isn't a number"),
        ] {
            let said = place(wrong, API_PATH).expect_err(wrong).to_string();
            assert!(said.starts_with(why), "{wrong}: {said}");
        }
    }
}
