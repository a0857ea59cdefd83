use super::*;

fn run_in(reports: &Path, started: &str) -> RunFolder {
    RunFolder::new(reports.to_owned(), started.parse().unwrap())
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// Writes a file into a run's folder, as reporters do.
fn wrote(run: &RunFolder, name: &str) -> PathBuf {
    let file = run.make().unwrap().join(name);
    run.record(&file).unwrap();
    atomic::write(&file, b"text").unwrap();
    file
}

/// The name that `latest` leads to.
fn latest(reports: &Path) -> String {
    let to = fs::read_link(reports.join("latest")).unwrap();
    to.into_os_string().into_string().unwrap()
}

const NOTHING: [&str; 0] = [];

#[test]
fn each_run_has_a_name_of_its_own_and_latest_leads_to_the_last() {
    let folder = tempfile::tempdir().unwrap();
    let reports = folder.path().join("a/reports");
    let runs = [(); 3].map(|()| run_in(&reports, "2026-11-28T18:30:05.9Z"));
    assert!(!reports.exists(), "made before it is needed");
    let made: Vec<PathBuf> = runs.iter().map(|run| run.make().unwrap()).collect();
    for (run, path) in runs.iter().zip(&made) {
        assert_eq!(run.make().unwrap(), *path);
        assert_eq!(run.evidence(), path.join("evidence"));
        assert!(run.notes().is_empty());
    }
    let expected = ["20261128T183005Z", "20261128T183005Z-2", "20261128T183005Z-3", "latest"];
    assert_eq!(names(&reports), expected);
    assert_eq!(
        fs::read_link(reports.join("latest")).unwrap(),
        Path::new("20261128T183005Z-3")
    );
}

#[test]
fn a_latest_that_is_no_link_is_left() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("latest"), "mine").unwrap();
    let run = run_in(folder.path(), "2026-11-28T18:30:05Z");
    run.make().unwrap();
    assert_eq!(fs::read(folder.path().join("latest")).unwrap(), b"mine");
    let notes = run.notes().join("\n");
    assert!(notes.contains("latest isn't a link"), "{notes}");
}

#[test]
fn only_old_folders_of_runs_that_are_over_are_removed() {
    let folder = tempfile::tempdir().unwrap();
    let reports = folder.path();
    for foreign in ["20000101T000000Z", "20000101T000000Z-2", "mine"] {
        fs::create_dir(reports.join(foreign)).unwrap();
        fs::write(reports.join(foreign).join("file"), "mine").unwrap();
    }
    fs::write(reports.join("mine").join(MARKER), "").unwrap();
    let going_on = run_in(reports, "2026-11-28T18:30:01Z");
    going_on.make().unwrap();
    // Eleven of one second, by which an order of letters would go wrong.
    for _ in 0..11 {
        wrote(&run_in(reports, "2026-11-28T18:30:02Z"), "evidence/wire.txt");
    }
    let run = run_in(reports, "2026-11-28T18:30:03Z");
    run.make().unwrap();
    assert_eq!(run.keep_newest(3), [""; 0]);
    let left = [
        "20000101T000000Z",
        "20000101T000000Z-2",
        "20261128T183001Z",
        "20261128T183002Z-10",
        "20261128T183002Z-11",
        "20261128T183003Z",
        "latest",
        "mine",
    ];
    assert_eq!(names(reports), left);
    drop(going_on);
    assert_eq!(run.keep_newest(1), [""; 0]);
    let left = [
        "20000101T000000Z",
        "20000101T000000Z-2",
        "20261128T183003Z",
        "latest",
        "mine",
    ];
    assert_eq!(names(reports), left);
    assert_eq!(
        run_in(&reports.join("none"), "2026-11-28T18:30:03Z").keep_newest(1),
        [""; 0]
    );
}

#[test]
fn a_number_that_is_free_again_is_not_given_to_a_later_run() {
    let folder = tempfile::tempdir().unwrap();
    let runs = [(); 3].map(|()| run_in(folder.path(), "2026-11-28T18:30:05Z"));
    runs[0].make().unwrap();
    runs[1].make().unwrap();
    fs::remove_dir_all(folder.path().join("20261128T183005Z")).unwrap();
    runs[2].make().unwrap();
    assert_eq!(latest(folder.path()), "20261128T183005Z-3");
}

#[test]
fn latest_does_not_go_back_to_a_run_that_started_earlier() {
    let folder = tempfile::tempdir().unwrap();
    let reports = folder.path();
    let early = [(); 2].map(|()| run_in(reports, "2026-11-28T18:30:01Z"));
    let late = run_in(reports, "2026-11-28T18:30:02Z").make().unwrap();
    early[0].make().unwrap();
    assert_eq!(latest(reports), "20261128T183002Z");
    fs::remove_dir_all(late).unwrap();
    early[1].make().unwrap();
    assert_eq!(latest(reports), "20261128T183001Z-2");
    assert!(early.iter().all(|run| run.notes().is_empty()));
}

