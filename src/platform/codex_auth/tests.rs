//! The parts together, each as its component: a login that is made, comes in turn, and answers an agent's call.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio_util::task::AbortOnDropHandle;

use super::super::pod::tests::pod_at;
use super::super::{Component, ComponentError, Pod, run};
use super::clock::now;
use super::vendor::tests::Fake;
use crate::world::embedded::Address;

const MASTER: &str = "sk-master";
/// Longer than anything here takes on a busy machine.
const SOON: Duration = Duration::from_secs(30);

/// A component and what it says.
struct Running {
    pod: Pod,
    log: UnboundedReceiver<String>,
    task: AbortOnDropHandle<Result<(), ComponentError>>,
    _address: Address,
}

fn start(component: Component, args: &[&str], env: &[(&str, &str)]) -> Running {
    let address = Address::reserve().expect("an address");
    let (pod, log) = pod_at(address.ip.octets(), env);
    let pod = Pod {
        args: args.iter().map(|word| (*word).to_owned()).collect(),
        ..pod
    };
    Running {
        task: AbortOnDropHandle::new(tokio::spawn(run(component, pod.clone()))),
        pod,
        log,
        _address: address,
    }
}

impl Running {
    /// Waits for a line with this in it; gives the line.
    async fn says(&mut self, part: &str) -> String {
        let found = async {
            loop {
                let line = self.log.recv().await.expect("it says more");
                if line.contains(part) {
                    return line;
                }
            }
        };
        let found = tokio::time::timeout(SOON, found).await;
        found.unwrap_or_else(|_| panic!("it doesn't say {part:?}"))
    }

    /// How it ends, and all that it has said till then.
    async fn ends(mut self) -> (Result<(), ComponentError>, String) {
        let ended = tokio::time::timeout(SOON, &mut self.task).await.expect("it ends");
        let mut said = String::new();
        while let Ok(line) = self.log.try_recv() {
            said += &line;
            said.push('\n');
        }
        (ended.expect("no panic"), said)
    }
}

/// LiteLLM on a folder, before a vendor.
struct LiteLlm {
    running: Running,
}

impl LiteLlm {
    async fn start(folder: &Path, fake: &Fake, mutants: &str) -> LiteLlm {
        let base = fake.url("/backend-api/codex");
        let keys = json!([
            { "key": "sk-nova", "models": ["gpt-5-codex"], "alias": "nova" },
            { "key": "sk-small", "models": ["gauntlet-small"] },
            { "key": "sk-old", "models": ["gpt-5-codex"], "expires": 1 },
            { "key": "sk-poor", "models": ["gauntlet-small"], "budget": 1 },
        ])
        .to_string();
        let env = [
            ("LITELLM_MASTER_KEY", MASTER),
            ("VIRTUAL_KEYS", keys.as_str()),
            ("CODEX_API_BASE", base.as_str()),
            ("CHATGPT_AUTH_DIR", folder.to_str().expect("text")),
            ("GAUNTLET_MUTANTS", mutants),
        ];
        let mut running = start(Component::CodexLiteLlm, &[], &env);
        running.says("on port").await;
        LiteLlm { running }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}:4000{path}", self.running.pod.ip)
    }

    async fn send(&self, key: &str, path: &str, body: Option<Value>) -> (u16, Value) {
        // Which provider it is does not matter here; others may have installed one.
        let _installed = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder()
            .no_proxy()
            .timeout(SOON)
            .build()
            .expect("a client");
        let request = match body {
            Some(body) => client.post(self.url(path)).body(body.to_string()),
            None => client.get(self.url(path)),
        };
        let answer = request.bearer_auth(key).send().await.expect("an answer");
        let status = answer.status().as_u16();
        let text = answer.text().await.expect("text");
        (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }

    async fn call(&self, key: &str, model: &str) -> (u16, Value) {
        self.send(key, "/v1/responses", Some(json!({ "model": model, "input": "hello" })))
            .await
    }
}

/// Puts a login into auth.json, as the rotator does.
fn put(folder: &Path, tokens: &Value) {
    let mut document = tokens.clone();
    document["expires_at"] = json!(now() + 1000.0);
    let new = folder.join("new");
    std::fs::write(&new, document.to_string()).expect("written");
    std::fs::rename(&new, folder.join("auth.json")).expect("renamed");
}

