//! `gauntlet load SCENARIO` and `gauntlet capacity SCENARIO`: the load of a scenario's step, and what is given beside it.

use std::path::Path;

use serde_json::{Value, json};

use super::{Door, load, ran, result};
use crate::binary::{folder, json as read, run_in};

/// A scenario that keeps what it asks for in a moment.
const HELD: &str = "\
apiVersion: gauntlet/v1
id: mine/load/held
title: Thirty terminals open, and none is lost
spec: CWE-400
level: extended
intrusion: attack
world: { terminal: loop }
matrix: { road: [direct, proxy] }
steps:
  - session: new
    as: s
  - load: ${s}
    road: ${road}
    attaches: 30
    ramp: 100/s
    hold: 400ms
    echo-every: 100ms
    objectives: [errors == 0, refused == 0]
    check: passes
";

fn written(folder: &Path) {
    let below = folder.join("mine/load");
    std::fs::create_dir_all(&below).expect("made");
    std::fs::write(below.join("held.yaml"), HELD).expect("written");
}

/// What was asked of the load: attaches, arrivals, hold and interval of echoes.
fn asked(result: &Value) -> Value {
    let load = &result["load"];
    json!([load["attaches"], load["arrivals"], load["hold"], load["echoEvery"]])
}

fn objectives(result: &Value) -> Vec<&str> {
    let judged = result["objectives"].as_array().expect("a list");
    judged
        .iter()
        .filter_map(|judged| judged["objective"].as_str())
        .collect()
}

#[test]
fn a_scenario_gives_the_flags_that_are_not_given() {
    let folder = folder();
    written(folder.path());
    let of_it = ["load", "mine/load/held.yaml[direct]", "--out", "result.json"];
    run_in(folder.path(), &of_it).exits(0);
    let all = result(folder.path());
    assert_eq!(asked(&all), json!([30, "100/s", 400, 100]));
    assert_eq!(objectives(&all), ["errors == 0", "refused == 0"]);
    assert_eq!(all["load"]["target"], "the reference platform, terminals: loop");

    let given = [
        "-n",
        "12",
        "--ramp",
        "50/s",
        "--objective",
        "opened >= 12",
        "--terminal",
        "own",
    ];
    run_in(folder.path(), &[&of_it[..], &given].concat()).exits(0);
    let some = result(folder.path());
    assert_eq!(asked(&some), json!([12, "50/s", 400, 100]));
    assert_eq!(objectives(&some), ["opened >= 12"]);
    assert_eq!(some["load"]["target"], "the reference platform, terminals: own");

    // What is set for all loads is given too.
    std::fs::write(folder.path().join("gauntlet.toml"), "[load]\nhold = \"300ms\"\n").expect("written");
    run_in(folder.path(), &of_it).exits(0);
    assert_eq!(asked(&result(folder.path())), json!([30, "100/s", 300, 100]));
}

/// Where its road leads is then for the URL to say.
#[test]
fn the_load_of_a_scenario_goes_to_a_url() {
    let folder = folder();
    written(folder.path());
    let door = Door::open(&[]);
    ran(load(folder.path(), &door.url(), &["mine/load/held.yaml[proxy]"])).exits(0);
    let result = result(folder.path());
    assert_eq!(asked(&result), json!([30, "100/s", 400, 100]));
    assert_eq!(result["load"]["target"], door.url().as_str());
}

#[test]
fn a_built_in_scenario_is_a_load() {
    let folder = folder();
    let arguments = ["load", "harness-token/load/holds[direct]", "--out", "result.json"];
    run_in(folder.path(), &arguments).exits(0);
    let result = result(folder.path());
    assert_eq!(asked(&result), json!([80, "100/s", 1000, 500]));
    assert_eq!(objectives(&result), ["errors == 0", "opened >= 80"]);
}

#[test]
fn a_search_takes_its_objectives_from_a_scenario() {
    let folder = folder();
    written(folder.path());
    let arguments = [
        "capacity",
        "mine/load/held.yaml[direct]",
        "--from",
        "20",
        "--most",
        "100",
        "--most-attaches",
        "40",
        "--ramp",
        "400/s",
        "--out",
        "found.json",
    ];
    run_in(folder.path(), &arguments).exits(0);
    let found = read(&folder.path().join("found.json"));
    assert_eq!(found["objectives"], json!(["errors == 0", "refused == 0"]));
    let (kept, broken) = (found["found"]["kept"].as_u64(), found["found"]["broken"].as_u64());
    assert!(kept <= Some(40) && broken > Some(40), "{found}");
}

/// Of a file as of a built-in one, whose messages have golden files.
#[test]
fn what_is_no_load_is_said() {
    let folder = folder();
    written(folder.path());
    for (named, said) in [
        (
            "nowhere.yaml",
            "gauntlet: nowhere.yaml: there is no such file or folder\n",
        ),
        (
            "mine/load/held.yaml",
            "gauntlet: mine/load/held: it has several cases, direct, proxy: name one, as 'mine/load/held[direct]'\n",
        ),
        (
            "mine/load/held.yaml[balancer]",
            "gauntlet: mine/load/held: it has no case balancer, but direct, proxy\n",
        ),
    ] {
        let ran = run_in(folder.path(), &["load", named]).exits(2);
        assert_eq!((ran.stderr.as_str(), ran.stdout.as_str()), (said, ""), "{named}");
    }
}
