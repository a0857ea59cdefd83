//! Files that are no scenarios, or too much of one.

use std::path::Path;
use std::process::Command;

use crate::binary::{Ran, gauntlet, run_in};

const GOOD: &str = "apiVersion: gauntlet/v1
id: x/y/z
title: T
spec: none, written for a test
level: core
intrusion: use
steps:
  - session: new
    as: s
  - attach: ${s}
    token: ${secret.token}
    check: opens
";
const PROFILE: &str = "apiVersion: gauntlet/v1\nkind: Profile\n";
/// What stands in every message is short, whatever the file is like.
const MESSAGE: usize = 4000;

/// Checks one file; gives what was said about it.
fn said_of(path: &str, bytes: &[u8]) -> Ran {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join(path);
    std::fs::create_dir_all(file.parent().expect("a folder")).expect("made");
    std::fs::write(&file, bytes).expect("written");
    run_in(folder.path(), &["check", path])
}

#[track_caller]
fn refused(bytes: impl AsRef<[u8]>, because: &str) {
    let ran = said_of("x/y/z.yaml", bytes.as_ref()).exits(2);
    assert!(ran.stderr.contains(because), "{because}:\n{}", ran.stderr);
    assert!(ran.stderr.contains("x/y/z.yaml"), "{}", ran.stderr);
    assert!(ran.stderr.len() < MESSAGE, "{} bytes are said", ran.stderr.len());
    let obeyed = |c: char| c.is_control() && c != '\n';
    assert!(!ran.stderr.contains(obeyed), "{:?}", ran.stderr);
    assert_eq!(ran.stdout, "");
}

#[test]
fn nothing_and_what_is_no_text() {
    refused("", "the file is empty");
    refused([0x93, 0xfa, 0x00, 0xff], "not UTF-8 from here on");
    refused(
        GOOD.replace("T\n", "T\u{e9}\n")
            .chars()
            .map(|c| c as u8)
            .collect::<Vec<u8>>(),
        "not UTF-8",
    );
    let utf16: Vec<u8> = GOOD.encode_utf16().flat_map(u16::to_le_bytes).collect();
    refused([&[0xff, 0xfe][..], &utf16].concat(), "not UTF-8");
    refused(GOOD.replace("title: T", "title: T\0x"), "unexpected character");
    refused(GOOD.replace("title: T", "title: \u{1b}[31mred"), "unexpected character");
    refused("a:\n\tb: 1\n", "tabs");
    refused("hello\n", "must be a map");
}

#[test]
fn too_much() {
    refused(format!("{GOOD}# {}\n", "x".repeat(1 << 20)), "at most 262144 are read");
    refused(
        format!("{GOOD}vars: {{a: {}{}}}\n", "[".repeat(10_000), "]".repeat(10_000)),
        "nested deeper than 32",
    );
    refused(
        format!("{GOOD}vars: {}1{}\n", "{a: ".repeat(10_000), "}".repeat(10_000)),
        "nested deeper than 32",
    );
    let block: String = (0..600).map(|depth| format!("{}a:\n", " ".repeat(depth))).collect();
    refused(block, "nested deeper than 32");
    let bomb = "vars:\n  a: &a [x, x, x, x]\n  b: &b [*a, *a, *a, *a]\n  c: [*b, *b, *b, *b]\n";
    refused(format!("{GOOD}{bomb}"), "anchors");
    refused(format!("{GOOD}vars: {{a: &a [*a]}}\n"), "anchors");
    refused(format!("{GOOD}---\n{GOOD}"), "a second document");
    refused(format!("{GOOD}level: extended\n"), "duplicate key");
}

#[test]
fn of_other_systems() {
    for text in [
        GOOD.replace('\n', "\r\n"),
        format!("\u{feff}{GOOD}"),
        GOOD.replace("title: T", "title: no"),
    ] {
        said_of("x/y/z.yaml", text.as_bytes()).exits(0);
    }
    // YAML 1.2: `no` is a text, `010` is no octal number.
    refused(GOOD.replace("level: core", "level: no"), "not `no`");
    refused(format!("{GOOD}timeout: 010\n"), "`010` is not right for `timeout`");
}

