use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use super::spec::{Destination, Format};
use super::*;
use crate::redact::Redactor;
use crate::report::sample;

#[derive(Clone, Default)]
struct Out(Arc<Mutex<Vec<u8>>>);

impl Out {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Out {
    fn taken(&self) -> Vec<u8> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

impl Write for Out {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct Fixture {
    folder: tempfile::TempDir,
    out: Out,
    stderr: Out,
    redactor: Redactor,
}

fn own(format: Format) -> ReportSpec {
    let to = Destination::Own;
    ReportSpec { format, to }
}

/// A file of the first run's folder.
fn of_run(file: &str) -> String {
    format!("reports/20260102T030405Z/{file}")
}

impl Fixture {
    fn new() -> Fixture {
        Fixture {
            folder: tempfile::tempdir().unwrap(),
            out: Out::default(),
            stderr: Out::default(),
            redactor: Redactor::new(),
        }
    }

    fn spec(&self, format: Format, file: &str) -> ReportSpec {
        ReportSpec {
            format,
            to: Destination::File(self.folder.path().join(file)),
        }
    }

    /// All that leave standard output to the console.
    fn all(&self) -> Vec<ReportSpec> {
        let files = Format::ALL.into_iter().filter(|format| *format != Format::Github);
        files.map(own).collect()
    }

    /// Of a run of its own, which started when the first one did.
    fn reporters(&self, specs: &[ReportSpec], stdout: Box<dyn Write + Send>) -> Reporters {
        let started = "2026-01-02T03:04:05Z".parse().unwrap();
        let folder = RunFolder::new(self.folder.path().join("reports"), started);
        let settings = Settings {
            evidence_limit: 400,
            ..Settings::new(ConsoleSettings::default(), folder)
        };
        let streams = Streams {
            stdout,
            stderr: Box::new(self.stderr.clone()),
        };
        Reporters::new(specs, &settings, streams, self.redactor.clone())
    }

    fn run(&self, specs: &[ReportSpec], events: &[Event]) -> Finished {
        let mut reporters = self.reporters(specs, Box::new(self.out.clone()));
        for event in events {
            reporters.event(event);
        }
        reporters.finish()
    }

    /// All files that there are, relative, but for the marks of runs' folders.
    fn files(&self) -> Vec<String> {
        fn walk(path: &std::path::Path, all: &mut Vec<PathBuf>) {
            for entry in std::fs::read_dir(path).unwrap() {
                let entry = entry.unwrap();
                let kind = entry.file_type().unwrap();
                if kind.is_dir() {
                    walk(&entry.path(), all);
                } else if kind.is_file() && entry.file_name() != ".gauntlet-run" {
                    all.push(entry.path());
                }
            }
        }
        let mut all = Vec::new();
        walk(self.folder.path(), &mut all);
        let mut all: Vec<String> = all
            .iter()
            .map(|p| p.strip_prefix(self.folder.path()).unwrap().display().to_string())
            .collect();
        all.sort();
        all
    }

