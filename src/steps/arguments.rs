//! The keys of each verb, as scenario files have them. Their schemas make the
//! JSON Schema of a scenario file; the verbs get them with templates filled in.

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use crate::vocabulary::Road;
use crate::vocabulary::duration::DurationText;

/// Makes a session through the session API, or looks at one again.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Session {
    /// `new`, or a session to look at again: `${s}`.
    pub session: Value,
}

/// Restarts a session through the session API: a new pod for the same session.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct RestartSession {
    pub restart_session: Value,
}

/// Deletes a session through the session API.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct DeleteSession {
    pub delete_session: Value,
}

/// Opens a WebSocket to a terminal. With `as`, it stays open for the steps after.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Attach {
    /// A session, a pod, or a list of pods (each is attached to, and each is judged).
    pub attach: Value,
    /// Default: `proxy` for a session, `direct` for a pod.
    pub road: Option<Road>,
    /// Appended as `?token=<percent-encoded>`. Left out: no query.
    pub token: Option<String>,
    /// The whole query as it goes over the wire, in place of `token`.
    pub query: Option<String>,
    /// In place of the door's own path; `${door}` is that path.
    pub path: Option<String>,
    /// The `Authorization` header.
    pub authorization: Option<String>,
    /// Further headers of the upgrade request.
    pub headers: Option<IndexMap<String, HeaderValues>>,
    /// Extra bytes (masked binary frames of this text) sent right behind the upgrade request,
    /// without waiting for the answer.
    pub eager: Option<String>,
}

/// A header's value, or several for a header that is sent several times.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum HeaderValues {
    One(String),
    Several(Vec<String>),
}

/// Types into an open terminal.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Type {
    /// The keystrokes.
    pub r#type: String,
    /// The terminal, as bound by an `attach`.
    pub on: Value,
    /// Whether Enter is pressed after them. Default: no.
    pub enter: Option<bool>,
}

/// Tells an open terminal a new size.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Resize {
    pub resize: Value,
    pub cols: u16,
    pub rows: u16,
}

/// Sends a WebSocket ping and waits for its pong.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Ping {
    pub ping: Value,
}

/// Looks at an open terminal: its screen, and whether it is still open.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Terminal {
    pub terminal: Value,
    /// Sends a WebSocket ping at each look. Default: no.
    pub keep_alive: Option<bool>,
}

/// Closes an open terminal from the client's side.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Close {
    pub close: Value,
}

/// Makes a JWT, good or bad. Bound with `as`, it is `.token`, and `.header`, `.payload`, `.signature` as
/// they stand in it.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Jwt {
    /// The role of a user, whose good token it begins as: `REGULAR`; or a token made before: `${t}`.
    pub jwt: Value,
    /// Other fields of the header; null takes one away.
    pub header: Option<IndexMap<String, Value>>,
    /// Other claims; null takes one away.
    pub claims: Option<IndexMap<String, Value>>,
    /// A text in place of the claims' JSON.
    pub claims_text: Option<String>,
    /// Seconds from now to `exp`. Default: 7 days.
    pub expires_in: Option<f64>,
    /// Seconds from now to `nbf`. Default: without one.
    pub valid_in: Option<f64>,
    /// How it is signed, which `alg` says too where `header` doesn't say otherwise. Default: HS256.
    pub sign: Option<Signing>,
    /// In place of the platform's own.
    pub secret: Option<String>,
    /// How its signature is written. Default: in base64url without padding (RFC 7515 §2).
    pub spelled: Option<Spelling>,
}

/// Another spelling of a signature: the same bytes, where a reader is lenient.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Spelling {
    /// With `=` behind it.
    Padded,
    /// With `+` and `/` (RFC 4648 §4), of which it has at least one.
    Standard,
    /// Its last character another one of those that stand for the same bytes (RFC 4648 §3.5).
    Uncanonical,
}

impl Spelling {
    /// As a scenario says it.
    pub fn name(self) -> &'static str {
        match self {
            Spelling::Padded => "padded",
            Spelling::Standard => "standard",
            Spelling::Uncanonical => "uncanonical",
        }
    }
}

