//! The target that kind makes: what is said where it can't be made, and the same verdicts as the embedded one's.

mod codex;
mod job;
mod load;
pub mod standing;
mod trouble;

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use crate::binary::{Ran, Running, folder, gauntlet, gauntlet_with_signals, json, until};
use standing::Standing;

/// A mutant of each component, and of each group of rows, with runs of its row that it can't live through: on a real
/// cluster each run costs a platform, and one that kills is enough.
const SAMPLE: [(&str, &str); 14] = [
    ("keystrokes-lost", "harness-token/token/accept[direct]"),
    ("seed-with-newline", "harness-token/bootstrap/first-deploy"),
    ("warm-clones-template", "harness-token/warm/stale"),
    ("worker-recycles-stale", "harness-token/rotate/direct"),
    ("balancer-drops-query", "harness-token/alb/query"),
    ("token-in-start-log", "harness-token/leak/log"),
    ("missing-jwt-passes", "agent-service/jwt/none[access-control]"),
    ("role-unchecked", "agent-service/role/inactive[builtin]"),
    ("old-models-left", "agent-service/models/old[builtin]"),
    ("open-on-error", "agent-service/authz/down/error[builtin]"),
    ("user-headers-kept", "agent-service/headers/trusted[builtin]"),
    ("jwt-in-log", "agent-service/leak/log[access-control]"),
    ("env-beats-files", "codex-auth/rotate/prefers-files"),
    ("agent-calls-vendor", "codex-auth/agent/route"),
];
const ACCEPT: &str = "harness-token/token/accept";

/// A machine that has these programs, as scripts, and nothing else. Each writes what it is asked for into `asked`.
struct Machine {
    folder: tempfile::TempDir,
}

const GOOD_KIND: &str = r#"case "$*" in
    "version --quiet") echo 0.33.0 ;;
    "get clusters") echo other ;;
esac"#;
const GOOD_DOCKER: &str = r#"echo 28.0.0"#;

impl Machine {
    fn with(programs: &[(&str, &str)]) -> Machine {
        let machine = Machine { folder: folder() };
        let folder = machine.folder.path();
        std::fs::create_dir(folder.join("bin")).expect("made");
        for (name, script) in programs {
            let path = folder.join("bin").join(name);
            let asked = folder.join("asked");
            let text = format!("#!/bin/sh\necho \"{name} $*\" >> {}\n{script}\n", asked.display());
            std::fs::write(&path, text).expect("written");
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("set");
        }
        machine
    }

    fn command(&self, mut command: Command, further: &[&str]) -> Command {
        let path = format!("{}:/usr/bin:/bin", self.folder.path().join("bin").display());
        command
            .current_dir(self.folder.path())
            .env("PATH", path)
            .args(["run", ACCEPT, "--target", "kind"])
            .args(further);
        command
    }

    /// Runs there, which must come to nothing; what is said of it.
    #[track_caller]
    fn refuses(&self, further: &[&str], code: i32) -> String {
        let ran = Ran::of(self.command(gauntlet(), further).output().expect("gauntlet starts")).exits(code);
        assert_eq!(ran.stdout, "", "nothing was run");
        ran.stderr
    }

    fn asked(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("asked")).unwrap_or_default()
    }
}

