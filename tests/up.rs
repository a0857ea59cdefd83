//! `gauntlet up`: a platform that a person reaches with the kubeconfig, and that leaves nothing.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::binary::{DEADLINE, Ran, Running, files_below, gauntlet_with_signals, run_in, until};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::api::{Api, AttachParams, ListParams, LogParams, Patch, PatchParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::runtime::wait::{await_condition, conditions};
use rustix::process::Signal;
use tokio::io::AsyncReadExt;

/// A platform that is up, its folder and its kubeconfig.
pub struct Up {
    running: Running,
    folder: tempfile::TempDir,
    kubeconfig: PathBuf,
}

impl Up {
    pub fn start() -> Up {
        Up::start_in(tempfile::tempdir().expect("a folder"))
    }

    fn start_in(folder: tempfile::TempDir) -> Up {
        let mut command = gauntlet_with_signals();
        let command = command
            .current_dir(folder.path())
            .args(["up", "--kubeconfig", "k.yaml"]);
        let running = Running::start(command).expect("gauntlet starts");
        until("the platform is up", || {
            match running.stdout().contains("Ctrl-C ends it") {
                true => Ok(()),
                false => Err(running.stdout() + &running.stderr()),
            }
        });
        let kubeconfig = folder.path().join("k.yaml");
        Up {
            running,
            folder,
            kubeconfig,
        }
    }

    pub async fn client(&self) -> kube::Client {
        // There may be one already: the tests of this file share a process.
        let _installed = rustls::crypto::ring::default_provider().install_default();
        let config = Kubeconfig::read_from(&self.kubeconfig).expect("a kubeconfig");
        let config = kube::Config::from_custom_kubeconfig(config, &KubeConfigOptions::default()).await;
        kube::Client::try_from(config.expect("a configuration")).expect("a client")
    }

    /// The address after a word at the start of a line of what it printed.
    pub fn address(&self, of: &str) -> SocketAddr {
        let out = self.running.stdout();
        let url = out
            .lines()
            .find_map(|line| line.strip_prefix(of))
            .expect("its line")
            .trim();
        url.trim_start_matches("http://").parse().expect("an address")
    }

    /// Ends it, and looks that nothing is left.
    fn ends(mut self, signal: Signal) {
        let doors = [self.address("web "), self.address("balancer ")];
        self.running.signal(signal);
        assert_eq!(self.running.ends().code(), Some(0), "{}", self.running.stderr());
        assert_eq!(self.running.stderr(), "");
        assert!(files_below(self.folder.path()).is_empty(), "it left files");
        for door in doors {
            let left = TcpStream::connect_timeout(&door, DEADLINE).map(drop);
            let why = left.expect_err("it still answers");
            assert_eq!(why.kind(), std::io::ErrorKind::ConnectionRefused, "{door}: {why}");
        }
    }
}

#[tokio::test]
async fn a_kube_client_with_the_kubeconfig() {
    let up = Up::start();
    let mode = std::fs::metadata(&up.kubeconfig)
        .expect("it is there")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600, "it holds a token");
    let printed = up.running.stdout();
    assert!(
        printed.contains(&format!("export KUBECONFIG={}", up.kubeconfig.display())),
        "{printed}"
    );

    let client = up.client().await;
    let pods: Api<Pod> = Api::default_namespaced(client.clone());
    let web = pods
        .list(&ListParams::default().labels("app=litellm-web"))
        .await
        .expect("pods")
        .items
        .remove(0);
    let (name, uid) = (web.metadata.name.expect("a name"), web.metadata.uid.expect("an id"));
    assert!(
        pods.logs(&name, &LogParams::default())
            .await
            .expect("a log")
            .contains("web: on port")
    );
    let command = AttachParams::default().stderr(false);
    let mut process = pods.exec(&name, ["echo", "here"], &command).await.expect("it starts");
    let mut out = String::new();
    process
        .stdout()
        .expect("its output")
        .read_to_string(&mut out)
        .await
        .expect("read");
    assert_eq!(out, "here\n");

    let secrets: Api<Secret> = Api::default_namespaced(client.clone());
    let patch = serde_json::json!({ "stringData": { "MORE": "x" } });
    let patched = secrets
        .patch("litellm-env", &PatchParams::default(), &Patch::Merge(patch))
        .await
        .expect("patched");
    assert!(patched.data.expect("data").contains_key("MORE"));
    let deployments: Api<Deployment> = Api::default_namespaced(client);
    // An address that was printed leads to whichever pod is ready.
    assert_eq!(answer_of(up.address("web ")), "HTTP/1.1 ");
    deployments.restart("litellm-web").await.expect("restarted");
    let gone = await_condition(pods, &name, conditions::is_deleted(&uid));
    tokio::time::timeout(Duration::from_secs(30), gone)
        .await
        .expect("the old pod goes")
        .expect("watched");
    assert_eq!(answer_of(up.address("web ")), "HTTP/1.1 ");
    assert!(printed.contains("act on this machine"), "{printed}");
    up.ends(Signal::INT);
}

