//! Verbs: what a step can do. One file per verb, or per handful that belong together.
//!
//! A verb has typed arguments (its part of the scenario schema), phrases (what
//! can be expected of it in a word or two) and a `run` that acts and observes.
//! What the observation means is judged by the runner.

pub mod arguments;
pub mod attach;
pub mod context;
pub mod credentials;
pub mod exec;
pub mod http;
pub mod phrase;
pub mod pods;
pub mod raw;
pub mod rollout;
pub mod search;
pub mod secret;
pub mod session;
pub mod subject;
pub mod terminal;
pub mod timing;
pub mod typing;
pub mod wire;

use futures_util::future::BoxFuture;
use schemars::{Schema, SchemaGenerator};
use serde_json::Value;

pub use context::{Limits, Observation, StepContext, StepError};
pub use phrase::Phrase;

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
    /// The key whose value, where it is a list of pods, makes the step run once for each of them.
    pub each: Option<&'static str>,
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

macro_rules! verb {
    ($name:literal: $arguments:ty, $run:path $(, keep: $keep:ident)?; each: $each:expr, default: $given:expr,
     phrases: $phrases:expr, fields: $fields:expr) => {
        Verb {
            name: $name,
            schema: schema_of::<$arguments>,
            phrases: $phrases,
            default_given: $given,
            fields: $fields,
            each: $each,
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

/// All verbs, in the order of the documentation.
pub const VERBS: &[Verb] = &[
    verb!("session": a::Session, session::session; each: None, default: Some("ready"),
        phrases: phrase::SESSION, fields: SESSION_FIELDS),
    verb!("restart-session": a::RestartSession, session::restart; each: None, default: Some("ready"),
        phrases: phrase::SESSION, fields: SESSION_FIELDS),
    verb!("delete-session": a::DeleteSession, session::delete; each: None, default: Some("deleted"),
        phrases: phrase::DELETED, fields: &["id", "status", "http"]),
    verb!("attach": a::Attach, attach::run, keep: keep; each: Some("attach"), default: Some("opens"),
        phrases: phrase::ATTACH, fields: &["opened", "works", "status", "header", "body", "text", "closed", "screen"]),
    verb!("type": a::Type, typing::keys; each: None, default: None,
        phrases: &[], fields: &[]),
    verb!("resize": a::Resize, typing::resize; each: None, default: None,
        phrases: &[], fields: &[]),
    verb!("ping": a::Ping, typing::ping; each: None, default: Some("answered"),
        phrases: phrase::PING, fields: &["answered"]),
    verb!("terminal": a::Terminal, typing::look; each: None, default: None,
        phrases: phrase::TERMINAL, fields: &["open", "screen", "close", "longest_frame", "frames"]),
    verb!("close": a::Close, typing::close; each: None, default: None,
        phrases: phrase::TERMINAL, fields: &["open", "screen", "close", "longest_frame", "frames"]),
    verb!("http": a::Http, http::run; each: Some("to"), default: None,
        phrases: phrase::HTTP, fields: &["status", "header", "body", "text", "cut_at"]),
    verb!("raw": a::Raw, raw::run; each: Some("raw"), default: None,
        phrases: phrase::RAW, fields: &["opened", "status", "header", "body", "text", "close", "closed", "sent_all"]),
    verb!("timing": a::Timing, timing::run; each: None, default: Some("no leak"),
        phrases: phrase::TIMING,
        fields: &["conclusion", "p_value", "samples", "shift_us", "spread_us", "power", "bytes",
            "smallest_effect_us_per_byte", "status"]),
    verb!("secret": a::Secret, secret::read; each: None, default: None,
        phrases: phrase::SECRET, fields: &["exists", "data", "token", "master_key", "uid", "resource_version"]),
    verb!("patch-secret": a::PatchSecret, secret::patch; each: None, default: Some("done"),
        phrases: phrase::DONE, fields: &["done"]),
    verb!("seed-token": a::SeedToken, rollout::seed; each: None, default: Some("done"),
        phrases: phrase::DONE, fields: &["done", "phase", "log"]),
    verb!("restart": a::Restart, rollout::restart; each: None, default: Some("done"),
        phrases: phrase::DONE, fields: &["done"]),
    verb!("pods": a::Pods, pods::list; each: None, default: None,
        phrases: &[], fields: &["count", "ready", "names", "uids", "items"]),
    verb!("delete": a::Delete, pods::delete; each: None, default: Some("done"),
        phrases: phrase::DONE, fields: &["done", "names"]),
    verb!("exec": a::Exec, exec::run; each: Some("in"), default: Some("exits 0"),
        phrases: phrase::EXEC, fields: &["exit_code", "stdout", "stderr"]),
    verb!("search": a::Search, search::run; each: None, default: None,
        phrases: phrase::SEARCH, fields: &["found", "searched"]),
];

/// The verb of that name.
pub fn verb(name: &str) -> Option<&'static Verb> {
    VERBS.iter().find(|v| v.name == name)
}
