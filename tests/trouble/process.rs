//! Runs that end before they are done: over their time, by a signal, without the pod that they talk to.

use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;

use rustix::fs::{CWD, Mode, OFlags};
use rustix::process::Signal;
use serde_json::Value;

use crate::binary::{Running, files_below, gauntlet_with_signals, run_in, until};

/// `mine/time/over` never ends of itself, nor does the `finally` of `mine/time/finally`; the pod of
/// `mine/pod/gone` is taken away behind an open terminal, and `mine/time/quick` passes.
const MINE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/trouble/scenarios");

fn report(folder: &Path) -> Value {
    let text = std::fs::read_to_string(folder.join("r.json")).expect("the report");
    serde_json::from_str(&text).expect("JSON")
}

fn of(report: &Value, id: &str) -> Value {
    let scenarios = report["scenarios"].as_array().expect("a list");
    scenarios
        .iter()
        .find(|s| s["id"] == id)
        .unwrap_or_else(|| panic!("{id} in {report}"))
        .clone()
}

/// Processes that run below one, by number, with their start times.
fn below(ancestor: u32) -> BTreeMap<u32, String> {
    let parents: BTreeMap<u32, (u32, String)> = std::fs::read_dir("/proc")
        .expect("/proc")
        .flatten()
        .filter_map(|entry| {
            let number = entry.file_name().to_str()?.parse().ok()?;
            // It may have ended since.
            let stat = std::fs::read_to_string(entry.path().join("stat")).ok()?;
            let mut fields = stat.rsplit_once(") ")?.1.split(' ');
            let ended = fields.next()? == "Z";
            let parent = fields.next()?.parse().ok()?;
            (!ended).then(|| (number, (parent, fields.nth(17).unwrap_or_default().to_owned())))
        })
        .collect();
    let is_below = |mut number: u32| {
        while let Some((parent, _)) = parents.get(&number) {
            if *parent == ancestor {
                return true;
            }
            number = *parent;
        }
        false
    };
    parents
        .iter()
        .filter(|(number, _)| is_below(**number))
        .map(|(n, (_, start))| (*n, start.clone()))
        .collect()
}

fn start(folder: &Path, arguments: &[&str]) -> (Running, BTreeMap<u32, String>) {
    let mut command = gauntlet_with_signals();
    let running = Running::start(command.current_dir(folder).args(arguments)).expect("gauntlet starts");
    let mut shells = BTreeMap::new();
    until("a terminal's shell runs", || {
        shells = below(running.child.id());
        if shells.is_empty() {
            Err(running.stdout() + &running.stderr())
        } else {
            Ok(())
        }
    });
    (running, shells)
}

fn gone(shells: &BTreeMap<u32, String>) {
    until("what was started is gone", || {
        let left = shells.iter().find(|(number, start)| {
            let stat = std::fs::read_to_string(format!("/proc/{number}/stat")).unwrap_or_default();
            let fields: Vec<&str> = stat.rsplit_once(") ").map_or("", |(_, rest)| rest).split(' ').collect();
            fields.first() != Some(&"Z") && fields.get(19) == Some(&start.as_str())
        });
        left.map_or(Ok(()), |left| Err(format!("{left:?}")))
    });
}

#[test]
fn over_its_time() {
    let folder = tempfile::tempdir().expect("a folder");
    for (id, more, time) in [
        ("mine/time/over", &["--timeout", "700ms"][..], "700ms"),
        // The scenario's own time comes before that of the command line.
        ("mine/time/own", &[], "500ms"),
    ] {
        let arguments = [
            "run",
            "--scenarios",
            MINE,
            id,
            "mine/time/quick",
            "--report",
            "json=r.json",
        ];
        // One that waited for the step to end would do so for longer than `ends` waits.
        let mut command = gauntlet_with_signals();
        command.current_dir(folder.path()).args(arguments).args(more);
        let mut running = Running::start(&mut command).expect("gauntlet starts");
        assert_eq!(running.ends().code(), Some(3), "{}", running.stderr());
        assert!(!running.stderr().contains("panicked"), "{}", running.stderr());
        let report = report(folder.path());
        let reason = of(&report, id)["reason"].to_string();
        assert!(
            reason.contains(&format!("exceeded its time limit of {time}")),
            "{reason}"
        );
        assert_eq!(of(&report, "mine/time/quick")["verdict"], "pass");
    }
}

