//! A platform that nobody here wrote: another language, another terminal, no Kubernetes. It is judged by its doors and
//! by the commands of its profile.

mod choices;
mod defects;
mod reach;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::binary::{Ran, Running, files_below, folder, gauntlet, gauntlet_with_signals, json, until};
use crate::installation::theirs::verdicts;
use crate::watch;

const BENCH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/foreign/bench.py");

const PROFILE: &str = include_str!("foreign/profile.yaml");

/// Scenarios that tell nothing here: what a cluster says of its routes, and what takes minutes.
const LEFT_OUT: [&str; 3] = ["!agent-service/policy/attached/reported", "!tag:timing", "!tag:load"];

/// The platform, running.
struct Bench {
    _running: Running,
    folder: tempfile::TempDir,
    /// The addresses of its doors by the names of their roads.
    doors: BTreeMap<String, String>,
}

impl Bench {
    fn up() -> Bench {
        let folder = folder();
        let mut command = Command::new("python3");
        command.args(["-B", BENCH, "serve"]).arg(folder.path());
        let running = Running::start(&mut command).expect("python3 starts");
        until("the platform is up", || match running.stdout().ends_with('\n') {
            true => Ok(()),
            false => Err(running.stderr()),
        });
        std::fs::write(folder.path().join("p.yaml"), PROFILE).expect("written");
        let doors = serde_json::from_str(&running.stdout()).expect("its doors");
        Bench {
            _running: running,
            folder,
            doors,
        }
    }

    fn command(&self, mut command: Command, arguments: &[&str]) -> Command {
        command
            .current_dir(self.folder.path())
            .env_remove("KUBECONFIG")
            .env("XDG_STATE_HOME", "state")
            .args(arguments);
        command
    }

    /// The flags of a run on it.
    fn flags(&self) -> Vec<String> {
        let mut flags: Vec<String> = ["run", "--target", "url", "--profile", "p.yaml"]
            .map(str::to_owned)
            .to_vec();
        for (road, address) in &self.doors {
            flags.extend(["--set".to_owned(), format!("road.{road}={address}")]);
        }
        flags
    }

    fn run(&self, arguments: &[&str]) -> Ran {
        let flags = self.flags();
        let flags = flags.iter().map(String::as_str);
        let all: Vec<&str> = flags
            .chain(["--report", "json=r.json"])
            .chain(arguments.iter().copied())
            .collect();
        Ran::of(self.command(gauntlet(), &all).output().expect("gauntlet runs"))
    }

    /// Kills a run when its journal has a change of this kind. Gives the journal.
    fn killed(&self, arguments: &[&str], entry: &str) -> PathBuf {
        let flags = self.flags();
        let all: Vec<&str> = flags
            .iter()
            .map(String::as_str)
            .chain(arguments.iter().copied())
            .collect();
        let mut run = Running::start(&mut self.command(gauntlet_with_signals(), &all)).expect("gauntlet starts");
        let entry = format!("\"change\":\"{entry}\"");
        until("the journal has it", || {
            let journal = self.journals().pop();
            let text = journal
                .and_then(|path| std::fs::read_to_string(path).ok())
                .unwrap_or_default();
            match text.contains(&entry) {
                true => Ok(()),
                false => Err(format!("{text}\n{}", run.stderr())),
            }
        });
        run.signal(rustix::process::Signal::KILL);
        run.ends();
        self.journals().pop().expect("it is left")
    }

    fn recover(&self) -> Ran {
        Ran::of(self.command(gauntlet(), &["recover"]).output().expect("gauntlet runs"))
    }

    /// The lines of its secrets, in order.
    fn secrets(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.folder.path().join("secret.env")).expect("text");
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    }

    fn journals(&self) -> Vec<PathBuf> {
        let listed = std::fs::read_dir(self.folder.path().join("state/gauntlet"))
            .into_iter()
            .flatten();
        listed.map(|entry| entry.expect("an entry").path()).collect()
    }

    /// What one of its operations prints.
    fn ops(&self, words: &[&str]) -> String {
        let output = Command::new(self.folder.path().join("ops")).args(words).output();
        String::from_utf8(output.expect("it runs").stdout).expect("text")
    }

    fn report(&self) -> Value {
        json(&self.folder.path().join("r.json"))
    }
}

/// Those that did not pass, with the reason.
fn bad<'r>(results: impl IntoIterator<Item = &'r Value>) -> Vec<String> {
    let bad = results.into_iter().filter(|result| result["verdict"] != "pass");
    bad.map(|result| {
        format!(
            "{} {} {}: {}",
            result["verdict"], result["id"], result["parameters"], result["reason"]
        )
    })
    .collect()
}

