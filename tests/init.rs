//! A profile of a platform that somebody else runs, written by looking at it.

use std::io::Write;
use std::process::Stdio;

use crate::binary::Ran;
use crate::installation::theirs::Theirs;

/// What nobody can see from outside.
const TOLD: [&str; 6] = [
    "--set",
    "api.path=/api/agents",
    "--set",
    "session.label=belongs-to",
    "--set",
    "warm.selector=state=warm",
];

#[tokio::test]
async fn a_platform_is_judged_with_the_profile_that_was_written_of_it() {
    let theirs = Theirs::up(&[]).await;
    let before = theirs.state().await;
    let road = format!("balancer={}", theirs.doors["balancer"]);
    let ran = theirs.ran(&["init", "mine.yaml", "--yes", "--road", &road]).exits(0);
    assert_eq!(ran.stderr, "");
    assert!(
        ran.stdout.contains("found in namespace default: harness-token\n"),
        "{}",
        ran.stdout
    );
    assert!(
        ran.stdout.contains("  proxy (port-forward) answered "),
        "{}",
        ran.stdout
    );
    assert_eq!(theirs.state().await, before);
    assert!(theirs.journals().is_empty());
    let text = std::fs::read_to_string(theirs.path("mine.yaml")).expect("a profile");
    for line in [
        "  secret.name: agents-env  # HARNESS_AUTH_TOKEN of the deployment agents-web\n",
        "  secret.key: TTY_TOKEN  # HARNESS_AUTH_TOKEN of the deployment agents-web\n",
        "  secret.master-key: API_KEY  # MASTER_KEY of the deployment agents-web\n",
        "  web.deployment: agents-web  # the deployment agents-web\n",
        "  web.selector: app=agents-web  # the deployment agents-web\n",
        "  worker.deployment: agents-worker  # the deployment agents-worker\n",
        "  # api.path: /api/v1/managed_agents\n",
    ] {
        assert!(text.contains(line), "{line} in\n{text}");
    }
    assert!(text.contains("\n  balancer: http://"), "{text}");
    theirs.ran(&["check", "mine.yaml"]).exits(0);
    let run = [
        "run",
        "--target",
        "cluster",
        "--profile",
        "mine.yaml",
        "--allow",
        "use",
        "harness-token/token/accept",
    ];
    let ran = theirs.ran(&[&run[..], &TOLD].concat()).exits(0);
    assert!(ran.stdout.contains("3 passed, 0 failed"), "{}", ran.stdout);
    // What is there stays, unless it is said otherwise.
    let again = theirs.ran(&["init", "mine.yaml", "--yes"]).exits(2);
    assert_eq!(
        again.stderr,
        "gauntlet: mine.yaml is there already: --force overwrites it\n"
    );
    assert_eq!(
        std::fs::read_to_string(theirs.path("mine.yaml")).expect("a profile"),
        text
    );
    theirs.ran(&["init", "mine.yaml", "--yes", "--force"]).exits(0);
    let without = std::fs::read_to_string(theirs.path("mine.yaml")).expect("a profile");
    assert!(!without.contains("\n  balancer: "), "{without}");
}

#[tokio::test]
async fn what_was_found_is_asked_about() {
    let theirs = Theirs::up(&[]).await;
    let answered = |answers: &str| {
        let mut command = theirs.command(&["init", "asked.yaml", "--force"]);
        let command = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().expect("gauntlet starts");
        let mut stdin = child.stdin.take().expect("a pipe");
        // Who has heard enough closes it.
        let _closed = stdin.write_all(answers.as_bytes());
        drop(stdin);
        Ran::of(child.wait_with_output().expect("it ends"))
    };
    let nobody = answered("").exits(2);
    assert!(
        nobody
            .stderr
            .contains("harness-token, secret.name (HARNESS_AUTH_TOKEN of the deployment agents-web) [agents-env]: "),
        "{}",
        nobody.stderr
    );
    assert!(
        nobody
            .stderr
            .ends_with("nobody answers on standard input: --yes takes what is found\n"),
        "{}",
        nobody.stderr
    );
    assert!(!theirs.path("asked.yaml").exists());
    // A name that can't be one is asked for again; the rest is as it was found.
    let asked = answered(&format!("No Name\nother-env\n{}", "\n".repeat(50))).exits(0);
    assert!(
        asked.stderr.contains("`secret.name` is a name in Kubernetes"),
        "{}",
        asked.stderr
    );
    let text = std::fs::read_to_string(theirs.path("asked.yaml")).expect("a profile");
    assert!(text.contains("  secret.name: other-env  # as it was said\n"), "{text}");
    assert!(text.contains("  secret.key: TTY_TOKEN  # "), "{text}");
}

#[tokio::test]
async fn where_there_is_nothing_nothing_is_written() {
    let theirs = Theirs::up(&[]).await;
    let ran = theirs
        .ran(&["init", "none.yaml", "--yes", "--namespace", "elsewhere"])
        .exits(3);
    assert_eq!(ran.stdout, "");
    assert!(
        ran.stderr
            .contains("no deployment in namespace elsewhere has a variable HARNESS_AUTH_TOKEN"),
        "{}",
        ran.stderr
    );
    assert!(
        ran.stderr
            .contains("there is something in default: --namespace names one"),
        "{}",
        ran.stderr
    );
    assert!(!theirs.path("none.yaml").exists());
}
