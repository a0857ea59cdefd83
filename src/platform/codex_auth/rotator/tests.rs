use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::json;
use tempfile::TempDir;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio_util::task::AbortOnDropHandle;

use super::super::super::pod::tests::pod_at;
use super::super::login::tests::{nested, token};
use super::super::vendor::tests::Fake;
use super::*;

/// Longer than anything here takes on a busy machine.
const SOON: Duration = Duration::from_secs(30);

/// A rotator on a folder of its own.
struct Running {
    folder: TempDir,
    log: UnboundedReceiver<String>,
    said: Vec<String>,
    task: AbortOnDropHandle<Result<(), ComponentError>>,
    pod: Pod,
}

impl Running {
    fn start(folder: TempDir, env: &[(&str, &str)]) -> Running {
        let path = folder.path().to_str().expect("text").to_owned();
        let mut all = vec![
            ("CHATGPT_AUTH_DIR", path.as_str()),
            ("CODEX_ROTATION_INTERVAL_SEC", "3600"),
            ("CODEX_ROTATION_POLL_SEC", "0.02"),
        ];
        // The last one of a name counts.
        all.extend_from_slice(env);
        let (pod, log) = pod_at([127, 0, 0, 1], &all);
        Running {
            folder,
            log,
            said: Vec::new(),
            task: AbortOnDropHandle::new(tokio::spawn(run(pod.clone()))),
            pod,
        }
    }

    /// Waits for a line of its log.
    async fn says(&mut self, line: &str) {
        self.says_what(line, |next| next == line).await;
    }

    /// Waits for a line that begins so.
    async fn begins_to_say(&mut self, start: &str) {
        self.says_what(start, |next| next.starts_with(start)).await;
    }

    async fn says_what(&mut self, what: &str, is_it: impl Fn(&str) -> bool) {
        let found = async {
            loop {
                let next = self.log.recv().await.expect("it goes on");
                let found = is_it(&next);
                self.said.push(next);
                if found {
                    break;
                }
            }
        };
        let found = tokio::time::timeout(SOON, found).await;
        assert!(found.is_ok(), "{what:?} is not said: {:?}", self.said);
    }

    fn active(&self) -> Value {
        json_of(&self.folder.path().join(AUTH))
    }

    fn signal(&self, at: f64, model: &str, exception: &str) {
        let document = super::super::signal::document(at, model, exception);
        self.write(SIGNAL, &document.to_string());
    }

    /// As others do it: under another name first.
    fn write(&self, name: &str, text: &str) {
        let new = self.folder.path().join("new");
        fs::write(&new, text).expect("written");
        fs::rename(&new, self.folder.path().join(name)).expect("renamed");
    }

    async fn end(self) -> TempDir {
        self.pod.stop.cancel();
        self.task.await.expect("no panic").expect("it ends well");
        self.folder
    }
}

fn json_of(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).expect("readable")).expect("JSON")
}

fn folder(files: &[(&str, String)]) -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, text) in files {
        fs::write(folder.path().join(name), text).expect("written");
    }
    folder
}

fn later() -> f64 {
    now() + 1000.0
}

#[tokio::test]
async fn accounts_come_in_turn() {
    let files = [
        ("auth-1.json", nested("one", later())),
        ("auth-2.json", nested("two", 1.0)),
        (
            "auth-3.json",
            json!({ "access_token": token("three", later()) }).to_string(),
        ),
    ];
    let unused = token("env", later());
    let env = [
        ("CODEX_ROTATION_INTERVAL_SEC", "0.2"),
        ("OPENAI_CODEX_ACCESS_TOKEN", unused.as_str()),
    ];
    let mut rotator = Running::start(folder(&files), &env);
    rotator.says("active account-1").await;
    let mode = fs::metadata(rotator.folder.path().join(AUTH))
        .expect("there")
        .permissions();
    assert_eq!(mode.mode() & 0o777, PRIVATE);
    let twice = "account-2 can not be used: its access token has expired";
    rotator.says("active account-3").await;
    rotator.says("active account-1").await;
    assert_eq!(rotator.said.iter().filter(|line| *line == twice).count(), 1);
    let shown = rotator.said.join("\n");
    assert!(!shown.contains("e30"), "no token is said: {shown}");
    rotator.end().await;
}