    fn read(&self, file: &str) -> String {
        std::fs::read_to_string(self.folder.path().join(file)).unwrap()
    }
}

#[test]
fn evidence_lies_where_the_reports_say() {
    let fixture = Fixture::new();
    let finished = fixture.run(&fixture.all(), &sample::failing());
    assert!(finished.problems.is_empty(), "{:?}", finished.problems);
    assert_eq!(finished.written.len(), fixture.files().len());
    insta::assert_snapshot!(fixture.files().join("\n"));
    let report = Report::read(&fixture.folder.path().join(of_run("report.json"))).unwrap();
    let named: Vec<_> = report
        .scenarios
        .iter()
        .flat_map(|s| s.evidence.iter().map(move |path| (s, path)))
        .collect();
    assert!(!named.is_empty());
    for (scenario, path) in named {
        assert!(path.is_file(), "{}", path.display());
        assert!(fixture.read(&of_run("junit.xml")).contains(path.to_str().unwrap()));
        // An expected failure is only named there.
        let shown = scenario.expected_failure.is_none();
        let text = fixture.read(&of_run("report.md"));
        assert_eq!(text.contains(path.to_str().unwrap()), shown);
    }
    assert!(fixture.out.text().contains("harness-token__warm__stale/wire.txt"));
}

#[test]
fn long_evidence_is_cut_in_the_middle_with_a_note() {
    let fixture = Fixture::new();
    fixture.run(&[], &sample::failing());
    let file = fixture
        .files()
        .into_iter()
        .find(|f| f.contains("odd") && !f.ends_with("-2.txt"))
        .unwrap();
    let text = fixture.read(&file);
    assert!(text.starts_with("line 1 ") && text.ends_with("line 30 \0\x1b[31m ````\r\n"));
    assert!(text.contains("[… gauntlet has cut 2"), "{text}");
}

#[test]
fn evidence_of_an_earlier_run_stays() {
    let fixture = Fixture::new();
    fixture.run(&[], &sample::one_failure());
    let of_first = fixture.files();
    assert_eq!(of_first.len(), 2);
    fixture.run(&[], &sample::one_failure());
    let of_both = fixture.files();
    assert_eq!(of_both.len(), 4);
    assert!(of_first.iter().all(|file| of_both.contains(file)), "{of_both:?}");
    // Nothing to keep, no folder.
    fixture.run(&[], &sample::passing());
    assert_eq!(fixture.files(), of_both);
}

#[test]
fn a_report_takes_standard_output_from_the_console() {
    let fixture = Fixture::new();
    let json = ReportSpec {
        format: Format::Json,
        to: Destination::Stdout,
    };
    let specs = [own(Format::Console), json, fixture.spec(Format::Console, "copy.txt")];
    let finished = fixture.run(&specs, &sample::one_failure());
    assert!(finished.problems.is_empty(), "{:?}", finished.problems);
    let report: serde_json::Value = serde_json::from_str(&fixture.out.text()).unwrap();
    assert_eq!(report["kind"], "Report");
    assert_eq!(finished.printed, fixture.out.taken());
    assert!(fixture.stderr.text().contains("FAILED"));
    assert_eq!(fixture.read("copy.txt"), fixture.stderr.text());
    assert_eq!(finished.printed_aside, fixture.stderr.taken());
}

#[test]
fn nothing_that_is_written_holds_a_secret() {
    let fixture = Fixture::new();
    let canary = fixture.redactor.plant("canary");
    fixture.redactor.add("weird", "we\"i<r>d&|`\nsecret").unwrap();
    let mut written = 0;
    for value in [canary.expose(), "we\"i<r>d&|`\nsecret"] {
        let finished = fixture.run(&fixture.all(), &sample::with_text(value));
        let leaks = finished.audit(&fixture.redactor).unwrap();
        assert!(leaks.is_empty(), "{leaks:?}");
        assert_eq!(finished.printed, fixture.out.taken());
        written += finished.written.len();
        assert_eq!(written, fixture.files().len());
    }
    assert!(fixture.read(&of_run("report.json")).contains("$CANARY"));
    assert!(fixture.read("reports/latest/report.json").contains("$WEIRD"));
}

#[test]
fn a_report_that_cannot_be_written_leaves_the_others_alone() {
    let fixture = Fixture::new();
    std::fs::create_dir_all(fixture.folder.path().join("reports/junit.xml")).unwrap();
    let specs = [fixture.spec(Format::Junit, "reports/junit.xml"), own(Format::Markdown)];
    let mut reporters = fixture.reporters(&specs, Box::new(fixture.out.clone()));
    let said: Vec<String> = reporters.problems().iter().map(Problem::to_string).collect();
    assert_eq!(said.len(), 1);
    assert!(
        said[0].ends_with("junit.xml: it is a folder; name a file in it"),
        "{said:?}"
    );
    for event in &sample::one_failure() {
        reporters.event(event);
    }
    let finished = reporters.finish();
    assert_eq!(finished.problems.len(), 1);
    assert!(fixture.out.text().contains("FAILED"));
    assert!(fixture.read(&of_run("report.md")).contains("FAILED"));
}

#[test]
fn a_file_that_gets_in_the_way_during_the_run_is_told_of_at_its_end() {
    let fixture = Fixture::new();
    let specs = [
        own(Format::Markdown),
        fixture.spec(Format::Json, "report.json"),
        fixture.spec(Format::Junit, "junit.xml"),
    ];
    let mut reporters = fixture.reporters(&specs, Box::new(fixture.out.clone()));
    std::fs::create_dir_all(fixture.folder.path().join("report.json")).unwrap();
    std::fs::write(fixture.folder.path().join("reports"), "").unwrap();
    for event in &sample::one_failure() {
        reporters.event(event);
    }
    let finished = reporters.finish();
    let said: Vec<&str> = finished
        .problems
        .iter()
        .map(|p| p.report.split('=').next().unwrap())
        .collect();
    assert_eq!(said, ["evidence", "markdown", "json"]);
    assert_eq!(fixture.files(), ["junit.xml", "reports"]);
}

#[test]
fn a_closed_output_ends_the_printing_and_nothing_else() {
    struct Closed;
    impl Write for Closed {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let fixture = Fixture::new();
    let mut reporters = fixture.reporters(&fixture.all(), Box::new(Closed));
    for event in &sample::one_failure() {
        reporters.event(event);
    }
    let finished = reporters.finish();
    assert_eq!(finished.problems.len(), 1);
    assert!(finished.problems[0].is_closed_output());
    assert_eq!(
        finished.problems[0].to_string(),
        "console: the output was closed by its reader"
    );
    assert!(fixture.read(&of_run("junit.xml")).contains("harness-token/warm/stale"));
}

#[test]
fn a_run_that_never_began_leaves_no_report() {
    let fixture = Fixture::new();
    let finished = fixture.run(&fixture.all(), &[]);
    assert!(finished.problems.is_empty() && finished.written.is_empty());
    assert!(fixture.files().is_empty());
}