/// Asks what is said of a gateway: whether it has taken the agents' route, and the policy that is attached to it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Gateway {
    /// The road that leads through it.
    pub gateway: Road,
}

/// How a JWT is signed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum Signing {
    #[default]
    #[serde(rename = "HS256")]
    Hs256,
    #[serde(rename = "HS384")]
    Hs384,
    #[serde(rename = "HS512")]
    Hs512,
    /// Not at all: an empty signature.
    #[serde(rename = "none")]
    None,
}

impl Signing {
    /// As `alg` says it (RFC 7518 §3.1).
    pub fn name(self) -> &'static str {
        match self {
            Signing::Hs256 => "HS256",
            Signing::Hs384 => "HS384",
            Signing::Hs512 => "HS512",
            Signing::None => "none",
        }
    }
}

/// Opens a WebSocket that is no terminal, reads what comes first, and closes it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Websocket {
    /// The path with its query: `/api/agents/1/react?access-token=…`.
    pub websocket: String,
    pub road: Road,
    pub authorization: Option<String>,
    pub headers: Option<IndexMap<String, HeaderValues>>,
}

/// Sends an HTTP request: no redirect followed, no proxy, no retry.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Http {
    /// `GET /path?query`. `${door}` is the path of a terminal's door on the road.
    pub http: String,
    /// For `direct`, or for `${door}`: the session or pod. A list of pods: each.
    pub to: Option<Value>,
    /// Default: `proxy`.
    pub road: Option<Road>,
    pub authorization: Option<String>,
    pub headers: Option<IndexMap<String, HeaderValues>>,
    /// The request asks for a WebSocket upgrade.
    pub upgrade: Option<bool>,
    /// A text as it is; anything else as JSON.
    pub body: Option<Value>,
    /// From an address that none of the platform's is near, as a person's own machine has one. Default: no.
    pub elsewhere: Option<bool>,
}

/// Writes bytes to a socket as they are, and tells what came back.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Raw {
    /// The session or pod whose door it is; a list of pods: each. `door`: that of the road.
    pub raw: Value,
    pub road: Option<Road>,
    /// Goes on reading behind a complete answer, until the other side closes.
    pub until_closed: Option<bool>,
    /// What is written, part after part.
    pub send: Vec<RawPart>,
    /// How long to go on reading behind the first of an answer when the other side neither answers completely
    /// nor closes. Default 2 s. As `500ms`. Where nothing comes it is waited for as for any answer, or this long.
    #[schemars(with = "Option<DurationText>")]
    pub read_for: Option<String>,
    /// So many connections at once, all with the same bytes. Default 1.
    pub connections: Option<u32>,
}

/// A part of what `raw` writes.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, untagged)]
pub enum RawPart {
    /// A line; CR LF is added.
    Line(String),
    /// The head of a correct upgrade request to the door, with changes.
    Upgrade { upgrade: UpgradeHead },
    /// Bytes as hexadecimal digits.
    Hex { hex: String },
    /// A text as it is, so many times.
    Text { text: String, times: Option<u64> },
    /// A WebSocket frame; sent once the upgrade was answered, unless `eager`.
    Frame { frame: RawFrame },
}

/// A correct upgrade request, less what is said here.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct UpgradeHead {
    pub method: Option<String>,
    /// Request target in place of the door's path and query.
    pub target: Option<String>,
    pub token: Option<String>,
    pub query: Option<String>,
    /// Headers that are replaced, added, or (null) left out.
    #[serde(default)]
    pub headers: IndexMap<String, Option<String>>,
    /// `false`: the empty line that ends the head is not sent.
    pub ends: Option<bool>,
}

