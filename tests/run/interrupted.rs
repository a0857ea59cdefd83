//! A signal in the middle of a run.

use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt;

use rustix::process::Signal;

use super::assert_well_formed;
use crate::binary::{MINE, Running, folder, gauntlet_with_signals, json, until};

/// All processes: number → (parent, state, start time).
fn processes() -> BTreeMap<u32, (u32, char, u64)> {
    let entries = std::fs::read_dir("/proc").expect("/proc").flatten();
    let numbers = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    numbers
        .filter_map(|number| {
            // It may have ended since.
            let stat = std::fs::read_to_string(format!("/proc/{number}/stat")).ok()?;
            let fields: Vec<&str> = stat.rsplit_once(") ")?.1.split(' ').collect();
            let state = fields.first()?.chars().next()?;
            Some((
                number,
                (fields.get(1)?.parse().ok()?, state, fields.get(19)?.parse().ok()?),
            ))
        })
        .collect()
}

/// The processes below one, with their start times.
fn below(ancestor: u32) -> Vec<(u32, u64)> {
    let all = processes();
    let is_below = |mut number: u32| {
        while let Some((parent, ..)) = all.get(&number) {
            if *parent == ancestor {
                return true;
            }
            number = *parent;
        }
        false
    };
    all.iter()
        .filter(|(number, _)| is_below(**number))
        .map(|(number, (.., start))| (*number, *start))
        .collect()
}

/// A signal in the middle: what ran is reported, and nothing that was started goes on.
fn interrupted_by(signal: Signal) {
    let folder = folder();
    let mut command = gauntlet_with_signals();
    command
        .current_dir(folder.path())
        .args(["run", "--scenarios", MINE, "mine/token/quick", "mine/token/long"]);
    // Both places are taken by the long ones when the signal comes: a quick one waits.
    command.args(["--verbose", "--jobs", "2", "--repeat", "2"]);
    command.args([
        "--report",
        "console",
        "--report",
        "json=r.json",
        "--report",
        "junit=r.xml",
        "--report",
        "markdown=r.md",
    ]);
    let mut running = Running::start(&mut command).expect("gauntlet starts");
    until(
        "a quick scenario passes, and both long ones are at their last step",
        || {
            let out = running.stdout();
            let lines = ["PASS", "3/3 mine/token/long#1", "3/3 mine/token/long#2"];
            if lines.iter().all(|line| out.contains(line)) {
                Ok(())
            } else {
                Err(out + &running.stderr())
            }
        },
    );
    let mut started = Vec::new();
    until("the terminal's shell runs", || {
        started = below(running.child.id());
        if started.is_empty() {
            Err(running.stdout())
        } else {
            Ok(())
        }
    });
    running.signal(signal);
    let status = running.ends();
    assert_eq!(
        (status.code(), status.signal()),
        (Some(130), None),
        "{}",
        running.stderr()
    );

    let report = json(&folder.path().join("r.json"));
    assert_eq!(report["summary"]["verdict"], "interrupted");
    assert_eq!(report["summary"]["pass"], 1);
    let scenarios = report["scenarios"].as_array().expect("a list");
    let of = |id: &str| {
        scenarios
            .iter()
            .find(|s| s["id"] == id)
            .unwrap_or_else(|| panic!("{id} is not in the report"))
    };
    assert_eq!(of("mine/token/quick")["verdict"], "pass");
    assert_eq!(of("mine/token/long")["verdict"], "error");
    let long = of("mine/token/long");
    assert_eq!(long["interrupted"], true);
    assert_eq!(long["reason"], "interrupted in step 3 of 3 (`terminal`)");
    let evidence: Vec<_> = long["evidence"].as_array().expect("a list").iter().collect();
    let wire = evidence
        .iter()
        .find_map(|path| path.as_str().filter(|path| path.ends_with("/wire.txt")));
    let wire = std::fs::read_to_string(folder.path().join(wire.expect("a transcript"))).expect("it is there");
    assert!(wire.contains("attach to session"), "{wire}");
    let summary = &report["summary"];
    assert_eq!(
        (&summary["interrupted"], &summary["error"], &summary["not_started"]),
        (&2.into(), &0.into(), &1.into())
    );
    for said in [
        "2 interrupted",
        "INTR",
        "of 4 scenarios, 1 finished, 2 were interrupted on the way and 1 never started",
    ] {
        let out = running.stdout().replace('\n', " ");
        assert!(out.contains(said), "{said} in\n{out}");
    }
    let xml = std::fs::read_to_string(folder.path().join("r.xml")).expect("the report");
    assert_well_formed(&xml);
    assert!(xml.contains(r#"type="interrupted""#), "{xml}");
    let markdown = std::fs::read_to_string(folder.path().join("r.md")).expect("the report");
    assert!(markdown.contains("<summary>Interrupted (2)</summary>"), "{markdown}");
    until("the terminal's processes are gone", || {
        let all = processes();
        let left = |(number, start): &&(u32, u64)| {
            // One that ended and that nobody has asked for yet is gone.
            all.get(number)
                .is_some_and(|(_, state, since)| since == start && *state != 'Z')
        };
        match started.iter().find(left) {
            None => Ok(()),
            Some((number, _)) => Err(format!("process {number}")),
        }
    });
}

#[test]
fn interrupted_by_ctrl_c() {
    interrupted_by(Signal::INT);
}

#[test]
fn interrupted_by_sigterm() {
    interrupted_by(Signal::TERM);
}
