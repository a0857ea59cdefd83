//! A stand-in for the codex CLI where the real one isn't installed: `login --device-auth`, `exec` and
//! `--version`, with the same requests. It runs no commands and asks no second question.
//!
//! | variable | default | meaning |
//! |---|---|---|
//! | `HOME`, `CODEX_HOME` | `HOME/.codex` | where `config.toml` and `auth.json` are |
//! | the one that `env_key` names | | the key for model calls |

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderValue, StatusCode};
use serde_json::{Value, json};

use super::super::{ComponentError, Pod};
use super::exchange::Exchange;
use super::folder::{Folder, PRIVATE};
use super::outgoing::{self, Post};
use super::toml;

/// Where the real CLI goes when it isn't told.
const ISSUER: &str = "https://auth.openai.com";

const USAGE: &str = "usage: codex login --device-auth [--experimental_issuer URL] [--experimental_client-id ID] | \
                     codex exec [--skip-git-repo-check] [-m MODEL] PROMPT | codex --version";

pub async fn run(pod: Pod) -> Result<(), ComponentError> {
    let words: Vec<&str> = pod.args.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["--version" | "-V"] => {
            pod.log.line("codex-cli 0.0.0 (gauntlet stand-in)");
            Ok(())
        }
        ["login", rest @ ..] => login(&pod, &Flags::of(rest)?).await,
        ["exec", rest @ ..] => exec(&pod, &Flags::of(rest)?).await,
        _ => Err(ComponentError(USAGE.to_owned())),
    }
}

/// The words behind a subcommand.
#[derive(Default)]
struct Flags<'a> {
    device_auth: bool,
    issuer: Option<&'a str>,
    client_id: Option<&'a str>,
    model: Option<&'a str>,
    prompt: Option<&'a str>,
}

impl<'a> Flags<'a> {
    fn of(words: &[&'a str]) -> Result<Flags<'a>, ComponentError> {
        let mut flags = Flags::default();
        let mut words = words.iter().copied();
        while let Some(word) = words.next() {
            let mut value = || {
                let value = words.next();
                value.ok_or_else(|| ComponentError(format!("{word} wants a value; {USAGE}")))
            };
            match word {
                "--device-auth" => flags.device_auth = true,
                "--experimental_issuer" => flags.issuer = Some(value()?),
                "--experimental_client-id" => flags.client_id = Some(value()?),
                "-m" | "--model" => flags.model = Some(value()?),
                // What the stand-in does without: it runs no commands.
                "-s" | "--sandbox" | "-c" | "--config" | "-C" | "--cd" | "--color" => {
                    let _unread = value()?;
                }
                "--skip-git-repo-check" | "--ephemeral" | "--dangerously-bypass-approvals-and-sandbox" => {}
                other if other.starts_with('-') || flags.prompt.is_some() => {
                    return Err(ComponentError(format!("the stand-in doesn't know {other:?}; {USAGE}")));
                }
                prompt => flags.prompt = Some(prompt),
            }
        }
        Ok(flags)
    }
}

fn home(pod: &Pod) -> PathBuf {
    match pod.var("CODEX_HOME").filter(|home| !home.is_empty()) {
        Some(home) => PathBuf::from(home),
        None => Path::new(pod.var_or("HOME", "/")).join(".codex"),
    }
}

async fn login(pod: &Pod, flags: &Flags<'_>) -> Result<(), ComponentError> {
    if !flags.device_auth || flags.prompt.is_some() {
        return Err(ComponentError(USAGE.to_owned()));
    }
    let exchange = Exchange {
        issuer: flags.issuer.unwrap_or(ISSUER).trim_end_matches('/'),
        client_id: flags.client_id.unwrap_or("gauntlet-codex"),
    };
    let tokens = exchange.login(pod).await?;
    let document = json!({
        "auth_mode": "chatgpt",
        "OPENAI_API_KEY": null,
        "tokens": {
            "id_token": tokens["id_token"],
            "access_token": tokens["access_token"],
            "refresh_token": tokens["refresh_token"],
            "account_id": account(&tokens),
        },
        "last_refresh": jiff::Timestamp::now().to_string(),
    });
    let home = home(pod);
    let wrong = |error: std::io::Error| ComponentError(format!("writing {}/auth.json: {error}", home.display()));
    std::fs::create_dir_all(&home).map_err(wrong)?;
    let bytes = document.to_string().into_bytes();
    let written = Folder::at(&home).replace("auth.json", bytes, PRIVATE).await;
    written.map_err(wrong)?;
    pod.log.line("Successfully logged in");
    Ok(())
}

/// The account that the id token names.
fn account(tokens: &Value) -> Option<String> {
    let payload = tokens["id_token"].as_str()?.split('.').nth(1)?;
    let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).ok()?).ok()?;
    let account = &claims["https://api.openai.com/auth"]["chatgpt_account_id"];
    account.as_str().map(str::to_owned)
}

