//! `--profile` and `--set`: names and policies of an installation, and what is said where they can't be used.

use crate::binary::{Ran, json, run_in};
use gauntlet::profile::Profile;
use gauntlet::vocabulary::names::NAMES;
use gauntlet::yaml::Source;
use serde_json::Value;

const ACCEPT: &str = "harness-token/token/accept";
const HEAD: &str = "apiVersion: gauntlet/v1\nkind: Profile\n";
/// Everything that the reference platform can be called otherwise.
const RENAMED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/profiles/renamed.yaml");

/// A folder with a profile in it.
fn folder(profile: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("p.yaml"), format!("{HEAD}{profile}")).expect("written");
    folder
}

/// A run that is refused: code 2, nothing on standard output, no files, and the message of the golden file.
#[track_caller]
fn refused(name: &str, profile: &str, arguments: &[&str]) -> Ran {
    let folder = folder(profile);
    let ran = run_in(folder.path(), &[&["run", ACCEPT], arguments].concat()).exits(2);
    assert_eq!(ran.stdout, "");
    assert_eq!(
        std::fs::read_dir(folder.path()).expect("read").count(),
        1,
        "it left files"
    );
    insta::with_settings!({ omit_expression => true, prepend_module_to_snapshot => false,
        snapshot_path => "profiles", description => arguments.join(" ") }, {
        insta::assert_snapshot!(name, ran.stderr);
    });
    ran
}

#[test]
fn the_reference_platform_under_other_names() {
    let source = std::fs::read_to_string(RENAMED).expect("the profile");
    let profile = Profile::parse(&Source::new("renamed.yaml", source)).expect("a good profile");
    for (name, contract) in NAMES {
        let fixed = *name == "sandbox.token-variable";
        assert_eq!(profile.names[*name] == *contract, fixed, "{name} is to be another one");
    }
    let folder = folder("");
    let arguments = [
        "run",
        "--level",
        "all",
        "!tag:timing",
        "--profile",
        RENAMED,
        "--report",
        "json=r.json",
    ];
    run_in(folder.path(), &arguments).exits(0);
    let report = json(&folder.path().join("r.json"));
    assert_eq!(report["summary"]["skip"], 0, "a policy is not declared");
    assert_eq!(report["profile_digest"], profile.digest());
}

#[test]
fn the_names_are_those_of_the_platform() {
    let folder = folder("");
    let arguments = ["run", ACCEPT, "--profile", RENAMED, "--mutant", "keystrokes-lost"];
    let out = run_in(folder.path(), &arguments).exits(1).stdout;
    for part in [
        "get secret agents-env",
        "{.data.TERMINAL_TOKEN}",
        "$API/v2/agents/sessions/$SESSION",
        "$DOOR/terminal?access_token=",
    ] {
        assert!(out.contains(part), "{part} is missing in\n{out}");
    }
    // The printed commands take addresses from the platform; the wire has the ports.
    let files = crate::binary::files_below(folder.path());
    for port in [":3333", ":5096"] {
        assert!(files.iter().any(|(_, text)| text.contains(port)), "{port} is nowhere");
    }
}

#[test]
fn an_undeclared_policy_skips_its_checks() {
    let folder = folder("policies: { tty.enter: \"yes\" }\n");
    let arguments = [
        "run",
        "harness-token/token/both",
        "--level",
        "all",
        "--profile",
        "p.yaml",
    ];
    let ran = run_in(folder.path(), &arguments).exits(4);
    assert!(
        ran.stdout.contains("policy token.precedence not declared"),
        "{}",
        ran.stdout
    );
    let set = [&arguments[..], &["--set", "token.precedence=query-wins"]].concat();
    let ran = run_in(folder.path(), &set).exits(0);
    assert!(!ran.stdout.contains("SKIP"), "{}", ran.stdout);
}

/// What is declared must describe the platform: else that is a failure.
#[test]
fn a_policy_that_is_not_the_platforms_fails() {
    let folder = folder("");
    let arguments = [
        "run",
        "harness-token/token/both",
        "--level",
        "all",
        "--set",
        "token.precedence=reject",
    ];
    let ran = run_in(folder.path(), &arguments).exits(1);
    assert!(ran.stdout.contains("(token.precedence: reject)"), "{}", ran.stdout);
}

