//! The JSON report, written when the run is over.

use std::io;
use std::path::Path;

use super::collect::Run;
use super::document::Report;

/// The report of a run as text.
pub(super) fn render(run: &Run, evidence: &Path) -> io::Result<String> {
    Ok(serde_json::to_string_pretty(&Report::new(run, evidence))? + "\n")
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::events::Event;
    use crate::report::atomic;
    use crate::report::document::schema;
    use crate::report::file::written;
    use crate::report::sample;

    /// The report of `events`, and as it is read back.
    fn read_back(events: &[Event]) -> (String, Report) {
        let text = written(render, events);
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("report.json");
        std::fs::write(&file, &text).unwrap();
        (text, Report::read(&file).unwrap())
    }

    #[test]
    fn everything() {
        insta::assert_snapshot!(written(render, &sample::failing()));
    }

    #[test]
    fn the_order_of_events_makes_no_difference() {
        let mut events = sample::failing();
        let last = events.len() - 1;
        let forward = written(render, &events);
        events[1..last].reverse();
        assert_eq!(forward, written(render, &events));
    }

    #[test]
    fn read_back_for_what_is_to_be_run_again() {
        let (text, report) = read_back(&sample::failing());
        assert_eq!(
            report.failed(),
            [
                "codex-auth/login/first",
                "harness-token/token/flow[direct]#3",
                "harness-token/token/odd[a|b,<proxy> & `co`]",
                "harness-token/warm/stale",
            ]
        );
        assert_eq!(serde_json::to_string_pretty(&report).unwrap() + "\n", text);
    }

    #[test]
    fn a_run_that_broke_off_is_no_good_run() {
        let (_, report) = read_back(&sample::broken_off());
        assert_eq!(report.summary.verdict, crate::events::RunVerdict::Error);
        assert_eq!(report.summary.pass, 1);
        insta::assert_snapshot!(report.notes.join("\n"), @"the run broke off after 1 of 9 scenarios: gauntlet itself has failed");
    }

    #[test]
    fn what_is_no_report_is_told_in_words() {
        let folder = tempfile::tempdir().unwrap();
        let said = |text: &str| {
            let path = folder.path().join("r.json");
            std::fs::write(&path, text).unwrap();
            let error = Report::read(&path).unwrap_err().to_string();
            error.replace(folder.path().to_str().unwrap(), "F")
        };
        insta::assert_snapshot!(said(""), @r#"F/r.json isn't a JSON report of gauntlet: it is empty"#);
        insta::assert_snapshot!(said("<testsuites/>"), @r#"F/r.json isn't a JSON report of gauntlet: it looks like XML; take the `json` report, not `junit`"#);
        insta::assert_snapshot!(said("{\"a\": 1"), @r#"F/r.json isn't a JSON report of gauntlet: it is not JSON: EOF while parsing an object at line 1 column 7"#);
        insta::assert_snapshot!(said("[1]"), @r#"F/r.json isn't a JSON report of gauntlet: it has no `apiVersion: gauntlet/v1`"#);
        insta::assert_snapshot!(said("{\"apiVersion\": \"gauntlet/v9\"}"), @r#"F/r.json isn't a JSON report of gauntlet: it is of gauntlet/v9, this gauntlet reads gauntlet/v1"#);
        insta::assert_snapshot!(said("{\"apiVersion\": \"gauntlet/v1\", \"kind\": \"Matrix\"}"), @r#"F/r.json isn't a JSON report of gauntlet: its kind is Matrix, not Report"#);
        insta::assert_snapshot!(said("{\"apiVersion\": \"gauntlet/v1\", \"kind\": \"Report\", \"seed\": -1}"), @r#"F/r.json isn't a JSON report of gauntlet: invalid value: integer `-1`, expected u64 at line 1 column 58"#);
        let error = Report::read(Path::new("no/such.json")).unwrap_err();
        assert!(error.to_string().starts_with("cannot read the report no/such.json: "));
    }

    fn schema_file() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/report.schema.json")
    }

    #[test]
    fn the_committed_schema_is_current() {
        let committed = std::fs::read_to_string(schema_file()).unwrap_or_default();
        assert!(
            committed == schema(),
            "docs/report.schema.json is not that of the types; renew it with\n\
             cargo test --lib renew_report_schema -- --ignored"
        );
    }

    #[test]
    #[ignore = "writes docs/report.schema.json"]
    fn renew_report_schema() {
        atomic::write(&schema_file(), schema().as_bytes()).unwrap();
    }
}
