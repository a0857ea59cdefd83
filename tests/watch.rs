//! `gauntlet watch`: rounds that go on, what is told and kept of them, and that they end.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;

use rustix::process::Signal;
use serde_json::Value;

use crate::binary::{MINE, Running, folder, gauntlet_with_signals, until};

const WRONG: &str = "mine/token/wrong";

/// Watches in a folder.
fn start(folder: &Path, arguments: &[&str]) -> Running {
    let mut command = gauntlet_with_signals();
    command
        .current_dir(folder)
        .args(["watch", "--scenarios", MINE])
        .args(arguments);
    Running::start(&mut command).expect("gauntlet starts")
}

/// Waits until a text was printed.
#[track_caller]
pub fn says(watch: &Running, text: &str) {
    until(&format!("it says {text:?}"), || match watch.stdout().contains(text) {
        true => Ok(()),
        false => Err(watch.stdout() + &watch.stderr()),
    });
}

/// Where it serves its metrics.
#[track_caller]
pub fn address(watch: &Running) -> String {
    says(watch, "/metrics\n");
    let said = watch.stdout();
    let (_, rest) = said.split_once("metrics at http://").expect("its address");
    let (address, _) = rest.split_once("/metrics").expect("its address");
    address.to_owned()
}

/// Head and body of an answer.
#[track_caller]
pub fn get(address: &str, path: &str) -> (String, String) {
    let mut stream = TcpStream::connect(address).expect("it listens");
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("asked");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("answered");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    (head.to_owned(), body.to_owned())
}

/// The value of a sample.
#[track_caller]
fn value(metrics: &str, sample: &str) -> f64 {
    let found = metrics
        .lines()
        .find_map(|line| line.strip_prefix(sample)?.strip_prefix(' '));
    let found = found.unwrap_or_else(|| panic!("{sample} is not in\n{metrics}"));
    found.parse().expect("a number")
}

/// The lines of a history, all of them whole.
fn lines(file: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(file).expect("the history");
    assert!(text.ends_with('\n'), "{text}");
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect()
}

#[test]
fn rounds_go_on_until_it_is_told_to_end() {
    let folder = folder();
    let mut watch = start(
        folder.path(),
        &[
            "mine/token/quick",
            WRONG,
            "--every",
            "1ms",
            "--listen",
            "127.0.0.1:0",
            "--keep-history",
            "3",
            "--keep-reports",
            "2",
        ],
    );
    let address = address(&watch);
    let mut metrics = String::new();
    until("five rounds are over", || {
        metrics = get(&address, "/metrics").1;
        match value(&metrics, "gauntlet_watch_rounds_total{judged=\"yes\"}") >= 5.0 {
            true => Ok(()),
            false => Err(watch.stdout() + &watch.stderr()),
        }
    });
    assert!(metrics.ends_with("\n# EOF\n"), "{metrics}");
    let (head, _) = get(&address, "/metrics");
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    assert!(
        head.contains("content-type: application/openmetrics-text; version=1.0.0"),
        "{head}"
    );
    let of = |rule: &str| format!("{{rule=\"{rule}\",case=\"\"");
    for (rule, verdict) in [("mine/token/quick", "pass"), (WRONG, "fail")] {
        let sample = |verdict: &str| format!("gauntlet_watch_verdict{},verdict=\"{verdict}\"}}", of(rule));
        assert_eq!(value(&metrics, &sample(verdict)), 1.0);
        assert_eq!(value(&metrics, &sample("error")), 0.0);
        let count = |name: &str| value(&metrics, &format!("gauntlet_watch_{name}{}}}", of(rule)));
        assert!(count("runs_total") >= 5.0);
        assert!(count("last_judged_timestamp_seconds") > 1.7e9);
        assert!(count("duration_seconds") > 0.0);
        match verdict {
            "fail" => {
                assert_eq!(count("failures_total"), count("runs_total"));
                assert_eq!(count("failures_in_a_row"), count("failures_total"));
                assert!(count("failing_since_timestamp_seconds") <= count("last_judged_timestamp_seconds"));
            }
            _ => assert_eq!(count("failures_total"), 0.0),
        }
    }
    // No world starts within a millisecond.
    assert!(value(&metrics, "gauntlet_watch_skipped_starts_total") >= 1.0);
    says(&watch, "longer than the interval: ");
    let (head, body) = get(&address, "/healthz");
    assert!(head.starts_with("HTTP/1.1 200 ") && body == "ok\n", "{head}\n{body}");
    assert!(get(&address, "/").0.starts_with("HTTP/1.1 404 "));

    watch.signal(Signal::INT);
    assert_eq!(watch.ends().code(), Some(0), "{}", watch.stderr());
    says(&watch, "  ended, as it was told to\n");
    let said = watch.stdout();
    assert_eq!(said.matches(" → ").count(), 1, "a change is told once: {said}");
    assert!(
        said.contains(&format!("  new → fail  {WRONG}: make a session: expected ")),
        "{said}"
    );
    assert!(!watch.stderr().contains("panicked"), "{}", watch.stderr());

    let kept = lines(&folder.path().join("reports/watch/history.jsonl"));
    assert!((1..=3).contains(&kept.len()), "{kept:?}");
    let started: Vec<&str> = kept.iter().filter_map(|round| round["started"].as_str()).collect();
    assert_eq!(started.iter().collect::<BTreeSet<_>>().len(), kept.len(), "{started:?}");
    let judged = kept.iter().flat_map(|round| round["rules"].as_array().expect("a list"));
    for rule in judged.filter(|rule| rule["rule"] == WRONG) {
        assert_eq!(rule["verdict"], "fail", "{rule}");
        assert!(
            rule["evidence"]
                .as_str()
                .is_some_and(|path| path.contains("/evidence/")),
            "{rule}"
        );
    }
    let runs = std::fs::read_dir(folder.path().join("reports/watch")).expect("a folder");
    let runs = runs.filter(|entry| {
        let path = entry.as_ref().expect("an entry").path();
        path.is_dir() && !path.is_symlink()
    });
    assert!((1..=2).contains(&runs.count()));
}