/// A WebSocket frame, correct unless it says otherwise.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct RawFrame {
    /// 0 continuation, 1 text, 2 binary, 8 close, 9 ping, 10 pong.
    pub opcode: u8,
    pub text: Option<String>,
    pub hex: Option<String>,
    /// The payload this many times.
    pub times: Option<u64>,
    pub fin: Option<bool>,
    /// The three reserved bits, 0 to 7.
    pub rsv: Option<u8>,
    pub masked: Option<bool>,
    /// The length that the header says, in place of the payload's own.
    pub length: Option<u64>,
    /// Sent without waiting for the answer to the upgrade.
    pub eager: Option<bool>,
}

/// Tells whether the time of a refusal depends on how much of the token was right (CWE-208).
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Timing {
    /// The session or pod whose door it is.
    pub timing: Value,
    /// Default: `proxy` for a session, `direct` for a pod.
    pub road: Option<Road>,
    /// The right token; it is shown with one character wrong.
    pub token: String,
    /// The smallest effect looked for, for each further byte that is right. Default 20 µs.
    #[schemars(with = "Option<DurationText>")]
    pub smallest_effect: Option<String>,
    /// Longest time of measuring; where it is too short to tell, that is an error. Default 20 s.
    #[schemars(with = "Option<DurationText>")]
    pub at_most: Option<String>,
}

/// Attaches many times at once, holds all and types into each. Meanwhile others come without the right token, who
/// have to be refused with 401 at every moment.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Load {
    /// The session or pod whose door it is.
    pub load: Value,
    /// Default: `proxy` for a session, `direct` for a pod.
    pub road: Option<Road>,
    /// The right token. Default: `${secret.token}`.
    pub token: Option<String>,
    /// A token that was right once, and has to be refused. Default: none such comes.
    pub old_token: Option<String>,
    /// How many are held at once.
    #[schemars(range(min = 1, max = 100_000))]
    pub attaches: u32,
    /// How they arrive: `200/s`, `100/s..900/s`, `100/s@10s,500/s` or `poisson:500/s`. Default: 200/s.
    pub ramp: Option<String>,
    /// How long all are held from when they are open. Default: 1 s.
    #[schemars(with = "Option<DurationText>")]
    pub hold: Option<String>,
    /// How often each types a nonce and waits to read it back. Default: 500 ms.
    #[schemars(with = "Option<DurationText>")]
    pub echo_every: Option<String>,
    /// What has to hold for it to pass, beside that nobody comes in without the right token: `errors == 0`,
    /// `opened >= 100`, `error-ratio < 1%`, `attach.p99 < 500ms`. Default: `errors == 0`.
    #[schemars(length(min = 1))]
    pub objectives: Option<Vec<String>>,
    /// Only one of them types, once all are open, and all have to see each key: they share one terminal. Default: no.
    pub fan_out: Option<bool>,
    /// The next steps begin when so many are open, and the load goes on beside them: bound with `as`, for `turn-load`
    /// and `await-load`. Default: it is over before they begin.
    #[schemars(range(min = 1, max = 100_000))]
    pub until_open: Option<u32>,
}

/// Tells a load that goes on that the platform changes, or has changed.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct TurnLoad {
    /// What the `load` was bound to: `${l}`.
    pub turn_load: Value,
    /// The platform is about to change: until the next `turn-load` the right token may open or not, and the schedule
    /// waits. Without the right token nobody may come in. Default: no, it has changed.
    pub unsettled: Option<bool>,
    /// The session that attaches go to from now on. Default: as before.
    pub to: Option<Value>,
    /// The right token from now on. Default: as before.
    pub token: Option<String>,
    /// A token that was right once, and has to be refused from now on, at the session of before as well.
    pub old_token: Option<String>,
}

/// Waits until a load that goes on is over, and judges it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct AwaitLoad {
    /// What the `load` was bound to: `${l}`.
    pub await_load: Value,
}

/// Reads a Secret.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Secret {
    /// Its name: `${secret.name}`.
    pub secret: String,
}

/// Changes a Secret, by JSON Patch (RFC 6902).
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct PatchSecret {
    pub patch_secret: String,
    /// Values by key: `add` on `/data/<key>`.
    pub set: IndexMap<String, String>,
}

