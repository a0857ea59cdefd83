//! `gauntlet check-manifests`: rendered manifests, judged before anything is deployed.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use gauntlet::platform::{Mutant, mutant};
use gauntlet::vocabulary::AgentState;
use gauntlet::vocabulary::Contract;
use gauntlet::vocabulary::WorldSpec;
use gauntlet::vocabulary::names;
use gauntlet::world::deploy::{self, Values};
use serde_json::Value;

use crate::binary::{Ran, folder, gauntlet, run_in};

/// Values that stand in the files as secrets.
const SECRETS: [&str; 2] = ["5f2d9c0e77b14ab0", "hunter2"];

fn files() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/manifests")
}

/// Judges one of the files.
fn judged(name: &str, more: &[&str]) -> Ran {
    let file = format!("{name}.yaml");
    run_in(&files(), &[&["check-manifests", file.as_str()][..], more].concat())
}

/// What comes in by standard input.
fn judged_text(text: &str, more: &[&str]) -> Ran {
    let mut child = gauntlet()
        .args(["check-manifests", "-"])
        .args(more)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut stdin = child.stdin.take().expect("a pipe");
    // One that refuses what it reads may close it before the end.
    let _closed = stdin.write_all(text.as_bytes());
    drop(stdin);
    Ran::of(child.wait_with_output().expect("it ends"))
}

/// The objects of a platform of ours, as a file of manifests has them.
fn platform(contract: Contract) -> String {
    platform_as(contract, &WorldSpec::default(), &[])
}

/// The same as a world asks for it, with mutants.
fn platform_as(contract: Contract, spec: &WorldSpec, mutants: &[&Mutant]) -> String {
    let values = Values::new("gauntlet", spec, &names::contract(), mutants, None);
    let objects = deploy::objects(deploy::platform(contract), &values).expect("a manifest");
    // JSON is YAML.
    let texts: Vec<String> = objects
        .iter()
        .map(|object| serde_json::to_string(object).expect("JSON"))
        .collect();
    texts.join("\n---\n")
}

#[test]
fn messages() {
    let mut names: Vec<String> = std::fs::read_dir(files())
        .expect("the folder is there")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "yaml"))
        .map(|path| path.file_stem().expect("a name").to_string_lossy().into_owned())
        .collect();
    names.sort();
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("manifests");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| {
        for name in names {
            let ran = judged(&name, &[]);
            let said = format!("{}{}", ran.stdout, ran.stderr);
            for secret in SECRETS {
                assert!(!said.contains(secret), "{name} shows a secret:\n{said}");
            }
            let code = ran.code.expect("a code");
            insta::assert_snapshot!(name, format!("{said}exit code {code}\n"));
        }
    });
}

#[test]
fn exit_codes() {
    for (name, code) in [
        ("right", 0),
        ("sidecar-as-init-container", 1),
        ("sidecar-in-both-lists", 1),
        ("rolling-with-a-claim", 1),
        ("mounts-by-sub-path", 1),
        ("agent-that-needs-its-key", 1),
        ("token-in-the-manifest", 1),
        ("token-of-another-secret", 1),
        ("token-in-one-alone", 1),
        ("policy-attached-to-nothing", 1),
        ("policy-that-fails-open", 1),
        ("repeated-key", 1),
        ("nothing-of-a-contract", 4),
        ("error-of-helm", 2),
        ("notes-of-helm", 2),
        ("template-of-a-chart", 2),
        ("broken-with-a-secret", 2),
    ] {
        let ran = judged(name, &[]);
        assert_eq!(ran.code, Some(code), "{name}:\n{}{}", ran.stdout, ran.stderr);
    }
}