/// Its checks hold, but it can't be said to have passed; the time that `finally` has is the harness's.
#[test]
fn a_finally_without_end() {
    let folder = tempfile::tempdir().expect("a folder");
    let arguments = [
        "run",
        "--scenarios",
        MINE,
        "mine/time/finally",
        "--report",
        "json=r.json",
    ];
    run_in(folder.path(), &arguments).exits(3);
    let report = report(folder.path());
    let found = of(&report, "mine/time/finally");
    assert_eq!(found["verdict"], "error");
    assert!(found["reason"].to_string().contains("finally"), "{found}");
}

#[test]
fn a_pod_that_dies_behind_an_open_terminal() {
    let folder = tempfile::tempdir().expect("a folder");
    let ran = run_in(
        folder.path(),
        &["run", "--scenarios", MINE, "mine/pod", "--report", "json=r.json"],
    )
    .exits(1);
    assert_eq!(ran.stderr, "");
    let report = report(folder.path());
    assert_eq!(of(&report, "mine/pod/gone")["verdict"], "pass");
    assert_eq!(of(&report, "mine/pod/ends")["verdict"], "pass");
    let nobody = of(&report, "mine/pod/nobody");
    assert_eq!(nobody["verdict"], "fail", "{nobody}");
    // Nothing was deleted there, which must not look as if it had been.
    let none = of(&report, "mine/pod/none");
    assert_eq!(none["verdict"], "error", "{none}");
    assert!(none["reason"].to_string().contains("isn't a pod"), "{none}");
}

/// Nobody reads a terminal that was hung up; what ran is reported all the same.
#[test]
fn hung_up() {
    let folder = tempfile::tempdir().expect("a folder");
    let arguments = ["run", "--scenarios", MINE, "mine/time/over", "--report", "json=r.json"];
    let (mut running, shells) = start(folder.path(), &arguments);
    running.signal(Signal::HUP);
    assert_eq!(running.ends().code(), Some(130), "{}", running.stderr());
    assert_eq!(report(folder.path())["summary"]["verdict"], "interrupted");
    let left: Vec<_> = files_below(folder.path()).into_iter().map(|(path, _)| path).collect();
    assert!(
        !left.iter().any(|path| path.extension().is_some_and(|e| e == "tmp")),
        "{left:?}"
    );
    gone(&shells);
}