#[test]
fn without_kind() {
    let machine = Machine::with(&[]);
    let mut command = machine.command(gauntlet(), &[]);
    let ran = Ran::of(command.env("PATH", machine.folder.path()).output().expect("it starts")).exits(3);
    insta::assert_snapshot!(ran.stderr, @r"
    gauntlet: inspecting this machine: `kind` is not on PATH; `go install sigs.k8s.io/kind@latest` gets it, or https://kind.sigs.k8s.io tells how
    gauntlet: nothing was run
    ");
}

#[test]
fn with_an_old_kind() {
    let machine = Machine::with(&[("kind", "echo 0.20.0")]);
    insta::assert_snapshot!(machine.refuses(&[], 3), @r"
    gauntlet: kind is of version 0.20.0, and must be at least 0.27.0: `go install sigs.k8s.io/kind@latest` gets it, or https://kind.sigs.k8s.io tells how
    gauntlet: nothing was run
    ");
}

#[test]
fn without_an_engine_that_answers() {
    let docker = "echo 'Cannot connect to the Docker daemon' >&2; exit 1";
    let machine = Machine::with(&[("kind", GOOD_KIND), ("docker", docker)]);
    insta::assert_snapshot!(machine.refuses(&[], 3), @r"
    gauntlet: kind needs a container engine, and none answers: `docker version --format {{.Server.Version}}` ended with exit status: 1:
      Cannot connect to the Docker daemon
    gauntlet: nothing was run
    ");
}

#[test]
fn where_a_cluster_of_that_name_is_there() {
    let machine = Machine::with(&[("kind", GOOD_KIND), ("docker", GOOD_DOCKER)]);
    insta::assert_snapshot!(machine.refuses(&["--cluster-name", "other"], 3), @r"
    gauntlet: there is a cluster other already: `--reuse` works on it, `kind delete cluster --name other` removes it
    gauntlet: nothing was run
    ");
    assert!(!machine.asked().contains("delete"), "{}", machine.asked());
}

/// The cause stands in the node's own log, and what is half made goes.
#[test]
fn where_the_node_does_not_come_up() {
    let kind = format!(
        "{GOOD_KIND}\ncase \"$1 $2\" in 'create cluster') echo 'ERROR: failed to init node with kubeadm' >&2; exit 1 ;; esac"
    );
    let docker = r#"case "$1" in
        version) echo 28.0.0 ;;
        logs) echo 'detected cgroup v1' ;;
        exec) echo 'kubelet: failed to run: running with swap on is not supported' ;;
    esac"#;
    let machine = Machine::with(&[("kind", &kind), ("docker", docker)]);
    let said = machine.refuses(&["--cluster-name", "mine", "--image", "node:1"], 3);
    for part in [
        "gauntlet: making the cluster mine\n",
        "ERROR: failed to init node with kubeadm",
        "the node's log ends with:\n  detected cgroup v1\n",
        "its kubelet's log ends with:\n  kubelet: failed to run: running with swap on is not supported\n",
        "gauntlet: nothing was run",
    ] {
        assert!(said.contains(part), "{part} is missing in\n{said}");
    }
    let asked = machine.asked();
    assert!(asked.contains(" --image node:1"), "{asked}");
    assert!(asked.ends_with("kind delete cluster --quiet --name mine\n"), "{asked}");
}

#[test]
fn interrupted_while_it_is_made() {
    let steps = r#"case "$1 $2" in
        "create cluster") sleep 1000 ;;
        "delete cluster") ls "$TMPDIR" > held ;;
    esac"#;
    let kind = format!("{GOOD_KIND}\n{steps}");
    let machine = Machine::with(&[("kind", &kind), ("docker", GOOD_DOCKER)]);
    let temporary = machine.folder.path().join("tmp");
    std::fs::create_dir(&temporary).expect("made");
    let mut command = machine.command(gauntlet_with_signals(), &["--cluster-name", "mine"]);
    let mut running = Running::start(command.env("TMPDIR", &temporary)).expect("it starts");
    until("the cluster is being made", || {
        let asked = machine.asked();
        if asked.contains("kind create") {
            Ok(())
        } else {
            Err(asked)
        }
    });
    running.signal(rustix::process::Signal::INT);
    assert_eq!(running.ends().code(), Some(130), "{}", running.stderr());
    let asked = machine.asked();
    assert!(asked.ends_with("kind delete cluster --quiet --name mine\n"), "{asked}");
    // Nobody else begins before it is gone, and then nothing is left.
    let held = std::fs::read_to_string(machine.folder.path().join("held")).expect("text");
    assert!(held.contains("-mine.lock\n"), "{held}");
    assert_eq!(std::fs::read_dir(&temporary).expect("a folder").count(), 0);
}

