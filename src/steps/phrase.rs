//! Phrases: what can be expected of a verb in a word or two.

use serde_json::{Value, json};

/// A phrase of a verb and what it says of the observation.
pub struct Phrase {
    /// `refused <status>`: `<status>` stands for a number, or several joined by `or`;
    /// `<text>` for the rest of the phrase.
    pub pattern: &'static str,
    /// What it means, for the schema's and the documentation's reader.
    pub meaning: &'static str,
    /// The predicates by field, as they would stand in a scenario file. A string
    /// operand `<status>` or `<text>` is replaced by what stood in the phrase.
    pub fields: fn() -> Value,
}

macro_rules! phrases {
    ($($name:ident: [$($pattern:literal, $meaning:literal, $fields:tt;)*])*) => {
        $(pub const $name: &[Phrase] = &[
            $(Phrase { pattern: $pattern, meaning: $meaning, fields: || json!($fields) },)*
        ];)*
    };
}

phrases! {
    SESSION: [
        "ready", "the session gets ready", {"status": "ready"};
        "answers <status>", "the session API answers with this status", {"http.status": {"one-of": "<status>"}};
    ]
    DELETED: ["deleted", "the session is deleted", {"status": "deleted"};]
    ATTACH: [
        "opens", "101, and a nonce that was typed comes back", {"status": 101, "opened": true, "works": true};
        "refused", "an HTTP answer that is not 101", {"opened": false, "status": {"at-least": 200}};
        "refused <status>", "this HTTP status, and no 101", {"opened": false, "status": {"one-of": "<status>"}};
        "not opened", "no 101: an HTTP answer, or a connection that was closed", {"opened": false};
    ]
    PING: ["answered", "a pong with the same payload came back", {"answered": true};]
    TERMINAL: [
        "open", "the connection is open", {"open": true};
        "closed", "the connection is closed", {"open": false};
        "closed with <status>", "closed with this WebSocket code", {"open": false, "close.code": {"one-of": "<status>"}};
        "shows <text>", "the text is on the screen", {"screen": {"contains": "<text>"}};
        "does not show <text>", "the text is not on the screen", {"screen": {"not": {"contains": "<text>"}}};
    ]
    GATEWAY: ["accepted", "the route and its policy are accepted", {"accepted": true};]
    HTTP: ["answers <status>", "this HTTP status", {"status": {"one-of": "<status>"}};]
    WEBSOCKET: [
        "opens", "101", {"opened": true};
        "begins", "101, and the first message is that the conversation begins", {"opened": true, "message.type": "init"};
        "refused", "an HTTP answer that is not 101", {"opened": false, "status": {"at-least": 200}};
        "refused <status>", "this HTTP status, and no 101", {"opened": false, "status": {"one-of": "<status>"}};
        "not opened", "no 101: an HTTP answer, or a connection that was closed", {"opened": false};
    ]
    RAW: [
        "opens", "101", {"opened": true};
        "answers <status>", "this HTTP status", {"status": {"one-of": "<status>"}};
        "refused <status>", "this HTTP status, or closed without an answer, and no 101",
            {"opened": false, "status": {"any": [{"one-of": "<status>"}, {"absent": true}]}};
        "closed", "the connection was closed by the other side", {"closed": true};
        "closed with <status>", "closed with this WebSocket code", {"close.code": {"one-of": "<status>"}};
    ]
    TIMING: ["no leak", "the time of a refusal does not tell how much of the token was right, down to the smallest effect",
        {"conclusion": "no leak"};]
    LOAD: [
        "passes", "each objective is kept, and nobody came in without the right token", {"verdict": "pass"};
        "runs", "it goes on beside the next steps", {"verdict": "running"};
    ]
    SECRET: [
        "exists", "the secret is there", {"exists": true};
        "absent", "there is no such secret", {"exists": false};
    ]
    DONE: ["done", "it was carried out and has taken effect", {"done": true};]
    EXEC: ["exits <status>", "the command ends with this code", {"exit_code": {"one-of": "<status>"}};]
    LOGIN: [
        "logs in", "it shows an address and a code, and ends well once a person has approved",
            {"exit_code": 0, "shown.code": {"present": true}};
        "fails", "the command ends with another code than 0", {"exit_code": {"not": 0}};
    ]
    FILE: [
        "exists", "the file is there", {"exists": true};
        "absent", "there is no such file", {"exists": false};
    ]
    SEARCH: ["finds nothing", "no form of the value was found anywhere", {"found": {"count": 0}};]
}
