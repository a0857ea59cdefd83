//! What a run leaves on a platform that isn't ours, wherever it ends: nothing, or what `recover` takes away.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, ObjectMeta, Patch, PatchParams, PostParams};
use kube::config::Kubeconfig;
use kube::runtime::wait::await_condition;
use rustix::process::Signal;
use serde_json::{Value, json};

use super::door::Door;
use super::theirs::{NAMES, POLICIES, ROTATE, Theirs, killed, verdicts};
use crate::binary::faulty::{Fault, Faulty};
use crate::binary::{self, Ran, Running, gauntlet_with_signals};

const USE: [&str; 9] = [
    "run",
    "--target",
    "cluster",
    "--profile",
    "p.yaml",
    "--allow",
    "use",
    "--context",
    "gauntlet",
];

/// Has the journal lead to another kubeconfig.
fn goes_by(theirs: &Theirs, from: &str, to: &str) {
    for journal in theirs.journals() {
        let text = std::fs::read_to_string(&journal).expect("text");
        assert!(text.contains(from), "{text}");
        std::fs::write(&journal, text.replace(from, to)).expect("written");
    }
}

/// A pass that ends before the warm pods have the old token again leaves them to the next.
#[tokio::test(flavor = "multi_thread")]
async fn warm_pods_are_made_anew_also_in_a_later_pass() {
    let theirs = Theirs::up(&[]).await;
    let before = theirs.state().await;
    let mut rotate = ROTATE;
    rotate[6] = "harness-token/rotate/new[direct]";
    killed(&theirs, &rotate, "session", 2);
    let faulty = Faulty::before(
        theirs.client.clone(),
        Fault::Forbidden {
            method: "DELETE",
            path: "/sandboxes/",
        },
    )
    .await;
    faulty.kubeconfig(&theirs.path("faulty.yaml"));
    goes_by(&theirs, "k.yaml", "faulty.yaml");
    let recover = |theirs: &Theirs| theirs.command(&["recover"]);
    let mut first = recover(&theirs);
    let first = tokio::task::spawn_blocking(move || Ran::of(first.output().expect("gauntlet runs")));
    let first = first.await.expect("it ran").exits(3);
    assert!(first.stderr.contains("sandbox"), "{}", first.stderr);
    goes_by(&theirs, "faulty.yaml", "k.yaml");
    theirs.ran(&["recover"]).exits(0);
    assert_eq!(theirs.state().await, before);
    theirs.judged(0, &["--allow", "use", "harness-token/token/accept"]);
}

/// The journal knows the context that was current, and the platform is found again where another is.
#[tokio::test]
async fn a_context_that_is_no_longer_current() {
    let theirs = Theirs::up(&[]).await;
    let config = std::fs::read_to_string(theirs.path("k.yaml")).expect("text");
    killed(&theirs, &["--allow", "use", "harness-token/token"], "session", 1);
    let read = Kubeconfig::read_from(theirs.path("k.yaml")).expect("a kubeconfig");
    let mut switched = serde_json::to_value(read).expect("JSON");
    switched["current-context"] = "elsewhere".into();
    let push = |switched: &mut Value, list: &str, item: Value| {
        switched[list].as_array_mut().expect("a list").push(item);
    };
    push(
        &mut switched,
        "contexts",
        json!({ "name": "elsewhere", "context": { "cluster": "elsewhere", "user": "nobody" } }),
    );
    push(
        &mut switched,
        "clusters",
        json!({ "name": "elsewhere", "cluster": { "server": "https://127.0.0.1:1" } }),
    );
    push(&mut switched, "users", json!({ "name": "nobody", "user": {} }));
    std::fs::write(theirs.path("k.yaml"), switched.to_string()).expect("written");
    let recovered = theirs.ran(&["recover"]).exits(0);
    assert!(
        recovered.stdout.ends_with(": put back; 1 session is deleted\n"),
        "{}",
        recovered.stdout
    );
    std::fs::write(theirs.path("k.yaml"), config).expect("written");
    assert_eq!(theirs.sessions().await, Vec::<Value>::new());
}