/// The mistakes of the two pull requests, told by name.
#[test]
fn a_sidecar_among_the_init_containers() {
    let ran = judged("sidecar-as-init-container", &[]).exits(1);
    assert!(ran.stdout.contains("the pod would stay at Init:1/2"), "{}", ran.stdout);
    assert!(
        ran.stdout.contains("sidecar-as-init-container.yaml:39:"),
        "{}",
        ran.stdout
    );
    let ran = judged("sidecar-in-both-lists", &[]).exits(1);
    assert!(ran.stdout.contains("sidecar-in-both-lists.yaml:39:"), "{}", ran.stdout);
    assert!(
        ran.stdout.contains("is among the containers and among the init"),
        "{}",
        ran.stdout
    );
    assert!(
        ran.stdout.contains("the same name among the containers"),
        "{}",
        ran.stdout
    );
}

#[test]
fn a_platform_of_ours_passes() {
    for contract in [Contract::HarnessToken, Contract::AgentService] {
        let ran = judged_text(&platform(contract), &[]).exits(0);
        assert!(ran.stdout.contains(" 0 failed, "), "{}", ran.stdout);
        assert_eq!(ran.stderr, "");
    }
}

/// The codex login's, with an agent.
fn with_codex(persistence: bool, mutants: &[&Mutant]) -> String {
    let spec = WorldSpec {
        agent: AgentState::WithKey,
        persistence,
        ..WorldSpec::default()
    };
    platform_as(Contract::CodexAuth, &spec, mutants)
}

#[test]
fn a_platform_with_codex_passes() {
    for persistence in [false, true] {
        let ran = judged_text(&with_codex(persistence, &[]), &[]).exits(0);
        assert!(ran.stdout.contains(" PASS codex-auth/agent/token "), "{}", ran.stdout);
        assert!(ran.stdout.contains(" 0 failed, "), "{}", ran.stdout);
    }
}

/// What a mutant has wrong in its manifest can be told before it runs.
#[test]
fn mutants_of_a_manifest_are_found() {
    for (mutant, persistence, rule) in [
        (&mutant::CODEX_CLI_IS_INIT_CONTAINER, false, "codex-auth/pod/shape"),
        (&mutant::CODEX_CLI_IN_BOTH_LISTS, false, "codex-auth/pod/shape"),
        (&mutant::ROTATOR_WITHOUT_VOLUME, false, "codex-auth/pod/mounts"),
        (&mutant::EMPTYDIR_WITH_PERSISTENCE, true, "codex-auth/strategy/recreate"),
        (
            &mutant::CLAIM_WITHOUT_PERSISTENCE,
            false,
            "codex-auth/strategy/recreate",
        ),
        (&mutant::ROLLING_WITH_CLAIM, true, "codex-auth/strategy/recreate"),
        (&mutant::AGENT_KEY_REQUIRED, false, "codex-auth/agent/no-key"),
        (&mutant::AGENT_USES_MASTER_KEY, false, "codex-auth/agent/no-key"),
        (&mutant::AGENT_TOKEN_OPTIONAL, false, "codex-auth/agent/token"),
    ] {
        let ran = judged_text(&with_codex(persistence, &[mutant]), &["--format", "json"]).exits(1);
        let judged: Value = serde_json::from_str(&ran.stdout).expect("JSON");
        let findings = judged["findings"].as_array().expect("a list").iter();
        let failed: Vec<&Value> = findings.filter(|finding| finding["verdict"] == "fail").collect();
        assert!(
            failed.iter().any(|finding| finding["rule"] == rule),
            "{}: {failed:?}",
            mutant.name
        );
        assert!(
            failed.iter().all(|finding| finding["line"].is_u64()),
            "{}: {failed:?}",
            mutant.name
        );
    }
}

#[test]
fn names_of_an_installation() {
    let renamed = platform(Contract::HarnessToken).replace("\"name\":\"litellm-env\"", "\"name\":\"my-env\"");
    judged_text(&renamed, &[]).exits(1);
    judged_text(&renamed, &["--set", "secret.name=my-env"]).exits(0);
    let refused = judged_text(&renamed, &["--set", "secret.nmae=my-env"]).exits(2);
    assert!(
        refused.stderr.contains("did you mean `secret.name`?"),
        "{}",
        refused.stderr
    );
}

