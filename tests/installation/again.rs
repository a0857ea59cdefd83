//! What is printed to see a failure again, on a platform that is still there.

use std::process::Command;

use k8s_openapi::api::core::v1::Secret;
use kube::api::Api;

use super::theirs::Theirs;
use crate::binary::Ran;
use crate::reproduce::{are_there, printed};

/// A search is no request: its failure is seen where it found something.
#[tokio::test]
async fn a_token_in_a_log() {
    let theirs = Theirs::up(&["token-in-access-log"]).await;
    let ran = theirs
        .ran(&[
            "run",
            "--target",
            "cluster",
            "--context",
            "gauntlet",
            "--profile",
            "p.yaml",
            "--allow",
            "use",
            "harness-token/leak/log",
        ])
        .exits(1);
    let lines = printed(&ran.stdout);
    assert!(
        lines[0].starts_with("gauntlet run harness-token/leak/log --target cluster"),
        "{lines:?}"
    );
    assert_eq!(lines[1], "# Where it stands:", "{lines:?}");
    let shown = &lines[2..];
    assert!((1..=3).contains(&shown.len()), "{lines:?}");
    let logs = |line: &&str| line.starts_with("kubectl --context gauntlet -n default logs ");
    assert!(shown.iter().all(logs), "{lines:?}");
    if !are_there(&["kubectl"]) {
        return;
    }
    let secrets: Api<Secret> = Api::default_namespaced(theirs.client.clone());
    let data = secrets.get("agents-env").await.expect("the secret").data.expect("data");
    let token = String::from_utf8(data["TTY_TOKEN"].0.clone()).expect("text");
    for line in shown {
        let mut shell = Command::new("sh");
        shell
            .args(["-c", line])
            .current_dir(theirs.folder.path())
            .env("KUBECONFIG", "k.yaml")
            .env("KUBECACHEDIR", theirs.path("cache"));
        let seen = Ran::of(shell.output().expect("sh starts")).exits(0).stdout;
        assert!(seen.contains(&token), "{line}\n{seen}");
        assert_eq!(seen.lines().count(), 1, "{line}\n{seen}");
    }
}
