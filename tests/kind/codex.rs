//! The real codex CLI in pods.

use std::path::Path;

use crate::binary::{Ran, folder, json};
use crate::codex;

use super::standing::Standing;

/// What it is run for: it says its version, logs in, and asks.
const SCENARIOS: [&str; 5] = [
    "codex-auth/pod/codex-installed",
    "codex-auth/login/writes",
    "codex-auth/model/reply",
    "codex-auth/agent/key",
    "codex-auth/agent/route",
];

/// It logs in at the pod and is answered through LiteLLM, as on the embedded target.
#[test]
#[ignore = "makes a cluster, for minutes: `make test-kind`"]
fn the_real_codex_logs_in_and_is_answered() {
    let Some(program) = codex::real() else { return };
    let standing = Standing::up();
    // The stand-in is of version 0.0.0, and must not be taken for it.
    let (scenarios, built_in) = (folder(), Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios"));
    for id in SCENARIOS {
        let text = std::fs::read_to_string(built_in.join(format!("{id}.yaml"))).expect("there");
        let text = text.replace(r#"matches: "^codex""#, r#"matches: "^codex-cli 0[.][1-9]""#);
        let file = scenarios.path().join(format!("{id}.yaml"));
        std::fs::create_dir_all(file.parent().expect("its folder")).expect("made");
        std::fs::write(file, text).expect("written");
    }
    let (program, own) = (program.display().to_string(), scenarios.path().display().to_string());
    let mut command = standing.run(&["--scenarios", &own, "--codex", &program]);
    Ran::of(command.output().expect("gauntlet starts")).exits(0);
    let verdicts = standing.verdicts();
    assert_eq!(verdicts.len(), SCENARIOS.len(), "{verdicts:?}");
    assert!(verdicts.iter().all(|(_, verdict)| verdict == "pass"), "{verdicts:?}");
    let notes = json(&standing.path("r.json"))["notes"].to_string();
    assert!(notes.contains(", in the image"), "{notes}");
}
