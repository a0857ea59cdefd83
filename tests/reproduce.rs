//! The commands under "to see it again, paste:" show the failure again.

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::binary::tls_door::TlsDoor;
use crate::binary::{Ran, Running, files_below, folder, run_in, until};
use crate::installation::theirs::{NAMES, Theirs};
use k8s_openapi::api::core::v1::Secret;
use kube::api::Api;
use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::Value;

/// Whether programs are there that a person's shell has. In CI they must be.
pub fn are_there(programs: &[&str]) -> bool {
    for program in programs {
        let found = Command::new("sh")
            .args(["-c", &format!("command -v {program}")])
            .output()
            .expect("sh starts");
        if !found.status.success() {
            assert!(std::env::var_os("CI").is_none(), "{program} is not there");
            eprintln!("skipped: {program} is not there");
            return false;
        }
    }
    true
}

/// A person's shell, with `gauntlet` on its path.
fn shell(folder: &Path, line: &str) -> Command {
    let gauntlet = Path::new(env!("CARGO_BIN_EXE_gauntlet")).parent().expect("its folder");
    let path = std::env::var("PATH").unwrap_or_default();
    let mut command = Command::new("env");
    command
        .args(["--default-signal=HUP,INT,TERM", "sh", "-c", line])
        .current_dir(folder)
        .env("PATH", format!("{}:{path}", gauntlet.display()))
        .env("HOME", folder)
        .env_remove("KUBECONFIG")
        .env_remove("AUTH_JWT_SECRET")
        .stdin(Stdio::null());
    command
}

/// A platform that a line of a shell started, ended with all that the line started.
struct Up(Running);

impl Drop for Up {
    fn drop(&mut self) {
        let _gone = kill_process_group(Pid::from_child(&self.0.child), Signal::TERM);
    }
}

/// The commands that a run printed.
pub fn printed(out: &str) -> Vec<&str> {
    let behind = out
        .split("  to see it again, paste:\n")
        .nth(1)
        .expect("commands to paste");
    behind.lines().map_while(|line| line.strip_prefix("    ")).collect()
}

/// The status of the last answer in a text.
fn last_status(text: &str) -> Option<String> {
    let status = regex::Regex::new(r"HTTP/1\.1 (\d{3})").expect("a pattern");
    status.captures_iter(text).last().map(|found| found[1].to_owned())
}