#[test]
fn findings_as_json() {
    let ran = judged("sidecar-as-init-container", &["--format", "json"]).exits(1);
    let judged: Value = serde_json::from_str(&ran.stdout).expect("JSON");
    let findings = judged["findings"].as_array().expect("a list");
    let failed: Vec<&Value> = findings.iter().filter(|finding| finding["verdict"] == "fail").collect();
    assert_eq!(failed.len(), 1);
    assert_eq!(failed[0]["rule"], "codex-auth/pod/shape");
    assert_eq!(failed[0]["subject"], "Deployment litellm");
    assert_eq!(failed[0]["file"], "sidecar-as-init-container.yaml");
    assert_eq!(failed[0]["line"], 39);
    assert_eq!(failed[0]["column"], 17);
    assert_eq!(judged["counts"]["failed"], 1);
    // What isn't there has no place.
    let skipped = findings
        .iter()
        .find(|finding| finding["rule"] == "harness-token/token/env");
    assert_eq!(skipped.expect("skipped")["file"], Value::Null);
}

#[test]
fn files_that_are_not_read() {
    let folder = folder();
    std::fs::write(folder.path().join("bytes"), b"kind: \xff").expect("written");
    std::fs::write(folder.path().join("large"), vec![b'#'; (16 << 20) + 1]).expect("written");
    for (file, says) in [
        (".", "this is a folder, not a file"),
        ("/dev/zero", "this isn't a regular file"),
        ("missing", "there is no such file or folder"),
        ("bytes", "not UTF-8 from here on"),
        ("large", "at most 16777216 are read"),
    ] {
        let ran = run_in(folder.path(), &["check-manifests", file]).exits(2);
        assert!(ran.stderr.contains(says), "{file}: {}", ran.stderr);
        assert_eq!(ran.stdout, "");
    }
    let none = run_in(folder.path(), &["check-manifests"]).exits(2);
    assert!(none.stderr.contains("<FILE>"), "{}", none.stderr);
}

#[test]
fn several_files_are_one_set() {
    let right = std::fs::read_to_string(files().join("right.yaml")).expect("read");
    let (claim, rest) = right
        .split_once("---\n# Source: litellm/templates/deployment.yaml")
        .expect("two parts");
    let folder = folder();
    std::fs::write(folder.path().join("a.yaml"), claim).expect("written");
    std::fs::write(folder.path().join("b.yaml"), rest).expect("written");
    let ran = run_in(folder.path(), &["check-manifests", "b.yaml", "a.yaml"]).exits(0);
    assert!(ran.stdout.contains(" in 2 files\n"), "{}", ran.stdout);
    let alone = run_in(folder.path(), &["check-manifests", "b.yaml"]).exits(0);
    assert!(
        alone
            .stdout
            .contains("no PersistentVolumeClaim litellm-chatgpt-auth in these manifests"),
        "{}",
        alone.stdout
    );
}

#[test]
fn an_empty_stream_is_nothing() {
    let ran = judged_text("---\n# nothing\n", &[]).exits(4);
    assert!(ran.stderr.contains("nothing was judged"), "{}", ran.stderr);
}

#[test]
fn a_dry_run_wants_a_cluster() {
    let ran = judged("right", &["--server-dry-run", "--kubeconfig", "missing"]).exits(3);
    assert!(ran.stderr.contains("reading the kubeconfig missing"), "{}", ran.stderr);
    // What could be told is.
    assert!(ran.stdout.contains(" PASS codex-auth/pod/shape"), "{}", ran.stdout);
    let alone = judged("right", &["--kubeconfig", "missing"]).exits(2);
    assert!(alone.stderr.contains("--server-dry-run"), "{}", alone.stderr);
}