/// The whole of both contracts' core, and no false alarm: of the extended scenarios those that tell nothing here are
/// skipped.
#[test]
fn what_is_right_passes_and_nothing_of_the_core_is_skipped() {
    let bench = Bench::up();
    let before = bench.secrets();
    let of = ["--allow", "attack", "--level", "all", "harness-token", "agent-service"];
    let ran = bench.run(&[&of[..], &LEFT_OUT].concat());
    let report = bench.report();
    let results = report["scenarios"].as_array().expect("scenarios").iter();
    assert_eq!(ran.code, Some(0), "{:#?}\n{}", bad(results.clone()), ran.stderr);
    let (core, extended): (Vec<&Value>, Vec<&Value>) = results.partition(|result| result["level"] == "core");
    assert_eq!(bad(core), Vec::<String>::new());
    let wrong = extended.iter().filter(|result| result["verdict"] != "skip");
    assert_eq!(bad(wrong.copied()), Vec::<String>::new());
    let verdicts = verdicts(&report);
    for run in [
        "harness-token/rotate/direct[]",
        "harness-token/hardening/encoding[direct]",
        "harness-token/hardening/encoding[proxy]",
        "harness-token/hardening/half-open[direct]",
        "agent-service/authz/down/slow[builtin]",
        "agent-service/headers/omitted[builtin]",
    ] {
        assert_eq!(verdicts[run], "pass", "{run}");
    }
    assert_eq!(bench.secrets(), before, "secrets are put back");
    assert!(bench.journals().is_empty());
    assert!(!bench.ops(&["pods"]).contains("session"), "no session is left");
}

/// Where no command gives logs, the files that the profile names are searched alone.
#[test]
fn files_of_logs_are_searched() {
    let bench = Bench::up();
    let lines = PROFILE.lines().filter(|line| !line.trim_start().starts_with("logs: ["));
    let without: String = lines.map(|line| format!("{line}\n")).collect();
    std::fs::write(bench.folder.path().join("p.yaml"), without).expect("written");
    let search = "harness-token/leak/log/refused[balancer]";
    for (defects, code) in [(&["defects"][..], 0), (&["defects", "access-log-query"], 1)] {
        bench.ops(defects);
        bench.run(&["--allow", "use", "--level", "all", search]).exits(code);
    }
}

/// A pod that is listed, and gone before it is looked into, holds nothing that could be found.
#[test]
fn a_pod_that_goes_away_meanwhile_is_no_error() {
    let bench = Bench::up();
    for search in [
        "harness-token/leak/log/refused[balancer]",
        "harness-token/leak/process-list",
    ] {
        bench.ops(&["ghost"]);
        bench.run(&["--allow", "attack", "--level", "all", search]).exits(0);
        assert!(!bench.ops(&["pods"]).contains("box-gone"), "{search} looks into it");
    }
}

/// What these commands do needs to be allowed, like all that disrupts; and what is not given is skipped by its name.
#[test]
fn what_is_not_allowed_or_not_given_is_skipped() {
    let bench = Bench::up();
    let before = bench.secrets();
    bench
        .run(&[
            "--allow",
            "use",
            "harness-token/bootstrap",
            "harness-token/alb/strip",
            "agent-service/authz/down",
        ])
        .exits(4);
    let report = bench.report();
    let reasons: Vec<&str> = report["scenarios"]
        .as_array()
        .expect("scenarios")
        .iter()
        .filter_map(|result| result["reason"].as_str())
        .collect();
    assert!(
        reasons
            .iter()
            .all(|reason| reason.contains("`--allow disrupt` permits it")),
        "{reasons:#?}"
    );
    assert_eq!(bench.secrets(), before);

    let lines = PROFILE.lines().filter(|line| !line.trim_start().starts_with("exec:"));
    let without: String = lines.map(|line| format!("{line}\n")).collect();
    std::fs::write(bench.folder.path().join("p.yaml"), without).expect("written");
    bench.run(&["--allow", "use", "harness-token/token/flow"]).exits(4);
    let report = bench.report();
    assert_eq!(
        report["scenarios"][0]["reason"],
        "its step `exec` needs the operation `exec`: the profile's `operations` can give its command"
    );
    // What can be judged without it is.
    let checks = report["scenarios"][0]["checks"].as_array().expect("a list");
    let verdicts: Vec<&Value> = checks.iter().map(|check| &check["verdict"]).collect();
    assert_eq!(verdicts, ["pass", "skip"]);
}

/// A backend of the harness that somebody has put behind the balancer shows what the balancer lets through.
#[test]
fn a_backend_behind_its_balancer() {
    let lines = PROFILE.lines().filter(|line| !line.trim_start().starts_with("probe:"));
    let without: String = lines.map(|line| format!("{line}\n")).collect();
    let bench = Bench::up();
    std::fs::write(bench.folder.path().join("p.yaml"), &without).expect("written");
    let strip = |is_led_there: bool| {
        let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = free.local_addr().expect("an address");
        drop(free);
        if is_led_there {
            bench.ops(&["probe", &address.port().to_string()]);
        }
        let listen = address.to_string();
        let ran = bench.run(&[
            "--allow",
            "observe",
            "--probe-listen",
            &listen,
            "harness-token/alb/strip",
        ]);
        (ran, bench.report())
    };
    let scenarios = |report: &Value| bad(report["scenarios"].as_array().expect("scenarios"));
    let (elsewhere, report) = strip(false);
    assert_eq!(
        elsewhere.code,
        Some(3),
        "{:#?}\n{}",
        scenarios(&report),
        elsewhere.stderr
    );
    let why = report["scenarios"][0]["reason"].as_str().expect("a reason");
    assert!(why.contains("does not lead it to --probe-listen 127.0.0.1:"), "{why}");
    let (right, report) = strip(true);
    assert_eq!(right.code, Some(0), "{:#?}\n{}", scenarios(&report), right.stderr);
    bench.ops(&["defects", "keeps-authorization"]);
    let (keeps, report) = strip(true);
    assert_eq!(keeps.code, Some(1), "{:#?}\n{}", scenarios(&report), keeps.stderr);
}

