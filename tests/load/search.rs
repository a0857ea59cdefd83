//! `gauntlet capacity`: limits that are known are found.

use crate::binary::{folder, json, run_in};

/// `gauntlet capacity` of a door with a limit that is known.
fn capacity(limit: &[&str], arguments: &[&str]) -> (u64, u64) {
    let folder = folder();
    let all = [&["capacity", "--out", "found.json", "--trials", "3"], limit, arguments].concat();
    let ran = run_in(folder.path(), &all).exits(0);
    let document = json(&folder.path().join("found.json"));
    assert_eq!(document["gauntlet"]["version"], env!("CARGO_PKG_VERSION"), "{document}");
    assert!(
        document["seed"].is_u64() && document["started"].is_string(),
        "{document}"
    );
    let found = &document["found"];
    assert_eq!(found["end"], "found", "{}\n{}", ran.stdout, ran.stderr);
    let interval = &document["interval"];
    for end in ["kept", "broken"] {
        assert_eq!(interval[end]["load"], found[end], "{document}");
    }
    (
        found["kept"].as_u64().expect("kept"),
        found["broken"].as_u64().expect("broken"),
    )
}

#[test]
fn a_limit_of_attaches_is_found() {
    let arguments = [
        "--from",
        "20",
        "--most",
        "400",
        "--ramp",
        "400/s",
        "--hold",
        "200ms",
        "--echo-every",
        "never",
    ];
    let (kept, broken) = capacity(&["--most-attaches", "137"], &arguments);
    assert!(kept <= 137 && 137 < broken, "{kept}, {broken}");
    assert!(137 - kept <= 6, "within 5 %: {kept}");
}

#[test]
fn a_limit_of_handshakes_is_found() {
    let arguments = [
        "--of",
        "rate",
        "--from",
        "50",
        "--most",
        "800",
        "--hold",
        "100ms",
        "--echo-every",
        "never",
    ];
    let (kept, broken) = capacity(&["--most-handshakes", "300"], &arguments);
    // A tenth of a second's handshakes may be owed: over two seconds that is a twentieth.
    assert!((285..=330).contains(&kept) && broken > kept, "{kept}, {broken}");
}

/// 4 ms for each message, and each attach types five times a second: 50 are the most that don't queue up.
#[test]
fn a_limit_of_echoes_is_found() {
    let arguments = [
        "--from",
        "20",
        "--most",
        "200",
        "--hold",
        "3s",
        "--echo-every",
        "200ms",
        "--objective",
        "steady.echo.p95 < 100ms",
        "--objective",
        "errors == 0",
        "--precision",
        "6%",
    ];
    let (kept, broken) = capacity(&["--echo-time", "4ms"], &arguments);
    assert!((44..=54).contains(&kept), "{kept}, {broken}");
}

/// A quantile has samples enough: few attaches are held longer, and none is tried that can't be judged.
#[test]
fn quantiles_are_judged_by_samples_enough() {
    let folder = folder();
    let echoes = [
        "capacity",
        "--most",
        "20",
        "--hold",
        "100ms",
        "--echo-every",
        "20ms",
        "--objective",
        "steady.echo.p99 < 2s",
        "--objective",
        "errors == 0",
    ];
    let ran = run_in(folder.path(), &echoes).exits(0);
    assert!(
        ran.stdout
            .contains("capacity: at least 20 attaches, the most that was tried"),
        "{}",
        ran.stdout
    );
    assert!(
        ran.stderr.contains("so that `steady.echo.p99 < 2s` has samples enough"),
        "{}",
        ran.stderr
    );
    let attaches = [
        "capacity",
        "--trials",
        "1",
        "--most",
        "200",
        "--hold",
        "100ms",
        "--echo-every",
        "never",
        "--objective",
        "attach.p90 < 5s",
        "--objective",
        "errors == 0",
        "--out",
        "found.json",
    ];
    let ran = run_in(folder.path(), &[&attaches[..], &["--most-attaches", "60"]].concat()).exits(3);
    assert!(
        ran.stderr.contains("the search begins with 100 attaches: fewer "),
        "{}",
        ran.stderr
    );
    let said = "could not tell: 100 attaches are broken, and fewer can't be judged by `attach.p90 < 5s`\n";
    assert!(ran.stdout.contains(said), "{}", ran.stdout);
    let found = json(&folder.path().join("found.json"));
    assert_eq!(found["found"]["end"], "broken-at-least", "{found}");
    assert_eq!(found["found"]["broken"], 100, "{found}");
    let nobody = [
        "capacity",
        "--most",
        "1",
        "--hold",
        "100ms",
        "--echo-every",
        "never",
        "--objective",
        "echo.max < 5s",
    ];
    let ran = run_in(folder.path(), &nobody).exits(3);
    assert!(
        ran.stdout
            .contains("could not tell: echo.max < 5s: 0 samples, and it needs 1; a longer --hold, "),
        "{}",
        ran.stdout
    );
}

#[test]
fn a_door_without_a_limit_is_kept_at_the_most() {
    let folder = folder();
    let arguments = [
        "capacity",
        "--from",
        "20",
        "--most",
        "80",
        "--hold",
        "100ms",
        "--echo-every",
        "never",
    ];
    let ran = run_in(folder.path(), &arguments).exits(0);
    assert!(
        ran.stdout
            .contains("capacity: at least 80 attaches, the most that was tried"),
        "{}",
        ran.stdout
    );
    let sure = "  80 attaches: kept in 4 of 4 trials, so in 51 to 100 % of all (95 % confidence)\n";
    assert!(ran.stdout.ends_with(sure), "{}", ran.stdout);
    let few = [&arguments[..], &["--trials", "3", "--out", "found.json"]].concat();
    let ran = run_in(folder.path(), &few).exits(0);
    let unsure =
        "  80 attaches: kept in 2 of 2 trials, so in 34 to 100 % of all (95 % confidence)\n  not 95 % sure that ";
    assert!(ran.stdout.contains(unsure), "{}", ran.stdout);
    let document = json(&folder.path().join("found.json"));
    assert_eq!(document["interval"]["confirmed"], false, "{document}");
    assert_eq!(document["interval"]["broken"], serde_json::Value::Null, "{document}");
    let ran = run_in(
        folder.path(),
        &[&arguments[..], &["--mutant", "empty-token-opens"]].concat(),
    )
    .exits(1);
    assert!(ran.stdout.contains("that is a failure at any load"), "{}", ran.stdout);
    for (wrong, said) in [
        (
            &["capacity", "--of", "rate", "--ramp", "5/s"][..],
            "--ramp and --of rate exclude each other",
        ),
        (&["capacity", "--from", "9", "--most", "8"], "--from is above --most"),
        (&["capacity", "--precision", "4"], "not a share like 4%"),
        (
            &["capacity", "--most", "500", "--objective", "attach.p99 < 1s"],
            "--most 500: fewer than 1000 attaches give too few samples to judge `attach.p99 < 1s`",
        ),
    ] {
        let ran = run_in(folder.path(), wrong).exits(2);
        assert!(ran.stderr.contains(said), "{}", ran.stderr);
    }
}