#[test]
fn the_digest_is_of_what_the_run_used() {
    let folder = folder("names: { secret.name: a }\n");
    let digest = |arguments: &[&str]| {
        let arguments = [&["run", ACCEPT, "--report", "json=r.json"], arguments].concat();
        run_in(folder.path(), &arguments).exits(0);
        json(&folder.path().join("r.json"))["profile_digest"].clone()
    };
    assert_eq!(digest(&[]), Value::Null);
    let set = digest(&["--set", "secret.name=a"]);
    assert!(set.as_str().is_some_and(|digest| digest.len() == 64), "{set}");
    assert_eq!(set, digest(&["--set", "secret.name=b", "--set", "secret.name=a"]));
    let file = digest(&["--profile", "p.yaml"]);
    assert_ne!(file, set, "the file declares no policies");
    assert_eq!(
        file,
        digest(&["--profile", "p.yaml", "--set", "secret.key=HARNESS_AUTH_TOKEN"])
    );
}

/// The pasted line must meet the same platform.
#[test]
fn the_command_to_see_it_again_has_all_that_matters() {
    let folder = folder("names: { secret.name: one }\npolicies: { tty.enter: \"yes\" }\n");
    let scenarios = folder.path().join("my scenarios");
    let into = scenarios.join("mine/token/wrong.yaml");
    std::fs::create_dir_all(into.parent().expect("a folder")).expect("made");
    let from = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/run/mine/token/wrong.yaml");
    std::fs::copy(from, into).expect("copied");
    let arguments = [
        "run",
        "--scenarios",
        "my scenarios",
        "--profile",
        "p.yaml",
        "--set",
        "origin=any",
    ];
    let more = ["--set", "secret.key=KEY", "--timeout", "90s", "--seed", "7"];
    let ran = run_in(folder.path(), &[&arguments[..], &more].concat()).exits(1);
    let expected = "gauntlet run mine/token/wrong --scenarios 'my scenarios' --profile p.yaml --set origin=any \
                    --set secret.key=KEY --timeout 90s --seed 7";
    let words: Vec<&str> = ran.stdout.split_whitespace().collect();
    assert!(words.join(" ").contains(expected), "{}", ran.stdout);
}

#[test]
fn wrong_profiles() {
    refused("profile_not_there", "", &["--profile", "missing.yaml"]);
    refused(
        "profile_with_mistakes",
        "names:\n  secret.nam: x\n  web.port: 0\n  api.path: /api/\n  tty.path: tty\n  secret.name: My_Env\n  secret.key: a/b\n\
         policies: { token.precedence: query-win }\nroads: { proxy: nowhere }\n",
        &["--profile", "p.yaml"],
    );
    refused(
        "profile_that_does_not_fit",
        "names:\n  web.selector: app in (a, b)\n  sandbox.token-variable: TOKEN\n  secret.key: MASTER_KEY\n",
        &["--profile", "p.yaml", "--set", "worker.deployment=probe"],
    );
    refused(
        "roads_of_a_profile",
        "roads:\n  proxy: https://platform.example\n",
        &["--profile", "p.yaml", "--set", "road.balancer=https://lb.example"],
    );
}

#[test]
fn wrong_settings() {
    refused("set_without_value", "", &["--set", "secret.name"]);
    refused(
        "set_of_unknown_name",
        "",
        &["--set", "secret.nmae=x", "--set", "token.precedence=query-win"],
    );
    refused("set_of_nothing", "", &["--set", "web.port="]);
    let ran = refused(
        "set_of_a_secret",
        "",
        &["--set", "secret.token=sesame", "--set", "MASTER_KEY=open"],
    );
    assert!(
        !ran.stderr.contains("sesame") && !ran.stderr.contains("open"),
        "{}",
        ran.stderr
    );
}

#[test]
fn check_says_the_same() {
    let folder = folder("names:\n  secret.nam: x\n");
    let ran = run_in(folder.path(), &["run", ACCEPT, "--profile", "p.yaml"]).exits(2);
    let check = run_in(folder.path(), &["check", "p.yaml"]).exits(2);
    assert_eq!(ran.stderr, check.stderr);
}
