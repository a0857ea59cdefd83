//! What befalls a cluster in mid-run is never taken for the platform's doing, and leaves nothing behind.

use std::process::{Command, Output};
use std::time::Duration;

use tokio::task::JoinHandle;

use super::standing::Standing;
use crate::binary::DEADLINE;
use crate::binary::faulty::{Fault, Faulty};

const SOME: [&str; 3] = [
    "harness-token/token/refuse",
    "harness-token/warm/claimed",
    "harness-token/rotate/new",
];

/// What looks at each pod.
const LEAKS: [&str; 2] = ["harness-token/leak/log", "harness-token/leak/process-list"];

/// A run that goes on beside the test.
fn started(mut command: Command) -> JoinHandle<Output> {
    tokio::task::spawn_blocking(move || command.output().expect("gauntlet runs"))
}

/// A run that must not have found the platform wrong, nor left a world; gives the exit code.
async fn unharmed(standing: &Standing, ran: JoinHandle<Output>, why: &str) -> i32 {
    let ran = ran.await.expect("it ended");
    let said = String::from_utf8_lossy(&ran.stderr).into_owned();
    let code = ran.status.code().expect("it ended of itself");
    assert!([0, 3].contains(&code), "{why}: {code}\n{said}");
    let wrong: Vec<_> = standing
        .verdicts()
        .into_iter()
        .filter(|(_, verdict)| verdict == "fail")
        .collect();
    assert!(wrong.is_empty(), "{why}: {wrong:?}");
    assert_eq!(standing.worlds().await, Vec::<String>::new(), "{why}\n{said}");
    code
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "makes a cluster, for minutes: `make test-kind`"]
async fn an_api_server_with_bad_days() {
    let standing = Standing::up();
    let faults = [
        (Fault::Gone { every: 2 }, &SOME[..], true),
        (Fault::Slow(Duration::from_millis(40)), &SOME, true),
        (Fault::Ghost, &LEAKS, true),
        (Fault::Status { code: 429, every: 7 }, &SOME, false),
        (Fault::Status { code: 500, every: 7 }, &SOME, false),
    ];
    for (fault, scenarios, is_borne) in faults {
        let faulty = Faulty::before(standing.client().await, fault).await;
        let mut command = standing.run(scenarios);
        standing.behind(&faulty, &mut command);
        let code = unharmed(&standing, started(command), &format!("{fault:?}")).await;
        assert!(code == 0 || !is_borne, "{fault:?}");
    }
}

/// By its name the last of all tests that stand on one cluster: it shuts the cluster down under whoever uses it.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "makes a cluster, for minutes: `make test-kind`"]
async fn the_node_starts_again() {
    let standing = Standing::up();
    let running = started(standing.run(&["harness-token/token", "harness-token/rotate"]));
    let begun = async {
        while standing.worlds().await.is_empty() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(DEADLINE, begun).await.expect("a world is made");
    let node = format!("{}-control-plane", standing.name);
    let restarted = Command::new("docker").args(["restart", &node]).output();
    assert!(restarted.expect("docker starts").status.success());
    assert_eq!(unharmed(&standing, running, "the node was started again").await, 3);
}