/// A scenario whose commands each end when nobody writes to their pipe any more.
fn told_by_pipes(folder: &Path, first: &Path, second: &Path) {
    let scenario = format!(
        "\
apiVersion: gauntlet/v1
id: mine/time/told
title: Goes on as it is told to
spec: none, written for a test
level: core
intrusion: use
steps:
  - exec: [cat, \"{}\"]
    in: ${{names.web.selector}}
    given: exits 0
  - exec: [cat, \"{}\"]
    in: ${{names.web.selector}}
    check: exits 0
",
        first.display(),
        second.display()
    );
    let place = folder.join("scenarios/mine/time");
    std::fs::create_dir_all(&place).expect("made");
    std::fs::write(place.join("told.yaml"), scenario).expect("written");
    for pipe in [first, second] {
        rustix::fs::mkfifoat(CWD, pipe, Mode::RUSR | Mode::WUSR).expect("made");
    }
}

/// Opens a pipe for writing as soon as somebody reads it.
fn once_read(pipe: &Path, running: &Running) -> rustix::fd::OwnedFd {
    let mut opened = None;
    until("a command reads its pipe", || {
        // Without NONBLOCK it would wait here, also for one that never comes. No process that another test starts
        // may hold it open.
        let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        match rustix::fs::open(pipe, flags, Mode::empty()) {
            Ok(end) => {
                opened = Some(end);
                Ok(())
            }
            Err(error) => Err(format!("{error}\n{}{}", running.stdout(), running.stderr())),
        }
    });
    opened.expect("it is open")
}

/// `nohup` means that a run goes on.
#[test]
fn hung_up_under_nohup() {
    let folder = tempfile::tempdir().expect("a folder");
    let (first, second) = (folder.path().join("first"), folder.path().join("second"));
    told_by_pipes(folder.path(), &first, &second);
    let mut command = std::process::Command::new("nohup");
    command.arg(env!("CARGO_BIN_EXE_gauntlet")).current_dir(folder.path());
    command.args([
        "run",
        "--scenarios",
        "scenarios",
        "mine/time/told",
        "--report",
        "json=r.json",
    ]);
    let mut running = Running::start(&mut command).expect("nohup starts");
    let in_the_first = once_read(&first, &running);
    running.signal(Signal::HUP);
    drop(in_the_first);
    // The step after it begins, and the run comes to its own end.
    drop(once_read(&second, &running));
    assert_eq!(running.ends().code(), Some(0), "{}", running.stderr());
    assert_eq!(of(&report(folder.path()), "mine/time/told")["verdict"], "pass");
}

/// The second signal doesn't wait for anything.
#[test]
fn interrupted_twice() {
    let folder = tempfile::tempdir().expect("a folder");
    let arguments = [
        "run",
        "--scenarios",
        MINE,
        "mine/time/finally",
        "--report",
        "json=r.json",
    ];
    let (mut running, shells) = start(folder.path(), &arguments);
    running.signal(Signal::INT);
    running.signal(Signal::TERM);
    assert_eq!(running.ends().code(), Some(130));
    // One that waited for its `finally` would have written what became of it.
    assert!(!folder.path().join("r.json").exists(), "{}", running.stdout());
    gone(&shells);
}

#[test]
fn prove_interrupted() {
    let folder = tempfile::tempdir().expect("a folder");
    let arguments = ["prove", "--scenarios", MINE, "mine/time/over"];
    let (mut running, shells) = start(folder.path(), &arguments);
    running.signal(Signal::INT);
    assert_eq!(running.ends().code(), Some(130), "{}", running.stderr());
    let printed = running.stdout();
    assert!(printed.contains("\ninterrupted; "), "{printed}");
    gone(&shells);
}

/// A row whose scenarios could not be told is not shown to lack a killer.
#[test]
fn prove_that_can_not_tell() {
    let folder = tempfile::tempdir().expect("a folder");
    let ran = run_in(
        folder.path(),
        &["prove", "harness-token/token/accept", "--timeout", "20us"],
    )
    .exits(3);
    let why = "harness-token/token/accept[direct] without the mutant: the scenario exceeded its time limit of 20us";
    let flat = ran.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(flat.contains(why), "{}", ran.stdout);
}

/// A command that only reads and shows is ended by the signal itself, whatever it waits for.
#[test]
fn a_command_that_does_not_listen() {
    // The pipe holds less than what is said, so that it waits for a reader.
    let (mut reader, writer) = std::io::pipe().expect("a pipe");
    rustix::pipe::fcntl_setpipe_size(&writer, 4096).expect("a smaller pipe");
    let mut child = gauntlet_with_signals()
        .args(["list", "--format", "json"])
        .stdout(writer)
        .spawn()
        .expect("it starts");
    std::io::Read::read_exact(&mut reader, &mut [0]).expect("it has begun");
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, Signal::TERM).expect("it is there");
    assert_eq!(child.wait().expect("it ended").signal(), Some(15));
}