#[tokio::test]
async fn the_environment_is_for_where_no_file_is() {
    let one = token("one", later());
    let env = [("OPENAI_CODEX_ACCESS_TOKEN_2", one.as_str())];
    let mut rotator = Running::start(folder(&[]), &env);
    rotator.says("active account-2").await;
    assert_eq!(rotator.active()["access_token"], one.as_str());
    // Even one that is no good.
    rotator.write("auth-3.json", "{");
    rotator.says("account-3 can not be used: it is not a JSON object").await;
    rotator.write("auth-1.json", &nested("file", later()));
    rotator.says("active account-1").await;
    rotator.end().await;
}

#[tokio::test]
async fn signals_park_and_rotate() {
    let files = ["auth-1.json", "auth-2.json", "auth-3.json"].map(|name| (name, nested(name, later())));
    let mut rotator = Running::start(folder(&files), &[]);
    rotator.says("active account-1").await;
    rotator.signal(now() - 500.0, "gpt-5-codex", "usage_limit_reached");
    rotator.says("removed stale rotate-now").await;
    rotator.signal(now(), "gauntlet-small", "rate_limit_exceeded");
    rotator.says("removed unrelated rotate-now").await;
    for garbage in ["", "{", "[1]", r#"{"timestamp":"x"}"#] {
        rotator.write(SIGNAL, garbage);
        rotator.says("removed unreadable rotate-now").await;
    }
    assert_eq!(json_of(&rotator.folder.path().join(STATE))["active"], 1);
    rotator.signal(now(), "gpt-5-codex", "usage_limit_reached");
    rotator.says("parked account-1 for 10800s: usage cap").await;
    rotator.says("active account-2").await;
    rotator.signal(now(), "chatgpt/gpt-5-codex", "rate_limit_exceeded");
    rotator.says("parked account-2 for 300s: transient").await;
    rotator.says("active account-3").await;
    let folder = rotator.end().await;
    let state = json_of(&folder.path().join(STATE));
    assert_eq!(state["active"], 3);
    assert!(state["parked"]["1"].is_number() && state["parked"]["2"].is_number());
    assert!(!folder.path().join(SIGNAL).exists());
    // After a restart it goes on where it was.
    let mut again = Running::start(folder, &[]);
    again.says("active account-3").await;
    again.signal(now(), "gpt-5-codex", "usage_limit_reached");
    // All are parked: the one that has been for the longest time.
    again.says("active account-1").await;
    again.end().await;
}

#[tokio::test]
async fn a_mutant_crashes_at_garbage() {
    let files = [("auth-1.json", nested("one", later())), (SIGNAL, "{".to_owned())];
    let env = [("GAUNTLET_MUTANTS", "garbage-crashes")];
    let crashed = Running::start(folder(&files), &env).task.await.expect("no panic");
    assert!(crashed.is_err());
}

/// The outcomes that the vendor has recorded.
async fn outcomes(fake: &Fake) -> Vec<String> {
    let records = fake.records().await;
    let refreshes = records["refreshes"].as_array().expect("refreshes");
    refreshes
        .iter()
        .filter_map(|refresh| refresh["outcome"].as_str().map(str::to_owned))
        .collect()
}

