//! A platform that somebody else runs.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, ListParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use serde_json::{Value, json};

use crate::binary::{self, Ran, Running, gauntlet, gauntlet_with_signals, until};
use crate::kind::standing::Standing;

/// Other names than the contract's.
pub const NAMES: &str = include_str!("names.yaml");

/// Choices that the reference platform makes.
pub const POLICIES: &str = "\
policies:
  balancer.strips-authorization: yes
  rotation.direct-old-token: accepted
  rotation.open-terminals: kept
";

/// A platform that somebody else runs.
pub struct Theirs {
    /// Where it is in a process of its own.
    _running: Option<Running>,
    /// The context of the kubeconfig.
    pub context: String,
    pub folder: tempfile::TempDir,
    pub client: kube::Client,
    /// Addresses by name.
    pub doors: BTreeMap<&'static str, String>,
}

impl Theirs {
    pub async fn up(mutants: &[&str]) -> Theirs {
        let folder = binary::folder();
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
            context: "gauntlet".to_owned(),
            client: client(folder.path()).await,
            folder,
            doors,
        }
    }

    /// The same on a real cluster, which has these names on it.
    pub async fn on(standing: &Standing) -> Theirs {
        let folder = binary::folder();
        std::fs::copy(standing.path("k.yaml"), folder.path().join("k.yaml")).expect("copied");
        let profile = format!("{NAMES}roads: {{ balancer: port-forward }}\n{POLICIES}");
        std::fs::write(folder.path().join("p.yaml"), profile).expect("written");
        Theirs {
            _running: None,
            context: format!("kind-{}", standing.name),
            client: client(folder.path()).await,
            folder,
            doors: BTreeMap::new(),
        }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn command(&self, arguments: &[&str]) -> std::process::Command {
        let mut command = gauntlet();
        command
            .current_dir(self.folder.path())
            .env("KUBECONFIG", "k.yaml")
            .env("XDG_STATE_HOME", "state")
            .args(arguments);
        command
    }

    pub fn ran(&self, arguments: &[&str]) -> Ran {
        Ran::of(self.command(arguments).output().expect("gauntlet runs"))
    }

    /// A run on it, its JSON report.
    pub fn judged(&self, code: i32, arguments: &[&str]) -> Value {
        let of = [
            "run",
            "--target",
            "cluster",
            "--profile",
            "p.yaml",
            "--report",
            "json=r.json",
        ];
        let ran = self.ran(&[&of, arguments].concat());
        if ran.code != Some(code) {
            // Standard output tells nothing where the report goes to a file.
            eprintln!("{}", std::fs::read_to_string(self.path("r.json")).unwrap_or_default());
        }
        ran.exits(code);
        binary::json(&self.path("r.json"))
    }

    /// What is to be as it was: objects less what changes by itself.
    pub async fn state(&self) -> BTreeMap<String, Value> {
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
    pub async fn sessions(&self) -> Vec<Value> {
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

    pub fn journals(&self) -> Vec<PathBuf> {
        let folder = self.path("state/gauntlet");
        let listed = std::fs::read_dir(folder).into_iter().flatten();
        listed.map(|entry| entry.expect("an entry").path()).collect()
    }
}

pub async fn client(folder: &Path) -> kube::Client {
    // There may be one already: the tests of this file share a process.
    let _installed = rustls::crypto::ring::default_provider().install_default();
    let config = Kubeconfig::read_from(folder.join("k.yaml")).expect("a kubeconfig");
    let config = kube::Config::from_custom_kubeconfig(config, &KubeConfigOptions::default()).await;
    kube::Client::try_from(config.expect("a configuration")).expect("a client")
}

/// Verdicts by case: `harness-token/token/accept[proxy]`.
pub fn verdicts(report: &Value) -> BTreeMap<String, String> {
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

/// What rotates the token, and is put back.
pub const ROTATE: [&str; 7] = [
    "--context",
    "gauntlet",
    "--allow",
    "disrupt",
    "--level",
    "all",
    "harness-token/rotate",
];

/// Kills a run when its journal has so many entries of a kind; gives the journal.
pub fn killed(theirs: &Theirs, rotate: &[&str], at: &str, times: usize) -> PathBuf {
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
    run.signal(rustix::process::Signal::KILL);
    run.ends();
    journal().expect("it is left")
}