#[tokio::test]
async fn an_agent_gets_an_answer_by_a_login_of_the_pod() {
    let fake = Fake::start(&[]).await;
    let volume = tempfile::tempdir().expect("a folder");
    let state = tempfile::tempdir().expect("a folder");
    let folder = volume.path().to_str().expect("text");
    let home = state.path().to_str().expect("text");
    let (seeded, _) = start(Component::CodexAuthSeed, &[], &[("CHATGPT_AUTH_DIR", folder)])
        .ends()
        .await;
    seeded.expect("seeded");

    let issuer = fake.url("");
    let words = ["login", "--device-auth", "--experimental_issuer", &issuer];
    let mut login = start(Component::Codex, &words, &[("HOME", home)]);
    login.says("2. Enter this one-time code").await;
    let code = login.says("-").await.trim().to_owned();
    fake.control("approve", json!({ "user_code": code, "account": "acct-1" }))
        .await;
    login.says("Successfully logged in").await;
    std::fs::rename(state.path().join(".codex/auth.json"), volume.path().join("auth-1.json")).expect("moved");

    let env = [("CHATGPT_AUTH_DIR", folder), ("CODEX_ROTATION_POLL_SEC", "0.05")];
    let mut rotator = start(Component::CodexAuthRotator, &[], &env);
    rotator.says("active account-1").await;

    let litellm = LiteLlm::start(volume.path(), &fake, "").await;
    let base = litellm.url("/v1");
    let env = [
        ("AGENT_NAME", "nova"),
        ("RUNTIME_TOKEN", "t"),
        ("STATE_DIR", home),
        ("HOME", home),
        ("LITELLM_BASE_URL", base.as_str()),
        ("LITELLM_API_KEY", "sk-nova"),
    ];
    let mut agent = start(Component::CodexAgent, &[], &env);
    agent.says("ready").await;
    let words = ["exec", "--skip-git-repo-check", "say hello"];
    let (ended, said) = start(Component::Codex, &words, &env).ends().await;
    ended.expect("an answer");
    assert_eq!(said, "Hello from acct-1.\n");

    let (_, calls) = litellm.send(MASTER, "/calls", None).await;
    assert_eq!(calls["calls"][0]["key_alias"], "nova");
    let records = fake.records().await;
    assert_eq!(records["calls"].as_array().map(Vec::len), Some(1));
    let unknown = env.map(|(name, value)| (name, if name == "LITELLM_API_KEY" { "sk-x" } else { value }));
    let (ended, _) = start(Component::Codex, &words, &unknown).ends().await;
    let why = ended.expect_err("refused").to_string();
    assert!(why.contains("unexpected status 401"), "{why}");
    let (version, said) = start(Component::Codex, &["--version"], &[]).ends().await;
    version.expect("a version");
    assert_eq!(said, "codex-cli 0.0.0 (gauntlet stand-in)\n");
}

#[tokio::test]
async fn keys_are_for_their_models() {
    let fake = Fake::start(&[]).await;
    let volume = tempfile::tempdir().expect("a folder");
    let litellm = LiteLlm::start(volume.path(), &fake, "").await;
    assert_eq!(litellm.send("", "/health/readiness", None).await.0, 200);
    for (key, model, status) in [
        ("sk-x", "gauntlet-small", 401),
        ("", "gauntlet-small", 401),
        ("sk-old", "gpt-5-codex", 401),
        ("sk-small", "gpt-5-codex", 403),
        ("sk-small", "gauntlet-small", 200),
        (MASTER, "gauntlet-small", 200),
        (MASTER, "nothing", 400),
        // Its budget is one call.
        ("sk-poor", "gauntlet-small", 200),
        ("sk-poor", "gauntlet-small", 400),
        // There is no login.
        ("sk-nova", "gpt-5-codex", 503),
    ] {
        assert_eq!(litellm.call(key, model).await.0, status, "{key} {model}");
    }
    let block = json!({ "key": "sk-small" });
    assert_eq!(litellm.send("sk-small", "/key/block", Some(block.clone())).await.0, 404);
    assert_eq!(litellm.send(MASTER, "/key/block", Some(block)).await.0, 200);
    let (status, refused) = litellm.call("sk-small", "gauntlet-small").await;
    assert_eq!((status, &refused["error"]["code"]), (401, &json!("401")));
    let limited = |limits: Value| {
        let litellm = &litellm;
        async move {
            assert_eq!(
                litellm.send("sk-nova", "/key/generate", Some(limits.clone())).await.0,
                404
            );
            let (status, made) = litellm.send(MASTER, "/key/generate", Some(limits)).await;
            assert_eq!(status, 200, "{made}");
            made["key"].as_str().expect("a key").to_owned()
        }
    };
    let own = limited(json!({ "models": ["gauntlet-small"], "key_alias": "own" })).await;
    assert_eq!(litellm.call(&own, "gauntlet-small").await.0, 200);
    assert_eq!(litellm.call(&own, "gpt-5-codex").await.0, 403);
    let poor = limited(json!({ "max_budget": 0 })).await;
    assert_eq!(litellm.call(&poor, "gauntlet-small").await.0, 400);
    let short = limited(json!({ "duration": "0s" })).await;
    assert_eq!(litellm.call(&short, "gauntlet-small").await.0, 401);
    let soon = json!({ "duration": "soon" });
    assert_eq!(litellm.send(MASTER, "/key/generate", Some(soon)).await.0, 400);
    let both = json!({ "keys": [own, poor] });
    assert_eq!(litellm.send(MASTER, "/key/delete", Some(both.clone())).await.0, 200);
    assert_eq!(litellm.send(MASTER, "/key/delete", Some(both)).await.0, 404);
    assert_eq!(litellm.call(&own, "gauntlet-small").await.0, 401);
    let (_, models) = litellm.send("sk-nova", "/v1/models", None).await;
    assert_eq!(models["data"][0]["id"], "gpt-5-codex");
    assert_eq!(models["data"].as_array().map(Vec::len), Some(1));
    let (_, calls) = litellm.send(MASTER, "/calls", None).await;
    assert!(!calls.to_string().contains("sk-"), "{calls}");
}

