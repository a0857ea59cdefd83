//! Loads whose target is on a cluster: what has no meaning is refused before anything is looked for.

use crate::binary::{folder, run_in};

#[test]
fn what_has_no_meaning_is_refused() {
    let url = ["--url", "ws://web.agents.svc/tty", "--token-env", "DOOR_TOKEN"];
    let cases: [(&[&str], &str); 11] = [
        (&["--workers-in-cluster", "2"], "a target on a cluster requires --url"),
        (&["--target", "cluster"], "a target on a cluster requires --url"),
        (&["--target", "kind"], "--target kind requires --workers-in-cluster"),
        (
            &["--namespace", "agents"],
            "--namespace is of a load whose target is on a cluster",
        ),
        (
            &["--pods", "app=web"],
            "--pods is of a load whose target is on a cluster",
        ),
        (&["--reuse"], "--reuse is of the target kind"),
        (
            &["--target", "kind", "--workers-in-cluster", "2", "--context", "c"],
            "--context is of the target cluster",
        ),
        (
            &["--target", "kind", "--workers-in-cluster", "2", "--url", "ws://web/tty"],
            "--target kind is the reference platform",
        ),
        (&["--workers-in-cluster", "2", "--workers", "2"], "cannot be used with"),
        (&["--workers-in-cluster", "2", "--sessions", "2"], "cannot be used with"),
        (&["--worker-image", "img:1"], "--workers-in-cluster <N>"),
    ];
    let folder = folder();
    for (arguments, said) in cases {
        let ran = run_in(folder.path(), &[&["load"], arguments].concat()).exits(2);
        assert!(ran.stderr.contains(said), "{arguments:?}: {}", ran.stderr);
    }
    let arguments = [&["load"], &url[..], &["--workers-in-cluster", "2"]].concat();
    let ran = run_in(folder.path(), &arguments).exits(2);
    assert!(
        ran.stderr.contains("--workers-in-cluster requires --worker-image"),
        "{}",
        ran.stderr
    );
}
