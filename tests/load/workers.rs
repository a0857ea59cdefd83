//! A load that several processes make together.

use rustix::process::Signal;

use super::{Door, load, of_the_reference, result};
use crate::binary::{Running, folder, until};

/// Three workers count and measure as one would: each start of the schedule is somebody's.
#[test]
fn workers_make_one_load() {
    let folder = folder();
    let ran = of_the_reference(
        folder.path(),
        "-n 90 --ramp 200/s --hold 1s --echo-every 200ms --workers 3",
    )
    .exits(0);
    assert!(ran.stdout.contains("PASSED in "), "{}", ran.stdout);
    let result = result(folder.path());
    assert_eq!(result["counts"]["opened"].as_u64(), Some(90));
    assert_eq!(result["platform"]["opened"].as_u64(), Some(90));
    assert_eq!(result["platform"]["refused"], result["counts"]["probesRefused"]);
    assert_eq!(result["mostOpen"].as_u64(), Some(90));
    assert_eq!(result["generator"]["processes"].as_u64(), Some(4));
    assert_eq!(result["latencies"]["attach"]["count"].as_u64(), Some(90));
    let seconds = result["seconds"].as_array().expect("rows");
    assert_eq!(
        seconds
            .iter()
            .map(|row| row["opened"].as_u64().expect("a count"))
            .sum::<u64>(),
        90
    );
    assert!(seconds.iter().all(|row| row.get("histograms").is_none()));
}

/// The processes that a process has started.
pub fn children(of: u32) -> Vec<i32> {
    let listed = std::fs::read_to_string(format!("/proc/{of}/task/{of}/children")).unwrap_or_default();
    let mut found: Vec<i32> = listed.split_whitespace().filter_map(|pid| pid.parse().ok()).collect();
    // Those that other threads have started.
    for task in std::fs::read_dir(format!("/proc/{of}/task"))
        .into_iter()
        .flatten()
        .flatten()
    {
        let listed = std::fs::read_to_string(task.path().join("children")).unwrap_or_default();
        found.extend(listed.split_whitespace().filter_map(|pid| pid.parse::<i32>().ok()));
    }
    found.sort_unstable();
    found.dedup();
    found
}

fn is_worker(pid: &i32) -> bool {
    let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&line).contains("load-worker")
}

/// Who kills the coordinator ends the load: nobody is left to do it for.
#[test]
fn workers_end_with_their_coordinator() {
    let folder = folder();
    let door = Door::open(&[]);
    let arguments = ["-n", "40", "--hold", "10m", "--workers", "2"];
    let mut running = Running::start(&mut load(folder.path(), &door.url(), &arguments)).expect("gauntlet starts");
    door.has_attached(40);
    let workers: Vec<i32> = children(running.child.id()).into_iter().filter(is_worker).collect();
    assert_eq!(workers.len(), 2);
    running.child.kill().expect("killed");
    until("no worker is left", || {
        match workers.iter().find(|worker| is_worker(worker)) {
            Some(worker) => Err(worker.to_string()),
            None => Ok(()),
        }
    });
}

/// A worker that is killed is said to be lost, with its part; the load doesn't pass.
#[test]
fn a_lost_worker_is_never_a_silent_part() {
    for (if_lost, opened) in [("stop", 20), ("go-on", 20)] {
        let folder = folder();
        let door = Door::open(&[]);
        let arguments = [
            "-n",
            "40",
            "--hold",
            "3s",
            "--workers",
            "2",
            "--if-worker-lost",
            if_lost,
        ];
        let mut running = Running::start(&mut load(folder.path(), &door.url(), &arguments)).expect("gauntlet starts");
        door.has_attached(40);
        let workers: Vec<i32> = children(running.child.id()).into_iter().filter(is_worker).collect();
        assert_eq!(workers.len(), 2);
        let killed = rustix::process::Pid::from_raw(workers[1]).expect("a process");
        rustix::process::kill_process(killed, Signal::KILL).expect("killed");
        assert_eq!(
            running.ends().code(),
            Some(3),
            "{}\n{}",
            running.stdout(),
            running.stderr()
        );
        let result = result(folder.path());
        assert_eq!(result["verdict"], "error");
        assert_eq!(result["counts"]["opened"].as_u64(), Some(opened), "{if_lost}");
        let reasons = result["reasons"].to_string();
        assert!(
            reasons.contains(&format!("(process {}) was lost after ", workers[1])),
            "{reasons}"
        );
        assert!(reasons.contains("its 20 attaches are not accounted for"), "{reasons}");
        until("no worker is left", || match is_worker(&workers[0]) {
            true => Err(workers[0].to_string()),
            false => Ok(()),
        });
    }
}