/// Who brings the token in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Seeder {
    /// Patches the secret and restarts web and worker, as the contract's page says.
    Operator,
    /// Runs the platform's own seed, as the deploy pipeline does.
    Pipeline,
}

/// Brings the token into the platform.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct SeedToken {
    pub seed_token: Seeder,
    /// The operator's new value. Default: `${secret.token}`.
    pub value: Option<String>,
}

/// Restarts deployments as `kubectl rollout restart` does, and waits until that is done.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Restart {
    /// `web`, `worker`, `balancer`, or a deployment's own name; or a list.
    pub restart: Value,
}

/// Lists pods.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Pods {
    /// `warm`, `web`, `worker`, `balancer`, `all`, a label selector, or a session (its pod).
    pub pods: Value,
}

/// Deletes what makes pods come back: the Sandbox of each.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Delete {
    /// Pods, as bound by a `pods`.
    pub delete: Value,
}

/// Runs a command in a pod.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Exec {
    /// The program and its arguments.
    pub exec: Vec<String>,
    /// A session or a pod; a list of pods: in each.
    pub r#in: Value,
    pub container: Option<String>,
    pub stdin: Option<String>,
    pub tty: Option<bool>,
}

/// What a person does with a device login that asks for one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Person {
    #[default]
    Approves,
    Denies,
    /// Nothing: the code expires.
    Waits,
    /// Closes the terminal when the code is there.
    HangsUp,
}

/// Logs in as a person does: the login script in a terminal, and the browser beside it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Login {
    /// The number of the account: 1, 2 or 3. What the script has to refuse may be any text; an empty one is no argument.
    pub login: Value,
    /// The pod.
    pub r#in: Value,
    /// Default: `approves`.
    pub person: Option<Person>,
    /// Whose account at the vendor it is. Default: `acct-` and the number.
    pub account: Option<String>,
}

/// Looks at a file in a container.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct File {
    /// Its path.
    pub file: String,
    /// A pod; a list of pods: in each.
    pub r#in: Value,
    /// Default: the only one.
    pub container: Option<String>,
}

/// Reads a container's log.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Logs {
    /// A pod.
    pub logs: Value,
    /// Default: the only one.
    pub container: Option<String>,
    /// Only lines that have this regular expression; what its group matched is `said`.
    pub matching: Option<String>,
    /// Only lines behind this time, as `${before.last}` of an earlier look.
    pub since: Option<String>,
}

/// Upgrades a deployment (its pods' template changes) and watches its pods meanwhile.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Upgrade {
    /// `litellm`, `agent`: who has a selector of its own.
    pub upgrade: String,
}

/// Deletes pods that their deployment brings back, and waits until they are gone.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct DeletePods {
    /// Pods, as bound by a `pods`.
    pub delete_pods: Value,
}

/// Where `search` looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Haystack {
    /// Logs of all pods of the platform, also of containers before they were started again.
    Logs,
    Events,
    /// Deployments, pods and ConfigMaps, as they stand in the cluster, and what codex agents write for codex.
    Config,
    /// What the rotator keeps beside the logins.
    State,
    /// Command lines of all processes that can be seen from the sandboxes.
    Processes,
    /// Answers of the platform's doors that were not 2xx, in this scenario so far.
    Errors,
    /// Redirects' `Location` headers, in this scenario so far.
    Redirects,
}

impl std::fmt::Display for Haystack {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Haystack::Logs => "the logs",
            Haystack::Events => "the events",
            Haystack::Config => "the configuration",
            Haystack::State => "the state",
            Haystack::Processes => "the processes",
            Haystack::Errors => "the error answers",
            Haystack::Redirects => "the redirects",
        })
    }
}

/// Looks for a secret value in plain, base64, percent and JSON forms.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Search {
    /// The value looked for.
    pub search: String,
    pub r#in: Vec<Haystack>,
    /// A text that must be found in each kind of place, as proof that it could be read: else
    /// `error`. A check that nothing is found needs one.
    #[schemars(length(min = 1))]
    pub proof: Option<String>,
}
