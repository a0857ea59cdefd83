//! An agent service that isn't ours, behind a gateway of its own: judged through a profile.

use std::collections::BTreeMap;

use crate::binary::{Ran, Running, folder, gauntlet, gauntlet_with_signals, json, until};
use serde_json::Value;

/// A platform that somebody else runs.
struct Theirs {
    _running: Running,
    folder: tempfile::TempDir,
    /// Addresses by the names of their roads.
    doors: BTreeMap<String, String>,
}

impl Theirs {
    fn up(arguments: &[&str]) -> Theirs {
        let folder = folder();
        let mut command = gauntlet_with_signals();
        command
            .current_dir(folder.path())
            .args(["up", "agent-service", "--kubeconfig", "k.yaml"])
            .args(arguments);
        let running = Running::start(&mut command).expect("gauntlet starts");
        until("the platform is up", || {
            match running.stdout().contains("Ctrl-C ends it") {
                true => Ok(()),
                false => Err(running.stdout() + &running.stderr()),
            }
        });
        let out = running.stdout();
        let door = |line: &str| {
            let (name, address) = line.split_once(' ')?;
            let address = address.trim();
            address
                .starts_with("http://")
                .then(|| (name.to_owned(), address.to_owned()))
        };
        let doors = out.lines().filter_map(door).collect();
        Theirs {
            _running: running,
            folder,
            doors,
        }
    }

    fn profile(&self, rest: &str) {
        let text = format!("apiVersion: gauntlet/v1\nkind: Profile\n{rest}");
        std::fs::write(self.folder.path().join("p.yaml"), text).expect("written");
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

    /// Runs the agent service's scenarios on it.
    #[track_caller]
    fn run(&self, code: i32, arguments: &[&str], variables: &[(&str, &str)]) -> Report {
        let of = ["run", "agent-service", "--profile", "p.yaml", "--report", "json=r.json"];
        let mut command = self.command(&[&of, arguments].concat());
        command.envs(variables.iter().copied());
        let ran = Ran::of(command.output().expect("gauntlet runs"));
        if ran.code != Some(code) {
            let report = std::fs::read_to_string(self.folder.path().join("r.json"));
            eprintln!("{}", report.unwrap_or_default());
        }
        ran.exits(code);
        Report::of(&json(&self.folder.path().join("r.json")))
    }

    /// What its JWTs are signed with.
    fn secret(&self) -> String {
        let config = std::fs::read_to_string(self.folder.path().join("k.yaml")).expect("a kubeconfig");
        assert!(config.contains("server:"), "{config}");
        tokio::runtime::Runtime::new().expect("a runtime").block_on(async {
            let _installed = rustls::crypto::ring::default_provider().install_default();
            let config = kube::config::Kubeconfig::from_yaml(&config).expect("a kubeconfig");
            let options = kube::config::KubeConfigOptions::default();
            let config = kube::Config::from_custom_kubeconfig(config, &options)
                .await
                .expect("good");
            let client = kube::Client::try_from(config).expect("a client");
            let secrets: kube::Api<k8s_openapi::api::core::v1::Secret> = kube::Api::default_namespaced(client);
            let secret = secrets.get("agent-service-env").await.expect("there");
            let value = secret.data.expect("data")["AUTH_JWT_SECRET"].0.clone();
            String::from_utf8(value).expect("text")
        })
    }
}

/// Verdicts and reasons by case: `agent-service/jwt/none[service]`.
struct Report(BTreeMap<String, (String, String)>);

impl Report {
    fn of(report: &Value) -> Report {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let result = |result: &Value| {
            let id = text(&result["id"]).replace("agent-service/", "");
            let case = match result["parameters"]["road"].as_str() {
                Some(road) => format!("{id}[{road}]"),
                None => id,
            };
            (case, (text(&result["verdict"]), text(&result["reason"])))
        };
        Report(
            report["scenarios"]
                .as_array()
                .expect("a list")
                .iter()
                .map(result)
                .collect(),
        )
    }

    #[track_caller]
    fn verdict(&self, case: &str) -> &str {
        &self
            .0
            .get(case)
            .unwrap_or_else(|| panic!("no {case} in {:#?}", self.0))
            .0
    }

    fn count(&self, verdict: &str) -> usize {
        self.0.values().filter(|(found, _)| found == verdict).count()
    }