/// What it did not begin to make is not its own to delete.
#[test]
fn interrupted_before_it_is_made() {
    let kind = GOOD_KIND.replace("echo other", "sleep 1000");
    let machine = Machine::with(&[("kind", &kind), ("docker", GOOD_DOCKER)]);
    let mut running =
        Running::start(&mut machine.command(gauntlet_with_signals(), &["--cluster-name", "mine"])).expect("it starts");
    until("it looks at what is there", || {
        let asked = machine.asked();
        asked.contains("kind get clusters").then_some(()).ok_or(asked)
    });
    running.signal(rustix::process::Signal::INT);
    assert_eq!(running.ends().code(), Some(130), "{}", running.stderr());
    assert!(!machine.asked().contains("delete"), "{}", machine.asked());
}

/// Nor what another has made since it looked.
#[test]
fn where_another_makes_it_in_this_moment() {
    let kind = format!(
        "{GOOD_KIND}\ncase \"$1 $2\" in 'create cluster') \
         echo 'ERROR: failed to create cluster: node(s) already exist for a cluster with the name \"mine\"' >&2; exit 1 ;; esac"
    );
    let machine = Machine::with(&[("kind", &kind), ("docker", GOOD_DOCKER)]);
    insta::assert_snapshot!(machine.refuses(&["--cluster-name", "mine"], 3), @"
    gauntlet: making the cluster mine
    gauntlet: there is a cluster mine already: `--reuse` works on it, `kind delete cluster --name mine` removes it
    gauntlet: nothing was run
    ");
    assert!(!machine.asked().contains("delete"), "{}", machine.asked());
}

/// kind takes the cluster out of the kubeconfig that `KUBECONFIG` names; what is left of the file goes as well.
#[test]
fn down_takes_its_kubeconfig_along() {
    let emptied = r#"case "$1 $2" in 'delete cluster') echo '{"apiVersion":"v1","kind":"Config"}' > k.yaml ;; esac"#;
    let kind = format!("{GOOD_KIND}\n{emptied}");
    let machine = Machine::with(&[("kind", &kind), ("docker", GOOD_DOCKER)]);
    let file = machine.folder.path().join("k.yaml");
    let config = r#"{"apiVersion":"v1","kind":"Config","current-context":"kind-other"}"#;
    std::fs::write(&file, config).expect("written");
    let path = format!("{}:/usr/bin:/bin", machine.folder.path().join("bin").display());
    let mut command = gauntlet();
    command
        .current_dir(machine.folder.path())
        .envs([("PATH", path.as_str()), ("KUBECONFIG", "k.yaml")])
        .args([
            "down",
            "--target",
            "kind",
            "--cluster-name",
            "other",
            "--kubeconfig",
            "k.yaml",
        ]);
    Ran::of(command.output().expect("gauntlet starts")).exits(0);
    assert!(machine.asked().contains("kind delete cluster"), "{}", machine.asked());
    assert!(!file.exists());
}

#[test]
fn flags_of_another_target() {
    let ran = crate::binary::run_in(folder().path(), &["run", ACCEPT, "--reuse"]).exits(2);
    insta::assert_snapshot!(
        ran.stderr,
        @"gauntlet: --reuse is of the target kind, and the target is embedded; did you mean `--target kind`?"
    );
}

/// Every scenario of every level gives on a real cluster the verdict that it gives on the embedded one,
/// check for check; with mutants as without them.
#[test]
#[ignore = "makes a cluster, for minutes: `make test-kind`"]
fn the_same_verdicts_as_embedded() {
    let standing = Standing::up();
    let folder = folder();
    // A load of a world on kind goes through port-forwards, one for each attach, and measures those.
    let everything = ["--level", "all", "!tag:timing", "!tag:load", "harness-token"];
    let broken = ["--level", "all", "harness-token/token", "--mutant", "empty-token-opens"];
    let images = gateway_images();
    let gateway = if images.is_empty() { "builtin" } else { "all" };
    let agents = ["agent-service", "--gateway", gateway];
    let logins = ["codex-auth"];
    for further in [&everything[..], &broken, &agents, &logins] {
        let run = |target: &str| {
            let file = format!("{target}.json");
            let report = format!("json={file}");
            let mut command = gauntlet();
            command
                .current_dir(folder.path())
                .env("PATH", path())
                .args(["run", "--report", &report])
                .args(further);
            if target == "kind" {
                command.args(["--target", "kind", "--reuse", "--cluster-name", &standing.name]);
                if further.contains(&"--gateway") {
                    command.args(&images);
                }
            }
            let ran = Ran::of(command.output().expect("gauntlet starts"));
            assert!(matches!(ran.code, Some(0 | 1)), "{}\n{}", ran.stdout, ran.stderr);
            verdicts(&folder.path().join(file))
        };
        let (embedded, kind) = (run("embedded"), run("kind"));
        assert!(!embedded.is_empty());
        assert_same(&embedded, &kind);
    }
}

/// The flags for the images of real gateways, from GAUNTLET_NGINX_IMAGE and GAUNTLET_ENVOY_IMAGE; none where they
/// aren't set: they may not be here.
fn gateway_images() -> Vec<String> {
    let image = |flag: &str, variable: &str| Some([flag.to_owned(), std::env::var(variable).ok()?]);
    let nginx = image("--nginx-image", "GAUNTLET_NGINX_IMAGE");
    let envoy = image("--envoy-image", "GAUNTLET_ENVOY_IMAGE");
    match nginx.zip(envoy) {
        Some((nginx, envoy)) => [nginx, envoy].concat(),
        None => {
            let missing = "nginx and Envoy on kind; GAUNTLET_NGINX_IMAGE and GAUNTLET_ENVOY_IMAGE name their images";
            assert!(std::env::var_os("CI").is_none(), "{missing}");
            println!("skipped: {missing}");
            Vec::new()
        }
    }
}

/// `PATH` with what was installed for the tests before all else.
fn path() -> String {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| "target".into(), std::path::PathBuf::from);
    let installed = Path::new(env!("CARGO_MANIFEST_DIR")).join(target).join("gateways");
    format!("{}:{}", installed.display(), std::env::var("PATH").unwrap_or_default())
}

