//! The JSON report, written when the run is over.

use std::io;
use std::path::PathBuf;

use super::collect::Collected;
use super::document::Report;
use super::{Reporter, Written, atomic};
use crate::runner::events::Event;

/// Writes a [`Report`] to a file.
pub struct Json {
    file: PathBuf,
    evidence: PathBuf,
    collected: Collected,
}

impl Json {
    /// To `file`; names files of the folder `evidence`.
    pub fn new(file: PathBuf, evidence: PathBuf) -> Json {
        Json {
            file,
            evidence,
            collected: Collected::default(),
        }
    }
}

impl Reporter for Json {
    fn event(&mut self, event: &Event) -> io::Result<()> {
        self.collected.event(event);
        Ok(())
    }

    fn finish(&mut self) -> io::Result<Vec<Written>> {
        let Some(run) = self.collected.take() else {
            return Ok(Vec::new());
        };
        let report = Report::new(&run, &self.evidence);
        let mut bytes = serde_json::to_vec_pretty(&report)?;
        bytes.push(b'\n');
        Ok(vec![atomic::deliver(&self.file, bytes)?])
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::report::document::schema;
    use crate::report::sample;

    fn written(events: &[Event]) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("reports/report.json");
        let mut json = Json::new(file.clone(), "reports/evidence".into());
        for event in events {
            json.event(event).unwrap();
        }
        assert_eq!(json.finish().unwrap()[0].file, file);
        (folder, file)
    }

    #[test]
    fn everything() {
        let (_folder, file) = written(&sample::failing());
        insta::assert_snapshot!(std::fs::read_to_string(file).unwrap());
    }

    #[test]
    fn the_order_of_events_makes_no_difference() {
        let mut events = sample::failing();
        let last = events.len() - 1;
        let (_one, forward) = written(&events);
        events[1..last].reverse();
        let (_two, backward) = written(&events);
        assert_eq!(
            std::fs::read_to_string(forward).unwrap(),
            std::fs::read_to_string(backward).unwrap()
        );
    }

    #[test]
    fn read_back_for_what_is_to_be_run_again() {
        let (_folder, file) = written(&sample::failing());
        let report = Report::read(&file).unwrap();
        assert_eq!(
            report.failed(),
            [
                "codex-auth/login/first",
                "harness-token/token/flow[direct]#3",
                "harness-token/token/odd[a|b,<proxy> & `co`]",
                "harness-token/warm/stale",
            ]
        );
        let again = serde_json::to_string_pretty(&report).unwrap() + "\n";
        assert_eq!(again, std::fs::read_to_string(file).unwrap());
    }

    #[test]
    fn a_run_that_broke_off_is_no_good_run() {
        let (_folder, file) = written(&sample::broken_off());
        let report = Report::read(&file).unwrap();
        assert_eq!(report.summary.verdict, crate::runner::events::RunVerdict::Error);
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
        insta::assert_snapshot!(said(""), @r#"F/r.json is no JSON report of gauntlet: it is empty"#);
        insta::assert_snapshot!(said("<testsuites/>"), @r#"F/r.json is no JSON report of gauntlet: it looks like XML; take the `json` report, not `junit`"#);
        insta::assert_snapshot!(said("{\"a\": 1"), @r#"F/r.json is no JSON report of gauntlet: it is not JSON: EOF while parsing an object at line 1 column 7"#);
        insta::assert_snapshot!(said("[1]"), @r#"F/r.json is no JSON report of gauntlet: it has no `apiVersion: gauntlet/v1`"#);
        insta::assert_snapshot!(said("{\"apiVersion\": \"gauntlet/v9\"}"), @r#"F/r.json is no JSON report of gauntlet: it is of gauntlet/v9, this gauntlet reads gauntlet/v1"#);
        insta::assert_snapshot!(said("{\"apiVersion\": \"gauntlet/v1\", \"kind\": \"Matrix\"}"), @r#"F/r.json is no JSON report of gauntlet: its kind is Matrix, not Report"#);
        insta::assert_snapshot!(said("{\"apiVersion\": \"gauntlet/v1\", \"kind\": \"Report\", \"seed\": -1}"), @r#"F/r.json is no JSON report of gauntlet: invalid value: integer `-1`, expected u64 at line 1 column 58"#);
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