#[tokio::test]
async fn the_login_of_the_moment_answers() {
    let fake = Fake::start(&[]).await;
    let volume = tempfile::tempdir().expect("a folder");
    let one = fake.control("issue", json!({ "account": "acct-1" })).await;
    let two = fake.control("issue", json!({ "account": "acct-2" })).await;
    let says = |answer: &Value| answer["output"][0]["content"][0]["text"].as_str().map(str::to_owned);
    for (mutant, second) in [
        ("", "Hello from acct-2."),
        ("litellm-caches-login", "Hello from acct-1."),
    ] {
        let litellm = LiteLlm::start(volume.path(), &fake, mutant).await;
        put(volume.path(), &one);
        let (status, answer) = litellm.call("sk-nova", "gpt-5-codex").await;
        assert_eq!(
            (status, says(&answer).as_deref()),
            (200, Some("Hello from acct-1.")),
            "{answer}"
        );
        put(volume.path(), &two);
        let (_, answer) = litellm.call("sk-nova", "gpt-5-codex").await;
        assert_eq!(says(&answer).as_deref(), Some(second), "{mutant}");
    }
    let litellm = LiteLlm::start(volume.path(), &fake, "").await;
    let chat = json!({ "model": "gpt-5-codex", "messages": [{ "role": "user", "content": "hello" }] });
    let (_, answer) = litellm.send("sk-nova", "/chat/completions", Some(chat)).await;
    assert_eq!(answer["choices"][0]["message"]["content"], "Hello from acct-2.");
    fake.control("revoke", json!({ "account": "acct-2" })).await;
    assert_eq!(litellm.call("sk-nova", "gpt-5-codex").await.0, 503);
    let lax = LiteLlm::start(volume.path(), &fake, "litellm-falls-back").await;
    assert_eq!(lax.call("sk-nova", "gpt-5-codex").await.0, 200);
}

/// LiteLLM goes on with what can't be read as it does without a login, and until there is one.
#[tokio::test]
async fn an_auth_json_that_is_no_login() {
    let fake = Fake::start(&[]).await;
    let volume = tempfile::tempdir().expect("a folder");
    let litellm = LiteLlm::start(volume.path(), &fake, "").await;
    let active = volume.path().join("auth.json");
    let good = fake.control("issue", json!({ "account": "acct-1" })).await;
    let truncated = good.to_string();
    for text in ["", "{", &truncated[..truncated.len() / 2], "<!doctype html>"] {
        std::fs::write(&active, text).expect("written");
        assert_eq!(litellm.call("sk-nova", "gpt-5-codex").await.0, 503, "{text}");
    }
    let file = std::fs::File::create(&active).expect("made");
    file.set_len(100 << 20).expect("of 100 MB");
    assert_eq!(litellm.call("sk-nova", "gpt-5-codex").await.0, 503);
    std::fs::remove_file(&active).expect("removed");
    std::fs::create_dir(&active).expect("made");
    assert_eq!(litellm.call("sk-nova", "gpt-5-codex").await.0, 503);
    assert_eq!(litellm.send("", "/health/readiness", None).await.0, 200);
    std::fs::remove_dir(&active).expect("removed");
    put(volume.path(), &good);
    assert_eq!(litellm.call("sk-nova", "gpt-5-codex").await.0, 200);
}

#[tokio::test]
async fn a_limit_of_a_codex_model_is_a_signal() {
    let fake = Fake::start(&[]).await;
    let volume = tempfile::tempdir().expect("a folder");
    let signal = volume.path().join("rotate-now");
    put(
        volume.path(),
        &fake.control("issue", json!({ "account": "acct-1" })).await,
    );
    let small = json!({ "model": "gauntlet-small", "input": "x", "mock_response": "litellm.RateLimitError" });
    let litellm = LiteLlm::start(volume.path(), &fake, "").await;
    assert_eq!(litellm.send(MASTER, "/v1/responses", Some(small.clone())).await.0, 429);
    assert!(!signal.exists());
    let rule = json!({ "account": "*", "kind": "usage-cap" });
    fake.control("behave", json!({ "answer": rule })).await;
    assert_eq!(litellm.call("sk-nova", "gpt-5-codex").await.0, 429);
    let written = std::fs::read(&signal).expect("a signal");
    let parsed = super::signal::Signal::parse(&written).expect("one that can be read");
    assert_eq!(parsed.limit, super::rotation::Limit::UsageCap);
    assert!(parsed.is_fresh(now(), 60.0));
    let lax = LiteLlm::start(volume.path(), &fake, "other-models-signal").await;
    std::fs::remove_file(&signal).expect("removed");
    assert_eq!(lax.send(MASTER, "/v1/responses", Some(small)).await.0, 429);
    assert!(signal.exists());
}