/// Checks that can fail on the embedded target can fail here: one of each way in which a platform is broken.
#[test]
#[ignore = "makes a cluster, for minutes: `make test-kind`"]
fn mutants_die_as_on_embedded() {
    let standing = Standing::up();
    all_die(&["--target", "kind", "--reuse", "--cluster-name", &standing.name]);
}

/// What the real cluster is to show again, in a second.
#[test]
fn mutants_of_the_sample_die_on_embedded() {
    all_die(&[]);
}

/// Proves the sample.
#[track_caller]
fn all_die(further: &[&str]) {
    let folder = folder();
    let mutants = SAMPLE.map(|(mutant, _)| mutant).join(",");
    let mut command = gauntlet();
    command
        .current_dir(folder.path())
        .args(["prove", "--mutant", &mutants])
        .args(SAMPLE.map(|(_, runs)| runs))
        .args(further);
    let ran = Ran::of(command.output().expect("gauntlet starts")).exits(0);
    let dead = SAMPLE.len();
    let said = format!("{dead} mutants: {dead} dead, 0 survived");
    assert!(ran.stdout.contains(&said), "{}", ran.stdout);
}

/// `run: verdict [verdicts of its checks]`, sorted.
fn verdicts(report: &Path) -> Vec<String> {
    let report = json(report);
    let text = |value: &serde_json::Value| value.as_str().expect("a text").to_owned();
    let scenarios = report["scenarios"].as_array().expect("a list");
    let mut lines: Vec<String> = scenarios
        .iter()
        .map(|scenario| {
            let checks = scenario["checks"].as_array().expect("a list");
            let checks: Vec<String> = checks.iter().map(|check| text(&check["verdict"])).collect();
            format!("{}: {} {checks:?}", text(&scenario["name"]), text(&scenario["verdict"]))
        })
        .collect();
    lines.sort();
    lines
}

#[track_caller]
fn assert_same(embedded: &[String], kind: &[String]) {
    let only = |these: &[String], those: &[String]| -> Vec<String> {
        these.iter().filter(|line| !those.contains(line)).cloned().collect()
    };
    let (here, there) = (only(embedded, kind), only(kind, embedded));
    assert!(
        here.is_empty() && there.is_empty(),
        "embedded alone: {here:#?}\nkind alone: {there:#?}"
    );
}
