//! Verbs: what a step can do. One file per verb, or per handful that belong together.
//!
//! A verb has typed arguments (its part of the scenario schema), phrases (what
//! can be expected of it in a word or two) and a `run` that acts and observes.
//! What the observation means is judged by the runner.

pub mod arguments;
pub mod attach;
mod by_command;
mod context;
pub mod credentials;
mod exec;
mod file;
mod gateway;
pub mod http;
pub mod jwt;
mod load;
mod login;
mod logs;
mod phrase;
mod pods;
pub mod raw;
mod rollout;
mod running;
mod said;
mod search;
mod secret;
pub mod session;
pub mod shell;
pub mod terminal;
mod timing;
mod typing;
mod upgrade;
mod websocket;
pub mod wire;

use futures_util::future::BoxFuture;
use schemars::{Schema, SchemaGenerator};
use serde_json::Value;

pub use context::{Limits, Observation, StepContext, StepError};
pub use phrase::Phrase;

use crate::world::access::Ask;

/// A verb of the scenario language.
pub struct Verb {
    /// The key that makes a step this verb's: `attach`.
    pub name: &'static str,
    /// The schema of the verb's own keys, `name` among them.
    pub schema: fn(&mut SchemaGenerator) -> Schema,
    /// What can be expected in words; `<status>` stands for a number, several by `or`.
    pub phrases: &'static [Phrase],
    /// The phrase that must hold where a step expects nothing: set-up that failed is an error.
    pub default_given: Option<&'static str>,
    /// The fields of its observation that predicates can name, first parts of their paths.
    pub fields: &'static [&'static str],
    /// Those of them that are objects, whatever comes.
    pub objects: &'static [&'static str],
    /// The key whose value, where it is a list of pods, makes the step run once for each of them.
    pub each: Option<&'static str>,
    /// What it goes through to the platform.
    pub reach: Reach,
    /// Carries it out. `keep`: the observation is bound, so what it opened stays open.
    pub run: Run,
}

/// Carries out a verb with its keys, templates filled in.
pub type Run =
    for<'a> fn(keys: Value, context: &'a StepContext, keep: bool) -> BoxFuture<'a, Result<Observation, StepError>>;

fn schema_of<T: schemars::JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    T::json_schema(generator)
}

fn arguments_of<T: serde::de::DeserializeOwned>(keys: Value) -> Result<T, StepError> {
    serde_json::from_value(keys)
        .map_err(|error| StepError::doing("with its templates filled in, the step is wrong", error))
}

/// What a verb goes through to the platform.
#[derive(Clone, Copy)]
pub enum Reach {
    /// Nothing: it is about what is here, as a terminal that is open.
    Open,
    /// The session API.
    Api,
    /// A door, by the road that the step says. Where it says none it is `proxy`, or `direct` where the
    /// value of this key is a pod.
    Door { subject: Option<&'static str> },
    /// The cluster's own API. Gets the step's keys, templates in them.
    Cluster(fn(keys: &Value) -> Vec<Ask>),
}

macro_rules! verb {
    ($name:literal: $arguments:ty, $run:path $(, keep: $keep:ident)?; reach: $reach:expr, each: $each:expr,
     default: $given:expr, phrases: $phrases:expr, fields: $fields:expr $(, objects: $objects:expr)?) => {
        Verb {
            name: $name,
            schema: schema_of::<$arguments>,
            phrases: $phrases,
            default_given: $given,
            fields: $fields,
            objects: first(&[$($objects,)? &[]]),
            each: $each,
            reach: $reach,
            run: {
                fn run<'a>(
                    keys: Value,
                    context: &'a StepContext,
                    _keep: bool,
                ) -> BoxFuture<'a, Result<Observation, StepError>> {
                    Box::pin(async move {
                        let arguments: $arguments = arguments_of(keys)?;
                        $(let $keep = _keep;)?
                        $run(arguments, context $(, $keep)?).await
                    })
                }
                run
            },
        }
    };
}

/// The first of several lists, of which the last one is empty.
const fn first(lists: &[&'static [&'static str]]) -> &'static [&'static str] {
    lists[0]
}

use arguments as a;