#[test]
fn profiles() {
    refused(format!("{PROFILE}kind: Profile\n"), "duplicate key");
    refused(
        format!("{PROFILE}policies: {}{}\n", "[".repeat(10_000), "]".repeat(10_000)),
        "nested deeper than 32",
    );
    refused(format!("{PROFILE}policies: {{a: &a [*a]}}\n"), "anchors");
    refused(format!("{PROFILE}# {}\n", "x".repeat(1 << 20)), "at most 262144");
}

/// A file of gigabytes is refused by its size.
#[test]
fn fifty_gigabytes() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = std::fs::File::create(folder.path().join("big.yaml")).expect("made");
    file.set_len(50 << 30).expect("a hole takes no room");
    let ran = run_in(folder.path(), &["check", "big.yaml"]).exits(2);
    assert!(ran.stderr.contains("the file has 53687091200 bytes"), "{}", ran.stderr);
}

#[track_caller]
fn said_of_folder(folder: &Path, because: &str) {
    for command in [
        &["check", "."][..],
        &["list", "--scenarios", "."],
        &["run", "--scenarios", "."],
    ] {
        let ran = run_in(folder, command).exits(2);
        assert!(ran.stderr.contains(because), "{command:?}: {because}:\n{}", ran.stderr);
    }
}

#[test]
fn what_is_no_file() {
    let link = |to: &str, name: &str| {
        let folder = tempfile::tempdir().expect("a folder");
        std::os::unix::fs::symlink(to, folder.path().join(name)).expect("a link");
        folder
    };
    said_of_folder(link("a.yaml", "a.yaml").path(), "symbolic links");
    said_of_folder(link("gone.yaml", "a.yaml").path(), "is a symbolic link to nothing");
    said_of_folder(link("/dev/zero", "a.yaml").path(), "isn't a regular file");
    said_of_folder(link(".", "loop").path(), "nested too deep");
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::create_dir(folder.path().join("a.yaml")).expect("made");
    said_of_folder(folder.path(), "no scenario files");
}

/// A pipe that nobody writes to would be waited for without end.
#[test]
fn a_pipe_with_nobody_behind_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let made = Command::new("mkfifo").arg(folder.path().join("a.yaml")).status();
    assert!(made.expect("mkfifo").success());
    said_of_folder(folder.path(), "isn't a regular file");
    let mut command = gauntlet();
    let output = command.current_dir(folder.path()).args(["check", "a.yaml"]).output();
    Ran::of(output.expect("it starts")).exits(2);
}

/// Wherever a file is named: what never ends is not read, and nobody is waited for.
#[test]
fn files_that_are_named_by_flags() {
    let folder = tempfile::tempdir().expect("a folder");
    rustix::fs::mkfifoat(rustix::fs::CWD, folder.path().join("pipe"), 0o600.into()).expect("made");
    std::fs::create_dir(folder.path().join("folder")).expect("made");
    let text = format!("{PROFILE}secrets: {{ token: {{ file: pipe }} }}\n");
    std::fs::write(folder.path().join("secret.yaml"), text).expect("written");
    let mut said = String::new();
    for (flags, code) in [
        (&["run", "--rerun-failed"][..], 2),
        (&["run", "--expected-failures"], 2),
        (&["run", "--profile"], 2),
        (&["run", "--target", "url", "--ca"], 2),
        (&["run", "--target", "cluster", "--kubeconfig"], 3),
        (&["check"], 2),
    ] {
        for file in ["/dev/zero", "pipe", "folder", "missing"] {
            // All that is in a folder is checked, one that has nothing too.
            if flags == ["check"] && file == "folder" {
                continue;
            }
            let arguments = [flags, &[file]].concat();
            let ran = run_in(folder.path(), &arguments).exits(code);
            assert_eq!(ran.stdout, "", "{arguments:?}");
            said.push_str(&format!("$ gauntlet {}\n{}", arguments.join(" "), ran.stderr));
        }
    }
    insta::with_settings!({ omit_expression => true, prepend_module_to_snapshot => false, snapshot_path => "." }, {
        insta::assert_snapshot!("files_named_by_flags", said);
    });
    let ran = run_in(
        folder.path(),
        &["run", "--target", "url", "--profile", "secret.yaml", "harness-token"],
    )
    .exits(3);
    assert!(
        ran.stderr.contains("the file pipe: this isn't a regular file"),
        "{}",
        ran.stderr
    );
}
