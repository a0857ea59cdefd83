//! A cluster that stands for a while, on which runs are made again and again.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;

use k8s_openapi::api::core::v1::Namespace;
use kube::api::{Api, ListParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use serde_json::Value;

use crate::binary::faulty::Faulty;
use crate::binary::{self, Ran, folder, gauntlet, gauntlet_with_signals};

/// A cluster with a platform on it that has the names of `tests/installation/names.yaml`.
///
/// The one of `GAUNTLET_TEST_CLUSTER`, with the kubeconfig `GAUNTLET_TEST_KUBECONFIG`, where `tests/kind/on-one-cluster`
/// made one for all tests; else one of the test's own, which is deleted when this is dropped.
pub struct Standing {
    pub name: String,
    folder: tempfile::TempDir,
    is_own: bool,
}

impl Standing {
    pub fn up() -> Standing {
        let given = |name: &str| std::env::var(name).ok();
        match given("GAUNTLET_TEST_CLUSTER").zip(given("GAUNTLET_TEST_KUBECONFIG")) {
            None => Standing::of_its_own(),
            Some((name, kubeconfig)) => {
                let folder = folder();
                std::fs::copy(kubeconfig, folder.path().join("k.yaml")).expect("copied");
                Standing {
                    name,
                    folder,
                    is_own: false,
                }
            }
        }
    }

    /// One that nothing else uses.
    fn of_its_own() -> Standing {
        let standing = Standing {
            name: format!("gauntlet-test-{:06x}", rand::random::<u32>() & 0xff_ffff),
            folder: folder(),
            is_own: true,
        };
        let mut command = gauntlet();
        command
            .current_dir(standing.folder.path())
            .args(["up", "--target", "kind", "--kubeconfig", "k.yaml", "--cluster-name"])
            .args([&standing.name, "--profile"])
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/installation/names.yaml"))
            .args(binary::node_image());
        Ran::of(command.output().expect("gauntlet starts")).exits(0);
        standing
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub async fn client(&self) -> kube::Client {
        // There are two in the program, and none is the default by itself.
        let _installed = rustls::crypto::ring::default_provider().install_default();
        let kubeconfig = Kubeconfig::read_from(self.path("k.yaml")).expect("a kubeconfig");
        let config = kube::Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default())
            .await
            .expect("a configuration");
        kube::Client::try_from(config).expect("a client")
    }

    /// A run on it, with a report in `r.json`.
    pub fn run(&self, arguments: &[&str]) -> Command {
        // That of the run before may be there.
        let _gone = std::fs::remove_file(self.path("r.json"));
        let mut command = gauntlet();
        command
            .current_dir(self.folder.path())
            .args(["run", "--target", "kind", "--reuse", "--cluster-name", &self.name])
            .args(["--report", "json=r.json"])
            .args(arguments);
        command
    }

    /// A load of the reference platform on it, with its result in `load.json`.
    pub fn load(&self, arguments: &[&str]) -> Command {
        let mut command = gauntlet_with_signals();
        command
            .current_dir(self.folder.path())
            .args(["load", "--target", "kind", "--reuse", "--cluster-name", &self.name])
            .args(["--out", "load.json"])
            .args(arguments);
        command
    }

    /// Makes a command find the API server behind the proxy: kind is asked where it is.
    pub fn behind(&self, faulty: &Faulty, command: &mut Command) {
        let (bin, kubeconfig) = (self.path("bin"), self.path("faulty.yaml"));
        faulty.kubeconfig(&kubeconfig);
        std::fs::create_dir_all(&bin).expect("made");
        let path = std::env::var("PATH").expect("a PATH");
        let script = format!(
            "#!/bin/sh\ncase \"$1 $2\" in\n  'export kubeconfig') exec cp {} \"$6\" ;;\nesac\nPATH='{path}' exec kind \"$@\"\n",
            kubeconfig.display()
        );
        std::fs::write(bin.join("kind"), script).expect("written");
        std::fs::set_permissions(bin.join("kind"), std::fs::Permissions::from_mode(0o755)).expect("set");
        command.env("PATH", format!("{}:{path}", bin.display()));
    }

    /// What a run reported: each scenario's verdict, by its name. A run that could not start reports nothing.
    pub fn verdicts(&self) -> Vec<(String, String)> {
        if !self.path("r.json").exists() {
            return Vec::new();
        }
        let report = binary::json(&self.path("r.json"));
        let scenarios = report["scenarios"].as_array().expect("a list").iter();
        let text = |value: &Value| value.as_str().expect("a text").to_owned();
        scenarios
            .map(|scenario| (text(&scenario["name"]), text(&scenario["verdict"])))
            .collect()
    }

    /// Namespaces of worlds that are there.
    pub async fn worlds(&self) -> Vec<String> {
        let namespaces: Api<Namespace> = Api::all(self.client().await);
        let listed = namespaces.list(&ListParams::default()).await.expect("listed");
        let names = listed.items.into_iter().filter_map(|namespace| namespace.metadata.name);
        names.filter(|name| name.starts_with("gauntlet-")).collect()
    }
}

impl Drop for Standing {
    fn drop(&mut self) {
        if !self.is_own {
            return;
        }
        let mut command = gauntlet();
        command
            .current_dir(self.folder.path())
            .args(["down", "--kubeconfig", "k.yaml", "--cluster-name", &self.name]);
        let _told = command.output();
    }
}