/// A login that has expired, and gets two more that have; then a good one.
async fn refreshed(mutants: &str) -> (Vec<String>, Vec<String>) {
    let fake = Fake::start(&[]).await;
    let issued = fake.control("issue", json!({ "account": "acct-1", "ttl": -5 })).await;
    let file = json!({ "auth_mode": "chatgpt", "tokens": issued }).to_string();
    fake.control("behave", json!({ "token_ttl": -5 })).await;
    let issuer = fake.url("");
    let env = [("CODEX_ISSUER", issuer.as_str()), ("GAUNTLET_MUTANTS", mutants)];
    let mut rotator = Running::start(folder(&[("auth-1.json", file)]), &env);
    // Until two have been answered, in whatever way.
    let asked = async { while outcomes(&fake).await.len() < 2 {} };
    tokio::time::timeout(SOON, asked).await.expect("two refreshes");
    fake.control("behave", json!({ "token_ttl": 3600 })).await;
    if mutants.is_empty() {
        rotator.says("active account-1").await;
        let file = json_of(&rotator.folder.path().join("auth-1.json"));
        assert_eq!(file["auth_mode"], "chatgpt");
        assert_eq!(file["tokens"]["access_token"], rotator.active()["access_token"]);
        assert_ne!(file["tokens"]["refresh_token"], issued["refresh_token"]);
    }
    let said = rotator.said.clone();
    rotator.end().await;
    (outcomes(&fake).await, said)
}

#[tokio::test]
async fn a_login_is_refreshed_again_and_again() {
    let (outcomes, said) = refreshed("").await;
    assert!(
        outcomes.len() >= 3 && outcomes.iter().all(|outcome| outcome == "ok"),
        "{outcomes:?}"
    );
    assert!(said.contains(&"refreshed account-1".to_owned()), "{said:?}");
    for mutant in ["refresh-not-written-back", "refresh-unlocked"] {
        let (outcomes, _) = refreshed(mutant).await;
        assert!(outcomes.contains(&"reused".to_owned()), "{mutant}: {outcomes:?}");
    }
}

#[tokio::test]
async fn a_login_of_the_environment_has_a_successor() {
    let fake = Fake::start(&[]).await;
    let issued = fake.control("issue", json!({ "account": "acct-1", "ttl": -5 })).await;
    let issuer = fake.url("");
    let text = |name: &str| issued[name].as_str().expect("a token");
    let env = [
        ("CODEX_ISSUER", issuer.as_str()),
        ("OPENAI_CODEX_ACCESS_TOKEN", text("access_token")),
        ("OPENAI_CODEX_REFRESH_TOKEN", text("refresh_token")),
    ];
    let mut rotator = Running::start(folder(&[]), &env);
    rotator.says("active account-1").await;
    let before = rotator.active();
    let mut again = Running::start(rotator.end().await, &env);
    again.says("active account-1").await;
    assert_eq!(again.active(), before);
    again.end().await;
    assert_eq!(outcomes(&fake).await, ["ok"]);
}

#[tokio::test]
async fn a_refused_refresh_is_told_once_and_keeps_nobody_waiting() {
    let fake = Fake::start(&[]).await;
    let issued = fake.control("issue", json!({ "account": "acct-1", "ttl": -5 })).await;
    fake.control("revoke", json!({ "account": "acct-1" })).await;
    let issuer = fake.url("");
    let files = [
        ("auth-1.json", json!({ "tokens": issued }).to_string()),
        ("auth-2.json", nested("two", later())),
    ];
    let mut rotator = Running::start(folder(&files), &[("CODEX_ISSUER", issuer.as_str())]);
    rotator.says("active account-2").await;
    let refused = "account-1 can not be used: the identity provider refuses its refresh token: invalid_grant";
    if !rotator.said.iter().any(|line| line == refused) {
        rotator.says(refused).await;
    }
    rotator.end().await;
    assert_eq!(outcomes(&fake).await, ["revoked"]);
}