/// One question of a person and its answer.
async fn exec(pod: &Pod, flags: &Flags<'_>) -> Result<(), ComponentError> {
    let prompt = flags.prompt.ok_or_else(|| ComponentError(USAGE.to_owned()))?;
    let config = Config::read(&home(pod))?;
    let model = flags.model.unwrap_or(&config.model);
    let key = pod.var(&config.env_key).filter(|key| !key.is_empty());
    let key = key.ok_or_else(|| {
        let line = format!("ERROR: Missing environment variable: `{}`.", config.env_key);
        ComponentError(line)
    })?;
    let url = format!("{}/responses", config.base_url.trim_end_matches('/'));
    let content = json!([{ "type": "input_text", "text": prompt }]);
    let asked = json!({
        "model": model,
        "input": [{ "type": "message", "role": "user", "content": content }],
        "stream": true,
        "store": false,
    });
    let post = Post {
        bearer: Some(key),
        accept: Some(HeaderValue::from_static("text/event-stream")),
        ..Post::json(&url, &asked)
    };
    let answer = post
        .send()
        .await
        .map_err(|why| ComponentError(format!("ERROR: {why}")))?;
    let status = answer.status();
    let body = outgoing::read(answer.into_body())
        .await
        .map_err(|why| ComponentError(format!("ERROR: the answer of {url} {why}")))?;
    if status != StatusCode::OK {
        let said: Value = serde_json::from_slice(&body).unwrap_or_default();
        let message = said["error"]["message"].as_str().or(said["error"].as_str());
        let message = message.unwrap_or("no message");
        let line = format!("ERROR: unexpected status {status}: {message}, url: {url}");
        return Err(ComponentError(line));
    }
    match reply(&String::from_utf8_lossy(&body)) {
        Some(reply) => pod.log.line(reply),
        None => return Err(ComponentError(format!("ERROR: {url} gave no whole answer"))),
    }
    Ok(())
}

/// The text of the message that was finished, out of a stream of events that was finished.
fn reply(stream: &str) -> Option<String> {
    let mut text = None;
    for line in stream.lines().filter_map(|line| line.strip_prefix("data:")) {
        let event: Value = serde_json::from_str(line.trim()).unwrap_or_default();
        match event["type"].as_str() {
            Some("response.output_item.done") => {
                let content = event["item"]["content"].as_array()?;
                let parts = content.iter().filter_map(|part| part["text"].as_str());
                text = Some(parts.collect::<String>());
            }
            Some("response.completed") => return text,
            _ => {}
        }
    }
    None
}

/// What of config.toml the stand-in needs.
struct Config {
    model: String,
    base_url: String,
    env_key: String,
}

/// A name that a configuration lacks.
#[derive(Debug, thiserror::Error)]
#[error("it has no {0}")]
struct MissingName(String);

impl Config {
    fn read(home: &Path) -> Result<Config, ComponentError> {
        let wrong = |why: &str| ComponentError(format!("ERROR: {}/config.toml: {why}", home.display()));
        let file = Folder::at(home)
            .read("config.toml")
            .map_err(|why| wrong(&why.to_string()))?;
        let file = file.ok_or_else(|| wrong("there is none, and the stand-in has no provider of its own"))?;
        let texts = toml::texts(&String::from_utf8_lossy(&file));
        Config::of(&texts).map_err(|missing| wrong(&missing.to_string()))
    }

    fn of(texts: &BTreeMap<String, String>) -> Result<Config, MissingName> {
        let text = |name: String| texts.get(&name).cloned().ok_or(MissingName(name));
        let provider = text("model_provider".to_owned())?;
        let of_provider = |name: &str| text(format!("model_providers.{provider}.{name}"));
        Ok(Config {
            model: text("model".to_owned())?,
            base_url: of_provider("base_url")?,
            env_key: of_provider("env_key")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_those_of_the_real_one() {
        let flags = Flags::of(&["--skip-git-repo-check", "-s", "read-only", "-m", "m", "say hello"]).expect("flags");
        assert_eq!((flags.prompt, flags.model), (Some("say hello"), Some("m")));
        for words in [&["--nonsense"][..], &["one", "two"], &["-m"]] {
            assert!(Flags::of(words).is_err(), "{words:?}");
        }
    }

    /// As the real one: deltas alone are no reply (`OutputTextDelta without active item`).
    #[test]
    fn a_reply_is_a_finished_item_of_a_finished_response() {
        let delta = "event: x\ndata: {\"type\":\"response.output_text.delta\",\"delta\":\"Hel\"}\n\n";
        let done = "data: {\"type\":\"response.output_item.done\",\"item\":{\"content\":[{\"text\":\"Hello\"}]}}\n\n";
        let completed = "data: {\"type\":\"response.completed\"}\n\n";
        let whole = format!("{delta}{done}{completed}");
        assert_eq!(reply(&whole).as_deref(), Some("Hello"));
        assert_eq!(reply(&format!("{delta}{done}")), None);
        assert_eq!(reply(&format!("{delta}{completed}")), None);
    }
}