/// How the answer of an HTTP server begins.
fn answer_of(address: SocketAddr) -> String {
    let mut stream = TcpStream::connect_timeout(&address, DEADLINE).expect("it listens");
    stream.set_read_timeout(Some(DEADLINE)).expect("set");
    stream
        .write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        .expect("sent");
    let mut answer = [0; 9];
    stream.read_exact(&mut answer).expect("an answer");
    String::from_utf8_lossy(&answer).into_owned()
}

/// kubectl; none where it isn't installed.
pub fn kubectl() -> Option<Command> {
    if Command::new("kubectl")
        .args(["version", "--client"])
        .output()
        .is_ok_and(|found| found.status.success())
    {
        return Some(Command::new("kubectl"));
    }
    eprintln!("skipped: kubectl is not there");
    None
}

fn with(kubeconfig: &Path, arguments: &[&str]) -> Ran {
    let mut command = kubectl().expect("it was there");
    // Its cache is of the server at an address, which another one has next time.
    let cache = kubeconfig.with_file_name("cache");
    command
        .env("KUBECONFIG", kubeconfig)
        .env("KUBECACHEDIR", &cache)
        .args(arguments);
    Ran::of(command.output().expect("kubectl starts"))
}

#[test]
fn kubectl_with_the_kubeconfig() {
    if kubectl().is_none() {
        return;
    }
    let up = Up::start();
    let k = |arguments: &[&str]| with(&up.kubeconfig, arguments);
    let pod = k(&["get", "pods", "-l", "app=litellm-web", "-o", "name"])
        .exits(0)
        .stdout
        .trim()
        .to_owned();
    for arguments in [
        &["get", "pods", "-o", "wide", "--show-labels"][..],
        &["get", "pods", "-o", "yaml"],
        &["describe", &pod],
        &["get", "events"],
        &["api-resources"],
        &["get", "pods", "-n", "nowhere"],
        &["logs", &pod, "--tail=1"],
        &["rollout", "restart", "deployment/litellm-worker"],
        &["rollout", "status", "deployment/litellm-worker", "--timeout=60s"],
        &["label", &pod, "mark=x"],
        &["delete", "pod", "-l", "app=litellm-worker", "--wait=false"],
        &["auth", "can-i", "delete", "pods"],
        &["auth", "can-i", "--list"],
        &["create", "secret", "generic", "made", "--from-literal=a=b"],
        &["create", "configmap", "made", "--from-literal=a=b"],
        &["create", "serviceaccount", "made"],
        &["create", "service", "clusterip", "made", "--tcp=80:81"],
        &["create", "deployment", "made", "--image=x", "--replicas=0"],
        &["create", "namespace", "made"],
    ] {
        k(arguments).exits(0);
    }
    let wide = k(&["get", "pods", "-l", "app=litellm-web", "-o", "wide"])
        .exits(0)
        .stdout;
    let lines: Vec<Vec<&str>> = wide.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[0][5..7], ["IP", "NODE"], "{wide}");
    assert!(lines[1][5].starts_with("127.") && lines[1][6] == "embedded", "{wide}");
    assert_eq!(
        k(&["exec", &pod, "--", "sh", "-c", "echo out; exit 7"]).exits(7).stdout,
        "out\n"
    );

    let shown = |of: &str, path: &str| k(&["get", of, "made", "-o", path]).exits(0).stdout;
    assert_eq!(shown("secret", "jsonpath={.data.a} {.type}"), "Yg== Opaque");
    assert_eq!(
        shown(
            "deployment",
            "jsonpath={.spec.replicas} {.spec.template.spec.containers[0].image}"
        ),
        "0 x"
    );
    assert_eq!(shown("service", "jsonpath={.spec.ports[0].targetPort}"), "81");

    let file = up.folder.path().join("secret.yaml");
    let secret = |value: &str| {
        let text = format!("apiVersion: v1\nkind: Secret\nmetadata: {{ name: mine }}\nstringData: {{ a: {value} }}\n");
        std::fs::write(&file, text).expect("written");
    };
    let file_name = file.display().to_string();
    secret("one");
    assert_eq!(k(&["apply", "-f", &file_name]).exits(0).stdout, "secret/mine created\n");
    secret("two");
    assert_eq!(
        k(&["apply", "-f", &file_name]).exits(0).stdout,
        "secret/mine configured\n"
    );
    assert_eq!(
        k(&["get", "secret", "mine", "-o", "jsonpath={.data.a}"])
            .exits(0)
            .stdout,
        "dHdv"
    );
    k(&["delete", "-f", &file_name]).exits(0);

    // What is not served says so, and what to do instead.
    for (arguments, said) in [
        (&["port-forward", &pod, ":3000"][..], "its own address"),
        (&["attach", &pod], "kubectl logs -f"),
        (&["logs", &pod, "--previous"], "previous terminated container"),
        (
            &["create", "job", "j", "--image=x"],
            "could not find the requested resource",
        ),
        (&["get", "nodes"], "doesn't have a resource type"),
        (&["get", "pod", "nosuch"], "not found"),
    ] {
        let ran = k(arguments).exits(1);
        assert!(ran.stderr.contains(said), "{arguments:?}: {}", ran.stderr);
    }
    let _none = std::fs::remove_dir_all(up.folder.path().join("cache"));
    std::fs::remove_file(file).expect("removed");
    up.ends(Signal::TERM);
}