/// No guess at a cluster where the one that was named isn't known.
#[tokio::test]
async fn a_context_without_a_kubeconfig() {
    let theirs = Theirs::up(&[]).await;
    let nothing = binary::folder();
    let said = |kubeconfig: Option<&str>| {
        let mut command = theirs.command(&USE);
        command.env("HOME", nothing.path()).env_remove("KUBECONFIG");
        command.envs(kubeconfig.map(|file| ("KUBECONFIG", file)));
        Ran::of(command.output().expect("gauntlet runs")).exits(3).stderr
    };
    insta::assert_snapshot!(said(None), @"
    gauntlet: reading the kubeconfig: there is no kubeconfig, so no context gauntlet; the cluster of the pod that this runs in is `in-cluster`
    gauntlet: nothing was run
    ");
    insta::assert_snapshot!(said(Some("typo.yaml")), @"
    gauntlet: reading the kubeconfig typo.yaml: there is no such file or folder
    gauntlet: nothing was run
    ");
}

/// A session stands in the journal when its answer is there; one whose run was killed before that is found by
/// its title.
#[tokio::test]
async fn a_session_that_no_journal_knows() {
    let theirs = Theirs::up(&[]).await;
    let journal = killed(&theirs, &["--allow", "use", "harness-token/token"], "session", 1);
    let text = std::fs::read_to_string(&journal).expect("text");
    let known = text.lines().filter(|line| !line.contains("\"change\":\"session\""));
    let without: String = known.map(|line| format!("{line}\n")).collect();
    assert_ne!(without, text);
    std::fs::write(&journal, without).expect("written");
    let recovered = theirs.ran(&["recover"]).exits(0);
    assert!(
        recovered.stdout.ends_with(": put back; 1 session is deleted\n"),
        "{}",
        recovered.stdout
    );
    assert_eq!(theirs.sessions().await, Vec::<Value>::new());
}

/// A run on a platform whose sessions are made behind a door that is held.
async fn held(theirs: &Theirs, further: &[&str]) -> (Door, Running) {
    let door = Door::before(&theirs.doors["web"]).await;
    let road = format!("road.proxy=http://{}", door.address);
    let mut command = gauntlet_with_signals();
    command
        .current_dir(theirs.folder.path())
        .env("KUBECONFIG", "k.yaml")
        .env("XDG_STATE_HOME", "state")
        .args(USE)
        .args(["--set", &road, "--report", "json=r.json"])
        .args(further);
    let running = Running::start(&mut command).expect("gauntlet starts");
    door.made().await;
    (door, running)
}

/// The one of an answer that was not waited for.
#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_was_being_made_when_the_run_was_interrupted() {
    let theirs = Theirs::up(&[]).await;
    let (_door, mut running) = held(&theirs, &["harness-token/token/accept[direct]"]).await;
    running.signal(Signal::INT);
    assert_eq!(running.ends().code(), Some(130), "{}", running.stderr());
    assert_eq!(theirs.sessions().await, Vec::<Value>::new());
    assert!(theirs.journals().is_empty());
}

fn lease(holder: &str) -> Lease {
    let now = format!("{:.6}", jiff::Timestamp::now());
    let spec = json!({ "holderIdentity": holder, "leaseDurationSeconds": 60, "renewTime": now });
    serde_json::from_value(json!({ "metadata": { "name": "gauntlet" }, "spec": spec })).expect("a lease")
}

/// What failed while somebody else disrupted the platform is no verdict on it.
#[tokio::test(flavor = "multi_thread")]
async fn a_platform_that_others_disrupt() {
    let theirs = Theirs::up(&["empty-token-opens"]).await;
    let refuse = ["harness-token/token/refuse[direct]"];
    let reason = |code: i32, mut running: Running| {
        assert_eq!(
            running.ends().code(),
            Some(code),
            "{}{}",
            running.stdout(),
            running.stderr()
        );
        let report = binary::json(&theirs.path("r.json"));
        report["scenarios"][0]["reason"].as_str().unwrap_or_default().to_owned()
    };
    let (door, running) = held(&theirs, &refuse).await;
    door.open();
    assert!(!reason(1, running).contains("meanwhile"));

    let (door, running) = held(&theirs, &refuse).await;
    let secrets: Api<Secret> = Api::default_namespaced(theirs.client.clone());
    let patch = json!({ "stringData": { "TTY_TOKEN": "a-token-of-somebody-else" } });
    let (params, patch) = (PatchParams::default(), Patch::Merge(&patch));
    secrets.patch("agents-env", &params, &patch).await.expect("patched");
    door.open();
    let told = reason(3, running);
    assert!(told.contains("the secret agents-env was changed meanwhile"), "{told}");

    let (door, running) = held(&theirs, &refuse).await;
    let leases: Api<Lease> = Api::default_namespaced(theirs.client.clone());
    let (params, taken) = (PostParams::default(), lease("run-other"));
    leases.create(&params, &taken).await.expect("made");
    door.open();
    let told = reason(3, running);
    assert!(told.contains("the run run-other disrupts this platform"), "{told}");

    // And as long as it does, none begins.
    let refused = theirs.ran(&USE).exits(3);
    let held = "gauntlet: the run run-other disrupts this platform now (the lease gauntlet): ";
    assert!(refused.stderr.starts_with(held), "{}", refused.stderr);
    assert!(theirs.journals().is_empty());
}

/// Where nobody heard whether the lease was taken, it is given back.
#[tokio::test(flavor = "multi_thread")]
async fn interrupted_while_the_lease_is_taken() {
    let theirs = Theirs::up(&[]).await;
    let unanswered = Fault::Unanswered {
        method: "POST",
        path: "/leases",
    };
    let faulty = Faulty::before(theirs.client.clone(), unanswered).await;
    faulty.kubeconfig(&theirs.path("faulty.yaml"));
    let mut command = gauntlet_with_signals();
    command
        .current_dir(theirs.folder.path())
        .env("XDG_STATE_HOME", "state")
        .args([
            "run",
            "--target",
            "cluster",
            "--kubeconfig",
            "faulty.yaml",
            "--profile",
            "p.yaml",
        ])
        .args(ROTATE);
    let mut running = Running::start(&mut command).expect("gauntlet starts");
    let leases: Api<Lease> = Api::default_namespaced(theirs.client.clone());
    let taken = await_condition(leases.clone(), "gauntlet", |lease: Option<&Lease>| lease.is_some());
    taken.await.expect("a watch");
    running.signal(Signal::INT);
    assert_eq!(running.ends().code(), Some(130), "{}", running.stderr());
    assert_eq!(leases.get_opt("gauntlet").await.expect("an answer"), None);
    assert!(theirs.journals().is_empty());
}

/// One gets its old value again, the other goes.
#[tokio::test]
async fn a_key_that_a_secret_has_and_one_that_it_has_not() {
    let theirs = Theirs::up(&[]).await;
    let secrets: Api<Secret> = Api::default_namespaced(theirs.client.clone());
    let single = Secret {
        metadata: ObjectMeta {
            name: Some("single".into()),
            ..ObjectMeta::default()
        },
        data: Some(BTreeMap::from([(
            "ONLY".into(),
            ByteString(b"the-only-value".to_vec()),
        )])),
        ..Secret::default()
    };
    secrets.create(&PostParams::default(), &single).await.expect("made");
    let before = theirs.state().await;
    let scenario = "apiVersion: gauntlet/v1\nid: own/two/keys\ntitle: A secret gets two values\n\
                    spec: a contract of our own\nlevel: core\nintrusion: disrupt\nsteps:\n\
                    - { patch-secret: single, set: { ONLY: another-value, MORE: one-more } }\n\
                    - { secret: single, check: { data: { count: 2 } } }\n";
    std::fs::create_dir_all(theirs.path("own/two")).expect("made");
    std::fs::write(theirs.path("own/two/keys.yaml"), scenario).expect("written");
    let mut disrupt = ROTATE.to_vec();
    disrupt.pop();
    disrupt.extend(["--scenarios", "own", "own/two/keys"]);
    let report = theirs.judged(0, &disrupt);
    assert_eq!(verdicts(&report)["own/two/keys[]"], "pass");
    assert_eq!(theirs.state().await, before);
    assert!(theirs.journals().is_empty());
}

/// An agent can't be deleted through the session API: none is made.
#[tokio::test(flavor = "multi_thread")]
async fn a_platform_without_an_agent() {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let address = listener.local_addr().expect("its address");
    let serving = std::thread::spawn(move || {
        let mut asked = Vec::new();
        while let Ok((mut connection, _)) = listener.accept() {
            use std::io::{BufRead, BufReader, Write};
            let mut line = String::new();
            BufReader::new(&connection).read_line(&mut line).expect("a request");
            if line.starts_with("GET /end ") {
                break;
            }
            let answer = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 11\r\n\
                          connection: close\r\n\r\n{\"data\":[]}";
            connection.write_all(answer.as_bytes()).expect("written");
            asked.push(line);
        }
        asked
    });
    let folder = binary::folder();
    let profile = format!(
        "{NAMES}roads: {{ proxy: \"http://{address}\", balancer: \"http://{address}\" }}\n\
         secrets: {{ token: {{ env: T }}, master-key: {{ env: K }} }}\n{POLICIES}"
    );
    std::fs::write(folder.path().join("u.yaml"), profile).expect("written");
    let mut command = binary::gauntlet();
    command
        .current_dir(folder.path())
        .envs([
            ("T", "a-token-of-theirs"),
            ("K", "a-key-of-theirs"),
            ("XDG_STATE_HOME", "state"),
        ])
        .args([
            "run",
            "--target",
            "url",
            "--profile",
            "u.yaml",
            "--allow",
            "use",
            "--report",
            "json=r.json",
        ])
        .arg("harness-token/token/accept[proxy]");
    Ran::of(command.output().expect("gauntlet runs")).exits(3);
    let report = binary::json(&folder.path().join("r.json"));
    insta::assert_snapshot!(report["scenarios"][0]["reason"].as_str().expect("a reason"), @"scenarios/harness-token/token/accept.yaml:11: the platform lists no agent (GET /api/agents/agents: 200) to make sessions with, and one that gauntlet made could not be deleted again; make one: POST /api/agents/agents");
    std::io::Write::write_all(
        &mut std::net::TcpStream::connect(address).expect("it"),
        b"GET /end HTTP/1.1\r\n\r\n",
    )
    .expect("asked");
    let asked = serving.join().expect("it ended");
    assert!(asked.iter().all(|line| line.starts_with("GET ")), "{asked:?}");
}