#[tokio::test]
async fn what_is_no_login_keeps_nobody_from_their_turn() {
    let outside = folder(&[("login", nested("elsewhere", later()))]);
    let whole = nested("one", later());
    let truncated = |path: &Path| fs::write(path, &whole[..whole.len() / 2]).expect("written");
    let huge = |path: &Path| {
        let file = fs::File::create(path).expect("made");
        file.set_len(100 << 20).expect("of 100 MB");
    };
    let is_folder = |path: &Path| fs::create_dir(path).expect("made");
    let leads_out = |path: &Path| {
        std::os::unix::fs::symlink(outside.path().join("login"), path).expect("made");
    };
    type Spoils<'s> = (&'s dyn Fn(&Path), &'s str);
    let cases: [Spoils<'_>; 4] = [
        (&truncated, "it is not a JSON object"),
        (&huge, "the file has 104857600 bytes; at most 65536 are read"),
        (&is_folder, "this is a folder, not a file"),
        (&leads_out, "is a link that leads out of the folder"),
    ];
    for (make, why) in cases {
        let volume = folder(&[("auth-2.json", nested("two", later()))]);
        make(&volume.path().join("auth-1.json"));
        let mut rotator = Running::start(volume, &[]);
        rotator.says(&format!("account-1 can not be used: {why}")).await;
        rotator.says("active account-2").await;
        // A good one in its place is used.
        let bad = rotator.folder.path().join("auth-1.json");
        match bad.is_dir() {
            true => fs::remove_dir(&bad).expect("removed"),
            false => fs::remove_file(&bad).expect("removed"),
        }
        rotator.write("auth-1.json", &whole);
        rotator.signal(now(), "gpt-5-codex", "rate_limit_exceeded");
        rotator.says("active account-1").await;
        rotator.end().await;
    }
}

/// Nobody but the owner may read it; to root modes say nothing.
#[tokio::test]
async fn a_login_that_may_not_be_read_is_skipped() {
    if rustix::process::geteuid().is_root() {
        return;
    }
    let files = ["auth-1.json", "auth-2.json"].map(|name| (name, nested(name, later())));
    let volume = folder(&files);
    let none = fs::Permissions::from_mode(0o000);
    fs::set_permissions(volume.path().join("auth-1.json"), none).expect("set");
    let mut rotator = Running::start(volume, &[]);
    rotator.says("active account-2").await;
    assert!(
        rotator
            .said
            .iter()
            .any(|line| line.starts_with("account-1 can not be used: ")),
        "{:?}",
        rotator.said
    );
    rotator.end().await;
}

/// What can't be written is tried again, and what was there stays whole.
#[tokio::test]
async fn a_folder_that_is_written_to_in_vain() {
    let volume = folder(&[("auth-1.json", nested("one", later()))]);
    // Nothing can be renamed over a folder that has something in it.
    fs::create_dir_all(volume.path().join(AUTH).join("full")).expect("made");
    let mut rotator = Running::start(volume, &[]);
    rotator.begins_to_say(&format!("writing {AUTH}: ")).await;
    fs::remove_dir_all(rotator.folder.path().join(AUTH)).expect("removed");
    rotator.says("active account-1").await;
    assert!(rotator.active()["access_token"].is_string());
    rotator.end().await;
}

#[tokio::test]
async fn an_identity_provider_that_fails_is_asked_again() {
    for answer in ["down", "html", "500"] {
        let fake = Fake::start(&[]).await;
        fake.control("behave", json!({ "refresh": answer })).await;
        let issued = fake.control("issue", json!({ "account": "acct-1", "ttl": -5 })).await;
        let files = [
            ("auth-1.json", json!({ "tokens": issued }).to_string()),
            ("auth-2.json", nested("two", later())),
        ];
        let issuer = fake.url("");
        let mut rotator = Running::start(folder(&files), &[("CODEX_ISSUER", issuer.as_str())]);
        rotator.begins_to_say("account-1 can not be used: POST ").await;
        fake.control("behave", json!({ "refresh": "ok" })).await;
        rotator.says("refreshed account-1").await;
        rotator.end().await;
        assert_eq!(outcomes(&fake).await, ["ok"], "{answer}");
    }
}
