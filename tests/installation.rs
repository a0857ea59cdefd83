//! Platforms that aren't ours: judged through a profile, and left as they were found.

mod again;
mod door;
mod elsewhere;
mod faults;
mod foreseen;
mod left;
pub mod theirs;

use crate::binary::Ran;
use crate::binary::tls_door::TlsDoor;
use crate::kind::standing::Standing;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, ListParams, Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use theirs::{NAMES, ROTATE, Theirs, killed, verdicts};

fn snapshot(name: &str, message: String) {
    insta::with_settings!({ snapshot_path => "installation", prepend_module_to_snapshot => false }, {
        insta::assert_snapshot!(name, message);
    });
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
    insta::assert_snapshot!(refused.stderr, @"gauntlet: --allow disrupt requires --context: the cluster to disrupt must be named explicitly
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
    assert!(ran.stdout.contains("# The last request:"), "{}", ran.stdout);
    assert!(!ran.stdout.contains("gauntlet up"), "{}", ran.stdout);
    assert_eq!(theirs.sessions().await, Vec::<Value>::new());
}

#[tokio::test]
async fn what_is_disrupted_is_put_back() {
    let theirs = Theirs::up(&[]).await;
    let before = theirs.state().await;
    // Left out: what needs two replicas of web.
    let report = theirs.judged(0, &[&ROTATE[..], &["!harness-token/rotate/new/replicas"]].concat());
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
    gauntlet: the run run-other disrupts this platform now (the lease gauntlet): nothing can be judged meanwhile; a lease that is no longer renewed expires after a minute
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
    gauntlet: reading the master-key from the variable API_KEY: it is not set, or isn't text
    gauntlet: nothing was run
    ");
    let output = theirs
        .command(&of)
        .env("API_KEY", text("API_KEY"))
        .env_remove("KUBECONFIG")
        .output();
    Ran::of(output.expect("gauntlet runs")).exits(5);
    let report = crate::binary::json(&theirs.path("r.json"));
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
    let files = crate::binary::files_below(folder.as_ref());
    assert!(!files.is_empty());
    for (file, _) in files {
        crate::binary::run_in(crate::binary::folder().path(), &["check", &file.display().to_string()]).exits(0);
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

/// A door whose certificate nobody here knows is no broken platform.
#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_of_an_unknown_authority_is_an_error_and_ca_makes_it_known() {
    let theirs = Theirs::up(&[]).await;
    let door = TlsDoor::before(theirs.doors["balancer"].trim_start_matches("http://")).await;
    std::fs::write(theirs.path("ca.pem"), &door.pem).expect("written");
    let road = format!("road.balancer=https://{}", door.address);
    let run = |ca: &'static [&str]| {
        let of = [
            "run",
            "--target",
            "cluster",
            "--profile",
            "p.yaml",
            "--set",
            &road,
            "--allow",
            "use",
        ];
        let mut command = theirs.command(&of);
        command.args(ca).arg("harness-token/token/accept[balancer]");
        Ran::of(command.output().expect("gauntlet runs"))
    };
    let unknown = run(&[]).exits(3);
    // The console breaks lines.
    let said: Vec<&str> = unknown.stdout.split_whitespace().collect();
    let said = said.join(" ");
    assert!(said.contains("invalid peer certificate: UnknownIssuer"), "{said}");
    assert!(said.contains("`--ca FILE` gives an authority"), "{said}");
    run(&["--ca", "ca.pem"]).exits(0);
    let anyone = run(&["--insecure"]).exits(0);
    insta::assert_snapshot!(anyone.stderr, @"gauntlet: --insecure: certificates are not verified; whoever is between gauntlet and the platform can read what it sends, secrets among it, and answer in the platform's place
");
    let both = run(&["--insecure", "--ca", "ca.pem"]).exits(2);
    assert!(both.stderr.contains("cannot be used with"), "{}", both.stderr);
}

/// The same on real Kubernetes: judged through the profile, disrupted, killed on the way, put back.
#[tokio::test]
#[ignore = "makes a cluster, for minutes: `make test-kind`"]
async fn on_a_real_cluster() {
    let standing = Standing::up();
    let theirs = Theirs::on(&standing).await;
    let before = theirs.state().await;
    let report = theirs.judged(5, &["--allow", "use"]);
    let all = verdicts(&report);
    assert!(
        !all.values().any(|verdict| verdict == "fail" || verdict == "error"),
        "{all:?}"
    );
    assert_eq!(all["harness-token/token/accept[balancer]"], "pass");
    let mut rotate = ROTATE;
    rotate[1] = &theirs.context;
    let report = theirs.judged(0, &rotate);
    for (run, verdict) in verdicts(&report) {
        // Its web has one replica.
        let wanted = match run.starts_with("harness-token/rotate/new/replicas") {
            true => "skip",
            false => "pass",
        };
        assert_eq!(verdict, wanted, "{run}: {report}");
    }
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