#[track_caller]
fn is_seen_again(case: &str, mutant: &str) {
    if !are_there(&["curl", "kubectl"]) {
        return;
    }
    let folder = folder();
    let folder = folder.path();
    let ran = run_in(folder, &["run", case, "--level", "all", "--mutant", mutant]).exits(1);
    let files = files_below(folder);
    let wire = files
        .iter()
        .find(|(path, _)| path.ends_with("wire.txt"))
        .expect("the wire");
    let status = last_status(&wire.1).expect("an answer");
    let lines = printed(&ran.stdout);
    let up = lines
        .iter()
        .position(|line| line.starts_with("gauntlet up"))
        .expect("a platform");
    for line in lines[..up].iter().filter(|line| !line.starts_with('#')) {
        let again = Ran::of(shell(folder, line).output().expect("sh starts")).exits(1);
        assert!(again.stdout.contains("0 passed, 1 failed"), "{line}\n{}", again.stdout);
        assert!(
            again.stdout.contains(&format!("FAIL {case}")),
            "{line}\n{}",
            again.stdout
        );
    }
    let mut command = shell(folder, lines[up]);
    let platform = Up(Running::start(command.process_group(0)).expect("sh starts"));
    until("the platform is up", || {
        match platform.0.stdout().contains("Ctrl-C ends it") {
            true => Ok(()),
            false => Err(platform.0.stdout() + &platform.0.stderr()),
        }
    });
    let rest = lines[up + 1..].join("\n");
    // What comes over a terminal is no text.
    let seen = shell(folder, &rest).output().expect("sh starts");
    let [out, error] = [seen.stdout, seen.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    assert_eq!(last_status(&out), Some(status), "{rest}\n{out}\n{error}");
}

#[test]
fn an_agent_service_that_lets_everybody_in() {
    is_seen_again("agent-service/role/inactive[builtin]", "role-unchecked");
}

#[test]
fn an_agent_service_whose_gateway_takes_what_is_expired() {
    is_seen_again("agent-service/jwt/expired[builtin]", "exp-unchecked");
}

#[test]
fn a_terminal_that_opens_without_a_token() {
    is_seen_again("harness-token/token/refuse[proxy]", "empty-token-opens");
}

#[test]
fn a_terminal_that_is_reached_straight() {
    is_seen_again("harness-token/token/accept[direct]", "token-with-newline");
}

/// What was found stands in logs that are gone with their world, and no request shows it.
#[test]
fn a_token_in_a_log() {
    let folder = folder();
    let folder = folder.path();
    for (case, mutant) in [
        ("agent-service/leak/log[builtin]", "jwt-in-log"),
        ("harness-token/leak/log", "token-in-access-log"),
    ] {
        let ran = run_in(folder, &["run", case, "--mutant", mutant]).exits(1);
        let lines = printed(&ran.stdout);
        assert_eq!(lines.len(), 1, "{lines:?}");
        let again = Ran::of(shell(folder, lines[0]).output().expect("sh starts")).exits(1);
        assert!(again.stdout.contains("0 passed, 1 failed"), "{}", again.stdout);
    }
}

#[test]
fn a_balancer_that_drops_what_it_should_hand_on() {
    is_seen_again("harness-token/token/accept[balancer]", "balancer-drops-query");
}

#[test]
fn access_control_that_is_asked_itself() {
    is_seen_again("agent-service/jwt/none[access-control]", "missing-jwt-passes");
}

#[test]
fn an_agent_service_that_is_reached_straight() {
    is_seen_again("agent-service/models/old[service]", "old-models-left");
}

/// How a platform that isn't ours is reached, for a profile, and how it is told so.
struct Reached<'a> {
    /// `roads` and `secrets`.
    profile: String,
    flags: Vec<&'a str>,
    environment: Vec<(&'a str, &'a str)>,
    /// Lines that are to be among those that are printed, as they begin.
    printed: Vec<String>,
}

