//! What a run makes of its surroundings: the terminal, the environment, and names of files.

use crate::binary::{MINE, Ran, folder, gauntlet, json, run_in};

#[test]
fn colours_where_they_are_wanted() {
    let folder = folder();
    let printed = |arguments: &[&str], variables: &[(&str, &str)]| {
        let mut command = gauntlet();
        command.current_dir(folder.path()).envs(variables.iter().copied());
        command.args(["run", "mine/token/quick", "--level", "all", "--scenarios", MINE]);
        Ran::of(command.args(arguments).output().expect("gauntlet starts"))
            .exits(0)
            .stdout
    };
    let is_colored = |text: &str| text.contains("\x1b[1;32mPASS\x1b[0m");
    assert!(!printed(&[], &[]).contains('\x1b'), "not into a pipe");
    assert!(is_colored(&printed(&[], &[("FORCE_COLOR", "1")])));
    assert!(is_colored(&printed(
        &["--color", "always", "--report", "console=copy.txt"],
        &[("NO_COLOR", "1")]
    )));
    let copy = std::fs::read_to_string(folder.path().join("copy.txt")).expect("a copy");
    assert!(copy.contains("PASS") && !copy.contains('\x1b'), "{copy}");
    for never in [
        printed(&["--color", "never"], &[("FORCE_COLOR", "1")]),
        printed(&[], &[("FORCE_COLOR", "1"), ("NO_COLOR", "1")]),
    ] {
        assert!(!never.contains('\x1b'), "{never}");
    }
}

#[test]
fn a_time_limit_of_hours() {
    let folder = folder();
    let arguments = [
        "run",
        "mine/token/quick",
        "--level",
        "all",
        "--scenarios",
        MINE,
        "--timeout",
        "1h",
        "-q",
    ];
    run_in(folder.path(), &arguments).exits(0);
}

#[test]
fn paths_that_are_no_text() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    let folder = folder();
    let mut command = gauntlet();
    command
        .current_dir(folder.path())
        .args([
            "run",
            "mine/token/wrong",
            "--scenarios",
            MINE,
            "--report",
            "junit",
            "--reports",
        ])
        .arg(OsStr::from_bytes(b"r\xffs"))
        .arg("--report")
        .arg(OsStr::from_bytes(b"json=r\xff.json"));
    let ran = Ran::of(command.output().expect("gauntlet starts")).exits(1);
    assert!(ran.stdout.contains(r" --reports $'r\xffs'"), "{}", ran.stdout);
    let report = json(&folder.path().join(OsStr::from_bytes(b"r\xff.json")));
    let evidence = report["scenarios"][0]["evidence"][0].as_str().expect("a path");
    assert!(evidence.starts_with("r\u{fffd}s/"), "{evidence}");
    let kept = folder
        .path()
        .join(OsStr::from_bytes(b"r\xffs"))
        .join("latest/junit.xml");
    assert!(kept.is_file(), "{}", kept.display());
}
