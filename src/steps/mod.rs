//! Verbs: what a step can do. One file per verb.
//!
//! A verb has typed arguments (its part of the scenario schema), phrases (what
//! can be expected of it in a word or two) and a `run` that acts and observes.
//! What the observation means is judged by the runner.

pub mod arguments;
pub mod phrase;

use schemars::{Schema, SchemaGenerator};

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
}

fn schema_of<T: schemars::JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    T::json_schema(generator)
}

macro_rules! verb {
    ($name:literal, $arguments:ty, default: $given:expr, phrases: $phrases:expr, fields: $fields:expr) => {
        Verb {
            name: $name,
            schema: schema_of::<$arguments>,
            phrases: $phrases,
            default_given: $given,
            fields: $fields,
        }
    };
}

use arguments as a;

/// All verbs, in the order of the documentation.
pub const VERBS: &[Verb] = &[
    verb!("session", a::Session, default: Some("ready"), phrases: phrase::SESSION,
        fields: &["id", "agent_id", "status", "sandbox_url", "tty_url", "tty_token", "supports_tui",
                  "phase", "failure_reason", "created_at", "last_seen_at", "http", "pod"]),
    verb!("restart-session", a::RestartSession, default: Some("ready"), phrases: phrase::SESSION,
        fields: &["id", "agent_id", "status", "sandbox_url", "tty_url", "tty_token", "supports_tui",
                  "phase", "failure_reason", "created_at", "last_seen_at", "http", "pod"]),
    verb!("delete-session", a::DeleteSession, default: Some("deleted"), phrases: phrase::DELETED,
        fields: &["id", "status", "http"]),
    verb!("attach", a::Attach, default: Some("opens"), phrases: phrase::ATTACH,
        fields: &["opened", "works", "status", "header", "body", "text", "closed"]),
    verb!("type", a::Type, default: None, phrases: &[], fields: &[]),
    verb!("resize", a::Resize, default: None, phrases: &[], fields: &[]),
    verb!("ping", a::Ping, default: Some("answered"), phrases: phrase::PING, fields: &["answered"]),
    verb!("terminal", a::Terminal, default: None, phrases: phrase::TERMINAL,
        fields: &["open", "screen", "close", "longest_frame", "frames"]),
    verb!("close", a::Close, default: None, phrases: &[], fields: &[]),
    verb!("http", a::Http, default: None, phrases: phrase::HTTP,
        fields: &["status", "header", "body", "text"]),
    verb!("raw", a::Raw, default: None, phrases: phrase::RAW,
        fields: &["opened", "status", "header", "body", "text", "frames", "close", "closed"]),
    verb!("secret", a::Secret, default: None, phrases: phrase::SECRET,
        fields: &["exists", "data", "raw", "uid", "resource_version"]),
    verb!("patch-secret", a::PatchSecret, default: Some("done"), phrases: phrase::DONE, fields: &["done"]),
    verb!("seed-token", a::SeedToken, default: Some("done"), phrases: phrase::DONE, fields: &["done", "log"]),
    verb!("restart", a::Restart, default: Some("done"), phrases: phrase::DONE, fields: &["done"]),
    verb!("pods", a::Pods, default: None, phrases: &[],
        fields: &["count", "names", "uids", "items", "ready"]),
    verb!("delete", a::Delete, default: Some("done"), phrases: phrase::DONE, fields: &["done", "names"]),
    verb!("exec", a::Exec, default: Some("exits 0"), phrases: phrase::EXEC,
        fields: &["exit_code", "stdout", "stderr"]),
    verb!("search", a::Search, default: None, phrases: phrase::SEARCH,
        fields: &["found", "searched"]),
    verb!("timing", a::Timing, default: None, phrases: phrase::TIMING,
        fields: &["leak_ns_per_byte", "p_value", "samples", "conclusion"]),
];

/// The verb of that name.
pub fn verb(name: &str) -> Option<&'static Verb> {
    VERBS.iter().find(|v| v.name == name)
}