#[test]
fn a_change_is_one_against_what_an_earlier_process_found() {
    let folder = folder();
    let file = folder.path().join("h.jsonl");
    let of = |verdict: &str| {
        format!(
            "{{\"started\":\"2026-01-02T03:04:05Z\",\"target\":\"embedded\",\"profile\":null,\"duration_ms\":1.0,\
             \"rules\":[{{\"rule\":\"{WRONG}\",\"case\":\"\",\"verdict\":\"{verdict}\",\"duration_ms\":1.0}}]}}\n"
        )
    };
    // The last line was cut off.
    std::fs::write(&file, of("pass") + &of("fail")[..60]).expect("written");
    let mut watch = start(
        folder.path(),
        &[WRONG, "--history", "h.jsonl", "--every", "50ms", "--quiet"],
    );
    says(&watch, &format!("pass → fail  {WRONG}: "));
    until("a round is kept", || {
        let kept = std::fs::read_to_string(&file).expect("the history");
        match kept.matches('\n').count() >= 2 {
            true => Ok(()),
            false => Err(watch.stdout() + &watch.stderr()),
        }
    });
    let said = watch.stdout();
    let (_, rest) = said.split_once("(evidence: ").expect("a folder of evidence");
    let (evidence, _) = rest.split_once(')').expect("its end");
    let mut files = std::fs::read_dir(folder.path().join(evidence)).expect(evidence);
    assert!(files.next().is_some(), "{evidence}");
    watch.signal(Signal::TERM);
    assert_eq!(watch.ends().code(), Some(0), "{}", watch.stderr());
    assert!(!watch.stdout().contains("round 1:"), "{}", watch.stdout());
    let stderr = watch.stderr();
    assert!(stderr.contains("the last line of h.jsonl was cut off"), "{stderr}");
    let kept = lines(&file);
    assert_eq!(kept[0]["rules"][0]["verdict"], "pass");
    assert_eq!(kept[1]["rules"][0]["verdict"], "fail");

    // The next process knows it already.
    let mut watch = start(folder.path(), &[WRONG, "--history", "h.jsonl", "--every", "50ms"]);
    says(&watch, "round 1: 0 passed, 1 failed, ");
    watch.signal(Signal::INT);
    assert_eq!(watch.ends().code(), Some(0), "{}", watch.stderr());
    assert!(!watch.stdout().contains(" → "), "{}", watch.stdout());
}

/// It doesn't wait for the interval, nor for a scenario that never ends.
#[test]
fn it_ends_at_once_between_rounds_and_within_one() {
    let folder = folder();
    let mut between = start(folder.path(), &["mine/token/quick", "--every", "60m"]);
    says(&between, "round 1: 1 passed, ");
    between.signal(Signal::INT);
    assert_eq!(between.ends().code(), Some(0), "{}", between.stderr());

    let mut within = start(
        folder.path(),
        &["mine/token/long", "--every", "60m", "--history", "other.jsonl"],
    );
    says(&within, "watching 1 of 1 selected runs every 60m: ");
    within.signal(Signal::INT);
    assert_eq!(within.ends().code(), Some(0), "{}", within.stderr());
    assert!(!within.stdout().contains(" → "), "{}", within.stdout());
    let kept = std::fs::read_to_string(folder.path().join("other.jsonl")).expect("the history");
    assert_eq!(kept, "", "what was stopped on its way is no verdict");
}
