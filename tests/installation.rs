//! Platforms that aren't ours: judged through a profile, and left as they were found.

mod common;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use common::{Ran, Running, gauntlet, gauntlet_with_signals, until};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, ListParams, Patch, PatchParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use rustix::process::Signal;
use serde_json::{Value, json};

/// Other names than the contract's.
const NAMES: &str = "\
apiVersion: gauntlet/v1
kind: Profile
names:
  secret.name: agents-env
  secret.key: TTY_TOKEN
  secret.master-key: API_KEY
  web.deployment: agents-web
  web.selector: app=agents-web
  worker.deployment: agents-worker
  worker.selector: app=agents-worker
  warm.selector: state=warm
  session.label: belongs-to
  api.path: /api/agents
";

/// Choices that the reference platform makes.
const POLICIES: &str = "\
policies:
  balancer.strips-authorization: yes
  rotation.direct-old-token: accepted
  rotation.open-terminals: kept
";

/// A platform that somebody else runs.
struct Theirs {
    /// Where it is in a process of its own.
    _running: Option<Running>,
    /// Where it is on a cluster of kind's: its name.
    cluster: Option<String>,
    folder: tempfile::TempDir,
    client: kube::Client,
    /// Addresses by name.
    doors: BTreeMap<&'static str, String>,
}