/// A run on a platform that isn't ours fails; its commands show that again, start nothing and leave nothing.
async fn is_seen_again_there(theirs: &Theirs, case: &str, reached: Reached<'_>) {
    std::fs::write(theirs.path("seen.yaml"), format!("{NAMES}{}", reached.profile)).expect("written");
    let of = ["run", case, "--allow", "use", "--profile", "seen.yaml"];
    let mut command = theirs.command(&[&of[..], &reached.flags[..]].concat());
    command.envs(reached.environment.iter().copied());
    let ran = Ran::of(command.output().expect("gauntlet starts")).exits(1);
    let files = files_below(theirs.folder.path());
    let wire = files
        .iter()
        .find(|(path, _)| path.ends_with("wire.txt"))
        .expect("the wire");
    let status = last_status(&wire.1).expect("an answer");
    let lines = printed(&ran.stdout);
    for begins in &reached.printed {
        assert!(
            lines.iter().any(|line| line.starts_with(begins.as_str())),
            "{begins} in {lines:#?}"
        );
    }
    let request = lines
        .iter()
        .position(|line| *line == "# The last request:")
        .expect("a request");
    let pasted = |line: &str| {
        let mut command = shell(theirs.folder.path(), line);
        command.envs(reached.environment.iter().copied());
        command.output().expect("sh starts")
    };
    assert_eq!(request, 1, "one line makes the run again: {lines:#?}");
    let again = Ran::of(pasted(lines[0])).exits(1);
    assert!(
        again.stdout.contains("0 passed, 1 failed"),
        "{}\n{}",
        lines[0],
        again.stdout
    );
    assert!(
        again.stdout.contains(&format!("FAIL {case}")),
        "{}\n{}",
        lines[0],
        again.stdout
    );
    let rest = lines[request..].join("\n");
    let seen = pasted(&rest);
    let [out, error] = [seen.stdout, seen.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    assert_eq!(last_status(&out), Some(status), "{rest}\n{out}\n{error}");
    assert_eq!(theirs.sessions().await, Vec::<Value>::new(), "{rest}\n{out}\n{error}");
}

/// Puts the token into the file `token`, and gives the session API's key: what somebody has who knows the doors alone.
async fn keys(theirs: &Theirs) -> String {
    let secrets: Api<Secret> = Api::default_namespaced(theirs.client.clone());
    let data = secrets.get("agents-env").await.expect("the secret").data.expect("data");
    let text = |key: &str| String::from_utf8(data[key].0.clone()).expect("text");
    std::fs::write(theirs.path("token"), text("TTY_TOKEN")).expect("written");
    text("API_KEY")
}

#[tokio::test]
async fn a_platform_of_which_the_doors_are_known() {
    if !are_there(&["curl"]) {
        return;
    }
    let theirs = Theirs::up(&["empty-token-opens"]).await;
    let key = keys(&theirs).await;
    let door = theirs.doors["balancer"].clone();
    let reached = Reached {
        profile: format!(
            "roads: {{ balancer: \"{door}\" }}\n\
             secrets: {{ token: {{ file: token }}, master-key: {{ env: THEIR_KEY }} }}\n"
        ),
        flags: vec!["--target", "url"],
        environment: vec![("THEIR_KEY", key.as_str())],
        printed: vec![
            "MASTER_KEY=\"$THEIR_KEY\"".to_owned(),
            format!("API={door}"),
            format!("DOOR={door}"),
            "curl -s -H \"Authorization: Bearer $MASTER_KEY\" -X DELETE ".to_owned(),
        ],
    };
    is_seen_again_there(&theirs, "harness-token/token/refuse[balancer]", reached).await;
}

/// `trust`: the flags that make gauntlet take its certificate; `for_curl`: what is printed for them.
async fn is_seen_again_over_tls(trust: &[&str], for_curl: &str) {
    if !are_there(&["curl"]) {
        return;
    }
    let theirs = Theirs::up(&["balancer-drops-query"]).await;
    let key = keys(&theirs).await;
    let door = TlsDoor::before(theirs.doors["balancer"].trim_start_matches("http://")).await;
    std::fs::write(theirs.path("ca.pem"), &door.pem).expect("written");
    let address = format!("https://{}", door.address);
    let reached = Reached {
        profile: format!(
            "roads: {{ balancer: \"{address}\" }}\n\
             secrets: {{ token: {{ file: token }}, master-key: {{ env: MASTER_KEY }} }}\n"
        ),
        flags: [&["--target", "url"][..], trust].concat(),
        environment: vec![("MASTER_KEY", key.as_str())],
        printed: vec![
            "# MASTER_KEY is set already".to_owned(),
            "HARNESS_AUTH_TOKEN=$(cat token)".to_owned(),
            format!("API={address}"),
            format!("DOOR={address}"),
            format!("curl -i {for_curl} "),
            format!("curl -s {for_curl} -H \"Authorization: Bearer $MASTER_KEY\" -X DELETE "),
        ],
    };
    is_seen_again_there(&theirs, "harness-token/token/accept[balancer]", reached).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_door_over_tls_of_an_authority_of_its_own() {
    is_seen_again_over_tls(&["--ca", "ca.pem"], "--cacert ca.pem").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_door_over_tls_whose_certificate_is_not_verified() {
    is_seen_again_over_tls(&["--insecure"], "-k").await;
}

/// Its secrets are asked of the cluster. (Doors behind `kubectl port-forward` need a real one.)
#[tokio::test]
async fn a_platform_on_a_cluster_whose_door_has_an_address() {
    if !are_there(&["curl", "kubectl"]) {
        return;
    }
    let theirs = Theirs::up(&["balancer-drops-query"]).await;
    let door = theirs.doors["balancer"].clone();
    let of_cluster = |variable: &str, key: &str| {
        format!(
            "{variable}=$(kubectl --context gauntlet -n default get secret agents-env -o jsonpath='{{.data.{key}}}'"
        )
    };
    let reached = Reached {
        profile: format!("roads: {{ balancer: \"{door}\", proxy: none }}\n"),
        flags: vec!["--target", "cluster", "--context", "gauntlet"],
        environment: vec![("KUBECONFIG", "k.yaml")],
        printed: vec![
            of_cluster("HARNESS_AUTH_TOKEN", "TTY_TOKEN"),
            of_cluster("MASTER_KEY", "API_KEY"),
            format!("API={door}"),
            format!("DOOR={door}"),
        ],
    };
    is_seen_again_there(&theirs, "harness-token/token/accept[balancer]", reached).await;
}