#[test]
fn latest_does_not_dangle_where_its_folder_goes() {
    let folder = tempfile::tempdir().unwrap();
    let reports = folder.path();
    let relink = |to: &str| {
        let _ = fs::remove_file(reports.join("latest"));
        std::os::unix::fs::symlink(to, reports.join("latest")).unwrap();
    };
    for second in 1..=4 {
        run_in(reports, &format!("2026-11-28T18:30:0{second}Z")).make().unwrap();
    }
    let run = run_in(reports, "2026-11-28T18:30:00Z");
    run.make().unwrap();
    for (keep, to, leads_to) in [
        // It stays, and so does the link.
        (4, "20261128T183002Z", "20261128T183002Z"),
        (3, "20261128T183002Z", "20261128T183004Z"),
        (3, "19991128T183000Z", "20261128T183004Z"),
        // By another name, the same folder.
        (2, "./20261128T183003Z", "20261128T183004Z"),
        (1, "20261128T183004Z", "20261128T183000Z"),
    ] {
        relink(to);
        assert_eq!(run.keep_newest(keep), NOTHING);
        assert_eq!(latest(reports), leads_to, "{keep} {to}");
        assert_eq!(names(reports).len(), keep + 1, "{keep} {to}");
    }
}

#[test]
fn what_somebody_else_has_called_latest_is_left() {
    let folder = tempfile::tempdir().unwrap();
    let reports = folder.path().join("reports");
    fs::create_dir_all(reports.join("mine")).unwrap();
    fs::create_dir(folder.path().join("20261128T183005Z")).unwrap();
    for to in ["../20261128T183005Z", "/nowhere/20261128T183005Z", "mine", ".."] {
        std::os::unix::fs::symlink(to, reports.join("latest")).unwrap();
        let run = run_in(&reports, "2026-11-28T18:30:05Z");
        let made = run.make().unwrap();
        let note = format!(
            "{} leads to {to}, which isn't a run's folder beside it, and is left as it is: this run's folder is {}",
            reports.join("latest").display(),
            made.display()
        );
        assert_eq!(run.notes(), [note]);
        assert_eq!(run.keep_newest(1), NOTHING);
        assert_eq!(latest(&reports), to);
        fs::remove_file(reports.join("latest")).unwrap();
    }
}

/// Each spares those that go on; the last one to end must not leave what it finds over.
#[test]
fn as_many_are_left_as_are_kept_when_the_last_has_ended() {
    let started = |second: usize| format!("2026-11-28T18:30:0{second}Z");
    for ends in [[0, 1, 2], [2, 1, 0], [1, 2, 0]] {
        let folder = tempfile::tempdir().unwrap();
        let runs = [0, 1, 2].map(|second| run_in(folder.path(), &started(second)));
        runs.iter().for_each(|run| drop(wrote(run, "report.json")));
        for end in ends {
            assert_eq!(runs[end].keep_newest(1), NOTHING);
        }
        let last = format!("20261128T18300{}Z", ends[2]);
        assert_eq!(names(folder.path()), [last.as_str(), "latest"], "{ends:?}");
        assert_eq!(latest(folder.path()), last);
    }
}

#[test]
fn runs_that_end_at_once_do_not_get_in_each_others_way() {
    let folder = tempfile::tempdir().unwrap();
    let at_once = std::sync::Barrier::new(8);
    std::thread::scope(|scope| {
        for second in 0..8 {
            let (reports, at_once) = (folder.path(), &at_once);
            scope.spawn(move || {
                let run = run_in(reports, &format!("2026-11-28T18:30:0{second}Z"));
                wrote(&run, "evidence/a/wire.txt");
                wrote(&run, "report.json");
                at_once.wait();
                assert_eq!(run.keep_newest(2), NOTHING);
            });
        }
    });
    let left = names(folder.path());
    assert_eq!(left.len(), 3, "{left:?}");
    assert_eq!(latest(folder.path()), left[1]);
}

#[test]
fn what_gauntlet_did_not_write_stays() {
    let folder = tempfile::tempdir().unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    fs::write(elsewhere.path().join("wire.txt"), "mine").unwrap();
    let reports = folder.path();
    let old = run_in(reports, "2026-11-28T18:30:01Z");
    let report = wrote(&old, "report.json");
    wrote(&old, "evidence/a/wire.txt");
    let beside = wrote(&old, "evidence/b/wire.txt").with_file_name("notes.txt");
    fs::write(&beside, "mine").unwrap();
    // What a run leaves that is killed while it writes.
    fs::write(report.with_file_name(".report.json.17.tmp"), "").unwrap();
    let behind = wrote(&old, "evidence/c/wire.txt");
    let behind = behind.parent().unwrap();
    fs::remove_dir_all(behind).unwrap();
    std::os::unix::fs::symlink(elsewhere.path(), behind).unwrap();
    let path = old.make().unwrap();
    drop(old);
    let run = run_in(reports, "2026-11-28T18:30:02Z");
    run.make().unwrap();
    let note = format!(
        "the earlier run's folder {} stays: there is something in it that gauntlet did not write",
        path.display()
    );
    assert_eq!(run.keep_newest(1), [note]);
    assert_eq!(names(&path), ["evidence"]);
    assert_eq!(names(&path.join("evidence")), ["b", "c"]);
    assert_eq!(names(&path.join("evidence/b")), ["notes.txt"]);
    assert_eq!(names(elsewhere.path()), ["wire.txt"]);
    // It is no run's folder any more.
    assert_eq!(run.keep_newest(1), NOTHING);
    assert_eq!(names(reports), ["20261128T183001Z", "20261128T183002Z", "latest"]);
}

/// As `flock reports gauntlet run` does.
#[test]
fn a_folder_for_reports_that_somebody_else_keeps_locked_is_written_into() {
    let folder = tempfile::tempdir().unwrap();
    let theirs = File::open(folder.path()).unwrap();
    theirs.lock().unwrap();
    wrote(&run_in(folder.path(), "2026-11-28T18:30:01Z"), "report.json");
    assert_eq!(latest(folder.path()), "20261128T183001Z");
}
