//! Templates whose values are known only when a scenario runs.

use crate::binary::{folder, json, run_in};

/// A scenario that takes an object out of what it saw, and does this with it.
fn scenario(name: &str, step: &str) -> String {
    format!(
        "apiVersion: gauntlet/v1\nid: mine/objects/{name}\ntitle: An object in the place of a text\n\
         spec: none, written for a test\nlevel: core\nintrusion: use\nsteps:\n\
         \x20 - http: GET /api/v1/health/k8s\n\
         \x20   as: r\n\
         \x20 - http: {step}\n\
         \x20   check: {{ status: {{ at-least: 100 }} }}\n"
    )
}

/// An object was sent as JSON, and the platform judged by its answer.
#[test]
fn an_object_in_the_place_of_a_text_is_an_error() {
    let folder = folder();
    let objects = folder.path().join("own/mine/objects");
    std::fs::create_dir_all(&objects).expect("a folder");
    for (name, step) in [
        ("inside", "GET /?token=${r.body}"),
        ("alone", "GET /\n    authorization: ${r.body}"),
        ("header", "GET /\n    headers: { x-data: \"${r.body}\" }"),
    ] {
        std::fs::write(objects.join(format!("{name}.yaml")), scenario(name, step)).expect("written");
    }
    run_in(folder.path(), &["run", "--scenarios", "own", "--report", "json=r.json"]).exits(3);
    let report = json(&folder.path().join("r.json"));
    let scenarios = report["scenarios"].as_array().expect("a list");
    assert_eq!(scenarios.len(), 3);
    for scenario in scenarios {
        assert_eq!(scenario["verdict"], "error", "{scenario}");
        let reason = scenario["reason"].as_str().expect("a reason");
        assert!(reason.contains("`${r.body}` is an object; "), "{reason}");
    }
}