impl Theirs {
    async fn up(mutants: &[&str]) -> Theirs {
        let folder = common::folder();
        std::fs::write(folder.path().join("names.yaml"), NAMES).expect("written");
        let mut command = gauntlet_with_signals();
        command
            .current_dir(folder.path())
            .args(["up", "--kubeconfig", "k.yaml", "--profile", "names.yaml"]);
        for mutant in mutants {
            command.args(["--mutant", mutant]);
        }
        let running = Running::start(&mut command).expect("gauntlet starts");
        until("the platform is up", || {
            match running.stdout().contains("Ctrl-C ends it") {
                true => Ok(()),
                false => Err(running.stdout() + &running.stderr()),
            }
        });
        let out = running.stdout();
        let door = |name: &'static str| {
            let line = out.lines().find_map(|line| line.strip_prefix(name));
            (name, line.expect("its line").trim().to_owned())
        };
        let doors = BTreeMap::from([door("web"), door("balancer")]);
        let profile = format!("{NAMES}roads: {{ balancer: \"{}\" }}\n{POLICIES}", doors["balancer"]);
        std::fs::write(folder.path().join("p.yaml"), profile).expect("written");
        Theirs {
            _running: Some(running),
            cluster: None,
            client: client(folder.path()).await,
            folder,
            doors,
        }
    }

    /// The same on a real cluster.
    async fn up_on_kind() -> Theirs {
        let folder = common::folder();
        std::fs::write(folder.path().join("names.yaml"), NAMES).expect("written");
        let cluster = format!("gauntlet-theirs-{:06x}", rand::random::<u32>() & 0xff_ffff);
        let mut command = gauntlet();
        command
            .current_dir(folder.path())
            .args(["up", "--target", "kind", "--cluster-name", &cluster])
            .args(["--kubeconfig", "k.yaml", "--profile", "names.yaml"])
            .args(common::node_image());
        Ran::of(command.output().expect("gauntlet runs")).exits(0);
        let profile = format!("{NAMES}roads: {{ balancer: port-forward }}\n{POLICIES}");
        std::fs::write(folder.path().join("p.yaml"), profile).expect("written");
        Theirs {
            _running: None,
            cluster: Some(cluster),
            client: client(folder.path()).await,
            folder,
            doors: BTreeMap::new(),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn command(&self, arguments: &[&str]) -> std::process::Command {
        let mut command = gauntlet();
        command
            .current_dir(self.folder.path())
            .env("KUBECONFIG", "k.yaml")
            .env("XDG_STATE_HOME", "state")
            .args(arguments);
        command
    }

    fn ran(&self, arguments: &[&str]) -> Ran {
        Ran::of(self.command(arguments).output().expect("gauntlet runs"))
    }

    /// A run on it, its JSON report.
    fn judged(&self, code: i32, arguments: &[&str]) -> Value {
        let of = [
            "run",
            "--target",
            "cluster",
            "--profile",
            "p.yaml",
            "--report",
            "json=r.json",
        ];
        self.ran(&[&of, arguments].concat()).exits(code);
        common::json(&self.path("r.json"))
    }

    /// What is to be as it was: objects less what changes by itself.
    async fn state(&self) -> BTreeMap<String, Value> {
        let mut state = BTreeMap::new();
        let secrets: Api<Secret> = Api::default_namespaced(self.client.clone());
        let deployments: Api<Deployment> = Api::default_namespaced(self.client.clone());
        let leases: Api<Lease> = Api::default_namespaced(self.client.clone());
        let all = ListParams::default();
        let secrets = secrets.list(&all).await.expect("secrets").items;
        let deployments = deployments.list(&all).await.expect("deployments").items;
        let leases = leases.list(&all).await.expect("leases").items;
        let objects = secrets.iter().map(|object| json!(object));
        let objects = objects.chain(deployments.iter().map(|object| json!(object)));
        for mut object in objects.chain(leases.iter().map(|object| json!(object))) {
            let name = object["metadata"]["name"].as_str().expect("a name").to_owned();
            object.as_object_mut().expect("an object").remove("status");
            let metadata = object["metadata"].as_object_mut().expect("metadata");
            for field in ["resourceVersion", "generation", "managedFields"] {
                metadata.remove(field);
            }
            if let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_object_mut) {
                annotations.remove("deployment.kubernetes.io/revision");
            }
            state.insert(format!("{} {name}", object["data"].is_null()), object);
        }
        state
    }

    /// The sessions that there are, as the session API tells them.
    async fn sessions(&self) -> Vec<Value> {
        let secrets: Api<Secret> = Api::default_namespaced(self.client.clone());
        let data = secrets.get("agents-env").await.expect("the secret").data.expect("data");
        let key = String::from_utf8(data["API_KEY"].0.clone()).expect("text");
        let pods: Api<k8s_openapi::api::core::v1::Pod> = Api::default_namespaced(self.client.clone());
        let web = pods
            .list(&ListParams::default().labels("app=agents-web"))
            .await
            .expect("pods");
        let running = web.items.iter().find(|pod| pod.metadata.deletion_timestamp.is_none());
        let ip = running
            .and_then(|pod| pod.status.as_ref()?.pod_ip.clone())
            .expect("an address");
        let answer = reqwest::Client::new()
            .get(format!("http://{ip}:3000/api/agents/sessions"))
            .bearer_auth(key)
            .send()
            .await
            .expect("an answer");
        answer.json().await.expect("a list")
    }

    fn journals(&self) -> Vec<PathBuf> {
        let folder = self.path("state/gauntlet");
        let listed = std::fs::read_dir(folder).into_iter().flatten();
        listed.map(|entry| entry.expect("an entry").path()).collect()
    }
}

impl Drop for Theirs {
    fn drop(&mut self) {
        if let Some(cluster) = &self.cluster {
            let down = self
                .command(&["down", "--kubeconfig", "k.yaml", "--cluster-name", cluster])
                .output();
            assert!(down.is_ok_and(|down| down.status.success()), "{cluster} is left");
        }
    }
}

async fn client(folder: &Path) -> kube::Client {
    // There may be one already: the tests of this file share a process.
    let _installed = rustls::crypto::ring::default_provider().install_default();
    let config = Kubeconfig::read_from(folder.join("k.yaml")).expect("a kubeconfig");
    let config = kube::Config::from_custom_kubeconfig(config, &KubeConfigOptions::default()).await;
    kube::Client::try_from(config.expect("a configuration")).expect("a client")
}

fn snapshot(name: &str, message: String) {
    insta::with_settings!({ snapshot_path => "installation", prepend_module_to_snapshot => false }, {
        insta::assert_snapshot!(name, message);
    });
}