#[test]
fn a_kubeconfig_that_cannot_be_written() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("file"), "").expect("written");
    for path in ["file/k.yaml", "missing/k.yaml"] {
        let ran = run_in(folder.path(), &["up", "--kubeconfig", path]).exits(3);
        assert!(ran.stderr.contains("writing "), "{path}: {}", ran.stderr);
        assert_eq!(ran.stdout, "");
    }
}

/// What gauntlet did not write it does not touch.
#[test]
fn what_is_in_the_kubeconfigs_place_stays() {
    let folder = tempfile::tempdir().expect("a folder");
    let other = "apiVersion: v1\nkind: Config\ncurrent-context: production\n";
    std::fs::write(folder.path().join("other"), other).expect("written");
    std::fs::write(folder.path().join("notes"), "precious").expect("written");
    std::os::unix::fs::symlink("notes", folder.path().join("link")).expect("made");
    rustix::fs::mkfifoat(rustix::fs::CWD, folder.path().join("fifo"), 0o600.into()).expect("made");
    for (path, why) in [
        ("other", "is not one that `gauntlet up` wrote"),
        ("notes", "is not one that `gauntlet up` wrote"),
        ("link", "isn't a regular file"),
        ("fifo", "isn't a regular file"),
        (".", "isn't a regular file"),
    ] {
        let ran = run_in(folder.path(), &["up", "--kubeconfig", path]).exits(2);
        let said = format!("gauntlet: {path} already exists, and {why}; `--kubeconfig` names another\n");
        assert_eq!(ran.stderr, said);
    }
    let text = |name: &str| std::fs::read_to_string(folder.path().join(name)).expect("it is there");
    assert_eq!((text("other").as_str(), text("link").as_str()), (other, "precious"));
}

/// What a platform that was killed left is written over; one that runs keeps its own.
#[test]
fn kubeconfigs_of_other_platforms() {
    let mut first = Up::start();
    let folder = first.folder.path().to_owned();
    let ran = run_in(&folder, &["up", "--kubeconfig", "k.yaml"]).exits(2);
    assert!(
        ran.stderr
            .contains("k.yaml already exists, and leads to a platform that is up"),
        "{}",
        ran.stderr
    );
    first.running.signal(Signal::KILL);
    first.running.ends();
    let left = std::fs::read_to_string(&first.kubeconfig).expect("it is there");
    std::fs::set_permissions(&first.kubeconfig, std::fs::Permissions::from_mode(0o644)).expect("set");
    let second = Up::start_in(first.folder);
    let written = std::fs::read_to_string(&second.kubeconfig).expect("it is there");
    assert_ne!(written, left);
    let mode = std::fs::metadata(&second.kubeconfig)
        .expect("it is there")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    // Somebody put another in its place: that one stays.
    std::fs::write(&second.kubeconfig, "another").expect("written");
    let path = second.kubeconfig.clone();
    let folder = second.folder;
    second.running.signal(Signal::INT);
    let mut running = second.running;
    assert_eq!(running.ends().code(), Some(0), "{}", running.stderr());
    assert_eq!(std::fs::read_to_string(&path).expect("it is there"), "another");
    drop(folder);
}