const SESSION_FIELDS: &[&str] = &[
    "id",
    "agent_id",
    "status",
    "sandbox_url",
    "tty_url",
    "tty_token",
    "supports_tui",
    "phase",
    "failure_reason",
    "created_at",
    "last_seen_at",
    "http",
];

const LOAD_FIELDS: &[&str] = &[
    "verdict",
    "reasons",
    "counts",
    "failures",
    "probeFailures",
    "latencies",
    "steady",
    "mostOpen",
    "objectives",
    "generator",
    "fanOut",
];

const LOAD_OBJECTS: &[&str] = &[
    "counts",
    "failures",
    "probeFailures",
    "latencies",
    "steady",
    "generator",
    "fanOut",
];

/// All verbs, in the order of the documentation.
pub const VERBS: &[Verb] = &[
    verb!("session": a::Session, session::session; reach: Reach::Api, each: None, default: Some("ready"),
        phrases: phrase::SESSION, fields: SESSION_FIELDS, objects: &["http"]),
    verb!("restart-session": a::RestartSession, session::restart; reach: Reach::Api, each: None, default: Some("ready"),
        phrases: phrase::SESSION, fields: SESSION_FIELDS, objects: &["http"]),
    verb!("delete-session": a::DeleteSession, session::delete; reach: Reach::Api, each: None, default: Some("deleted"),
        phrases: phrase::DELETED, fields: &["id", "status", "http"], objects: &["http"]),
    verb!("attach": a::Attach, attach::run, keep: keep; reach: Reach::Door { subject: Some("attach") }, each: Some("attach"), default: Some("opens"),
        phrases: phrase::ATTACH,
        fields: &["opened", "works", "status", "header", "body", "text", "closed", "screen"], objects: &["header"]),
    verb!("type": a::Type, typing::keys; reach: Reach::Open, each: None, default: None,
        phrases: &[], fields: &[]),
    verb!("resize": a::Resize, typing::resize; reach: Reach::Open, each: None, default: None,
        phrases: &[], fields: &[]),
    verb!("ping": a::Ping, typing::ping; reach: Reach::Open, each: None, default: Some("answered"),
        phrases: phrase::PING, fields: &["answered"]),
    verb!("terminal": a::Terminal, typing::look; reach: Reach::Open, each: None, default: None,
        phrases: phrase::TERMINAL, fields: &["open", "screen", "close", "longest_frame", "frames"]),
    verb!("close": a::Close, typing::close; reach: Reach::Open, each: None, default: None,
        phrases: phrase::TERMINAL, fields: &["open", "screen", "close", "longest_frame", "frames"]),
    verb!("http": a::Http, http::run; reach: Reach::Door { subject: None }, each: Some("to"), default: None,
        phrases: phrase::HTTP, fields: &["status", "header", "body", "text", "cut_at"], objects: &["header"]),
    verb!("gateway": a::Gateway, gateway::run; reach: Reach::Cluster(|_| vec![Ask::ReadRoutes]), each: None, default: None,
        phrases: phrase::GATEWAY, fields: &["reported", "accepted", "by", "conditions"]),
    verb!("jwt": a::Jwt, jwt::run; reach: Reach::Open, each: None, default: None,
        phrases: &[],
        fields: &["token", "header", "payload", "signature", "head", "claims"], objects: &["head", "claims"]),
    verb!("websocket": a::Websocket, websocket::run; reach: Reach::Door { subject: None }, each: None, default: Some("opens"),
        phrases: phrase::WEBSOCKET,
        fields: &["opened", "status", "header", "body", "text", "message", "close", "broken", "no_message_within"],
        objects: &["header"]),
    verb!("raw": a::Raw, raw::run; reach: Reach::Door { subject: Some("raw") }, each: Some("raw"), default: None,
        phrases: phrase::RAW,
        fields: &["opened", "status", "header", "body", "text", "close", "closed", "sent_all"], objects: &["header"]),
    verb!("timing": a::Timing, timing::run; reach: Reach::Door { subject: Some("timing") }, each: None, default: Some("no leak"),
        phrases: phrase::TIMING,
        fields: &["conclusion", "p_value", "samples", "shift_us", "spread_us", "power", "bytes",
            "smallest_effect_us_per_byte", "status"]),
    verb!("load": a::Load, load::run; reach: Reach::Door { subject: Some("load") }, each: None, default: Some("passes"),
        phrases: phrase::LOAD,
        fields: LOAD_FIELDS, objects: LOAD_OBJECTS),
    verb!("turn-load": a::TurnLoad, running::turn; reach: Reach::Open, each: None, default: Some("done"),
        phrases: phrase::DONE, fields: &["done"]),
    verb!("await-load": a::AwaitLoad, running::wait; reach: Reach::Open, each: None, default: Some("passes"),
        phrases: phrase::LOAD, fields: LOAD_FIELDS, objects: LOAD_OBJECTS),
    verb!("secret": a::Secret, secret::read; reach: Reach::Cluster(|_| vec![Ask::ReadSecret]), each: None, default: None,
        phrases: phrase::SECRET,
        fields: &["exists", "data", "token", "master_key", "uid", "resource_version"], objects: &["data"]),
    verb!("patch-secret": a::PatchSecret, secret::patch; reach: Reach::Cluster(|_| vec![Ask::ChangeSecret]), each: None, default: Some("done"),
        phrases: phrase::DONE, fields: &["done"]),
    verb!("seed-token": a::SeedToken, rollout::seed; reach: Reach::Cluster(rollout::asks), each: None, default: Some("done"),
        phrases: phrase::DONE, fields: &["done", "phase", "log"]),
    verb!("restart": a::Restart, rollout::restart; reach: Reach::Cluster(|_| vec![Ask::RestartDeployments]), each: None, default: Some("done"),
        phrases: phrase::DONE, fields: &["done"]),
    verb!("pods": a::Pods, pods::list; reach: Reach::Cluster(|_| vec![Ask::FindPods]), each: None, default: None,
        phrases: &[], fields: &["count", "ready", "names", "uids", "items"]),
    verb!("delete": a::Delete, pods::delete; reach: Reach::Cluster(|_| vec![Ask::DeleteSandboxes, Ask::FindPods]), each: None, default: Some("done"),
        phrases: phrase::DONE, fields: &["done", "names"]),
    verb!("exec": a::Exec, exec::run; reach: Reach::Cluster(|_| vec![Ask::Exec, Ask::FindPods]), each: Some("in"), default: Some("exits 0"),
        phrases: phrase::EXEC, fields: &["exit_code", "stdout", "stderr"]),
    verb!("login": a::Login, login::run; reach: Reach::Cluster(|_| vec![Ask::Exec, Ask::FindPods]), each: Some("in"), default: Some("logs in"),
        phrases: phrase::LOGIN, fields: &["shown", "exit_code", "screen"], objects: &["shown"]),
    verb!("file": a::File, file::run; reach: Reach::Cluster(|_| vec![Ask::Exec, Ask::FindPods]), each: Some("in"), default: Some("exists"),
        phrases: phrase::FILE, fields: &["exists", "mode", "size", "inode", "sha256", "json"]),
    verb!("logs": a::Logs, logs::run; reach: Reach::Cluster(|_| vec![Ask::ReadLogs, Ask::FindPods]), each: Some("logs"), default: None,
        phrases: &[], fields: &["lines", "count", "said", "gaps_ms", "last"]),
    verb!("upgrade": a::Upgrade, upgrade::run; reach: Reach::Cluster(|_| vec![Ask::UpgradeCodex, Ask::FindPods]), each: None, default: Some("done"),
        phrases: phrase::DONE, fields: &["done", "strategy", "most_live", "outage_ms"]),
    verb!("delete-pods": a::DeletePods, pods::delete_pods; reach: Reach::Cluster(|_| vec![Ask::DeletePods, Ask::FindPods]), each: None, default: Some("done"),
        phrases: phrase::DONE, fields: &["done", "names"]),
    verb!("search": a::Search, search::run; reach: Reach::Cluster(search::asks), each: None, default: None,
        phrases: phrase::SEARCH, fields: &["found", "searched"]),
];

/// The verb of that name.
pub fn verb(name: &str) -> Option<&'static Verb> {
    VERBS.iter().find(|v| v.name == name)
}
