//! `gauntlet doctor --profile`: what could be judged, before anything is touched.

use serde_json::Value;

use super::theirs::{Theirs, verdicts};

#[tokio::test]
async fn what_could_be_judged_is_told_before_anything_is_touched() {
    let theirs = Theirs::up(&[]).await;
    let before = theirs.state().await;
    let told = theirs
        .ran(&["doctor", "--profile", "p.yaml", "--level", "all", "harness-token"])
        .exits(5);
    assert_eq!(told.stderr, "");
    assert_eq!(theirs.state().await, before);
    assert_eq!(theirs.sessions().await, Vec::<Value>::new());
    assert!(theirs.journals().is_empty());
    let (could, not) = told.stdout.split_once("\ncould not be judged (").expect("both");
    let lines: Vec<Vec<&str>> = could.lines().map(|line| line.split_whitespace().collect()).collect();
    for (rule, intrusion) in [
        ("harness-token/token/accept", "use"),
        ("harness-token/rotate/direct", "disrupt"),
    ] {
        assert!(
            lines.contains(&vec![rule, "--allow", intrusion]),
            "{rule} in\n{}",
            told.stdout
        );
    }
    assert!(
        not.contains("it needs a platform of its own, whose secret has no token yet"),
        "{not}"
    );
    assert!(not.trim_end().ends_with("nothing was changed"), "{not}");
    // What is said is what a run does.
    let report = theirs.judged(5, &["--allow", "use", "harness-token"]);
    for (run, verdict) in verdicts(&report).iter().filter(|(_, verdict)| *verdict == "pass") {
        let (rule, _) = run.split_once('[').unwrap_or((run, ""));
        assert!(
            lines.iter().any(|line| line.first() == Some(&rule)),
            "{run}: {verdict}, in\n{}",
            told.stdout
        );
    }
    let observing = theirs.ran(&[
        "doctor",
        "--profile",
        "p.yaml",
        "--allow",
        "observe",
        "harness-token/token/accept",
    ]);
    let observing = observing.exits(4).stdout;
    assert!(observing.contains("`--allow use` permits it"), "{observing}");
}

#[test]
fn what_can_be_judged_is_of_a_platform() {
    let folder = crate::binary::folder();
    let refused = crate::binary::run_in(folder.path(), &["doctor", "harness-token"]).exits(2);
    assert_eq!(
        refused.stderr,
        "gauntlet: what can be judged depends on the platform: --profile FILE names one\n"
    );
    let machine = crate::binary::run_in(folder.path(), &["doctor"]).exits(0);
    for line in ["embedded ", "kind ", "nginx ", "envoy ", "codex ", "k6 "] {
        assert!(
            machine.stdout.lines().any(|told| told.starts_with(line)),
            "{line} in\n{}",
            machine.stdout
        );
    }
}