fn verdicts(report: &Value) -> BTreeMap<String, String> {
    let results = report["scenarios"].as_array().expect("scenarios");
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let case = |result: &Value| {
        let parameters = result["parameters"].as_object().into_iter().flatten();
        let parameters: Vec<String> = parameters.map(|(_, value)| text(value)).collect();
        format!("{}[{}]", text(&result["id"]), parameters.join(","))
    };
    results
        .iter()
        .map(|result| (case(result), text(&result["verdict"])))
        .collect()
}

#[tokio::test]
async fn it_is_only_looked_at_unless_more_is_allowed() {
    let theirs = Theirs::up(&[]).await;
    let before = theirs.state().await;
    let report = theirs.judged(4, &["harness-token/token"]);
    assert!(verdicts(&report).values().all(|verdict| verdict == "skip"), "{report}");
    assert_eq!(theirs.state().await, before);
    assert!(theirs.journals().is_empty());
    let refused = theirs
        .ran(&[
            "run",
            "--target",
            "cluster",
            "--profile",
            "p.yaml",
            "--allow",
            "disrupt",
        ])
        .exits(2);
    insta::assert_snapshot!(refused.stderr, @"gauntlet: --allow disrupt wants --context as well: which cluster is disrupted is not left to what is current
");
}

#[tokio::test]
async fn it_is_used_with_sessions_that_are_deleted() {
    let theirs = Theirs::up(&[]).await;
    let before = theirs.state().await;
    let report = theirs.judged(5, &["--allow", "use"]);
    let verdicts = verdicts(&report);
    for passed in [
        "harness-token/token/accept[direct]",
        "harness-token/token/accept[proxy]",
        "harness-token/token/accept[balancer]",
        "harness-token/token/refuse[balancer]",
        "harness-token/token/flow[]",
        "harness-token/alb/header[]",
        "harness-token/alb/both[]",
        "harness-token/leak/log[]",
    ] {
        assert_eq!(
            verdicts.get(passed).map(String::as_str),
            Some("pass"),
            "{passed} in {verdicts:?}"
        );
    }
    assert!(
        !verdicts.values().any(|verdict| verdict == "fail" || verdict == "error"),
        "{verdicts:?}"
    );
    assert_eq!(theirs.state().await, before);
    assert_eq!(theirs.sessions().await, Vec::<Value>::new());
    assert!(theirs.journals().is_empty());
}

#[tokio::test]
async fn one_that_is_broken_fails_and_the_failure_can_be_seen_again() {
    let theirs = Theirs::up(&["empty-token-opens"]).await;
    let ran = theirs
        .ran(&[
            "run",
            "--target",
            "cluster",
            "--profile",
            "p.yaml",
            "--allow",
            "use",
            "harness-token/token/refuse[proxy]",
        ])
        .exits(1);
    let again =
        "gauntlet run 'harness-token/token/refuse[proxy]' --target cluster --allow use --profile p.yaml --seed ";
    assert!(ran.stdout.contains(again), "{}", ran.stdout);
    assert!(
        ran.stdout
            .contains("# The last request, with the sessions of that run:"),
        "{}",
        ran.stdout
    );
    assert!(!ran.stdout.contains("gauntlet up"), "{}", ran.stdout);
    assert_eq!(theirs.sessions().await, Vec::<Value>::new());
}

const ROTATE: [&str; 7] = [
    "--context",
    "gauntlet",
    "--allow",
    "disrupt",
    "--level",
    "all",
    "harness-token/rotate",
];

#[tokio::test]
async fn what_is_disrupted_is_put_back() {
    let theirs = Theirs::up(&[]).await;
    let before = theirs.state().await;
    let report = theirs.judged(0, &ROTATE);
    assert!(verdicts(&report).values().all(|verdict| verdict == "pass"), "{report}");
    assert_eq!(theirs.state().await, before);
    assert_eq!(theirs.sessions().await, Vec::<Value>::new());
    assert!(theirs.journals().is_empty());
    // And with the old token it works as before.
    theirs.judged(0, &["--allow", "use", "harness-token/token/accept"]);
    let nothing = theirs.ran(&["recover"]).exits(0);
    assert_eq!(
        nothing.stdout,
        "nothing to put back: there is no undo journal in state/gauntlet\n"
    );
}

/// Kills a run when its journal has so many entries of a kind; gives the journal.
fn killed(theirs: &Theirs, rotate: &[&str], at: &str, times: usize) -> PathBuf {
    let of = ["run", "--target", "cluster", "--profile", "p.yaml"];
    let mut run = Running::start(&mut theirs.command(&[&of[..], rotate].concat())).expect("gauntlet starts");
    let journal = || theirs.journals().pop();
    let entry = format!("\"change\":\"{at}\"");
    until("the journal has it", || {
        let text = journal()
            .and_then(|path| std::fs::read_to_string(path).ok())
            .unwrap_or_default();
        match text.matches(&entry).count() >= times {
            true => Ok(()),
            false => Err(format!("{text}\n{}", run.stderr())),
        }
    });
    run.signal(Signal::KILL);
    run.ends();
    journal().expect("it is left")
}

#[tokio::test]
async fn killed_at_any_point_it_is_put_back_by_recover() {
    let theirs = Theirs::up(&[]).await;
    let before = theirs.state().await;
    for (at, times) in [
        ("session", 1),
        ("warm-pods", 1),
        ("secret", 1),
        ("restart", 1),
        ("restart", 2),
        ("session", 2),
        ("undone", 1),
        ("secret", 3),
    ] {
        let journal = killed(&theirs, &ROTATE, at, times);
        let text = std::fs::read_to_string(&journal).expect("text");
        let secrets = &before["false agents-env"]["data"];
        for secret in secrets.as_object().expect("data").values() {
            assert!(
                !text.contains(secret.as_str().expect("base64")),
                "a secret stands in the journal"
            );
        }
        theirs.ran(&["recover", "--context", "another"]).exits(0);
        assert_eq!(theirs.journals().len(), 1, "of another context");
        let recovered = theirs.ran(&["recover"]).exits(0);
        assert!(
            recovered.stdout.contains(": put back"),
            "{at} {times}: {}",
            recovered.stdout
        );
        assert_eq!(recovered.stderr, "", "{at} {times}");
        assert_eq!(theirs.state().await, before, "{at} {times}");
        assert_eq!(theirs.sessions().await, Vec::<Value>::new(), "{at} {times}");
        assert!(theirs.journals().is_empty());
    }
}

#[tokio::test]
async fn what_somebody_else_changed_meanwhile_is_left() {
    let theirs = Theirs::up(&[]).await;
    let before = theirs.state().await;
    killed(&theirs, &ROTATE, "restart", 2);
    let secrets: Api<Secret> = Api::default_namespaced(theirs.client.clone());
    let patch = json!({ "stringData": { "TTY_TOKEN": "somebody-elses-new-token" } });
    let params = PatchParams::default();
    secrets
        .patch("agents-env", &params, &Patch::Merge(&patch))
        .await
        .expect("patched");
    let recovered = theirs.ran(&["recover"]).exits(0);
    let told = "TTY_TOKEN of the secret agents-env was changed by somebody else since: it is left as it is\n";
    assert!(recovered.stderr.ends_with(told), "{}", recovered.stderr);
    let mut after = theirs.state().await;
    let secret = after.get_mut("false agents-env").expect("the secret");
    assert_eq!(secret["data"]["TTY_TOKEN"], "c29tZWJvZHktZWxzZXMtbmV3LXRva2Vu");
    secret["data"]["TTY_TOKEN"] = before["false agents-env"]["data"]["TTY_TOKEN"].clone();
    assert_eq!(after, before);
    assert!(theirs.journals().is_empty());
}

#[tokio::test]
async fn one_run_at_a_time_disrupts_it() {
    let theirs = Theirs::up(&[]).await;
    let leases: Api<Lease> = Api::default_namespaced(theirs.client.clone());
    let held = |renewed: jiff::Timestamp| -> Lease {
        let spec =
            json!({ "holderIdentity": "run-other", "leaseDurationSeconds": 60, "renewTime": format!("{renewed:.6}") });
        serde_json::from_value(json!({ "metadata": { "name": "gauntlet" }, "spec": spec })).expect("a lease")
    };
    let now = jiff::Timestamp::now();
    leases.create(&PostParams::default(), &held(now)).await.expect("made");
    let of = ["run", "--target", "cluster", "--profile", "p.yaml"];
    let refused = theirs.ran(&[&of[..], &ROTATE].concat()).exits(3);
    insta::assert_snapshot!(refused.stderr, @"
    gauntlet: the run run-other disrupts this platform now (the lease gauntlet); one does at a time, and a lease that is no longer renewed counts for a minute
    gauntlet: nothing was run
    ");
    assert!(theirs.journals().is_empty());
    // Who doesn't renew it doesn't hold it.
    let mut over = held(now - jiff::SignedDuration::from_secs(61));
    over.metadata.resource_version = leases.get("gauntlet").await.expect("it").metadata.resource_version;
    leases
        .replace("gauntlet", &PostParams::default(), &over)
        .await
        .expect("replaced");
    theirs.judged(0, &ROTATE);
    assert_eq!(leases.get_opt("gauntlet").await.expect("an answer"), None);
}

#[tokio::test]
async fn of_some_only_the_doors_are_known() {
    let theirs = Theirs::up(&[]).await;
    let secrets: Api<Secret> = Api::default_namespaced(theirs.client.clone());
    let data = secrets.get("agents-env").await.expect("the secret").data.expect("data");
    let text = |key: &str| String::from_utf8(data[key].0.clone()).expect("text");
    std::fs::write(theirs.path("token"), text("TTY_TOKEN") + "\n").expect("written");
    let profile = format!(
        "{NAMES}roads: {{ balancer: \"{}\" }}\nsecrets: {{ token: {{ file: token }}, master-key: {{ env: API_KEY }} }}\n",
        theirs.doors["balancer"]
    );
    std::fs::write(theirs.path("u.yaml"), profile).expect("written");
    let of = [
        "run",
        "--target",
        "url",
        "--profile",
        "u.yaml",
        "--allow",
        "use",
        "--report",
        "json=r.json",
    ];
    let without = theirs.ran(&of).exits(3);
    insta::assert_snapshot!(without.stderr, @"
    gauntlet: reading the master-key from the variable API_KEY: it is not set, or no text
    gauntlet: nothing was run
    ");
    let output = theirs
        .command(&of)
        .env("API_KEY", text("API_KEY"))
        .env_remove("KUBECONFIG")
        .output();
    Ran::of(output.expect("gauntlet runs")).exits(5);
    let report = common::json(&theirs.path("r.json"));
    let verdicts = verdicts(&report);
    assert_eq!(verdicts["harness-token/token/accept[balancer]"], "pass");
    assert_eq!(verdicts["harness-token/token/refuse[balancer]"], "pass");
    assert_eq!(verdicts["harness-token/token/accept[proxy]"], "skip");
    assert_eq!(verdicts["harness-token/token/flow[]"], "skip");
    assert_eq!(theirs.sessions().await, Vec::<Value>::new());
    let text = std::fs::read_to_string(theirs.path("r.json")).expect("text");
    assert!(!text.contains(&String::from_utf8_lossy(&data["TTY_TOKEN"].0).into_owned()));
}

#[test]
fn the_profiles_that_come_along_are_right() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/profiles");
    let files = common::files_below(folder.as_ref());
    assert!(!files.is_empty());
    for (file, _) in files {
        common::run_in(common::folder().path(), &["check", &file.display().to_string()]).exits(0);
    }
}

#[tokio::test]
async fn what_stands_in_the_way_is_said_before_anything_runs() {
    let theirs = Theirs::up(&[]).await;
    let said = |arguments: &[&str]| {
        let of = [
            "run",
            "--target",
            "cluster",
            "--allow",
            "use",
            "harness-token/token/accept",
        ];
        let ran = theirs.ran(&[&of, arguments].concat()).exits(3);
        assert!(ran.stdout.is_empty() || !ran.stdout.contains("PASS"), "{}", ran.stdout);
        ran.stderr
    };
    snapshot("no-such-secret", said(&[]));
    snapshot(
        "no-such-key",
        said(&["--profile", "p.yaml", "--set", "secret.key=NO_SUCH"]),
    );
    snapshot(
        "no-such-context",
        said(&["--profile", "p.yaml", "--context", "nowhere"]),
    );
    snapshot(
        "no-such-kubeconfig",
        said(&["--profile", "p.yaml", "--kubeconfig", "none.yaml"]),
    );
    let config = std::fs::read_to_string(theirs.path("k.yaml")).expect("text");
    let address = regex::Regex::new(r"https://[0-9.:]+").expect("a pattern");
    let gone = address.replace(&config, "https://127.0.0.1:1").into_owned();
    std::fs::write(theirs.path("gone.yaml"), gone).expect("written");
    snapshot("gone", said(&["--profile", "p.yaml", "--kubeconfig", "gone.yaml"]));
    for (arguments, message) in [
        (
            &["run", "--context", "x"][..],
            "gauntlet: --context is of the target cluster, and the target is embedded; did you mean `--target cluster`?\n",
        ),
        (
            &["run", "--target", "kind", "--allow", "use"],
            "gauntlet: --allow is of the target cluster, and the target is kind; did you mean `--target cluster`?\n",
        ),
        (
            &["run", "--target", "url", "--mutant", "empty-token-opens"],
            "gauntlet: --mutant breaks the reference platform, and the target is one that isn't ours\n",
        ),
    ] {
        assert_eq!(theirs.ran(arguments).exits(2).stderr, message);
    }
}

/// The same on real Kubernetes: judged through the profile, disrupted, killed on the way, put back.
#[tokio::test]
#[ignore = "makes a cluster, for minutes: `make test-kind`"]
async fn on_a_real_cluster() {
    let theirs = Theirs::up_on_kind().await;
    let before = theirs.state().await;
    let report = theirs.judged(5, &["--allow", "use"]);
    let all = verdicts(&report);
    assert!(
        !all.values().any(|verdict| verdict == "fail" || verdict == "error"),
        "{all:?}"
    );
    assert_eq!(all["harness-token/token/accept[balancer]"], "pass");
    let context = format!("kind-{}", theirs.cluster.as_deref().unwrap_or_default());
    let mut rotate = ROTATE;
    rotate[1] = &context;
    let report = theirs.judged(0, &rotate);
    assert!(verdicts(&report).values().all(|verdict| verdict == "pass"), "{report}");
    assert_eq!(theirs.state().await, before);
    for (at, times) in [("secret", 1), ("restart", 2), ("undone", 1)] {
        killed(&theirs, &rotate, at, times);
        let recovered = theirs.ran(&["recover"]).exits(0);
        assert!(
            recovered.stdout.contains(": put back"),
            "{at} {times}: {}",
            recovered.stdout
        );
        assert_eq!(theirs.state().await, before, "{at} {times}");
        assert!(theirs.journals().is_empty());
    }
    let pods: Api<k8s_openapi::api::core::v1::Pod> = Api::default_namespaced(theirs.client.clone());
    let of_sessions = pods
        .list(&ListParams::default().labels("belongs-to"))
        .await
        .expect("pods");
    let live = of_sessions
        .items
        .iter()
        .filter(|pod| pod.metadata.deletion_timestamp.is_none());
    assert_eq!(live.count(), 0, "no session is left");
}