/// What breaks between two rounds is told, and so is that it is whole again.
#[test]
fn what_breaks_while_it_is_watched_is_told() {
    let bench = Bench::up();
    let mut secrets = bench.secrets();
    let mut flags = bench.flags();
    "watch".clone_into(&mut flags[0]);
    let rule = "harness-token/token/accept[proxy]";
    let of = ["--allow", "use", rule, "--every", "50ms", "--listen", "127.0.0.1:0"];
    let all: Vec<&str> = flags.iter().map(String::as_str).chain(of).collect();
    let mut running = Running::start(&mut bench.command(gauntlet_with_signals(), &all)).expect("gauntlet starts");
    watch::says(&running, "round 1: 1 passed, ");
    let address = watch::address(&running);
    let verdict = |verdict: &str| {
        format!(
            "gauntlet_watch_verdict{{rule=\"harness-token/token/accept\",case=\"proxy\",verdict=\"{verdict}\"}} 1\n"
        )
    };

    // A new token, of which the processes that are there hear nothing.
    let token = "4e0d5f0c1b7e4a9db7f0a1c2d3e4f5061728394a5b6c7d8e9fa0b1c2d3e4f506";
    let file = bench.folder.path().join("new.json");
    std::fs::write(&file, format!("{{\"HARNESS_AUTH_TOKEN\": \"{token}\"}}")).expect("written");
    let set = Command::new(bench.folder.path().join("ops"))
        .args(["secret", "set"])
        .stdin(Stdio::from(std::fs::File::open(&file).expect("it is there")))
        .status();
    assert!(set.expect("it runs").success());
    std::fs::remove_file(&file).expect("removed");
    watch::says(&running, &format!("→ fail  {rule}: "));
    let mut metrics = String::new();
    until("the metrics have it", || {
        metrics = watch::get(&address, "/metrics").1;
        match metrics.contains(&verdict("fail")) {
            true => Ok(()),
            false => Err(metrics.clone()),
        }
    });
    assert!(
        metrics.contains("gauntlet_watch_failing_since_timestamp_seconds{"),
        "{metrics}"
    );
    assert!(
        !metrics.contains("gauntlet_watch_attach_seconds_count 0\n"),
        "{metrics}"
    );

    for part in ["web", "worker"] {
        bench.ops(&["restart", part]);
    }
    watch::says(&running, &format!("→ pass  {rule}\n"));
    until("the metrics have it", || {
        metrics += &watch::get(&address, "/metrics").1;
        match metrics.contains(&verdict("pass")) {
            true => Ok(()),
            false => Err(metrics.clone()),
        }
    });
    running.signal(rustix::process::Signal::INT);
    assert_eq!(running.ends().code(), Some(0), "{}", running.stderr());
    assert!(bench.journals().is_empty(), "{}", running.stderr());

    secrets.extend(bench.secrets());
    let mut put_out = vec![running.stdout(), running.stderr(), metrics];
    let reports = files_below(&bench.folder.path().join("reports/watch"));
    put_out.extend(reports.into_iter().map(|(_, text)| text));
    for line in &secrets {
        let (name, secret) = line.split_once('=').expect("a line of a secret");
        assert!(!put_out.iter().any(|text| text.contains(secret)), "{name} was put out");
    }
}

/// Killed when it has changed something, it is put back by `recover`.
#[test]
fn killed_it_is_put_back() {
    let bench = Bench::up();
    let before = bench.secrets();
    for entry in ["key", "restart-by-command", "turned"] {
        let of = [
            "--allow",
            "disrupt",
            "harness-token/rotate/live",
            "harness-token/alb/strip",
        ];
        let journal = std::fs::read_to_string(bench.killed(&of, entry)).expect("text");
        for line in &before {
            let (_, secret) = line.split_once('=').expect("a line of a secret");
            assert!(!journal.contains(secret), "a secret stands in the journal");
        }
        let recovered = bench.recover().exits(0);
        assert!(recovered.stdout.contains(": put back"), "{entry}: {}", recovered.stdout);
        assert_eq!(bench.secrets(), before, "{entry}");
        assert!(bench.journals().is_empty());
    }
    // And it works as before.
    bench
        .run(&[
            "--allow",
            "use",
            "harness-token/token/accept",
            "harness-token/token/flow",
        ])
        .exits(0);
}