    /// Why what was skipped was, each reason once.
    fn reasons(&self) -> Vec<&str> {
        let mut reasons: Vec<&str> = self.0.values().map(|(_, reason)| reason.as_str()).collect();
        reasons.retain(|reason| !reason.is_empty());
        reasons.sort_unstable();
        reasons.dedup();
        reasons
    }
}

#[track_caller]
fn snapshot(name: &str, reasons: &[&str]) {
    insta::with_settings!({ snapshot_path => "agents", prepend_module_to_snapshot => false, omit_expression => true }, {
        insta::assert_snapshot!(name, reasons.join("\n"));
    });
}

const POLICIES: &str = "policies: { jwt.leeway: 30s, jwt.algorithms: HS256, ws.refusal: \"401\", ws.open: kept, \
                        token.two-places: reject, role.missing: \"403\", ws.idle: 1s, body.large: accepted, \
                        jwt.iat: ignored, jwt.iss: ignored, jwt.typ: ignored }\n";

/// All that can be told of a platform on a cluster is told, with the verdicts that ours has.
#[test]
fn on_a_cluster() {
    let theirs = Theirs::up(&[]);
    theirs.profile(&format!(
        "roads: {{ builtin: {} }}\n{POLICIES}",
        theirs.doors["builtin"]
    ));
    let attack = [
        "--target",
        "cluster",
        "--context",
        "gauntlet",
        "--allow",
        "attack",
        "--level",
        "all",
        "--jobs",
        "8",
    ];
    let report = theirs.run(5, &attack, &[]);
    assert_eq!(report.count("fail") + report.count("error"), 0, "{:#?}", report.0);
    for case in [
        "jwt/none[builtin]",
        "jwt/none[service]",
        "jwt/none[access-control]",
        "role/inactive[builtin]",
        "ws/accepted[builtin]",
        "ws/refused/service",
        "methods/usual[builtin]",
        "leak/log[builtin]",
        "hardening/paths/no-token[builtin]",
        "hardening/expiry/leeway[service]",
    ] {
        assert_eq!(report.verdict(case), "pass", "{case}");
    }
    assert!(report.count("pass") > 80, "{}", report.count("pass"));
    snapshot("skipped-on-a-cluster", &report.reasons());
    // What was made is deleted again.
    let token = Ran::of(
        theirs
            .command(&["jwt", "REGULAR"])
            .env("AUTH_JWT_SECRET", theirs.secret())
            .output()
            .expect("gauntlet runs"),
    )
    .exits(0);
    let url = format!("{}/api/agents", theirs.doors["service"]);
    let agents = tokio::runtime::Runtime::new().expect("a runtime").block_on(async {
        let asked = reqwest::Client::new().get(url).bearer_auth(token.stdout.trim()).send();
        asked.await.expect("an answer").text().await.expect("text")
    });
    assert_eq!(agents, "[]");
    let looked = theirs.run(5, &["--target", "cluster"], &[]);
    assert_eq!(looked.verdict("jwt/none[service]"), "pass");
    assert_eq!(looked.verdict("methods/usual[service]"), "skip");
}

/// Where only doors are known, those that are known are gone through.
#[test]
fn by_the_addresses_of_its_doors() {
    let theirs = Theirs::up(&[]);
    let secret = theirs.secret();
    theirs.profile(&format!(
        "roads: {{ nginx: {} }}\nsecrets: {{ jwt-secret: {{ env: SIGNED_WITH }} }}\n{POLICIES}",
        theirs.doors["builtin"]
    ));
    let url = ["--target", "url", "--allow", "use"];
    let report = theirs.run(5, &url, &[("SIGNED_WITH", &secret)]);
    assert_eq!(report.count("fail") + report.count("error"), 0, "{:#?}", report.0);
    for case in [
        "jwt/bad[nginx]",
        "ws/accepted[nginx]",
        "ws/refused[nginx]",
        "health/open[nginx]",
    ] {
        assert_eq!(report.verdict(case), "pass", "{case}");
    }
    assert_eq!(report.verdict("jwt/bad[service]"), "skip");
    snapshot("skipped-by-addresses", &report.reasons());
    // Signed with something else nothing is let in: the profile is wrong, and no scenario accuses the platform.
    let mut other = theirs.command(&["run", "--profile", "p.yaml", "--target", "url", "agent-service"]);
    other.env("SIGNED_WITH", "x".repeat(40));
    let other = Ran::of(other.output().expect("gauntlet runs")).exits(3);
    insta::assert_snapshot!(other.stderr, @"
    gauntlet: the jwt-secret from the variable SIGNED_WITH isn't the platform's: a token signed with it gets 401 to GET /api/agents through nginx; correct `secrets` in the profile
    gauntlet: nothing was run
    ");
}

/// What JWTs are signed with isn't known: nothing is tried.
#[test]
fn without_what_its_tokens_are_signed_with() {
    let theirs = Theirs::up(&[]);
    theirs.profile(&format!("roads: {{ builtin: {} }}\n", theirs.doors["builtin"]));
    let report = theirs.run(5, &["--target", "url"], &[]);
    // What is open is open to everybody.
    assert_eq!(report.verdict("health/open[builtin]"), "pass");
    assert_eq!(report.count("skip"), report.0.len() - 1);
    theirs.profile("names: { jwt.secret-name: another }\n");
    let named = theirs.run(4, &["--target", "cluster"], &[]);
    snapshot("secret-unknown", &[report.reasons(), named.reasons()].concat());
}

#[test]
fn what_is_wrong_with_it_is_found() {
    let theirs = Theirs::up(&["--mutant", "role-unchecked"]);
    theirs.profile(&format!(
        "roads: {{ builtin: {} }}\n{POLICIES}",
        theirs.doors["builtin"]
    ));
    let report = theirs.run(1, &["--target", "cluster", "--allow", "use"], &[]);
    assert_eq!(report.verdict("role/inactive[builtin]"), "fail");
    assert_eq!(report.verdict("role/inactive[access-control]"), "fail");
    assert_eq!(report.verdict("role/allowed[builtin]"), "pass");
}
